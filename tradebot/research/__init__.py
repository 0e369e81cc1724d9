"""For notebooks and research: patterns over whole histories, compiled, and backtests. Needs the extra ``research``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tradebot.research.backtesting import Backtest
    from tradebot.research.bars import Columns
    from tradebot.research.events import EventArray
    from tradebot.research.frames import Array, Library
    from tradebot.research.inline import NotebookPage
    from tradebot.research.prefixes import LookaheadResult

__all__ = ["backtest", "chart", "frame", "indicator", "lookahead", "read_bars", "scan"]


def read_bars(path: "str | Path") -> "Columns":
    """Return the bars of a file as numpy columns, in the order that ``scan`` and the others take.

    Fields: ``ts`` (opening times in epoch milliseconds), ``open``, ``high``, ``low``, ``close``, ``volume``. Raises
    ``DataError``.
    """
    from tradebot.research.bars import columns_of
    from tradebot.research.history import read_history

    return columns_of(*read_history(Path(path)))


def frame(data: "Array | Mapping[str, Array]", library: "Library" = "pandas") -> Any:
    """Return a structured array, such as ``scan`` gives, or columns by name as a frame of pandas or polars.

    Integers named ``ts`` or ``..._ts`` become times. Raises ``ConfigError`` where that library is not installed.
    """
    from tradebot.research.frames import frame as frame_of

    return frame_of(data, library)


def chart(
    ts: "ArrayLike",
    o: "ArrayLike",
    h: "ArrayLike",
    l: "ArrayLike",  # noqa: E741 - as everywhere in the trade
    c: "ArrayLike",
    v: "ArrayLike",
    title: str = "bars",
    **params: object,
) -> "NotebookPage":
    """Return the page of ``tradebot scan --html``, candles with their patterns, shown within a notebook.

    Arguments and errors are those of ``scan``.
    """
    from tradebot.research.pattern_chart import chart_of

    return chart_of(ts, o, h, l, c, v, title, params)


def scan(
    ts: "ArrayLike",
    o: "ArrayLike",
    h: "ArrayLike",
    l: "ArrayLike",  # noqa: E741 - as everywhere in the trade
    c: "ArrayLike",
    v: "ArrayLike",
    **params: object,
) -> "EventArray":
    """Return the pattern events of a history as a structured array, in the order of ``tradebot scan``.

    ``ts`` are the bars' opening times, in epoch milliseconds or as datetime64; ``params`` are those of
    ``PatternParams``. Fields: ``kind, side, index, confirmed, ts, confirmed_ts, level, top, bottom, count``;
    prices and counts that a kind does not have are 0. Raises ``BadBars`` and ``BadParameter``, both
    ``ValueError``, and ``ConfigError`` without the extra.
    """
    from tradebot.research.events import scan_events

    return scan_events(ts, o, h, l, c, v, params)


def indicator(
    name: str,
    ts: "ArrayLike",
    o: "ArrayLike",
    h: "ArrayLike",
    l: "ArrayLike",  # noqa: E741 - as everywhere in the trade
    c: "ArrayLike",
    v: "ArrayLike",
    **params: object,
) -> "EventArray":
    """Return an indicator of each bar of a history as a structured array.

    Fields: ``defined``, and the outputs of the indicator, 0 where it is not defined. Names, outputs and
    parameters are those of ``INDICATORS``. Raises as ``scan`` does.
    """
    from tradebot.research.indicators import indicator_of

    return indicator_of(name, ts, o, h, l, c, v, params)


def read_outs(
    ts: "ArrayLike",
    o: "ArrayLike",
    h: "ArrayLike",
    l: "ArrayLike",  # noqa: E741 - as everywhere in the trade
    c: "ArrayLike",
    v: "ArrayLike",
    **params: object,
) -> "EventArray":
    """Return what can be read off the chart at the close of each bar, as a structured array.

    Fields: ``trend``, ``sessions`` (bits: 1 Asia, 2 London, 4 New York), ``atr``, ``displacement``, ``range_high``,
    ``range_low``, ``position``, ``day_high``, ``day_low``, ``week_high``, ``week_low``, and ``has_atr``,
    ``has_displacement``, ``has_range``, ``has_day``, ``has_week``: what is not defined is 0. Raises as ``scan`` does.
    """
    from tradebot.research.indicators import read_outs_of

    return read_outs_of(ts, o, h, l, c, v, params)


def backtest(
    config: "str | Path | Mapping[str, object]", data: "str | list[str] | None" = None, *, charts: bool = False
) -> "Backtest":
    """Run a configuration, a file or its tables as a mapping, over its bars; return the report.

    ``data`` (``SYMBOL:TIMEFRAME=FILE``, one or more) replaces the configured bars. The report is a mapping
    with the keys of ``tradebot backtest --json``, with ``trades`` and ``equity_curve`` as attributes. With
    ``charts`` it keeps the bars, for its ``page()``.
    Raises ``ConfigError``, ``DataError`` and ``UsageError``.
    """
    from tradebot.research.backtesting import run

    return run(config, data, charts=charts)


def lookahead(
    config: "str | Path | Mapping[str, object]",
    data: "str | list[str] | None" = None,
    *,
    strategy: str | None = None,
    bars: int | None = None,
    prefixes: int = 50,
) -> "LookaheadResult":
    """Run a configuration on a whole history and on parts of it; return the decisions that changed.

    ``strategy`` is the one to run alone: a name of the configuration, a built-in kind, or ``file.py:Class``.
    At most the first ``bars`` are used. It is the check of ``tradebot lookahead`` and needs no extra. Raises
    ``ConfigError``, ``DataError`` and ``UsageError``.
    """
    from tradebot.research.backtesting import load
    from tradebot.research.prefixes import check_prefixes

    specs = [data] if isinstance(data, str) else list(data or ())
    return check_prefixes(load(config), strategy=strategy, data=specs, bars=bars, prefixes=prefixes)
