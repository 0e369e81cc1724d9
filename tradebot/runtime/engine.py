"""The recovered line with the tasks that run it: turns, commands, books, snapshots."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tradebot.feeds.pacing import Pace
from tradebot.live.rotation import KeyRotation
from tradebot.model.command import Command, CommandDone, TradingState, Verb
from tradebot.model.errors import RefusedByRule, TimedOut, Unavailable
from tradebot.model.instrument import InstrumentSeen
from tradebot.model.market import Bar, Message, PricesSeen
from tradebot.model.message import VENUE_REPORTS
from tradebot.model.money import ZERO, Cash, Price, book, plain
from tradebot.model.order import FillSettled, OrderFound, StopFaulted, TradingPermitted
from tradebot.model.position import Deposit, EquityMark, FundingPaid, ResidualSeen
from tradebot.pipeline.outbox import Outbox
from tradebot.ports import Clock
from tradebot.report.flatness import FlatFacts, RestingFacts, left_text
from tradebot.report.risk import RiskFacts, risk_facts
from tradebot.report.views import BookFacts, ForeignOrder, Mismatch
from tradebot.runtime.boot import Booted
from tradebot.runtime.facts import RecentFacts
from tradebot.runtime.feeding import Feeder, FeedTask
from tradebot.runtime.guard import StrategyGuard
from tradebot.runtime.keeper import Keeper
from tradebot.runtime.quarantine import is_set_aside
from tradebot.runtime.reading import Standing
from tradebot.runtime.supervisor import TaskSpec
from tradebot.runtime.tasks import LineRunner, line_tasks
from tradebot.settings.load import Loaded
from tradebot.store.journal import SqliteJournal

_OF_ORDERS: tuple[type[Message], ...] = (*VENUE_REPORTS, OrderFound, FillSettled, StopFaulted, TradingPermitted)
# So long bars and prices wait when something urgent is to be heard, and while all is being closed at a venue: nothing
# that they lead to is wanted then.
_HEAR_S, _HOLD_S = 0.25, 2.0
# Less than the 30 s that the command waits for an answer.
_FLATTEN_S = 25.0
_FEED_FINISHED = "the feed is finished: no bar comes that could close a position"
_STOP_MEND = "look at positions and at the feed in status; stop without --flatten leaves them with their stops"


class LiveFacts(Protocol):
    """What ``status`` tells of a live market and an account at a real venue; money is ``None`` before it was seen."""

    network: str

    @property
    def is_connected(self) -> bool:
        """Whether every socket stands."""
        ...

    @property
    def budget(self) -> int:
        """The weight of requests that may still be sent this minute."""
        ...

    @property
    def actions_left(self) -> int | None:
        """The actions that the account may still send; ``None`` before the venue said, or without an account."""
        ...

    @property
    def residual(self) -> Cash | None:
        """What the venue's cash is more than ours."""
        ...

    @property
    def mismatches(self) -> Sequence[Mismatch]:
        """What book and venue do not agree on, after it was asked again."""
        ...

    @property
    def equity(self) -> Cash | None:
        """What the account is worth, as the venue last had it."""
        ...

    @property
    def margin_used(self) -> Cash | None:
        """The margin that positions hold, as the venue last had it."""
        ...

    @property
    def foreign(self) -> Sequence[ForeignOrder]:
        """The orders of another hand that rest, as the venue last had them."""
        ...

    @property
    def liquidations(self) -> Mapping[str, Price]:
        """Where the venue liquidates each position, as it last said."""
        ...


class Flattening(Protocol):
    """What sees a flattening through to the venue's word."""

    @property
    def is_open(self) -> bool:
        """Whether one is under way."""
        ...

    def begin(self, verb: Verb = ...) -> None:
        """Begin anew: what was seen before counts for nothing."""
        ...

    def give_up(self) -> None:
        """See nothing through any more."""
        ...

    def facts(self) -> FlatFacts:
        """Return how far it is."""
        ...

    async def finish(self, seconds: float) -> bool:
        """End without the line what is left, within ``seconds``; return whether the venue says flat."""
        ...


