"""Bars to try the patterns on, and the events of a scanner in the form of the naive reference."""

import csv
import gzip
import os
import random
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.scanner import Scanner

MINUTE_MS = 60_000


def walk(seed, length, grid=0.0, scale=1.0, jump=0.0):
    """Bars of a random walk. On a coarse ``grid`` prices tie all the time."""
    dice = random.Random(seed)
    bars, price = [], 100.0
    for _ in range(length):
        o = price + (dice.gauss(0, 1) * jump)
        c = o + dice.gauss(0, 1)
        h, lo = max(o, c) + abs(dice.gauss(0, 0.7)), min(o, c) - abs(dice.gauss(0, 0.7))
        if grid:
            o, h, lo, c = (round(x / grid) * grid for x in (o, h, lo, c))
        h, lo = max(o, h, lo, c), min(o, h, lo, c)
        price = c if c > 20 else c + 40
        if lo <= 0:
            o, h, lo, c = o + 200, h + 200, lo + 200, c + 200
        volume = float(dice.randrange(0, 5))
        bars.append((o * scale, h * scale, lo * scale, c * scale, volume))
    return bars


@st.composite
def walks(draw, most=120):
    """Random walks of up to ``most`` bars, on no, a fine or a coarse grid, at any scale."""
    seed = draw(st.integers(0, 2**32))
    length = draw(st.integers(0, most))
    grid = draw(st.sampled_from((0.0, 0.5, 1.0, 2.0)))
    scale = draw(st.sampled_from((1.0, 1e-8, 1e5)))
    return walk(seed, length, grid, scale, jump=draw(st.sampled_from((0.0, 1.0))))


def params():
    """Parameters, small ones above all."""
    return st.fixed_dictionaries(
        {},
        optional={
            "L": st.integers(1, 6),
            "atr_n": st.integers(1, 20),
            "min_gap_atr": st.sampled_from((0.0, 0.3, 1.0)),
            "zone_max_age": st.sampled_from((0, 1, 3, 10, 500)),
            "max_levels": st.sampled_from((1, 2, 4, 50, 10**9)),
            "pool_atr": st.sampled_from((0.0, 0.25, 1.0, 3.0)),
        },
    )


def scanned(bars, scanner=None, **given):
    """Events of a scanner over ``bars``."""
    scanner = scanner or Scanner(PatternParams(**given))
    found = []
    for t, bar in enumerate(bars):
        for e in scanner.take(t * MINUTE_MS, *bar):
            prices = (e.level,) if e.level is not None else (e.top, e.bottom)
            found.append((e.kind.value, e.side, e.index, e.confirmed, prices, e.count))
    return found


def timed(bars):
    """Bars with times, a minute apart."""
    return [(t * MINUTE_MS, *bar) for t, bar in enumerate(bars)]


def interpreted(rows, **params):
    """Events of a scanner in the form of ``tradebot.research.scan``."""
    scanner = Scanner(PatternParams(**params))
    found = []
    for row in rows:
        for e in scanner.take(*row):
            prices = (e.level, 0.0, 0.0) if e.level is not None else (0.0, e.top, e.bottom)
            ts, confirmed_ts = rows[e.index][0], rows[e.confirmed][0]
            found.append((e.kind.value, e.side, e.index, e.confirmed, ts, confirmed_ts, *prices, e.count or 0))
    return found


def real_files():
    """Bar files of the test data, or a skip that says why."""
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA names no folder with real bars")
    return sorted(path for path in Path(folder).glob("*.csv.gz") if "funding" not in path.name)


def read_bars(path, most=None):
    """Bars of a file, without their times."""
    return [row[1:] for row in read_rows(path, most)]


def read_rows(path, most=None):
    """Rows of a bar file."""
    with gzip.open(path, "rt") as file:
        reader = csv.reader(file)
        next(reader)
        return [(int(row[0]), *map(float, row[1:])) for row in islice(reader, most)]
