"""The equity curve in 16 bytes a point: times and money as integers.

A daemon of years has millions of points; as Python objects they would cost more than all the rest of it.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import overload

from tradebot.model.money import Cash
from tradebot.model.time import Nanos, to_ms

_DIGITS = 8
_UNIT = 10**_DIGITS
_UNITS_OF_ONE = Decimal(_UNIT)
_BLOCK = 8192


class Curve(Sequence[tuple[int, str]]):
    """Points of (time, equity), oldest first, one for each time.

    As a sequence its items are ``(ts_ms, equity in plain notation)``; ``ts`` and ``units`` hold
    nanoseconds and multiples of 1e-8, to which equity is rounded half to even. ``deposits`` holds the money
    that came from outside, each amount with the number of points before it.
    """

    __slots__ = ("_equity", "_last", "deposits", "ts", "units")

    def __init__(self) -> None:
        self.ts = array("q")
        self.units: array[int] | list[int] = array("q")
        self.deposits: list[tuple[int, int]] = []
        self._equity: Decimal | None = None
        self._last = 0

    def append(self, ts: Nanos, equity: Decimal) -> None:
        """Add a point; one at the time of the last point replaces it."""
        if self.ts and self.ts[-1] == ts:
            self.ts.pop()
            self.units.pop()
        # While flat, the very same equity comes with every bar.
        if equity is not self._equity:
            self._equity = equity
            self._last = round(equity * _UNITS_OF_ONE)
        try:
            self.units.append(self._last)
        except OverflowError:
            # 9.2e10 of money is the end of 64 bits; an account in a small currency goes on in a list.
            self.units = [*self.units, self._last]
        self.ts.append(ts)

    def extend(self, times: Sequence[Nanos], units: Sequence[int]) -> None:
        """Add points in multiples of 1e-8, each later than the one before; arrays of 64 bits go in at once."""
        if isinstance(self.units, list):
            self.units += units
        elif isinstance(units, list):
            # Not all of them are of 64 bits.
            self.units = [*self.units, *units]
        else:
            self.units.extend(units)
        self.ts.extend(times)

    def deposit(self, amount: Decimal) -> None:
        """Note money that came now; ``amount`` < 0 left. The next point may hold it, the one after it does."""
        self.deposits.append((len(self), round(amount * _UNITS_OF_ONE)))

    def afresh(self) -> "Curve":
        """Return an empty curve that knows the money which the last point does not hold."""
        fresh = Curve()
        fresh.deposits = [(0, amount) for before, amount in self.deposits if before == len(self)]
        return fresh

    def extended(self, ts: Nanos, equity: Decimal) -> "Curve":
        """Return a copy with one more point."""
        longer = Curve()
        longer.ts, longer.units, longer.deposits = self.ts[:], self.units[:], self.deposits
        longer.append(ts, equity)
        return longer

    def equity(self, index: int) -> Cash:
        """Return the equity of one point."""
        return Cash(Decimal(self.units[index]).scaleb(-_DIGITS))

    def equity_at(self, ts: int) -> str | None:
        """Return the last equity at or before ``ts`` in plain notation; ``None`` before the first."""
        index = bisect_right(self.ts, ts) - 1
        return None if index < 0 else _plain(self.units[index])

    def json(self) -> bytes:
        """Return ``[[ts_ms,"equity"],...]``."""
        # In blocks: a million points at once would be 100 MB of small strings.
        text = bytearray(b"[")
        for first in range(0, len(self), _BLOCK):
            block = zip(self.ts[first : first + _BLOCK], self.units[first : first + _BLOCK], strict=True)
            text += b"," if first else b""
            text += ",".join(f'[{to_ms(ts)},"{_plain(units)}"]' for ts, units in block).encode()
        text += b"]"
        return bytes(text)

    def __len__(self) -> int:
        return len(self.ts)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for ts, units in zip(self.ts, self.units, strict=True):
            yield to_ms(ts), _plain(units)

    @overload
    def __getitem__(self, index: int) -> tuple[int, str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, str]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, str] | list[tuple[int, str]]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return to_ms(self.ts[index]), _plain(self.units[index])


def _plain(units: int) -> str:
    whole, part = divmod(abs(units), _UNIT)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{part:08d}".rstrip("0") if part else f"{sign}{whole}"
