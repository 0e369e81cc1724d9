"""The daemon: lock, journal, control, recovery, tasks, feed - and the same in reverse at the end."""

import asyncio
import gc
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Mapping
from pathlib import Path

import orjson

from tradebot import __version__
from tradebot.control.server import ControlServer
from tradebot.model.command import Command, CommandDone, TradingState, Verb
from tradebot.model.errors import ConfigError, InvariantError, StorageFailed, TimedOut, TradebotError, Unavailable
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Message
from tradebot.model.money import ZERO, Cash, book, plain
from tradebot.model.time import HOUR, Nanos
from tradebot.ports import Clock
from tradebot.report.shapes import Json
from tradebot.report.views import BookFacts, FeedFacts, RuntimeFacts, TaskFacts, VenueFacts
from tradebot.runtime import logs
from tradebot.runtime.api import DaemonApi
from tradebot.runtime.boot import BOOT, Booted, boot, record_config
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.facts import RecentFacts
from tradebot.runtime.feeding import Feeder
from tradebot.runtime.guard import StrategyGuard
from tradebot.runtime.keeper import Keeper
from tradebot.runtime.logs import log
from tradebot.runtime.notify import Notifier
from tradebot.runtime.probes import DiskProbe, Heart, LagProbe
from tradebot.runtime.reading import Standing
from tradebot.runtime.recovery import FAILED_TURN
from tradebot.runtime.settings import Loaded, LoadOptions
from tradebot.runtime.settings_reload import reload_diff
from tradebot.runtime.supervisor import Policy, SupervisedTask, Supervisor, TaskSpec
from tradebot.runtime.tasks import LineRunner
from tradebot.runtime.wiring import build_limits
from tradebot.store.journal import SqliteJournal
from tradebot.store.lock import HomeLock
from tradebot.store.upkeep import backup, fill_reserve, free_reserve
from tradebot.venues.pacing import Pace

JOURNAL = "journal.db"
STRATEGY_LIMIT_S = 5.0
_GRACE_S = 10.0
_HARD_S = 5.0
_FLATTEN_S = 60.0


def run_daemon(home: Path, options: LoadOptions, live: bool) -> int:
    """Run the daemon of ``home`` in the foreground and return its exit code.

    Raises ``ConfigError``, ``LockHeld``, ``NotPermitted`` and ``StorageFailed`` before trading begins.
    """
    loaded = options.load(home)
    with HomeLock(home):
        logs.configure(home, loaded.settings.log, os.environ)
        return asyncio.run(Daemon(home, loaded, options, os.environ, SystemClock()).main())


