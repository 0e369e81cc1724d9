"""What time it is in the market: the venue's clock where the market keeps to it, else the market's own stamps."""

from collections.abc import Callable

from tradebot.model.time import NANOS_PER_S, Nanos, from_ms

_APART = 5 * NANOS_PER_S


class MarketTime:
    """Market time of one venue; ``venue_time`` gives its clock in milliseconds.

    A devnet may run at any speed. Each new stamp shows whether the market keeps time with the clock; when it does
    not, only stamps move market time. Silence changes nothing of that: a quiet market goes on with the clock.
    """

    def __init__(self, venue_time: Callable[[], int]) -> None:
        self._venue_time = venue_time
        self._newest = Nanos(0)
        self.is_paced = False

    def stamped(self, ts: Nanos) -> None:
        """Take note of when something happened in the market."""
        if ts > self._newest:
            self._newest = ts
            self.is_paced = abs(from_ms(self._venue_time()) - ts) <= _APART

    def now(self) -> Nanos:
        """Return market time; 0 before the first stamp."""
        return max(self._newest, from_ms(self._venue_time())) if self.is_paced else self._newest
