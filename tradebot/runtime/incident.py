"""What happened here, as one file for whoever helps: gathered from a daemon in any state, and without its secrets.

Nothing of it may fail for what is broken: a part that cannot be had says why, and the others are there all the same.
"""

import json
import os
import platform
import re
import resource
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tradebot import __version__
from tradebot.log import LEVELS
from tradebot.model.errors import TradebotError
from tradebot.model.time import Nanos, to_ms
from tradebot.runtime.logline import redact
from tradebot.runtime.logs import log_file
from tradebot.runtime.logtail import read_log
from tradebot.settings.load import Loaded, shown_toml
from tradebot.store.disk import disk_free_mb
from tradebot.store.rows import JournalReader, Query
from tradebot.store.schema import Row

LOG_LINES = 5_000
JOURNAL_ROWS = 5_000
_MOST_BYTES = 8_000_000
_HIDDEN = b"***"
# A key of any kind, with or without 0x: also one that nobody here knows. Digests of ours are shorter, or not in parts.
_LONG_HEX = re.compile(rb"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{64}(?![0-9a-zA-Z])")
_PASSWORD_IN_URL = re.compile(rb"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)")
_URL = re.compile(r"[a-z][a-z+.-]*://[^\s\"']+")
_PIECES = re.compile(r"[/?&=]")
_FEWEST_SECRET = 8
_KEY_NAMES = ("*.key", "*.keystore", "*.pem")
_PROCESS_FACTS = ("State", "VmRSS", "VmPeak", "VmSwap", "Threads", "FDSize", "voluntary_ctxt_switches")


class BundlePart(NamedTuple):
    """One file of a bundle: its name, what it is, and its content, or why there is none."""

    name: str
    what: str
    content: bytes
    error: str = ""


Gather = Callable[[], bytes]


def part(name: str, what: str, gather: Gather) -> BundlePart:
    """Return what ``gather`` gives as a part; what keeps it from giving is told instead."""
    try:
        return BundlePart(name, what, gather())
    except TradebotError as error:
        return BundlePart(name, what, b"", error.what)
    except Exception as error:  # Whatever is broken here is what the bundle is about.
        return BundlePart(name, what, b"", f"{type(error).__name__}: {error}")


def as_json(value: object) -> bytes:
    """Return ``value`` as people read JSON."""
    return (json.dumps(value, indent=2, default=str) + "\n").encode()


def versions() -> bytes:
    """Return the versions of all that runs, installed packages included."""
    packages = {str(found.metadata["Name"]): found.version for found in metadata.distributions()}
    return as_json(
        {
            "tradebot": __version__,
            "python": sys.version,
            "sqlite": sqlite3.sqlite_version,
            "platform": platform.platform(),
            "packages": dict(sorted(packages.items(), key=lambda found: found[0].lower())),
        }
    )


def machine(home: Path) -> bytes:
    """Return room, memory and limits of the machine as this user has them."""
    status = os.statvfs(home)
    memory = Path("/proc/meminfo").read_text().splitlines()[:5]
    limits = {"files": resource.RLIMIT_NOFILE, "core": resource.RLIMIT_CORE, "file_size": resource.RLIMIT_FSIZE}
    return as_json(
        {
            "disk_free_mb": disk_free_mb(home),
            "disk_mb": status.f_blocks * status.f_frsize >> 20,
            "inodes_free": status.f_favail,
            "memory": dict(_pairs(memory)),
            "load": os.getloadavg(),
            "cpus": os.cpu_count(),
            "uptime_s": float(Path("/proc/uptime").read_text().split()[0]),
            "limits": {name: resource.getrlimit(which) for name, which in limits.items()},
        }
    )


def process(pid: int | None) -> bytes:
    """Return what the kernel says of the daemon's process: what it waits for, memory, threads, open files."""
    if pid is None:
        return as_json({"pid": None, "says": "no process holds this home"})
    folder = Path("/proc") / str(pid)
    facts = dict(_pairs((folder / "status").read_text().splitlines()))
    found: dict[str, object] = {"pid": pid} | {key: facts[key] for key in _PROCESS_FACTS if key in facts}
    with suppress(OSError):
        found["open_files"] = len(list((folder / "fd").iterdir()))
    with suppress(OSError):
        found["waits_in"] = (folder / "wchan").read_text()
    return as_json(found)


def home_files(home: Path) -> bytes:
    """Return the files of a home with size, mode and time of change; of no file what is in it."""
    found = []
    for path in sorted(home.rglob("*")):
        with suppress(OSError):
            status = path.lstat()
            name, mode = str(path.relative_to(home)), stat.filemode(status.st_mode)
            found.append({"name": name, "bytes": status.st_size, "mode": mode, "changed_s": int(status.st_mtime)})
    return as_json(found)


