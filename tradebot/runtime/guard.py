"""Interrupts a strategy that does not come back, with the process's interval timer."""

import signal
from types import FrameType, TracebackType

from tradebot.pipeline.strategy.stage import BLOCKED_AFTER_S, StrategyBlocked, StrategyStage


class StrategyGuard:
    """Held around a step of the strategies: raises ``StrategyBlocked`` into a call at ``limit_s``.

    A call that is stuck in C code cannot be interrupted; for that there is the watchdog.
    """

    def __init__(self, strategies: StrategyStage, limit_s: float = BLOCKED_AFTER_S) -> None:
        self._strategies = strategies
        self._limit_s = limit_s

    def install(self) -> None:
        """Take over SIGALRM; in the main thread only."""
        signal.signal(signal.SIGALRM, self._interrupt)

    def __enter__(self) -> None:
        # It repeats, for a second strategy of the same step that blocks as well.
        signal.setitimer(signal.ITIMER_REAL, self._limit_s, self._limit_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        # The alarm may come before or after the strategy's own code ran.
        if self._strategies.asking is not None:
            raise StrategyBlocked
