"""The store of bars: what is in it, and the ways in and out."""

import json
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import cast

from tradebot.cli.context import Context
from tradebot.control.when import parse_when
from tradebot.data.barstore import BarStore, HeldSeries, bars_until
from tradebot.data.importing import Imported, Keep, Wish, import_file
from tradebot.data.layout import Hints
from tradebot.data.names import ColumnRole
from tradebot.data.stamps import DateOrder, parse_zone
from tradebot.model.errors import UsageError
from tradebot.model.money import plain
from tradebot.model.near import did_you_mean
from tradebot.model.time import timeframe_name, to_ms
from tradebot.report.gaps import gap_row, gaps_words
from tradebot.report.shapes import Document
from tradebot.report.table import listing, moment
from tradebot.settings.dataspec import StoredSeries, parse_stored, store_root

_KEYS = ("series", "bars", "since_ts", "until_ts", "gaps", "missing", "size", "origins")
_ENDS = 3


def import_files(context: Context) -> int:
    """Import each file, the first first, into one series, and say what was understood."""
    from tradebot.runtime.clock import SystemClock

    series = named_series(context.given.text("as") or "", "--as")
    store, wish = bar_store(context), _wish(context, series)
    now = to_ms(SystemClock().now())
    told = []
    for name in context.given.texts("file"):
        done = import_file(store, Path(name), series, wish, now)
        told.append(_imported_row(done))
        if not context.is_json:
            context.write("\n".join(_imported_lines(done)))
    if context.is_json:
        context.write_json(told)
    return 0


def list_series(context: Context) -> int:
    """List what the store has."""
    store = bar_store(context)
    rows = [_row(store.held(series)) for series in store.series()]
    if context.is_json:
        context.write_json(rows)
    elif not rows:
        context.write(f"no bars in {store.root}; tradebot data import FILE --as VENUE:SYMBOL:TF")
    else:
        shown = [
            row
            | {"since_ts": row["since"], "until_ts": row["until"], "size": _size(row["size"])}
            | {"origins": len(cast("list[object]", row["origins"]))}
            for row in rows
        ]
        context.write(listing(_KEYS, shown, colour=context.is_colour, width=context.width))
    return 0


def show(context: Context) -> int:
    """Show one series."""
    from tradebot.data.calendar import coverage

    store = bar_store(context)
    held = store.held(stored_argument(context))
    count = context.given.whole("last", _ENDS)
    bars = store.read(held.series)
    places = sorted({*range(min(count, len(bars))), *range(max(len(bars) - count, 0), len(bars))})
    rows = [(bars.ts[place], *map(plain, bars.row(place))) for place in places]
    names = ("ts", "open", "high", "low", "close", "volume")
    if context.is_json:
        context.write_json(_row(held) | {"bars_shown": [dict(zip(names, row, strict=True)) for row in rows]})
        return 0
    gaps = gaps_words(gap_row(held.gaps, held.missing, held.first_gap, held.largest_gap))
    span = f"from {moment(held.since)} to {moment(bars_until(held))}"
    lines = [f"{held.series}: {held.rows:,} bars {span}, {gaps}; {_size(held.size)} in {held.path}", ""]
    lines += [listing(names, [dict(zip(names, row, strict=True)) for row in rows], colour=context.is_colour), ""]
    lines += [coverage(bars.ts, held.series.timeframe), ""]
    for origin in held.origins:
        lines.append(f"{moment(origin.at)}: {origin.action} of {origin.source}")
        lines.append(f"    {origin.rows:,} bars, {origin.added:,} new; sha256 {origin.sha256 or '-'}")
        lines += [f"    {note}" for note in origin.notes]
    context.write("\n".join(lines))
    return 0


def export(context: Context) -> int:
    """Write a series to a file."""
    from tradebot.data.export import write_bars
    from tradebot.runtime.clock import SystemClock

    store = bar_store(context)
    series, path = stored_argument(context), Path(context.given.text("file") or "")
    now = SystemClock().now()
    since, until = (
        None if (text := context.given.text(key)) is None else to_ms(parse_when(text, now))
        for key in ("since", "until")
    )
    bars = store.read(series).between(since, until)
    if not len(bars):
        raise UsageError(f"{series} has no bar in that time", mend=f"tradebot data show {series}")
    write_bars(path, bars)
    if context.is_json:
        context.write_json({"file": str(path), "series": str(series), "bars": len(bars)})
    else:
        context.write(f"wrote {path}: {len(bars):,} bars of {series}")
    return 0


