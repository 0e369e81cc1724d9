"""The four tasks of the line, and the runner that takes one turn after the other through them.

Each task owns some stages and has an inbox. A turn goes to the inbox of the task that owns its first stage. Turns
never overlap, so an inbox has room for one, and the other tasks are idle: each lends its stages to the one that has
the turn, which visits them in exactly the order of ``Line.pump``. A hand-over through an inbox would cost a round of
the loop, and an order takes ten of them. What fails in a lent stage fails in the task that owns it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from tradebot.model.market import Message
from tradebot.model.order import CancelOrder, SubmitOrders
from tradebot.pipeline.line import Line, StageName, Turn
from tradebot.runtime.inbox import Inbox
from tradebot.runtime.supervisor import FailurePolicy, TaskSpec

_INBOX_TURNS = 1
# What leaves the process through the venue waits for the commit of its own row.
_LEAVES: frozenset[type[Message]] = frozenset({SubmitOrders, CancelOrder})

TASKS: Mapping[str, frozenset[StageName]] = {
    "signal": frozenset({StageName.BARS, StageName.STRATEGY}),
    "risk": frozenset({StageName.RISK}),
    "orders": frozenset({StageName.ORDERS, StageName.VENUE}),
}


class StageTask:
    """One task of the line: an inbox of turns and the stages that it owns.

    As a context it takes the errors of its stages, whoever runs them, and raises them in ``run``.
    """

    def __init__(
        self,
        name: str,
        stages: frozenset[StageName],
        durable: Callable[[], Awaitable[None]],
        guard: AbstractContextManager[None],
        through: Callable[[Turn], Awaitable[None]],
    ) -> None:
        self.name = name
        self.inbox: Inbox[Turn | Exception | None] = Inbox(_INBOX_TURNS)
        self._stages = stages
        self._durable = durable
        self._guard = guard
        self._through = through

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve the inbox until it is closed."""
        ready()
        while (work := await self.inbox.get()) is not None:
            if isinstance(work, Exception):
                raise work
            await self._through(work)

    def close(self) -> None:
        """Let the task end after the turns that wait."""
        self.inbox.put_nowait(None)

    async def advance(self, turn: Turn) -> StageName | None:
        """Step the turn as far as the stages of this task reach; return the stage that comes next."""
        while (owner := turn.owner()) in self._stages:
            if owner is StageName.STRATEGY:
                with self._guard:
                    turn.step()
                continue
            if owner is StageName.VENUE and turn.due in _LEAVES:
                await self._durable()
            turn.step()
        return owner

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.inbox.put_nowait(error)
        return True


class LineRunner:
    """Takes messages through the tasks, one turn after the other, in order of arrival.

    ``durable`` returns once all rows so far are on the disk; ``guard`` is held around each call of strategies.
    ``ended`` hears of each turn that came to its end. ``has_failed``: a stage raised, and no turn may begin any more.
    """

    def __init__(
        self,
        line: Line,
        durable: Callable[[], Awaitable[None]],
        guard: AbstractContextManager[None] | None = None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        guard = nullcontext() if guard is None else guard
        self._line, self._ended = line, ended
        self.has_failed = False
        self.tasks: Sequence[StageTask] = tuple(
            StageTask(name, stages, durable, guard, self._through) for name, stages in TASKS.items()
        )
        self._owners = {stage: task for task in self.tasks for stage in TASKS[task.name]}
        self._done: asyncio.Future[None] | None = None
        self.gate = asyncio.Lock()

    async def run(self, message: Message) -> None:
        """Run the turn of ``message`` to its end. The caller holds ``gate``."""
        turn = self._line.turn(message)
        owner = turn.owner()
        if owner is not None:
            self._done = asyncio.get_running_loop().create_future()
            await self._owners[owner].inbox.put(turn)
            await self._done

    def abandon(self, error: Exception) -> None:
        """Tell whoever waits for a turn that was cut short that it never ends."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    async def _through(self, turn: Turn) -> None:
        owner = turn.owner()
        while owner is not None:
            task, owner_before = self._owners[owner], owner
            with task:
                owner = await task.advance(turn)
            if owner is owner_before:
                # The task has failed, and the turn ends here.
                self.has_failed = True
                return
        self._ended()
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


def line_tasks(runner: LineRunner) -> list[TaskSpec]:
    """Return how the supervisor is to run the tasks of ``runner``: a failure in any of them is fatal."""
    return [
        TaskSpec(
            name=task.name,
            run=task.run,
            policy=FailurePolicy.HALT,
            close=task.close,
            queue_size=task.inbox.__len__,
            when_full="the next turn waits",
        )
        for task in runner.tasks
    ]
