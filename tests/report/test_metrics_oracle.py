"""The metrics against empyrical-reloaded, where it is installed."""

import math
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.reference import read
from tradebot.model.time import DAY
from tradebot.report import metrics
from tradebot.report.benchmark import alpha_beta
from tradebot.research import backtest

np = pytest.importorskip("numpy", reason="the oracle needs numpy")

START = 1_700_000_000_000_000_000 // DAY * DAY
# In tenths: of smaller moves the oracle, which multiplies returns up again, loses the digits.
EQUITY = st.integers(50_000, 200_000).map(lambda tenths: tenths * 10_000_000)


@pytest.fixture(scope="module")
def oracle() -> Any:
    """Import what takes two seconds only where it is used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("empyrical.stats", reason="the oracle is empyrical-reloaded", exc_type=ImportError)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("sharpe", "sharpe_ratio"),
        ("sortino", "sortino_ratio"),
        ("calmar", "calmar_ratio"),
        ("annual_return", "annual_return"),
        ("volatility", "annual_volatility"),
        ("var95", "value_at_risk"),
        ("cvar95", "conditional_value_at_risk"),
    ],
)
@settings(deadline=None)
@given(daily=st.lists(EQUITY, min_size=3, max_size=120))
def test_ratios_are_those_of_empyrical(oracle: Any, key: str, name: str, daily: list[int]) -> None:
    returns = metrics.daily_returns(daily)
    assert returns is not None
    ours = metrics.curve_metrics([START + number * DAY for number in range(len(daily))], daily)[key]
    keywords = {} if "risk" in name else {"annualization": 365}
    theirs = float(getattr(oracle, name)(np.array(returns), **keywords))
    if ours is None:
        assert not math.isfinite(theirs)
    else:
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


RETURNS = st.lists(st.tuples(st.integers(-900, 900), st.integers(-900, 900)), min_size=3, max_size=120)


@settings(deadline=None)
@given(pairs=RETURNS.filter(lambda rows: len({market for _, market in rows}) > 1))
def test_alpha_and_beta_are_those_of_empyrical(oracle: Any, pairs: list[tuple[int, int]]) -> None:
    own, market = ([number / 10_000 for number in column] for column in zip(*pairs, strict=True))
    found = alpha_beta(list(zip(own, market, strict=True)))
    alpha, beta = oracle.alpha_beta_aligned(np.array(own), np.array(market), annualization=365)
    assert found["beta"] == pytest.approx(float(beta), rel=1e-9, abs=1e-9)
    assert found["alpha"] == pytest.approx(float(alpha), rel=1e-9, abs=1e-9)
    if len(set(own)) > 1:
        assert found["correlation"] == pytest.approx(float(np.corrcoef(own, market)[0, 1]), rel=1e-9, abs=1e-9)


def test_a_real_curve_measures_as_empyrical_measures_it(oracle: Any, tmp_path: Path) -> None:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    bars = read(Path(folder) / "hl_BTC_15m.csv.gz", "BTC", 900_000, 4_000)
    path = tmp_path / "btc.csv"
    lines = [f"{b.ts},{b.o},{b.h},{b.l},{b.c},1" for b in bars]
    path.write_text("\n".join(["ts_ms,open,high,low,close,volume", *lines, ""]))
    report = backtest(
        {
            "bot": {"name": "x", "mode": "paper", "symbols": ["BTC"]},
            "feed": {"kind": "replay", "data": [f"BTC:15m={path}"]},
            "venue": {"kind": "simulated"},
            "strategy": [{"kind": "sma_cross", "fast": 10, "slow": 30}],
            "risk": {"size": {"kind": "equity_fraction", "fraction": 0.9}},
        }
    )
    daily = report["daily_returns"]
    # Days as pandas cuts them, from the very curve.
    curve = [(ts, float(equity)) for ts, equity in report.equity_curve]
    ends = [curve[0][1], *(last(curve, ts) for ts, _ in daily)]
    returns = np.diff(ends) / np.array(ends[:-1])
    assert [value for _, value in daily] == pytest.approx(returns.tolist(), rel=1e-12, abs=1e-15)
    assert len(daily) > 40
    held = report["benchmark"]["daily"]
    market = np.diff([1.0, *(worth for _, worth in held)]) / np.array([1.0, *(worth for _, worth in held[:-1])])
    alpha, beta = oracle.alpha_beta_aligned(returns, market, annualization=365)
    for key, expected in (
        ("sharpe", oracle.sharpe_ratio(returns, annualization=365)),
        ("sortino", oracle.sortino_ratio(returns, annualization=365)),
        ("calmar", oracle.calmar_ratio(returns, annualization=365)),
        ("annual_return", oracle.annual_return(returns, annualization=365)),
        ("volatility", oracle.annual_volatility(returns, annualization=365)),
        ("var95", oracle.value_at_risk(returns)),
        ("cvar95", oracle.conditional_value_at_risk(returns)),
    ):
        assert report[key] == pytest.approx(float(expected), rel=1e-9)
    assert report["benchmark"]["alpha"] == pytest.approx(float(alpha), rel=1e-9)
    assert report["benchmark"]["beta"] == pytest.approx(float(beta), rel=1e-9)
    every = np.diff([equity for _, equity in curve]) / np.array([equity for _, equity in curve[:-1]])
    assert report["max_drawdown_pct"] == pytest.approx(-100 * float(oracle.max_drawdown(every)), rel=1e-9)
    assert report["benchmark"]["return_pct"] == pytest.approx(100 * float(bars[-1].c / bars[0].o - 1), rel=1e-9)


def last(curve: list[tuple[int, float]], ts: int) -> float:
    return [equity for at, equity in curve if at <= ts][-1]
