"""Looking after the state on disk."""

import asyncio
import json
from pathlib import Path

from tradebot.cli.context import Context
from tradebot.control import client
from tradebot.model.errors import LockHeld, NotRunning, StorageFailed, UsageError
from tradebot.runtime.clock import SystemClock
from tradebot.store import upkeep
from tradebot.store.backups import BACKUPS
from tradebot.store.backups import backup as copy_journal
from tradebot.store.journal import SqliteJournal
from tradebot.store.lock import HomeLock
from tradebot.store.schema import JOURNAL_NAME
from tradebot.store.snapshot import peek_snapshots
from tradebot.store.verification import verification
from tradebot.store.verification import verify as verify_stopped

_LONG_S = 600.0


def verify(context: Context) -> int:
    """Check the journal, the snapshots and the newest backup, wholly."""
    try:
        found = json.loads(client.act(context.socket, "verify", timeout=_LONG_S))
    except NotRunning:
        _need_journal(context)
        with _locked(context):
            found = verification(verify_stopped(context.home))
    problems = found["problems"]
    if context.is_json:
        context.write_json(found)
    elif not problems:
        context.write(f"sound: {found['rows']} rows, {found['snapshots']} snapshots, {found['backups']} backups")
    if problems:
        mend = "tradebot state restore FILE puts a backup in place; tradebot start mends what it can"
        raise StorageFailed("; ".join(problems), where=str(context.home), mend=mend)
    return 0


def backup(context: Context) -> int:
    """Write a verified copy of the journal, through the daemon when it runs."""
    try:
        document = json.loads(client.act(context.socket, "backup", timeout=_LONG_S))
    except NotRunning:
        _need_journal(context)
        with _locked(context):
            path = asyncio.run(_backup_stopped(context.home))
        document = {"file": str(path), "detail": f"verified backup {path}"}
    if context.is_json:
        context.write_json(document)
    else:
        context.write(str(document.get("detail", "")))
    return 0


def restore(context: Context) -> int:
    """Put a backup in place of the journal; what was there is kept."""
    file = Path(context.given.text("file") or "").absolute()
    if not file.is_file():
        raise UsageError("there is no such file", where=str(file), mend=f"look into {context.home / BACKUPS}")
    with _locked(context):
        kept = upkeep.restore(context.home, file)
    return _tell_kept(context, "restored", kept)


def reset(context: Context) -> int:
    """Begin afresh: the journal and the snapshots are put aside."""
    _need_journal(context)
    with _locked(context):
        kept = upkeep.reset(context.home)
    return _tell_kept(context, "reset", kept)


def _tell_kept(context: Context, done: str, kept: Path) -> int:
    if context.is_json:
        context.write_json({"done": done, "kept": str(kept)})
    else:
        context.write(f"{done}; kept in {kept}")
    return 0


def _locked(context: Context) -> HomeLock:
    peer = client.find_peer(context.socket)
    if peer is not None:
        mend = "stop it first: tradebot stop"
        raise LockHeld(f"the daemon runs: pid {peer.pid}", where=str(context.home), mend=mend)
    return HomeLock(context.home)


def _need_journal(context: Context) -> None:
    path = context.home / JOURNAL_NAME
    if not path.exists():
        raise UsageError("there is no state here", where=str(context.home), mend="is --home right?")


async def _backup_stopped(home: Path) -> Path:
    journal = await SqliteJournal.open(home / JOURNAL_NAME, SystemClock())
    try:
        kept = peek_snapshots(home, journal.last_seq).valid
        return await copy_journal(journal, kept[0] if kept else None)
    finally:
        await journal.close()
