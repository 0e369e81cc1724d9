"""The pattern events of a history: as lines, as a table, and as a chart."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import orjson

from tradebot.cli.context import Context
from tradebot.cli.options import load
from tradebot.model.errors import UsageError
from tradebot.model.near import did_you_mean
from tradebot.model.time import parse_timeframe, timeframe_name
from tradebot.pipeline.patterns.events import KINDS, PatternEvent
from tradebot.pipeline.patterns.params import PatternParams, parse_params
from tradebot.report.table import moment, table
from tradebot.research.history import History, events_of, history_of, read_history
from tradebot.settings.model import GeneratedFeedSettings, ReplayFeedSettings, Settings

_GENERATED_BARS = 10_000
_LAST = 20
_FILE_ENDINGS = (".csv", ".gz", ".parquet")


def scan(context: Context) -> int:
    """Print the pattern events of a file, or of a symbol of the configuration."""
    params = parse_params(context.given.texts("param"))
    name = context.given.text("file") or ""
    history = _history(context, name)
    events = events_of(history, params)
    page = context.given.text("html")
    if page is not None:
        events = _written(context, Path(page), name, history, list(events), params)
    if context.is_json or context.given.flag("jsonl"):
        for lines in _blocks(_rows(history, events)):
            context.write_bytes(lines)
    else:
        context.write(_summary(history, events, context.given.whole("last", _LAST), context.is_colour))
    return 0


def _history(context: Context, name: str) -> History:
    path = Path(name)
    if path.exists() or name.endswith(_FILE_ENDINGS):
        return read_history(path)
    settings = load(context).settings
    feed = settings.feed
    if isinstance(feed, GeneratedFeedSettings):
        return _generated(context, name, settings, feed)
    given = feed.series if isinstance(feed, ReplayFeedSettings) else ()
    series = [one for one in given if one.symbol == name]
    if not series:
        raise _unknown(name, sorted({one.symbol for one in given}))
    finest = min(series, key=lambda one: one.timeframe)
    context.note(f"{name}: {timeframe_name(finest.timeframe)} bars of {finest.path}")
    return read_history(finest.path)


def _generated(context: Context, name: str, settings: Settings, feed: GeneratedFeedSettings) -> History:
    from tradebot.feeds.generated import Generated

    symbols = settings.bot.symbols
    if name not in symbols:
        raise _unknown(name, sorted(symbols))
    bars = context.given.whole("bars", feed.bars or _GENERATED_BARS)
    context.note(f"{name}: the first {bars} bars of the generated market")
    market = Generated(symbols, parse_timeframe(feed.timeframe), feed.start_ts, feed.seed, bars)
    return history_of(bar for bar in market if bar.symbol == name)


def _unknown(name: str, symbols: list[str]) -> UsageError:
    mend = f"name a file with bars, or a symbol: {did_you_mean(name, symbols)}"
    return UsageError(f"{name} is neither a file nor a symbol of the configuration", mend=mend)


def _rows(history: History, events: Iterable[PatternEvent]) -> Iterator[bytes]:
    ts = history.ts
    for event in events:
        yield orjson.dumps(event.row(ts[event.index], ts[event.confirmed]), option=orjson.OPT_APPEND_NEWLINE)


def _blocks(lines: Iterator[bytes]) -> Iterator[bytes]:
    while block := b"".join(islice(lines, 1000)):
        yield block


def _written(
    context: Context, path: Path, name: str, history: History, events: list[PatternEvent], params: PatternParams
) -> Iterator[PatternEvent]:
    from tradebot.research.chart_page import MOST_BARS, chart_page

    page = chart_page(history, events, params.zone_max_age, title=Path(name).name)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=str(path), mend="name another file") from error
    left_out = len(history.ts) - MOST_BARS
    context.note(f"wrote {path}" + (f", with the last {MOST_BARS} bars" if left_out > 0 else ""))
    return iter(events)


def _summary(history: History, events: Iterable[PatternEvent], last: int, is_colour: bool) -> str:
    counts: Counter[tuple[str, int]] = Counter()
    newest: deque[PatternEvent] = deque(maxlen=last)
    for event in events:
        counts[event.kind, event.side] += 1
        newest.append(event)
    if not history.ts:
        return "no bars"
    span = f"{len(history.ts)} bars from {moment(history.ts[0])} to {moment(history.ts[-1])} UTC"
    kinds = [[str(kind), str(counts[kind, 1]), str(counts[kind, -1])] for kind in KINDS]
    rows = [_row(history, event) for event in newest]
    tables = [table(("pattern", "bullish", "bearish"), kinds, colour=is_colour)]
    if rows:
        tables.append(
            table(("confirmed", "pattern", "side", "of bar", "price", "swings"), rows, colour=is_colour, left=3)
        )
    return "\n\n".join([span, *tables])


def _row(history: History, event: PatternEvent) -> list[str]:
    price = f"{event.level!r}" if event.level is not None else f"{event.bottom!r} to {event.top!r}"
    side = "bullish" if event.side > 0 else "bearish"
    return [
        moment(history.ts[event.confirmed]),
        str(event.kind),
        side,
        moment(history.ts[event.index]),
        price,
        "" if event.count is None else str(event.count),
    ]
