"""From the configuration to a running daemon, on a fresh home and after ``kill -9``; a whole ``tradebot status``.

Boot is measured by the daemon's own log, from ``config.loaded`` to ``daemon.ready``: the imports lie before. The note
has the whole process, its imports and the start of Python included. The tail is what a killed daemon had journaled
since its last snapshot; here there is none, so that everything is run again.
"""

import asyncio
import json
import signal
import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import RUNS, Figure, median_s
from benchmarks.markets import SMA, write_config, write_walk
from benchmarks.processes import Daemon, daemon, tradebot
from tradebot.model.time import Nanos
from tradebot.runtime.clock import SystemClock
from tradebot.store.journal import SqliteJournal
from tradebot.store.schema import JOURNAL_NAME
from tradebot.store.snapshot import peek_snapshots, write_snapshot

_STATUS_RUNS = 9
_YEAR_ROWS = (10_000, 100_000, 1_000_000)
# What a bot of some coins writes in a year of quarters of an hour, after its old bars are gone.
_YEAR_KINDS = ("equity", "submit", "fill", "order_done", "equity", "intent_note")
_YEAR_PAYLOAD = b'{"note": "' + b"x" * 180 + b'"}'
_TAIL_BARS = 4_000
_STAY = "TRADEBOT__FEED__AT_END=stay"
_NO_BACKUPS = "TRADEBOT__STORE__BACKUP_MINUTES=0"


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        yield _boot_figure("boot of a fresh home", [_fresh(folder / str(number)) for number in range(RUNS)])
        config = write_config(folder, write_walk(folder / "tail.csv", _TAIL_BARS), SMA)
        killed = [_after_kill(folder / f"killed{number}", config) for number in range(RUNS)]
        yield _boot_figure(f"boot after kill -9, a tail of {_TAIL_BARS:,} bars", killed)
        for rows in _YEAR_ROWS:
            yield _year(folder / f"year{rows}", config, rows)
        with daemon(folder / "status"):
            status_s = median_s(lambda: tradebot("--home", folder / "status", "status"), _STATUS_RUNS)
        yield Figure(what="tradebot status, a whole process", value=status_s * 1e3, unit="ms", aim=100)


def _year(home: Path, config: Path, rows: int) -> Figure:
    """Return how long a home boots whose journal has so many rows behind its snapshot."""
    with daemon(home, config, _STAY, _NO_BACKUPS):
        _await_end(home)
    tradebot("--home", home, "state", "verify")
    newest = peek_snapshots(home).valid[0]
    last = asyncio.run(_fill(home, rows))
    write_snapshot(home, last, newest.config_hash, newest.body)
    runs = []
    for _ in range(RUNS):
        with daemon(home, config, _STAY, _NO_BACKUPS) as again:
            runs.append(again)
    size_mb = (home / JOURNAL_NAME).stat().st_size >> 20
    figure = _boot_figure(f"boot on a journal of {rows:,} rows", runs)
    return replace(figure, note=f"{size_mb} MB; {figure.note}")


async def _fill(home: Path, rows: int) -> int:
    journal = await SqliteJournal.open(home / JOURNAL_NAME, SystemClock())
    while journal.last_seq < rows:
        journal.append(_YEAR_KINDS[journal.last_seq % len(_YEAR_KINDS)], Nanos(0), _YEAR_PAYLOAD)
        await journal.room()
    last = journal.last_seq
    await journal.close()
    return last


def _await_end(home: Path) -> None:
    while json.loads(tradebot("--home", home, "status", "--json"))["feed"]["state"] != "finished":
        time.sleep(0.05)


def _boot_figure(what: str, runs: list[Daemon]) -> Figure:
    note = f"whole process {statistics.median(run.whole_s for run in runs):.2f} s"
    return Figure(what=what, value=statistics.median(run.boot_s for run in runs), unit="s", aim=1, note=note)


def _fresh(home: Path) -> Daemon:
    with daemon(home) as running:
        return running


def _after_kill(home: Path, config: Path) -> Daemon:
    with daemon(home, config, _STAY) as killed:
        _await_end(home)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
    for snapshot in home.glob("state.json*"):
        snapshot.unlink()
    with daemon(home, config, _STAY) as again:
        return again
