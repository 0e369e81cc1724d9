"""Our trades beside those of backtesting.py on real bars: times, prices and sides, where the rules are the same.

Three histories, each with a cross long or flat, a cross that reverses, and a cross with a stop and a target. One unit,
no costs. A row says how many trades are the same; ``docs/explanation/simulation.md`` says why the others are not.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine_run import load
from benchmarks.figures import NOT_INSTALLED, PEERS_PYTHON, Figure, in_fresh_process, installed_peer
from tradebot.report.trades import trade_row
from tradebot.runtime.backtest import run_backtest

HISTORIES = {
    "GOOG 1d": ("1d", "btpy_GOOG_1d.csv.gz"),
    "EURUSD 1h": ("1h", "btpy_EURUSD_1h.csv.gz"),
    "BTC 1m": ("1m", "ntl_BTCPERP_1m.csv.gz"),
}
STYLES: Mapping[str, str] = {
    "long": 'direction = "long"\nstop = "none"',
    "both": 'direction = "both"\nstop = "none"',
    "stops": 'direction = "long"\nstop = { kind = "percent", percent = 0.2 }\ntarget = { kind = "r", r = 2 }',
}
_CONFIG = """
[bot]
symbols = ["X"]
[feed]
kind = "replay"
data = ["X:{timeframe}={path}"]
[venue]
kind = "simulated"
starting_cash = "10000000"
taker_bps = 0
maker_bps = 0
slippage_bps = 0
funding_rate = 0
[[strategy]]
kind = "sma_cross"
fast = 10
slow = 30
{style}
[risk]
drawdown_pct = "off"
size = {{ kind = "qty", qty = "1" }}
[[instrument]]
symbol = "X"
tick = "0.00000001"
lot = "1"
"""
Row = tuple[str, int, int, float, float]


def run() -> Iterable[Figure]:
    """Yield the figures."""
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    version = installed_peer("backtesting")
    for name, (timeframe, file) in HISTORIES.items():
        for style in STYLES:
            what = f"{name}, {style}: trades as backtesting.py has them"
            if folder is None or version is None:
                note = NOT_INSTALLED if version is None else "TRADEBOT_TEST_DATA is not set"
                yield Figure(what=what, value=None, unit="%", note=note)
                continue
            path = Path(folder) / file
            ours, theirs = our_trades(path, timeframe, style), their_trades(path, style)
            same = len(set(ours) & set(theirs))
            most = max(len(ours), len(theirs))
            note = f"{version}; {same} same, {len(ours) - same} only ours, {len(theirs) - same} only theirs"
            yield Figure(what=what, value=100 * same / most, unit="%", note=note)


def our_trades(path: Path, timeframe: str, style: str) -> Sequence[Row]:
    """Return side, times of entry and exit in epoch milliseconds, and their prices, of each trade."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "agree.toml"
        config.write_text(_CONFIG.format(timeframe=timeframe, path=path, style=STYLES[style]))
        result = run_backtest(load(config, Path(name)))
    return [_row(trade_row(trip)) for trip in result.trades]


def their_trades(path: Path, style: str) -> Sequence[Row]:
    """Return the same of backtesting.py."""
    said = in_fresh_process("benchmarks.peer_trades", str(path), style, python=PEERS_PYTHON)
    return [_row(row) for row in json.loads(said.splitlines()[-1])]


def _row(row: Mapping[str, Any]) -> Row:
    prices = (round(float(row[key]), 7) for key in ("entry_price", "exit_price"))
    return (str(row["side"]), int(row["entry_ts"]), int(row["exit_ts"]), *prices)  # type: ignore[return-value]
