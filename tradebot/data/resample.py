"""Coarse bars of fine ones: as an exchange makes its own."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradebot.data.bars import BarColumns
from tradebot.data.barstore import BarStore, Origin
from tradebot.data.importing import Keep, digest, put
from tradebot.data.numbers import Column, as_decimals, compact, picked
from tradebot.model.errors import DataError
from tradebot.model.time import Timeframe, floor_to, from_ms, timeframe_name, to_ms
from tradebot.settings.dataspec import StoredSeries


def resample(bars: BarColumns, fine: Timeframe, coarse: Timeframe, *, is_whole: bool = True) -> BarColumns:
    """Return bars of ``coarse``, each of those of ``fine`` that lie in it: first open, highest, lowest, last, sum.

    Only of those that lack none, where ``is_whole``; else of whatever is there, but for a first and a last that the
    series begins or ends within. Raises ``DataError`` when the one is no multiple of the other.
    """
    if coarse <= fine or coarse % fine:
        raise DataError(
            f"bars of {timeframe_name(coarse)} cannot be made of {timeframe_name(fine)}",
            mend=f"name a multiple of {timeframe_name(fine)}",
        )
    step, parts = to_ms(coarse), coarse // fine
    opens = [to_ms(floor_to(from_ms(ts), coarse)) for ts in bars.ts]
    starts = [place for place, at in enumerate(opens) if not place or at != opens[place - 1]]
    groups = list(zip(starts, [*starts[1:], len(opens)], strict=True))
    first_open, last_close = bars.ts[0], bars.ts[-1] + to_ms(fine)
    groups = [
        (first, last)
        for first, last in groups
        if last - first == parts or (not is_whole and opens[first] >= first_open and opens[first] + step <= last_close)
    ]
    return BarColumns(array("q", (opens[first] for first, _ in groups)), _columns(bars.columns, groups))


def _columns(columns: Sequence[Column], groups: Sequence[tuple[int, int]]) -> list[Column]:
    open_, high, low, close, volume = columns
    return [
        picked(open_, [first for first, _ in groups]),
        picked(high, [max(range(*group), key=high.__getitem__) for group in groups]),
        picked(low, [min(range(*group), key=low.__getitem__) for group in groups]),
        picked(close, [last - 1 for _, last in groups]),
        _sums(volume, groups),
    ]


def _sums(volume: Column, groups: Sequence[tuple[int, int]]) -> Column:
    # Sums of floats would not be what an exchange adds up.
    numbers = as_decimals(volume)
    return compact([sum(numbers[first:last], Decimal(0)) for first, last in groups])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """What was made: ``bars`` of a longer timeframe, ``added`` of them new; ``left_out`` lacked some of their parts."""

    series: StoredSeries
    bars: int
    added: int
    left_out: int


def resample_series(
    store: BarStore, source: StoredSeries, coarse: Timeframe, keep: Keep | None, at: int, *, is_whole: bool = True
) -> Resampled:
    """Put the bars of ``coarse`` that those of ``source`` make into the store; ``at`` is now, in ms.

    Raises ``DataError`` where the store has others of them, unless somebody says which to ``keep``.
    """
    fine = store.read(source)
    bars = resample(fine, source.timeframe, coarse, is_whole=is_whole)
    target = source._replace(timeframe=coarse)
    if not len(bars):
        raise DataError(f"no bar of {timeframe_name(coarse)} is whole", where=str(source), mend="add --partial")
    origin = Origin(
        at=at,
        action="resample",
        source=str(source),
        sha256=digest(store.path(source)),
        rows=len(bars),
        added=0,
        since=bars.ts[0],
        until=bars.ts[-1] + to_ms(coarse),
    )
    merged = put(store, target, bars, origin, keep)
    begun = len({to_ms(floor_to(from_ms(ts), coarse)) for ts in fine.ts})
    return Resampled(series=target, bars=len(bars), added=merged.added, left_out=begun - len(bars))
