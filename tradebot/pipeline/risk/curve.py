"""The equity curve: one point for each closing time, as it was after the last bar of that time."""

from tradebot.model.money import Cash, Ratio, book
from tradebot.model.position import EquityMark
from tradebot.model.time import Nanos, Timeframe
from tradebot.pipeline.points import Points, Worth
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.holdings import NO_CASH
from tradebot.pipeline.risk.ledger import Ledger


class EquityCurve:
    """Gives each point when a later bar shows that its time is over.

    Fills and funding of that later bar come before it. So the point is settled before anything but a bar
    changes the ledger, and unsettled when the next bar is still one of its time.
    """

    __slots__ = ("_settled", "_trough", "_ts", "_worth", "ledger", "max_drawdown", "peak", "shift")

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.peak = ledger.starting_cash
        self.max_drawdown = Ratio(ledger.starting_cash - ledger.starting_cash)
        self._trough = self.peak
        self._ts: Nanos | None = None
        self._worth: Worth | None = None
        self._settled: EquityMark | None = None
        # What came from outside since the settled point: the peak has moved by it and the point has not.
        self.shift: Cash = NO_CASH

    def load(self, state: RiskState) -> None:
        """Take over what ``state`` says of the curve."""
        self.peak = state.peak_equity
        self._trough = self.peak
        self.max_drawdown = state.max_drawdown
        self._settled = state.pending_equity
        self.shift = state.pending_shift
        self._ts = None if self._settled is None else self._settled.ts_event

    @property
    def has_begun(self) -> bool:
        """Whether a bar has come."""
        return self._ts is not None

    def worth(self, symbol: str) -> Worth | None:
        """Return what the account is worth by the price of a symbol, which alone may be held; ``None``: it is not."""
        cash, trip = self.ledger.cash, self.ledger.trips.get(symbol)
        if trip is None:
            return None
        known = self._worth
        # The very same as long as it holds: whoever has looked at it need not again.
        if known is None or known.cash is not cash or known.qty is not trip.qty or known.cost is not trip.cost:
            self._worth = known = Worth(cash, trip.qty, trip.cost)
        return known

    def advance(self, now: Nanos, timeframe: Timeframe) -> EquityMark | None:
        """Return the point that a bar which closed ``now`` completes, if it does; call before its prices are marked."""
        ts = self._ts
        if ts is None:
            self._ts = now
            return EquityMark(ts_event=Nanos(now - timeframe), equity=self.ledger.starting_cash, is_exposed=False)
        settled, self._settled = self._settled, None
        if now <= ts:
            self.shift = NO_CASH
            return None
        point = settled or self._point(ts)
        self._ts = now
        equity = point.equity
        if self.shift:
            equity, self.shift = Cash(equity + self.shift), NO_CASH
        self._see(equity)
        return point

    def pass_over(self, points: Points, ts: Nanos) -> None:
        """Take in points that came one after the other, each of a time of its own, the last one at ``ts``."""
        for equity in points.turning(self.peak, self._trough, self.max_drawdown):
            self._see(equity)
        self._ts = ts

    def _see(self, equity: Cash) -> None:
        # A division at every bar would cost more than all the rest: only the trough below each peak counts.
        if equity < self._trough:
            self._trough = equity
        elif equity > self.peak:
            self.drawdown()
            self.peak = self._trough = equity

    def deposit(self, amount: Cash) -> None:
        """Move the peak with money from outside, so that it is neither a gain nor a loss; call once it is booked."""
        if self._ts is None:
            self.peak = self._trough = self.ledger.starting_cash
            return
        self.drawdown()
        self.peak = self._trough = Cash(self.peak + amount)
        self.shift = Cash(self.shift + amount)

    def settle(self) -> None:
        """Fix the point of the last closing time: what comes now belongs to a later one."""
        if self._settled is None and self._ts is not None:
            self._settled = self._point(self._ts)

    def now(self, ts: Nanos) -> EquityMark:
        """Return the point of the closing time ``ts``, the last one, as it is now.

        It is not reckoned again when its time is over and nothing but bars of others came in between.
        """
        self._settled = point = self._point(ts)
        return point

    def pending(self) -> EquityMark | None:
        """Return the point whose time may not be over, as it is now."""
        return self._settled if self._settled is not None or self._ts is None else self._point(self._ts)

    def drawdown(self) -> Ratio:
        """Return the deepest fall from a peak so far, as a fraction of that peak."""
        if self._trough < self.peak and self.peak > 0:
            self.max_drawdown = Ratio(max(self.max_drawdown, (self.peak - self._trough) / self.peak))
            self._trough = self.peak
        return self.max_drawdown

    def _point(self, ts: Nanos) -> EquityMark:
        ledger = self.ledger
        if not ledger.trips:
            return EquityMark(ts_event=ts, equity=ledger.cash, is_exposed=False)
        return EquityMark(ts_event=ts, equity=book(ledger.equity()), is_exposed=True)
