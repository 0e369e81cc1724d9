"""A loop in which waiting costs nothing: when nothing else is to do, its clock jumps to the next timer.

A test marked ``virtual_time`` runs in it. Its time is what the process has worked and what was jumped over: what a busy
machine does meanwhile for others is no time, and no deadline is missed for it. Who waits for a thread still waits, and
the thread has more real time than the deadline says. Where sockets are open, the world outside is given a moment before
each jump, and the jumps are short: an answer under way is never overtaken by the deadline that it is to meet.
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
_THREAD_PATIENCE = 4
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
            ready = super().select(timeout * _THREAD_PATIENCE)
            if not ready:
                self.skipped_s += timeout
            return ready
        has_sockets = len(self.get_map()) > _OWN_SOCKETS
        ready = super().select(min(timeout, _MOMENT_S) if has_sockets else 0)
        if not ready:
            self.skipped_s += min(timeout, _JUMP_S) if has_sockets else timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps."""

    def __init__(self) -> None:
        self._jumps = _Selector()
        self._began_ns, self._worked_s = time.time_ns(), time.process_time()
        super().__init__(self._jumps)

    def time(self) -> float:
        return time.process_time() + self._jumps.skipped_s

    def now(self) -> Nanos:
        """Return UTC epoch nanoseconds: those at which the loop was made, and what has passed in it."""
        return Nanos(self._began_ns + int((self.time() - self._worked_s) * NANOS_PER_S))

    def hold(self, seconds: float) -> None:
        """Let so much time pass at once, as code does that blocks the loop."""
        self._jumps.skipped_s += seconds

    def elsewhere(self, future: "asyncio.Future[Any]") -> None:
        """Jump over nothing until a thread is done with ``future``, or a timer is long due."""
        self._jumps.elsewhere += 1
        future.add_done_callback(self._back)

    def _back(self, _: "asyncio.Future[Any]") -> None:
        self._jumps.elsewhere -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        future = super().run_in_executor(executor, func, *args)
        self.elsewhere(future)
        return future


class LoopClock:
    """The clock of the virtual loop in which it is made; elsewhere that of the machine."""

    def __init__(self) -> None:
        try:
            loop: Any = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self._loop = loop if isinstance(loop, VirtualLoop) else None

    def now(self) -> Nanos:
        """Return UTC epoch nanoseconds."""
        return Nanos(time.time_ns()) if self._loop is None else self._loop.now()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic() if self._loop is None else self._loop.time()


def _count_thread(owner: Any, name: str) -> None:
    """Let a future that a thread of ``owner`` fulfils be waited for."""
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
