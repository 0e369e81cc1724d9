"""Snapshots of the state: checksummed, replaced in one step, the two before kept.

A snapshot is only a cache of what the journal holds: one that cannot be used is put aside and said, and
an older one, or the whole journal, takes its place.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from tradebot.model.errors import StorageFailed
from tradebot.store.integrity import sync_folder

SCHEMA = 1
NAMES = ("state.json", "state.json.1", "state.json.2")
_KEYS = {"schema", "seq", "config_hash", "sha256", "body"}
_PREFIX = ".state-"
_NEWER = "it has schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state after row ``seq`` of the journal; ``body`` is JSON, exactly as it was given."""

    seq: int
    config_hash: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSnapshot:
    """A snapshot that cannot be used, and why; ``path`` is where it is now."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """What was found: ``valid`` newest first, and what was put aside."""

    valid: Sequence[Snapshot]
    rejected: Sequence[RejectedSnapshot]


def write_snapshot(home: Path, seq: int, config_hash: str, body: bytes) -> None:
    """Make ``body`` the newest snapshot, durably; a kill or a power cut leaves the old or the new one.

    Raises ``StorageFailed``; the older ones are there all the same.
    """
    envelope = pack(Snapshot(seq=seq, config_hash=config_hash, body=body))
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=_PREFIX, dir=home)
        with os.fdopen(descriptor, "wb") as file:
            file.write(envelope)
            file.flush()
            os.fsync(descriptor)
        _rotate(home)
        os.replace(temporary, home / NAMES[0])
        sync_folder(home)
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise StorageFailed(f"cannot write the snapshot: {error.strerror}", where=str(home)) from error


def pack(snapshot: Snapshot) -> bytes:
    """Return ``snapshot`` as JSON under its checksum, as its file holds it."""
    seq, config_hash, body = snapshot.seq, snapshot.config_hash, snapshot.body
    head = {"schema": SCHEMA, "seq": seq, "config_hash": config_hash}
    return orjson.dumps(head | {"sha256": _checksum(seq, config_hash, body), "body": body.decode()})


def unpack(raw: bytes, newest_seq: int | None) -> Snapshot | str:
    """Return the snapshot that ``pack`` made ``raw`` of, or why it is of no use to a journal up to ``newest_seq``."""
    try:
        envelope = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return f"it is not JSON: {error}"
    if not isinstance(envelope, dict):
        return "it is not a snapshot"
    schema = envelope.get("schema")
    if type(schema) is int and schema > SCHEMA and type(envelope.get("sha256")) is str:
        return f"{_NEWER} {schema}; this program knows up to {SCHEMA}"
    if envelope.keys() != _KEYS or schema != SCHEMA:
        return "it is not a snapshot"
    return _opened(envelope, newest_seq)


def load_snapshots(home: Path, newest_seq: int | None = None) -> Snapshots:
    """Read the snapshots under ``home``, newest first.

    ``newest_seq`` is the journal's last row: a snapshot beyond it knows what the journal has lost, so it
    is of no use. Those that are damaged or beyond are renamed to ``*.bad``; one written by a newer program
    is left where it is. Raises ``StorageFailed`` when the disk cannot be read.
    """
    for leftover in home.glob(f"{_PREFIX}*"):
        leftover.unlink(missing_ok=True)
    found = peek_snapshots(home, newest_seq)
    return Snapshots(valid=found.valid, rejected=[_put_aside(rejected) for rejected in found.rejected])


def peek_snapshots(home: Path, newest_seq: int | None = None) -> Snapshots:
    """Read the snapshots as ``load_snapshots`` does, but change nothing."""
    valid: list[Snapshot] = []
    rejected: list[RejectedSnapshot] = []
    for name in NAMES:
        path = home / name
        try:
            read = unpack(path.read_bytes(), newest_seq)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageFailed(f"cannot read the snapshot: {error.strerror}", where=str(path)) from error
        if isinstance(read, Snapshot):
            valid.append(read)
        else:
            rejected.append(RejectedSnapshot(path=path, reason=read))
    return Snapshots(valid=sorted(valid, key=lambda found: -found.seq), rejected=rejected)


def _checksum(seq: int, config_hash: str, body: bytes) -> str:
    return sha256(f"{SCHEMA} {seq} {config_hash}\n".encode() + body).hexdigest()


def _rotate(home: Path) -> None:
    newest, older, oldest = (home / name for name in NAMES)
    for old, new in ((older, oldest), (newest, older)):
        if old.exists():
            os.replace(old, new)


def _opened(envelope: Mapping[str, Any], newest_seq: int | None) -> Snapshot | str:
    seq, config_hash, text = envelope["seq"], envelope["config_hash"], envelope["body"]
    if type(seq) is not int or type(config_hash) is not str or type(text) is not str:
        return "it is not a snapshot"
    body = text.encode()
    if _checksum(seq, config_hash, body) != envelope["sha256"]:
        return "it does not match its checksum"
    if newest_seq is not None and seq > newest_seq:
        return f"it was taken after row {seq}, but the journal ends at {newest_seq}"
    return Snapshot(seq=seq, config_hash=config_hash, body=body)


def _put_aside(rejected: RejectedSnapshot) -> RejectedSnapshot:
    path = rejected.path
    if rejected.reason.startswith(_NEWER):
        return rejected
    aside = path.with_name(path.name + ".bad")
    try:
        os.replace(path, aside)
    except OSError as error:
        raise StorageFailed(f"cannot put aside a bad snapshot: {error.strerror}", where=str(path)) from error
    return RejectedSnapshot(path=aside, reason=rejected.reason)
