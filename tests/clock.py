"""A clock that moves only when told to."""

from tradebot.model.time import NANOS_PER_S, Nanos


class VirtualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, now: int = 0) -> None:
        self._now = Nanos(now)
        self._monotonic = 0

    def now(self) -> Nanos:
        """Return UTC epoch nanoseconds."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._monotonic / NANOS_PER_S

    def advance(self, nanos: int) -> None:
        """Let time pass. Raises ``ValueError`` on a step back."""
        if nanos < 0:
            raise ValueError(f"time does not go back by {-nanos} ns")
        self._now = Nanos(self._now + nanos)
        self._monotonic += nanos
