"""One look at a whole series, in batches and in constant memory: what should be known of it before it is believed."""

from collections.abc import Iterator

from tradebot.model.time import Timeframe, to_ms
from tradebot.report.table import duration
from tradebot.store.batches import Batch
from tradebot.store.closures import irregular
from tradebot.store.flaws import Flaw, FlawKind, by_time
from tradebot.store.quiet import QuietBars
from tradebot.store.scaled import Scaled
from tradebot.store.series import Missing, Times
from tradebot.store.spikes import Spikes
from tradebot.store.ticks import Ticks


class Inspection:
    """Takes the checked bars of one series, oldest first, and says what is wrong with them."""

    def __init__(self, timeframe: Timeframe) -> None:
        self._timeframe = timeframe
        self._parts = (Spikes(timeframe), QuietBars(timeframe), Ticks(timeframe))

    def take(self, batch: Batch) -> None:
        """Take the next bars."""
        for part in self._parts:
            part.take(batch)

    def take_scaled(self, bars: Scaled) -> None:
        """Take all bars at once, where they are there as whole numbers."""
        for part in self._parts:
            part.take_scaled(bars)

    def flaws(self, times: Times) -> list[Flaw]:
        """Return what was found, in order of time; ``times`` took the same bars."""
        found = [flaw for part in self._parts for flaw in part.flaws()]
        if times.first is not None and times.last is not None:
            step = to_ms(self._timeframe)
            found += _gaps(irregular(times.found, step, times.first, times.last), step)
        return sorted(found, key=by_time)


def _gaps(gaps: list[Missing], step: int) -> Iterator[Flaw]:
    for gap in gaps:
        until = gap.ts + gap.bars * step
        bars = "1 bar is" if gap.bars == 1 else f"{gap.bars:,} bars are"
        yield Flaw(FlawKind.GAP, gap.ts, until, f"{bars} missing, {duration((until - gap.ts) // 1000)}")
