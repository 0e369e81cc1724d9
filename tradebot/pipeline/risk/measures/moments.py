"""Moments of return series. Sums are exact (``fsum``), so that no order and no version of Python changes a bit."""

from collections.abc import Sequence
from functools import cached_property
from math import fsum, sqrt
from operator import mul

LAMBDA = 0.94
"""The decay of a day in weighted moments, of RiskMetrics (1996) for daily returns."""


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean; ``values`` must not be empty."""
    return fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation, ddof 1; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    apart = [one - centre for one in values]
    return sqrt(fsum(map(mul, apart, apart)) / (len(values) - 1))


def covariance(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the covariance of two series of one length >= 2, ddof 1."""
    a, b = mean(first), mean(second)
    return fsum((x - a) * (y - b) for x, y in zip(first, second, strict=True)) / (len(first) - 1)


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the linearly interpolated quantile of values in ascending order; ``part`` in [0, 1]."""
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


class Sample(tuple[float, ...]):
    """Values with what is asked of them again and again, each worked out once; not empty where it is."""

    @cached_property
    def ordered(self) -> list[float]:
        """The values in ascending order."""
        return sorted(self)

    @cached_property
    def mean(self) -> float:
        """The arithmetic mean."""
        return mean(self)

    @cached_property
    def deviation(self) -> float:
        """The standard deviation, ddof 1; 0 for a single value."""
        return sqrt(self._squared[2] / (len(self) - 1)) if len(self) > 1 else 0.0

    @cached_property
    def shape(self) -> tuple[float, float]:
        """The skewness and the excess kurtosis, both biased; 0 and 0 where nothing varies."""
        apart, squares, total = self._squared
        spread = total / len(self)
        if spread <= 0:
            return 0.0, 0.0
        third, fourth = fsum(map(mul, squares, apart)) / len(self), fsum(map(mul, squares, squares)) / len(self)
        return third / spread**1.5, fourth / spread**2 - 3.0

    @cached_property
    def _squared(self) -> tuple[list[float], list[float], float]:
        """The distances from the mean, their squares, and the sum of these."""
        centre = self.mean
        apart = [one - centre for one in self]
        squares = [one * one for one in apart]
        return apart, squares, fsum(squares)


def weights(count: int, decay: float) -> list[float]:
    """Return ``count`` weights that sum to 1, each ``decay`` times the one after it; 1 weighs all the same."""
    raw = [decay ** (count - 1 - place) for place in range(count)]
    total = fsum(raw)
    return [one / total for one in raw]


def weighted_deviation(values: Sequence[float], weight: Sequence[float]) -> float:
    """Return the unbiased deviation by weights that sum to 1; with equal ones it is ddof 1. Two values at least."""
    centre = fsum(map(mul, weight, values))
    spread = fsum(part * (one - centre) ** 2 for part, one in zip(weight, values, strict=True))
    return sqrt(spread / (1 - fsum(part * part for part in weight)))


def standardized(values: Sequence[float], weight: Sequence[float]) -> list[float] | None:
    """Return ``values`` less their weighted mean, scaled so that two such series' products sum to the correlation.

    ``None`` where nothing varies. With equal weights that is Pearson's.
    """
    centre = fsum(map(mul, weight, values))
    apart = [sqrt(part) * (one - centre) for part, one in zip(weight, values, strict=True)]
    length = sqrt(fsum(map(mul, apart, apart)))
    return None if length <= 0 else [one / length for one in apart]
