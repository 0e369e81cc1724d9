"""The second and the third phase of a boot: a line is recovered, and comes up."""

import os
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson

from tradebot import __version__
from tradebot.log import log
from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.logevent import LogEvent
from tradebot.model.venue import VenueOrder
from tradebot.pipeline.outbox import Outbox
from tradebot.runtime.assumed import assumed_ticks, first_prices
from tradebot.runtime.backup_keeper import BackupKeeper
from tradebot.runtime.boot import BOOT, boot, settle_memory
from tradebot.runtime.data_files import notes_of
from tradebot.runtime.engine import Engine
from tradebot.runtime.feeding import FeedTask
from tradebot.runtime.host import Host
from tradebot.runtime.housekeeping import Housekeeper
from tradebot.runtime.marks import Marks
from tradebot.runtime.own_book import OwnBookCheck
from tradebot.runtime.probes import DiskProbe, Heart
from tradebot.runtime.supervisor import FailurePolicy, TaskSpec
from tradebot.runtime.take_over import HALT_REASON, admit, number_anew, settle
from tradebot.settings.load import Loaded
from tradebot.settings.model import LiveFeedSettings, RealVenueSettings

if TYPE_CHECKING:
    from tradebot.runtime.assembly import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLine:
    """A recovered line and what is live around it.

    ``loaded`` is the configuration under which it was built. ``is_judged``: red lines were looked for before it was.
    """

    engine: Engine
    live: "Live | None"
    loaded: Loaded
    is_judged: bool


async def recover_line(host: Host) -> RunningLine:
    """Ask what is live whether we may trade, let it overrule the configuration, and recover the line."""
    # What was reloaded before a line failed is in force.
    loaded, live, is_judged = host.operations.loaded, None, False
    try:
        if isinstance(loaded.settings.feed, LiveFeedSettings):
            start = host.start
            is_taken = isinstance(loaded.settings.venue, RealVenueSettings) and await admit(
                host.journal, start.home, start.clock, take_over=start.take_over
            )
            live = await _connect(host, loaded)
            live.is_taken_over = is_taken
            loaded = host.operations.loaded = live.overrule(loaded)
            is_judged = await live.begin(loaded, host.journal)
        engine = await _recovered(host, live, loaded)
        return RunningLine(engine=engine, live=live, loaded=loaded, is_judged=is_judged)
    except BaseException:
        if live is not None:
            await live.close()
        raise


async def _connect(host: Host, loaded: Loaded) -> "Live":
    # Nothing of it is loaded where nothing is live.
    from tradebot.live.patience import Patience
    from tradebot.runtime.assembly import Live

    patience = Patience(host.start.clock, host.pager.page, host.extend_start)
    return await Live.connect(loaded, host.start.home, host.journal, host.start.clock, patience, host.pager.page)


async def _recovered(host: Host, live: "Live | None", loaded: Loaded) -> Engine:
    booted = await boot(host.start.home, loaded, host.journal, host.extend_start)
    booted.recorder.listeners.append(host.pager.hear)
    settings = loaded.settings
    for tick in assumed_ticks(settings, {**first_prices(settings), **booted.wired.risk.marks}):
        log(LogEvent.INSTRUMENT_ASSUMED, level="warning", **tick.row)
    market = None if live is None else partial(live.market_feed, loaded, booted)
    engine = Engine(host.start.home, loaded, booted, host.journal, host.start.clock, market, live)
    await engine.recent.recall(host.journal)
    return engine


