"""SMA 10/30 cross, long or flat, on one-minute bars with a cross about every 26 bars: ours and peers', in one go.

Ours is the whole of ``run_backtest``: settings, reading the CSV file, trading, the report with its curve and trades.
Of the peers only the run is timed, their reading of the file is not. Each of them runs in a process of its own.
At a million bars a peer runs once. The round trips of all must be as many, but for one open or closing at the end.

Then what else decides how long a search takes: a user's own ``on_bar``, a strategy with a trade in 1,000 bars, eight
symbols with three smart-money strategies, the memory of a million bars, and how the time of ours grows with the bars.
"""

import json
import statistics
import subprocess
from collections.abc import Iterable
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine_run import load
from benchmarks.figures import NOT_INSTALLED, PEERS_PYTHON, RUNS, Figure, in_fresh_process, installed_peer
from benchmarks.markets import SMA, walk, write_config, write_market, write_walk
from benchmarks.peers import PEERS
from tradebot.runtime.backtest import run_backtest

AIM, AIM_OWN, AIM_SPARSE = 500_000, 200_000, 5_000_000
AIM_MANY_S, AIM_RSS_MB, AIM_GROWTH = 2.0, 250, 1.0
_SIZES = ((100_000, RUNS), (1_000_000, 1))
_SYMBOLS, _SYMBOL_BARS = 8, 22_000
_SPARSE: dict[str, object] = {"kind": "sma_cross", "fast": 200, "slow": 600, "direction": "long"}
_OWN: dict[str, object] = {"kind": "own.py:Own"}
_SMART_MONEY = ("bos_orderblock", "fvg_fill", "liquidity_sweep")
_TIMEOUT_S = 100
_MOST_OPEN_AT_END = 1


def run() -> Iterable[Figure]:
    """Yield the figures."""
    seconds = []
    for bars, peer_runs in _SIZES:
        with walk(bars) as (folder, data):
            ours, trades = _ours(write_config(folder, data, SMA), folder)
            seconds.append(ours)
            yield _speed(f"{bars:,} bars: tradebot", bars, ours, AIM, trades)
            for peer in PEERS:
                yield _peer(peer, data, bars, peer_runs, trades)
            for what, strategy, aim in (("own on_bar", _OWN, AIM_OWN), ("a trade in 1,000 bars", _SPARSE, AIM_SPARSE)):
                ours, trades = _ours(write_config(folder, data, strategy), folder)
                yield _speed(f"{bars:,} bars: {what}", bars, ours, aim, trades)
            if bars == _SIZES[-1][0]:
                yield _memory(write_config(folder, data, SMA), bars)
    growth = log(seconds[-1] / seconds[0]) / log(_SIZES[-1][0] / _SIZES[0][0])
    yield Figure(what="time grows with the bars to the power of", value=growth, unit="", aim=AIM_GROWTH)
    yield _many()


def _speed(what: str, bars: int, seconds: float, aim: float, trades: float) -> Figure:
    note = f"{trades:.0f} trades, {seconds:.2f} s"
    return Figure(what=what, value=bars / seconds, unit="bars/s", aim=aim, is_least=True, note=note)


def _memory(config: Path, bars: int) -> Figure:
    said = json.loads(in_fresh_process("benchmarks.backtest_run", str(config)).splitlines()[-1])
    return Figure(what=f"{bars:,} bars: memory", value=said["rss_mb"], unit="MB", aim=AIM_RSS_MB)


def _many() -> Figure:
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        names = [f"S{number}" for number in range(_SYMBOLS)]
        files = {symbol: write_walk(folder / f"{symbol}.csv", _SYMBOL_BARS, seed) for seed, symbol in enumerate(names)}
        seconds, trades = _ours(write_market(folder, files, _SMART_MONEY), folder)
    what = f"{_SYMBOLS} symbols x {_SYMBOL_BARS:,} bars, three smart-money strategies"
    return Figure(what=what, value=seconds, unit="s", aim=AIM_MANY_S, note=f"{trades} trades")


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
