"""The metrics against empyrical-reloaded, where it is installed."""

import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.model.time import DAY
from tradebot.report import metrics

np = pytest.importorskip("numpy", reason="the oracle needs numpy")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    oracle = pytest.importorskip("empyrical.stats", reason="the oracle is empyrical-reloaded", exc_type=ImportError)

START = 1_700_000_000_000_000_000 // DAY * DAY
# In tenths: of smaller moves the oracle, which multiplies returns up again, loses the digits.
EQUITY = st.integers(50_000, 200_000).map(lambda tenths: tenths * 10_000_000)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("sharpe", "sharpe_ratio"),
        ("sortino", "sortino_ratio"),
        ("calmar", "calmar_ratio"),
        ("var95", "value_at_risk"),
        ("cvar95", "conditional_value_at_risk"),
    ],
)
@settings(deadline=None)
@given(daily=st.lists(EQUITY, min_size=3, max_size=120))
def test_ratios_are_those_of_empyrical(key: str, name: str, daily: list[int]) -> None:
    returns = metrics.daily_returns(daily)
    assert returns is not None
    ours = metrics.curve_metrics([START + number * DAY for number in range(len(daily))], daily)[key]
    keywords = {} if "risk" in name else {"annualization": 365}
    theirs = float(getattr(oracle, name)(np.array(returns), **keywords))
    if ours is None:
        assert not math.isfinite(theirs)
    else:
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)
