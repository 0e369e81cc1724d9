"""What can be checked on this machine before trading: each finding with what is, and the mend."""

import asyncio
import ctypes
import json
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from tradebot.control import client
from tradebot.control.protocol import find_socket
from tradebot.model.errors import TradebotError
from tradebot.model.finding import Finding, Grade
from tradebot.model.time import NANOS_PER_S
from tradebot.ports import Clock
from tradebot.runtime.data_files import bar_files, bars_words, funding_words
from tradebot.settings.check import check_settings
from tradebot.settings.live import EXTRA_MEND, missing_packages
from tradebot.settings.load import Loaded
from tradebot.settings.model import (
    LiveFeedSettings,
    RealVenueSettings,
    SimulatedVenueSettings,
    StoreSettings,
)
from tradebot.store.candles import BarFile, check_files
from tradebot.store.funding import check_funding
from tradebot.store.lock import holder, is_network_fs

_OLDEST_PYTHON = (3, 11)
# From 3.7.0 on, several connections could corrupt a WAL; we hold one only.
_SOUND_SQLITE = (3, 51, 3)
_OLDEST_SQLITE = (3, 37, 0)
_MB = 1_000_000
_YEARS = range(2024, 2100)
_STEP_BACK_S = 60
_TIME_ERROR = 5
_TIMEX_BYTES = 512


def run_doctor(home: Path, load: Callable[[], Loaded], environ: Mapping[str, str], clock: Clock) -> tuple[Finding, ...]:
    """Return the findings of every check. ``load`` gives the configuration, or raises what is wrong with it."""
    findings = [_python(), _sqlite(), *_home(home), _clock(home, clock), _time_sync()]
    findings += [_lock(home), _socket(home, environ), *_drift(home, environ), *_systemd(environ)]
    try:
        loaded = load()
        # Whether --live is said is seen when a daemon starts.
        check_settings(loaded, is_live=loaded.settings.bot.mode == "live")
    except TradebotError as error:
        findings.append(Finding("configuration", Grade.FAIL, _oneline(error), error.mend))
        findings.append(_disk(home, StoreSettings()))
        findings.extend(_file_system(home, is_live=False))
    else:
        names = ", ".join(str(path) for path in loaded.files)
        findings.append(Finding("configuration", Grade.OK, f"{names}, hash {loaded.config_hash}"))
        findings.append(_disk(home, loaded.settings.store))
        findings.extend(_file_system(home, is_live=loaded.settings.bot.mode == "live"))
        findings.extend(_flatten(loaded))
        findings.extend(_data(loaded))
        findings.extend(_secrets(loaded, home, clock))
        findings.extend(_venue(loaded, home, clock))
    return tuple(findings)


