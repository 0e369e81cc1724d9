"""The book: positions, money and what is on its way, as a value.

Equity = cash + sum of ``qty * mark - cost`` over positions; cash = starting cash + deposits + realized - fees +
funding.
Cost and quantity carry one sign, so the formula holds for both sides.
"""

from dataclasses import dataclass, field

from tradebot.model.command import TradingState
from tradebot.model.instrument import InstrumentSeen, Listing
from tradebot.model.market import PricesSeen
from tradebot.model.money import ZERO, Cash, Price, Ratio
from tradebot.model.position import EquityMark
from tradebot.model.time import Nanos
from tradebot.pipeline.instruments import untraded
from tradebot.pipeline.risk.breakers.base import BreakerState
from tradebot.pipeline.risk.gates.sequence import GateState
from tradebot.pipeline.risk.gates.zone import ZoneState
from tradebot.pipeline.risk.holdings import NO_CASH, OpenPosition, WorkingEntry
from tradebot.pipeline.risk.measures.daily import DailyState
from tradebot.pipeline.risk.order_gates.sequence import OrderGateState

_NO_RATIO = Ratio(ZERO)
_NEVER = Nanos(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskState:
    """All that the risk stage knows.

    ``marks`` holds the last price of each symbol seen. ``entries`` are the working entries by signal id.
    ``pending_equity`` is the point of the equity curve whose closing time may not be over, ``pending_shift`` what
    came from outside since. ``manual`` counts
    the signals made for operators, by symbol. ``gates`` is what gates remember, by their names; ``zones`` is where
    earlier versions kept what one of them does.
    ``is_flattening``: every position is being closed, until flat; with ``flattens_own`` those of others are left.
    ``deposits`` is what came to the account after its
    start, less what left it. ``frozen`` holds why a symbol, or all by the empty name, may not be entered.
    ``funded`` are the times of the last payments of each symbol; ``deposit_ids`` and ``found_ids`` the deposits and
    the orders found at the venue that were booked; all oldest first. ``instruments`` is what the venue said last of
    each symbol. ``breakers`` are kept by their names; ``is_lowered``: it was they that made the state reduce-only.
    ``marked`` is the closing time of each symbol's last bar, ``looked_ts`` up to when breakers looked at the equity;
    ``residual`` is what a real venue's cash was last more than ours, unexplained. ``seen`` is what a live market told
    last. ``daily`` holds the closes from which everything is measured, ``results`` what each strategy's round trips
    would have earned at the size that their rule asked for, the oldest first.
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
    gates: dict[str, GateState | OrderGateState] = field(default_factory=dict)
    flattens_own: bool = False
    instruments: dict[str, InstrumentSeen] = field(default_factory=dict)
    breakers: dict[str, BreakerState] = field(default_factory=dict)
    is_lowered: bool = False
    marked: dict[str, Nanos] = field(default_factory=dict)
    looked_ts: Nanos = _NEVER
    daily: DailyState = field(default_factory=DailyState)
    results: dict[str, tuple[Cash, ...]] = field(default_factory=dict)
    residual: Cash = NO_CASH
    seen: PricesSeen | None = None

    @property
    def untraded(self) -> dict[str, Listing]:
        """The symbols that the venue does not trade, and why."""
        return untraded(self.instruments)

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
