"""The patterns of one series of bars, as they come: for the daemon, strategies and ``tradebot scan``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tradebot.pipeline.patterns import calendar, read_outs
from tradebot.pipeline.patterns.arrays import Floats, Ints, SavedArrays, as_views, floats, load_arrays, save_arrays
from tradebot.pipeline.patterns.chart import BARS, TREND, Chart, is_ready, new_chart, step
from tradebot.pipeline.patterns.emit import COUNT, Events, new_events
from tradebot.pipeline.patterns.events import PatternEvent, read_events
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.room import room_for_events, trimmed, with_room

_EVENTS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class ScannerState:
    """The state of a scanner; it fits only one with the same parameters."""

    params: PatternParams
    arrays: SavedArrays


@dataclass(frozen=True, slots=True)
class DealingRange:
    """The latest confirmed swing high and low. ``position`` of the close: 0 at the low, 1 at the high, not clamped.

    Above 0.5 is the premium, below it the discount.
    """

    high: float
    low: float
    position: float


class BarArrays(NamedTuple):
    """Bars as arrays of numpy's: when each opened, in ms, and its five numbers."""

    ts_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


class _Worked(NamedTuple):
    """What the kernels work on."""

    chart: Chart
    periods: calendar.Periods
    events: Events


class _Memory(NamedTuple):
    chart: Chart
    periods: calendar.Periods
    last: Floats  # open and close


class Scanner:
    """Step all pattern kernels, bar by bar. What it says at a bar never changes later."""

    def __init__(self, params: PatternParams | None = None) -> None:
        self.params = PatternParams() if params is None else params
        self._chart = with_room(new_chart(self.params))
        self._events = new_events(_EVENTS_AT_ONCE)
        self._periods = calendar.new_periods()
        self._last = floats(0.0, 0.0)
        self._found = floats(zeros=len(read_outs.NAMES))
        self._views: tuple[_Worked, _Worked] | None = None

    def take(self, ts_ms: int, o: float, h: float, lo: float, c: float, v: float) -> Sequence[PatternEvent]:
        """Take in the bar that opened at ``ts_ms``; return its events, in the order of their definitions."""
        self._events.ints[COUNT] = 0
        if not is_ready(self._chart, self._events):
            self._chart = with_room(self._chart)
            self._events = room_for_events(self._events, self._chart)
        step(self._chart, self._events, o, h, lo, c, v)
        calendar.step(self._periods, ts_ms, h, lo)
        self._last[0], self._last[1] = o, c
        return tuple(read_events(self._events)) if self._events.ints[COUNT] else ()

    def pass_over(self, run: Callable[..., int], candles: BarArrays, until: int) -> None:
        """Take in the bars before ``until`` of which nobody wants the events, by ``read_outs.run_unheard``, compiled.

        All bars that were seen are the first of ``candles``.
        """
        at = start = self.bars
        while at < until:
            reached = int(run(*self._viewed(), *candles, at, until))
            if reached == at:
                # It finds the room that is missing.
                ts_ms, *numbers = (column[at] for column in candles)
                self.take(int(ts_ms), *map(float, numbers))
                reached += 1
            at = reached
        if start < until:
            self._last[0], self._last[1] = candles.open[until - 1], candles.close[until - 1]

    def _viewed(self) -> "_Worked":
        worked = _Worked(self._chart, self._periods, self._events)
        if self._views is None or any(one is not other for one, other in zip(self._views[0], worked, strict=True)):
            self._views = worked, as_views(worked)
        return self._views[1]

    @property
    def bars(self) -> int:
        """How many bars were seen."""
        return self._chart.ints[BARS]

    @property
    def trend(self) -> int:
        """The trend of the structure: 1, -1, or 0 before the first break.

        The bias of a higher timeframe is this, of a scanner fed with that timeframe's closed bars.
        """
        return self._chart.ints[TREND]

    @property
    def atr(self) -> float | None:
        """The average true range, or ``None`` before there is one."""
        return self._read(read_outs.ATR_BIT, read_outs.ATR_AT)

    @property
    def displacement(self) -> float | None:
        """The last bar's body in ATRs; ``None`` without an ATR, or with one of 0."""
        return self._read(read_outs.DISPLACEMENT_BIT, read_outs.DISPLACEMENT)

    @property
    def dealing_range(self) -> DealingRange | None:
        """The dealing range; ``None`` before both swings, and while the latest high is not above the latest low."""
        position = self._read(read_outs.RANGE_BIT, read_outs.POSITION)
        if position is None:
            return None
        return DealingRange(self._found[read_outs.RANGE_HIGH], self._found[read_outs.RANGE_LOW], position)

    @property
    def previous_day(self) -> tuple[float, float] | None:
        """High and low of the latest earlier UTC day that has a bar, or ``None``."""
        high = self._read(read_outs.DAY_BIT, read_outs.DAY_HIGH)
        return None if high is None else (high, self._found[read_outs.DAY_LOW])

    @property
    def previous_week(self) -> tuple[float, float] | None:
        """High and low of the latest earlier week, from Monday, UTC, that has a bar, or ``None``."""
        high = self._read(read_outs.WEEK_BIT, read_outs.WEEK_HIGH)
        return None if high is None else (high, self._found[read_outs.WEEK_LOW])

    def _read(self, bit: int, place: int) -> float | None:
        bits = read_outs.measure(self._chart, self._periods, self._found, self._last[0], self._last[1])
        return self._found[place] if bits & bit else None

    def save(self) -> ScannerState:
        """Return the state, exactly."""
        return ScannerState(self.params, save_arrays(_Memory(trimmed(self._chart), self._periods, self._last)))

    def load(self, state: ScannerState) -> None:
        """Become what ``save`` saw. Raises ``ValueError`` when that had other parameters."""
        if state.params != self.params:
            raise ValueError(f"the saved state is that of {state.params}, not of {self.params}")
        shape = _Memory(self._chart, self._periods, self._last)
        chart, self._periods, self._last = load_arrays(shape, state.arrays)
        self._chart = with_room(chart)