class Daemon:
    """One run of the daemon, from the lock to the last snapshot."""

    def __init__(
        self, home: Path, loaded: Loaded, options: LoadOptions, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self.home = home
        self.journal: SqliteJournal
        self._loaded, self._options, self._environ, self._clock = loaded, options, environ, clock
        self._notifier = Notifier(environ)
        self._started_at = clock.monotonic()
        self._stopping = asyncio.Event()
        self._is_halt_wanted = False
        self._turn_seq = 0
        self._lag = LagProbe()
        self._recent = RecentFacts()
        self._answers: dict[str, CommandDone] = {}
        self._booted: Booted | None = None
        self._feeder: Feeder | None = None
        self._runner: LineRunner | None = None
        self._keeper: Keeper | None = None
        self._heart: Heart | None = None
        self._server: ControlServer | None = None
        self._has_journal = self._is_ending = self._is_stop_recorded = False

    async def main(self) -> int:
        """Boot, trade until asked to stop, end in order; return the exit code."""
        self._supervisor = Supervisor()
        self._catch_signals()
        log(LogEvent.DAEMON_STARTED, version=__version__, pid=os.getpid(), home=str(self.home))
        try:
            await self._boot()
            error = await self._until_end()
        except TradebotError as failed:
            error = failed
        await self._end(error)
        if error is None:
            return 0
        self._tell(error)
        return error.exit_code if isinstance(error, TradebotError) else InvariantError.exit_code

    # What the control socket asks ---------------------------------------------------------------------

    def facts(self) -> RuntimeFacts:
        """Return what only the daemon knows."""
        settings = self._loaded.settings
        feeder, now = self._feeder, self._clock.monotonic()
        last_at = None if feeder is None else feeder.last_message_at
        booted = self._booted
        failed = self.journal.failed
        return RuntimeFacts(
            bot=settings.bot.name,
            state=self._state(),
            mode=settings.bot.mode,
            pid=os.getpid(),
            uptime_s=round(now - self._started_at, 3),
            version=__version__,
            config_hash=self._loaded.config_hash,
            venue=VenueFacts(
                kind=settings.venue.kind,
                network="none",
                connected=True,
                last_message_age_s=None if last_at is None else round(now - last_at, 3),
                budget=None,
                margin_used=Cash(ZERO) if booted is None else booted.wired.venue.account().margin_used,
            ),
            feed=FeedFacts(
                kind=settings.feed.kind,
                state="waiting" if feeder is None else feeder.state.value,
                last_ts=None if booted is None or not booted.session.market_time else booted.session.market_time,
            ),
            tasks=[self._task_facts(task) for task in self._supervisor.tasks],
            errors_last_hour=logs.errors_since(Nanos(self._clock.now() - HOUR)),
            journal_error="" if failed is None else str(failed),
            progress_age_s=None if self._heart is None else self._heart.age_s(now),
            stops_expected=frozenset(strategy.name for strategy in settings.strategy if strategy.stop is not None),
            last_signal=self._recent.last_signal,
            last_trade=self._recent.last_trade,
        )

    def books(self) -> BookFacts | None:
        """Return what the line knows, or ``None`` until it has recovered."""
        if self._runner is None or self._booted is None:
            return None
        wired = self._booted.wired
        return BookFacts(
            risk=wired.risk.save(),
            orders=wired.orders.save(),
            protection=wired.orders.protection(),
            limits=wired.risk.limits_view(),
        )

    def standing(self) -> Standing:
        """Return what the journal does not hold."""
        if self._booted is None:
            return Standing()
        wired, risk = self._booted.wired, self._booted.wired.risk.save()
        return Standing(
            now=self._booted.session.market_time,
            pending=risk.pending_equity,
            marks=risk.marks,
            venue_equity=wired.venue.account().equity,
        )

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        """Run a command as a turn of the line and return its answer once it is durable."""
        if self._runner is None or self._booted is None:
            raise InvariantError(f"{verb} came before the line was there")
        session = self._booted.session
        async with self._runner.gate:
            command = Command(
                id=f"c{session.commands + 1}",
                ts_event=session.market_time,
                verb=verb,
                arguments=dict(arguments),
            )
            await self._turn(command)
            seq = self.journal.last_seq
        await self.journal.committed(seq)
        return self._answers.pop(command.id)

    def halt_at_boot(self) -> None:
        """Halt as soon as recovery is done."""
        self._is_halt_wanted = True

    async def stop(self, *, flatten: bool) -> None:
        """End in order; with ``flatten`` close all positions first. Raises ``TimedOut`` when they do not close."""
        if self._runner is not None and self._booted is not None:
            await self.command(Verb.STOP, {"flatten": "true"} if flatten else {})
            if flatten:
                await self._until_flat(self._booted)
            self._is_stop_recorded = True
        self._stopping.set()

    async def reload(self) -> Mapping[str, Json]:
        """Read the configuration again; apply what can be applied, and say what needs a restart."""
        if self._booted is None or self._runner is None:
            raise Unavailable("the daemon recovers", mend="ask again in a moment")
        self._notifier.reloading(int(self._clock.monotonic() * 1e6))
        try:
            return await self._reload(self._booted, self._runner)
        finally:
            self._notifier.ready(self._status_line())

    async def backup(self) -> Mapping[str, Json]:
        """Write a verified copy of the journal."""
        path = await backup(self.journal)
        log(LogEvent.BACKUP_MADE, file=path.name)
        return {"file": str(path), "detail": f"verified backup {path}"}

    # Boot -----------------------------------------------------------------------------------------------

    async def _boot(self) -> None:
        store = self._loaded.settings.store
        fill_reserve(self.home, store.reserve_mb)
        self.journal = await SqliteJournal.open(self.home / JOURNAL, self._clock)
        self._has_journal = True
        for damage in self.journal.opened.damage:
            log(LogEvent.JOURNAL_QUARANTINED, level="error", damage=damage)
        self.journal.on_failed = self._journal_failed
        await self._start_control()
        booted = await boot(self.home, self._loaded, self.journal, lambda: self._notifier.extend_start(300))
        booted.recorder.listeners += [self._recent.hear, self._hear_answer]
        self._booted = booted
        boot_facts = {"version": __version__, "pid": os.getpid(), "sqlite": sqlite3.sqlite_version}
        self.journal.append(BOOT, booted.session.market_time, orjson.dumps(boot_facts))
        await self._start_line(booted)
        await self._obey_boot(booted)
        _settle_memory()
        await self._start_feed(booted)
        await self.journal.committed(self.journal.last_seq)
        self._notifier.ready(self._status_line())
        log(LogEvent.DAEMON_READY, state=self._state(), turns=booted.session.turns)

    async def _start_control(self) -> None:
        self._server = ControlServer(
            DaemonApi(self),
            self.home,
            self._environ,
            on_refused=lambda peer, reason: log(
                LogEvent.CONTROL_REFUSED, level="warning", uid=peer.uid, pid=peer.pid, reason=reason
            ),
            on_failed=lambda error: log(LogEvent.TASK_FAILED, level="error", task="control", error=repr(error)),
        )
        await self._server.start()

    async def _start_line(self, booted: Booted) -> None:
        guard = StrategyGuard(STRATEGY_LIMIT_S)
        guard.install()
        runner = LineRunner(booted.session.line, self._durable, guard)
        store = self._loaded.settings.store
        self._keeper = Keeper(
            self.home,
            booted.session,
            runner,
            self.journal,
            self._loaded.config_hash,
            turns=store.snapshot_turns,
            period_s=store.snapshot_s,
        )
        self._heart = Heart(booted.session, runner, self._durable, self._notifier, self._clock, self._status_line)
        for task in runner.tasks:
            spec = TaskSpec(
                name=task.name,
                run=task.run,
                policy=Policy.HALT,
                close=task.close,
                queue_size=task.inbox.qsize,
                when_full="the feed waits",
            )
            await self._supervisor.start(spec)
        for name, run in (("keeper", self._keeper.run), ("heart", self._heart.run), ("lag", self._lag.run)):
            await self._supervisor.start(TaskSpec(name=name, run=run, policy=Policy.HALT))
        disk = DiskProbe(self.home, store.min_free_mb, self._disk_low)
        await self._supervisor.start(TaskSpec(name="disk", run=disk.run, policy=Policy.RESTART))
        self._runner = runner

    async def _obey_boot(self, booted: Booted) -> None:
        if booted.is_failed:
            await self.command(Verb.HALT, {"reason": "an internal error ended the last run"})
        elif self._is_halt_wanted:
            await self.command(Verb.HALT, {"reason": "operator: halt during recovery"})

    async def _start_feed(self, booted: Booted) -> None:
        if self._runner is None:
            raise InvariantError("the feed came before the line")
        feed = self._loaded.settings.feed
        pace = None if feed.speed_factor is None else Pace(feed.speed_factor)
        self._feeder = Feeder(booted.session, self._runner, self._turn, self.journal.room, pace, self._clock)
        spec = TaskSpec(name="feed", run=self._feeder.run, policy=Policy.HALT, when_full="waits for the line")
        await self._supervisor.start(spec)

    # Running ----------------------------------------------------------------------------------------------

    async def _turn(self, message: Message) -> None:
        if self._booted is None or self._runner is None or self._keeper is None:
            raise InvariantError("a turn came before the line was there")
        self._turn_seq = self._booted.recorder.record(message)
        self._booted.session.note(message)
        await self._runner.run(message)
        self._turn_seq = 0
        self._keeper.turned()

    async def _durable(self) -> None:
        await self.journal.committed(self.journal.last_seq)

    async def _until_end(self) -> BaseException | None:
        waits = {
            asyncio.ensure_future(self._stopping.wait()): "stop",
            asyncio.ensure_future(self._supervisor.failure()): "failure",
        }
        if self._loaded.settings.feed.at_end == "stop" and self._feeder is not None:
            waits[asyncio.ensure_future(self._feeder.finished.wait())] = "end"
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for future in pending:
            future.cancel()
        for future in done:
            if waits[future] == "failure":
                return self._supervisor.failed
        return None

    # End ---------------------------------------------------------------------------------------------------

    async def _end(self, error: BaseException | None) -> None:
        self._notifier.stopping()
        self._is_ending = True
        if error is None and not self._is_stop_recorded and self._runner is not None:
            await self._quietly(self.command(Verb.STOP, {}))
        await self._supervisor.stop(grace_s=_GRACE_S, hard_s=_HARD_S)
        if self._has_journal:
            if error is None and self._keeper is not None:
                await self._quietly(self._keeper.keep())
            elif error is not None and self.journal.failed is None:
                # The turn that failed is left out at the next boot, which then comes up halted.
                await self._quietly(self._record_failure())
            await self.journal.close()
        if self._server is not None:
            await self._server.stop()
        if isinstance(error, StorageFailed):
            free_reserve(self.home)
        log(LogEvent.DAEMON_STOPPED, level="info" if error is None else "error", is_failed=error is not None)

    async def _quietly(self, ending: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(_HARD_S):
                await ending
        except (TradebotError, TimeoutError) as error:
            log(LogEvent.TASK_FAILED, level="error", task="end", error=repr(error))

    async def _record_failure(self) -> None:
        if self._booted is not None:
            seq = self.journal.append(FAILED_TURN, self._booted.session.market_time, str(self._turn_seq).encode())
            await self.journal.committed(seq)

    def _journal_failed(self, failure: StorageFailed) -> None:
        log(LogEvent.JOURNAL_FAILED, level="error", error=str(failure))
        self._supervisor.fail(failure)

    async def _disk_low(self, free_mb: int) -> None:
        await self.command(Verb.REDUCE_ONLY, {"reason": f"only {free_mb} MB of disk are free"})

    async def _until_flat(self, booted: Booted) -> None:
        try:
            async with asyncio.timeout(_FLATTEN_S):
                while not booted.wired.risk.is_flat:  # noqa: ASYNC110 - the stage is pure and raises no events
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimedOut(
                f"positions were not closed within {_FLATTEN_S:.0f} s",
                mend="look at positions and feed in status; stop without --flatten leaves them with their stops",
            ) from None

    async def _reload(self, booted: Booted, runner: LineRunner) -> Mapping[str, Json]:
        old = self._loaded
        new = self._options.load(self.home, self._environ)
        halted = booted.wired.risk.save().trading_state is TradingState.HALTED
        diff = reload_diff(old.settings, new.settings, is_halted=halted)
        if diff.refused:
            log(LogEvent.CONFIG_REFUSED, level="warning", refused=dict(diff.refused))
            keys = "; ".join(f"{key} {why}" for key, why in diff.refused.items())
            raise ConfigError(f"not applied: {keys}", where="reload", mend="restart, or put these keys back")
        async with runner.gate:
            await self.journal.committed(record_config(new, booted.session, self.journal))
            booted.wired.risk.set_limits(build_limits(new.settings.risk))
            self._loaded = new
        logs.configure(self.home, new.settings.log, self._environ)
        log(LogEvent.CONFIG_RELOADED, changed=list(diff.applicable), config_hash=new.config_hash)
        detail = f"applied: {', '.join(diff.applicable)}" if diff.applicable else "nothing changed"
        return {"detail": detail, "config_hash": new.config_hash, "applied": list(diff.applicable)}

    async def _reload_by_signal(self) -> None:
        try:
            await self.reload()
        except TradebotError as error:
            log(LogEvent.CONFIG_REFUSED, level="error", error=str(error))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._supervisor.run_once, "reload", self._reload_by_signal)

    # Words -------------------------------------------------------------------------------------------------

    def _hear_answer(self, message: Message) -> None:
        if isinstance(message, CommandDone):
            self._answers[message.id] = message

    def _state(self) -> str:
        if self._is_ending or self._stopping.is_set():
            return "stopping"
        if self._booted is None or self._feeder is None:
            return "starting"
        return self._booted.wired.risk.save().trading_state.value

    def _status_line(self) -> str:
        if self._booted is None:
            return "starting"
        risk = self._booted.wired.risk.save()
        return f"{self._state()}, {len(risk.positions)} positions, equity {plain(book(risk.equity))}"

    def _task_facts(self, task: SupervisedTask) -> TaskFacts:
        return TaskFacts(
            name=task.spec.name,
            state=task.state.value,
            restarts=task.restarts,
            queue=task.spec.queue_size(),
            when_full=task.spec.when_full,
            lag_ms=round(self._lag.worst_s * 1e3, 1),
        )

    def _tell(self, error: BaseException) -> None:
        log(LogEvent.DAEMON_FAILED, level="error", error=str(error) or repr(error))
        sys.stderr.write(f"error: {str(error) or repr(error)}\n")


def _settle_memory() -> None:
    # What the boot made lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
