"""What is measured of a symbol's bars for its strategies: average true ranges and swings for stops, and regimes."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tradebot.model.market import Bar
from tradebot.model.time import Timeframe
from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.patterns import atr
from tradebot.pipeline.patterns.arrays import SavedArrays, load_arrays, save_arrays
from tradebot.pipeline.patterns.window import GREATEST, Window, find_swing, new_window
from tradebot.pipeline.runs import Run
from tradebot.pipeline.strategy.regime import Gauge, RegimeState


@dataclass(frozen=True, slots=True)
class AtrState:
    """One average true range, as the arrays of its kernel."""

    symbol: str
    timeframe: Timeframe
    n: int
    values: tuple[float, ...]
    atr: float | None


@dataclass(slots=True)
class Atr:
    """An average true range of ``n`` bars; ``value`` is ``None`` before there is one."""

    n: int
    state: "array[float]"
    out: "array[float]" = field(default_factory=lambda: array("d", (0.0,)))
    value: float | None = None

    @property
    def seen(self) -> int:
        """How many bars it has taken in; it needs one more than ``n``."""
        return int(self.state[atr.SEEN])

    def update(self, bar: Bar) -> None:
        """Take in a closed bar."""
        defined = atr.step(self.state, self.out, 0.0, float(bar.high), float(bar.low), float(bar.close), 0.0)
        if defined:
            self.value = self.out[0]

    def pass_over(self, run: Run, at: int, until: int) -> bool:
        """Take in the bars of a run from ``at`` on; return whether that can be done with all of them at once."""
        floats = run.floats if isinstance(run, ColumnRun) else None
        if floats is None or not isinstance(run, ColumnRun):
            return False
        if run.kernels[atr.run](self.state, self.out, *floats, at, until):
            self.value = self.out[0]
        return True


@dataclass(frozen=True, slots=True)
class SwingsState:
    """The swings of one strength, as the arrays of their windows."""

    symbol: str
    timeframe: Timeframe
    strength: int
    windows: SavedArrays


class SwingWindows(NamedTuple):
    """The last bars of both halves: highs, and lows mirrored."""

    highs: Window
    lows: Window


class Swings:
    """Swings of ``strength`` bars on both sides: ``high`` and ``low`` are those that the last bar confirmed."""

    __slots__ = ("high", "low", "strength", "windows")

    def __init__(self, strength: int) -> None:
        self.strength = strength
        self.windows = SwingWindows(new_window(2 * strength + 1), new_window(2 * strength + 1))
        self.high: float | None = None
        self.low: float | None = None

    def update(self, bar: Bar) -> None:
        """Take in a closed bar."""
        highs, lows = self.windows
        self.high = highs.floats[GREATEST] if find_swing(highs, self.strength, float(bar.high)) else None
        self.low = -lows.floats[GREATEST] if find_swing(lows, self.strength, -float(bar.low)) else None


@dataclass(slots=True)
class SymbolMeasures:
    """The averages, swings and gauges of one symbol, by timeframe; whoever asks for the same shares it.

    ``is_empty``: nothing is measured.
    """

    atrs: dict[Timeframe, list[Atr]] = field(default_factory=dict)
    swings: dict[Timeframe, list[Swings]] = field(default_factory=dict)
    gauges: dict[Timeframe, Gauge] = field(default_factory=dict)
    is_empty: bool = True

    def atr(self, timeframe: Timeframe, n: int) -> Atr:
        """Return the average of ``n`` bars, which is measured from now on."""
        self.is_empty = False
        averages = self.atrs.setdefault(timeframe, [])
        found = next((known for known in averages if known.n == n), None)
        if found is None:
            found = Atr(n, atr.new_state(n))
            averages.append(found)
        return found

    def swings_of(self, timeframe: Timeframe, strength: int) -> Swings:
        """Return the swings of that strength, which are looked for from now on."""
        self.is_empty = False
        known = self.swings.setdefault(timeframe, [])
        found = next((one for one in known if one.strength == strength), None)
        if found is None:
            found = Swings(strength)
            known.append(found)
        return found

    def gauge(self, timeframe: Timeframe) -> Gauge:
        """Return the regime of a timeframe, which is measured from now on."""
        self.is_empty = False
        return self.gauges.setdefault(timeframe, Gauge())

    def update(self, bars: Sequence[Bar]) -> None:
        """Take in the bars that closed together."""
        for bar in bars:
            for average in self.atrs.get(bar.timeframe, ()):
                average.update(bar)
            for swings in self.swings.get(bar.timeframe, ()):
                swings.update(bar)
            gauge = self.gauges.get(bar.timeframe)
            if gauge is not None:
                gauge.update(bar)

    def pass_over(self, run: Run, at: int, until: int) -> None:
        """Take in the bars of a run from ``at`` on."""
        averages = self.atrs.get(run.timeframe, ())
        gauge = self.gauges.get(run.timeframe)
        one_by_one: list[Atr | Swings | Gauge] = [one for one in averages if not one.pass_over(run, at, until)]
        one_by_one += self.swings.get(run.timeframe, ())
        if gauge is not None:
            one_by_one.append(gauge)
        for bar in run.bars(at, until) if one_by_one else ():
            for one in one_by_one:
                one.update(bar)

    def save_atrs(self, symbol: str) -> Iterator[AtrState]:
        """Give the averages as values."""
        for timeframe, averages in self.atrs.items():
            for average in averages:
                yield AtrState(symbol, timeframe, average.n, tuple(average.state), average.value)

    def save_swings(self, symbol: str) -> Iterator[SwingsState]:
        """Give the swings as values."""
        for timeframe, known in self.swings.items():
            for one in known:
                yield SwingsState(symbol, timeframe, one.strength, save_arrays(one.windows))

    def save_regimes(self, symbol: str) -> Iterator[RegimeState]:
        """Give the gauges as values."""
        for timeframe, gauge in self.gauges.items():
            yield RegimeState(symbol, timeframe, gauge.kernel.save(), gauge.now)

    def load(self, atrs: Iterable[AtrState], swings: Iterable[SwingsState], regimes: Iterable[RegimeState]) -> None:
        """Become what was saved of this symbol; what is not measured any more is left out."""
        for known in atrs:
            for average in self.atrs.get(known.timeframe, ()):
                if average.n == known.n:
                    average.state = array("d", known.values)
                    average.value = known.atr
        for found in swings:
            for one in self.swings.get(found.timeframe, ()):
                if one.strength == found.strength:
                    one.windows = load_arrays(one.windows, found.windows)
        for seen in regimes:
            gauge = self.gauges.get(seen.timeframe)
            if gauge is not None:
                gauge.kernel.load(seen.kernel)
                gauge.now = seen.now


class Follower:
    """Measures the bars of a run behind what is asked about them: most bars ask for nothing that is measured."""

    __slots__ = ("_at", "_measures", "_run")

    def __init__(self, measures: SymbolMeasures, run: Run, at: int) -> None:
        self._measures = None if measures.is_empty else measures
        self._at = at
        self._run = run

    def follow(self, until: int, last: Bar | None = None) -> None:
        """Take in the bars before ``until``; ``last`` is the last of them."""
        if self._measures is None or until == self._at:
            return
        if last is not None and until == self._at + 1:
            self._measures.update((last,))
        else:
            self._measures.pass_over(self._run, self._at, until)
        self._at = until
