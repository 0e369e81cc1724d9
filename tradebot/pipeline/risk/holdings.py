"""What is open and what is at work, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, mean_price
from tradebot.model.order import PositionSide
from tradebot.model.record import Value
from tradebot.model.time import Nanos

NO_CASH = Cash(ZERO)
NO_QTY = Qty(ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position that is open, with the sums its round trip will be made of.

    ``qty`` != 0, short < 0; ``cost`` is what its open part was bought for, of the same sign. ``entry_*`` and
    ``exit_*`` sum all fills since it was flat. ``low`` and ``high`` bound the price since the last fill;
    ``worst_pnl`` <= 0 and ``best_pnl`` >= 0 the open P&L before it. ``closing_id`` is the exit signal at work,
    for ``closing_qty``; empty where there is none. ``closing_failed``: the venue refused it, and it is tried again.
    ``asked_qty`` is how large ``entry_qty`` were had nothing made its entries smaller; 0 where that is not known.
    """

    symbol: str
    strategy: str
    qty: Qty
    cost: Cash
    entry_ts: Nanos
    entry_qty: Qty
    entry_notional: Cash
    exit_qty: Qty = NO_QTY
    exit_notional: Cash = NO_CASH
    realized: Cash = NO_CASH
    fees: Cash = NO_CASH
    funding: Cash = NO_CASH
    low: Price
    high: Price
    worst_pnl: Cash = NO_CASH
    best_pnl: Cash = NO_CASH
    closing_id: str = ""
    closing_qty: Qty = NO_QTY
    closing_failed: bool = False
    asked_qty: Qty = NO_QTY

    @property
    def entry_price(self) -> Price:
        """The average cost of the open part."""
        return mean_price(self.cost, self.qty)

    def unrealized(self, mark: Decimal) -> Cash:
        """Return the open P&L at ``mark``, exact."""
        return Cash(self.qty * mark - self.cost)


class WorkingEntry(Value, frozen=True, kw_only=True):
    """An approved entry as far as it has not filled: ``qty`` > 0 at ``price``, at which its limits were checked.

    ``expected`` is the price that it waits for; ``None`` for one at market. ``side`` is ``None`` where an earlier
    version kept none: it counts on both. ``scale``, in (0, 1], is what was left of the size that its rule asked for.
    """

    signal_id: str
    symbol: str
    strategy: str
    qty: Qty
    price: Price
    stop: Price | None = None
    expected: Price | None = None
    side: PositionSide | None = None
    scale: Decimal = ONE


class Exposed(NamedTuple):
    """What counts towards the limits: a position at its mark, or an entry at work at the price it was checked at.

    ``notional`` >= 0. ``is_held``: it is a position, and not only may become one.
    """

    symbol: str
    strategy: str
    side: PositionSide | None
    notional: Decimal
    is_held: bool

    def is_on(self, side: PositionSide) -> bool:
        """Return whether it is, or may be, on ``side``."""
        return self.side is None or self.side is side


class Exposures(tuple[Exposed, ...]):
    """All that counts towards the limits at one moment, with the sums that they ask for, each worked out once."""

    @cached_property
    def total(self) -> Cash:
        """All of it."""
        return Cash(sum((one.notional for one in self), ZERO))

    @cached_property
    def by_symbol(self) -> Mapping[str, Decimal]:
        """That of each symbol, both sides together."""
        sums: dict[str, Decimal] = {}
        for one in self:
            sums[one.symbol] = sums.get(one.symbol, ZERO) + one.notional
        return sums

    @cached_property
    def by_strategy(self) -> Mapping[str, Decimal]:
        """That of each strategy."""
        sums: dict[str, Decimal] = {}
        for one in self:
            sums[one.strategy] = sums.get(one.strategy, ZERO) + one.notional
        return sums

    @cached_property
    def by_side(self) -> Mapping[PositionSide, Decimal]:
        """What is, or may be, on each side."""
        return {side: sum((one.notional for one in self if one.is_on(side)), ZERO) for side in PositionSide}

    @cached_property
    def signed(self) -> Mapping[str, float]:
        """That of each symbol as floats measure it, short < 0, in the order of their names."""
        sums: dict[str, float] = {}
        for one in self:
            # What may be on either side counts as long.
            notional = float(one.notional)
            sums[one.symbol] = sums.get(one.symbol, 0.0) + (-notional if one.side is PositionSide.SHORT else notional)
        return dict(sorted(sums.items()))
