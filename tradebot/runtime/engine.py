"""The recovered line with the tasks that run it: turns, commands, books, snapshots."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from tradebot.model.command import Command, CommandDone, TradingState, Verb
from tradebot.model.errors import TimedOut
from tradebot.model.market import Message
from tradebot.model.money import book, plain
from tradebot.ports import Clock
from tradebot.report.views import BookFacts
from tradebot.runtime.boot import Booted
from tradebot.runtime.facts import RecentFacts
from tradebot.runtime.feeding import Feeder
from tradebot.runtime.guard import StrategyGuard
from tradebot.runtime.keeper import Keeper
from tradebot.runtime.reading import Standing
from tradebot.runtime.settings import Loaded
from tradebot.runtime.supervisor import TaskSpec
from tradebot.runtime.tasks import LineRunner, line_tasks
from tradebot.store.journal import SqliteJournal
from tradebot.venues.pacing import Pace

_FLATTEN_S = 60.0
_FLAT_POLL_S = 0.05


class Engine:
    """Everything between the journal and the control socket, once recovery is done.

    ``turn_seq`` is the row of the input whose turn runs now, 0 between turns: after a failure it is the
    one to leave out.
    """

    def __init__(self, home: Path, loaded: Loaded, booted: Booted, journal: SqliteJournal, clock: Clock) -> None:
        self.booted, self.journal = booted, journal
        self.session = booted.session
        self.recent = RecentFacts()
        self.turn_seq = 0
        booted.recorder.listeners += [self.recent.hear, self._hear_answer]
        guard = StrategyGuard(booted.wired.strategy)
        guard.install()
        self.runner = LineRunner(self.session.line, self.durable, guard)
        self.keeper = Keeper(home, self.session, self.runner, journal, loaded)
        speed = loaded.settings.feed.speed_factor
        pace = None if speed is None else Pace(speed)
        self.feeder = Feeder(self.session, self.runner, self.turn, journal.room, pace, clock)
        self._answers: dict[str, CommandDone] = {}

    def tasks(self) -> list[TaskSpec]:
        """Return the tasks of the line, those that feed each other first; the feed is not among them."""
        return line_tasks(self.runner)

    async def turn(self, message: Message) -> None:
        """Record an input and run its turn. The caller holds the gate of the runner."""
        self.turn_seq = self.booted.recorder.record(message)
        self.session.note(message)
        await self.runner.run(message)
        self.turn_seq = 0
        self.keeper.turned()

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        """Run a command as a turn of the line and return its answer once it is durable."""
        session = self.session
        async with self.runner.gate:
            command = Command(
                id=f"c{session.commands + 1}", ts_event=session.market_time, verb=verb, arguments=dict(arguments)
            )
            await self.turn(command)
            seq = self.journal.last_seq
        await self.journal.committed(seq)
        return self._answers.pop(command.id)

    async def until_flat(self) -> None:
        """Return when no position and no entry is left. Raises ``TimedOut``."""
        try:
            async with asyncio.timeout(_FLATTEN_S):
                while not self.booted.wired.risk.is_flat:  # noqa: ASYNC110 - the stage is pure and raises no events
                    await asyncio.sleep(_FLAT_POLL_S)
        except TimeoutError:
            raise TimedOut(
                f"positions were not closed within {_FLATTEN_S:.0f} s",
                mend="look at positions and at the feed in status; stop without --flatten leaves them with their stops",
            ) from None

    async def durable(self) -> None:
        """Return when all that was recorded so far is on the disk. Raises ``StorageFailed``."""
        await self.journal.committed(self.journal.last_seq)

    def books(self) -> BookFacts:
        """Return what the line knows."""
        wired = self.booted.wired
        return BookFacts(
            risk=wired.risk.save(),
            orders=wired.orders.save(),
            protection=wired.orders.protection(),
            limits=wired.risk.limits_view(),
        )

    def standing(self) -> Standing:
        """Return what the journal does not hold."""
        wired, risk = self.booted.wired, self.booted.wired.risk.save()
        return Standing(
            now=self.session.market_time,
            pending=risk.pending_equity,
            marks=risk.marks,
            venue_equity=wired.venue.account().equity,
        )

    @property
    def trading_state(self) -> TradingState:
        """What may be sent now."""
        return self.booted.wired.risk.trading_state

    def status_line(self) -> str:
        """Return the state in one line, for systemd."""
        risk = self.booted.wired.risk.save()
        return f"{risk.trading_state.value}, {len(risk.positions)} positions, equity {plain(book(risk.equity))}"

    def _hear_answer(self, message: Message) -> None:
        if isinstance(message, CommandDone):
            self._answers[message.id] = message
