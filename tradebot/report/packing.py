"""Bars in a few bytes each, for a page that holds a million of them: whole numbers of a last digit, deflated.

A segment is a run of bars. Its columns are times in steps of the timeframe since the bar before, the open as it differs
from the close before, the close from the open, and the high and low from the ends of the body; each column is 32-bit
little-endian, its bytes apart by place, since most of the higher ones are 0. All columns behind each other are deflated
(raw) and written as base64. ``chart.js`` reads it.
"""

import base64
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import floor, log10
from typing import NamedTuple

from tradebot.report.shapes import Document

_SEGMENT_BARS = 16_384
_OVERVIEW_CANDLES = 2_000
_MINUTE = 60_000
_STEPS = tuple(n * _MINUTE for n in (1, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 4 * 1440, 7 * 1440))
_MOST = 2**31 - 1
_MOST_DIGITS = 12
_LEVEL = 6


class PriceColumns(NamedTuple):
    """Bars column by column: opening times in milliseconds, and prices."""

    ts: "array[int]"
    open: "array[float]"
    high: "array[float]"
    low: "array[float]"
    close: "array[float]"

    @classmethod
    def empty(cls) -> "PriceColumns":
        """Return columns of no bar."""
        return cls(array("q"), *(array("d") for _ in range(4)))


def packed(bars: PriceColumns, timeframe_ms: int) -> Document:
    """Return the bars of a series: all of them in ``segments``, and an ``overview`` in longer ones of ``step_ms``."""
    digits = _digits(bars)
    step = _step(bars, timeframe_ms)
    return {
        "timeframe_ms": timeframe_ms,
        "digits": digits,
        "bars": len(bars.ts),
        "segments": [
            {
                "from": bars.ts[first],
                "to": bars.ts[last - 1],
                "bars": last - first,
                "data": _segment(bars, first, last, digits, timeframe_ms),
            }
            for first, last in _cuts(len(bars.ts), _SEGMENT_BARS)
        ],
        "step_ms": step,
        "overview": [
            [
                bars.ts[first] // step * step,
                bars.open[first],
                max(bars.high[first:last]),
                min(bars.low[first:last]),
                bars.close[last - 1],
            ]
            for first, last in stretches(bars.ts, step)
        ],
    }


def stretches(ts: Sequence[int], step: int) -> Iterator[tuple[int, int]]:
    """Give the place of the first bar of each ``step`` of time that has any, and that behind its last."""
    first = 0
    while first < len(ts):
        last = bisect_left(ts, (ts[first] // step + 1) * step, first)
        yield first, last
        first = last


def _step(bars: PriceColumns, timeframe_ms: int) -> int:
    """Return the shortest usual length of candles of which the history has few enough."""
    if len(bars.ts) <= _OVERVIEW_CANDLES:
        return timeframe_ms
    span = bars.ts[-1] - bars.ts[0]
    usual = (step for step in _STEPS if step % timeframe_ms == 0 and span / step <= _OVERVIEW_CANDLES)
    return next(usual, -(-span // _OVERVIEW_CANDLES // timeframe_ms) * timeframe_ms)


def _cuts(count: int, size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, size):
        yield first, min(count, first + size)


def _digits(bars: PriceColumns) -> int:
    """Return the digits behind the point that the prices have, as far as 32 bits hold them."""
    if not bars.ts:
        return 0
    room = floor(log10(_MOST / max(bars.high)))
    wanted = 0
    step = max(1, len(bars.close) // 1000)
    for column in bars[1:]:
        for price in column[::step]:
            while wanted < room and wanted < _MOST_DIGITS and round(price, wanted) != price:
                wanted += 1
    return min(wanted, room)


def _segment(bars: PriceColumns, first: int, last: int, digits: int, timeframe_ms: int) -> str:
    scale = 10.0**digits
    opens, highs, lows, closes = (
        [round(price * scale) for price in column[first:last]]
        for column in (bars.open, bars.high, bars.low, bars.close)
    )
    ts = bars.ts[first:last]
    columns = (
        [0, *((later - earlier) // timeframe_ms for earlier, later in pairwise(ts))],
        [opened - before for opened, before in zip(opens, [0, *closes[:-1]], strict=True)],
        [close - opened for opened, close in zip(opens, closes, strict=True)],
        [high - max(opened, close) for opened, high, close in zip(opens, highs, closes, strict=True)],
        [min(opened, close) - low for opened, low, close in zip(opens, lows, closes, strict=True)],
    )
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = b"".join(packer.compress(_planes(column)) for column in columns) + packer.flush()
    return base64.b64encode(body).decode()


def _planes(column: Sequence[int]) -> bytes:
    numbers = array("i", column)
    if sys.byteorder == "big":
        numbers.byteswap()
    raw = numbers.tobytes()
    return b"".join(raw[place::4] for place in range(4))
