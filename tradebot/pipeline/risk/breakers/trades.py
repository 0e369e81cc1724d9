"""How many positions were opened in a day."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import Cash
from tradebot.model.order import Fill
from tradebot.model.signal import Signal
from tradebot.model.time import DAY, Nanos
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Changes, Holding
from tradebot.pipeline.risk.breakers.counts import CountBreaker


class TradesBreaker(CountBreaker):
    """So many may be opened in a UTC day of market time: the entry that would be one more trips it.

    Entries at work count as opened, so that no two of them get past it.
    """

    name: ClassVar[str] = "max_trades_per_day"
    measures: ClassVar[str] = "positions opened in the UTC day and entries at work, when one more is asked for"
    back: ClassVar[str] = "when the UTC day is over"
    counts_days: ClassVar[bool] = True

    @property
    def value(self) -> Decimal:
        """How many were opened today; once it is tripped for good, with the entries at work of then."""
        return Decimal(self._count)

    def on_equity(self, ts: Nanos, equity: Cash) -> Changes:
        """Begin a new day, though nothing is asked for."""
        del equity
        return self._turn(ts)

    def on_ask(self, signal: Signal, book: Holding) -> Changes:
        """Look whether one more may be opened."""
        changes = self._turn(signal.ts_event)
        waiting = book.waiting
        self._count += waiting
        reached = self._reach(signal.ts_event)
        if not self.is_latched:
            self._count -= waiting
        return (*changes, *reached)

    def on_opened(self, fill: Fill) -> Changes:
        """Count an entry that began to fill."""
        changes = self._turn(fill.ts_event)
        self._count += 1
        return changes

    def _turn(self, ts: Nanos) -> Changes:
        day = ts // DAY
        if day <= self._day or self.is_latched:
            return NO_CHANGE
        self._day = day
        if self.tier:
            return (self.rearm(ts, "a new UTC day"),)
        self._count = 0
        return NO_CHANGE