def download(context: Context) -> int:
    """Fetch what the store lacks of each series."""
    from tradebot.cli.progress import progress_bar
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.download import DEPTH, Wanted
    from tradebot.runtime.download import download as fetch

    clock = SystemClock()
    since = context.given.text("since")
    rows = []
    for name in context.given.texts("series"):
        wanted = Wanted(
            series=named_series(name, "SERIES"),
            url=context.given.text("url"),
            since=None if since is None else to_ms(parse_when(since, clock.now())),
            keep=cast("Keep | None", context.given.text("keep")),
        )
        with progress_bar() as progress:
            done = fetch(bar_store(context), wanted, clock, progress or (lambda _done, _total: None))
        rows.append({**asdict(done), "series": str(done.series)})
        if done.lost:
            what = f"{done.lost:,} bars are lost between those that were there and the new ones"
            context.note(f"warning: {done.series}: {what}: the exchange keeps the newest {DEPTH:,}")
        if not context.is_json:
            context.write(
                f"{done.series}: {done.rows:,} bars from {done.url}, {done.added:,} new; {done.total:,} in the store"
            )
    if context.is_json:
        context.write_json(rows)
    return 0


def bar_store(context: Context) -> BarStore:
    """Return the store of bars of this user."""
    return BarStore(store_root(context.environ))


def stored_argument(context: Context) -> StoredSeries:
    """Return the series that the command names."""
    return named_series(context.given.text("series") or "", "SERIES")


def named_series(text: str, where: str) -> StoredSeries:
    """Return the series that ``text`` names. Raises ``UsageError``."""
    try:
        return parse_stored(text)
    except ValueError as error:
        raise UsageError(str(error), where=where, mend="write it as hyperliquid:BTC:5m") from error


def _wish(context: Context, series: StoredSeries) -> Wish:
    given = context.given
    if given.flag("force") and not given.flag("repair"):
        raise UsageError("--force is for --repair", where="tradebot data import", mend="add --repair, or leave it out")
    separator = given.text("separator")
    if separator is not None and len(separator.replace("\\t", "\t")) != 1:
        raise UsageError("a separator is one character", where="--separator", mend="write , or ; or \\t")
    try:
        zone = UTC if (name := given.text("zone")) in (None, "UTC") else parse_zone(str(name))
    except ValueError as error:
        raise UsageError(str(error), where="--zone", mend="write it as in the tz database") from error
    return Wish(
        hints=Hints(
            columns=_columns(given.text("columns") or ""),
            unit=given.text("unit"),
            dates=cast("DateOrder | None", given.text("dates")),
            zone=zone,
            decimal=given.text("decimal"),
            separator=None if separator is None else separator.replace("\\t", "\t"),
            symbol=series.symbol,
        ),
        keep=cast("Keep | None", given.text("keep")),
        repairs=given.flag("repair"),
        is_forced=given.flag("force"),
        stamps_close=given.flag("closes"),
    )


def _columns(text: str) -> dict[ColumnRole, str]:
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, column = part.partition("=")
        if not equals or name.strip() not in list(ColumnRole):
            mend = f"write it as time=Date,open=2; names: {', '.join(ColumnRole)}"
            near = did_you_mean(name, list(ColumnRole))
            raise UsageError(f"{part!r} names no column", where="--columns", mend=f"{near}; {mend}" if near else mend)
        found[ColumnRole(name.strip())] = column
    return found


def _imported_row(done: Imported) -> Document:
    told: Document = json.loads(json.dumps({**asdict(done), "series": str(done.series)}))
    return told


def _imported_lines(done: Imported) -> list[str]:
    span = f"from {moment(done.since)} to {moment(done.until)}"
    replaced = f", {done.replaced:,} replaced" if done.replaced else ""
    lines = [f"{done.source}: {done.format}"]
    lines += [f"    {words}" for words in (", ".join(done.taken), *done.notes)]
    what = f"{done.rows:,} bars {span}, {done.added:,} new{replaced}"
    return [*lines, f"{done.series}: {what}; {done.total:,} in the store"]


def _row(held: HeldSeries) -> Document:
    row: Document = {
        "series": str(held.series),
        "venue": held.series.venue,
        "symbol": held.series.symbol,
        "timeframe": timeframe_name(held.series.timeframe),
        "file": str(held.path),
        "bars": held.rows,
        "since": held.since,
        "until": bars_until(held),
        "size": held.size,
        **gap_row(held.gaps, held.missing, held.first_gap, held.largest_gap),
        "origins": [{**asdict(origin), "notes": list(origin.notes)} for origin in held.origins],
    }
    return row


def _size(size: object) -> str:
    number = int(str(size))
    return f"{number / 1_000_000:.2f} MB" if number >= 100_000 else f"{number / 1000:.1f} kB"
