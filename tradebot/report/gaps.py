"""Bars that a market did not give: gaps, counted by series, the first and the largest named, and early ends."""

from collections.abc import Mapping

from tradebot.model.market import Gap
from tradebot.model.time import timeframe_name, to_ms
from tradebot.report.shapes import Document, Json, rows
from tradebot.report.table import cell, moment


class GapCounts:
    """What is missing of each series."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, int], Document] = {}

    def add(self, gap: Gap) -> None:
        """Count one gap."""
        ts, missing = to_ms(gap.ts_from), gap.missing
        key = gap.symbol, gap.timeframe
        row = self._series.get(key)
        if row is None:
            name = {"symbol": gap.symbol, "timeframe": timeframe_name(gap.timeframe)}
            self._series[key] = name | gap_row(1, missing, (ts, missing), (ts, missing))
            return
        row["gaps"] = _whole(row["gaps"]) + 1
        row["missing"] = _whole(row["missing"]) + missing
        if missing > _whole(row["largest_missing"]):
            row["largest_ts"], row["largest_missing"] = ts, missing

    def rows(self) -> list[Json]:
        """Return a row a series that has gaps, by symbol and length of the bars."""
        return [self._series[key] for key in sorted(self._series)]


def gap_row(gaps: int, missing: int, first: tuple[int, int] | None, largest: tuple[int, int] | None) -> Document:
    """Return the counts of one series; ``first`` and ``largest`` are a gap's first opening in ms and its bars."""
    first_ts, first_missing = first or (None, None)
    largest_ts, largest_missing = largest or (None, None)
    return {
        "gaps": gaps,
        "missing": missing,
        "first_ts": first_ts,
        "first_missing": first_missing,
        "largest_ts": largest_ts,
        "largest_missing": largest_missing,
    }


def gaps_words(row: Mapping[str, Json], what: str = "bar") -> str:
    """Return one row of gaps in words: one gap of 10 bars from 2025-01-01 00:20:00."""
    first = f"{_count(row.get('first_missing'), what)} from {moment(row.get('first_ts'))}"
    match row.get("gaps"):
        case 0:
            return "no gap"
        case 1:
            return f"one gap of {first}"
    largest = f"{_count(row.get('largest_missing'), what)} from {moment(row.get('largest_ts'))}"
    return f"{cell(row.get('gaps'))} gaps, {_count(row.get('missing'), what)}: the first {first}, the largest {largest}"


def gaps_text(document: Mapping[str, Json]) -> str:
    """Return the rows of ``gaps``, a line each."""
    return "\n".join(
        f"{cell(row.get('symbol'))} {cell(row.get('timeframe'))}: {gaps_words(row)}" for row in rows(document, "gaps")
    )


def ends_text(document: Mapping[str, Json]) -> str:
    """Return the rows of ``ended_early``, a line each: since when a symbol has no bars, and what stays open in it."""
    lines = []
    for row in rows(document, "ended_early"):
        side, qty = row.get("side"), row.get("qty")
        held = "nothing is open" if side is None else f"{cell(side)} {cell(qty)} stays open at the mark of then"
        ends = f"{cell(row.get('symbol'))}: the last bar closed at {moment(row.get('ts'))}"
        lines.append(f"{ends}, those of others go on to {moment(row.get('until'))}; {held}")
    return "\n".join(lines)


def _count(number: Json, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}" if isinstance(number, int) else f"- {what}s"


def _whole(value: Json) -> int:
    assert isinstance(value, int)  # noqa: S101 - made by gap_row  # nosec B101
    return value
