"""A backtest: the line pumped over its bars without an event loop, nothing journaled, nothing written."""

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import localcontext
from itertools import islice
from pathlib import Path
from typing import Any, cast

from tradebot.model.errors import UsageError
from tradebot.model.market import Bar, Message
from tradebot.model.money import MONEY_CONTEXT, Price
from tradebot.model.order import Fill
from tradebot.model.position import RoundTrip
from tradebot.model.signal import StrategyDisabled
from tradebot.pipeline.line import Line
from tradebot.pipeline.quiet import QuietLine
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

_PROGRESS_BARS = 20_000
_CHUNK_BARS = 1_000

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
) -> BacktestResult:
    """Run the configuration over its bars, or over ``data`` (``SYMBOL:TIMEFRAME=FILE``) instead.

    ``bars`` is how many of a generated market, for each symbol. ``repair`` mends bad files in passing, in a
    temporary folder, and with ``force`` whatever they lose by that. ``tape`` hears what a page needs. Raises
    ``ConfigError``, ``DataError`` and ``UsageError``.
    """
    clock = clock or SystemClock()
    with localcontext(MONEY_CONTEXT), tempfile.TemporaryDirectory(prefix="tradebot-repair-") as folder:
        repairs: list[str] = []
        settings = with_feed(loaded.settings, data, bars)
        if repair:
            settings = _repaired(settings, Path(folder), repairs, is_forced=force)
        return _run(replace(loaded, settings=settings), progress, clock, repairs, tape)


def _run(
    loaded: Loaded, progress: Progress | None, clock: Clock, repairs: Sequence[str], tape: Tape | None
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
    pump = pumping(wired, line, report)
    with watching(wired.strategy), _collecting_seldom():
        while bars := list(islice(wired.feed, _CHUNK_BARS)):
            pump(bars)
            # The market of a backtest is made of bars alone.
            closes.take(cast("list[Bar]", bars))
            if tape is not None:
                tape.take(cast("list[Bar]", bars))
            count += len(bars)
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


def pumping(wired: Wired, line: Line, report: ReportFold) -> Callable[[Sequence[Any]], None]:
    """Return what runs bars through ``line``: those of a single series together, where nothing can happen."""
    if wired.bars.is_single:
        stages = (wired.bars, wired.simulated, wired.orders)
        return QuietLine(line, stages, wired.risk, wired.strategy, report.add_points).pump

    def every(bars: Sequence[Message]) -> None:
        for bar in bars:
            line.pump(bar)

    return every


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
