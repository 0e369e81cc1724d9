"""Indicators of whole histories: the compiled kernels."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tradebot.pipeline.patterns.arrays import map_arrays
from tradebot.pipeline.patterns.indicator import new_state, spec_of
from tradebot.research.bars import columns_of
from tradebot.research.compiled import compiled_run
from tradebot.research.events import EventArray, as_numpy, plain


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
