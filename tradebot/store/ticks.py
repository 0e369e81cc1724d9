"""Prices between the steps in which a market quotes: nobody can have traded there.

A step is a number of decimals, for each power of ten of the price, as some exchanges quote five digits. Bars that were
filled in or reckoned have more.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, repeat
from operator import mod

from tradebot.model.money import ONE, plain
from tradebot.model.time import Timeframe, to_ms
from tradebot.store.batches import Batch
from tradebot.store.flaws import Flaw, FlawKind

# Fewer prices say nothing of a step; more of one sort than this part of them are how the market quotes.
_TELLING = 500
_FEW = 5e-4
_ALWAYS_FEW = 4
# So many prices of one sort are usual in any file, and need not be remembered.
_MOST_ODD = 200


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

    def flaws(self) -> Iterator[Flaw]:
        """Give what was found, once all bars were taken."""
        found: dict[int, str] = {}
        for power, counts in self._counts.items():
            finer, usual = _finer(counts)
            for decimals in finer:
                for ts, price in self._odd[power, decimals].items():
                    found[ts] = f"{plain(price)} stands between the steps of {plain(ONE.scaleb(-usual))}"
        yield from (Flaw(FlawKind.GRID, ts, ts + self._step, found[ts]) for ts in sorted(found))


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