def configuration(loaded: Loaded) -> bytes:
    """Return the configuration as it takes effect, its secrets left out, under its hash and files."""
    head = [f"# hash {loaded.config_hash}", *(f"# {path}" for path in loaded.files)]
    return "\n".join([*head, "", shown_toml(loaded.settings)]).encode()


def log_excerpt(home: Path, since: Nanos) -> bytes:
    """Return the newest lines of the log from ``since`` on."""
    since_ms = to_ms(since)
    lines = read_log(log_file(home), n=LOG_LINES, level=LEVELS[0])
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines if _stamp(line) >= since_ms)


def journal_excerpt(path: Path, since: Nanos) -> bytes:
    """Return the newest rows of a journal nobody writes in, written from ``since`` on, oldest first, as JSON Lines."""
    rows: list[Row] = []
    with JournalReader(path) as journal:
        try:
            for row in journal.rows(Query(newest_first=True)):
                if row.ts_wall < since or len(rows) == JOURNAL_ROWS:
                    break
                rows.append(row)
        except TradebotError:
            # Of a damaged file what can be read is there.
            if not rows:
                raise
    return b"".join(map(_row_line, reversed(rows)))


def _row_line(row: Row) -> bytes:
    try:
        payload: object = json.loads(row.payload)
    except ValueError:
        payload = row.payload.decode(errors="replace")
    head = {
        "seq": row.seq,
        "kind": row.kind,
        "ts_ms": row.ts_event // 1_000_000,
        "written_ms": row.ts_wall // 1_000_000,
    }
    return json.dumps(head | {"payload": payload}).encode() + b"\n"


def _stamp(line: Mapping[str, object]) -> int:
    ts = line.get("ts")
    return ts if isinstance(ts, int) else 0


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, colon, value = line.partition(":")
        if colon:
            yield key, value.strip()


# Secrets --------------------------------------------------------------------------------------------


def secrets_of(home: Path, loaded: Loaded | None, files: Iterable[Path]) -> Sequence[bytes]:
    """Return what must not leave: secrets of the configuration, and the content of each key file in reach.

    ``files`` are those of the configuration: what they hold is found also where it cannot be loaded.
    """
    found: list[bytes] = []
    if loaded is not None:
        found += _secrets_in(loaded.settings.model_dump())
    for path in files:
        with suppress(OSError):
            found += [piece for url in _URL.findall(path.read_text(errors="replace")) for piece in _pieces(url)]
    keys = [path for pattern in _KEY_NAMES for path in home.glob(pattern)]
    key_file = getattr(loaded.settings.venue, "key_file", None) if loaded is not None else None
    for path in [*keys, *([Path(key_file)] if key_file else [])]:
        with suppress(OSError):
            content = path.read_bytes()[:_MOST_BYTES].strip()
            found += [content, content.removeprefix(b"0x")]
    return sorted({secret for secret in found if len(secret) >= _FEWEST_SECRET}, key=len, reverse=True)


def _secrets_in(tree: object) -> Iterator[bytes]:
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from _secrets_in(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _secrets_in(value)
    elif callable(reveal := getattr(tree, "get_secret_value", None)):
        secret = str(reveal())
        yield secret.encode()
        yield from _pieces(secret)


def _pieces(address: str) -> Iterator[bytes]:
    """Yield what is secret of an address: each piece but the host, which may be shown."""
    try:
        url = urlsplit(address)
    except ValueError:
        return
    if url.netloc:
        pieces = (url.username, url.password, *_PIECES.split(f"{url.path}?{url.query}"))
        yield from (piece.encode() for piece in pieces if piece)


def without_secrets(parts: Iterable[BundlePart], secrets: Sequence[bytes]) -> Iterator[BundlePart]:
    """Yield each part without ``secrets``, whatever looks like a key, and passwords in addresses."""
    for one in parts:
        error = redact(_hide(one.error.encode(), secrets).decode(errors="replace"))
        yield one._replace(content=_hide(one.content[-_MOST_BYTES:], secrets), error=error)


def _hide(content: bytes, secrets: Sequence[bytes]) -> bytes:
    for secret in secrets:
        content = content.replace(secret, _HIDDEN)
        content = content.replace(json.dumps(secret.decode(errors="replace")).encode()[1:-1], _HIDDEN)
        content = re.sub(re.escape(secret), _HIDDEN, content, flags=re.IGNORECASE)
    return _PASSWORD_IN_URL.sub(_HIDDEN, _LONG_HEX.sub(_HIDDEN, content))
