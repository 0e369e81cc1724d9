"""What both ends of the control socket agree on: routes, limits, errors and where the socket is.

HTTP/1.1 over a Unix socket, one request a connection. ``GET /v1/<view>`` reads, ``POST /v1/<verb>`` acts; the
arguments of a verb are a flat JSON object. Standard library only: the quick commands import this first.
"""

import json
import os
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tradebot.model.errors import (
    ConfigError,
    DataError,
    InvariantError,
    LockHeld,
    NotPermitted,
    NotRunning,
    RefusedByRule,
    Rejected,
    StorageFailed,
    StrategyError,
    TimedOut,
    TradebotError,
    Unavailable,
    Unreadable,
    UsageError,
    VenueError,
)

PREFIX = "/v1/"
MAX_FRAME = 64 * 1024
"""Bytes of one request, head and body together."""
MAX_CONNECTIONS = 8
MAX_STREAMS = 4
"""Answers in lines under way at once, so that slow readers never keep an operator out."""
REQUEST_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 30.0
"""A reader that takes nothing for this long is hung up on."""
MAX_ARGUMENT = 1024
MAX_SOCKET_PATH = 107
"""Bytes; a socket address has room for 108 with the final zero."""
SOCKET_NAME = "control.sock"
POINTER_NAME = "control.path"
"""The file in the home that names the socket when it is somewhere else."""

VIEWS: Mapping[str, tuple[str, ...]] = {
    "status": (),
    "health": (),
    "positions": (),
    "orders": (),
    "balance": (),
    "signals": ("limit",),
    "why": ("of", "limit"),
    "risk": (),
    "report": ("since", "until", "by"),
    "page": ("since", "until", "by"),
    "trades": ("since", "until"),
    "logs": ("n", "level", "event"),
    "flatness": (),
    "config-diff": (),
    "config-history": (),
}
"""What can be read, and the names its query may hold."""

VERBS: Mapping[str, tuple[str, ...]] = {
    "pause": (),
    "resume": ("reason",),
    "reduce-only": (),
    "halt": ("flatten", "own", "all", "reason"),
    "close": ("symbol", "fraction"),
    "cancel": ("id", "all"),
    "stop": ("flatten", "own", "all"),
    "reload": (),
    "rollback": ("hash",),
    "backup": (),
    "rotate": ("secret",),
    "verify": (),
}
"""What can be done, and the names its arguments may have. A flag is ``"true"`` or absent."""

FLAGS = frozenset({"flatten", "own", "all"})
"""The arguments that are true or false: a word that is neither is refused, never taken for false."""


class Peer(NamedTuple):
    """The process at the other end, as the kernel vouches for it."""

    pid: int
    uid: int
    gid: int


class Code(NamedTuple):
    """One kind of error: its name in the error document, its class and its HTTP status."""

    name: str
    error: type[TradebotError]
    status: int


# A subclass stands before its base: the first match wins.
CODES: tuple[Code, ...] = (
    Code("usage", UsageError, 400),
    Code("config", ConfigError, 422),
    Code("data", DataError, 422),
    Code("not_running", NotRunning, 503),
    Code("timed_out", TimedOut, 504),
    Code("refused", RefusedByRule, 409),
    Code("lock_held", LockHeld, 423),
    Code("storage", StorageFailed, 507),
    Code("not_permitted", NotPermitted, 403),
    Code("unavailable", Unavailable, 503),
    Code("rejected", Rejected, 502),
    Code("unreadable", Unreadable, 502),
    Code("venue", VenueError, 502),
    Code("strategy", StrategyError, 500),
    Code("internal", InvariantError, 500),
    Code("error", TradebotError, 500),
)

URGENT_WORDS = frozenset({"halt", "flatness"})
"""What is not to wait for a strategy: who asks for it sends ``URGENT`` until there is an answer."""
URGENT = signal.SIGURG
"""Ends a strategy's call of more than a moment; a process that does not know it is not harmed."""


def code_of(error: TradebotError) -> Code:
    """Return the kind of ``error``."""
    return next(code for code in CODES if isinstance(error, code.error))


def error_document(error: TradebotError) -> bytes:
    """Return ``error`` as the JSON document every failed request gets."""
    fields = {"code": code_of(error).name, "what": error.what, "where": error.where, "mend": error.mend}
    return json.dumps({"error": fields}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def error_from(status: int, body: bytes) -> TradebotError:
    """Return the error that ``error_document`` made ``body`` of; anything else is ``Unreadable``."""
    try:
        fields = json.loads(body)["error"]
        name, what = fields["code"], str(fields["what"])
        where, mend = str(fields.get("where", "")), str(fields.get("mend", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Unreadable(f"the daemon answered {status} with {body[:200]!r}", mend="is it of this version?")
    error = next((code.error for code in CODES if code.name == name), TradebotError)
    return error(what, where=where, mend=mend)


def socket_path(home: Path, environ: Mapping[str, str]) -> Path:
    """Return where the daemon of ``home`` binds its socket; makes the short directory when one is needed."""
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    path = (Path(runtime) if runtime else home.absolute()) / SOCKET_NAME
    if _fits(path):
        return path
    from hashlib import blake2b

    name = blake2b(os.fsencode(home.absolute()), digest_size=8).hexdigest()
    return runtime_directory(environ) / f"{name}.sock"


def find_socket(home: Path, environ: Mapping[str, str]) -> Path:
    """Return where a client finds the socket of ``home``, whether or not a daemon runs."""
    beside = home.absolute() / SOCKET_NAME
    if _fits(beside) and beside.exists():
        return beside
    pointed = _read_pointer(home)
    return pointed if pointed is not None else socket_path(home, environ)


def runtime_directory(environ: Mapping[str, str]) -> Path:
    """Return a short directory of our own, 0700, made when missing.

    Raises ``NotPermitted`` when somebody else owns it or may write to it.
    """
    parent = environ.get("XDG_RUNTIME_DIR", "")
    path = Path(parent) / "tradebot" if parent else Path(f"/tmp/tradebot-{os.getuid()}")  # noqa: S108  # checked to be ours below  # nosec B108
    if not _fits(path / ("0" * 16 + ".sock")):
        path = Path(f"/tmp/tradebot-{os.getuid()}")  # noqa: S108  # checked to be ours below  # nosec B108
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise NotPermitted(
            f"no runtime directory: {error.strerror}", where=str(path), mend="set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NotPermitted(
            "the runtime directory is not ours alone", where=str(path), mend=f"remove it, or chmod 700 {path}"
        )
    return path


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= MAX_SOCKET_PATH


def _read_pointer(home: Path) -> Path | None:
    try:
        handle = os.open(home / POINTER_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(handle, 4096)
    except OSError:
        return None
    finally:
        os.close(handle)
    path = Path(os.fsdecode(text.strip()))
    return path if path.is_absolute() and _fits(path) else None
