"""Pattern events of whole histories: the compiled kernels, run in chunks of what they find."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradebot.pipeline.patterns.arrays import map_arrays
from tradebot.pipeline.patterns.chart import new_chart
from tradebot.pipeline.patterns.chart import run as run_kernel
from tradebot.pipeline.patterns.emit import COUNT, FIRST, FLOATS_EACH, FVG, INTS_EACH, POOL, Events, new_events
from tradebot.pipeline.patterns.events import COUNTED_KINDS, KINDS, ZONE_KINDS, PatternEvent
from tradebot.pipeline.patterns.params import PatternParams, params_of
from tradebot.pipeline.patterns.room import room_for_events, with_room
from tradebot.research.bars import Columns, IntArray, columns_of
from tradebot.runtime.compiled import compiled

EVENT_DTYPE = np.dtype(
    [
        ("kind", "U14"),
        ("side", np.int8),
        ("index", np.int64),
        ("confirmed", np.int64),
        ("ts", np.int64),
        ("confirmed_ts", np.int64),
        ("level", np.float64),
        ("top", np.float64),
        ("bottom", np.float64),
        ("count", np.int64),
    ]
)
EventArray = NDArray[np.void]

_KIND_NAMES = np.array([kind.value for kind in KINDS], dtype="U14")
_EVENTS_AT_ONCE = 8_192
_EVENT_FIELDS = ("kind", "side", "index", "confirmed", "level", "top", "bottom", "count")


def scan_events(
    ts: ArrayLike, o: ArrayLike, h: ArrayLike, lo: ArrayLike, c: ArrayLike, v: ArrayLike, params: Mapping[str, object]
) -> EventArray:
    """Return the events of a history: see ``tradebot.research.scan``."""
    checked = params_of({name: plain(value) for name, value in params.items()})
    return scan_columns(columns_of(ts, o, h, lo, c, v), checked)


def scan_columns(bars: Columns, params: PatternParams) -> EventArray:
    """Return the events of checked bars."""
    run = compiled()[run_kernel]
    chart = map_arrays(with_room(new_chart(params)), as_numpy)
    events = map_arrays(new_events(_EVENTS_AT_ONCE), as_numpy)
    at, stop = 0, bars.ts.size
    # Memory that is not written to costs nothing, and fresh memory costs more than the kernels do: so the events
    # go to their place at once, and are kept nowhere else.
    records, end = np.empty(stop + stop // 2 + _EVENTS_AT_ONCE, EVENT_DTYPE), 0
    while at < stop:
        at = run(chart, events, bars.open, bars.high, bars.low, bars.close, bars.volume, at, stop)
        found = int(events.ints[COUNT])
        records = _with_room(records, end, found, at / stop)
        _write(records[end : end + found], events, bars.ts)
        end += found
        events.ints[COUNT] = 0
        chart = with_room(chart, resize_numpy)
        events = room_for_events(events, chart, resize_numpy)
    records.resize(end, refcheck=False)
    return records


def _with_room(records: EventArray, end: int, found: int, share: float) -> EventArray:
    """Return records with room for ``found`` more and, after a ``share`` of the bars, for all at that rate."""
    if end + found <= records.size:
        return records
    more = np.empty(int(1.1 * (end + found) / share) + _EVENTS_AT_ONCE, EVENT_DTYPE)
    more[:end] = records[:end]
    return more


def _write(part: EventArray, events: Events, ts: IntArray) -> None:
    """Write the events of the kernels, few enough for the processor's cache, as records."""
    found = part.size
    numbers = np.asarray(events.ints)[FIRST : FIRST + found * INTS_EACH].reshape(found, INTS_EACH)
    kinds, part["side"], index, confirmed, part["count"] = numbers.T
    levels = np.asarray(events.floats)[: found * FLOATS_EACH].reshape(found, FLOATS_EACH)
    is_zone = (kinds >= FVG) & (kinds < POOL)
    part["kind"] = _KIND_NAMES[kinds]
    part["index"], part["ts"] = index, ts[index]
    part["confirmed"], part["confirmed_ts"] = confirmed, ts[confirmed]
    part["level"] = np.where(is_zone, 0.0, levels[:, 0])
    part["top"] = np.where(is_zone, levels[:, 0], 0.0)
    part["bottom"] = levels[:, 1]


def plain(value: object) -> object:
    """Return a number of numpy's as one of Python's."""
    return value.item() if isinstance(value, np.generic) else value


def as_numpy(numbers: object) -> object:
    """Return an array as one of numpy's."""
    return np.array(numbers)


def resize_numpy(numbers: object, size: int) -> object:
    """Return an array of ``size`` with the numbers of ``numbers`` in front, and zeros behind."""
    old = np.asarray(numbers)
    new = np.zeros(size, dtype=old.dtype)
    kept = min(size, old.size)
    new[:kept] = old[:kept]
    return new


def as_events(records: EventArray) -> Iterator[PatternEvent]:
    """Give the records of ``scan_columns`` as events."""
    kinds = {kind.value: kind for kind in KINDS}
    # A part at a time: as objects they need many times their room in an array.
    for start in range(0, len(records), _EVENTS_AT_ONCE):
        part = records[start : start + _EVENTS_AT_ONCE]
        columns = (part[name].tolist() for name in _EVENT_FIELDS)
        for name, side, index, confirmed, level, top, bottom, count in zip(*columns, strict=True):
            kind = kinds[name]
            if kind in ZONE_KINDS:
                yield PatternEvent(kind, side, index, confirmed, top=top, bottom=bottom)
            else:
                yield PatternEvent(kind, side, index, confirmed, level, count=count if kind in COUNTED_KINDS else None)
