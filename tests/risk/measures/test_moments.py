"""Moments, tails and correlations equal those of numpy, scipy, pandas and empyrical."""

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from tradebot.pipeline.risk.measures.clusters import correlations
from tradebot.pipeline.risk.measures.moments import Sample, covariance, deviation, mean, quantile, weights
from tradebot.pipeline.risk.measures.tails import LEVELS, TailMethod, as_loss, marginal, tail

NEAR = {"rel": 1e-9, "abs": 1e-9}


def walk(seed: int, days: int = 90, scale: float = 0.03) -> list[float]:
    """Daily returns with fat tails and some skew."""
    made = np.random.default_rng(seed)
    return list(scale * (0.6 * made.standard_t(4, days) - 0.3 * made.exponential(1.0, days)))


SERIES = [walk(seed, days) for seed, days in enumerate((30, 31, 41, 90, 90, 365))]


@pytest.mark.parametrize("values", SERIES)
def test_moments_equal_numpy_and_scipy(values: list[float]) -> None:
    assert mean(values) == pytest.approx(np.mean(values), **NEAR)
    assert deviation(values) == pytest.approx(np.std(values, ddof=1), **NEAR)
    assert Sample(values).shape[0] == pytest.approx(stats.skew(values, bias=True), **NEAR)
    assert Sample(values).shape[1] == pytest.approx(stats.kurtosis(values, bias=True), **NEAR)
    for part in (0.0, 0.01, 0.05, 0.5, 0.95, 1.0):
        assert quantile(sorted(values), part) == pytest.approx(np.percentile(values, part * 100), **NEAR)


def test_the_yearly_volatility_is_that_of_empyrical() -> None:
    values = walk(7)
    yearly = empyrical.annual_volatility(np.array(values), annualization=365)
    assert deviation(values) * 365**0.5 == pytest.approx(yearly, **NEAR)


