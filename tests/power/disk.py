"""What a disk holds after a power cut, from the record of what a process did to its files.

A file's content is safe once it was synced, a name once its folder was. Of what was not, a cut takes any part: of a
file's writes and truncations any may have reached the disk, in any order, torn at 512 bytes; of the changes to the
names of one folder only a beginning, in order, for a file system keeps a journal of those. A name may so be there
before its content is. That is less than ext4, xfs and btrfs promise.
"""

import random
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
_HEAD = struct.Struct("<IIQq")


class Op(IntEnum):
    """The operations of ``recorder.c``."""

    OPEN = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    RENAME = 5
    UNLINK = 6
    MKDIR = 7
    MARK = 8


class Record(NamedTuple):
    """One operation; ``number`` is that of the file, or of a mark its kind; ``offset`` a size, or a mark's value."""

    op: Op
    number: int
    offset: int
    content: bytes


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file that ``recorder.c`` wrote."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        op, length, number, offset = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        yield Record(Op(op), number, offset, content[at : at + length])
        at += length


class _File:
    """A file: what of it is safe, and what was done to it since."""

    def __init__(self) -> None:
        self.safe = bytearray()
        self.pending: list[tuple[bool, int, bytes]] = []

    def sync(self) -> None:
        for is_write, at, content in self.pending:
            _do(self.safe, is_write, at, content)
        self.pending.clear()

    def after_cut(self, chance: random.Random) -> bytes:
        if not self.pending:
            return bytes(self.safe)
        left = bytearray(self.safe)
        for is_write, at, content in self.pending:
            if not is_write:
                if chance.random() < 0.5:
                    _do(left, False, at, content)
                continue
            # A sector is a piece of the file, wherever the write began.
            start = 0
            while start < len(content):
                end = start + SECTOR - (at + start) % SECTOR
                if chance.random() < 0.5:
                    _do(left, True, at + start, content[start:end])
                start = end
        return bytes(left)


def _do(content: bytearray, is_write: bool, at: int, data: bytes) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if is_write:
        content[at : at + len(data)] = data
    else:
        del content[at:]


class _Folder:
    """The names of a folder: those that are safe, and what was done to them since, a step at a time."""

    def __init__(self) -> None:
        self.safe: dict[str, _File] = {}
        self.pending: list[dict[str, _File | None]] = []

    def sync(self) -> None:
        for step in self.pending:
            _apply(self.safe, step)
        self.pending.clear()

    def after_cut(self, chance: random.Random) -> dict[str, _File]:
        names = dict(self.safe)
        for step in self.pending[: chance.randint(0, len(self.pending))]:
            _apply(names, step)
        return names


def _apply(names: dict[str, _File], step: dict[str, _File | None]) -> None:
    for name, file in step.items():
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


class Disk:
    """The files below ``root`` while a process writes, and what a cut at this moment would leave of them."""

    def __init__(self, root: str) -> None:
        self._root = root
        # What the process sees: its names, and the files that it holds open by their numbers.
        self._names: dict[str, _File] = {}
        self._numbers: dict[int, _File | str] = {}
        self._folders: dict[str, _Folder] = {root: _Folder()}

    def see(self, record: Record) -> None:
        """Let the process do ``record``."""
        match record.op:
            case Op.OPEN:
                self._open(record)
            case Op.WRITE | Op.TRUNCATE:
                file = self._numbers[record.number]
                assert isinstance(file, _File)
                file.pending.append((record.op is Op.WRITE, record.offset, record.content))
            case Op.SYNC:
                synced = self._numbers[record.number]
                (synced if isinstance(synced, _File) else self._folders[synced]).sync()
            case Op.RENAME:
                self._rename(*record.content.decode().split("\0"))
            case Op.UNLINK:
                path = record.content.decode()
                self._names.pop(path, None)
                self._step(path, None)
            case Op.MKDIR:
                # A folder counts as there: what is lost with it are its names, and they are lost anyway.
                self._folders.setdefault(record.content.decode(), _Folder())

    def _open(self, record: Record) -> None:
        path = record.content.decode()
        if path in self._folders:
            self._numbers[record.number] = path
            return
        file = self._names.get(path)
        if file is None:
            file = self._names[path] = _File()
            self._step(path, file)
        self._numbers[record.number] = file
        if record.offset:
            file.pending.append((False, 0, b""))

    def _step(self, path: str, file: _File | None) -> None:
        folder, _, name = path.rpartition("/")
        self._folders[folder].pending.append({name: file})

    def _rename(self, source: str, target: str) -> None:
        file = self._names.pop(source, None)
        if file is None:
            # A socket: it means nothing after a cut.
            return
        self._names[target] = file
        from_folder, _, old = source.rpartition("/")
        to_folder, _, new = target.rpartition("/")
        if from_folder == to_folder:
            self._folders[to_folder].pending.append({old: None, new: file})
        else:
            self._step(target, file)
            self._step(source, None)

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return what is left: path below the root, and content."""
        left: dict[str, bytes] = {}
        for path, folder in self._folders.items():
            below = path.removeprefix(self._root).lstrip("/")
            for name, file in folder.after_cut(chance).items():
                left[f"{below}/{name}" if below else name] = file.after_cut(chance)
        return left
