"""With the daemon stopped and the lock held: the state is replaced by a backup, or put aside."""

import os
import shutil
from pathlib import Path

from tradebot.model.errors import StorageFailed
from tradebot.store.backups import BACKUPS, snapshot_in
from tradebot.store.integrity import (
    finish_salvage,
    move_database,
    next_folder,
    salvaged_path,
    sync_folder,
)
from tradebot.store.schema import JOURNAL_NAME, storage_failed
from tradebot.store.snapshot import NAMES, write_snapshot
from tradebot.store.verification import verify_file


def restore(home: Path, file: Path) -> Path:
    """Make the backup ``file`` the journal of ``home``; return the folder where the state before it is kept.

    The snapshot in the backup takes the place of those that are there: all else is built again from the rows behind
    it. Raises ``StorageFailed``, and then nothing was changed.
    """
    problems: list[str] = []
    verify_file(file, problems)
    if problems:
        raise StorageFailed(f"not a sound backup: {problems[0]}", where=str(file), mend="choose another backup")
    journal = home / JOURNAL_NAME
    ready = home / f"{JOURNAL_NAME}.restored"
    try:
        shutil.copyfile(file, ready)
        ready.chmod(0o600)
        with ready.open("rb") as copied:
            os.fsync(copied.fileno())
        kept = next_folder(home / BACKUPS, "before-restore")
        _move_snapshots(home, kept)
        # From here on a restart finishes what is begun.
        ready.replace(salvaged_path(journal))
        finish_salvage(journal, kept)
        found = snapshot_in(journal)
        if found is not None:
            write_snapshot(home, found.seq, found.config_hash, found.body)
    except OSError as error:
        raise storage_failed(error, file) from error
    return kept


def reset(home: Path) -> Path:
    """Put journal and snapshots aside, for a fresh account; return the folder that keeps the old ones."""
    journal = home / JOURNAL_NAME
    try:
        finish_salvage(journal)
        kept = next_folder(home / BACKUPS, "reset")
        # Snapshots first: one that outlived its journal would be taken for the state of the new one.
        _move_snapshots(home, kept)
        move_database(journal, kept)
        sync_folder(home)
    except OSError as error:
        raise storage_failed(error, home) from error
    return kept


def _move_snapshots(home: Path, folder: Path) -> None:
    for snapshot in NAMES:
        if (home / snapshot).exists():
            (home / snapshot).replace(folder / snapshot)
    sync_folder(home)
