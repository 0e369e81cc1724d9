"""Bars without a trade, of a market that trades: an outage, or history filled in from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.money import plain
from tradebot.model.time import Timeframe, to_ms
from tradebot.store.batches import Batch
from tradebot.store.flaws import Flaw, FlawKind
from tradebot.store.scaled import Scaled

# Where more than one bar in so many begins a silence, silence is usual.
_SELDOM = 100
_UNUSUAL_LENGTHS = 20


@dataclass(slots=True)
class _Run:
    ts: int
    last: int
    bars: int
    is_flat: bool
    price: str


class QuietBars:
    """Takes the bars of a series in batches, and keeps the runs without volume."""

    def __init__(self, timeframe: Timeframe) -> None:
        self._step = to_ms(timeframe)
        self._rows = 0
        self._runs: list[_Run] = []

    def take(self, batch: Batch) -> None:
        """Take the next bars."""
        self._rows += len(batch.ts)
        volume = batch.columns[4]
        if min(volume) > 0:
            return
        for ts, open_, high, low, close, traded in zip(batch.ts, *batch.columns, strict=True):
            if not traded:
                self._add(ts, is_flat=low == high, price=plain(close) if open_ == close else "")

    def take_scaled(self, bars: Scaled) -> None:
        """Take a whole series at once; finds what ``take`` finds."""
        import numpy as np

        self._rows += bars.times.size
        silent = np.flatnonzero(bars.numbers[4] == 0)
        if silent.size == bars.times.size:
            self._add(int(bars.times[0]), is_flat=False, price="")
            self._runs[-1].bars = self._rows
            return
        for place in silent.tolist():
            open_, high, low, close = (int(prices[place]) for prices in bars.numbers[:4])
            price = plain(Decimal(close).scaleb(-bars.places)) if open_ == close else ""
            self._add(int(bars.times[place]), is_flat=low == high, price=price)

    def flaws(self) -> Iterator[Flaw]:
        """Give what was found, once all bars were taken. A series without any volume has none to miss."""
        silent = sum(run.bars for run in self._runs)
        if silent == self._rows:
            return
        least = 1
        if len(self._runs) * _SELDOM > self._rows:
            lengths = sorted(run.bars for run in self._runs)
            least = _UNUSUAL_LENGTHS * lengths[len(lengths) // 2]
        for run in self._runs:
            if run.bars >= least:
                yield Flaw(FlawKind.FLAT, run.ts, run.last + self._step, _words(run))

    def _add(self, ts: int, *, is_flat: bool, price: str) -> None:
        run = self._runs[-1] if self._runs else None
        if run is None or ts - run.last != self._step or run.is_flat != is_flat:
            self._runs.append(_Run(ts, ts, 1, is_flat, price))
        else:
            run.last, run.bars = ts, run.bars + 1


def _words(run: _Run) -> str:
    bars = "1 bar" if run.bars == 1 else f"{run.bars:,} bars"
    return f"{bars} without a trade, at {run.price}" if run.is_flat else f"{bars} without volume, though prices move"
