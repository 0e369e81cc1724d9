"""All pattern kernels on one series of bars, in the order in which their events are told.

The chart has two halves: highs, bullish zones and the buy side above; lows, bearish zones and the sell side
below, where the same kernels see mirrored prices.
"""

from typing import NamedTuple

from tradebot.pipeline.patterns import atr
from tradebot.pipeline.patterns.arrays import ABOVE_ALL, Floats, Ints, floats, ints
from tradebot.pipeline.patterns.atr import step as step_atr
from tradebot.pipeline.patterns.emit import (
    BOS,
    CHOCH,
    COUNT,
    FIRST,
    FVG,
    FVG_FILLED,
    FVG_MITIGATED,
    INTS_EACH,
    OB_INVALIDATED,
    OB_MITIGATED,
    ORDER_BLOCK,
    SWING_HIGH,
    SWING_LOW,
    Events,
    add_level,
)
from tradebot.pipeline.patterns.leg import BLOCK, BLOCK_BOTTOM, BLOCK_TOP, LEVEL, SWING, Leg, follow, new_leg
from tradebot.pipeline.patterns.liquidity import COUNT as LEVEL_COUNT
from tradebot.pipeline.patterns.liquidity import Levels, has_place, join, new_levels, take
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.window import GREATEST, Window, find_swing, new_window
from tradebot.pipeline.patterns.zones import Zones, change, count_zones, has_room, new_zones, open_zone

# Whole numbers of the chart: bars seen, trend of the structure, 1 when there is an ATR, and the parameters.
BARS, TREND, HAS_ATR, STRENGTH, ZONE_MAX_AGE, MAX_LEVELS = 0, 1, 2, 3, 4, 5
# Floats of the chart: the ATR, and the parameters.
ATR, MIN_GAP_ATR, POOL_ATR = 0, 1, 2
# Floats of a half: what the last two bars were, for the gap between the first of them and this one.
BEFORE_HIGH, LAST_OPEN, LAST_HIGH, LAST_CLOSE = 0, 1, 2, 3


class Half(NamedTuple):
    """The upper half of a chart, or the lower one in mirrored prices."""

    window: Window
    last: Floats
    leg: Leg
    gaps: Zones
    blocks: Zones
    levels: Levels


class Chart(NamedTuple):
    """The state of all pattern kernels."""

    ints: Ints
    floats: Floats
    ranges: Floats
    up: Half
    down: Half


def new_chart(params: PatternParams) -> Chart:
    """Return the state before the first bar."""
    return Chart(
        ints(0, 0, 0, params.L, params.zone_max_age, params.max_levels),
        floats(0.0, params.min_gap_atr, params.pool_atr),
        atr.new_state(params.atr_n),
        _new_half(params),
        _new_half(params),
    )


def _new_half(params: PatternParams) -> Half:
    return Half(
        new_window(2 * params.L + 1),
        floats(zeros=4),
        new_leg(params.L),
        new_zones(),
        new_zones(),
        new_levels(),
    )


def step(chart: Chart, events: Events, o: float, h: float, lo: float, c: float, v: float) -> None:
    """Take in one bar and add its events. There must be room: see ``is_ready``."""
    up = chart.up
    down = chart.down
    now = chart.ints[BARS]
    chart.ints[BARS] = now + 1
    strength = chart.ints[STRENGTH]
    chart.ints[HAS_ATR] = step_atr(chart.ranges, chart.floats, o, h, lo, c, v)
    # Swings.
    is_high = confirm(up, events, SWING_HIGH, 1, now, strength, h)
    is_low = confirm(down, events, SWING_LOW, -1, now, strength, -lo)
    high = up.window.floats[GREATEST]
    low = down.window.floats[GREATEST]
    # Structure: the upper half is asked first, and sets the trend for the lower one.
    is_broken_up = follow(up.leg, now, strength, is_high, high, o, h, lo, c)
    if is_broken_up:
        tell_break(chart, up, events, 1, now)
    is_broken_down = follow(down.leg, now, strength, is_low, low, -o, -lo, -h, -c)
    if is_broken_down:
        tell_break(chart, down, events, -1, now)
    # Fair value gaps.
    max_age = chart.ints[ZONE_MAX_AGE]
    change(up.gaps, events, 1, FVG_MITIGATED, FVG_FILLED, now, max_age, lo, lo, 1)
    change(down.gaps, events, -1, FVG_MITIGATED, FVG_FILLED, now, max_age, -h, -h, 1)
    least = least_gap(chart)
    find_gap(up, events, 1, now, least, o, h, lo, c)
    find_gap(down, events, -1, now, least, -o, -lo, -h, -c)
    # Order blocks.
    change(up.blocks, events, 1, OB_MITIGATED, OB_INVALIDATED, now, max_age, lo, c, 0)
    change(down.blocks, events, -1, OB_MITIGATED, OB_INVALIDATED, now, max_age, -h, -c, 0)
    if is_broken_up:
        leave_block(up, events, 1, now)
    if is_broken_down:
        leave_block(down, events, -1, now)
    # Liquidity.
    take(up.levels, events, 1, now, h, c)
    take(down.levels, events, -1, now, -lo, -c)
    reach = chart.floats[POOL_ATR] * chart.floats[ATR] if chart.ints[HAS_ATR] else -1.0
    if is_high:
        join(up.levels, events, 1, now, now - strength, high, reach, chart.ints[MAX_LEVELS])
    if is_low:
        join(down.levels, events, -1, now, now - strength, low, reach, chart.ints[MAX_LEVELS])


