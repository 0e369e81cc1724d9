"""The proof of a backup: it is restored in a folder of its own, and recovery must come to the state it has with it."""

import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tradebot.model.errors import StorageFailed, TradebotError
from tradebot.ports import Clock
from tradebot.runtime.boot import repeat
from tradebot.store.backups import backups, snapshot_in
from tradebot.store.journal import SqliteJournal
from tradebot.store.pruning import anchored
from tradebot.store.schema import JOURNAL_NAME
from tradebot.store.snapshot import Snapshot, peek_snapshots

_MANY_ROWS = 50_000


async def prove(file: Path, clock: Clock) -> int:
    """Restore the backup ``file`` beside it, verify it wholly, and run its inputs again; return how many rows.

    They are run from the state that an older backup has with it, so that the whole past need not be. Raises
    ``StorageFailed`` and what a boot raises.
    """
    with TemporaryDirectory(prefix=".drill-", dir=file.parent) as name:
        path = Path(name) / JOURNAL_NAME
        shutil.copyfile(file, path)
        journal = await SqliteJournal.open(path, clock, full=True)
        try:
            if journal.opened.damage:
                raise StorageFailed(journal.opened.damage[0], where=str(file), mend="choose another backup")
            return await _prove(file, journal)
        finally:
            await journal.close()


async def _prove(file: Path, journal: SqliteJournal) -> int:
    said = snapshot_in(file)
    if said is None:
        return 0
    begin = await _begin(file, journal, said)
    try:
        body = await repeat(journal, begin, said.seq)
    except TradebotError as error:
        raise StorageFailed(f"the backup cannot be recovered: {error}", where=str(file)) from error
    if body != said.body:
        raise StorageFailed(f"recovered, row {said.seq} gives another state than the bot had", where=str(file))
    return said.seq - (0 if begin is None else begin.seq)


async def _begin(file: Path, journal: SqliteJournal, said: Snapshot) -> Snapshot | None:
    """Return the best place to begin at: an older state, so that inputs are run again, but not more than needed."""
    pruned_seq, anchor = await anchored(journal)
    older = [_found_in(path) for path in backups(file.parent.parent) if path < file]
    known = (*older, *reversed(peek_snapshots(file.parent.parent).valid), anchor)
    for found in known:
        if found is not None and pruned_seq <= found.seq < said.seq:
            return found
    # Without one the beginning will do, unless that is far; its own state must at least load, and save the same.
    return None if pruned_seq == 0 and said.seq < _MANY_ROWS else said


def _found_in(path: Path) -> Snapshot | None:
    # One that is damaged is no place to begin at; it is judged for itself.
    with suppress(StorageFailed):
        return snapshot_in(path)
    return None
