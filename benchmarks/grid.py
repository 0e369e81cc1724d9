"""A grid of 1,000 parameter sets on 100,000 one-minute bars, two workers; vectorbt beside it.

Ours is ``tradebot backtest --grid`` as a user runs it, processes and reading included: every set runs the line, with
fees, slippage, a stop, funding and liquidation. vectorbt computes its sets as arrays, with fees and a stop looked at on
closes, without funding, liquidation or a ledger; the second of two runs, so that nothing is compiled.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.figures import NOT_INSTALLED, PEERS_PYTHON, Figure, in_fresh_process, installed_peer
from benchmarks.markets import walk

BARS, WORKERS, AIM_S = 100_000, 2, 20
FAST, SLOW = range(5, 45), range(50, 300, 10)
_TIMEOUT_S = 1800
_CONFIG = """
[bot]
symbols = ["WALK"]
[feed]
kind = "replay"
data = ["WALK:1m={data}"]
[[strategy]]
kind = "sma_cross"
direction = "long"
stop = {{ kind = "percent", percent = 1 }}
[risk]
drawdown_pct = "off"
size = {{ kind = "notional", notional = "1000" }}
"""


def run() -> Iterable[Figure]:
    """Yield the figures."""
    count = len(FAST) * len(SLOW)
    with walk(BARS) as (folder, data):
        seconds, trades = _ours(folder, data)
        what = f"{count:,} sets on {BARS:,} bars, {WORKERS} workers"
        yield Figure(
            what=f"{what}: tradebot",
            value=seconds,
            unit="s",
            aim=AIM_S,
            note=f"{trades:,} trades, {_per(seconds, trades)}",
        )
        yield _vectorbt(what, data)


def _ours(folder: Path, data: Path) -> tuple[float, int]:
    config = folder / "grid.toml"
    config.write_text(_CONFIG.format(data=data))
    axes = [f"--grid={name}={','.join(map(str, values))}" for name, values in (("fast", FAST), ("slow", SLOW))]
    command = [sys.executable, "-m", "tradebot", "--config", config, "backtest", *axes, "--json"]
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, f"--workers={WORKERS}"], capture_output=True, check=True, timeout=_TIMEOUT_S, cwd=folder
    )
    seconds = time.perf_counter() - begin
    return seconds, sum(json.loads(line)["trades"] for line in done.stdout.splitlines())


def _vectorbt(what: str, data: Path) -> Figure:
    version = installed_peer("vectorbt")
    if version is None:
        return Figure(what=f"{what}: vectorbt", value=None, unit="s", note=NOT_INSTALLED)
    said = in_fresh_process("benchmarks.peer_grid", str(data), timeout_s=_TIMEOUT_S, python=PEERS_PYTHON)
    found = json.loads(said.splitlines()[-1])
    trades, seconds = int(found["trades"]), float(found["seconds"])
    note = f"{version}, {trades:,} trades, {_per(seconds, trades)}, {found['rss_mb']:,.0f} MB"
    return Figure(what=f"{what}: vectorbt", value=seconds, unit="s", note=note)


def _per(seconds: float, trades: int) -> str:
    return f"{1e6 * seconds / max(1, trades):.0f} us a trade"
