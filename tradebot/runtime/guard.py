"""Interrupts a strategy that does not come back, with the process's interval timer."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tradebot.pipeline.line import StageName
from tradebot.pipeline.strategy.stage import StrategyBlocked


class StrategyGuard:
    """Raises ``StrategyBlocked`` inside a strategy call that takes longer than ``limit_s``.

    A call that is stuck in C code cannot be interrupted; for that there is the watchdog.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._is_armed = False

    def install(self) -> None:
        """Take over SIGALRM; in the main thread only."""
        signal.signal(signal.SIGALRM, self._interrupt)

    @contextmanager
    def __call__(self, stage: StageName) -> Iterator[None]:
        """Watch over one step of ``stage``."""
        if stage is not StageName.STRATEGY:
            yield
            return
        self._is_armed = True
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        try:
            yield
        finally:
            self._is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        # The alarm may come between the end of the call and its disarming.
        if self._is_armed:
            self._is_armed = False
            raise StrategyBlocked
