"""Indicators and read-outs of whole histories: the compiled kernels."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tradebot.pipeline.patterns import read_outs
from tradebot.pipeline.patterns.arrays import map_arrays
from tradebot.pipeline.patterns.calendar import new_periods
from tradebot.pipeline.patterns.chart import new_chart
from tradebot.pipeline.patterns.emit import new_events
from tradebot.pipeline.patterns.indicator import new_state, spec_of
from tradebot.pipeline.patterns.params import params_of
from tradebot.pipeline.patterns.room import room_for_events, with_room
from tradebot.research.bars import columns_of
from tradebot.research.events import EventArray, as_numpy, plain, resize_numpy
from tradebot.runtime.compiled import compiled, compiled_run


def indicator_of(
    name: str,
    ts: ArrayLike,
    o: ArrayLike,
    h: ArrayLike,
    lo: ArrayLike,
    c: ArrayLike,
    v: ArrayLike,
    params: Mapping[str, object],
) -> EventArray:
    """Return an indicator of each bar: see ``tradebot.research.indicator``."""
    spec = spec_of(name)
    state = map_arrays(new_state(name, {key: plain(value) for key, value in params.items()}), as_numpy)
    bars = columns_of(ts, o, h, lo, c, v)
    out = np.zeros(len(spec.outputs))
    found = np.zeros((bars.ts.size, len(spec.outputs)))
    is_defined = np.zeros(bars.ts.size, dtype=np.int64)
    compiled_run(spec.step)(state, out, found, is_defined, *bars)
    records = np.empty(bars.ts.size, np.dtype([("defined", np.bool_), *((key, np.float64) for key in spec.outputs)]))
    records["defined"] = is_defined
    for place, key in enumerate(spec.outputs):
        records[key] = found[:, place]
    return records


_BITS = {
    "has_atr": read_outs.ATR_BIT,
    "has_displacement": read_outs.DISPLACEMENT_BIT,
    "has_range": read_outs.RANGE_BIT,
    "has_day": read_outs.DAY_BIT,
    "has_week": read_outs.WEEK_BIT,
}
_READ_OUTS = np.dtype(
    [
        ("trend", np.int8),
        ("sessions", np.int8),
        *((name, np.float64) for name in read_outs.NAMES),
        *((name, np.bool_) for name in _BITS),
    ]
)


def read_outs_of(
    ts: ArrayLike, o: ArrayLike, h: ArrayLike, lo: ArrayLike, c: ArrayLike, v: ArrayLike, params: Mapping[str, object]
) -> EventArray:
    """Return the read-outs of each bar: see ``tradebot.research.read_outs``."""
    checked = params_of({key: plain(value) for key, value in params.items()})
    bars = columns_of(ts, o, h, lo, c, v)
    run = compiled()[read_outs.run_read_outs]
    chart = map_arrays(with_room(new_chart(checked)), as_numpy)
    events = map_arrays(room_for_events(new_events(0), new_chart(checked)), as_numpy)
    periods = map_arrays(new_periods(), as_numpy)
    out = np.zeros(len(read_outs.NAMES))
    found = np.zeros((bars.ts.size, out.size))
    numbers = np.zeros((bars.ts.size, 3), dtype=np.int64)
    at = 0
    while at < bars.ts.size:
        at = run(chart, periods, events, out, found, numbers, *bars, at)
        chart = with_room(chart, resize_numpy)
        events = room_for_events(events, chart, resize_numpy)
    records = np.empty(bars.ts.size, _READ_OUTS)
    records["trend"], records["sessions"] = numbers[:, 0], numbers[:, 1]
    for place, name in enumerate(read_outs.NAMES):
        records[name] = found[:, place]
    for name, bit in _BITS.items():
        records[name] = numbers[:, 2] & bit
    return records
