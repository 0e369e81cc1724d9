"""A backtest: the line pumped over its bars without an event loop, nothing journaled, nothing written."""

import gc
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import localcontext
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import cast

from tradebot.model.errors import UsageError
from tradebot.model.market import Bar, Message
from tradebot.model.money import MONEY_CONTEXT, Price
from tradebot.model.order import Fill
from tradebot.model.position import RoundTrip
from tradebot.model.signal import StrategyDisabled
from tradebot.pipeline.columns import ColumnRun, Kernels
from tradebot.pipeline.line import Line
from tradebot.pipeline.market import ColumnMarket
from tradebot.pipeline.quiet import QuietLine
from tradebot.pipeline.quiet_market import QuietMarket
from tradebot.pipeline.runs import BarRun
from tradebot.ports import Clock
from tradebot.report.benchmark import Closes, benchmark
from tradebot.report.fold import ReportFold
from tradebot.report.periods import daily_of
from tradebot.report.shapes import Document
from tradebot.report.tape import Tape
from tradebot.report.trades import by_exit
from tradebot.runtime.assumed import AssumedTick, assumed_ticks
from tradebot.runtime.assumptions import assumptions
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.data_files import bars_row, ended_early, notes_of
from tradebot.runtime.guard import watching
from tradebot.runtime.wiring import Wired, wire
from tradebot.settings.dataspec import given_series
from tradebot.settings.live import on_paper
from tradebot.settings.load import Loaded
from tradebot.settings.model import GeneratedFeedSettings, ReplayFeedSettings, Settings, SimulatedVenueSettings
from tradebot.store.candles import BarFile, hold_against_each_other
from tradebot.store.repair import Repair, repair_funding
from tradebot.store.repair import repair as repair_bars
from tradebot.store.scaled import ReadScaled, read_scaled

_PROGRESS_BARS = 20_000
_CHUNK_BARS = 1_000
# So many bytes of text take longer to read one by one than numba takes to start.
_WORTH_COMPILING = 5_000_000

