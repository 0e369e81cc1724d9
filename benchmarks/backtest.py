"""SMA 10/30 cross, long or flat, on one-minute bars with a cross about every 26 bars: ours and peers', in one go.

Ours is the whole of ``run_backtest``: settings, reading the CSV file, trading, the report with its curve and trades.
Of the peers only the run is timed, their reading of the file is not. Each of them runs in a process of its own.
At a million bars a peer runs once. The round trips of all must be as many, but for one open or closing at the end.
"""

import json
import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.engine_run import load
from benchmarks.figures import NOT_INSTALLED, PEERS_PYTHON, RUNS, Figure, in_fresh_process, installed_peer
from benchmarks.markets import SMA, walk, write_config
from benchmarks.peers import PEERS
from tradebot.runtime.backtest import run_backtest

AIM = 100_000
_SIZES = ((100_000, RUNS), (1_000_000, 1))
_TIMEOUT_S = 100
_MOST_OPEN_AT_END = 1


def run() -> Iterable[Figure]:
    """Yield the figures."""
    for bars, peer_runs in _SIZES:
        with walk(bars) as (folder, data):
            ours, trades = _ours(write_config(folder, data, SMA), folder)
            note = f"{trades} trades"
            yield Figure(
                what=f"{bars:,} bars: tradebot", value=bars / ours, unit="bars/s", aim=AIM, is_least=True, note=note
            )
            for peer in PEERS:
                yield _peer(peer, data, bars, peer_runs, trades)


def _ours(config: Path, home: Path) -> tuple[float, int]:
    # ``wall_s`` begins after the settings were read, which takes milliseconds and does not grow with the bars.
    runs = [run_backtest(load(config, home)) for _ in range(RUNS)]
    return statistics.median(float(str(run.document["wall_s"])) for run in runs), len(runs[0].trades)


def _peer(peer: str, data: Path, bars: int, runs: int, trades: int) -> Figure:
    what = f"{bars:,} bars: {peer}"
    version = installed_peer(peer)
    if version is None:
        return Figure(what=what, value=None, unit="bars/s", note=NOT_INSTALLED)
    found = []
    for _ in range(runs):
        try:
            said = in_fresh_process("benchmarks.peers", peer, str(data), timeout_s=_TIMEOUT_S, python=PEERS_PYTHON)
        except subprocess.TimeoutExpired:
            return Figure(what=what, value=None, unit="bars/s", note=f"{version}, not done within {_TIMEOUT_S} s")
        # What it says on the way comes before the last line.
        found.append(json.loads(said.splitlines()[-1]))
    theirs = found[0]["trades"]
    is_same = abs(theirs - trades) <= _MOST_OPEN_AT_END
    note = f"{version}, {theirs} trades" + ("" if is_same else ", NOT AS MANY AS OURS")
    return Figure(what=what, value=bars / statistics.median(run["seconds"] for run in found), unit="bars/s", note=note)
