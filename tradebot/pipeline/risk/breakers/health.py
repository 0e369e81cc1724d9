"""How many symbols the market or the venue is silent about."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import ClassVar

from tradebot.model.breaker import Act
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.breakers.base import Changes
from tradebot.pipeline.risk.breakers.counts import CountBreaker

STALE = "stale"
"""Why a symbol is frozen whose market is too long silent."""
UNANSWERED = "unknown order"
"""Why a symbol is frozen in which an order was sent, and nobody knows what became of it."""


class HealthBreaker(CountBreaker):
    """Counts symbols that are frozen for one reason. Silence is no loss: it closes nothing and halts nothing."""

    reason: ClassVar[str]
    acts: ClassVar[Sequence[Act]] = (Act.REDUCE_SIZE, Act.REDUCE_SIZE, Act.REDUCE_ONLY)

    @property
    def value(self) -> Decimal:
        """How many symbols it is."""
        return Decimal(self._count)

    @property
    def is_latched(self) -> bool:
        """It ends by itself, whatever its tier."""
        return False

    def on_frozen(self, ts: Nanos, frozen: Mapping[str, Sequence[str]]) -> Changes:
        """Count the symbols that are frozen now."""
        self._count = sum(self.reason in reasons for reasons in frozen.values())
        if self.tier and self._count < self.tiers[0]:
            return (self.rearm(ts, "enough is heard again"),)
        return self._reach(ts)

    def begin(self) -> None:
        """Keep the count: it is what it is."""


class FeedHealthBreaker(HealthBreaker):
    """Symbols without a price for `[feed] stale_s`, of a live market."""

    name: ClassVar[str] = "max_silent_symbols"
    measures: ClassVar[str] = "symbols whose live market is silent at once; it never halts"
    back: ClassVar[str] = "when fewer are silent"
    reason: ClassVar[str] = STALE


class VenueHealthBreaker(HealthBreaker):
    """Symbols with an order that a real venue did not answer for 60 s."""

    name: ClassVar[str] = "max_unanswered_symbols"
    measures: ClassVar[str] = "symbols with an order that a real venue does not answer for 60 s; it never halts"
    back: ClassVar[str] = "when fewer are unanswered"
    reason: ClassVar[str] = UNANSWERED
