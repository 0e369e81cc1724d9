"""Liquidity: the swings not yet taken, pooled where they lie together, and how price takes them.

Written for the buy side, levels above price; the sell side is the same on mirrored prices.
"""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import ABOVE_ALL, Floats, Ints, floats, ints
from tradebot.pipeline.patterns.emit import POOL, RUN, SWEEP, Events, add_level

# Whole numbers: how many levels; then of each the bar of its newest swing and how many swings it holds.
COUNT, LEVELS = 0, 1
INDEX, MEMBERS, INTS_EACH = 0, 1, 2
# Floats: no open level is lower than the first; then the levels.
NEAREST, PRICES = 0, 1
# Room at the start; it is doubled as needed.
CAPACITY = 64


class Levels(NamedTuple):
    """The open levels of one side, in order of their opening."""

    ints: Ints
    floats: Floats


def new_levels(capacity: int = CAPACITY) -> Levels:
    """Return no levels, with room for ``capacity``."""
    return Levels(ints(0, zeros=INTS_EACH * capacity), floats(ABOVE_ALL, zeros=capacity))


def has_place(levels: Levels) -> int:
    """Return 1 when another level finds a place."""
    return 1 if PRICES + levels.ints[COUNT] < len(levels.floats) else 0


def take(levels: Levels, events: Events, half: int, now: int, h: float, c: float) -> None:
    """Close the levels that bar ``now`` trades through: swept when it closes back at or below them, else run."""
    if h <= levels.floats[NEAREST]:
        return
    nearest = ABOVE_ALL
    kept = 0
    for at in range(levels.ints[COUNT]):
        level = levels.floats[PRICES + at]
        numbers = LEVELS + at * INTS_EACH
        index = levels.ints[numbers + INDEX]
        members = levels.ints[numbers + MEMBERS]
        if h > level:
            if c <= level:
                add_level(events, SWEEP, -half, index, now, half, level, members)
            else:
                add_level(events, RUN, half, index, now, half, level, members)
        else:
            put(levels, kept, index, members, level)
            kept += 1
            if level < nearest:
                nearest = level
    levels.ints[COUNT] = kept
    levels.floats[NEAREST] = nearest


def put(levels: Levels, at: int, index: int, members: int, level: float) -> None:
    """Write a level at a place."""
    numbers = LEVELS + at * INTS_EACH
    levels.ints[numbers + INDEX] = index
    levels.ints[numbers + MEMBERS] = members
    levels.floats[PRICES + at] = level


def join(
    levels: Levels, events: Events, half: int, now: int, index: int, x: float, reach: float, max_levels: int
) -> None:
    """Let the nearest level within ``reach`` absorb the swing at ``index`` of level ``x``, or open a new level.

    A negative ``reach`` reaches nothing. There must be a place.
    """
    count = levels.ints[COUNT]
    best = -1
    least = ABOVE_ALL
    for at in range(count):
        distance = abs(levels.floats[PRICES + at] - x)
        if distance <= least:
            least = distance
            best = at
    if best >= 0 and least <= reach:
        level = levels.floats[PRICES + best]
        if x > level:
            level = x
        members = levels.ints[LEVELS + best * INTS_EACH + MEMBERS] + 1
        put(levels, best, index, members, level)
        add_level(events, POOL, half, index, now, half, level, members)
        return
    put(levels, count, index, 1, x)
    count += 1
    if count > max_levels:
        count -= 1
        for at in range(count):
            numbers = LEVELS + (at + 1) * INTS_EACH
            put(
                levels, at, levels.ints[numbers + INDEX], levels.ints[numbers + MEMBERS], levels.floats[PRICES + at + 1]
            )
    levels.ints[COUNT] = count
    if x < levels.floats[NEAREST]:
        levels.floats[NEAREST] = x
