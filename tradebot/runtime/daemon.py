"""The daemon: lock, journal, control, recovery, tasks, feed - and the same in reverse at the end."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping
from decimal import localcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tradebot import __version__
from tradebot.control.server import ControlServer
from tradebot.log import log
from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.errors import ConfigError, InvariantError, StorageFailed, TradebotError, Unavailable, VenueError
from tradebot.model.logevent import LogEvent
from tradebot.model.money import MONEY_CONTEXT
from tradebot.ports import Clock
from tradebot.runtime import logs
from tradebot.runtime.alerts import Pager, Sender
from tradebot.runtime.api import DaemonApi
from tradebot.runtime.assumed import assumed_ticks, first_prices
from tradebot.runtime.boot import BOOT, boot, open_journal, settle_memory
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.data_files import notes_of
from tradebot.runtime.engine import Engine
from tradebot.runtime.feeding import FeedTask
from tradebot.runtime.housekeeping import Housekeeper
from tradebot.runtime.loop import new_loop
from tradebot.runtime.marks import Marks
from tradebot.runtime.notify import Notifier
from tradebot.runtime.operations import Operations
from tradebot.runtime.pauses import Pauses
from tradebot.runtime.probes import DiskProbe, Heart, LagProbe
from tradebot.runtime.quarantine import set_aside
from tradebot.runtime.supervisor import Policy, Supervisor, TaskSpec
from tradebot.runtime.tasks import TASKS
from tradebot.settings.build import described
from tradebot.settings.check import check_settings
from tradebot.settings.live import EXTRA_MEND, missing_packages
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.settings.model import HyperliquidFeedSettings
from tradebot.store.journal import SqliteJournal
from tradebot.store.lock import HomeLock
from tradebot.store.upkeep import free_reserve

if TYPE_CHECKING:
    from tradebot.runtime.assembly import Live

_GRACE_S = 10.0
_HARD_S = 5.0
_LONG_BOOT_S = 300
_LONGEST_PAGE = 600
_VIGIL_S = 1.0


def run_daemon(home: Path, options: LoadOptions, live: bool) -> int:
    """Run the daemon of ``home`` in the foreground and return its exit code.

    Raises ``ConfigError``, ``LockHeld``, ``NotPermitted`` and ``StorageFailed`` before trading begins.
    """
    os.umask(0o077)
    loaded = options.load(home)
    check_settings(loaded, is_live=live)
    missing = missing_packages(loaded.settings)
    if missing:
        raise ConfigError(f"a live market needs {', '.join(missing)}", where="[feed]", mend=EXTRA_MEND)
    with localcontext(MONEY_CONTEXT), HomeLock(home), logs.keep_stdout():
        logs.configure(home, loaded.settings.log, os.environ)
        log(LogEvent.CONFIG_LOADED, config_hash=loaded.config_hash, files=[str(path) for path in loaded.files])
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(Daemon(home, loaded, options, os.environ, SystemClock()).main())


class Daemon:
    """One run of the daemon, from the lock to the last snapshot."""

    def __init__(
        self, home: Path, loaded: Loaded, options: LoadOptions, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self._home, self._loaded, self._options = home, loaded, options
        self._environ, self._clock = environ, clock
        self._notifier = Notifier(environ)
        self._lag = LagProbe()
        self._pauses = Pauses()
        self._journal: SqliteJournal | None = None
        self._server: ControlServer | None = None
        self._engine: Engine | None = None
        self._operations: Operations | None = None
        self._pager: Pager | None = None
        self._live: Live | None = None

    async def main(self) -> int:
        """Boot, trade until asked to stop, end in order; return the exit code."""
        self._supervisor = Supervisor()
        logs.recall_errors(self._home)
        log(LogEvent.DAEMON_STARTED, version=__version__, pid=os.getpid(), home=str(self._home))
        error = await self._run()
        while error is not None and await self._begin_again(error):
            error = await self._run()
        await self._end(error)
        if error is None:
            return 0
        text = str(error) or repr(error)
        log(LogEvent.DAEMON_FAILED, level="error", error=text)
        sys.stderr.write(f"error: {text}\n")
        return error.exit_code if isinstance(error, TradebotError) else InvariantError.exit_code

    async def _run(self) -> BaseException | None:
        # A task, so that a long recovery can be ended, and whatever it raises ends in order.
        booting = asyncio.create_task(self._boot(), name="boot")
        failure = self._supervisor.failure
        stopping = asyncio.ensure_future(self._supervisor.stopping.wait())
        waiting: set[asyncio.Future[Any]] = {booting, failure, stopping}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._engine is not None:
            # It is all but up, unless it waits for a venue.
            await asyncio.wait(waiting - {stopping}, timeout=_HARD_S, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        booting.cancel()
        await asyncio.wait({booting})
        error = None if booting.cancelled() else booting.exception()
        if error is None and not booting.cancelled():
            await self._until_end()
        return self._supervisor.failed or error

    # Boot, in this order ------------------------------------------------------------------------------

    async def _boot(self) -> None:
        operations, pager, journal = self._operations, self._pager, self._journal
        if operations is None or pager is None or journal is None:
            operations, pager, journal = await self._begin()
        live = await self._connect(operations, journal)
        self._engine = engine = await self._recover(pager, live, journal)
        await self._start_tasks(engine, operations, journal)
        if live is not None:
            engine.live = live
            await live.trade(self._supervisor, engine, journal, pager.page)
            # What is held has its guard by now; who asks what may be wrong can wait for the venue.
            red = await live.arm(self._loaded)
            if red:
                operations.halt_at_boot({"reason": red})
        await self._halt_as_wished(engine, operations, pager)
        # Behind the halt: a kill before this row leaves the failure to the next boot.
        facts = {"version": __version__, "pid": os.getpid(), "sqlite": sqlite3.sqlite_version}
        journal.append(BOOT, engine.session.market_time, orjson.dumps(facts))
        if live is not None:
            await live.open_feed()
        settle_memory()
        await self._supervisor.start(_feed_task(engine.feeder))
        await engine.durable()
        operations.is_ready, operations.trouble = True, ""
        self._notifier.ready(operations.status_line())
        for note in notes_of(engine.booted.wired.summaries):
            log(LogEvent.DATA_DOUBTED, level="warning", note=note)
        log(LogEvent.DAEMON_READY, state=operations.state, turns=engine.session.turns)

    async def _begin(self) -> tuple[Operations, Pager, SqliteJournal]:
        """Open what stays, however often the line is built anew: journal, control socket, pager."""
        self._journal = journal = await open_journal(self._home, self._loaded.settings.store, self._clock)
        journal.on_failed = self._journal_failed
        self._operations = operations = Operations(
            self._home, self._loaded, self._options, self._environ, self._clock, journal,
            self._supervisor, self._notifier, self._lag,
        )  # fmt: skip
        self._catch_signals(operations)
        await self._start_control(operations)
        self._pager = pager = await self._start_pager(operations, journal)
        return operations, pager, journal

    async def _start_pager(self, operations: Operations, journal: SqliteJournal) -> Pager:
        settings = self._loaded.settings
        sender = Sender(bot=settings.bot.name, mode=settings.bot.mode, venue=described(settings))
        pager = Pager(settings.alerts.webhook, settings.alerts.repeat_s, sender, journal, self._clock)
        operations.on_reloaded = lambda new: pager.change(new.alerts.webhook, new.alerts.repeat_s)
        await self._supervisor.start(_pager_task(pager))
        return pager

    async def _connect(self, operations: Operations, journal: SqliteJournal) -> "Live | None":
        """Ask what is live whether we may trade, and let it overrule the configuration."""
        if not isinstance(self._loaded.settings.feed, HyperliquidFeedSettings):
            return None
        # Nothing of it is loaded where nothing is live.
        from tradebot.live.patience import Patience
        from tradebot.runtime.assembly import Live

        patience = Patience(self._clock, self._page, self._extend_start)
        self._live = live = await Live.connect(self._loaded, self._home, journal, self._clock, patience)
        operations.overrule = live.overrule
        self._loaded = operations.loaded = live.overrule(self._loaded)
        await live.begin(self._loaded, journal)
        return live

    async def _recover(self, pager: Pager, live: "Live | None", journal: SqliteJournal) -> Engine:
        booted = await boot(self._home, self._loaded, journal, self._extend_start)
        booted.recorder.listeners.append(pager.hear)
        settings = self._loaded.settings
        for tick in assumed_ticks(settings, {**first_prices(settings), **booted.wired.risk.marks}):
            log(LogEvent.INSTRUMENT_ASSUMED, level="warning", **tick.row)
        market = None if live is None else partial(live.market_feed, self._loaded, booted)
        engine = Engine(self._home, self._loaded, booted, journal, self._clock, market)
        await engine.recent.recall(journal)
        return engine

    async def _halt_as_wished(self, engine: Engine, operations: Operations, pager: Pager) -> None:
        if engine.booted.failed is not None:
            await engine.command(Verb.HALT, {"reason": engine.booted.failed.text()})
        if operations.halt_wish is not None:
            await engine.command(Verb.HALT, operations.halt_wish)
            operations.halt_wish = None
        marks = Marks(self._home, engine.command)
        await marks.look()
        await self._supervisor.start(TaskSpec(name="marks", run=marks.run, policy=Policy.RESTART))
        if engine.trading_state is TradingState.HALTED:
            # Whoever was to be paged by the last run may not have been.
            pager.page(AlertName.HALTED, f"trading is halted: {engine.risk.state_reason}", "tradebot resume")

    def _extend_start(self) -> None:
        self._notifier.extend_start(_LONG_BOOT_S)

    def _page(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        if self._pager is not None:
            self._pager.page(name, what, mend, symbol, about)

    async def _start_control(self, operations: Operations) -> None:
        self._server = ControlServer(
            DaemonApi(operations),
            self._home,
            self._environ,
            on_refused=lambda peer, reason: log(
                LogEvent.CONTROL_REFUSED, level="warning", uid=peer.uid, pid=peer.pid, reason=reason
            ),
            on_failed=lambda error: log(LogEvent.TASK_FAILED, level="error", task="control", error=repr(error)),
        )
        await self._server.start()

    async def _start_tasks(self, engine: Engine, operations: Operations, journal: SqliteJournal) -> None:
        heart = Heart(
            engine.session, engine.runner, engine.durable, self._notifier, self._clock, operations.status_line
        )
        disk = DiskProbe(self._home, self._loaded.settings.store, operations.disk_low)
        housekeeper = Housekeeper(self._home, journal, engine.session, self._loaded.settings.store, self._clock)
        operations.run_with(engine, heart)
        for spec in (
            *engine.tasks(),
            TaskSpec(name="keeper", run=engine.keeper.run, policy=Policy.HALT),
            TaskSpec(name="heart", run=heart.run, policy=Policy.HALT),
            TaskSpec(name="lag", run=self._lag.run, policy=Policy.RESTART),
            TaskSpec(name="disk", run=disk.run, policy=Policy.RESTART),
            TaskSpec(name="housekeeper", run=housekeeper.run, policy=Policy.RESTART),
        ):
            await self._supervisor.start(spec)

    def _catch_signals(self, operations: Operations) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, operations.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._supervisor.run_once, "reload", operations.reload_by_signal)

    def _journal_failed(self, failure: StorageFailed) -> None:
        log(LogEvent.JOURNAL_FAILED, level="error", error=str(failure))
        self._supervisor.fail(failure)

    # Failure ------------------------------------------------------------------------------------------

    async def _begin_again(self, error: BaseException) -> bool:
        """Take down the line that failed, and set its input aside; return whether it may be built anew.

        Journal and socket stay. A line that fails again and again is built anew ever more seldom: the daemon
        answers meanwhile.
        """
        engine, operations, pager = self._engine, self._operations, self._pager
        if engine is None or operations is None or pager is None:
            return False
        if engine.journal.failed is not None or not self._is_internal(error) or self._supervisor.stopping.is_set():
            return False
        failed_seq = self._failed_seq(engine)
        log(LogEvent.LINE_FAILED, level="error", error=repr(error), input=failed_seq)
        operations.run_without(f"the line failed, and is built anew: {error!r}"[:_LONGEST_PAGE])
        await self._take_down(engine)
        await self._quietly(set_aside(engine.journal, failed_seq, error))
        # What was reloaded meanwhile is in force.
        self._loaded = operations.loaded
        self._supervisor.begin_again()
        await self._supervisor.start(_pager_task(pager))
        await self._supervisor.start(TaskSpec(name="vigil", run=self._keep_vigil, policy=Policy.RESTART))
        what = f"an error of the program stopped the line: {error!r}"[:_LONGEST_PAGE]
        self._page(AlertName.POISONED, what, "read tradebot logs --level error, and tradebot positions; then resume")
        pause_s = self._pauses.next(self._clock.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._supervisor.stopping.wait(), pause_s)
        return True

    async def _take_down(self, engine: Engine) -> None:
        engine.end_turns()
        await self._supervisor.stop(grace_s=0, hard_s=_HARD_S)
        engine.runner.abandon(Unavailable("the line failed, and is built anew", mend="look at status, then repeat it"))
        if self._live is not None:
            await self._live.close()
        self._engine = self._live = None

    async def _keep_vigil(self, ready: Callable[[], None]) -> None:
        """Feed the watchdog while no line beats: the daemon answers."""
        ready()
        while self._operations is not None and not self._operations.is_ready:
            self._extend_start()
            self._notifier.watchdog()
            await asyncio.sleep(_VIGIL_S)

    def _failed_seq(self, engine: Engine) -> int:
        # The turn that failed is left out from now on. One that another task's failure cut short is not.
        return engine.session.turn_seq if self._supervisor.failed_task in TASKS else 0

    # End -----------------------------------------------------------------------------------------------

    async def _until_end(self) -> None:
        waits = [self._supervisor.stopping.wait()]
        if self._loaded.settings.feed.at_end == "stop" and self._engine is not None:
            waits.append(self._engine.feeder.finished.wait())
        ends = [asyncio.ensure_future(wait) for wait in waits]
        waiting: set[asyncio.Future[Any]] = {*ends, self._supervisor.failure}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def _end(self, error: BaseException | None) -> None:
        self._notifier.stopping()
        engine, operations = self._engine, self._operations
        if operations is not None:
            operations.stopping.set()
            if error is None and engine is not None and not operations.is_stop_recorded:
                await self._quietly(engine.command(Verb.STOP, {}))
        failed_seq = 0
        if engine is not None:
            failed_seq = self._failed_seq(engine)
            engine.end_turns()
        # After a failure nothing more goes through the line: there is nothing to wait for.
        await self._supervisor.stop(grace_s=_GRACE_S if error is None else 0, hard_s=_HARD_S)
        if engine is not None and error is None:
            await self._quietly(engine.keeper.keep())
        elif engine is not None and error is not None and engine.journal.failed is None and self._is_internal(error):
            # The next boot comes up halted.
            await self._quietly(set_aside(engine.journal, failed_seq, error))
        await self._end_outside(error)
        if self._journal is not None:
            await self._journal.close()
        if self._server is not None:
            await self._server.stop()
        if isinstance(error, StorageFailed):
            free_reserve(self._home)
        log(LogEvent.DAEMON_STOPPED, level="info" if error is None else "error", is_failed=error is not None)

    async def _end_outside(self, error: BaseException | None) -> None:
        if self._live is not None:
            await self._live.close()
        if error is not None:
            self._page(AlertName.HALTED, f"the daemon ended: {error}", "read its log: tradebot logs --level error")
        if self._pager is not None:
            await self._pager.webhook.finish()

    def _is_internal(self, error: BaseException | None) -> bool:
        # A word of the venue that ends a task is no better than a bug.
        if self._supervisor.failed_task in TASKS or isinstance(error, VenueError):
            return True
        return not isinstance(error, TradebotError) or error.exit_code == InvariantError.exit_code

    async def _quietly(self, ending: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(_HARD_S):
                await ending
        except (TradebotError, TimeoutError) as error:
            log(LogEvent.TASK_FAILED, level="error", task="end", error=repr(error))


def _pager_task(pager: Pager) -> TaskSpec:
    webhook = pager.webhook
    return TaskSpec(
        name="pager",
        run=webhook.run,
        policy=Policy.RESTART,
        queue_size=lambda: webhook.waiting,
        when_full="an older alert is given up",
    )


def _feed_task(feeder: FeedTask) -> TaskSpec:
    return TaskSpec(
        name="feed",
        run=feeder.run,
        policy=Policy.HALT,
        close=feeder.close,
        queue_size=lambda: feeder.waiting,
        when_full=feeder.when_full,
    )
