"""How many orders the venue refused within a minute."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.order import OrderDone, OrderState, RefusalClass
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Breaker, Changes, Memory, StormMemory, Tiers

_MINUTE = 60 * NANOS_PER_S


class RejectsBreaker(Breaker):
    """Orders that the venue said no to, of any kind; one that could not be sent, or found no answer, is none."""

    name: ClassVar[str] = "max_rejects_per_min"
    measures: ClassVar[str] = "orders that the venue refused within a minute"
    back: ClassVar[str] = ""

    def __init__(self, tiers: Tiers) -> None:
        super().__init__(tiers)
        self._times: tuple[Nanos, ...] = ()

    @property
    def value(self) -> Decimal:
        """How many were refused within the minute of the last."""
        return Decimal(len(self._times))

    def on_done(self, done: OrderDone) -> Changes:
        """Count an order that was refused."""
        if done.state is not OrderState.REJECTED or done.refusal is RefusalClass.UNSENT or self.is_latched:
            return NO_CHANGE
        since = done.ts_event - _MINUTE
        self._times = (*(ts for ts in self._times if ts > since), done.ts_event)
        return self._reach(done.ts_event)

    def begin(self) -> None:
        """Count from 0."""
        self._times = ()

    def remember(self) -> StormMemory:
        """Return when orders were refused."""
        return StormMemory(times=self._times)

    def recall(self, memory: Memory) -> None:
        """Go on counting."""
        if not isinstance(memory, StormMemory):
            raise InvariantError(f"{memory!r} is not what {self.name} remembers")
        self._times = memory.times
