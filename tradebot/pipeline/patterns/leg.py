"""The leg that began at the last swing: whether its swing still stands, and the order block a break would leave.

Written for the upper half, where the swing is a high and a break goes up. The lower half is the same on
mirrored prices, which are exact: ``(-o, -low, -high, -c)``.
"""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints

# Whole numbers: 1 while the swing is unbroken, its bar, the bar of the block, and of the last falling bar; -1: none.
IS_ACTIVE, SWING, BLOCK, FALLING = 0, 1, 2, 3
# Floats: level of the swing, lowest low after it, and the prices of those two bars.
LEVEL, LOWEST, BLOCK_TOP, BLOCK_BOTTOM, FALLING_TOP, FALLING_BOTTOM = 0, 1, 2, 3, 4, 5
# A bar in the ring of recent bars.
OPEN, HIGH, LOW, CLOSE, EACH = 0, 1, 2, 3, 4


class Leg(NamedTuple):
    """The state: the leg, and the bars since the next swing may have happened."""

    ints: Ints
    floats: Floats
    recent: Floats


def new_leg(strength: int) -> Leg:
    """Return the state before the first swing; a swing is confirmed ``strength`` bars late."""
    return Leg(ints(0, -1, -1, -1), floats(zeros=6), floats(zeros=EACH * (strength + 1)))


def extend(leg: Leg, now: int, o: float, h: float, lo: float, c: float) -> None:
    """Take in the bar ``now``: the leg's swing or a later one."""
    if c < o:
        leg.ints[FALLING] = now
        leg.floats[FALLING_TOP] = h
        leg.floats[FALLING_BOTTOM] = lo
    swing = leg.ints[SWING]
    if now > swing and (now == swing + 1 or lo <= leg.floats[LOWEST]):
        leg.floats[LOWEST] = lo
        if leg.ints[FALLING] >= 0:
            leg.ints[BLOCK] = leg.ints[FALLING]
            leg.floats[BLOCK_TOP] = leg.floats[FALLING_TOP]
            leg.floats[BLOCK_BOTTOM] = leg.floats[FALLING_BOTTOM]
        else:
            leg.ints[BLOCK] = now
            leg.floats[BLOCK_TOP] = h
            leg.floats[BLOCK_BOTTOM] = lo


def begin(leg: Leg, now: int, strength: int, level: float) -> None:
    """Begin anew at the swing that ``now`` confirms, with the bars since it."""
    swing = now - strength
    leg.ints[IS_ACTIVE] = 1
    leg.ints[SWING] = swing
    leg.ints[FALLING] = -1
    leg.floats[LEVEL] = level
    recent = leg.recent
    for bar in range(swing, now + 1):
        at = bar % (strength + 1) * EACH
        extend(leg, bar, recent[at + OPEN], recent[at + HIGH], recent[at + LOW], recent[at + CLOSE])


def follow(
    leg: Leg, now: int, strength: int, is_swing: int, level: float, o: float, h: float, lo: float, c: float
) -> int:
    """Take in the bar ``now`` and the swing it may confirm; return 1 when it closes beyond the swing, else 0.

    A swing is broken once; until the next bar its block stands in the state.
    """
    at = now % (strength + 1) * EACH
    leg.recent[at + OPEN] = o
    leg.recent[at + HIGH] = h
    leg.recent[at + LOW] = lo
    leg.recent[at + CLOSE] = c
    if is_swing:
        begin(leg, now, strength, level)
    elif leg.ints[IS_ACTIVE]:
        extend(leg, now, o, h, lo, c)
    if leg.ints[IS_ACTIVE] and c > leg.floats[LEVEL]:
        leg.ints[IS_ACTIVE] = 0
        return 1
    return 0