def confirm(half: Half, events: Events, kind: int, side: int, now: int, strength: int, h: float) -> int:
    """Take in a high; return 1 when it confirms the swing ``strength`` bars before, and add that event."""
    if not find_swing(half.window, strength, h):
        return 0
    add_level(events, kind, side, now - strength, now, side, half.window.floats[GREATEST], 0)
    return 1


def tell_break(chart: Chart, half: Half, events: Events, side: int, now: int) -> None:
    """Add the break of the half's swing: of structure with the trend or without one, else a change of character."""
    kind = CHOCH if chart.ints[TREND] == -side else BOS
    chart.ints[TREND] = side
    add_level(events, kind, side, half.leg.ints[SWING], now, side, half.leg.floats[LEVEL], 0)


def least_gap(chart: Chart) -> float:
    """Return the size a gap must have."""
    if chart.floats[MIN_GAP_ATR] <= 0.0:
        return 0.0
    return chart.floats[MIN_GAP_ATR] * chart.floats[ATR] if chart.ints[HAS_ATR] else ABOVE_ALL


def find_gap(
    half: Half, events: Events, side: int, now: int, least: float, o: float, h: float, lo: float, c: float
) -> None:
    """Open the gap between this low and the high two bars before, when the bar between them rose."""
    last = half.last
    bottom = last[BEFORE_HIGH]
    if now >= 2 and lo > bottom and last[LAST_CLOSE] > last[LAST_OPEN] and lo - bottom >= least:
        open_zone(half.gaps, events, side, FVG, now - 1, now, lo, bottom)
    last[BEFORE_HIGH] = last[LAST_HIGH]
    last[LAST_OPEN] = o
    last[LAST_HIGH] = h
    last[LAST_CLOSE] = c


def leave_block(half: Half, events: Events, side: int, now: int) -> None:
    """Open the order block of the break of this bar."""
    leg = half.leg
    top = leg.floats[BLOCK_TOP]
    open_zone(half.blocks, events, side, ORDER_BLOCK, leg.ints[BLOCK], now, top, leg.floats[BLOCK_BOTTOM])


def is_ready(chart: Chart, events: Events) -> int:
    """Return 1 when there is room for whatever the next bar brings."""
    up = chart.up
    down = chart.down
    if not (has_room(up.gaps) and has_room(down.gaps) and has_room(up.blocks) and has_room(down.blocks)):
        return 0
    if not (has_place(up.levels) and has_place(down.levels)):
        return 0
    used = FIRST + (events.ints[COUNT] + most_events(chart)) * INTS_EACH
    return 1 if used <= len(events.ints) else 0


def most_events(chart: Chart) -> int:
    """Return how many events the next bar can bring: two of each zone, one of each level, and the new."""
    up = chart.up
    down = chart.down
    zones = count_zones(up.gaps) + count_zones(down.gaps) + count_zones(up.blocks) + count_zones(down.blocks)
    return 2 * zones + up.levels.ints[LEVEL_COUNT] + down.levels.ints[LEVEL_COUNT] + 10


def run(
    chart: Chart, events: Events, o: Floats, h: Floats, lo: Floats, c: Floats, v: Floats, start: int, stop: int
) -> int:
    """Take in the bars from ``start`` up to ``stop``, exclusive, while there is room; return where it ended."""
    at = start
    while at < stop and is_ready(chart, events):
        step(chart, events, o[at], h[at], lo[at], c[at], v[at])
        at += 1
    return at
