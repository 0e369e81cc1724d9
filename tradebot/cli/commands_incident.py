"""The bundle of an incident: what happened here, in one file that may be sent to whoever helps."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

from tradebot import __version__
from tradebot.cli.context import Context
from tradebot.cli.options import load_options
from tradebot.cli.spawn import ERROR_FILE
from tradebot.cli.stored import read_stored
from tradebot.control import client
from tradebot.control.holder import find_holder
from tradebot.control.when import parse_when
from tradebot.model.errors import NotRunning, StorageFailed, TimedOut, TradebotError, UsageError
from tradebot.model.time import Nanos, to_ms
from tradebot.report.shapes import Document, Json, rows
from tradebot.report.table import listing
from tradebot.runtime import incident as gathered
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.doctor import doctor_document, run_doctor
from tradebot.runtime.incident import BundlePart, part
from tradebot.settings.files import HOME_FILE
from tradebot.settings.load import Loaded
from tradebot.settings.rewriting import CONFIG_BACKUPS
from tradebot.store.backups import backups
from tradebot.store.lock import HomeLock
from tradebot.store.schema import JOURNAL_NAME
from tradebot.store.verification import verification, verify

_SINCE = "1d"
_TIMEOUT_S = 5.0
MANIFEST = "manifest.json"
# What the daemon tells, whether it is told when none runs, and what it is.
_VIEWS = (
    ("status", "json", "what the daemon does"),
    ("health", "json", "whether it is well"),
    ("positions", "json", "what is held"),
    ("orders", "jsonl", "orders at work and of late"),
    ("balance", "json", "the account's money"),
    ("risk", "json", "limits and what is used of them"),
    ("why", "jsonl", "decisions, newest first"),
    ("signals", "jsonl", "signals, newest first"),
    ("report", "json", "what was earned"),
    ("trades", "jsonl", "round trips"),
)
_STORED = frozenset({"status", "why", "signals", "report", "trades"})
_SINCE_VIEWS = frozenset({"report", "trades"})


def incident(context: Context) -> int:
    """Pack what helps to understand an incident, without any secret, into a file for its owner alone."""
    clock = SystemClock()
    now = clock.now()
    since = parse_when(context.given.text("since") or _SINCE, now)
    out = Path(context.given.text("out") or f"incident-{to_ms(now) // 1000}.tar.gz").absolute()
    if not context.home.is_dir():
        raise UsageError("there is no such home", where=str(context.home), mend="is --home right?")
    if out.exists():
        raise UsageError("the file is there already; it was left as it is", where=str(out), mend="name another: --out")
    loaded, fault = _configuration(context)
    files = loaded.files if loaded is not None else (context.home / HOME_FILE, *load_options(context).config_files)
    past = (context.home / CONFIG_BACKUPS).rglob("*.toml")
    secrets = gathered.secrets_of(context.home, loaded, [*files, *past])
    parts = list(gathered.without_secrets(_parts(context, since, loaded, fault), secrets))
    manifest = _manifest(parts, now, since)
    _write(out, [BundlePart(MANIFEST, "what each file is", gathered.as_json(manifest)), *parts])
    size = out.stat().st_size
    if context.is_json:
        context.write_json({"file": str(out), "bytes": size, **manifest})
        return 0
    keys = ("name", "bytes", "what", "error")
    contents = rows(manifest, "contents")
    context.write(listing(keys, contents, colour=context.is_colour, width=context.width))
    context.write(f"\nwrote {out}, {size} bytes; look into it before you send it: tar xzf {out.name}")
    return 0


def _configuration(context: Context) -> tuple[Loaded | None, TradebotError | None]:
    try:
        return load_options(context).load(context.home, context.environ), None
    except TradebotError as error:
        return None, error


def _parts(context: Context, since: Nanos, loaded: Loaded | None, fault: TradebotError | None) -> Iterator[BundlePart]:
    home, pid = context.home, find_holder(context.home)
    yield from _views(context, pid, since)
    yield part("doctor.json", "machine, home, configuration and venue, checked", partial(_doctor, context))
    yield part("versions.json", "program, Python, SQLite, system and packages", gathered.versions)
    yield part("configuration.toml", "the configuration in effect, without secrets", partial(_shown, loaded, fault))
    yield part("log.jsonl", "the log of that time", partial(gathered.log_excerpt, home, since))
    yield part("daemon.err", "what the daemon said besides its log", (home / "logs" / ERROR_FILE).read_bytes)
    yield from _journal(home, pid, since)
    yield part("machine.json", "disk, memory, load and limits", partial(gathered.machine, home))
    yield part("process.json", "the daemon's process", partial(gathered.process, pid))
    yield part("files.json", "the files of the home", partial(gathered.home_files, home))


def _views(context: Context, pid: int | None, since: Nanos) -> Iterator[BundlePart]:
    source = _Source(context, pid)
    for view, ending, what in _VIEWS:
        query = {"since": str(to_ms(since))} if view in _SINCE_VIEWS else {}
        yield part(f"{view}.{ending}", what, partial(source.read, view, query))


class _Source:
    """Where the views come from: the daemon, or the journal when no process holds the home.

    A daemon that was silent once is asked no more: a bundle is wanted soon.
    """

    def __init__(self, context: Context, pid: int | None) -> None:
        self._context, self._pid = context, pid
        self._silent: TimedOut | None = None

    def read(self, view: str, query: Mapping[str, str]) -> bytes:
        """Return a view. Raises ``NotRunning`` when only a daemon could tell, ``TimedOut`` when it does not."""
        if self._silent is not None:
            raise self._silent
        try:
            return client.read(self._context.socket, view, query, _TIMEOUT_S)
        except TimedOut as error:
            self._silent = error
            raise
        except NotRunning:
            if self._pid is not None or view not in _STORED:
                raise
            return (
                gathered.as_json({"state": "stopped"})
                if view == "status"
                else read_stored(self._context.home, view, query)
            )


def _doctor(context: Context) -> bytes:
    options = load_options(context)
    findings = run_doctor(
        context.home, lambda: options.load(context.home, context.environ), context.environ, SystemClock()
    )
    return gathered.as_json(doctor_document(findings))


def _shown(loaded: Loaded | None, fault: TradebotError | None) -> bytes:
    if loaded is None:
        raise fault or NotRunning("there is no configuration")
    return gathered.configuration(loaded)


def _journal(home: Path, pid: int | None, since: Nanos) -> Iterator[BundlePart]:
    """Give rows of the journal; while a daemon writes there, of its newest backup."""
    if pid is None:
        yield part("verify.json", "the journal, snapshots and newest backup, checked wholly", partial(_verified, home))
        yield part("journal.jsonl", "rows of that time in the journal", partial(_rows, home, since))
        return
    what = "rows of that time in the newest backup, for the daemon holds the journal"
    yield part("journal.jsonl", what, partial(_backed_up, home, since))


def _verified(home: Path) -> bytes:
    with HomeLock(home):
        return gathered.as_json(verification(verify(home)))


def _backed_up(home: Path, since: Nanos) -> bytes:
    copies = backups(home)
    if not copies:
        raise StorageFailed("there is no backup yet", mend="tradebot state backup writes one")
    return gathered.journal_excerpt(copies[0], since)


def _rows(home: Path, since: Nanos) -> bytes:
    with HomeLock(home):
        return gathered.journal_excerpt(home / JOURNAL_NAME, since)


def _manifest(parts: Sequence[BundlePart], now: Nanos, since: Nanos) -> Document:
    contents: list[Json] = [
        {
            "name": one.name,
            "what": one.what,
            "ok": not one.error,
            "error": one.error,
            "bytes": len(one.content),
            "sha256": sha256(one.content).hexdigest(),
        }
        for one in parts
    ]
    return {"version": __version__, "ts": to_ms(now), "since": to_ms(since), "contents": contents}


def _write(out: Path, parts: Sequence[BundlePart]) -> None:
    """Write the bundle, in the order and with the times that any other of the same parts would have."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as bundle,
    ):
        for one in parts:
            if not one.error:
                member = tarfile.TarInfo(f"incident/{one.name}")
                member.size, member.mode = len(one.content), 0o600
                bundle.addfile(member, io.BytesIO(one.content))
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritten(out, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(packed.getbuffer())
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            out.unlink()
        raise _unwritten(out, error) from error


def _unwritten(out: Path, error: OSError) -> StorageFailed:
    mend = "name a place with room: --out FILE"
    return StorageFailed(f"cannot write the bundle: {error.strerror}", where=str(out), mend=mend)
