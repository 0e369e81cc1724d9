"""The book: positions, money and what is on its way, as a value.

Equity = cash + sum of ``qty * mark - cost`` over positions; cash = starting cash + deposits + realized - fees +
funding.
Cost and quantity carry one sign, so the formula holds for both sides.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from tradebot.model.command import TradingState
from tradebot.model.money import ZERO, Cash, Price, Qty, Ratio, mean_price
from tradebot.model.position import EquityMark
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.allowance import AllowanceState
from tradebot.pipeline.risk.zones import ZoneState

NO_CASH = Cash(ZERO)
NO_QTY = Qty(ZERO)
_NO_RATIO = Ratio(ZERO)
_NEVER = Nanos(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position that is open, with the sums its round trip will be made of.

    ``qty`` != 0, short < 0; ``cost`` is what its open part was bought for, of the same sign. ``entry_*`` and
    ``exit_*`` sum all fills since it was flat. ``low`` and ``high`` bound the price since the last fill;
    ``worst_pnl`` <= 0 and ``best_pnl`` >= 0 the open P&L before it. ``closing_id`` is the exit signal at work,
    for ``closing_qty``; empty where there is none. ``closing_failed``: the venue refused it, and it is tried again.
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

    @property
    def entry_price(self) -> Price:
        """The average cost of the open part."""
        return mean_price(self.cost, self.qty)

    def unrealized(self, mark: Decimal) -> Cash:
        """Return the open P&L at ``mark``, exact."""
        return Cash(self.qty * mark - self.cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingEntry:
    """An approved entry as far as it has not filled: ``qty`` > 0 at ``price``, at which its limits were checked."""

    signal_id: str
    symbol: str
    strategy: str
    qty: Qty
    price: Price
    stop: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskState:
    """All that the risk stage knows.

    ``marks`` holds the last price of each symbol seen. ``entries`` are the working entries by signal id.
    ``pending_equity`` is the point of the equity curve whose closing time may not be over, ``pending_shift`` what
    came from outside since. ``manual`` counts
    the signals made for operators, by symbol. ``zones`` are where positions were entered lately.
    ``is_flattening``: every position is being closed, until flat. ``deposits`` is what came to the account after its
    start, less what left it. ``frozen`` holds why a symbol, or all by the empty name, may not be entered.
    ``funded`` are the times of the last payments of each symbol; ``deposit_ids`` and ``found_ids`` the deposits and
    the orders found at the venue that were booked; all oldest first.
    """

    starting_cash: Cash
    cash: Cash
    realized: Cash = NO_CASH
    fees: Cash = NO_CASH
    funding: Cash = NO_CASH
    funding_estimates: int = 0
    trading_state: TradingState = TradingState.RUNNING
    state_reason: str = ""
    is_flattening: bool = False
    market_ts: Nanos = _NEVER
    marks: dict[str, Price] = field(default_factory=dict)
    positions: dict[str, OpenPosition] = field(default_factory=dict)
    entries: dict[str, WorkingEntry] = field(default_factory=dict)
    pending_equity: EquityMark | None = None
    pending_shift: Cash = NO_CASH
    peak_equity: Cash
    max_drawdown: Ratio = _NO_RATIO
    signals: int = 0
    refused: int = 0
    manual: dict[str, int] = field(default_factory=dict)
    zones: ZoneState = field(default_factory=ZoneState)
    stops: dict[str, Price] = field(default_factory=dict)
    deposits: Cash = NO_CASH
    frozen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    funded: dict[str, tuple[Nanos, ...]] = field(default_factory=dict)
    deposit_ids: tuple[str, ...] = ()
    found_ids: tuple[str, ...] = ()
    allowance: AllowanceState = field(default_factory=AllowanceState)

    @property
    def unrealized(self) -> Cash:
        """The open P&L of all positions at the last marks, exact."""
        return Cash(sum((p.unrealized(self.marks[p.symbol]) for p in self.positions.values()), ZERO))

    @property
    def equity(self) -> Cash:
        """Cash and open P&L at the last marks, exact."""
        return Cash(self.cash + self.unrealized)

    @property
    def drawdown(self) -> Ratio:
        """How far equity is below its peak now, as a fraction of the peak, >= 0."""
        if self.peak_equity <= 0:
            return Ratio(ZERO)
        return Ratio(max(ZERO, (self.peak_equity - self.equity) / self.peak_equity))
