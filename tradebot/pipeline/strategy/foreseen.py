"""The patterns of a whole run of columns, by the places at which they became known: found once, by compiled kernels.

They tell a strategy where it may have something to say, and what it knew of them at a place when it has passed bars
over. What is known at a place is made of the bars up to it alone.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tradebot.model.time import NANOS_PER_MS, floor_to
from tradebot.pipeline.columns import ColumnRun, Kernels
from tradebot.pipeline.patterns import atr, chart, emit
from tradebot.pipeline.patterns.arrays import as_views
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.room import room_for_events, with_room
from tradebot.pipeline.patterns.scanner import BarArrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tradebot.pipeline.columns import FloatArray, IntArray

_EVENTS_AT_ONCE = 8_192
_NEVER = 2**62
_ZONES = (emit.FVG, emit.FVG_FILLED, emit.ORDER_BLOCK, emit.OB_INVALIDATED)
_BREAKS = (emit.BOS, emit.CHOCH)


class EventColumns(NamedTuple):
    """Events as columns, in their order. ``first`` is a level or the top of a zone, ``second`` its bottom."""

    kinds: "IntArray"
    sides: "IntArray"
    indices: "IntArray"
    places: "IntArray"
    counts: "IntArray"
    first: "FloatArray"
    second: "FloatArray"


class Coarse:
    """The bars of a coarser timeframe that is ``factor`` bars of a run long, and how each of them grows."""

    def __init__(self, run: ColumnRun, candles: BarArrays, factor: int) -> None:
        import numpy as np

        opened, length = run.closed - run.timeframe, run.timeframe * factor
        buckets = cast("IntArray", floor_to(cast("int", opened), length))
        self._fine = candles
        self._starts = starts = np.concatenate(([0], np.flatnonzero(buckets[1:] != buckets[:-1]) + 1))
        ends = np.append(starts[1:], len(buckets))
        self._is_whole = is_whole = bool(opened[0] == buckets[0])
        self._ts_ms = ts_ms = buckets[starts] // NANOS_PER_MS
        # One whose last part is missing closes with the next bar, if there is one.
        is_in_time = run.closed[ends - 1] >= buckets[starts] + length
        self._closed = closed = np.where(is_in_time, ends - 1, ends)
        taken = slice(0 if is_whole else 1, len(starts) - int(closed[-1] == len(buckets)))
        highs, lows = (np.asarray(column) for column in (candles.high, candles.low))
        columns: tuple[Any, ...] = (
            ts_ms,
            np.asarray(candles.open)[starts],
            np.maximum.reduceat(highs, starts),
            np.minimum.reduceat(lows, starts),
            np.asarray(candles.close)[ends - 1],
            # No pattern looks at it.
            np.zeros(len(starts)),
        )
        self.candles = BarArrays(*(column[taken].copy() for column in columns))
        """Those that a scanner is given."""
        self.closed: IntArray = closed[taken]
        """The place of the run at which each was given."""

    def growing(self, place: int) -> list[float]:
        """Return the bar that is on its way at the close of ``place``, as ``SmartMoney`` keeps it."""
        group = int(self._starts.searchsorted(place, "right")) - 1
        if int(self._closed[group]) == place:
            return []
        start, fine = int(self._starts[group]), self._fine
        part = slice(start, place + 1)
        volume = 0.0
        for one in cast("FloatArray", fine.volume)[part].tolist():
            volume += one
        return [
            self._is_whole or start > 0,
            int(self._ts_ms[group]),
            float(fine.open[start]),
            float(cast("FloatArray", fine.high)[part].max()),
            float(cast("FloatArray", fine.low)[part].min()),
            float(fine.close[place]),
            volume,
        ]


@dataclass(frozen=True, slots=True)
class KeptZone:
    """A gap or block: when it became known, and was filled or invalidated, and what the strategy keeps of it."""

    name: str
    opened: int
    closed: int
    top: float
    bottom: float


class Foreseen:
    """The patterns of a run with ``params``, and the trends of the two coarser timeframes."""

    def __init__(self, run: ColumnRun, candles: BarArrays, params: PatternParams, near: Coarse, far: Coarse) -> None:
        import numpy as np

        self.candles = candles
        self.near, self.far = near, far
        self.told = _told(run.kernels, candles, params, (*_ZONES, emit.SWEEP))
        self.atrs: FloatArray = np.zeros(len(run))
        run.kernels[atr.series](
            as_views(atr.new_state(params.atr_n)), np.zeros(1), candles.high, candles.low, candles.close, self.atrs
        )
        self._params = params
        self._trends = tuple(_trend(run.kernels, coarse, params) for coarse in (near, far))
        swept = self.told.kinds == emit.SWEEP
        self._sweeps: list[int] = self.told.places[swept].tolist()
        self._sweep_sides: list[int] = self.told.sides[swept].tolist()

    @cached_property
    def atr_at(self) -> "FloatArray":
        """The ATR at each event; 0 where there is none."""
        return self.atrs[self.told.places]

    @cached_property
    def has_atr(self) -> "NDArray[np.bool_]":
        """Whether there is an ATR at each event."""
        return self.told.places >= self._params.atr_n

    @cached_property
    def has_bias(self) -> "NDArray[np.bool_]":
        """Whether no coarser timeframe is against the side of each event, and one is for it."""
        import numpy as np

        near, far = (found[places.searchsorted(self.told.places, "right")] for places, found in self._trends)
        near, far = near * self.told.sides, far * self.told.sides
        return (np.minimum(near, far) >= 0) & (np.maximum(near, far) > 0)

    def last_sweep(self, place: int) -> list[int]:
        """Return side and place of the last sweep up to ``place``; nothing before the first."""
        last = bisect_right(self._sweeps, place) - 1
        return [] if last < 0 else [self._sweep_sides[last], self._sweeps[last]]

    def zones(self, place: int) -> dict[str, list[float]]:
        """Return the zones that ``SmartMoney`` keeps at the close of ``place``: too old ones leave when one is new."""
        opened = self._opened
        until = bisect_right(opened, place)
        if not until:
            return {}
        first = bisect_left(opened, opened[until - 1] - self._params.zone_max_age)
        kept = (zone for zone in self._zones[first:until] if zone.closed > place)
        return {zone.name: [zone.top, zone.bottom, zone.opened] for zone in kept}

    @cached_property
    def _opened(self) -> list[int]:
        return [zone.opened for zone in self._zones]

    @cached_property
    def _zones(self) -> list[KeptZone]:
        found: list[tuple[str, int, float, float]] = []
        ends: dict[int, int] = {}
        open_by_name: dict[str, list[int]] = {}
        columns = (column.tolist() for column in self.told)
        for kind, side, index, place, _, top, bottom in zip(*columns, strict=True):
            if kind not in _ZONES:
                continue
            name = zone_name(kind in (emit.FVG, emit.FVG_FILLED), side, index, top, bottom)
            if kind in (emit.FVG, emit.ORDER_BLOCK):
                open_by_name.setdefault(name, []).append(len(found))
                found.append((name, place, top, bottom))
            else:
                ends.update(dict.fromkeys(open_by_name.pop(name, ()), place))
        return [
            KeptZone(name, place, ends.get(number, _NEVER), top, bottom)
            for number, (name, place, top, bottom) in enumerate(found)
        ]


def foreseen(run: ColumnRun, params: PatternParams, near: int, far: int) -> Foreseen | None:
    """Return the patterns of ``run``; ``None`` where its numbers have too many digits for floats."""
    candles = run.candles
    if candles is None:
        return None
    coarse = [_coarse(run, candles, factor) for factor in (near, far)]
    return run.once((Foreseen, params, near, far), lambda: Foreseen(run, candles, params, *coarse))


def _coarse(run: ColumnRun, candles: BarArrays, factor: int) -> Coarse:
    return run.once((Coarse, factor), lambda: Coarse(run, candles, factor))


def zone_name(is_gap: bool, side: int, index: int, top: float | None, bottom: float | None) -> str:
    """Return the name under which a strategy keeps a zone."""
    return f"{'gap' if is_gap else 'block'} {side} {index} {top!r} {bottom!r}"


def _trend(kernels: Kernels, coarse: Coarse, params: PatternParams) -> "tuple[IntArray, IntArray]":
    """Return the places at which the trend was set, and the trends: that before the first, then each that was set."""
    import numpy as np

    breaks = _told(kernels, coarse.candles, params, _BREAKS)
    return coarse.closed[breaks.places], np.append(0, breaks.sides)


def _told(kernels: Kernels, candles: BarArrays, params: PatternParams, kinds: tuple[int, ...]) -> EventColumns:
    """Return the events of ``kinds`` of all bars."""
    import numpy as np

    state, events = with_room(chart.new_chart(params)), emit.new_events(_EVENTS_AT_ONCE)
    at, stop = 0, len(candles.ts_ms)
    parts = [(np.zeros((0, emit.INTS_EACH), np.int64), np.zeros((0, emit.FLOATS_EACH)))]
    while at < stop:
        viewed = as_views(events)
        at = int(kernels[chart.run](as_views(state), viewed, *candles[1:], at, stop))
        count = events.ints[emit.COUNT]
        numbers = np.asarray(viewed.ints)[emit.FIRST : emit.FIRST + count * emit.INTS_EACH]
        numbers = numbers.reshape(count, emit.INTS_EACH)
        levels = np.asarray(viewed.floats)[: count * emit.FLOATS_EACH].reshape(count, emit.FLOATS_EACH)
        is_asked_for = np.isin(numbers[:, 0], kinds)
        parts.append((numbers[is_asked_for], levels[is_asked_for]))
        events.ints[emit.COUNT] = 0
        state = with_room(state)
        events = room_for_events(events, state)
    numbers, levels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return EventColumns(*numbers.T.copy(), *levels.T.copy())
