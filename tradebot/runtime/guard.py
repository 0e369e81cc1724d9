"""Interrupts a strategy that does not come back, with the process's interval timer."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from tradebot.control.protocol import URGENT
from tradebot.pipeline.strategy.failure import BLOCKED_AFTER_S, StrategyBlocked
from tradebot.pipeline.strategy.stage import StrategyStage

# How often a call is looked at until its time is over.
_LOOKS = 4
# A call that takes no longer is waited for, however urgent it is.
_SHORT_S = 0.05
_URGED = "interrupted: it took longer than a halt waits"


@contextmanager
def watching(strategies: StrategyStage, limit_s: float = BLOCKED_AFTER_S) -> Iterator[None]:
    """Guard many steps at once, and leave the process's signals as they were."""
    before = signal.getsignal(signal.SIGALRM)
    guard = StrategyGuard(strategies, limit_s)
    guard.install()
    try:
        with guard:
            yield
    finally:
        guard.uninstall(before)


def is_operators(error: BaseException) -> bool:
    """Return whether ``error`` is the operator's Ctrl-C; in a daemon, which hears that in its loop, it never is."""
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler


class StrategyGuard:
    """Held around one or many steps of the strategies: raises ``StrategyBlocked`` into a call that takes ``limit_s``.

    Held around many steps it may be later by a quarter. ``URGENT`` ends a step of more than a moment at once. A call
    that is stuck in C code cannot be interrupted; for that there is the watchdog. Outside the main thread there are no
    signals, and it does nothing. ``on_urgent`` is called in the signal's handler: whatever it finds under way.
    """

    def __init__(self, strategies: StrategyStage, limit_s: float = BLOCKED_AFTER_S) -> None:
        self._strategies = strategies
        self._period_s = limit_s / _LOOKS
        self._call = self._looks = self._urged = 0
        self._began_s = 0.0
        self.on_urgent: Callable[[], object] = lambda: None
        self._is_able = threading.current_thread() is threading.main_thread()

    def install(self) -> None:
        """Take over SIGALRM and ``URGENT``."""
        if self._is_able:
            signal.signal(signal.SIGALRM, self._interrupt)
            signal.signal(URGENT, self._urge)

    def uninstall(self, before: Any) -> None:
        """Give SIGALRM back."""
        if self._is_able:
            signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
            signal.signal(URGENT, signal.SIG_DFL)

    def __enter__(self) -> None:
        if self._is_able:
            self._began_s = time.monotonic()
            # It repeats, for a second strategy of the same step that blocks as well.
            signal.setitimer(signal.ITIMER_REAL, self._period_s, self._period_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_able:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _interrupt(self, _signal: int, frame: FrameType | None) -> None:
        # The alarm may come before or after the strategy's own code ran, and late in a call that has just begun.
        if self._strategies.asking is None:
            return
        if self._strategies.calls != self._call:
            self._call, self._looks = self._strategies.calls, 0
        self._looks += 1
        if self._looks < _LOOKS:
            return
        if self._looks > _LOOKS:
            self._raise_again_behind(frame, "")
        raise StrategyBlocked

    def _urge(self, _signal: int, frame: FrameType | None) -> None:
        self.on_urgent()
        strategies = self._strategies
        if strategies.asking is None or time.monotonic() - self._began_s < _SHORT_S:
            return
        if strategies.calls == self._urged:
            self._raise_again_behind(frame, _URGED)
        self._urged = strategies.calls
        raise StrategyBlocked(_URGED)

    def _raise_again_behind(self, frame: FrameType | None, why: str) -> None:
        """Let the next line of the strategy raise as well: it has caught what was raised into it before."""
        strategies, before = self._strategies, sys.gettrace()

        def raise_in_line(_frame: FrameType, event: str, _argument: Any) -> Any:
            if strategies.asking is None:
                sys.settrace(before)
                return None
            if event == "line":
                # Python takes the trace function away by itself when it raises.
                raise StrategyBlocked(why)
            return raise_in_line

        def trace_calls(_frame: FrameType, _event: str, _argument: Any) -> Any:
            if strategies.asking is None:
                sys.settrace(before)

        while frame is not None and frame.f_code is not StrategyStage.ask_code:
            frame.f_trace = raise_in_line
            frame = frame.f_back
        sys.settrace(trace_calls)
