"""What can be known of faults in a series of the store, and mended: by the finer bars of the same symbol.

A coarse bar that contradicts a whole set of finer ones is made of them anew, and one that is missing is made of them.
Nothing is invented: what no finer bar tells stays as it is, and is said. Bars that are outliers or flat are left out
where somebody says so.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tradebot.data.bars import BarColumns, contradiction, merge, prices_at
from tradebot.data.barstore import BarStore, Origin
from tradebot.data.resample import resample
from tradebot.data.validate import Subject, stored_subject, validate
from tradebot.model.errors import DataError
from tradebot.model.time import to_ms
from tradebot.report.table import moment
from tradebot.settings.dataspec import StoredSeries
from tradebot.store.flaws import Flaw, FlawKind

DROPPED = (FlawKind.OUTLIER, FlawKind.FLAT, FlawKind.GRID)
"""What may be left out on demand."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done to a series, a line each, and what is still wrong with it."""

    actions: tuple[str, ...]
    left: tuple[Flaw, ...]


def mend_series(store: BarStore, series: StoredSeries, drops: Collection[FlawKind], at: int) -> Mended:
    """Mend a series; ``at`` is now, in ms. What was there stays beside it, numbered. Raises ``DataError``."""
    with store.writing(series):
        before = store.read(series)
        finer = _finer(store, series)
        bars, actions = _by_finer([(str(fine), _made(store, fine, series)) for fine in finer], before)
        bars, done = _without(bars, series, drops)
        actions += done
        if actions:
            origin = Origin(
                at=at,
                action="repair",
                source=", ".join(map(str, finer)) or str(series),
                sha256="",
                rows=len(before),
                added=len(bars) - len(before),
                since=bars.ts[0],
                until=bars.ts[-1] + to_ms(series.timeframe),
                notes=tuple(actions),
            )
            store.write(series, bars, (*store.held(series).origins, origin), keeps_old=True)
    return Mended(tuple(actions), tuple(flaw for _, flaw in validate([stored_subject(store, series)])))


def _finer(store: BarStore, series: StoredSeries) -> list[StoredSeries]:
    """Return the series of the same symbol whose bars make those of ``series``, the finest first."""
    same = [other for other in store.series() if (other.venue, other.symbol) == (series.venue, series.symbol)]
    return [other for other in same if other.timeframe < series.timeframe and series.timeframe % other.timeframe == 0]


def _made(store: BarStore, fine: StoredSeries, series: StoredSeries) -> BarColumns:
    return resample(store.read(fine), fine.timeframe, series.timeframe)


def _by_finer(sources: Sequence[tuple[str, BarColumns]], bars: BarColumns) -> tuple[BarColumns, list[str]]:
    """Return the bars as finer ones tell them, the finest where several do, and what that changed."""
    told, actions = set[int](), list[str]()
    for name, made in sources:
        made = made.between(bars.ts[0], bars.ts[-1] + 1)
        new = made.at([place for place, ts in enumerate(made.ts) if ts not in told])
        told.update(new.ts)
        known = merge(bars, new)
        # A volume may be counted in another way; that is no fault of the prices.
        differing = [ts for ts in known.contradicted if prices_at(bars, ts) != prices_at(new, ts)]
        changed = {*differing, *new.ts}.difference(set(known.contradicted).difference(differing))
        actions += [f"made anew of {name}: {contradiction(bars, new, ts)}" for ts in differing]
        present = set(bars.ts)
        actions += [f"made of {name}: {moment(ts)}" for ts in new.ts if ts not in present]
        chosen = new.at([place for place, ts in enumerate(new.ts) if ts in changed])
        bars = merge(bars, chosen, prefers_new=True).bars
    return bars, actions


def _without(bars: BarColumns, series: StoredSeries, drops: Collection[FlawKind]) -> tuple[BarColumns, list[str]]:
    if not drops:
        return bars, []
    subject = Subject(series.symbol, series.timeframe, str(series), bars, ())
    flaws = [flaw for _, flaw in validate([subject]) if flaw.kind in drops]
    kept = [place for place, ts in enumerate(bars.ts) if not any(flaw.ts <= ts < flaw.until for flaw in flaws)]
    if not kept:
        raise DataError("nothing of it would be left", where=str(series), mend="leave out less")
    return bars.at(kept), [f"left out: {flaw.kind} at {moment(flaw.ts)}: {flaw.detail}" for flaw in flaws]
