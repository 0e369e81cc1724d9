"""How much money the venue and the book do not agree on."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.money import ZERO, plain
from tradebot.model.position import ResidualSeen
from tradebot.pipeline.risk.breakers.base import Breaker, Changes, Memory, ResidualMemory, Tiers


class ResidualBreaker(Breaker):
    """What the venue's cash is more or less than ours, after it was asked again and nothing explained it."""

    name: ClassVar[str] = "max_residual"
    measures: ClassVar[str] = "money by which a real venue and the book differ, unexplained after it was asked again"
    back: ClassVar[str] = "when both agree"

    def __init__(self, tiers: Tiers) -> None:
        super().__init__(tiers)
        self._amount = ZERO

    @property
    def value(self) -> Decimal:
        """The difference, >= 0."""
        return abs(self._amount)

    @property
    def in_the_way(self) -> str:
        """While they differ nothing brings it back."""
        return f"venue and book still differ by {plain(self.value)}" if self.value >= self.tiers[0] else ""

    def on_residual(self, seen: ResidualSeen) -> Changes:
        """Look at a difference that stays, or at its end."""
        self._amount = seen.amount
        if self.tier and not self.is_latched and self.value < self.tiers[0]:
            return (self.rearm(seen.ts_event, "venue and book agree"),)
        return self._reach(seen.ts_event)

    def remember(self) -> ResidualMemory:
        """Return the difference."""
        return ResidualMemory(self._amount)

    def recall(self, memory: Memory) -> None:
        """Take over the difference."""
        if not isinstance(memory, ResidualMemory):
            raise InvariantError(f"{memory!r} is not what {self.name} remembers")
        self._amount = memory.amount
