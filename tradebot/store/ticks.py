"""Prices between the steps in which a market quotes: nobody can have traded there.

A step is a number of decimals, for each power of ten of the price, as some exchanges quote five digits. Bars that were
filled in or reckoned have more.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, repeat
from operator import mod
from typing import TYPE_CHECKING

from tradebot.model.money import ONE, plain
from tradebot.model.time import Timeframe, to_ms
from tradebot.store.batches import Batch
from tradebot.store.digits import MOST_DIGITS
from tradebot.store.flaws import Flaw, FlawKind
from tradebot.store.scaled import Scaled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Fewer prices say nothing of a step; more of one sort than this part of them are how the market quotes.
_TELLING = 500
_FEW = 5e-4
_ALWAYS_FEW = 4
# So many prices of one sort are usual in any file, and need not be remembered.
_MOST_ODD = 200


_CHUNK = 65_536
_SORTS = (MOST_DIGITS + 2) * (MOST_DIGITS + 1)


class Ticks:
    """Takes the bars of a series in batches; counts the prices of each by powers of ten and decimals."""

    def __init__(self, timeframe: Timeframe) -> None:
        self._step = to_ms(timeframe)
        self._counts: dict[int, Counter[int]] = {}
        self._odd: dict[tuple[int, int], dict[int, Decimal]] = {}
        self._steps: dict[int, Decimal] = {}

    def take(self, batch: Batch) -> None:
        """Take the next bars."""
        *prices, _ = batch.columns
        power = min(prices[2]).adjusted()
        step = self._steps.get(power)
        is_usual = step is not None and max(prices[1]).adjusted() == power
        # Of a batch on the usual steps nothing needs to be counted but that it was there.
        if is_usual and not any(any(map(mod, column, repeat(step))) for column in prices):
            self._counts[power][_decimals(step or ONE)] += 4 * len(batch.ts)
        else:
            self._count(batch)

    def _count(self, batch: Batch) -> None:
        sorts: dict[tuple[int, int], list[Decimal]] = {}
        times = Counter(chain(*batch.columns[:4]))
        for price in times:
            sorts.setdefault((price.adjusted(), _decimals(price)), []).append(price)
        for (power, decimals), found in sorts.items():
            counts = self._counts.setdefault(power, Counter())
            counts[decimals] += sum(map(times.__getitem__, found))
            odd = self._odd.setdefault((power, decimals), {})
            if counts[decimals] > _MOST_ODD:
                odd.clear()
                self._steps[power] = min(self._steps.get(power, ONE), ONE.scaleb(-decimals))
            else:
                odd |= _bars_with(batch, set(found))

    def take_scaled(self, bars: Scaled) -> None:
        """Take a whole series at once; finds what ``take`` finds."""
        import numpy as np

        totals = np.zeros(_SORTS, np.int64)
        for _, sorts in _sorts_of(bars):
            totals += np.bincount(sorts, minlength=_SORTS)
        for sort in np.flatnonzero(totals).tolist():
            power, decimals = _named(sort, bars.places)
            self._counts.setdefault(power, Counter())[decimals] += int(totals[sort])
        odd = np.flatnonzero((totals > 0) & (totals <= _MOST_ODD))
        for at, sorts in _sorts_of(bars) if odd.size else ():
            for place in np.flatnonzero(np.isin(sorts, odd)).tolist():
                row = at + place % (sorts.size // 4)
                price = Decimal(int(bars.numbers[place // (sorts.size // 4)][row])).scaleb(-bars.places)
                found = self._odd.setdefault(_named(int(sorts[place]), bars.places), {})
                found[int(bars.times[row])] = min(price, found.get(int(bars.times[row]), price))
        for power, counts in self._counts.items():
            for decimals in counts:
                self._odd.setdefault((power, decimals), {})

    def flaws(self) -> Iterator[Flaw]:
        """Give what was found, once all bars were taken."""
        found: dict[int, str] = {}
        for power, counts in self._counts.items():
            finer, usual = _finer(counts)
            for decimals in finer:
                for ts, price in self._odd[power, decimals].items():
                    found[ts] = f"{plain(price)} stands between the steps of {plain(ONE.scaleb(-usual))}"
        yield from (Flaw(FlawKind.GRID, ts, ts + self._step, found[ts]) for ts in sorted(found))


def _sorts_of(bars: Scaled) -> "Iterator[tuple[int, NDArray[np.int64]]]":
    """Give, in parts, a number for each price, by how many digits it has and how many zeros these end in."""
    import numpy as np

    powers = np.array([10**power for power in range(MOST_DIGITS + 1)], np.int64)
    for at in range(0, bars.times.size, _CHUNK):
        prices = np.concatenate([each[at : at + _CHUNK] for each in bars.numbers[:4]])
        digits = np.searchsorted(powers, prices, side="right")
        zeros = np.zeros(prices.size, np.int64)
        places = np.arange(prices.size)
        for power in powers[1 : bars.places + 1]:
            places = places[prices[places] % power == 0]
            zeros[places] += 1
        yield at, digits * (MOST_DIGITS + 1) + zeros


def _named(sort: int, places: int) -> tuple[int, int]:
    """Return the power of ten and the decimals of a sort of prices."""
    digits, zeros = divmod(sort, MOST_DIGITS + 1)
    return digits - 1 - places, places - zeros


def _finer(counts: Counter[int]) -> tuple[list[int], int]:
    """Return the numbers of decimals that few prices have, and that of the step in which the market quotes."""
    total, seen, finer = counts.total(), 0, list[int]()
    for decimals in sorted(counts, reverse=True) if total >= _TELLING else ():
        seen += counts[decimals]
        if seen > max(_ALWAYS_FEW, _FEW * total):
            return finer, decimals
        finer.append(decimals)
    return [], 0


def _decimals(price: Decimal) -> int:
    return max(0, -int(price.normalize().as_tuple().exponent))


def _bars_with(batch: Batch, prices: set[Decimal]) -> dict[int, Decimal]:
    rows = zip(batch.ts, *batch.columns[:4], strict=True)
    return {ts: min(odd) for ts, *row in rows if (odd := prices.intersection(row))}
