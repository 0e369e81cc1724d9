"""From a home directory to a session that stands where the last one fell."""

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from tradebot.log import log
from tradebot.model.errors import ConfigError
from tradebot.model.failure import LineFailed
from tradebot.model.logevent import LogEvent
from tradebot.pipeline.line import Line
from tradebot.ports import Clock
from tradebot.runtime.anchors import Anchors, UnusableSnapshot
from tradebot.runtime.config_rows import CONFIG, Author, code_digest, record_config, restored
from tradebot.runtime.quarantine import Failure, read_failures, set_aside
from tradebot.runtime.recording import REAL, Recorder
from tradebot.runtime.recovery import TurnFailed, replay_tail
from tradebot.runtime.session import Session
from tradebot.runtime.wiring import Wired, wire
from tradebot.settings.difference import changed_keys
from tradebot.settings.load import Loaded
from tradebot.settings.model import StoreSettings
from tradebot.store.codec import BadRecord
from tradebot.store.disk import fill_reserve
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import JOURNAL_NAME
from tradebot.store.snapshot import Snapshot, peek_snapshots

BOOT = "boot"
_LONGEST_REASON = 400
_MOST_FAILURES = 8
_RESET = "put it back as it was, or start afresh with: tradebot state reset"


@dataclass(slots=True, kw_only=True)
class Booted:
    """A recovered line, ready for its tasks.

    ``failed`` is what made the line fail since it last came up, or while it was recovered; ``None``: nothing did.
    ``set_aside`` is all that was ever left out, the oldest first.
    """

    wired: Wired
    session: Session
    recorder: Recorder
    turns: int = 0
    failed: LineFailed | None = None
    set_aside: Sequence[LineFailed] = ()


@dataclass(frozen=True, slots=True)
class _Reign:
    """A configuration, the code that ran under it, and the rows it was in force for, both ends exclusive."""

    loaded: Loaded
    code: str
    after_seq: int
    before_seq: int


async def open_journal(home: Path, store: StoreSettings, clock: Clock) -> SqliteJournal:
    """Open the journal of ``home``, with room kept on the disk for its end. Raises ``StorageFailed``."""
    fill_reserve(home, store.reserve_mb, store.min_free_mb)
    # What lies before the newest snapshot was verified when it was young.
    newest = peek_snapshots(home).valid
    verify_from = newest[0].seq if newest else 0
    journal = await SqliteJournal.open(home / JOURNAL_NAME, clock, verify_from=verify_from)
    for damage in journal.opened.damage:
        log(LogEvent.JOURNAL_QUARANTINED, level="error", damage=damage)
    return journal


async def boot(home: Path, loaded: Loaded, journal: SqliteJournal, progress: Callable[[], None]) -> Booted:
    """Recover the session of ``home``; the configuration takes over once the old ones have run their rows.

    An input that makes the line fail is set aside. Raises ``ConfigError`` when the feed changed, ``InvariantError``
    when the past does not repeat, ``StorageFailed`` when too little is left to begin from.
    """
    failed = 0
    anchors = await Anchors.find(home, journal)
    while True:
        progress()
        try:
            booted = await _recover(loaded, journal, anchors.best)
        except UnusableSnapshot as error:
            anchors.reject(error.what)
        except TurnFailed as error:
            log(LogEvent.LINE_FAILED, level="error", error=str(error), input=error.seq)
            failed += 1
            await _set_aside(journal, error, failed)
        else:
            await _know_failures(booted, journal)
            return booted


async def _recover(loaded: Loaded, journal: SqliteJournal, snapshot: Snapshot | None) -> Booted:
    author = Author(os.geteuid(), "start")
    reigns = await _reigns(journal, 0 if snapshot is None else snapshot.seq)
    if not reigns:
        booted = _fresh(wire(loaded), journal)
        record_config(loaded, (), booted.session, journal, author)
        return booted
    _refuse_other_venue(reigns[-1].loaded, loaded)
    booted = await _run_reigns(reigns, snapshot, journal)
    if reigns[-1].loaded.config_hash != loaded.config_hash:
        booted = _take_over(booted, loaded, journal)
        # The journal knows no secret, so nobody can say whether one changed.
        changed = changed_keys(reigns[-1].loaded.settings, loaded.settings, with_secrets=False)
        record_config(loaded, changed, booted.session, journal, author)
    elif reigns[-1].code != code_digest(booted.session):
        # What comes from here on is compared with what this code says.
        record_config(loaded, (), booted.session, journal, author)
    log(
        LogEvent.DAEMON_RECOVERED,
        snapshot_seq=0 if snapshot is None else snapshot.seq,
        turns=booted.turns,
        config_hash=loaded.config_hash,
    )
    return booted


