"""How many round trips in a row were lost."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.position import RoundTrip
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Changes
from tradebot.pipeline.risk.breakers.counts import CountBreaker


class ConsecutiveLossesBreaker(CountBreaker):
    """Round trips of all strategies in order of their ends; one that ended at 0 is passed over."""

    name: ClassVar[str] = "max_consecutive_losses"
    measures: ClassVar[str] = "round trips in a row that lost"
    back: ClassVar[str] = "with a winner"

    def on_trip(self, trip: RoundTrip) -> Changes:
        """Count a loss; a winner begins anew."""
        if trip.net_pnl < 0:
            self._count += 1
            return self._reach(trip.exit_ts)
        if trip.net_pnl > 0 and not self.is_latched:
            if self.tier:
                return (self.rearm(trip.exit_ts, "a winner"),)
            self._count = 0
        return NO_CHANGE

    @property
    def value(self) -> Decimal:
        """How many were lost in a row."""
        return Decimal(self._count)
