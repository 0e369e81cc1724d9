"""The one place that creates tasks: named, with readiness, restarted with backoff or fatal by policy."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tradebot.backoff import Backoff
from tradebot.log import log
from tradebot.model.errors import TimedOut
from tradebot.model.logevent import LogEvent

_BACKOFF_FIRST_S = 0.5
_BACKOFF_MAX_S = 30.0
_START_DEADLINE_S = 60.0
# A look at a venue that is away or slow ends long before, and so does a wait for what may be asked of it.
_STUCK_AFTER_S = 300.0


class FailurePolicy(StrEnum):
    """What follows when a task fails."""

    RESTART = "restart"
    HALT = "halt"


class TaskState(StrEnum):
    """Where a task is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """A task: ``run`` calls its argument when it is ready; ``close`` asks it to end by itself.

    ``came_round`` gives when the slowest of its loops last came round, by the time of the event loop.
    """

    name: str
    run: Callable[[Callable[[], None]], Awaitable[None]]
    policy: FailurePolicy
    close: Callable[[], None] | None = None
    queue_size: Callable[[], int] = lambda: 0
    when_full: str = "none"
    came_round: Callable[[], float | None] = lambda: None


@dataclass(slots=True)
class SupervisedTask:
    """A task under supervision, as ``status`` shows it."""

    spec: TaskSpec
    state: TaskState = TaskState.STARTING
    restarts: int = 0
    lag_ms: float = 0.0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Supervisor:
    """Starts tasks in order, restarts or reports failures, stops in reverse order with two deadlines.

    ``failure`` is done with the first error that no policy mends; ``stopping`` is set once the end is asked for.
    """

    def __init__(self) -> None:
        self.tasks: list[SupervisedTask] = []
        self.stopping = asyncio.Event()
        self._short: set[asyncio.Task[None]] = set()
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def start(self, spec: TaskSpec) -> None:
        """Start a task and return when it is ready. Raises its error, or ``TimedOut``."""
        supervised = SupervisedTask(spec)
        self.tasks.append(supervised)
        supervised.task = asyncio.create_task(self._supervise(supervised), name=spec.name)
        ready = asyncio.create_task(supervised.ready.wait())
        try:
            waits: set[asyncio.Future[Any]] = {ready, supervised.task, self.failure}
            done, _ = await asyncio.wait(waits, timeout=_START_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self.failure.done():
            raise self.failure.result()
        if not done:
            raise TimedOut(f"task {spec.name} was not ready within {_START_DEADLINE_S:.0f} s")
        log(LogEvent.TASK_STARTED, level="debug", task=spec.name)

    @property
    def failed(self) -> BaseException | None:
        """The first error that no policy mends, if it came."""
        return self.failure.result() if self.failure.done() else None

    @property
    def failed_task(self) -> str:
        """The name of the task whose error is ``failed``; empty when it came from elsewhere."""
        return next((found.spec.name for found in self.tasks if found.state is TaskState.FAILED), "")

    def stuck_task(self) -> str:
        """Return the name of a task whose loop has not come round for 5 minutes though it runs; empty when none."""
        now = asyncio.get_running_loop().time()
        for found in self.tasks:
            came = found.spec.came_round()
            if found.state is TaskState.RUNNING and came is not None and now - came > _STUCK_AFTER_S:
                return found.spec.name
        return ""

    def run_once(self, name: str, act: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a short task beside the others; its error is fatal."""
        task = asyncio.create_task(act(), name=name)
        self._short.add(task)
        task.add_done_callback(self._short_ended)

    def _short_ended(self, task: asyncio.Task[None]) -> None:
        self._short.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Report a fatal error found outside any task."""
        if not self.failure.done():
            self.failure.set_result(error)

    async def stop(self, *, grace_s: float, hard_s: float) -> None:
        """Stop all, the last started first: ask, wait until ``grace_s``, cancel, wait until ``hard_s``."""
        loop = asyncio.get_running_loop()
        grace, hard = loop.time() + grace_s, loop.time() + grace_s + hard_s
        for supervised in reversed(self.tasks):
            task = supervised.task
            if task is None or task.done():
                continue
            if supervised.spec.close is not None:
                supervised.spec.close()
                await asyncio.wait({task}, timeout=max(0.0, grace - loop.time()))
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=max(0.1, hard - loop.time()))
            supervised.state = TaskState.STOPPED
            log(LogEvent.TASK_STOPPED, level="debug", task=supervised.spec.name)

    def begin_again(self) -> None:
        """Forget the tasks that were stopped, and the failure: others take their place."""
        self.tasks.clear()
        self.failure = asyncio.get_running_loop().create_future()

    async def _supervise(self, supervised: SupervisedTask) -> None:
        failures, backoff = 0, Backoff(_BACKOFF_FIRST_S, _BACKOFF_MAX_S)
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await supervised.spec.run(self._when_ready(supervised))
            except Exception as error:
                log(LogEvent.TASK_FAILED, level="error", task=supervised.spec.name, error=repr(error))
                if supervised.spec.policy is FailurePolicy.HALT:
                    supervised.state = TaskState.FAILED
                    self.fail(error)
                    return
            else:
                supervised.state = TaskState.FINISHED
                return
            if asyncio.get_running_loop().time() - started > _BACKOFF_MAX_S:
                failures = 0
            failures += 1
            supervised.state = TaskState.WAITING
            supervised.restarts += 1
            await asyncio.sleep(backoff.delay_s(failures))
            log(LogEvent.TASK_RESTARTED, level="warning", task=supervised.spec.name, restarts=supervised.restarts)

    @staticmethod
    def _when_ready(supervised: SupervisedTask) -> Callable[[], None]:
        def ready() -> None:
            supervised.state = TaskState.RUNNING
            supervised.ready.set()

        return ready
