"""Which symbols move together: their correlation, and the groups it makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from operator import mul

from tradebot.pipeline.risk.measures.moments import LAMBDA, standardized, weights

THRESHOLD = 0.7
"""From which correlation on two symbols are one bet, where the configuration says nothing else."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Symbols in order, and the mean of the absolute correlations of all pairs of them."""

    symbols: tuple[str, ...]
    correlation: float


Correlations = Mapping[tuple[str, str], float]
"""By pairs of symbols in order, in [-1, 1]."""


def correlations(returns: Mapping[str, tuple[float, ...]], decay: float = LAMBDA) -> Correlations:
    """Return the correlation of each pair over the days that both have, weighted by ``decay``; 1 weighs all the same.

    A symbol that does not move has none. Equal to pandas' ``ewm(alpha=1 - decay).corr()`` and, with 1, to Pearson's.
    """
    found: dict[tuple[str, str], float] = {}
    symbols = sorted(returns)
    ready: dict[tuple[str, int], list[float] | None] = {}

    def of(symbol: str, days: int) -> list[float] | None:
        if (symbol, days) not in ready:
            ready[symbol, days] = standardized(returns[symbol][-days:], weights(days, decay))
        return ready[symbol, days]

    for place, first in enumerate(symbols):
        for second in symbols[place + 1 :]:
            days = min(len(returns[first]), len(returns[second]))
            one, other = of(first, days), of(second, days)
            if one is not None and other is not None:
                found[first, second] = max(-1.0, min(1.0, fsum(map(mul, one, other))))
    return found


def clusters(symbols: frozenset[str], pairs: Correlations, threshold: float = THRESHOLD) -> tuple[Cluster, ...]:
    """Return ``symbols`` in groups: single linkage, by an absolute correlation of at least ``threshold``.

    Two that move against each other are one bet as well. Whatever has no correlation stands alone. Largest first, then
    by name; no order of the input changes anything.
    """
    near: dict[str, set[str]] = {symbol: {symbol} for symbol in symbols}
    for (first, second), value in pairs.items():
        if abs(value) >= threshold and first in near and second in near and near[first] is not near[second]:
            joined = near[first] | near[second]
            for symbol in joined:
                near[symbol] = joined
    groups = {tuple(sorted(group)) for group in near.values()}
    ordered = sorted(groups, key=lambda group: (-len(group), group))
    return tuple(Cluster(group, _mean(group, pairs)) for group in ordered)


def _mean(group: tuple[str, ...], pairs: Correlations) -> float:
    inside = [abs(value) for pair in _pairs(group) if (value := pairs.get(pair)) is not None]
    return fsum(inside) / len(inside) if inside else 1.0


def _pairs(group: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(first, second) for place, first in enumerate(group) for second in group[place + 1 :]]
