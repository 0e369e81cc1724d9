"""The daemon: lock, journal, control, recovery, tasks, feed - and the same in reverse at the end."""

import asyncio
import contextlib
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from decimal import localcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from tradebot import __version__
from tradebot.log import log
from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.errors import ConfigError, InvariantError, StorageFailed, TradebotError, Unavailable, VenueError
from tradebot.model.logevent import LogEvent
from tradebot.model.money import MONEY_CONTEXT
from tradebot.ports import Clock
from tradebot.runtime import logs
from tradebot.runtime.assumed import assumed_ticks, first_prices
from tradebot.runtime.boot import BOOT, boot, settle_memory
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.data_files import notes_of
from tradebot.runtime.engine import Engine
from tradebot.runtime.feeding import FeedTask
from tradebot.runtime.host import Host, Start, open_host, pager_task
from tradebot.runtime.housekeeping import Housekeeper
from tradebot.runtime.loop import new_loop
from tradebot.runtime.marks import Marks
from tradebot.runtime.notify import Notifier
from tradebot.runtime.operations import Operations
from tradebot.runtime.pauses import Pauses
from tradebot.runtime.probes import DiskProbe, Heart, LagProbe
from tradebot.runtime.quarantine import set_aside
from tradebot.runtime.supervisor import FailurePolicy, Supervisor, TaskSpec
from tradebot.runtime.tasks import TASKS
from tradebot.settings.check import check_settings
from tradebot.settings.live import EXTRA_MEND, missing_packages
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.settings.model import HyperliquidFeedSettings
from tradebot.store.lock import HomeLock
from tradebot.store.upkeep import free_reserve

if TYPE_CHECKING:
    from tradebot.runtime.assembly import Live

T = TypeVar("T")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLine:
    """A recovered line and what is live around it. ``loaded`` is the configuration under which it was built."""

    engine: Engine
    live: "Live | None"
    loaded: Loaded


