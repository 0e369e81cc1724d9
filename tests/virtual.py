"""A loop in which waiting costs nothing: when nothing else is to do, its clock jumps to the next timer.

A test marked ``virtual_time`` runs in it. Its time is that of the machine and what was jumped over, so that whoever
waits for a thread still waits. Where sockets are open, the world outside is given a moment before each jump, and the
jumps are short: an answer under way is never overtaken by the deadline that it is to meet.
"""

import asyncio
import functools
import selectors
import time
from collections.abc import Callable
from selectors import SelectorKey
from typing import Any

import aiosqlite

from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.store import journal

_MOMENT_S = 0.001
_JUMP_S = 0.05
# The loop wakes itself through a socket of its own.
_OWN_SOCKETS = 1


class _Selector(selectors.DefaultSelector):
    """Asks for what is ready, and instead of waiting lets time be over."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0
        self.elsewhere = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.elsewhere:
            # A thread is at work: its time is real.
            return super().select(timeout)
        has_sockets = len(self.get_map()) > _OWN_SOCKETS
        ready = super().select(min(timeout, _MOMENT_S) if has_sockets else 0)
        if not ready:
            self.skipped_s += min(timeout, _JUMP_S) if has_sockets else timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps."""

    def __init__(self) -> None:
        self._jumps = _Selector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return super().time() + self._jumps.skipped_s

    @property
    def skipped_s(self) -> float:
        """How much was jumped over so far."""
        return self._jumps.skipped_s

    def hold(self, seconds: float) -> None:
        """Let so much time pass at once, as code does that blocks the loop."""
        self._jumps.skipped_s += seconds

    def elsewhere(self, future: "asyncio.Future[Any]") -> None:
        """Let time be real until a thread is done with ``future``."""
        self._jumps.elsewhere += 1
        future.add_done_callback(self._back)

    def _back(self, _: "asyncio.Future[Any]") -> None:
        self._jumps.elsewhere -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        future = super().run_in_executor(executor, func, *args)
        self.elsewhere(future)
        return future


class LoopClock:
    """The clock of the machine, moved on by what the loop in which it is made jumps over."""

    def __init__(self) -> None:
        try:
            loop: Any = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self._loop = loop if isinstance(loop, VirtualLoop) else None

    @property
    def _skipped_s(self) -> float:
        return 0.0 if self._loop is None else self._loop.skipped_s

    def now(self) -> Nanos:
        """Return UTC epoch nanoseconds."""
        return Nanos(time.time_ns() + int(self._skipped_s * NANOS_PER_S))

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic() + self._skipped_s


def _count_thread(owner: Any, name: str) -> None:
    """Let a future that a thread of ``owner`` fulfils keep time real meanwhile."""
    post = getattr(owner, name)

    @functools.wraps(post)
    def counted(*args: Any, **kwargs: Any) -> Any:
        future = post(*args, **kwargs)
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop):
            if not asyncio.isfuture(future):
                future = loop.create_task(future)
            loop.elsewhere(future)
        return future

    setattr(owner, name, counted)


_count_thread(journal._Connection, "post")
_count_thread(aiosqlite.Connection, "_execute")
