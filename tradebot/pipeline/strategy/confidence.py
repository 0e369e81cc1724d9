"""Confidence: how much speaks for an entry, from eight factors of the market as it is now.

Each factor is in [0, 1]; the confidence is their weighted mean, in percent. The weights say what is asked
first of a smart-money setup: that the higher timeframes agree, then that structure and force are behind it.
They are opinions, not the result of a fit; ``why`` shows the factors of each signal, so that one can judge.
"""

from collections.abc import Mapping

WEIGHTS: Mapping[str, float] = {
    "higher_timeframes": 2.0,
    "structure": 1.5,
    "displacement": 1.0,
    "volume": 0.5,
    "freshness": 1.0,
    "confluence": 1.0,
    "location": 1.0,
    "liquidity": 1.0,
}
# A body of two ranges is force enough, and so is twice the usual volume.
_STRONG_BODY = 2.0
_STRONG_VOLUME = 2.0
# More zones than these around one price add nothing.
_MANY_ZONES = 3


def confidence(factors: Mapping[str, float]) -> float:
    """Return the weighted mean of ``factors``, each in [0, 1] and all of ``WEIGHTS``, in percent."""
    return 100.0 * sum(WEIGHTS[name] * factors[name] for name in WEIGHTS) / sum(WEIGHTS.values())


def alignment(trends: tuple[int, ...], side: int) -> float:
    """Return how far ``trends`` (1, 0 or -1 each) agree with ``side``: 0 all against, 0.5 undecided, 1 all for."""
    return sum((1.0 + trend * side) / 2.0 for trend in trends) / len(trends)


def displacement(body_in_atrs: float | None) -> float:
    """Return the force of a move; 0 where no range is known."""
    return 0.0 if body_in_atrs is None else min(1.0, body_in_atrs / _STRONG_BODY)


def volume(now: float, usual: float) -> float:
    """Return how unusual the volume is; 0.5 where there is none to compare with."""
    return min(1.0, now / (_STRONG_VOLUME * usual)) if usual > 0 else 0.5


def freshness(age: int, oldest: int) -> float:
    """Return 1 for what is new, falling to 0 at the age of ``oldest`` bars."""
    return max(0.0, 1.0 - age / oldest)


def confluence(zones: int) -> float:
    """Return how many zones there are around the entry, as a share of many."""
    return min(1.0, zones / _MANY_ZONES)


def location(position: float | None, side: int) -> float:
    """Return how cheap the price is for ``side`` in the dealing range; 0.5 where there is no range."""
    if position is None:
        return 0.5
    within = min(1.0, max(0.0, position))
    return 1.0 - within if side > 0 else within
