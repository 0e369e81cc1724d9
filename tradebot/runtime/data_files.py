"""The data files of a configuration: what the one check of them found, in words and as a document."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tradebot.model.time import timeframe_name, to_ms
from tradebot.report.gaps import gap_row, gaps_words
from tradebot.report.shapes import Document, rows
from tradebot.report.table import moment
from tradebot.settings.model import ReplayFeedSettings, Settings, SimulatedVenueSettings
from tradebot.store.candles import BarFile, FileSummary, check_files
from tradebot.store.funding import FundingSummary, check_funding


@dataclass(frozen=True, slots=True)
class DataCheck:
    """All files of bars and of funding."""

    bars: tuple[FileSummary, ...]
    funding: tuple[FundingSummary, ...]

    def document(self) -> Document:
        """Return ``data`` and ``funding``: a row a file."""
        return {"data": [bars_row(summary) for summary in self.bars], "funding": [*map(_funding_row, self.funding)]}

    def lines(self) -> list[str]:
        """Return a line a file."""
        return [*map(bars_words, self.bars), *map(funding_words, self.funding)]


def bar_files(settings: Settings) -> list[BarFile]:
    """Return the files of bars, unread."""
    feed = settings.feed
    if not isinstance(feed, ReplayFeedSettings):
        return []
    return [BarFile(one.path, one.symbol, one.timeframe) for one in feed.series]


def check_data(settings: Settings) -> DataCheck:
    """Read every data file whole, as the daemon does before it trades. Raises ``DataError`` at the first bad line."""
    venue = settings.venue
    rates = venue.funding_files if isinstance(venue, SimulatedVenueSettings) else ()
    return DataCheck(check_files(bar_files(settings)), tuple(check_funding(file.path, file.symbol) for file in rates))


def bars_row(summary: FileSummary) -> Document:
    """Return what one file of bars holds."""
    return {
        "file": str(summary.path),
        "symbol": summary.symbol,
        "timeframe": timeframe_name(summary.timeframe),
        "bars": summary.rows,
        "since": to_ms(summary.ts_first),
        "until": to_ms(summary.ts_last),
        **gap_row(summary.gaps, summary.missing, summary.first_gap, summary.largest_gap),
        "findings": dict(Counter(str(flaw.kind) for flaw in summary.flaws)),
        "notes": list(summary.notes),
    }


def bars_words(summary: FileSummary) -> str:
    """Return what one file of bars holds, in a line."""
    row = bars_row(summary)
    span = f"from {moment(row['since'])} to {moment(row['until'])}"
    what = f"{summary.path}: {summary.rows:,} bars of {summary.symbol} {row['timeframe']} {span}, {gaps_words(row)}"
    return "; ".join([what, *summary.notes])


def notes_of(summaries: Iterable[FileSummary]) -> list[str]:
    """Return the notes on all files, each with its series."""
    return [
        f"{summary.symbol} {timeframe_name(summary.timeframe)}: {note}"
        for summary in summaries
        for note in summary.notes
    ]


def ended_early(summaries: Sequence[FileSummary], report: Document) -> list[Document]:
    """Return the symbols whose bars end before those of others, with what ``report`` has open in each.

    ``ts`` is the close of the last bar, ``until`` that of the last bar of all; ``side`` is ``None`` where nothing is
    open.
    """
    finest: dict[str, FileSummary] = {}
    for summary in summaries:
        known = finest.get(summary.symbol)
        if known is None or summary.timeframe < known.timeframe:
            finest[summary.symbol] = summary
    until = max((summary.ts_last for summary in finest.values()), default=0)
    held = {row.get("symbol"): row for row in rows(report, "open_positions")}
    return [
        {
            "symbol": symbol,
            "ts": to_ms(summary.ts_last),
            "until": to_ms(until),
            "side": held.get(symbol, {}).get("side"),
            "qty": held.get(symbol, {}).get("qty", "0"),
        }
        for symbol, summary in sorted(finest.items())
        # Long bars close later than short ones; that alone is no end.
        if until - summary.ts_last >= summary.timeframe
    ]


def funding_words(summary: FundingSummary) -> str:
    """Return what one file of funding holds, in a line."""
    found = f"{summary.path}: {summary.rows:,} funding rates of {summary.symbol}"
    return f"{found}, {gaps_words(_funding_row(summary), 'hour')}" if summary.missing else found


def _funding_row(summary: FundingSummary) -> Document:
    return {
        "file": str(summary.path),
        "symbol": summary.symbol,
        "rates": summary.rows,
        **gap_row(summary.gaps, summary.missing, summary.first_gap, summary.largest_gap),
    }
