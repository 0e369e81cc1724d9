"""What an operator may ask of a running daemon, whoever carries the question: socket or signal."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tradebot import __version__
from tradebot.log import log
from tradebot.model.command import AlertName, CommandDone, TradingState, Verb
from tradebot.model.errors import ConfigError, TradebotError, Unavailable, UsageError
from tradebot.model.logevent import LogEvent
from tradebot.model.money import ZERO, Cash
from tradebot.model.time import HOUR, Nanos
from tradebot.ports import Clock, FeedState
from tradebot.report.flatness import FlatFacts
from tradebot.report.risk import RiskFacts
from tradebot.report.shapes import Document, Json
from tradebot.report.views import BackupFacts, BookFacts, FeedFacts, RuntimeFacts, TaskFacts, VenueFacts
from tradebot.runtime import logs
from tradebot.runtime.backup_keeper import BackupKeeper
from tradebot.runtime.config_rows import CONFIG, Author, Revision, find_revision, read_revisions, record_config
from tradebot.runtime.drift import ConfigSource, DriftWatch
from tradebot.runtime.engine import Engine
from tradebot.runtime.notify import Notifier
from tradebot.runtime.probes import Heart, LagProbe
from tradebot.runtime.reading import Standing
from tradebot.runtime.rollback import keep_config, put_back, refuse_loosened
from tradebot.runtime.rotating import Rotating
from tradebot.runtime.secret_store import secrets_used, store_of
from tradebot.runtime.secret_watch import SecretWatch
from tradebot.runtime.supervisor import SupervisedTask, Supervisor, TaskState
from tradebot.secret.store import SecretFacts
from tradebot.settings.build import build_limits
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.settings.model import LiveFeedSettings, Settings
from tradebot.settings.reload import reload_diff
from tradebot.store.backups import backup
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.verification import verification, verify_running


class Operations:
    """Implements ``api.Daemon``. Until ``run_with`` there is no engine, and only ``halt`` and ``stop`` are heard."""

    def __init__(
        self,
        home: Path,
        loaded: Loaded,
        options: LoadOptions,
        environ: Mapping[str, str],
        clock: Clock,
        journal: SqliteJournal,
        supervisor: Supervisor,
        notifier: Notifier,
        lag: LagProbe,
        prepared: Callable[[Settings], Callable[[], None]],
        page: Callable[[AlertName, str, str], None],
    ) -> None:
        self.home, self.journal = home, journal
        self.is_stop_recorded = self.is_ready = False
        self.halt_wish: Mapping[str, str] | None = None
        self.trouble = ""
        self.loaded, self._options, self._environ, self._clock = loaded, options, environ, clock
        self._supervisor, self._notifier, self._lag = supervisor, notifier, lag
        self._started_at = clock.monotonic()
        self._prepared = prepared
        source = ConfigSource(lambda: options.files(home, environ), lambda: options.load(home, environ))
        self.drift = DriftWatch(source, lambda: self.loaded.as_configured, clock, page)
        self.secrets = SecretWatch(self._secret_facts, lambda: secrets_used(self.loaded.settings), clock, page)
        self._changing = asyncio.Lock()
        self._engine: Engine | None = None
        self._heart: Heart | None = None
        self._backups: BackupKeeper | None = None
        self._overrule: Callable[[Loaded], Loaded] = _as_it_is

    def run_with(
        self,
        engine: Engine,
        heart: Heart,
        overrule: Callable[[Loaded], Loaded] | None = None,
        backup_keeper: BackupKeeper | None = None,
    ) -> None:
        """Hear everything from now on. ``overrule`` adds to a configuration what a venue knows better."""
        self._engine, self._heart, self._overrule = engine, heart, overrule or _as_it_is
        self.drift.settle()
        self._backups = backup_keeper

    def run_without(self, trouble: str) -> None:
        """Hear only what is heard during a boot: ``trouble`` happened, and the line is built anew."""
        self._engine = self._heart = self._backups = None
        self.is_ready, self.trouble = False, trouble

    @property
    def stopping(self) -> asyncio.Event:
        """Set once the end is asked for."""
        return self._supervisor.stopping

    @property
    def state(self) -> str:
        """The state as ``status`` shows it."""
        if self.stopping.is_set():
            return "stopping"
        if self._engine is None or not self.is_ready:
            return "starting"
        return self._engine.trading_state.value

    def status_line(self) -> str:
        """Return the state in one line, for systemd."""
        return self.state if self._engine is None else self._engine.status_line()

    # Reads ---------------------------------------------------------------------------------------------

    def facts(self) -> RuntimeFacts:
        """Return what only the daemon knows."""
        settings, engine, now = self.loaded.settings, self._engine, self._clock.monotonic()
        failed = self.journal.failed
        live = None if engine is None else engine.live
        return RuntimeFacts(
            bot=settings.bot.name,
            state=self.state,
            mode=settings.bot.mode,
            pid=os.getpid(),
            uptime_s=round(now - self._started_at, 3),
            version=__version__,
            config_hash=self.loaded.config_hash,
            venue=self._venue_facts(now),
            feed=FeedFacts(
                kind=settings.feed.kind,
                state=FeedState.WAITING.value if engine is None else engine.feeder.state.value,
                last_ts=None if engine is None or not engine.session.market_time else engine.session.market_time,
            ),
            tasks=[self._journal_facts(), *(self._task_facts(task) for task in self._supervisor.tasks)],
            errors_last_hour=logs.errors_since(Nanos(self._clock.now() - HOUR)),
            log_failures=logs.failures(),
            journal_error="" if failed is None else str(failed),
            progress_age_s=None if self._heart is None else self._heart.age_s(now),
            stops_expected=frozenset(strategy.name for strategy in settings.strategy if strategy.stop is not None),
            last_signal=None if engine is None else engine.recent.last_signal,
            last_trade=None if engine is None else engine.recent.last_trade,
            venue_equity=None if live is None else live.equity,
            residual=None if live is None else live.residual,
            mismatches=() if live is None else live.mismatches,
            reason=self.trouble,
            set_aside=() if engine is None else engine.booted.set_aside,
            drift=self.drift.facts,
            backup=BackupFacts() if self._backups is None else self._backups.facts,
            secrets=self.secrets.ending,
        )

    def _secret_facts(self) -> Sequence[SecretFacts]:
        return store_of(self.loaded.settings.secrets.texts, self.home, self._clock).facts()

    def books(self) -> BookFacts | None:
        """Return what the line knows, or ``None`` until it has recovered."""
        return None if self._engine is None else self._engine.books()

    def standing(self) -> Standing:
        """Return what the journal does not hold."""
        return Standing() if self._engine is None else self._engine.standing()

    def risk_facts(self) -> RiskFacts:
        """Return what the book and its limits say."""
        return self._running().risk_facts()

    def flat_facts(self) -> FlatFacts:
        """Return what a flattening has left."""
        if self.halt_wish is not None and not self.is_ready:
            # What was asked for has not begun: whatever is said before it is of an earlier one.
            return FlatFacts(is_flat=False, stuck="the daemon recovers")
        return self._running().flat_facts()

    # Acts ----------------------------------------------------------------------------------------------

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        """Run a command through the line and return its answer once it is durable."""
        return await self._running().command(verb, arguments)

    def scoped(self, arguments: Mapping[str, str]) -> Mapping[str, str]:
        """Return ``arguments`` of a halt or a stop with what a flattening spares: as asked, else as configured.

        Raises ``UsageError``.
        """
        asked = {key: text for key, text in arguments.items() if key != "all"}
        if "own" in asked and "all" in arguments:
            raise UsageError("all, or only what is ours", mend="give one of --all and --own")
        is_own = self.loaded.settings.risk.flatten == "own" and "all" not in arguments
        return asked | {"own": "true"} if is_own and asked.get("flatten") == "true" else asked

    def halt_at_boot(self, arguments: Mapping[str, str]) -> None:
        """Halt with ``arguments`` as soon as recovery is done; who asked once to flatten need not ask again."""
        self.halt_wish = {"reason": "operator: halt during recovery", **(self.halt_wish or {}), **arguments}

    async def stop(self, *, flatten: bool, own: bool = False) -> None:
        """Begin the end; with ``flatten`` close all positions first. Raises ``TimedOut``, ``RefusedByRule``."""
        if self._engine is None and flatten:
            raise Unavailable(
                "the daemon recovers: it cannot close anything yet", mend="tradebot halt --flatten is heard"
            )
        if self._engine is not None and not self.stopping.is_set():
            await self._engine.stop(flatten=flatten, own=own)
            self.is_stop_recorded = True
        self.stopping.set()

    async def reload(self, author: Author) -> Mapping[str, Json]:
        """Read the configuration again and apply what can be. Raises ``ConfigError`` when a part of it cannot."""
        engine = self._running()
        async with self._changing:
            return await self._reload_told(engine, author)

    async def rollback(self, wanted: str, author: Author) -> Mapping[str, Json]:
        """Put the configuration with the hash ``wanted``, else the one before, back into the files, and apply it.

        What needs a restart is written and not applied. Raises ``RefusedByRule`` where limits would be loosened while
        trading is not halted, and ``ConfigError``; nothing is changed then.
        """
        engine = self._running()
        async with self._changing:
            revision = find_revision(await self._revisions(), wanted)
            target, running = revision.settings(), self.loaded.as_configured
            diff = reload_diff(running, target, is_halted=engine.trading_state is TradingState.HALTED)
            refuse_loosened(diff)
            now, environ = self._clock.now(), self._environ
            done = await asyncio.to_thread(put_back, self.home, self._options, environ, target, running, now)
            applied: Mapping[str, Json] = {"applied": [], "detail": done.text}
            if diff.refused:
                keys = ", ".join(diff.refused)
                text = f"{done.text}; nothing is applied before a restart, which these need: {keys}; tradebot restart"
                applied = {"applied": [], "detail": text}
                await self.drift.look()
            else:
                try:
                    applied = await self._reload_told(engine, author)
                except TradebotError:
                    await asyncio.to_thread(done.undo)
                    raise
                applied = {**applied, "detail": f"{done.text}; {applied['detail']}"}
            return {**applied, "hash": revision.hash, "file": str(done.rewrite.path), "restart": list(diff.refused)}

    async def reload_by_signal(self) -> None:
        """Reload, and only log what is wrong."""
        try:
            await self.reload(Author(os.geteuid(), "signal"))
        except TradebotError as error:
            log(LogEvent.CONFIG_REFUSED, level="error", error=str(error))

    async def config_diff(self) -> list[Document]:
        """Return what the files say otherwise than what is in force. Raises ``ConfigError``."""
        return [one._asdict() for one in await asyncio.to_thread(self.drift.differences)]

    async def config_history(self) -> list[Document]:
        """Return the configurations that were in force, the newest first."""
        return [one.row() for one in reversed(await self._revisions())]

    async def backup(self) -> Mapping[str, Json]:
        """Write a verified copy of the journal."""
        path = await (backup(self.journal) if self._backups is None else self._backups.make(is_asked=True))
        return {"file": str(path), "detail": f"verified backup {path}"}

    async def rotate(self, secret: str) -> Mapping[str, Json]:
        """Use the next value of a secret in place of the present one; what refuses it leaves the present one.

        Raises ``UsageError`` for a secret that nothing here uses, and what ``KeyRotation.rotate`` raises.
        """
        engine = self._running()
        rotating = Rotating(self.home, self.loaded.settings, self.journal, self._clock)
        return await rotating.rotate(secret, engine.rotation)

    async def back_up_last(self) -> None:
        """Make a backup at the end of an orderly run."""
        if self._backups is not None:
            await self._backups.make_last()

    async def verify(self) -> Mapping[str, Json]:
        """Check all that is on the disk, in slices."""
        return verification(await verify_running(self.journal))

    async def disk_low(self, free_mb: int) -> None:
        """Add to no position while the disk is nearly full."""
        engine = self._running()
        if engine.trading_state is TradingState.RUNNING:
            await engine.command(Verb.REDUCE_ONLY, {"reason": f"only {free_mb} MB of disk are free"})

    async def _revisions(self) -> list[Revision]:
        return read_revisions([row async for row in self.journal.scan(Query(kinds=(CONFIG,)))])

    async def _reload_told(self, engine: Engine, author: Author) -> Mapping[str, Json]:
        self._notifier.reloading(int(self._clock.monotonic() * 1e6))
        try:
            return await self._reload(engine, author)
        finally:
            self._notifier.ready(self.status_line())
            await self.drift.look()

    async def _reload(self, engine: Engine, author: Author) -> Mapping[str, Json]:
        new = self._overrule(self._options.load(self.home, self._environ))
        is_halted = engine.trading_state is TradingState.HALTED
        diff = reload_diff(self.loaded.settings, new.settings, is_halted=is_halted)
        if diff.refused:
            keys = "; ".join(f"{key} {why}" for key, why in diff.refused.items())
            log(LogEvent.CONFIG_REFUSED, level="warning", error=keys)
            raise ConfigError(f"nothing was applied: {keys}", where="reload", mend="restart, or put these keys back")
        # What may fail comes before anything is changed.
        change_alerts = await asyncio.to_thread(self._prepared, new.settings)
        async with engine.runner.gate:
            if diff.applicable:
                await self.journal.committed(record_config(new, diff.applicable, engine.session, self.journal, author))
            engine.risk.set_limits(build_limits(new.settings.risk, new.settings.bot.mode))
        self.loaded = engine.keeper.loaded = new
        await asyncio.to_thread(keep_config, self.home, new.files, self._clock.now())
        logs.configure(self.home, new.settings.log, self._environ)
        change_alerts()
        log(LogEvent.CONFIG_RELOADED, changed=list(diff.applicable), config_hash=new.config_hash)
        detail = f"applied: {', '.join(diff.applicable)}" if diff.applicable else "nothing changed"
        return {"detail": detail, "config_hash": new.config_hash, "applied": list(diff.applicable)}

    def _running(self) -> Engine:
        if self._engine is None:
            raise Unavailable("the daemon recovers", mend="ask again in a moment")
        return self._engine

    def _venue_facts(self, now_s: float) -> VenueFacts:
        engine = self._engine
        live = None if engine is None else engine.live
        last_at = None if engine is None else engine.feeder.last_message_at
        return VenueFacts(
            kind=self.loaded.settings.venue.kind,
            network="none" if live is None else live.network,
            connected=live.is_connected if live is not None else not self._awaits_venue(),
            last_message_age_s=None if last_at is None else round(now_s - last_at, 3),
            budget=None if live is None else live.budget,
            actions_left=None if live is None else live.actions_left,
            margin_used=Cash(ZERO) if engine is None else engine.margin_used,
        )

    def _awaits_venue(self) -> bool:
        # What is live is not there before the venue has answered.
        return isinstance(self.loaded.settings.feed, LiveFeedSettings)

    def _journal_facts(self) -> TaskFacts:
        # It has a thread and no task, but what waits for the disk is the one queue that a slow machine fills.
        journal = self.journal
        return TaskFacts(
            name="journal",
            state=(TaskState.RUNNING if journal.failed is None else TaskState.FAILED).value,
            restarts=0,
            queue=journal.last_seq - journal.durable_seq,
            when_full="the feed waits",
            lag_ms=self._lag_ms,
        )

    def _task_facts(self, task: SupervisedTask) -> TaskFacts:
        return TaskFacts(
            name=task.spec.name,
            state=task.state.value,
            restarts=task.restarts,
            queue=task.spec.queue_size(),
            when_full=task.spec.when_full,
            lag_ms=self._lag_ms,
        )

    @property
    def _lag_ms(self) -> float:
        return round(self._lag.worst_s * 1e3, 1)


def _as_it_is(loaded: Loaded) -> Loaded:
    return loaded