class Daemon:
    """One run of the daemon, from the lock to the last snapshot.

    The boot has three phases, each of which takes what the one before gave: ``open_host`` opens what stays, a line is
    recovered, and the line comes up. When it fails, the last two are gone through anew.
    """

    def __init__(
        self, home: Path, loaded: Loaded, options: LoadOptions, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self._start = Start(home=home, loaded=loaded, options=options, environ=environ, clock=clock)
        self._home, self._clock = home, clock
        self._notifier = Notifier(environ)
        self._lag = LagProbe()
        self._pauses = Pauses()

    async def main(self) -> int:
        """Boot, trade until asked to stop, end in order; return the exit code."""
        self._supervisor = Supervisor()
        logs.recall_errors(self._home)
        log(LogEvent.DAEMON_STARTED, version=__version__, pid=os.getpid(), home=str(self._home))
        host, error = await self._phase(self._open())
        line = None
        if host is not None and error is None:
            line, error = await self._serve(host)
        await self._end(host, line, error)
        if error is None:
            return 0
        text = str(error) or repr(error)
        log(LogEvent.DAEMON_FAILED, level="error", error=text)
        sys.stderr.write(f"error: {text}\n")
        return error.exit_code if isinstance(error, TradebotError) else InvariantError.exit_code

    async def _serve(self, host: Host) -> tuple[RunningLine | None, BaseException | None]:
        """Run a line until the end, built anew when it fails; return the last one, and why it ended if it failed."""
        while True:
            line, error = await self._phase(self._recover(host))
            if line is None:
                return None, error
            if error is None:
                is_up, error = await self._phase(self._come_up(host, line), grace_s=_HARD_S)
                if is_up and error is None:
                    await self._until_end(line)
                    error = self._supervisor.failed
            if error is None or not await self._begin_again(host, line, error):
                return line, error

    async def _phase(self, work: Coroutine[Any, Any, T], grace_s: float = 0.0) -> tuple[T | None, BaseException | None]:
        """Return what ``work`` gives, and the error that ended it or came beside it.

        It is cancelled when a task fails, or when the end is asked for and ``grace_s`` are over. What it has made and
        does not return, it closes itself.
        """
        # A task, so that a long recovery can be ended, and whatever it raises ends in order.
        task = asyncio.create_task(work, name="boot")
        stopping = asyncio.ensure_future(self._supervisor.stopping.wait())
        waiting: set[asyncio.Future[Any]] = {task, self._supervisor.failure}
        await asyncio.wait(waiting | {stopping}, return_when=asyncio.FIRST_COMPLETED)
        if grace_s:
            await asyncio.wait(waiting, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        task.cancel()
        await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        result = task.result() if error is None and not task.cancelled() else None
        return result, self._supervisor.failed or error

    # Boot, in this order ------------------------------------------------------------------------------

    async def _open(self) -> Host:
        return await open_host(self._start, self._supervisor, self._notifier, self._lag)

    async def _recover(self, host: Host) -> RunningLine:
        """Ask what is live whether we may trade, let it overrule the configuration, and recover the line."""
        # What was reloaded before a line failed is in force.
        loaded, live = host.operations.loaded, None
        try:
            if isinstance(loaded.settings.feed, HyperliquidFeedSettings):
                live = await self._connect(host, loaded)
                loaded = host.operations.loaded = live.overrule(loaded)
                await live.begin(loaded, host.journal)
            return RunningLine(engine=await self._recovered(host, live, loaded), live=live, loaded=loaded)
        except BaseException:
            if live is not None:
                await live.close()
            raise

    async def _connect(self, host: Host, loaded: Loaded) -> "Live":
        # Nothing of it is loaded where nothing is live.
        from tradebot.live.patience import Patience
        from tradebot.runtime.assembly import Live

        patience = Patience(self._clock, host.pager.page, self._extend_start)
        return await Live.connect(loaded, self._home, host.journal, self._clock, patience)

    async def _recovered(self, host: Host, live: "Live | None", loaded: Loaded) -> Engine:
        booted = await boot(self._home, loaded, host.journal, self._extend_start)
        booted.recorder.listeners.append(host.pager.hear)
        settings = loaded.settings
        for tick in assumed_ticks(settings, {**first_prices(settings), **booted.wired.risk.marks}):
            log(LogEvent.INSTRUMENT_ASSUMED, level="warning", **tick.row)
        market = None if live is None else partial(live.market_feed, loaded, booted)
        engine = Engine(self._home, loaded, booted, host.journal, self._clock, market, live)
        await engine.recent.recall(host.journal)
        return engine

    async def _come_up(self, host: Host, line: RunningLine) -> bool:
        """Start the tasks, settle the past with the venue, halt as was wished, and feed last; return true."""
        operations, journal, engine, live = host.operations, host.journal, line.engine, line.live
        await self._start_tasks(host, line)
        if live is not None:
            await live.trade(self._supervisor, engine, journal, host.pager.page)
            # What is held has its guard by now; who asks what may be wrong can wait for the venue.
            red = await live.arm(line.loaded)
            if red:
                operations.halt_at_boot({"reason": red})
        await self._halt_as_wished(host, engine)
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
        return True

    async def _start_tasks(self, host: Host, line: RunningLine) -> None:
        engine, operations, store = line.engine, host.operations, line.loaded.settings.store
        heart = Heart(
            engine.session, engine.runner, engine.durable, self._notifier, self._clock, operations.status_line
        )
        disk = DiskProbe(self._home, store, operations.disk_low)
        housekeeper = Housekeeper(self._home, host.journal, engine.session, store, self._clock)
        operations.run_with(engine, heart, None if line.live is None else line.live.overrule)
        for spec in (
            *engine.tasks(),
            TaskSpec(name="keeper", run=engine.keeper.run, policy=FailurePolicy.HALT),
            TaskSpec(name="heart", run=heart.run, policy=FailurePolicy.HALT),
            TaskSpec(name="lag", run=self._lag.run, policy=FailurePolicy.RESTART),
            TaskSpec(name="disk", run=disk.run, policy=FailurePolicy.RESTART),
            TaskSpec(name="housekeeper", run=housekeeper.run, policy=FailurePolicy.RESTART),
        ):
            await self._supervisor.start(spec)

    async def _halt_as_wished(self, host: Host, engine: Engine) -> None:
        operations = host.operations
        if engine.booted.failed is not None:
            await engine.command(Verb.HALT, {"reason": engine.booted.failed.text()})
        if operations.halt_wish is not None:
            await engine.command(Verb.HALT, operations.halt_wish)
            operations.halt_wish = None
        marks = Marks(self._home, engine.command)
        await marks.look()
        await self._supervisor.start(TaskSpec(name="marks", run=marks.run, policy=FailurePolicy.RESTART))
        if engine.trading_state is TradingState.HALTED:
            # Whoever was to be paged by the last run may not have been.
            host.pager.page(AlertName.HALTED, f"trading is halted: {engine.risk.state_reason}", "tradebot resume")

    def _extend_start(self) -> None:
        self._notifier.extend_start(_LONG_BOOT_S)

    # Failure ------------------------------------------------------------------------------------------

    async def _begin_again(self, host: Host, line: RunningLine, error: BaseException) -> bool:
        """Take down the line that failed, and set its input aside; return whether it may be built anew.

        Journal and socket stay. A line that fails again and again is built anew ever more seldom: the daemon
        answers meanwhile.
        """
        journal, pager = host.journal, host.pager
        if journal.failed is not None or not self._is_internal(error) or self._supervisor.stopping.is_set():
            return False
        failed_seq = self._failed_seq(line.engine)
        log(LogEvent.LINE_FAILED, level="error", error=repr(error), input=failed_seq)
        host.operations.run_without(f"the line failed, and is built anew: {error!r}"[:_LONGEST_PAGE])
        await self._take_down(line)
        await self._quietly(set_aside(journal, failed_seq, error))
        self._supervisor.begin_again()
        await self._supervisor.start(pager_task(pager))
        vigil = partial(self._keep_vigil, host.operations)
        await self._supervisor.start(TaskSpec(name="vigil", run=vigil, policy=FailurePolicy.RESTART))
        what = f"an error of the program stopped the line: {error!r}"[:_LONGEST_PAGE]
        pager.page(AlertName.POISONED, what, "read tradebot logs --level error, and tradebot positions; then resume")
        pause_s = self._pauses.next(self._clock.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._supervisor.stopping.wait(), pause_s)
        return True

    async def _take_down(self, line: RunningLine) -> None:
        line.engine.end_turns()
        await self._supervisor.stop(grace_s=0, hard_s=_HARD_S)
        line.engine.runner.abandon(
            Unavailable("the line failed, and is built anew", mend="look at status, then repeat it")
        )
        if line.live is not None:
            await line.live.close()

    async def _keep_vigil(self, operations: Operations, ready: Callable[[], None]) -> None:
        """Feed the watchdog while no line beats: the daemon answers."""
        ready()
        while not operations.is_ready:
            self._extend_start()
            self._notifier.watchdog()
            await asyncio.sleep(_VIGIL_S)

    def _failed_seq(self, engine: Engine) -> int:
        # The turn that failed is left out from now on. One that another task's failure cut short is not.
        return engine.session.turn_seq if self._supervisor.failed_task in TASKS else 0

    # End -----------------------------------------------------------------------------------------------

    async def _until_end(self, line: RunningLine) -> None:
        waits = [self._supervisor.stopping.wait()]
        if line.loaded.settings.feed.at_end == "stop":
            waits.append(line.engine.feeder.finished.wait())
        ends = [asyncio.ensure_future(wait) for wait in waits]
        waiting: set[asyncio.Future[Any]] = {*ends, self._supervisor.failure}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def _end(self, host: Host | None, line: RunningLine | None, error: BaseException | None) -> None:
        self._notifier.stopping()
        if host is not None:
            host.operations.stopping.set()
        if host is not None and line is not None:
            await self._end_line(host, line, error)
        else:
            await self._supervisor.stop(grace_s=_GRACE_S if error is None else 0, hard_s=_HARD_S)
        if host is not None:
            if error is not None:
                what = f"the daemon ended: {error}"
                host.pager.page(AlertName.HALTED, what, "read its log: tradebot logs --level error")
            await host.pager.webhook.finish()
            await host.journal.close()
            await host.server.stop()
        if isinstance(error, StorageFailed):
            free_reserve(self._home)
        log(LogEvent.DAEMON_STOPPED, level="info" if error is None else "error", is_failed=error is not None)

    async def _end_line(self, host: Host, line: RunningLine, error: BaseException | None) -> None:
        engine = line.engine
        if error is None and not host.operations.is_stop_recorded:
            await self._quietly(engine.command(Verb.STOP, {}))
        failed_seq = self._failed_seq(engine)
        engine.end_turns()
        # After a failure nothing more goes through the line: there is nothing to wait for.
        await self._supervisor.stop(grace_s=_GRACE_S if error is None else 0, hard_s=_HARD_S)
        if error is None:
            await self._quietly(engine.keeper.keep())
        elif host.journal.failed is None and self._is_internal(error):
            # The next boot comes up halted.
            await self._quietly(set_aside(host.journal, failed_seq, error))
        if line.live is not None:
            await line.live.close()

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


def _feed_task(feeder: FeedTask) -> TaskSpec:
    return TaskSpec(
        name="feed",
        run=feeder.run,
        policy=FailurePolicy.HALT,
        close=feeder.close,
        queue_size=lambda: feeder.waiting,
        when_full=feeder.when_full,
    )
