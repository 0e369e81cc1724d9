"""From the configuration to a running daemon, on a fresh home and after ``kill -9``; a whole ``tradebot status``.

Boot is measured by the daemon's own log, from ``config.loaded`` to ``daemon.ready``: the imports lie before. The note
has the whole process, its imports and the start of Python included. The tail is what a killed daemon had journaled
since its last snapshot; here there is none, so that everything is run again.
"""

import json
import signal
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import RUNS, Figure, median_s
from benchmarks.markets import SMA, write_config, write_walk
from benchmarks.processes import Daemon, daemon, tradebot

_STATUS_RUNS = 9
_TAIL_BARS = 4_000
_STAY = "TRADEBOT__FEED__AT_END=stay"


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        yield _boot_figure("boot of a fresh home", [_fresh(folder / str(number)) for number in range(RUNS)])
        config = write_config(folder, write_walk(folder / "tail.csv", _TAIL_BARS), SMA)
        killed = [_after_kill(folder / f"killed{number}", config) for number in range(RUNS)]
        yield _boot_figure(f"boot after kill -9, a tail of {_TAIL_BARS:,} bars", killed)
        with daemon(folder / "status"):
            status_s = median_s(lambda: tradebot("--home", folder / "status", "status"), _STATUS_RUNS)
        yield Figure(what="tradebot status, a whole process", value=status_s * 1e3, unit="ms", aim=100)


def _boot_figure(what: str, runs: list[Daemon]) -> Figure:
    note = f"whole process {statistics.median(run.whole_s for run in runs):.2f} s"
    return Figure(what=what, value=statistics.median(run.boot_s for run in runs), unit="s", aim=1, note=note)


def _fresh(home: Path) -> Daemon:
    with daemon(home) as running:
        return running


def _after_kill(home: Path, config: Path) -> Daemon:
    with daemon(home, config, _STAY) as killed:
        while json.loads(tradebot("--home", home, "status", "--json"))["feed"]["state"] != "finished":
            time.sleep(0.05)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
    for snapshot in home.glob("state.json*"):
        snapshot.unlink()
    with daemon(home, config, _STAY) as again:
        return again
