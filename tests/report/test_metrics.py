"""The daily values behind the metrics, and the rules of what has no value."""

import math
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tradebot.model.time import DAY, HOUR
from tradebot.report import metrics

START = 1_700_000_000_000_000_000 // DAY * DAY
EQUITY = st.integers(5_000_00000000, 20_000_00000000)


def curve(daily: list[int], start: int = START) -> tuple[list[int], list[int]]:
    return [start + number * DAY for number in range(len(daily))], daily


@given(st.lists(EQUITY, min_size=1, max_size=60))
def test_drawdown_is_the_deepest_fall_from_any_earlier_point(equity: list[int]) -> None:
    deepest = max((high - low) / high for i, high in enumerate(equity) for low in equity[i:])
    assert metrics.max_drawdown(equity) == pytest.approx(deepest, abs=1e-12)


def test_without_deposits_the_curve_is_left_as_it_is() -> None:
    equity = [100, 110, 90]
    assert metrics.time_weighted(equity, []) is equity
    assert list(metrics.time_weighted([], [(0, 5)])) == []


def test_a_deposit_is_taken_out_of_the_first_point_that_must_hold_it() -> None:
    assert list(metrics.time_weighted([100, 100, 210], [(1, 100)])) == pytest.approx([100, 100, 110])
    assert list(metrics.time_weighted([100, 200, 210], [(1, 100)])) == pytest.approx([100, 100, 110])
    assert list(metrics.time_weighted([100, 100, 200, 330], [(1, 100), (2, 100)])) == pytest.approx(
        [100, 100, 100, 130]
    )


def test_a_first_point_that_may_lack_a_deposit_is_compared_with_nothing() -> None:
    assert list(metrics.time_weighted([100, 150, 165], [(0, 50)])) == pytest.approx([100, 100, 110])


def test_an_account_of_nothing_goes_on_where_it_ended_when_money_comes() -> None:
    assert list(metrics.time_weighted([100, 0, 0, 50, 55], [(2, 50)])) == pytest.approx([100, 0, 0, 0, 0])
    assert list(metrics.time_weighted([100, 100, 0, 0, 50, 55], [(1, -100), (3, 50)])) == pytest.approx(
        [100, 100, 100, 100, 100, 110]
    )


def test_a_daily_value_is_the_last_point_at_or_before_midnight() -> None:
    hours = [0, 23, 24, 25, 47, 49, 50]
    ts = [START + 12 * HOUR + (hour - 12) * HOUR for hour in hours]
    assert metrics.daily_values(ts, [100, 101, 102, 103, 104, 105, 106]) == [100, 102, 104]


def test_the_first_return_counts_from_the_start_and_an_unfinished_day_is_left_out() -> None:
    ts = [START + 20 * HOUR, START + 23 * HOUR, START + 30 * HOUR]
    assert metrics.daily_values(ts, [100, 110, 120]) == [100, 110]


def test_a_day_without_points_keeps_its_value() -> None:
    assert metrics.daily_values([START, START + 3 * DAY], [100, 130]) == [100, 100, 100, 130]


def test_what_needs_two_days_is_null_before() -> None:
    found = metrics.curve_metrics(*curve([100, 110]))
    ratios = ("annual_return", "volatility", "sharpe", "sortino", "calmar", "var95", "cvar95")
    assert found == dict.fromkeys(ratios) | {"max_drawdown_pct": 0.0, "return_pct": pytest.approx(10)}


def test_a_flat_curve_has_no_ratio_but_a_risk_of_nothing() -> None:
    found = metrics.curve_metrics(*curve([100] * 10))
    assert (found["sharpe"], found["sortino"], found["calmar"]) == (None, None, None)
    assert (found["var95"], found["cvar95"], found["max_drawdown_pct"]) == (0.0, 0.0, 0.0)


def test_an_account_that_went_broke_has_a_drawdown_and_no_ratio() -> None:
    found = metrics.curve_metrics(*curve([100, 50, -10, 5, 7]))
    assert found["max_drawdown_pct"] == pytest.approx(110)
    assert found["sharpe"] is None
    assert metrics.curve_metrics(*curve([100, 90, -10]))["calmar"] is None


def test_no_number_is_infinite_however_absurd_the_curve() -> None:
    found = metrics.curve_metrics(*curve([1, 10**18, 10**18 - 1]))
    assert found["calmar"] is None
    assert all(value is None or math.isfinite(value) for value in found.values())


def test_nothing_at_all_is_null() -> None:
    assert set(metrics.curve_metrics([], []).values()) == {None}
    assert set(metrics.win_loss(0, 0, Decimal(0), Decimal(0), 0).values()) == {None}


def test_kelly_and_profit_factor_need_winners_and_losers() -> None:
    both = metrics.win_loss(3, 1, Decimal(30), Decimal(5), 4)
    assert both == {"win_rate": 0.75, "profit_factor": 6.0, "kelly": pytest.approx(0.75 - 0.25 / 2)}
    assert metrics.win_loss(2, 0, Decimal(30), Decimal(0), 2) == {"win_rate": 1.0, "profit_factor": None, "kelly": None}
    assert metrics.win_loss(0, 2, Decimal(0), Decimal(9), 2) == {"win_rate": 0.0, "profit_factor": 0.0, "kelly": None}


@given(st.lists(EQUITY, min_size=3, max_size=50), st.integers(0, 23))
def test_hours_inside_a_day_change_no_daily_value(daily: list[int], hour: int) -> None:
    assume(hour > 0)
    ts, equity = curve(daily)
    spread = [(at + hour * HOUR, 1) for at in ts[:-1]]
    points = sorted([*zip(ts, equity, strict=True), *spread])
    dense = metrics.daily_values([at for at, _ in points], [value for _, value in points])
    assert dense[0] == daily[0]
    assert dense[1:] == [value if at % DAY == 0 else 1 for at, value in zip(ts[1:], daily[1:], strict=True)]