async def come_up(host: Host, line: RunningLine) -> bool:
    """Start the tasks, settle the past with the venue, halt as was wished, and feed last; return true."""
    operations, journal, engine, live = host.operations, host.journal, line.engine, line.live
    await _start_tasks(host, line)
    if live is not None:
        await number_anew(engine, journal)
        if live.is_taken_over:
            # Before anything leaves: what the journal decided last may be at the venue already.
            await engine.command(Verb.HALT, {"reason": HALT_REASON})
        await live.trade(host.supervisor, engine, journal)
        # What is held has its guard by now; who asks what may be wrong can wait for the venue.
        red = "" if line.is_judged else await live.arm(line.loaded)
        if red:
            operations.halt_at_boot({"reason": red})
    await _halt_as_wished(host, engine)
    # Behind the halt: a kill before this row leaves the failure to the next boot.
    facts = {"version": __version__, "pid": os.getpid(), "sqlite": sqlite3.sqlite_version}
    journal.append(BOOT, engine.session.market_time, orjson.dumps(facts))
    if live is not None:
        await settle(journal, host.start.home)
        await live.open_feed()
    settle_memory()
    await host.supervisor.start(_feed_task(engine.feeder))
    await engine.durable()
    operations.is_ready, operations.trouble = True, ""
    host.notifier.ready(operations.status_line())
    for note in notes_of(engine.booted.wired.summaries):
        log(LogEvent.DATA_DOUBTED, level="warning", note=note)
    log(LogEvent.DAEMON_READY, state=operations.state, turns=engine.session.turns)
    return True


async def _start_tasks(host: Host, line: RunningLine) -> None:
    engine, operations, store = line.engine, host.operations, line.loaded.settings.store
    heart = Heart(
        engine.session,
        engine.runner,
        engine.writer_answers,
        host.notifier,
        host.start.clock,
        operations.status_line,
        host.supervisor.stuck_task,
    )
    disk = DiskProbe(host.start.home, store, operations.disk_low)
    venue = engine.booted.wired.venue
    own_book = [] if isinstance(venue, Outbox) else [_own_book_task(engine, venue.resting)]
    housekeeper = Housekeeper(host.start.home, host.journal, engine.session, store, host.start.clock)
    backup_keeper = BackupKeeper(host.start.home, host.journal, engine.keeper, host.start.clock, host.pager.page)
    operations.run_with(engine, heart, None if line.live is None else line.live.overrule, backup_keeper)
    for spec in (
        *engine.tasks(),
        TaskSpec(name="keeper", run=engine.keeper.run, policy=FailurePolicy.HALT),
        TaskSpec(name="heart", run=heart.run, policy=FailurePolicy.HALT),
        TaskSpec(name="lag", run=host.lag.run, policy=FailurePolicy.RESTART),
        TaskSpec(name="disk", run=disk.run, policy=FailurePolicy.RESTART),
        TaskSpec(name="backups", run=backup_keeper.run, policy=FailurePolicy.RESTART),
        TaskSpec(name="housekeeper", run=housekeeper.run, policy=FailurePolicy.RESTART),
        TaskSpec(name="drift", run=operations.drift.run, policy=FailurePolicy.RESTART),
        TaskSpec(name="secrets", run=operations.secrets.run, policy=FailurePolicy.RESTART),
        *own_book,
    ):
        await host.supervisor.start(spec)


async def _halt_as_wished(host: Host, engine: Engine) -> None:
    operations = host.operations
    if engine.booted.failed is not None:
        await engine.command(Verb.HALT, {"reason": engine.booted.failed.text()})
    if operations.halt_wish is not None:
        await engine.command(Verb.HALT, operations.halt_wish)
        operations.halt_wish = None
    marks = Marks(host.start.home, engine.command)
    await marks.look()
    await host.supervisor.start(TaskSpec(name="marks", run=marks.run, policy=FailurePolicy.RESTART))
    if engine.trading_state is TradingState.HALTED:
        # Whoever was to be paged by the last run may not have been.
        host.pager.page(AlertName.HALTED, f"trading is halted: {engine.risk.state_reason}", "tradebot resume")


def _own_book_task(engine: Engine, resting: Callable[[], Mapping[str, VenueOrder]]) -> TaskSpec:
    check = OwnBookCheck(engine.orders, resting, engine.runner.gate, engine.deliver, lambda: engine.session.market_time)
    return TaskSpec(name="stops", run=check.run, policy=FailurePolicy.RESTART)


def _feed_task(feeder: FeedTask) -> TaskSpec:
    return TaskSpec(
        name="feed",
        run=feeder.run,
        policy=FailurePolicy.HALT,
        close=feeder.close,
        queue_size=lambda: feeder.waiting,
        when_full=feeder.when_full,
    )
