"""How much of the equity that a day began with is lost."""

from typing import ClassVar

from tradebot.model.money import Cash
from tradebot.model.time import DAY, Nanos
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Changes
from tradebot.pipeline.risk.breakers.falls import FallBreaker


class DailyLossBreaker(FallBreaker):
    """Days are UTC days of market time; a bar that closes at midnight is the last of its day."""

    name: ClassVar[str] = "daily_loss_pct"
    measures: ClassVar[str] = "how much equity fell since the UTC day began, percent of what it was then"
    back: ClassVar[str] = "when the UTC day is over"
    counts_days: ClassVar[bool] = True

    def on_equity(self, ts: Nanos, equity: Cash) -> Changes:
        """Look at the equity at the closing time ``ts``."""
        changes = NO_CHANGE
        day = (ts - 1) // DAY
        if day > self._day:
            changes = self._turn(ts, day, equity)
        self._equity = equity
        return changes if equity > self._floor else (*changes, *self._fall(ts))

    def _turn(self, ts: Nanos, day: int, equity: Cash) -> Changes:
        # The day of a halt lasts until an operator looked.
        if self.is_latched:
            return NO_CHANGE
        self._day = day
        if self.tier:
            return (self.rearm(ts, "a new UTC day"),)
        self._measure_from(equity if self._reference is None else self._equity)
        return NO_CHANGE
