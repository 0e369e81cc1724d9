"""The life of zones, fair value gaps and order blocks alike: touched once, ended once, forgotten when too old.

Written for bullish zones, which price meets from above; bearish ones are the same on mirrored prices.
"""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import BELOW_ALL, Floats, Ints, floats, ints
from tradebot.pipeline.patterns.emit import Events, add_zone

# Whole numbers: places of the oldest zone and behind the newest; then of each zone its bar, the bar that made it
# known, and whether it was touched.
FIRST, END, ZONES = 0, 1, 2
INDEX, BORN, IS_TOUCHED, INTS_EACH = 0, 1, 2, 3
# Floats: the highest top among the untouched, and the highest bottom among the touched: a price above both meets
# none, which spares most bars the walk. They may be too high after a zone was forgotten, never too low.
TOP_REACH, BOTTOM_REACH, PRICES = 0, 1, 2
TOP, BOTTOM, FLOATS_EACH = 0, 1, 2
# Room at the start; it is doubled as needed.
CAPACITY = 32


class Zones(NamedTuple):
    """The zones of one kind and side that are still open, older ones first."""

    ints: Ints
    floats: Floats


def new_zones(capacity: int = CAPACITY) -> Zones:
    """Return no zones."""
    return Zones(ints(0, 0, zeros=INTS_EACH * capacity), floats(BELOW_ALL, BELOW_ALL, zeros=FLOATS_EACH * capacity))


def count_zones(zones: Zones) -> int:
    """Return how many zones are open."""
    return zones.ints[END] - zones.ints[FIRST]


def has_room(zones: Zones) -> int:
    """Return 1 when at least half the places are free, so that moving zones down to make room stays rare."""
    return 1 if 2 * (zones.ints[END] - zones.ints[FIRST]) * FLOATS_EACH < len(zones.floats) - PRICES else 0


def change(
    zones: Zones,
    events: Events,
    half: int,
    touched: int,
    ended: int,
    now: int,
    max_age: int,
    price: float,
    last: float,
    is_inclusive: int,
) -> None:
    """Forget what is too old, then add the events ``touched`` and ``ended`` of the zones that bar ``now`` meets.

    A zone is touched by ``price`` at or below its top, and ended by ``last`` below its bottom, or, with
    ``is_inclusive``, at it.
    """
    first = zones.ints[FIRST]
    end = zones.ints[END]
    while first < end and now - zones.ints[ZONES + first * INTS_EACH + BORN] > max_age:
        first += 1
    zones.ints[FIRST] = first
    if price > zones.floats[TOP_REACH] and last > zones.floats[BOTTOM_REACH]:
        return
    zones.floats[TOP_REACH] = BELOW_ALL
    zones.floats[BOTTOM_REACH] = BELOW_ALL
    kept = first
    for at in range(first, end):
        if meet(zones, events, half, touched, ended, now, price, last, is_inclusive, at):
            move(zones, at, kept)
            kept += 1
    zones.ints[END] = kept


def meet(
    zones: Zones,
    events: Events,
    half: int,
    touched: int,
    ended: int,
    now: int,
    price: float,
    last: float,
    is_inclusive: int,
    at: int,
) -> int:
    """Add the events of the zone at ``at``; return 1 when it goes on."""
    numbers = ZONES + at * INTS_EACH
    prices = PRICES + at * FLOATS_EACH
    top = zones.floats[prices + TOP]
    bottom = zones.floats[prices + BOTTOM]
    if not zones.ints[numbers + IS_TOUCHED]:
        if price > top:
            if top > zones.floats[TOP_REACH]:
                zones.floats[TOP_REACH] = top
            return 1
        zones.ints[numbers + IS_TOUCHED] = 1
        add_zone(events, touched, half, zones.ints[numbers + INDEX], now, top, bottom)
    if last < bottom or (is_inclusive and last == bottom):
        add_zone(events, ended, half, zones.ints[numbers + INDEX], now, top, bottom)
        return 0
    if bottom > zones.floats[BOTTOM_REACH]:
        zones.floats[BOTTOM_REACH] = bottom
    return 1


def move(zones: Zones, source: int, target: int) -> None:
    """Copy a zone to another place."""
    if source == target:
        return
    for field in range(INTS_EACH):
        zones.ints[ZONES + target * INTS_EACH + field] = zones.ints[ZONES + source * INTS_EACH + field]
    for field in range(FLOATS_EACH):
        zones.floats[PRICES + target * FLOATS_EACH + field] = zones.floats[PRICES + source * FLOATS_EACH + field]


def open_zone(
    zones: Zones, events: Events, half: int, kind: int, index: int, now: int, top: float, bottom: float
) -> None:
    """Add the event of a new zone, and keep it. There must be room."""
    add_zone(events, kind, half, index, now, top, bottom)
    end = zones.ints[END]
    if (end + 1) * FLOATS_EACH > len(zones.floats) - PRICES:
        end = close_ranks(zones)
    numbers = ZONES + end * INTS_EACH
    zones.ints[numbers + INDEX] = index
    zones.ints[numbers + BORN] = now
    zones.ints[numbers + IS_TOUCHED] = 0
    prices = PRICES + end * FLOATS_EACH
    zones.floats[prices + TOP] = top
    zones.floats[prices + BOTTOM] = bottom
    zones.ints[END] = end + 1
    if top > zones.floats[TOP_REACH]:
        zones.floats[TOP_REACH] = top


def close_ranks(zones: Zones) -> int:
    """Move all zones to the beginning; return how many they are."""
    first = zones.ints[FIRST]
    count = zones.ints[END] - first
    for at in range(count):
        move(zones, first + at, at)
    zones.ints[FIRST] = 0
    zones.ints[END] = count
    return count
