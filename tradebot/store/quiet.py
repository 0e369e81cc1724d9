"""Bars without a trade, of a market that trades: an outage, or history filled in from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass

from tradebot.model.money import plain
from tradebot.model.time import Timeframe, to_ms
from tradebot.store.batches import Batch
from tradebot.store.flaws import Flaw, FlawKind

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
                self._add(ts, low == high, plain(close) if open_ == close else "")

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

    def _add(self, ts: int, is_flat: bool, price: str) -> None:
        run = self._runs[-1] if self._runs else None
        if run is None or ts - run.last != self._step or run.is_flat != is_flat:
            self._runs.append(_Run(ts, ts, 1, is_flat, price))
        else:
            run.last, run.bars = ts, run.bars + 1


def _words(run: _Run) -> str:
    bars = "1 bar" if run.bars == 1 else f"{run.bars:,} bars"
    return f"{bars} without a trade, at {run.price}" if run.is_flat else f"{bars} without volume, though prices move"
