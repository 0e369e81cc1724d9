"""The four tasks of the line, and the runner that takes one turn after the other through them.

Each task owns some stages and has a bounded inbox of turns. A turn goes to the task that owns its next
stage; that task steps it as far as its own stages reach and hands it on. Turns never overlap, so the tasks
visit the stages in exactly the order of ``Line.pump``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.order import CancelOrder, SubmitOrders
from tradebot.pipeline.line import Line, StageName, Turn
from tradebot.runtime.inbox import Inbox
from tradebot.runtime.supervisor import Policy, TaskSpec

INBOX_TURNS = 64
# What leaves the process through the venue waits for the commit of its own row.
_LEAVES: frozenset[type[Message]] = frozenset({SubmitOrders, CancelOrder})

TASKS: Mapping[str, frozenset[StageName]] = {
    "signal": frozenset({StageName.BARS, StageName.STRATEGY}),
    "risk": frozenset({StageName.RISK}),
    "orders": frozenset({StageName.ORDERS, StageName.VENUE}),
}


class StageTask:
    """One task of the line: an inbox of turns and the stages that it alone runs."""

    def __init__(
        self,
        name: str,
        stages: frozenset[StageName],
        durable: Callable[[], Awaitable[None]],
        guard: AbstractContextManager[None],
    ) -> None:
        self.name = name
        self.inbox: Inbox[Turn | None] = Inbox(INBOX_TURNS)
        self.hand_on: Callable[[Turn, StageName | None], Awaitable[None]] | None = None
        self._stages = stages
        self._durable = durable
        self._guard = guard

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve the inbox until it is closed."""
        ready()
        while (turn := await self.inbox.get()) is not None:
            await self._advance(turn)

    def close(self) -> None:
        """Let the task end after the turns that wait."""
        self.inbox.put_nowait(None)

    async def _advance(self, turn: Turn) -> None:
        while (owner := turn.owner()) in self._stages:
            if owner is StageName.STRATEGY:
                with self._guard:
                    turn.step()
                continue
            if owner is StageName.VENUE and turn.due in _LEAVES:
                await self._durable()
            turn.step()
        if self.hand_on is None:
            raise InvariantError(f"task {self.name} has nowhere to hand its turns on to")
        await self.hand_on(turn, owner)


class LineRunner:
    """Takes messages through the tasks, one turn after the other, in order of arrival.

    ``durable`` returns once all rows so far are on the disk; ``guard`` is held around each call of strategies.
    """

    def __init__(
        self,
        line: Line,
        durable: Callable[[], Awaitable[None]],
        guard: AbstractContextManager[None] | None = None,
    ) -> None:
        guard = nullcontext() if guard is None else guard
        self._line = line
        self.tasks: Sequence[StageTask] = tuple(
            StageTask(name, stages, durable, guard) for name, stages in TASKS.items()
        )
        self._owners = {stage: task for task in self.tasks for stage in TASKS[task.name]}
        self._done: asyncio.Future[None] | None = None
        self.gate = asyncio.Lock()
        for task in self.tasks:
            task.hand_on = self._hand_on

    async def run(self, message: Message) -> None:
        """Run the turn of ``message`` to its end. The caller holds ``gate``."""
        self._done = asyncio.get_running_loop().create_future()
        turn = self._line.turn(message)
        await self._hand_on(turn, turn.owner())
        await self._done

    async def _hand_on(self, turn: Turn, owner: StageName | None) -> None:
        if owner is not None:
            await self._owners[owner].inbox.put(turn)
        elif self._done is not None and not self._done.done():
            self._done.set_result(None)


def line_tasks(runner: LineRunner) -> list[TaskSpec]:
    """Return how the supervisor is to run the tasks of ``runner``: a failure in any of them is fatal."""
    return [
        TaskSpec(
            name=task.name,
            run=task.run,
            policy=Policy.HALT,
            close=task.close,
            queue_size=task.inbox.__len__,
            when_full="the feed waits",
        )
        for task in runner.tasks
    ]
