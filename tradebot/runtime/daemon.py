"""The daemon: lock, journal, control, recovery, tasks, feed - and the same in reverse at the end."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from decimal import localcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tradebot import __version__
from tradebot.log import log
from tradebot.model.command import AlertName, Verb
from tradebot.model.errors import ConfigError, InvariantError, StorageFailed, TradebotError, Unavailable, VenueError
from tradebot.model.logevent import LogEvent
from tradebot.model.money import MONEY_CONTEXT
from tradebot.ports import Clock
from tradebot.runtime import logs
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.engine import Engine, Flattening
from tradebot.runtime.host import Host, Start, open_host, pager_task
from tradebot.runtime.line_boot import RunningLine, come_up, recover_line
from tradebot.runtime.loop import new_loop
from tradebot.runtime.notify import Notifier
from tradebot.runtime.pauses import Pauses
from tradebot.runtime.quarantine import set_aside
from tradebot.runtime.rollback import keep_config
from tradebot.runtime.supervisor import FailurePolicy, Supervisor, TaskSpec
from tradebot.runtime.tasks import TASKS
from tradebot.settings.check import check_settings
from tradebot.settings.live import EXTRA_MEND, missing_packages
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.store.disk import free_reserve
from tradebot.store.lock import HomeLock
from tradebot.store.mark import Mark, write_mark

T = TypeVar("T")
_GRACE_S = 10.0
_HARD_S = 5.0
_BACKUP_S = 20.0
_LONGEST_PAGE = 600
_VIGIL_S = 1.0


def run_daemon(home: Path, options: LoadOptions, live: bool, take_over: bool = False) -> int:
    """Run the daemon of ``home`` in the foreground and return its exit code.

    ``take_over``: a home that was restored or copied may trade its account. Raises ``ConfigError``, ``LockHeld``,
    ``NotPermitted`` and ``StorageFailed`` before trading begins.
    """
    os.umask(0o077)
    loaded = options.load(home)
    check_settings(loaded, is_live=live)
    clock = SystemClock()
    missing = missing_packages(loaded.settings)
    if missing:
        raise ConfigError(f"a live market needs {', '.join(missing)}", where="[feed]", mend=EXTRA_MEND)
    with localcontext(MONEY_CONTEXT), HomeLock(home), logs.keep_stdout():
        logs.configure(home, loaded.settings.log, os.environ)
        log(LogEvent.CONFIG_LOADED, config_hash=loaded.config_hash, files=[str(path) for path in loaded.files])
        keep_config(home, loaded.files, clock.now())
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(Daemon(home, loaded, options, os.environ, clock, take_over).main())


class Daemon:
    """One run of the daemon, from the lock to the last snapshot.

    The boot has three phases, each of which takes what the one before gave: ``open_host`` opens what stays, a line is
    recovered, and the line comes up. When it fails, the last two are gone through anew.
    """

    def __init__(
        self,
        home: Path,
        loaded: Loaded,
        options: LoadOptions,
        environ: Mapping[str, str],
        clock: Clock,
        take_over: bool = False,
    ) -> None:
        self._start = Start(
            home=home, loaded=loaded, options=options, environ=environ, clock=clock, take_over=take_over
        )
        self._home, self._clock = home, clock
        self._notifier = Notifier(environ)
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
                is_up, error = await self._phase(come_up(host, line), grace_s=_HARD_S)
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

    # Boot ---------------------------------------------------------------------------------------------

    async def _open(self) -> Host:
        return await open_host(self._start, self._supervisor, self._notifier)

    async def _recover(self, host: Host) -> RunningLine:
        return await recover_line(host)

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
        vigil = partial(_keep_vigil, host)
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
            await self._quietly(host.operations.back_up_last(), _BACKUP_S)
        elif host.journal.failed is None and self._is_internal(error):
            # The next boot comes up halted.
            await self._quietly(set_aside(host.journal, failed_seq, error))
        elif isinstance(error, StorageFailed) and engine.flatness is not None and engine.flatness.is_open:
            await self._end_risk(engine.flatness, own_only=engine.risk.own_only)
        if line.live is not None:
            await line.live.close()

    async def _end_risk(self, flatness: Flattening, *, own_only: bool) -> None:
        """End at the venue what was to be ended, though the journal takes nothing more, and let the next run halt."""
        is_over = await flatness.finish(_HARD_S)
        what = "the journal failed while all was being closed; " + (
            "the venue said flat" if is_over else "not flat yet"
        )
        # Of a mark that is over, the next run ends only what is ours.
        with contextlib.suppress(StorageFailed):
            write_mark(self._home, Mark(what=what, is_over=is_over or own_only))

    def _is_internal(self, error: BaseException | None) -> bool:
        # A word of the venue that ends a task is no better than a bug.
        if self._supervisor.failed_task in TASKS or isinstance(error, VenueError):
            return True
        return not isinstance(error, TradebotError) or error.exit_code == InvariantError.exit_code

    async def _quietly(self, ending: Awaitable[object], seconds: float = _HARD_S) -> None:
        try:
            async with asyncio.timeout(seconds):
                await ending
        except (TradebotError, TimeoutError) as error:
            log(LogEvent.TASK_FAILED, level="error", task="end", error=repr(error))


async def _keep_vigil(host: Host, ready: Callable[[], None]) -> None:
    """Feed the watchdog while no line beats: the daemon answers."""
    ready()
    while not host.operations.is_ready:
        host.extend_start()
        host.notifier.watchdog()
        await asyncio.sleep(_VIGIL_S)
