"""From a file of another program into the store: understood, checked as every bar file, merged with what is there."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tradebot.data.bars import BarColumns, Merged, contradiction, first_fault, in_order, merge, repeats
from tradebot.data.barstore import BarStore, Origin
from tradebot.data.foreign import Rows, read_rows
from tradebot.data.layout import Hints
from tradebot.data.numbers import as_decimals, compact
from tradebot.model.errors import DataError
from tradebot.model.time import Timeframe, timeframe_name, to_ms
from tradebot.report.table import moment
from tradebot.settings.dataspec import StoredSeries
from tradebot.store.repair import MendedRow, usable_rows

Keep = Literal["stored", "new"]
"""Which bar stays where the store and a source differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a file is to be imported, beside what it holds. ``stamps_close``: its times are those of the closes."""

    hints: Hints
    keep: Keep | None = None
    repairs: bool = False
    is_forced: bool = False
    stamps_close: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did. ``rows`` bars were in the file, ``added`` of them new; ``replaced`` stood there otherwise.

    ``since`` is when the first of them opens, ``until`` when the last closes, in ms.
    """

    series: StoredSeries
    source: str
    format: str
    taken: Sequence[str]
    notes: Sequence[str]
    rows: int
    added: int
    replaced: int
    since: int
    until: int
    total: int


def import_file(store: BarStore, path: Path, series: StoredSeries, wish: Wish, at: int) -> Imported:
    """Put the bars of ``path`` into the store; ``at`` is now, in ms. Raises ``DataError``, and nothing has changed."""
    rows = read_rows(path, wish.hints)
    if wish.stamps_close:
        step = to_ms(series.timeframe)
        rows.ts = array("q", (ts - step for ts in rows.ts))
    bars, notes = sound_bars(rows, path, series.timeframe, repairs=wish.repairs, is_forced=wish.is_forced)
    notes = [*rows.notes, *notes]
    origin = Origin(
        at=at,
        action="import",
        source=str(path.absolute()),
        sha256=digest(path),
        rows=len(bars),
        added=0,
        since=bars.ts[0],
        until=bars.ts[-1] + to_ms(series.timeframe),
        notes=tuple(notes),
    )
    merged = put(store, series, bars, origin, wish.keep)
    return Imported(
        series=series,
        source=str(path),
        format=rows.format,
        taken=rows.taken,
        notes=notes,
        rows=len(bars),
        added=merged.added,
        replaced=len(merged.contradicted) if wish.keep == "new" else 0,
        since=bars.ts[0],
        until=origin.until,
        total=len(merged.bars),
    )


def put(store: BarStore, series: StoredSeries, bars: BarColumns, origin: Origin, keep: Keep | None) -> Merged:
    """Merge ``bars`` into a series of the store, which stays as it is where nothing is new.

    Raises ``DataError`` where bars differ from those that are there and nobody said which to ``keep``.
    """
    with store.writing(series):
        kept = store.read_or_none(series)
        merged = merge(kept, bars, prefers_new=keep == "new")
        if merged.contradicted and keep is None:
            many = len(merged.contradicted)
            what = f"{many} bar{'s differ' if many > 1 else ' differs'} from what the store has, first"
            raise DataError(
                f"{what} {contradiction(kept, bars, merged.contradicted[0])}",
                where=origin.source,
                mend="say which stays: --keep stored or --keep new",
            )
        if merged.bars is not kept:
            _refuse_unsound(merged.bars, series, origin.source)
            changed = merged.added + (len(merged.contradicted) if keep == "new" else 0)
            told = replace(origin, added=changed)
            before = store.held(series).origins if len(kept) else ()
            store.write(series, merged.bars, (*before, told), keeps_old=keep == "new" and bool(merged.contradicted))
    return merged