class Engine:
    """Everything between the journal and the control socket, once recovery is done."""

    def __init__(
        self,
        home: Path,
        loaded: Loaded,
        booted: Booted,
        journal: SqliteJournal,
        clock: Clock,
        market: Callable[["Engine"], FeedTask] | None = None,
        live: LiveFacts | None = None,
    ) -> None:
        self.booted, self.journal, self.live = booted, journal, live
        self.flatness: Flattening | None = None
        self.rotation: KeyRotation | None = None
        """Exchanges the key; ``None`` before the account is traded, and where nothing real is."""
        self.is_flatten_asked = False
        self.orders, self.risk = booted.wired.orders, booted.wired.risk
        self.session = booted.session
        self.recent = RecentFacts()
        booted.recorder.listeners += [self.recent.hear, self._hear_answer]
        self._loop = asyncio.get_running_loop()
        self._market_passes = asyncio.Event()
        self._market_passes.set()
        self._held: asyncio.TimerHandle | None = None
        guard = StrategyGuard(booted.wired.strategy)
        guard.on_urgent = self._urged
        guard.install()
        # What a real venue gets waits for its own intent's row, which is written behind these.
        durable = _at_once if self._has_venue else self.durable
        ended = booted.wired.venue.release if isinstance(booted.wired.venue, Outbox) else lambda: None
        self.runner = LineRunner(self.session.line, durable, guard, ended)
        sizes = booted.wired.strategy.saved_bytes
        self.keeper = Keeper(home, self.session, self.runner, journal, loaded, sizes)
        speed = loaded.settings.feed.speed_factor
        pace = None if speed is None else Pace(speed)
        self.feeder: FeedTask = (
            Feeder(self.session, self.runner, self.turn, journal.room, pace, clock) if market is None else market(self)
        )
        self._answers: dict[str, CommandDone] = {}
        self._is_ending = self._ends_when_flat = False
        self._over = asyncio.Event()

    def tasks(self) -> list[TaskSpec]:
        """Return the tasks of the line, those that feed each other first; the feed is not among them."""
        return line_tasks(self.runner)

    async def turn(self, message: Message) -> None:
        """Record an input and run its turn. The caller holds the gate of the runner.

        Raises ``Unavailable`` once the line has failed.
        """
        if self.runner.has_failed:
            raise Unavailable("the line failed, and is built anew", mend="look at tradebot status, then repeat it")
        session = self.session
        session.turn_seq = self.booted.recorder.record(message)
        session.note(message)
        await self.runner.run(message)
        session.turn_seq = 0
        self.keeper.turned()
        # Where there is a venue, it has the last word.
        if self._ends_when_flat and self.is_flat and not self._has_venue:
            self.end_turns()

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Run a turn for each message that is news, in order. Raises ``StorageFailed``."""
        for message in messages:
            if isinstance(message, Bar | PricesSeen):
                await self._market_passes.wait()
            if isinstance(message, Bar):
                await self.journal.room()
            async with self.runner.gate:
                # The venue's word is heard to the end; the market's is not.
                if self._is_news(message) and not (self._is_ending and isinstance(message, Bar | PricesSeen)):
                    await self.turn(message)

    def _is_news(self, message: Message) -> bool:
        if is_set_aside(message, self.booted.set_aside):
            return False
        if isinstance(message, FundingPaid | Deposit | ResidualSeen | InstrumentSeen):
            return self.risk.is_news(message)
        return not isinstance(message, _OF_ORDERS) or self.orders.is_news(message)

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        """Run a command as a turn of the line and return its answer once it is durable.

        Raises ``Unavailable`` when the end has begun, or the line has failed.
        """
        session = self.session
        if arguments.get("flatten") == "true":
            self._hold_market(_HOLD_S)
        async with self.runner.gate:
            if self._is_ending and not self.runner.has_failed:
                raise Unavailable("the daemon is stopping", mend="start it again, then repeat the command")
            command = Command(
                id=f"c{session.commands + 1}", ts_event=session.market_time, verb=verb, arguments=dict(arguments)
            )
            await self.turn(command)
            if verb is Verb.STOP:
                self._stop_turns(arguments)
            self._see_through(verb, arguments)
            seq = self.journal.last_seq
        await self.journal.committed(seq)
        return self._answers.pop(command.id)

    def _see_through(self, verb: Verb, arguments: Mapping[str, str]) -> None:
        if self.flatness is None:
            # Whoever settles the past with the venue begins it when that is done.
            is_asked = self.is_flatten_asked or arguments.get("flatten") == "true"
            self.is_flatten_asked = is_asked and self.trading_state is TradingState.HALTED
            return
        if arguments.get("flatten") == "true":
            self.flatness.begin(verb)
        elif self.trading_state is not TradingState.HALTED:
            self.flatness.give_up()

    async def stop(self, *, flatten: bool, own: bool = False) -> None:
        """Run the command ``stop``: after it no market message comes in, with ``flatten`` not after all is closed.

        Raises ``RefusedByRule`` when nothing would ever fill, and ``TimedOut``; trading goes on then.
        """
        if flatten:
            self._check_fillable()
        arguments = {"flatten": "true"} if flatten else {}
        await self.command(Verb.STOP, arguments | ({"own": "true"} if own else {}))
        if not flatten:
            return
        ends = [asyncio.ensure_future(event.wait()) for event in (self._over, self.feeder.finished)]
        await asyncio.wait(ends, timeout=_FLATTEN_S, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if self._over.is_set():
            return
        self._ends_when_flat = False
        self._check_fillable()
        left = left_text(self.flat_facts())
        if self.flatness is not None:
            self.flatness.give_up()
        raise TimedOut(f"positions were not closed within {_FLATTEN_S:.0f} s; left: {left}", mend=_STOP_MEND)

    def flat_facts(self) -> FlatFacts:
        """Return what a flattening has left: by the venue's word, or by the book where the venue is simulated."""
        if self.flatness is not None:
            return self.flatness.facts()
        if self._has_venue:
            return FlatFacts(is_flat=False, stuck="the past is being settled with the venue")
        positions = self.risk.positions
        orders = [
            RestingFacts(id=request.client_order_id, symbol=request.symbol, what=request.role.value, own=True)
            for request in (order.request for order in self.orders.open_orders())
        ]
        is_flat = not positions and not orders
        is_over = self.feeder.finished.is_set() and not is_flat
        stuck = _FEED_FINISHED if is_over else ""
        return FlatFacts(is_flat=is_flat, positions=positions, orders=orders, stuck=stuck, is_over=is_over)

    @property
    def _has_venue(self) -> bool:
        """Whether a real venue has the last word."""
        return isinstance(self.booted.wired.venue, Outbox)

    def _urged(self) -> None:
        # It is called by a signal, whatever runs; at the very end the loop is closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._hold_market, _HEAR_S)

    def _hold_market(self, seconds: float) -> None:
        # Where the venue is simulated, bars are what closes.
        if self._has_venue:
            self._let_market_passes()
            self._market_passes.clear()
            self._held = self._loop.call_later(seconds, self._market_passes.set)

    def _let_market_passes(self) -> None:
        if self._held is not None:
            self._held.cancel()
        self._market_passes.set()

    def venue_is_flat(self) -> None:
        """Let the market pass again, and end the turns if a stop waits for nothing else."""
        self._let_market_passes()
        if self._ends_when_flat:
            self.end_turns()

    async def durable(self) -> None:
        """Return when all that was recorded so far is on the disk. Raises ``StorageFailed``."""
        await self.journal.committed(self.journal.last_seq)

    async def writer_answers(self) -> None:
        """Return when the journal's thread has taken all so far to the disk, and answers. Raises ``StorageFailed``."""
        await self.durable()
        # Where nothing was recorded there was nothing to wait for, and a thread that hangs would not be seen.
        await self.journal.run(lambda _: None)

    def books(self) -> BookFacts:
        """Return what the line knows."""
        return BookFacts(
            risk=self.risk.save(),
            orders=self.orders.open_orders(),
            unknown=self.orders.unknown(),
            protection=self.orders.protection(),
            liquidations=self._liquidations(),
            limits=self.risk.limits_view(),
            breakers=self.risk.breakers_view(),
            disabled=dict(self.booted.wired.strategy.disabled),
            foreign=() if self.live is None else self.live.foreign,
        )

    def risk_facts(self) -> RiskFacts:
        """Return what the book and its limits say, for ``risk``."""
        return risk_facts(self.risk)

    def standing(self) -> Standing:
        """Return what the journal does not hold."""
        pending = self.risk.pending_equity
        return Standing(
            now=self.session.market_time,
            pending=pending,
            marks=self.risk.marks,
            venue_equity=self._venue_equity(pending),
        )

    def _venue_equity(self, pending: EquityMark | None) -> Cash | None:
        """Return what the venue says the account is worth, as of the newest point of the curve; ``None`` if nothing.

        A real venue is compared in cash: its prices move between its word and ours.
        """
        venue = self.booted.wired.venue
        if not isinstance(venue, Outbox):
            return venue.account().equity
        residual = None if self.live is None else self.live.residual
        return None if residual is None or pending is None else Cash(pending.equity + residual)

    def _liquidations(self) -> Mapping[str, Price]:
        venue = self.booted.wired.venue
        if not isinstance(venue, Outbox):
            return venue.liquidations()
        return {} if self.live is None else self.live.liquidations

    @property
    def margin_used(self) -> Cash:
        """The margin that positions hold at the venue."""
        venue = self.booted.wired.venue
        if not isinstance(venue, Outbox):
            return venue.account().margin_used
        margin_used = None if self.live is None else self.live.margin_used
        return Cash(ZERO) if margin_used is None else margin_used

    @property
    def is_flat(self) -> bool:
        """Whether no position is open and no entry is at work."""
        return self.risk.is_flat

    @property
    def trading_state(self) -> TradingState:
        """What may be sent now."""
        return self.risk.trading_state

    def status_line(self) -> str:
        """Return the state in one line, for systemd."""
        risk = self.risk
        return f"{risk.trading_state.value}, {len(risk.positions)} positions, equity {plain(book(risk.equity))}"

    def _check_fillable(self) -> None:
        if self.feeder.finished.is_set() and not self.is_flat:
            raise RefusedByRule(_FEED_FINISHED, mend=_STOP_MEND)

    def _stop_turns(self, arguments: Mapping[str, str]) -> None:
        # With the gate held: not one bar comes between the command and the end of the feed.
        if arguments.get("flatten") == "true" and (self._has_venue or not self.is_flat):
            self._ends_when_flat = True
        else:
            self.end_turns()

    def end_turns(self) -> None:
        """Take no further message, from the feed or an operator."""
        self._is_ending = True
        self._over.set()
        self.feeder.close()

    def _hear_answer(self, message: Message) -> None:
        if isinstance(message, CommandDone):
            self._answers[message.id] = message


async def _at_once() -> None:
    pass
