"""Room for the kernels: longer arrays where zones fill them, and short ones to be stored."""

from array import array
from collections.abc import Callable
from typing import TypeAlias, cast

from tradebot.pipeline.patterns import emit, liquidity, zones
from tradebot.pipeline.patterns.arrays import Floats, Ints
from tradebot.pipeline.patterns.chart import Chart, Half, most_events
from tradebot.pipeline.patterns.emit import Events
from tradebot.pipeline.patterns.liquidity import Levels
from tradebot.pipeline.patterns.zones import Zones

Resize: TypeAlias = Callable[[object, int], object]
"""Returns an array of the size asked for, with the numbers of another in front and zeros behind."""


def resize_array(numbers: object, size: int) -> object:
    """Return an ``array`` of ``size`` with those of ``numbers`` in front, and zeros behind."""
    old = cast("array[float]", numbers)
    kept = old[:size]
    return kept + array(old.typecode, bytes(8 * (size - len(kept))))


def with_room(chart: Chart, resize: Resize = resize_array) -> Chart:
    """Return the chart with more room for the zones and levels that need it."""
    return chart._replace(up=_roomy(chart.up, resize), down=_roomy(chart.down, resize))


def room_for_events(events: Events, chart: Chart, resize: Resize = resize_array) -> Events:
    """Return the list with room for what the next bar of ``chart`` can bring, with at least as much again."""
    capacity = 2 * (events.ints[emit.COUNT] + most_events(chart))
    if emit.FIRST + capacity // 2 * emit.INTS_EACH <= len(events.ints):
        return events
    return Events(
        cast("Ints", resize(events.ints, emit.FIRST + emit.INTS_EACH * capacity)),
        cast("Floats", resize(events.floats, emit.FLOATS_EACH * capacity)),
    )


def trimmed(chart: Chart) -> Chart:
    """Return the chart with arrays that end behind the last zone and level: what is worth keeping.

    ``with_room`` makes it fit for more bars again.
    """
    return chart._replace(up=_trim(chart.up), down=_trim(chart.down))


def _roomy(half: Half, resize: Resize) -> Half:
    if zones.has_room(half.gaps) and zones.has_room(half.blocks) and liquidity.has_place(half.levels):
        return half
    levels = half.levels
    if not liquidity.has_place(levels):
        levels = _levels_of(levels, max(liquidity.CAPACITY, 2 * levels.ints[liquidity.COUNT]), resize)
    return half._replace(gaps=_more(half.gaps, resize), blocks=_more(half.blocks, resize), levels=levels)


def _more(kept: Zones, resize: Resize) -> Zones:
    if zones.has_room(kept):
        return kept
    count = zones.close_ranks(kept)
    return _zones_of(kept, max(zones.CAPACITY, 4 * count), resize)


def _trim(half: Half) -> Half:
    return half._replace(
        gaps=_zones_of(half.gaps, zones.close_ranks(half.gaps), resize_array),
        blocks=_zones_of(half.blocks, zones.close_ranks(half.blocks), resize_array),
        levels=_levels_of(half.levels, half.levels.ints[liquidity.COUNT], resize_array),
    )


def _zones_of(kept: Zones, capacity: int, resize: Resize) -> Zones:
    return Zones(
        cast("Ints", resize(kept.ints, zones.ZONES + zones.INTS_EACH * capacity)),
        cast("Floats", resize(kept.floats, zones.PRICES + zones.FLOATS_EACH * capacity)),
    )


def _levels_of(kept: Levels, capacity: int, resize: Resize) -> Levels:
    return Levels(
        cast("Ints", resize(kept.ints, liquidity.LEVELS + liquidity.INTS_EACH * capacity)),
        cast("Floats", resize(kept.floats, liquidity.PRICES + capacity)),
    )