def test_covariance_equals_numpy() -> None:
    first, second = walk(1), walk(2)
    assert covariance(first, second) == pytest.approx(np.cov(first, second, ddof=1)[0, 1], rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("decay", [0.94, 0.97, 1.0])
def test_correlations_equal_pandas_weighted_and_rolling(decay: float) -> None:
    common = np.array(walk(3))
    returns = {
        name: tuple(common * share + np.array(walk(seed)))
        for name, share, seed in (("BTC", 1.0, 4), ("ETH", 0.8, 5), ("SOL", -0.5, 6))
    }
    found = correlations(returns, decay)
    for (first, second), value in found.items():
        a, b = pd.Series(returns[first]), pd.Series(returns[second])
        expected = a.corr(b) if decay == 1.0 else a.ewm(alpha=1 - decay).corr(b).iloc[-1]
        assert value == pytest.approx(expected, **NEAR)
    assert list(found) == [("BTC", "ETH"), ("BTC", "SOL"), ("ETH", "SOL")]


def test_the_last_days_weigh_most_and_all_weigh_one() -> None:
    found = weights(60, 0.94)
    assert sum(found) == pytest.approx(1.0)
    assert found[-2] / found[-1] == pytest.approx(0.94)
    assert weights(4, 1.0) == [0.25] * 4


@pytest.mark.parametrize("values", SERIES)
@pytest.mark.parametrize("level", LEVELS)
def test_the_historical_tail_equals_empyrical(values: list[float], level: float) -> None:
    found = tail(values, TailMethod.HISTORICAL, level)
    part = {0.95: 0.05, 0.99: 0.01}[level]
    assert found.var == pytest.approx(-empyrical.value_at_risk(np.array(values), cutoff=part), **NEAR)
    assert found.cvar == pytest.approx(-empyrical.conditional_value_at_risk(np.array(values), cutoff=part), **NEAR)


@pytest.mark.parametrize("values", SERIES)
@pytest.mark.parametrize("level", LEVELS)
def test_the_parametric_tail_equals_scipys_normal(values: list[float], level: float) -> None:
    fitted = stats.norm(np.mean(values), np.std(values, ddof=1))
    part = {0.95: 0.05, 0.99: 0.01}[level]
    at = fitted.ppf(part)
    found = tail(values, TailMethod.PARAMETRIC, level)
    assert found.var == pytest.approx(-at, **NEAR)
    beyond = fitted.expect(lambda x: x, ub=at, conditional=True)
    assert found.cvar == pytest.approx(-beyond, rel=1e-7)
    exact = fitted.mean() - fitted.std() * stats.norm.pdf(stats.norm.ppf(part)) / part
    assert found.cvar == pytest.approx(-exact, **NEAR)


@pytest.mark.parametrize("values", SERIES)
@pytest.mark.parametrize("level", LEVELS)
def test_the_expanded_tail_is_the_quantile_and_its_mean_beyond(values: list[float], level: float) -> None:
    skew, kurtosis = stats.skew(values), stats.kurtosis(values)
    centre, spread = np.mean(values), np.std(values, ddof=1)
    part = {0.95: 0.05, 0.99: 0.01}[level]

    def at(z: float) -> float:
        return z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36

    end = stats.norm.ppf(part)
    beyond = integrate.quad(lambda z: at(z) * stats.norm.pdf(z), -12, end, epsabs=1e-13, epsrel=1e-12)[0] / part
    found = tail(values, TailMethod.CORNISH_FISHER, level)
    assert found.var == pytest.approx(max(0.0, -(centre + at(end) * spread)), **NEAR)
    assert found.cvar == pytest.approx(max(found.var, -(centre + beyond * spread)), **NEAR)


returns = st.floats(-0.9, 0.9).map(lambda value: round(value, 6))


@given(st.lists(returns, min_size=1, max_size=120))
def test_what_lies_beyond_a_loss_is_never_less_than_it(pnl: list[float]) -> None:
    for method in TailMethod:
        low, high = (tail(pnl, method, level) for level in LEVELS)
        assert 0 <= low.var <= low.cvar
        assert 0 <= high.var <= high.cvar
        if method is not TailMethod.CORNISH_FISHER:
            assert low.var <= high.var + 1e-12


@given(st.lists(returns, min_size=2, max_size=90), st.floats(0.001, 1000))
def test_a_book_twice_as_large_loses_twice_as_much(pnl: list[float], times: float) -> None:
    for method in TailMethod:
        one, other = tail(pnl, method, 0.95), tail([times * value for value in pnl], method, 0.95)
        assert other.var == pytest.approx(one.var * times, rel=1e-6, abs=1e-6)
        assert other.cvar == pytest.approx(one.cvar * times, rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(returns, returns), min_size=30, max_size=60), st.floats(-5e3, 5e3), st.floats(-5e3, 5e3))
def test_components_sum_to_the_value_at_risk(days: list[tuple[float, float]], held: float, other: float) -> None:
    first, second = zip(*days, strict=True)
    pnl = [held * x + other * y for x, y in days]
    parts = held * marginal(pnl, first, 0.95) + other * marginal(pnl, second, 0.95)
    assert max(0.0, parts) == pytest.approx(tail(pnl, TailMethod.PARAMETRIC, 0.95).var, rel=1e-6, abs=1e-4)


def test_what_never_moves_has_no_shape_and_no_correlation() -> None:
    assert Sample([0.5] * 30).shape == (0.0, 0.0)
    assert deviation([0.5]) == 0.0
    assert marginal([0.0] * 30, [0.01] * 30, 0.95) == pytest.approx(-0.01)
    assert correlations({"BTC": (0.0,) * 30, "ETH": tuple(walk(1, 30))}) == {}


def test_a_loss_becomes_money_upwards() -> None:
    assert str(as_loss(1.000000001)) == "1.00000001"
    assert str(as_loss(0.0)) == "0E-8"
