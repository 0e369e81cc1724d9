"""Everything that is wrong with series, in files of any program or in the store: each finding with its time."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tradebot.data.bars import BarColumns, difference, in_order
from tradebot.data.barstore import BarStore
from tradebot.data.foreign import Rows, read_rows
from tradebot.data.layout import Hints
from tradebot.model.time import NANOS_PER_MS, Timeframe, floor_to, from_ms, timeframe_name, to_ms
from tradebot.settings.dataspec import StoredSeries
from tradebot.store.agreement import Agreement
from tradebot.store.candles import numbers_fault
from tradebot.store.flaws import Flaw, FlawKind, by_time
from tradebot.store.inspection import Inspection
from tradebot.store.series import MAX_TS_MS, Times, step_name

# Markets that close at night open at quarters of an hour, and their bars count from there.
_SESSION_MS = 15 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Subject:
    """One series that is looked at, and where it is."""

    symbol: str
    timeframe: Timeframe
    where: str
    bars: BarColumns
    """What of it can be used, in order of time, no time twice."""
    flaws: tuple[Flaw, ...]
    """What is wrong with the rest."""


class BarFinding(NamedTuple):
    """One flaw of one series."""

    subject: Subject
    flaw: Flaw


def read_subject(path: Path, symbol: str, timeframe: Timeframe) -> Subject:
    """Return a file as what can be used of it, and what cannot. Raises ``DataError`` when it cannot be understood."""
    rows = read_rows(path, Hints(symbol=symbol))
    flaws: list[Flaw] = []
    bars = _usable(rows, to_ms(timeframe), flaws)
    return Subject(symbol, timeframe, str(path), bars, tuple(flaws))


def validate(subjects: Sequence[Subject]) -> list[BarFinding]:
    """Return all that is wrong, in order of series and time; series of one symbol are held against each other."""
    found = [BarFinding(subject, flaw) for subject in subjects for flaw in (*subject.flaws, *_inspected(subject))]
    for coarse in (subject for subject in subjects if len(subject.bars)):
        finer = [each for each in subjects if each.symbol == coarse.symbol and _divides(each, coarse)]
        if finer:
            fine = max(finer, key=lambda each: each.timeframe)
            found += (BarFinding(coarse, flaw) for flaw in _differing(fine, coarse))
    places = {id(subject): place for place, subject in enumerate(subjects)}
    return sorted(found, key=lambda each: (places[id(each.subject)], *by_time(each.flaw)))


def _divides(fine: Subject, coarse: Subject) -> bool:
    return fine.timeframe < coarse.timeframe and coarse.timeframe % fine.timeframe == 0


def _inspected(subject: Subject) -> list[Flaw]:
    times, inspection = Times(subject.timeframe, is_whole=False), Inspection(subject.timeframe)
    for batch in subject.bars.batches():
        times.take(batch.ts)
        inspection.take(batch)
    return inspection.flaws(times)


def _differing(fine: Subject, coarse: Subject) -> list[Flaw]:
    agreement = Agreement(fine.timeframe, coarse.timeframe)
    since, until = coarse.bars.ts[0], coarse.bars.ts[-1] + to_ms(coarse.timeframe)
    for batch in coarse.bars.batches():
        agreement.take_coarse(batch)
    for batch in fine.bars.between(since, until).batches():
        agreement.take_fine(batch)
    return agreement.flaws()


def _usable(rows: Rows, step: int, flaws: list[Flaw]) -> BarColumns:
    ts = rows.ts
    for unread in rows.unread:
        at = unread.ts if unread.ts is not None else _before(rows, unread.line)
        kind = FlawKind.DISORDER if unread.ts is None else FlawKind.OUTLIER
        flaws.append(Flaw(kind, at, at + step, f"line {unread.line}: {unread.what}"))
    bars = BarColumns(ts, rows.columns)
    places = list(range(len(ts)))
    if len(ts) > 1 and in_order(ts[::-1]):
        places.reverse()  # newest first, as many write
    off = _off_grid(ts, step)
    if len(off) * 20 > len(ts):
        what = (
            f"{len(off):,} of {len(ts):,} bars open off whole {step_name(step)}, the first on line {rows.lines[off[0]]}"
        )
        flaws.append(Flaw(FlawKind.GRID, min(ts), max(ts) + step, what))
    else:
        flaws += (_off_flaw(rows, place, step) for place in off)
    wrong = {*off, *_impossible(rows, bars, step, flaws)}
    return bars.at(_unique(rows, bars, [place for place in places if place not in wrong], step, flaws))


def _unique(rows: Rows, bars: BarColumns, places: Sequence[int], step: int, flaws: list[Flaw]) -> list[int]:
    """Return the places in order of time, without those whose time was there before."""
    seen: dict[int, int] = {}
    newest = -1
    for place in places:
        at = rows.ts[place]
        if at in seen:
            differs = difference(bars.row(seen[at]), bars.row(place))
            said = f"differs: {differs}" if differs else "is the same"
            what = f"line {rows.lines[place]} has the time of line {rows.lines[seen[at]]}, and {said}"
            flaws.append(Flaw(FlawKind.DUPLICATE, at, at + step, what))
            continue
        seen[at] = place
        if at < newest:
            what = f"line {rows.lines[place]} comes after a later bar, {step_name(newest - at)} on"
            flaws.append(Flaw(FlawKind.DISORDER, at, at + step, what))
        newest = max(newest, at)
    return [seen[at] for at in sorted(seen)]


def _impossible(rows: Rows, bars: BarColumns, step: int, flaws: list[Flaw]) -> Iterator[int]:
    columns = [list(map(float, column)) for column in bars.columns]
    for place, (open_, high, low, close, volume) in enumerate(zip(*columns, strict=True)):
        if 0 < low <= open_ <= high < 1e17 and low <= close <= high and 0 <= volume < 1e17:
            continue
        what = numbers_fault(bars.row(place))
        if what is not None:
            at = rows.ts[place]
            flaws.append(Flaw(FlawKind.OUTLIER, at, at + step, f"line {rows.lines[place]}: {what}"))
            yield place


def _off_grid(ts: "array[int]", step: int) -> list[int]:
    """Return the places of bars that open at no time at which those of the series do."""
    late = [_late(at, step) for at in ts]
    counts = Counter(late).most_common(1)
    usual = counts[0][0] if counts else 0
    allowed = usual if usual % _SESSION_MS == 0 else 0
    return [place for place, by in enumerate(late) if by != allowed or not 0 <= ts[place] < MAX_TS_MS]


def _late(at: int, step: int) -> int:
    return at - to_ms(floor_to(from_ms(at), step * NANOS_PER_MS))


def _off_flaw(rows: Rows, place: int, step: int) -> Flaw:
    at = rows.ts[place]
    what = f"line {rows.lines[place]} opens {step_name(_late(at, step))} after whole {step_name(step)}"
    return Flaw(FlawKind.GRID, at, at + step, what)


def _before(rows: Rows, line: int) -> int:
    before = [at for number, at in zip(rows.lines, rows.ts, strict=True) if number < line]
    return before[-1] if before else (rows.ts[0] if rows.ts else 0)


def stored_subject(store: BarStore, series: StoredSeries) -> Subject:
    """Return a series of the store."""
    return Subject(series.symbol, series.timeframe, str(series), store.read(series), ())


def finding_row(finding: BarFinding) -> dict[str, str | int]:
    """Return a finding as ``data validate --json`` has it."""
    kind, ts, until, detail = finding.flaw
    subject = finding.subject
    timeframe = timeframe_name(subject.timeframe)
    return {
        "kind": str(kind),
        "symbol": subject.symbol,
        "timeframe": timeframe,
        "ts": ts,
        "until": until,
        "detail": detail,
    }
