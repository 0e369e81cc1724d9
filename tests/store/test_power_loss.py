"""Power cuts: every write, truncation, sync and removal is logged through a VFS, and cut at a random point.

What was synced stays; of what was not, a random part reaches the disk, torn at 512 bytes. No commit that
was acknowledged may be lost, and the file must never be damaged. Removing the syncs shows that the test
can tell the difference.
"""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tradebot.store.integrity import GENESIS, Tip, verify_all
from tradebot.store.journal import _insert
from tradebot.store.schema import _SETTINGS, MIGRATIONS, Damaged, connect

apsw = pytest.importorskip("apsw", reason="needs apsw to cut the power")
Op = tuple[str, str, int, bytes]
CUTS = 150
DAMAGE = (Damaged, sqlite3.DatabaseError)


class LoggedFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], log: list[Op]) -> None:
        super().__init__("", name, flags)
        self._name = Path(name if isinstance(name, str) else name.filename()).name
        self._log = log

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # the name is SQLite's
        self._log.append(("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._log.append(("truncate", self._name, size, b""))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._log.append(("sync", self._name, 0, b""))
        super().xSync(flags)


class LoggedVFS(apsw.VFS):
    def __init__(self, name: str, log: list[Op]) -> None:
        super().__init__(name, "")
        self._log = log

    def xOpen(self, name: Any, flags: list[int]) -> LoggedFile:  # noqa: N802
        return LoggedFile(name, flags, self._log)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        self._log.append(("delete", Path(name).name, 0, b""))
        super().xDelete(name, sync_folder)


def recorded(path: Path, synchronous: str) -> tuple[list[Op], list[int]]:
    """Write commits of one to nine rows; return all that went to the disk and how far it was at each commit."""
    log: list[Op] = []
    _vfs = LoggedVFS(f"logged-{synchronous}", log)
    connection = apsw.Connection(str(path), vfs=f"logged-{synchronous}")
    for setting in _SETTINGS:
        connection.execute(setting.replace("= FULL", f"= {synchronous}").replace("1000", "20"))
    for statement in (*MIGRATIONS[0], "INSERT INTO meta VALUES ('schema', '1')"):
        connection.execute(statement)
    connection.execute("PRAGMA application_id = 0x54424F54")
    connection.execute("PRAGMA user_version = 1")
    acknowledged = [len(log)]
    tip, chance = Tip(0, GENESIS), random.Random(1)
    for _ in range(60):
        size = chance.randint(1, 9)
        batch = [(tip.seq + n, "bar", 1, 1, chance.randbytes(chance.randint(1, 900))) for n in range(1, size + 1)]
        tip = _insert(connection, tip, batch)
        acknowledged.append(len(log))
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('acked', ?)", (str(tip.seq),)).close()
    connection.close()
    return log, acknowledged


class Disk:
    """What a disk holds after a power cut: file name to bytes."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.files: dict[str, bytearray] = {}
        self._unsynced: list[Op] = []

    def apply(self, operation: Op) -> None:
        kind, name, at, data = operation
        file = self.files.setdefault(name, bytearray())
        if kind == "write":
            file.extend(bytes(max(0, at + len(data) - len(file))))
            file[at : at + len(data)] = data
        elif kind == "truncate":
            del file[at:]
        elif kind == "delete":
            self.files.pop(name, None)

    def see(self, operation: Op) -> None:
        kind, name, _, _ = operation
        if kind != "sync":
            self._unsynced.append(operation)
            return
        # The first sync of a log also syncs the folder, and with it what was removed there before.
        is_folder_synced = name not in self.files and name.endswith(("-wal", "-journal"))
        waiting, self._unsynced = self._unsynced, []
        for one in waiting:
            if one[1] == name or (one[0] == "delete" and is_folder_synced):
                self.apply(one)
            else:
                self._unsynced.append(one)

    def cut(self) -> None:
        for kind, name, at, data in self._unsynced:
            if kind != "write":
                if self._chance.random() < 0.5:
                    self.apply((kind, name, at, data))
                continue
            for start in range(0, len(data), 512):
                if self._chance.random() < 0.5:
                    self.apply((kind, name, at + start, data[start : start + 512]))


def after_cut(home: Path, log: list[Op], point: int, chance: random.Random) -> int | None:
    """Return the last row that is there after a power cut, ``None`` when the journal is damaged."""
    disk = Disk(chance)
    for operation in log[:point]:
        disk.see(operation)
    disk.cut()
    for old in home.iterdir():
        old.unlink()
    for name, content in disk.files.items():
        (home / name).write_bytes(content)
    try:
        connection = connect(home / "journal.db")
    except DAMAGE:
        return None
    with closing(connection):
        try:
            return verify_all(connection)[0].seq
        except DAMAGE:
            return None


@pytest.mark.parametrize(("synchronous", "loses"), [("FULL", False), ("NORMAL", True)])
def test_only_full_synchronisation_keeps_every_acknowledged_commit(
    tmp_path: Path, synchronous: str, loses: bool
) -> None:
    log, acknowledged = recorded(tmp_path / "journal.db", synchronous)
    rows_at = rows_of(acknowledged)
    home = tmp_path / "after"
    home.mkdir()
    chance = random.Random(7)
    damaged = lost = 0
    for _ in range(CUTS):
        point = chance.randint(acknowledged[0], len(log))
        found = after_cut(home, log, point, chance)
        promised = max(rows for at, rows in rows_at if at <= point)
        damaged += found is None
        lost += found is not None and found < promised
    assert damaged == 0
    assert (lost > 0) == loses


def rows_of(acknowledged: list[int]) -> list[tuple[int, int]]:
    """Return (operations so far, rows promised) for each commit, as ``recorded`` drew them."""
    chance, promised, rows = random.Random(1), [(acknowledged[0], 0)], 0
    for at in acknowledged[1:]:
        size = chance.randint(1, 9)
        for _ in range(size):
            chance.randbytes(chance.randint(1, 900))
        rows += size
        promised.append((at, rows))
    return promised
