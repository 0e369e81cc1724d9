"""What breakers that count have in common."""

from tradebot.model.errors import InvariantError
from tradebot.pipeline.risk.breakers.base import Breaker, CountMemory, Memory, Tiers


class CountBreaker(Breaker):
    """Counts from 0, and from 0 again once it is armed anew."""

    def __init__(self, tiers: Tiers) -> None:
        super().__init__(tiers)
        self._count = self._day = 0

    def begin(self) -> None:
        """Count from 0."""
        self._count = 0

    def remember(self) -> CountMemory:
        """Return the count."""
        return CountMemory(self._count, self._day)

    def recall(self, memory: Memory) -> None:
        """Go on counting."""
        if not isinstance(memory, CountMemory):
            raise InvariantError(f"{memory!r} is not what {self.name} remembers")
        self._count, self._day = memory.count, memory.day
