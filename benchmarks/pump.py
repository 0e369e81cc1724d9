"""Bars a second through the pump with a strategy that is asked at each bar and does nothing.

Loaded: settings, wiring and a CSV file of 200,000 bars are part of the time. In memory: the bars are there.
"""

import gc
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.engine_run import load
from benchmarks.figures import RUNS, Figure, median_s
from benchmarks.markets import walk, write_config
from tradebot.model.market import Message
from tradebot.pipeline.line import Line
from tradebot.report.fold import ReportFold
from tradebot.runtime.backtest import run_backtest
from tradebot.runtime.wiring import wire
from tradebot.settings.load import Loaded

BARS = 200_000
AIM = 200_000


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with walk(BARS) as (folder, data):
        config = write_config(folder, data, {"kind": "idle.py:Idle", "name": "idle"})
        loaded_s = median_s(lambda: run_backtest(load(config, folder)))
        yield Figure(what="idle, CSV loaded", value=BARS / loaded_s, unit="bars/s", aim=AIM, is_least=True)
        in_memory_s = _median_in_memory_s(config, folder)
        yield Figure(what="idle, bars in memory", value=BARS / in_memory_s, unit="bars/s", aim=AIM, is_least=True)


def _median_in_memory_s(config: Path, home: Path) -> float:
    loaded = load(config, home)
    bars = list(wire(loaded).feed)
    # What lies in memory anyway is not for the collector to walk through during the run.
    gc.collect()
    gc.freeze()
    try:
        return sorted(_pump_s(loaded, bars) for _ in range(RUNS))[RUNS // 2]
    finally:
        gc.unfreeze()


def _pump_s(loaded: Loaded, bars: Sequence[Message]) -> float:
    line = Line(wire(loaded, check_data=False).stages, ReportFold().sinks())
    pump = line.pump
    begin = time.perf_counter()
    for bar in bars:
        pump(bar)
    return time.perf_counter() - begin