def sound_bars(
    rows: Rows, path: Path, timeframe: Timeframe, *, repairs: bool = False, is_forced: bool = False
) -> tuple[BarColumns, list[str]]:
    """Return the bars of a file in order of time, and what was done for that.

    Newest first is turned round, and equal rows that stand twice are one. Raises ``DataError`` at anything that no bar
    file may have, unless it ``repairs``.
    """
    if repairs:
        return _repaired(rows, path, timeframe, is_forced)
    mend = "correct the file, or add --repair, which leaves such lines out"
    if rows.unread:
        first = rows.unread[0]
        more = f"; {len(rows.unread) - 1} more such lines" if len(rows.unread) > 1 else ""
        raise DataError(f"{first.what}{more}", where=f"{rows.where}:{first.line}", mend=mend)
    bars, places, notes = _sorted(rows)
    bars, places = _once(bars, places, rows, notes)
    fault = first_fault(bars, timeframe)
    if fault is not None:
        place = min(fault.place, len(places) - 1)
        raise DataError(
            fault.what.replace("the line above", "the bar before"),
            where=f"{rows.where}:{rows.lines[places[place]]}",
            mend=f"are they bars of {timeframe_name(timeframe)}? Name another --as, {mend}",
        )
    return bars, notes


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sorted(rows: Rows) -> tuple[BarColumns, Sequence[int], list[str]]:
    bars = BarColumns(rows.ts, rows.columns)
    if in_order(rows.ts):
        return bars, range(len(rows.ts)), []
    falls = sum(1 for place in range(1, len(rows.ts)) if rows.ts[place] < rows.ts[place - 1])
    rises = sum(1 for place in range(1, len(rows.ts)) if rows.ts[place] > rows.ts[place - 1])
    if falls and not rises:
        note = ["newest first: turned round"]
    else:
        note = [f"sorted: {falls} lines were earlier than the one above"] if falls else []
    places = sorted(range(len(rows.ts)), key=rows.ts.__getitem__)
    return bars.at(places), places, note


def _once(bars: BarColumns, places: Sequence[int], rows: Rows, notes: list[str]) -> tuple[BarColumns, Sequence[int]]:
    twice = repeats(bars.ts)
    for place in twice:
        if bars.row(place) != bars.row(place - 1):
            lines = sorted(rows.lines[places[each]] for each in (place - 1, place))
            raise DataError(
                f"two bars of {moment(bars.ts[place])} differ, the other on line {lines[0]}",
                where=f"{rows.where}:{lines[1]}",
                mend="correct the file, or add --repair, which keeps the first",
            )
    if not twice:
        return bars, places
    notes.append(f"left out {len(twice)} bar{'s' if len(twice) > 1 else ''} that stood there twice")
    kept = sorted(set(range(len(bars))).difference(twice))
    return bars.at(kept), [places[place] for place in kept]


def _repaired(rows: Rows, path: Path, timeframe: Timeframe, is_forced: bool) -> tuple[BarColumns, list[str]]:
    numbers = zip(*map(as_decimals, rows.columns), strict=True)
    given = [MendedRow(line, ts, list(row)) for line, ts, row in zip(rows.lines, rows.ts, numbers, strict=True)]
    falls = sum(1 for place in range(1, len(given)) if given[place].ts > given[place - 1].ts)
    if given and not falls:
        given.reverse()
    unread = [(each.line, each.what) for each in rows.unread]
    kept, actions = usable_rows(path, timeframe, given, unread, is_forced=is_forced)
    columns = [compact(list(column)) for column in zip(*(row.numbers for row in kept), strict=True)]
    return BarColumns(array("q", (row.ts for row in kept)), columns), [
        action.removeprefix(f"{path}:").strip() for action in actions
    ]


def _refuse_unsound(bars: BarColumns, series: StoredSeries, source: str) -> None:
    fault = first_fault(bars, series.timeframe)
    if fault is not None:
        raise DataError(
            f"does not fit to what the store has of {series}: {fault.what}",
            where=source,
            mend="import it under another name",
        )
