"""Which markets a strategy may enter: the trend and the volatility of its own bars, as a gate of its entries."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tradebot.model.market import Bar
from tradebot.model.signal import Refused, Signal, WishGate
from tradebot.model.time import Timeframe, to_ms
from tradebot.pipeline.patterns.arrays import SavedArrays
from tradebot.pipeline.patterns.indicator import Indicator


class Regime(StrEnum):
    """What kind of market it is: one of the first three by its trend, and one of the others by its volatility."""

    TREND_UP = "trend_up"
    TREND_DOWN = "trend_down"
    RANGE = "range"
    QUIET = "quiet"
    USUAL = "usual"
    WILD = "wild"


# By what the kernel says: 1, 0 or -1.
_TRENDS = {1.0: Regime.TREND_UP, 0.0: Regime.RANGE, -1.0: Regime.TREND_DOWN}
_VOLATILITIES = {1.0: Regime.WILD, 0.0: Regime.USUAL, -1.0: Regime.QUIET}


@dataclass(frozen=True, slots=True)
class RegimeState:
    """One gauge: the numbers of its kernel, and what it said last; empty until it knows."""

    symbol: str
    timeframe: Timeframe
    kernel: SavedArrays
    now: tuple[Regime, ...]


@dataclass(slots=True)
class Gauge:
    """The regime of one symbol on one timeframe; ``now`` is its trend and its volatility, empty until it knows."""

    kernel: Indicator = field(default_factory=lambda: Indicator("regime"))
    now: tuple[Regime, ...] = ()

    def update(self, bar: Bar) -> None:
        """Take in a closed bar."""
        found = self.kernel.take(
            to_ms(bar.ts_open), float(bar.open), float(bar.high), float(bar.low), float(bar.close), float(bar.volume)
        )
        if found is not None:
            self.now = (_TRENDS[found[0]], _VOLATILITIES[found[1]])

    def judge(self, entry: Signal, allowed: Sequence[str]) -> Signal | Refused:
        """Return ``entry``, or its refusal where the market is none of ``allowed``."""
        if self.now and all(_fits(now, allowed, kind) for now, kind in zip(self.now, _KINDS, strict=True)):
            return entry
        now = " and ".join(self.now) or "not known yet"
        detail = f"the market is {now}; {entry.strategy} enters in: {', '.join(allowed)}"
        return Refused(ts_event=entry.ts_event, signal=entry, gate=WishGate.REGIME.value, detail=detail)


_KINDS = (frozenset(_TRENDS.values()), frozenset(_VOLATILITIES.values()))


def _fits(now: Regime, allowed: Sequence[str], kind: frozenset[Regime]) -> bool:
    """Return whether ``now`` is among those of its kind; where none of the kind is named, any is allowed."""
    return now in allowed or kind.isdisjoint(allowed)
