"""The chart of a history with its patterns, for notebooks."""

from array import array
from collections.abc import Mapping

from numpy.typing import ArrayLike

from tradebot.pipeline.patterns.params import params_of
from tradebot.research.bars import columns_of
from tradebot.research.chart_page import chart_page
from tradebot.research.events import as_events, plain, scan_columns
from tradebot.research.history import History
from tradebot.research.inline import NotebookPage


def chart_of(
    ts: ArrayLike,
    o: ArrayLike,
    h: ArrayLike,
    lo: ArrayLike,
    c: ArrayLike,
    v: ArrayLike,
    title: str,
    params: Mapping[str, object],
) -> NotebookPage:
    """Return a history with its patterns: see ``tradebot.research.chart``."""
    checked = params_of({name: plain(value) for name, value in params.items()})
    bars = columns_of(ts, o, h, lo, c, v)
    history = History(array("q", bars.ts.tobytes()), *(array("d", column.tobytes()) for column in bars[1:]))
    return NotebookPage(
        chart_page(history, list(as_events(scan_columns(bars, checked))), checked.zone_max_age, title=title)
    )
