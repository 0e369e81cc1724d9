"""Histories as numpy columns, checked: research refuses what the data files' reader refuses."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradebot.model.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NAMES = ("open", "high", "low", "close", "volume")


class BadBars(DataError, ValueError):
    """Columns that are no history of bars."""


class Columns(NamedTuple):
    """Bars, column by column; ``ts`` is in epoch milliseconds."""

    ts: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


def columns_of(ts: ArrayLike, o: ArrayLike, h: ArrayLike, lo: ArrayLike, c: ArrayLike, v: ArrayLike) -> Columns:
    """Return the columns of a history. Raises ``BadBars`` naming the first bar that is wrong."""
    times = _times(ts)
    columns = [_floats(name, column) for name, column in zip(_NAMES, (o, h, lo, c, v), strict=True)]
    for name, column in zip(_NAMES, columns, strict=True):
        if column.shape != times.shape:
            raise BadBars(f"{name} has {column.size} values, but ts has {times.size}")
    found = Columns(times, *columns)
    _check(found)
    return found


def _times(ts: ArrayLike) -> IntArray:
    times = np.asarray(ts)
    if times.ndim != 1:
        raise BadBars(f"ts has {times.ndim} dimensions, not 1")
    if times.dtype.kind == "M":
        return times.astype("datetime64[ms]").astype(np.int64)
    if times.size and times.dtype.kind not in "iu" and not _are_whole(times):
        raise BadBars("ts must be whole epoch milliseconds or datetime64")
    return np.ascontiguousarray(times, dtype=np.int64)


def _are_whole(times: NDArray[np.generic]) -> bool:
    return times.dtype.kind == "f" and bool(np.all(np.mod(times, 1) == 0))


def _floats(name: str, column: ArrayLike) -> FloatArray:
    try:
        return np.ascontiguousarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadBars(f"{name} cannot be read as float64: {error}") from error


def _check(bars: Columns) -> None:
    ts, o, h, lo, c, v = bars
    # Each comparison is false for a NaN, so only what is sound passes.
    is_sound = (lo > 0) & (lo <= o) & (o <= h) & (lo <= c) & (c <= h) & (h < np.inf) & (v >= 0) & (v < np.inf)
    if ts.size:
        is_sound[1:] &= ts[1:] > ts[:-1]
        is_sound[0] &= bool(ts[0] >= 0)
    if bool(is_sound.all()):
        return
    at = int(np.argmin(is_sound))
    raise BadBars(_fault(bars, at), where=f"bar {at}", mend="repair the history first")


def _fault(bars: Columns, at: int) -> str:
    ts, o, h, lo, c, v = (float(column[at]) for column in bars)
    if bars.ts[at] < 0 or (at and bars.ts[at] <= bars.ts[at - 1]):
        return f"its time {int(ts)} ms does not come after that of the bar before"
    if not all(np.isfinite((o, h, lo, c, v))):
        return "a value is not a finite number"
    if lo <= 0:
        return f"its low {lo} is not above 0"
    if v < 0:
        return f"its volume {v} is below 0"
    return f"its prices contradict each other: open {o}, high {h}, low {lo}, close {c}"