async def _run_reigns(reigns: Sequence[_Reign], snapshot: Snapshot | None, journal: SqliteJournal) -> Booted:
    booted = _fresh(wire(reigns[0].loaded), journal)
    await _refuse_changed_data(booted, reigns[0].loaded, journal)
    if snapshot is not None:
        _load(booted.session, snapshot)
    for number, reign in enumerate(reigns):
        if number:
            booted = _take_over(booted, reign.loaded, journal)
        booted.turns += await replay_tail(
            booted.session,
            booted.recorder,
            booted.wired.strategy,
            journal,
            reign.after_seq,
            reign.before_seq,
            is_same_code=reign.code == code_digest(booted.session),
        )
    return booted


def _refuse_other_venue(past: Loaded, loaded: Loaded) -> None:
    then, now = past.settings.venue.identity, loaded.settings.venue.identity
    if then != now:
        raise ConfigError(
            f"this home tells of {then}, the configuration of {now}",
            where="[venue]",
            mend="give each account a home of its own with --home, or start afresh with: tradebot state reset",
        )


async def repeat(journal: SqliteJournal, begin: Snapshot | None, until: int) -> bytes:
    """Return the state after row ``until``, as recovery comes to it from ``begin``.

    Raises what a boot raises.
    """
    reigns = await _reigns(journal, 0 if begin is None else begin.seq, until)
    booted = await _run_reigns(reigns, begin, journal)
    return booted.session.save()


async def _reigns(journal: SqliteJournal, anchor: int, until: int | None = None) -> list[_Reign]:
    last = journal.last_seq if until is None else until
    rows = [row async for row in journal.scan(Query(kinds=[CONFIG], before_seq=last + 1))]
    if not rows:
        return []
    first = max((number for number, row in enumerate(rows) if row.seq <= anchor), default=0)
    in_force = rows[first:]
    ends = [row.seq for row in in_force[1:]] + [last + 1]
    starts = [anchor] + [row.seq for row in in_force[1:]]
    return [
        _Reign(_restored(row.payload), orjson.loads(row.payload).get("code", ""), start, end)
        for row, start, end in zip(in_force, starts, ends, strict=True)
    ]


def _restored(payload: bytes) -> Loaded:
    try:
        return restored(payload)
    except ConfigError as error:
        raise ConfigError(error.what, mend=_RESET) from error


def _take_over(past: Booted, loaded: Loaded, journal: SqliteJournal) -> Booted:
    wired = wire(loaded)
    if wired.feed.describe() != past.session.feed.describe():
        raise ConfigError("the new configuration has another feed than the journal", where="[feed]", mend=_RESET)
    booted = _fresh(wired, journal)
    booted.session.load(past.session.save())
    booted.turns = past.turns
    return booted


async def _refuse_changed_data(booted: Booted, loaded: Loaded, journal: SqliteJournal) -> None:
    rows = await journal.rows(Query(kinds=[CONFIG], newest_first=True, limit=1))
    then, now = orjson.loads(rows[0].payload)["feed"], booted.session.feed.describe()
    if then != now:
        raise ConfigError("the market data is not what it was", where=_changed(loaded, then, now), mend=_RESET)


def _changed(loaded: Loaded, then: str, now: str) -> str:
    """Return the files that changed, else how the feed is described now."""
    series = {part.partition("=")[0] for part in set(now.split(";")) - set(then.split(";"))}
    texts = getattr(loaded.settings.feed, "data", ())
    return ", ".join(text for text in texts if text.partition("=")[0] in series) or now[:_LONGEST_REASON]


def _fresh(wired: Wired, journal: SqliteJournal) -> Booted:
    recorder = Recorder(journal.append, wired.vocabulary)
    session = Session(Line(wired.stages, recorder.sinks()), wired.feed)
    return Booted(wired=wired, session=session, recorder=recorder)


def _load(session: Session, snapshot: Snapshot) -> None:
    try:
        session.load(snapshot.body)
    except (BadRecord, LookupError, ValueError, TypeError, AttributeError) as error:
        raise UnusableSnapshot(f"this version cannot load it: {error!r}"[:_LONGEST_REASON]) from error


async def _set_aside(journal: SqliteJournal, failed: TurnFailed, number: int) -> None:
    """Leave out the input that failed; when too many did, all that are left: the line is broken, not the input."""
    error = failed.__cause__ or failed
    if number > _MOST_FAILURES:
        await set_aside(journal, failed.seq, error, last=journal.last_seq)
        return
    later = await journal.rows(Query(after_seq=failed.seq, kinds=REAL.inputs, limit=1))
    await set_aside(journal, failed.seq, error, until=later[0].seq if later else 0)


async def _know_failures(booted: Booted, journal: SqliteJournal) -> None:
    failures: Sequence[Failure] = await read_failures(journal)
    booted.set_aside = tuple(failure.said for failure in failures if failure.said.first)
    boots = await journal.rows(Query(kinds=[BOOT], newest_first=True, limit=1))
    if failures and (not boots or failures[-1].row_seq > boots[0].seq):
        booted.failed = failures[-1].said


def settle_memory() -> None:
    """Spare the collector what the boot made: it lives as long as the line."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
