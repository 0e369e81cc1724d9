"""What can be read off a chart at the close of a bar, beside its events."""

from tradebot.pipeline.patterns.arrays import Floats, Ints
from tradebot.pipeline.patterns.calendar import HAS_PREVIOUS, PREVIOUS_HIGH, PREVIOUS_LOW, Periods, sessions_at
from tradebot.pipeline.patterns.calendar import step as step_periods
from tradebot.pipeline.patterns.chart import ATR, HAS_ATR, TREND, Chart, is_ready
from tradebot.pipeline.patterns.chart import step as step_chart
from tradebot.pipeline.patterns.emit import COUNT, Events
from tradebot.pipeline.patterns.leg import LEVEL, SWING

# The bits of what is defined.
ATR_BIT, DISPLACEMENT_BIT, RANGE_BIT, DAY_BIT, WEEK_BIT = 1, 2, 4, 8, 16
# The places of what is read.
ATR_AT, DISPLACEMENT, RANGE_HIGH, RANGE_LOW, POSITION, DAY_HIGH, DAY_LOW, WEEK_HIGH, WEEK_LOW = range(9)
NAMES = (
    "atr",
    "displacement",
    "range_high",
    "range_low",
    "position",
    "day_high",
    "day_low",
    "week_high",
    "week_low",
)


def measure(chart: Chart, periods: Periods, out: Floats, o: float, c: float) -> int:
    """Read off the chart after the bar that opened at ``o`` and closed at ``c``; return the bits of what is defined.

    What is not defined is 0.
    """
    for place in range(len(out)):
        out[place] = 0.0
    bits = 0
    if chart.ints[HAS_ATR]:
        bits += ATR_BIT
        out[ATR_AT] = chart.floats[ATR]
        if chart.floats[ATR] > 0.0:
            bits += DISPLACEMENT_BIT
            out[DISPLACEMENT] = abs(c - o) / chart.floats[ATR]
    high = chart.up.leg.floats[LEVEL]
    low = -chart.down.leg.floats[LEVEL]
    if chart.up.leg.ints[SWING] >= 0 and chart.down.leg.ints[SWING] >= 0 and high > low:
        bits += RANGE_BIT
        out[RANGE_HIGH] = high
        out[RANGE_LOW] = low
        out[POSITION] = (c - low) / (high - low)
    if periods.day.ints[HAS_PREVIOUS]:
        bits += DAY_BIT
        out[DAY_HIGH] = periods.day.floats[PREVIOUS_HIGH]
        out[DAY_LOW] = periods.day.floats[PREVIOUS_LOW]
    if periods.week.ints[HAS_PREVIOUS]:
        bits += WEEK_BIT
        out[WEEK_HIGH] = periods.week.floats[PREVIOUS_HIGH]
        out[WEEK_LOW] = periods.week.floats[PREVIOUS_LOW]
    return bits


def run_read_outs(
    chart: Chart, periods: Periods, events: Events, out: Floats, found: "list[Floats]", numbers: "list[Ints]",
    ts: Ints, o: Floats, h: Floats, lo: Floats, c: Floats, v: Floats, start: int,
) -> int:  # fmt: skip
    """Take in the bars from ``start`` on while there is room; return where it ended.

    Of each bar it writes what is read into ``found``, and trend, sessions and bits into ``numbers``.
    """
    at = start
    while at < len(ts) and is_ready(chart, events):
        step_chart(chart, events, o[at], h[at], lo[at], c[at], v[at])
        events.ints[COUNT] = 0
        step_periods(periods, ts[at], h[at], lo[at])
        numbers[at][2] = measure(chart, periods, out, o[at], c[at])
        numbers[at][0] = chart.ints[TREND]
        numbers[at][1] = sessions_at(ts[at])
        for place in range(len(out)):
            found[at][place] = out[place]
        at += 1
    return at


def run_unheard(
    chart: Chart, periods: Periods, events: Events,
    ts: Ints, o: Floats, h: Floats, lo: Floats, c: Floats, v: Floats, start: int, stop: int,
) -> int:  # fmt: skip
    """Take in the bars from ``start`` up to ``stop``, exclusive, while there is room; return where it ended.

    Nobody hears of their events: there are none left in ``events``.
    """
    at = start
    events.ints[COUNT] = 0
    while at < stop and is_ready(chart, events):
        step_chart(chart, events, o[at], h[at], lo[at], c[at], v[at])
        events.ints[COUNT] = 0
        step_periods(periods, ts[at], h[at], lo[at])
        at += 1
    return at