Progress = Callable[[int, int], None]
"""Called with the bars done and the bars in all; 0 where nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestResult:
    """What a backtest found: the report with its extra keys, the round trips by exit, and what must be said of them.

    ``notes`` are what somebody should know of the data beside its gaps, which the report lists.
    """

    document: Document
    trades: Sequence[RoundTrip]
    disabled: Sequence[StrategyDisabled]
    repairs: Sequence[str]
    assumed: Sequence[AssumedTick]
    notes: Sequence[str]


def run_backtest(
    loaded: Loaded,
    *,
    data: Sequence[str] = (),
    bars: int | None = None,
    repair: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
    tape: Tape | None = None,
    read: ReadScaled = read_scaled,
) -> BacktestResult:
    """Run the configuration over its bars, or over ``data`` (``SYMBOL:TIMEFRAME=FILE``) instead.

    ``bars`` is how many of a generated market, for each symbol. ``repair`` mends bad files in passing, in a
    temporary folder, and with ``force`` whatever they lose by that. ``tape`` hears what a page needs, ``read``
    reads files of which there are columns. Raises ``ConfigError``, ``DataError`` and ``UsageError``.
    """
    clock = clock or SystemClock()
    with localcontext(MONEY_CONTEXT), tempfile.TemporaryDirectory(prefix="tradebot-repair-") as folder:
        repairs: list[str] = []
        settings = with_feed(loaded.settings, data, bars)
        if repair:
            settings = _repaired(settings, Path(folder), repairs, is_forced=force)
        return _run(replace(loaded, settings=settings), progress, clock, repairs, tape, read)


def _run(
    loaded: Loaded,
    progress: Progress | None,
    clock: Clock,
    repairs: Sequence[str],
    tape: Tape | None,
    read: ReadScaled,
) -> BacktestResult:
    started_at = clock.monotonic()
    # A bad line ends a backtest without a result: reading all of the data twice would find no more.
    wired = wire(loaded, check_data=False)
    hold_against_each_other(wired.files)
    report = ReportFold()
    trips: list[RoundTrip] = []
    sinks: dict[type[Message], Callable[[Message], None]] = dict(report.sinks())
    add_trip, add_fill = sinks[RoundTrip], sinks[Fill]
    lowest: dict[str, Price] = {}

    def finished(message: Message) -> None:
        add_trip(message)
        if isinstance(message, RoundTrip):
            trips.append(message)

    def filled(message: Message) -> None:
        add_fill(message)
        if isinstance(message, Fill):
            lowest[message.symbol] = min(message.price, lowest.get(message.symbol, message.price))

    sinks |= {RoundTrip: finished, Fill: filled}
    if tape is not None:
        sinks |= {kind: _both(sinks[kind], tape.add) for kind in Tape.HEARD}
    line = Line(wired.stages, sinks)
    total = _bars_in_all(loaded.settings, wired.files) if progress is not None else 0
    count = 0
    closes = Closes(loaded.settings.bot.symbols)
    # A chart draws every bar.
    run = _columns(wired, read) if tape is None else None
    with watching(wired.strategy), _collecting_seldom():
        for bars, seen in pumped(wired, line, report, run):
            closes.take(seen)
            if tape is not None:
                tape.take(seen)
            count += bars
            if progress is not None and count % _PROGRESS_BARS == 0:
                progress(count, total)
    if progress is not None:
        progress(count, count)
    risk = wired.risk
    document = report.result(risk.pending_equity, risk.marks, wired.simulated.account().equity)
    document["benchmark"] = benchmark(closes, daily_of(document))
    document |= report.run_counts(count, clock.monotonic() - started_at)
    # Orders that never filled stood near the last price.
    assumed = assumed_ticks(loaded.settings, {**risk.marks, **lowest})
    document["assumed_ticks"] = [one.row for one in assumed]
    summaries = [file.summary() for file in wired.files]
    document["ended_early"] = [*ended_early(summaries, document)]
    notes = notes_of(summaries)
    document["data_notes"] = list(notes)
    document["assumptions"] = assumptions(loaded.settings)
    document["data"] = [bars_row(summary) for summary in summaries]
    return BacktestResult(
        document=document,
        trades=by_exit(trips),
        disabled=report.disabled,
        repairs=repairs,
        assumed=assumed,
        notes=notes,
    )


def _both(first: Callable[[Message], None], then: Callable[[Message], None]) -> Callable[[Message], None]:
    def each(message: Message) -> None:
        first(message)
        then(message)

    return each


def pumped(
    wired: Wired, line: Line, report: ReportFold, run: ColumnRun | ColumnMarket | None = None
) -> Iterator[tuple[int, Sequence[Bar]]]:
    """Run all bars through ``line``, those of a single series together where nothing can happen.

    Gives, part by part, how many there were, and these bars; those of ``run``, where that is given, and only such that
    tell where each UTC day began and ended.
    """
    if isinstance(run, ColumnMarket):
        stages = (wired.bars, wired.simulated, wired.orders)
        market = QuietMarket(line, run, stages, wired.risk.marking, wired.strategy, report.add_points)
        for at in range(0, len(run), _PROGRESS_BARS):
            end = min(at + _PROGRESS_BARS, len(run))
            market.pump(at, end)
            yield end - at, _ends_of_days(run, at, end)
        return
    if not wired.is_single:
        while messages := list(islice(wired.feed, _CHUNK_BARS)):
            for message in messages:
                line.pump(message)
            bars = [message for message in messages if isinstance(message, Bar)] if wired.has_ticks else messages
            yield len(bars), cast("Sequence[Bar]", bars)
        return
    stages = (wired.bars, wired.simulated, wired.orders)
    quiet = QuietLine(line, stages, wired.risk.marking, wired.strategy, report.add_points)
    if run is not None:
        for at in range(0, len(run), _PROGRESS_BARS):
            end = min(at + _PROGRESS_BARS, len(run))
            quiet.pump(run, at, end)
            yield end - at, [run.bar(at), *map(run.bar, run.days(at, end))]
        return
    while bars := _next_bars(wired):
        quiet.pump(BarRun(bars), 0, len(bars))
        yield len(bars), bars


def _next_bars(wired: Wired) -> list[Bar]:
    # The market of a single series is made of bars alone.
    return cast("list[Bar]", list(islice(wired.feed, _CHUNK_BARS)))


def _ends_of_days(market: ColumnMarket, at: int, until: int) -> list[Bar]:
    """Return the first bar of each symbol, and its last one of each UTC day, in order of their closing times."""
    parts = market.parts(at, until)
    bars = [part.run.bar(place) for part in parts for place in (part.at, *part.run.days(part.at, part.until))]
    return sorted(bars, key=lambda bar: (bar.ts_event, bar.symbol))


def _columns(wired: Wired, read: ReadScaled) -> ColumnRun | ColumnMarket | None:
    """Return the bars of all files as columns, where that is worth the start of a compiler."""
    files = wired.files
    if wired.has_ticks or not wired.bars.are_single or not files or not _is_worth_compiling(files):
        return None
    from tradebot.runtime.compiled import compiled

    return columns_of(files, compiled(), read)


def columns_of(
    files: Sequence[BarFile], kernels: Kernels, read: ReadScaled = read_scaled
) -> ColumnRun | ColumnMarket | None:
    """Return the bars of ``files``, each of another symbol, as columns; ``None`` where one must be read bar by bar."""
    found = [file.columns(kernels, read) for file in files]
    runs = [ColumnRun(columns, kernels) for columns in found if columns is not None]
    if len(runs) < len(files):
        return None
    return runs[0] if len(runs) == 1 else ColumnMarket(runs)


def _is_worth_compiling(files: Sequence[BarFile]) -> bool:
    if find_spec("numba") is None:
        return False
    return "numba" in sys.modules or sum(file.weight() for file in files) > _WORTH_COMPILING


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    # The stages make no cycles to speak of, and there is much to walk through: looking often costs some percent.
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def with_feed(settings: Settings, data: Sequence[str], bars: int | None) -> Settings:
    """Return the settings with ``data`` as their feed, or with a generated market of ``bars``.

    A real venue becomes a simulated one. Raises ``UsageError`` where nobody says how long that is, and where
    ``bars`` does not fit.
    """
    settings = on_paper(settings)
    feed = settings.feed
    if data:
        specs = tuple(f"{spec.partition('=')[0]}={given_series(spec).path}" for spec in data)
        return settings.model_copy(update={"feed": ReplayFeedSettings(kind="replay", data=specs)})
    if isinstance(feed, GeneratedFeedSettings):
        if bars is None and feed.bars is None:
            raise UsageError("a generated market never ends", where="[feed]", mend="say how long: --bars 20000")
        return settings.model_copy(update={"feed": feed.model_copy(update={"bars": bars or feed.bars})})
    if not isinstance(feed, ReplayFeedSettings):
        raise UsageError("a live market has no history here", where="[feed]", mend="give one: --data BTC:5m=btc.csv.gz")
    if bars is not None:
        raise UsageError("--bars is for a generated market; this one has files", where="[feed]", mend="leave it out")
    return settings


def _repaired(settings: Settings, folder: Path, repairs: list[str], *, is_forced: bool) -> Settings:
    def taken(spec: str, mended: Repair) -> str:
        repairs.extend(mended.actions)
        return f"{spec.partition('=')[0]}={mended.path}" if mended.actions else spec

    feed, venue = settings.feed, settings.venue
    if isinstance(feed, ReplayFeedSettings):
        bars = [
            taken(spec, repair_bars(one.path, one.timeframe, folder / f"{number}.csv", is_forced=is_forced))
            for number, (spec, one) in enumerate(zip(feed.data, feed.series, strict=False))
        ]
        settings = settings.model_copy(update={"feed": feed.model_copy(update={"data": tuple(bars)})})
    if isinstance(venue, SimulatedVenueSettings):
        rates = [
            taken(spec, repair_funding(one.path, folder / f"funding{number}.csv", is_forced=is_forced))
            for number, (spec, one) in enumerate(zip(venue.funding, venue.funding_files, strict=True))
        ]
        settings = settings.model_copy(update={"venue": venue.model_copy(update={"funding": tuple(rates)})})
    return settings


def _bars_in_all(settings: Settings, files: Sequence[BarFile]) -> int:
    feed = settings.feed
    if isinstance(feed, GeneratedFeedSettings):
        return (feed.bars or 0) * len(settings.bot.symbols)
    return sum(file.count() for file in files)
