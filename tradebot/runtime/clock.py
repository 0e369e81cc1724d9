"""The one place that reads a clock."""

import time

from tradebot.model.time import Nanos


class SystemClock:
    """The clock of the machine."""

    def now(self) -> Nanos:
        """Return UTC epoch nanoseconds."""
        return Nanos(time.time_ns())  # noqa: TID251 - the seam

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
