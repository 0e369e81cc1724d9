"""What the pattern kernels find: a list of events in two arrays."""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints

SWING_HIGH, SWING_LOW, BOS, CHOCH = 0, 1, 2, 3
FVG, FVG_MITIGATED, FVG_FILLED = 4, 5, 6
ORDER_BLOCK, OB_MITIGATED, OB_INVALIDATED = 7, 8, 9
POOL, SWEEP, RUN = 10, 11, 12

# The whole numbers: how many events, then of each its kind, side, index, confirmed and count.
COUNT, FIRST, INTS_EACH = 0, 1, 5
# The floats: of each event its level, or its top and bottom.
FLOATS_EACH = 2


class Events(NamedTuple):
    """Events in the order in which they were found. Kernels add to it; who reads it sets ``ints[COUNT]`` to 0."""

    ints: Ints
    floats: Floats


def new_events(capacity: int) -> Events:
    """Return an empty list with room for ``capacity`` events."""
    return Events(ints(0, zeros=INTS_EACH * capacity), floats(zeros=FLOATS_EACH * capacity))


def add_level(
    events: Events, kind: int, side: int, index: int, confirmed: int, half: int, level: float, count: int
) -> None:
    """Add an event with a level. ``half`` is -1 where ``level`` is mirrored, else 1."""
    at = events.ints[COUNT]
    events.ints[COUNT] = at + 1
    numbers = FIRST + at * INTS_EACH
    events.ints[numbers] = kind
    events.ints[numbers + 1] = side
    events.ints[numbers + 2] = index
    events.ints[numbers + 3] = confirmed
    events.ints[numbers + 4] = count
    events.floats[at * FLOATS_EACH] = level * half
    events.floats[at * FLOATS_EACH + 1] = 0.0


def add_zone(events: Events, kind: int, half: int, index: int, confirmed: int, top: float, bottom: float) -> None:
    """Add an event with a zone. ``half`` is its side; where it is -1, ``top`` and ``bottom`` are mirrored."""
    at = events.ints[COUNT]
    events.ints[COUNT] = at + 1
    numbers = FIRST + at * INTS_EACH
    events.ints[numbers] = kind
    events.ints[numbers + 1] = half
    events.ints[numbers + 2] = index
    events.ints[numbers + 3] = confirmed
    events.ints[numbers + 4] = 0
    if half > 0:
        events.floats[at * FLOATS_EACH] = top
        events.floats[at * FLOATS_EACH + 1] = bottom
    else:
        events.floats[at * FLOATS_EACH] = -bottom
        events.floats[at * FLOATS_EACH + 1] = -top
