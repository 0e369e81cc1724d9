"""The bars of one series as columns, and what is asked of them before they are kept: the checks of every bar file."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from operator import lt
from typing import NamedTuple

from tradebot.data.numbers import Column, as_decimals, picked
from tradebot.model.money import plain
from tradebot.model.time import Timeframe
from tradebot.report.table import moment
from tradebot.store.batches import Batch
from tradebot.store.candles import BAR_COLUMNS, is_sound, numbers_fault
from tradebot.store.series import Times

_BATCH_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class BarColumns:
    """Bars of one series: times of opening in ms, then open, high, low, close and volume."""

    ts: "array[int]"
    columns: Sequence[Column]

    def __len__(self) -> int:
        return len(self.ts)

    def at(self, places: Sequence[int]) -> "BarColumns":
        """Return the bars at ``places``, in that order."""
        return BarColumns(array("q", map(self.ts.__getitem__, places)), [picked(each, places) for each in self.columns])

    def between(self, since: int | None, until: int | None) -> "BarColumns":
        """Return the bars that open from ``since`` on and before ``until``, in ms; the times are in order."""
        first = 0 if since is None else bisect_left(self.ts, since)
        last = len(self.ts) if until is None else bisect_left(self.ts, until)
        return BarColumns(self.ts[first:last], [column[first:last] for column in self.columns])

    def row(self, place: int) -> tuple[Decimal, ...]:
        """Return the numbers of one bar."""
        return tuple(Decimal(plain(as_decimals(column[place : place + 1])[0])) for column in self.columns)

    def batches(self) -> Iterator[Batch]:
        """Give the bars as the reader of bar files gives them."""
        for first in range(0, len(self.ts), _BATCH_ROWS):
            last = first + _BATCH_ROWS
            yield Batch(first + 1, list(self.ts[first:last]), [as_decimals(each[first:last]) for each in self.columns])


class Fault(NamedTuple):
    """What is wrong with the bar at ``place``."""

    place: int
    what: str


def no_bars() -> BarColumns:
    """Return a series without bars."""
    return BarColumns(array("q"), [array("d") for _ in BAR_COLUMNS[1:]])


def first_fault(bars: BarColumns, timeframe: Timeframe) -> Fault | None:
    """Return the first bar that no reader of bar files would take, or ``None``."""
    times = Times(timeframe, is_whole=False)
    for first in range(0, len(bars), _BATCH_ROWS):
        last = first + _BATCH_ROWS
        ts = bars.ts[first:last]
        columns = [each[first:last] for each in bars.columns]
        before = times.last
        if times.take(ts) and is_sound(columns):  # type: ignore[arg-type]  # of one kind within a column
            continue
        for place, at in enumerate(ts, first):
            what = times.fault(at, before) or numbers_fault(bars.row(place))
            if what is not None:
                return Fault(place, what)
            before = at
    what = times.spacing_fault()
    return None if what is None else Fault(1, what)


def in_order(ts: Sequence[int]) -> bool:
    """Return whether each time is after the one before."""
    return all(map(lt, ts, ts[1:]))


class Merged(NamedTuple):
    """Two series in one. ``added`` bars were only in the second; those at the times of ``contradicted`` differ."""

    bars: BarColumns
    added: int
    contradicted: Sequence[int]


def merge(kept: BarColumns, more: BarColumns, *, prefers_new: bool = False) -> Merged:
    """Return both, each in order of time. Where they differ, the bar of ``kept`` stays unless ``prefers_new``."""
    if len(kept) and len(more) and more.ts[0] > kept.ts[-1]:
        return Merged(_behind(kept, more), len(more), ())
    known = {at: place for place, at in enumerate(kept.ts)}
    fresh = [place for place, at in enumerate(more.ts) if at not in known]
    both = [(known[at], place) for place, at in enumerate(more.ts) if at in known]
    differing = (
        [(old, new) for old, new in both if kept.row(old) != more.row(new)] if not _same(kept, more, both) else []
    )
    if not fresh and not (differing and prefers_new):
        return Merged(kept, 0, [kept.ts[old] for old, _ in differing])
    whole = _behind(kept, more)
    replaced = {old for old, _ in differing} if prefers_new else set()
    added = [*fresh, *(new for _, new in differing)] if prefers_new else fresh
    places = [place for place in range(len(kept)) if place not in replaced] + [len(kept) + place for place in added]
    places.sort(key=whole.ts.__getitem__)
    return Merged(whole.at(places), len(fresh), [kept.ts[old] for old, _ in differing])


def difference(old: Sequence[Decimal], new: Sequence[Decimal]) -> str:
    """Return in which numbers two bars of one time differ."""
    names = BAR_COLUMNS[1:]
    return ", ".join(f"{n} {plain(b)} for {plain(a)}" for n, a, b in zip(names, old, new, strict=True) if a != b)


def prices_at(bars: BarColumns, at: int) -> tuple[Decimal, ...]:
    """Return open, high, low and close of the bar that opens at ``at``."""
    return bars.row(bisect_left(bars.ts, at))[:4]


def contradiction(kept: BarColumns, more: BarColumns, at: int) -> str:
    """Return what ``more`` says of the bar that opens at ``at`` and ``kept`` does not."""
    rows = [bars.row(bisect_left(bars.ts, at)) for bars in (kept, more)]
    return f"{moment(at)}: {difference(*rows)}"


def repeats(ts: Sequence[int]) -> list[int]:
    """Return the places, in a series sorted by time, whose time stands at the place before too."""
    return [place for place, (before, at) in enumerate(pairwise(ts), 1) if before == at]


def _same(kept: BarColumns, more: BarColumns, both: Sequence[tuple[int, int]]) -> bool:
    if not both:
        return True
    old, new = zip(*both, strict=True)
    pairs = zip(kept.at(old).columns, more.at(new).columns, strict=True)
    return all(type(one) is type(other) and one == other for one, other in pairs)


def _behind(first: BarColumns, second: BarColumns) -> BarColumns:
    def put(one: Column, other: Column) -> Column:
        if isinstance(one, array) and isinstance(other, array):
            return one + other
        return [*as_decimals(one), *as_decimals(other)]

    return BarColumns(first.ts + second.ts, [put(*pair) for pair in zip(first.columns, second.columns, strict=True)])
