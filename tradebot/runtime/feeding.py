"""The feed task: takes market messages from the source at its pace and runs one turn for each."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from tradebot.feeds.pacing import Pace
from tradebot.log import log
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Message
from tradebot.ports import Clock, FeedState
from tradebot.runtime.recording import ts_of
from tradebot.runtime.session import Session
from tradebot.runtime.tasks import LineRunner


class FeedTask(Protocol):
    """What feeds the line, as the daemon sees it."""

    finished: asyncio.Event
    when_full: str

    @property
    def waiting(self) -> int:
        """How many market messages wait for their turn."""
        ...

    @property
    def state(self) -> FeedState:
        """What the feed does."""
        ...

    @property
    def last_message_at(self) -> float | None:
        """When the last message came, in monotonic seconds."""
        ...

    async def run(self, ready: Callable[[], None]) -> None:
        """Feed until the data ends or the feed is closed."""
        ...

    def close(self) -> None:
        """Let ``run`` end after the turn that is under way."""
        ...


class Feeder:
    """Drives the line from a resumable source; ``pace`` is ``None`` for as fast as possible."""

    when_full = "reads on when line and journal have room"
    waiting = 0

    def __init__(
        self,
        session: Session,
        runner: LineRunner,
        turn: Callable[[Message], Awaitable[None]],
        room: Callable[[], Awaitable[None]],
        pace: Pace | None,
        clock: Clock,
    ) -> None:
        self._session, self._runner, self._turn, self._room = session, runner, turn, room
        self._pace, self._clock = pace, clock
        self.state = FeedState.WAITING
        self.last_message_at: float | None = None
        self.finished = asyncio.Event()
        self._closing = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Feed until the data ends."""
        ready()
        self.state = FeedState.STREAMING
        log(LogEvent.FEED_STARTED, source=self._session.feed.describe()[:200])
        while await (self._next() if self._pace is None else self._next_paced(self._pace)):
            self.last_message_at = self._clock.monotonic()
        if self._closing.is_set():
            return
        self.state = FeedState.FINISHED
        log(LogEvent.FEED_FINISHED, turns=self._session.turns)
        self.finished.set()

    def close(self) -> None:
        """Let ``run`` end after the turn that is under way."""
        self._closing.set()

    async def _next(self) -> bool:
        await self._room()
        async with self._runner.gate:
            message = None if self._closing.is_set() else self._session.take()
            if message is not None:
                await self._turn(message)
        return message is not None

    async def _next_paced(self, pace: Pace) -> bool:
        message = self._session.peek()
        if message is None:
            return False
        wait_s = pace.wait_s(ts_of(message), self._clock.monotonic())
        if wait_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), wait_s)
        return await self._next()
