"""What stays, however often the line is built anew: the journal, the control socket, the pager."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tradebot.control.server import ControlServer
from tradebot.log import log
from tradebot.model.errors import StorageFailed
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock
from tradebot.runtime.alerts import Pager, Sender
from tradebot.runtime.api import DaemonApi
from tradebot.runtime.boot import open_journal
from tradebot.runtime.notify import Notifier
from tradebot.runtime.operations import Operations
from tradebot.runtime.probes import LagProbe
from tradebot.runtime.supervisor import FailurePolicy, Supervisor, TaskSpec
from tradebot.runtime.webhook_url import webhook_url
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.settings.model import Settings
from tradebot.store.journal import SqliteJournal

_LONG_BOOT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a run of the daemon was started with; ``take_over``: a copy of a home may trade its account."""

    home: Path
    loaded: Loaded
    options: LoadOptions
    environ: Mapping[str, str]
    clock: Clock
    take_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The journal and those who speak for the daemon; one outlives many lines."""

    start: Start
    supervisor: Supervisor
    notifier: Notifier
    lag: LagProbe
    journal: SqliteJournal
    operations: Operations
    pager: Pager
    server: ControlServer

    def extend_start(self) -> None:
        """Tell systemd that the boot goes on."""
        self.notifier.extend_start(_LONG_BOOT_S)


async def open_host(start: Start, supervisor: Supervisor, notifier: Notifier) -> Host:
    """Open the journal, hear signals and the control socket, and be able to page.

    What cannot be opened raises, and what was opened before it is closed again.
    """
    lag = LagProbe()
    async with AsyncExitStack() as undo:
        journal = await open_journal(start.home, start.loaded.settings.store, start.clock)
        undo.push_async_callback(journal.close)

        def journal_failed(failure: StorageFailed) -> None:
            log(LogEvent.JOURNAL_FAILED, level="error", error=str(failure))
            supervisor.fail(failure)

        journal.on_failed = journal_failed
        # A keystore takes its time to open.
        url = await asyncio.to_thread(webhook_url, start.loaded.settings, start.home, start.clock)
        pager = _pager(start, url, journal)
        operations = Operations(
            start.home, start.loaded, start.options, start.environ, start.clock, journal, supervisor, notifier, lag,
            partial(_alerts_changed, pager, start), pager.page,
        )  # fmt: skip
        _catch_signals(operations, supervisor)
        server = _server(operations, start)
        await server.start()
        undo.push_async_callback(server.stop)
        await supervisor.start(pager_task(pager))
        undo.pop_all()
    return Host(
        start=start,
        supervisor=supervisor,
        notifier=notifier,
        lag=lag,
        journal=journal,
        operations=operations,
        pager=pager,
        server=server,
    )


def pager_task(pager: Pager) -> TaskSpec:
    """Return how the supervisor is to run what posts the alerts of ``pager``."""
    webhook = pager.webhook
    return TaskSpec(
        name="pager",
        run=webhook.run,
        policy=FailurePolicy.RESTART,
        queue_size=lambda: webhook.waiting,
        when_full="an older alert is given up",
    )


def _pager(start: Start, url: str | None, journal: SqliteJournal) -> Pager:
    settings = start.loaded.settings
    sender = Sender(bot=settings.bot.name, mode=settings.bot.mode, venue=settings.venue.label)
    return Pager(url, settings.alerts.repeat_s, sender, journal, start.clock)


def _alerts_changed(pager: Pager, start: Start, new: Settings) -> Callable[[], None]:
    """Return what makes ``pager`` post as ``new`` says. Raises what ``webhook_url`` raises."""
    return partial(pager.change, webhook_url(new, start.home, start.clock), new.alerts.repeat_s)


def _server(operations: Operations, start: Start) -> ControlServer:
    return ControlServer(
        DaemonApi(operations),
        start.home,
        start.environ,
        on_refused=lambda peer, reason: log(
            LogEvent.CONTROL_REFUSED, level="warning", uid=peer.uid, pid=peer.pid, reason=reason
        ),
        on_failed=lambda error: log(LogEvent.TASK_FAILED, level="error", task="control", error=repr(error)),
    )


def _catch_signals(operations: Operations, supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, operations.stopping.set)
    loop.add_signal_handler(signal.SIGHUP, supervisor.run_once, "reload", operations.reload_by_signal)