def doctor_document(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings as JSON: ``ok`` and ``checks`` with check, result, what and mend."""
    return {
        "ok": doctor_exit_code(findings) == 0,
        "checks": [
            {"check": item.check, "result": item.grade.value, "what": item.what, "mend": item.mend} for item in findings
        ],
    }


def doctor_exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 when any check failed, else 0."""
    return int(any(item.grade is Grade.FAIL for item in findings))


def _oneline(error: TradebotError) -> str:
    return f"{error.where}: {error.what}" if error.where else error.what


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < _OLDEST_PYTHON:
        return Finding("python", Grade.FAIL, version, "install Python 3.11 or newer")
    return Finding("python", Grade.OK, version)


def _sqlite() -> Finding:
    version, text = sqlite3.sqlite_version_info, sqlite3.sqlite_version
    if version < _OLDEST_SQLITE:
        return Finding("sqlite", Grade.FAIL, f"{text} has no STRICT tables", "use a Python built with SQLite >= 3.37")
    if version < _SOUND_SQLITE:
        what = f"{text}: its WAL may be corrupted by a second connection; the daemon holds the only one"
        return Finding("sqlite", Grade.WARN, what, "never open journal.db while the daemon runs; or SQLite >= 3.51.3")
    return Finding("sqlite", Grade.OK, text)


def _home(home: Path) -> Iterator[Finding]:
    try:
        status = home.stat()
    except FileNotFoundError:
        yield _new_home(home)
        return
    except OSError as error:
        yield Finding("home", Grade.FAIL, f"{home}: {error.strerror}", "choose another --home")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield Finding("home", Grade.FAIL, f"{home} is not a folder", "choose another --home")
    elif status.st_uid != os.geteuid():
        what = f"{home} belongs to user {status.st_uid}, this is user {os.geteuid()}"
        yield Finding("home", Grade.FAIL, what, "run as its owner, or choose another --home")
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding("home", Grade.FAIL, f"others may write in {home}", f"chmod 700 {home}")
    elif status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("home", Grade.WARN, f"others may look into {home}", f"chmod 700 {home}")
    elif not os.access(home, os.W_OK | os.X_OK):
        yield Finding("home", Grade.FAIL, f"{home} cannot be written", "remount it, or choose another --home")
    else:
        yield Finding("home", Grade.OK, str(home))


def _file_system(home: Path, *, is_live: bool) -> Iterator[Finding]:
    if not home.exists():
        return
    if is_network_fs(home):
        what = f"{home} is on a network file system: locks and syncs may not hold"
        grade = Grade.FAIL if is_live else Grade.WARN
        yield Finding("file system", grade, what, "use a local disk; live trading refuses this one")
    else:
        yield Finding("file system", Grade.OK, "local")


def _new_home(home: Path) -> Finding:
    parent = _existing(home)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return Finding("home", Grade.FAIL, f"{home} cannot be made in {parent}", "choose another --home")
    return Finding("home", Grade.OK, f"{home} (made by the first start)")


def _existing(path: Path) -> Path:
    return next((place for place in (path, *path.absolute().parents) if place.exists()), Path("/"))


def _disk(home: Path, store: StoreSettings) -> Finding:
    try:
        free_mb = shutil.disk_usage(_existing(home)).free // _MB
    except OSError as error:
        return Finding("disk", Grade.FAIL, f"{home}: {error.strerror}", "choose another --home")
    if free_mb < store.min_free_mb:
        what = f"{free_mb} MB free, store.min_free_mb is {store.min_free_mb}"
        return Finding("disk", Grade.FAIL, what, "free disk space; below this, trading halts")
    if free_mb < 2 * store.min_free_mb:
        return Finding("disk", Grade.WARN, f"{free_mb} MB free", "free disk space soon")
    return Finding("disk", Grade.OK, f"{free_mb} MB free")


def _clock(home: Path, clock: Clock) -> Finding:
    now = clock.now()
    text = f"{datetime.fromtimestamp(now // NANOS_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if datetime.fromtimestamp(now // NANOS_PER_S, UTC).year not in _YEARS:
        return Finding("clock", Grade.FAIL, f"{text} cannot be now", "set the clock")
    ahead_s = (_newest_change(home) - now) / NANOS_PER_S
    if ahead_s > _STEP_BACK_S:
        what = f"{text}, but a file of the home is {ahead_s:.0f} s newer: the clock was set back"
        return Finding("clock", Grade.WARN, what, "check the clock and its synchronisation")
    return Finding("clock", Grade.OK, text)


def _newest_change(home: Path) -> int:
    newest = 0
    for name in ("journal.db", "state.json", "logs/tradebot.jsonl", "tradebot.lock"):
        try:
            newest = max(newest, (home / name).stat().st_mtime_ns)
        except OSError:
            continue
    return newest


def _time_sync() -> Finding:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        return Finding("time sync", Grade.WARN, "the kernel does not tell", "see that NTP runs on this host")
    if state == _TIME_ERROR:
        return Finding("time sync", Grade.WARN, "the clock is not synchronised", "run chrony or systemd-timesyncd")
    return Finding("time sync", Grade.OK, "synchronised")


def _lock(home: Path) -> Finding:
    pid = holder(home)
    if pid is None:
        return Finding("lock", Grade.OK, "free: no daemon runs on this home")
    return Finding("lock", Grade.OK, f"held: a daemon runs, pid {pid}" if pid else "held: a daemon runs")


def _socket(home: Path, environ: Mapping[str, str]) -> Finding:
    try:
        path = find_socket(home, environ)
    except TradebotError as error:
        return Finding("socket", Grade.FAIL, _oneline(error), error.mend or "set XDG_RUNTIME_DIR to a folder of yours")
    if path.parent == home.absolute() or environ.get("RUNTIME_DIRECTORY"):
        return Finding("socket", Grade.OK, str(path))
    return Finding("socket", Grade.OK, f"{path}, since the path of the home is too long for a socket")


def _drift(home: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Say whether the files still say what the running daemon has in force; nothing where none answers."""
    try:
        drift = json.loads(client.read(find_socket(home, environ), "status")).get("drift") or {}
    except (TradebotError, ValueError):
        return
    if drift.get("is_drifted"):
        what = drift.get("error") or f"the files differ from what is in force: {', '.join(drift['keys'])}"
        mend = "tradebot config diff shows it; tradebot reload, restart or config rollback ends it"
        yield Finding("drift", Grade.WARN, what, mend)
    else:
        yield Finding("drift", Grade.OK, "what is in force is as the files say")


def _systemd(environ: Mapping[str, str]) -> Iterator[Finding]:
    if "INVOCATION_ID" not in environ:
        return
    if environ.get("NOTIFY_SOCKET") and environ.get("WATCHDOG_USEC"):
        yield Finding("systemd", Grade.OK, "notify socket and watchdog are there")
    else:
        mend = "use the unit systemd/tradebot@.service: Type=notify and WatchdogSec"
        yield Finding("systemd", Grade.WARN, "no notify socket or no watchdog", mend)


def _flatten(loaded: Loaded) -> Iterator[Finding]:
    """Say what ends with ``halt --flatten``, a breaker's last tier and the guard."""
    if loaded.settings.bot.mode != "live":
        return
    match loaded.settings.risk.flatten:
        case "all":
            yield Finding("flatten", Grade.OK, "all that the account has is closed and cancelled, of whatever hand")
        case "own":
            what = "only what this bot opened and placed is closed; without a daemon nobody knows what that is"
            mend = "all, on an account of its own; else know that the guard and --emergency end all"
            yield Finding("flatten", Grade.WARN, what, mend)
        case None:
            what = "risk.flatten is not set: all that the account has is closed and cancelled, of whatever hand"
            yield Finding("flatten", Grade.WARN, what, 'set it: flatten = "all" in [risk], or "own" beside other hands')
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def _data(loaded: Loaded) -> Iterator[Finding]:
    by_symbol: dict[str, list[BarFile]] = {}
    for bars in bar_files(loaded.settings):
        by_symbol.setdefault(bars.symbol, []).append(bars)
    for files in by_symbol.values():
        yield from _bars(files)
    venue = loaded.settings.venue
    for file in venue.funding_files if isinstance(venue, SimulatedVenueSettings) else ():
        try:
            rates = check_funding(file.path, file.symbol)
        except TradebotError as error:
            yield Finding("data", Grade.FAIL, _oneline(error), error.mend)
        else:
            yield Finding("data", Grade.OK, funding_words(rates))


def _bars(files: Sequence[BarFile]) -> Iterator[Finding]:
    try:
        summaries = check_files(files)
    except TradebotError as error:
        if len(files) == 1:
            yield Finding("data", Grade.FAIL, _oneline(error), error.mend)
        else:
            # Each speaks for itself then; they can be held against each other once all can be read.
            for file in files:
                yield from _bars([file])
        return
    for summary in summaries:
        words = bars_words(summary)
        if summary.missing or summary.notes:
            yield Finding("data", Grade.WARN, words, "nothing, if the market was so then; else fetch them again")
        else:
            yield Finding("data", Grade.OK, words)


def _secrets(loaded: Loaded, home: Path, clock: Clock) -> Sequence[Finding]:
    # The store is only imported by who has one.
    from tradebot.runtime.secret_store import secrets_used, store_of

    used = secrets_used(loaded.settings)
    if not used and not (home / "secrets").exists():
        return ()
    from tradebot.secret.checks import secret_findings

    try:
        return list(secret_findings(store_of(loaded.settings.secrets.texts, home, clock).facts(), used, clock.now()))
    except TradebotError as error:
        return [Finding("secrets", Grade.FAIL, _oneline(error), error.mend)]


def _venue(loaded: Loaded, home: Path, clock: Clock) -> Sequence[Finding]:
    settings = loaded.settings
    if not isinstance(settings.feed, LiveFeedSettings) and not isinstance(settings.venue, RealVenueSettings):
        return ()
    missing = missing_packages(settings)
    if missing:
        return [Finding("venue", Grade.FAIL, f"a live market needs {', '.join(missing)}", EXTRA_MEND)]
    # What speaks to a venue is only imported by who has one.
    from tradebot.live.preflight import preflight
    from tradebot.runtime.ownership import second_opinion
    from tradebot.runtime.real_venue import venue_checks

    async def ask() -> Sequence[Finding]:
        async with venue_checks(loaded, home, clock) as checks:
            return await preflight(checks, loaded)

    found = asyncio.run(ask())
    # Where it cannot be asked at all, or the key cannot be read, that is the first thing to mend.
    is_red = any(finding.check in ("venue", "key") and finding.grade is Grade.FAIL for finding in found)
    return found if is_red else [*found, *second_opinion(loaded, home, clock)]
