"""Smart-money patterns: all events of a history compiled, and of a bar interpreted; smartmoneyconcepts beside.

The first call is that of a new process, with numba imported and the kernels read from the disk, after one
process that compiled them. Growth is the exponent of time from 100,000 to 1,000,000 bars. The peer finds the
same kinds of things - swings, breaks, gaps, order blocks, liquidity - at 100,000 bars, once.
"""

import contextlib
import io
import math
import os
import sys
import time
import warnings
from collections.abc import Iterable

from benchmarks.figures import NOT_INSTALLED, Figure, in_fresh_process, installed, median_s

SHORT, LONG, INTERPRETED = 100_000, 1_000_000, 10_000
PEER = "smartmoneyconcepts"


def run() -> Iterable[Figure]:
    """Yield the figures."""
    yield Figure(what="interpreted, all patterns, a bar", value=_interpreted_us(), unit="us", aim=80)
    if installed("numba") is None:
        yield Figure(what="compiled", value=None, unit="ms", note="numba: " + NOT_INSTALLED)
        return
    in_fresh_process("benchmarks.patterns")
    yield Figure(what="first call of a new process", value=float(in_fresh_process("benchmarks.patterns")), unit="ms")
    from tradebot.research import scan

    long = _history(LONG)
    short = tuple(column[:SHORT] for column in long)
    short_ms = 1000 * median_s(lambda: scan(*short), runs=7)
    long_ms = 1000 * median_s(lambda: scan(*long), runs=3)
    yield Figure(what=f"compiled, {SHORT:,} bars", value=short_ms, unit="ms", aim=30)
    yield Figure(what=f"compiled, {LONG:,} bars", value=long_ms, unit="ms", aim=300)
    yield Figure(what="growth exponent", value=math.log10(long_ms / short_ms), unit="", aim=1.1)
    if installed(PEER) is None:
        yield Figure(what=f"{PEER}, {SHORT:,} bars", value=None, unit="ms", note=NOT_INSTALLED)
        return
    peer_ms = _peer_ms(short)
    yield Figure(what=f"{PEER}, {SHORT:,} bars", value=peer_ms, unit="ms")
    yield Figure(what=f"times as fast as {PEER}", value=peer_ms / short_ms, unit="x", aim=300, is_least=True)


def _history(bars: int):  # type: ignore[no-untyped-def]
    import numpy as np

    dice = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(dice.normal(0, 0.001, bars)))
    open_ = np.concatenate(([100.0], close[:-1]))
    high = np.maximum(open_, close) * (1 + np.abs(dice.normal(0, 0.0005, bars)))
    low = np.minimum(open_, close) * (1 - np.abs(dice.normal(0, 0.0005, bars)))
    return np.arange(bars) * 60_000, open_, high, low, close, np.ones(bars)


def _interpreted_us() -> float:
    from benchmarks.markets import walk
    from tradebot.pipeline.patterns.scanner import Scanner
    from tradebot.research.history import read_history

    with walk(INTERPRETED) as (_, data):
        rows = list(zip(*read_history(data), strict=True))

    def once() -> None:
        take = Scanner().take
        for row in rows:
            take(*row)

    return 1e6 * median_s(once) / INTERPRETED


def _peer_ms(columns) -> float:  # type: ignore[no-untyped-def]
    os.environ["SMC_CREDIT"] = "0"
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import pandas as pd
        from smartmoneyconcepts import smc

        frame = pd.DataFrame(dict(zip(("open", "high", "low", "close", "volume"), columns[1:], strict=True)))
        begin = time.perf_counter()
        smc.fvg(frame)
        swings = smc.swing_highs_lows(frame, swing_length=5)
        smc.bos_choch(frame, swings)
        smc.ob(frame, swings)
        smc.liquidity(frame, swings)
        return 1000 * (time.perf_counter() - begin)


def _first_call_ms() -> float:
    begin = time.perf_counter()
    from tradebot.research import scan

    scan(*([x] for x in (0, 1.0, 1.0, 1.0, 1.0, 1.0)))
    return 1000 * (time.perf_counter() - begin)


if __name__ == "__main__":
    sys.stdout.write(f"{_first_call_ms()}\n")
