"""What is measured of a symbol's bars for its strategies: average true ranges for stops, and regimes."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tradebot.model.market import Bar
from tradebot.model.time import Timeframe
from tradebot.pipeline.patterns import atr
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


@dataclass(slots=True)
class SymbolMeasures:
    """The averages and gauges of one symbol, by timeframe; whoever asks for the same shares it."""

    atrs: dict[Timeframe, list[Atr]] = field(default_factory=dict)
    gauges: dict[Timeframe, Gauge] = field(default_factory=dict)

    def atr(self, timeframe: Timeframe, n: int) -> Atr:
        """Return the average of ``n`` bars, which is measured from now on."""
        averages = self.atrs.setdefault(timeframe, [])
        found = next((known for known in averages if known.n == n), None)
        if found is None:
            found = Atr(n, atr.new_state(n))
            averages.append(found)
        return found

    def gauge(self, timeframe: Timeframe) -> Gauge:
        """Return the regime of a timeframe, which is measured from now on."""
        return self.gauges.setdefault(timeframe, Gauge())

    def update(self, bars: Sequence[Bar]) -> None:
        """Take in the bars that closed together."""
        for bar in bars:
            for average in self.atrs.get(bar.timeframe, ()):
                average.update(bar)
            gauge = self.gauges.get(bar.timeframe)
            if gauge is not None:
                gauge.update(bar)

    def save_atrs(self, symbol: str) -> Iterator[AtrState]:
        """Give the averages as values."""
        for timeframe, averages in self.atrs.items():
            for average in averages:
                yield AtrState(symbol, timeframe, average.n, tuple(average.state), average.value)

    def save_regimes(self, symbol: str) -> Iterator[RegimeState]:
        """Give the gauges as values."""
        for timeframe, gauge in self.gauges.items():
            yield RegimeState(symbol, timeframe, gauge.kernel.save(), gauge.now)

    def load(self, atrs: Iterable[AtrState], regimes: Iterable[RegimeState]) -> None:
        """Become what was saved of this symbol; what is not measured any more is left out."""
        for known in atrs:
            for average in self.atrs.get(known.timeframe, ()):
                if average.n == known.n:
                    average.state = array("d", known.values)
                    average.value = known.atr
        for seen in regimes:
            gauge = self.gauges.get(seen.timeframe)
            if gauge is not None:
                gauge.kernel.load(seen.kernel)
                gauge.now = seen.now
