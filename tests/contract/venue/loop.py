"""An event loop without the time, threads and sockets of the machine: the same work takes the same time, exactly."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

from tradebot.model.time import Nanos

EPOCH = 1_700_000_000
MOST_ROUNDS = 100_000


class _Leaping(selectors.SelectSelector):
    loop: "VirtualLoop"
    _rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self._rounds += 1
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen")
        if self._rounds > MOST_ROUNDS:
            raise RuntimeError("it is one moment for ever")
        if not ready and timeout is not None:
            self.loop.now += timeout
            self._rounds = 0
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time moves only when all that is ready has run."""

    def __init__(self) -> None:
        selector = _Leaping()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class LoopClock:
    """The clock of a world that lives in a ``VirtualLoop``."""

    def now(self) -> Nanos:
        return Nanos(EPOCH * 10**9 + int(self.monotonic() * 1e9))

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def pause(seconds: float) -> None:
    """Wait, in whatever time there is."""
    await asyncio.sleep(seconds)  # real time: at a devnet alone


def run_virtually(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)
