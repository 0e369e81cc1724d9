"""Points of the equity curve, many at once."""

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from tradebot.model.money import Cash, Price, Qty, Ratio, book

_DIGITS = 8


class Worth(NamedTuple):
    """What an account is worth by the price of one symbol: ``cash``, and ``qty`` that was bought for ``cost``."""

    cash: Cash
    qty: Qty
    cost: Cash

    def at(self, price: Price) -> Cash:
        """Return the equity at ``price``, as booked."""
        return book(self.cash + (self.qty * price - self.cost))

    def between(self, low: Price, high: Price) -> tuple[Cash, Cash]:
        """Return the least and the most equity at prices from ``low`` to ``high``."""
        ends = self.at(low), self.at(high)
        return min(ends), max(ends)


class Points(Protocol):
    """The equity at closes that came one after the other; of each but the last one at least."""

    @property
    def last(self) -> Cash:
        """The last one."""
        ...

    @property
    def highest(self) -> Cash:
        """The highest one."""
        ...

    @property
    def before_last(self) -> Sequence[int]:
        """All but the last one, as multiples of 1e-8."""
        ...

    def but_last(self) -> "Points | None":
        """Return the points before the last one, if there are any."""
        ...

    def turning(self, peak: Cash, trough: Cash, drawdown: Ratio) -> Iterable[Cash]:
        """Give, in their order, those but the last one on which the deepest fall from ``peak`` on can depend.

        ``trough`` is the lowest since that peak, and ``drawdown`` the deepest fall of before.
        """
        ...


class FlatPoints:
    """``count`` points of an account that holds nothing."""

    __slots__ = ("_cash", "_count")

    def __init__(self, cash: Cash, count: int) -> None:
        self._cash = cash
        self._count = count

    @property
    def last(self) -> Cash:
        """The last one."""
        return self._cash

    @property
    def highest(self) -> Cash:
        """The highest one."""
        return self._cash

    @property
    def before_last(self) -> Sequence[int]:
        """All but the last one, as multiples of 1e-8."""
        return _whole([units_of(self._cash)]) * (self._count - 1)

    def but_last(self) -> "FlatPoints | None":
        """Return the points before the last one, if there are any."""
        return FlatPoints(self._cash, self._count - 1) if self._count > 1 else None

    def turning(self, peak: Cash, trough: Cash, drawdown: Ratio) -> Iterable[Cash]:
        """Give one of them."""
        del peak, trough, drawdown
        return (self._cash,) if self._count > 1 else ()


class BookedPoints:
    """Points as amounts of money."""

    __slots__ = ("_equities",)

    def __init__(self, equities: Sequence[Cash]) -> None:
        self._equities = equities

    @property
    def last(self) -> Cash:
        """The last one."""
        return self._equities[-1]

    @property
    def highest(self) -> Cash:
        """The highest one."""
        return max(self._equities)

    @property
    def before_last(self) -> Sequence[int]:
        """All but the last one, as multiples of 1e-8."""
        return _whole([units_of(equity) for equity in self._equities[:-1]])

    def but_last(self) -> "BookedPoints | None":
        """Return the points before the last one, if there are any."""
        return BookedPoints(self._equities[:-1]) if len(self._equities) > 1 else None

    def turning(self, peak: Cash, trough: Cash, drawdown: Ratio) -> Iterable[Cash]:
        """Give all of them but the last."""
        del peak, trough, drawdown
        return self._equities[:-1]


def units_of(amount: Cash) -> int:
    """Return the multiple of 1e-8 that is next to ``amount``, half to even."""
    return round(amount.scaleb(_DIGITS))


def _whole(units: Sequence[int]) -> "array[int] | list[int]":
    try:
        return array("q", units)
    except OverflowError:
        # 9.2e10 of money is the end of 64 bits.
        return list(units)
