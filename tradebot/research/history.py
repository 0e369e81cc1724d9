"""Histories of bars for ``tradebot scan``, as floats, and their pattern events. Works without the extra too."""

from array import array
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tradebot.model.market import Bar
from tradebot.model.time import to_ms
from tradebot.pipeline.patterns.events import PatternEvent
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.scanner import Scanner
from tradebot.store.candles import BarFile

# Starting the compiled kernels takes about as long as interpreting 30,000 bars, compiling them first ten times that.
_WORTH_STARTING = 60_000
_WORTH_COMPILING = 600_000


class History(NamedTuple):
    """Bars, column by column; ``ts`` are opening times in epoch milliseconds."""

    ts: "array[int]"
    open: "array[float]"
    high: "array[float]"
    low: "array[float]"
    close: "array[float]"
    volume: "array[float]"


def read_history(path: Path) -> History:
    """Return the bars of a file, whatever their length. Raises ``DataError`` at the first bad line."""
    history = _empty()
    for batch in BarFile(path, path.name, None).batches():
        history.ts.extend(batch.ts)
        for column, values in zip(history[1:], batch.columns, strict=True):
            column.extend(map(float, values))
    return history


def history_of(bars: Iterator[Bar] | Sequence[Bar]) -> History:
    """Return ``bars``, all of one series, as columns."""
    history = _empty()
    for bar in bars:
        history.ts.append(to_ms(bar.ts_open))
        for column, value in zip(history[1:], (bar.open, bar.high, bar.low, bar.close, bar.volume), strict=True):
            column.append(float(value))
    return history


def events_of(history: History, params: PatternParams) -> Iterator[PatternEvent]:
    """Give the pattern events of a history: compiled where that is there and worth it, else interpreted.

    Both give the same, to the last bit.
    """
    if _is_worth_compiling(len(history.ts)):
        from tradebot.research.bars import columns_of
        from tradebot.research.events import as_events, scan_columns

        return as_events(scan_columns(columns_of(*history), params))
    return _interpreted(history, params)


def _interpreted(history: History, params: PatternParams) -> Iterator[PatternEvent]:
    take = Scanner(params).take
    for bar in zip(*history, strict=True):
        yield from take(*bar)


def _is_worth_compiling(bars: int) -> bool:
    if bars < _WORTH_STARTING or find_spec("numba") is None or find_spec("numpy") is None:
        return False
    from tradebot.runtime.compiled import is_on_disk

    return bars >= _WORTH_COMPILING or is_on_disk()


def _empty() -> History:
    return History(array("q"), *(array("d") for _ in range(5)))
