"""The event loop of the daemon: asyncio's own, which looks at its sockets less often while it is busy."""

import asyncio
import selectors
import time
from selectors import SelectorKey

_BUSY_ROUNDS = 8
_LATEST_S = 0.002


class _SparingSelector(selectors.DefaultSelector):
    """Answers most questions of a busy loop, which does not want to wait, without asking the kernel.

    A turn of the line takes some rounds of the loop; at each, the question would cost more than the stages. Where
    the rounds are long, as with a slow strategy, an operator must not wait for eight of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rounds = 0
        self._looked_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is not None and timeout <= 0 and self._rounds < _BUSY_ROUNDS:
            self._rounds += 1
            if time.monotonic() - self._looked_s < _LATEST_S:
                return []
        self._rounds = 0
        found = super().select(timeout)
        self._looked_s = time.monotonic()
        return found


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that looks at its sockets in each 8th round while callbacks wait, and each 2 ms, else at once."""
    return asyncio.SelectorEventLoop(_SparingSelector())
