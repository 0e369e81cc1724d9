"""What the report says beyond its sums: groups of round trips, streaks, months, falls, costs, the market, and luck."""

import random
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import cash, price, qty
from tests.report.test_fold import START, deposit, fill, mark, report
from tradebot.model.market import Bar
from tradebot.model.order import PositionSide
from tradebot.model.position import RoundTrip
from tradebot.model.time import DAY, HOUR, Nanos, Timeframe
from tradebot.report.benchmark import Closes, benchmark
from tradebot.report.breakdown import WEEKDAYS
from tradebot.report.metrics import max_drawdown
from tradebot.report.periods import drawdown_rows, monthly_rows
from tradebot.report.uncertainty import SAMPLES, percentile, uncertainty

GROUPS = ("by_side", "by_exit_reason", "by_hour", "by_weekday")


def trip(net: str, entry: int = 0, hours: int = 1, reason: str = "stop", **more: Any) -> RoundTrip:
    ts = START + entry * HOUR
    return RoundTrip(
        symbol="BTC",
        strategy="cross",
        side=more.get("side", PositionSide.LONG),
        qty=qty(1),
        entry_ts=Nanos(ts),
        entry_price=price(100),
        exit_ts=Nanos(ts + hours * HOUR),
        exit_price=price(101),
        exit_reason=reason,
        gross_pnl=cash(Decimal(net) + 1),
        fees=cash("0.75"),
        funding=cash("-0.25"),
        net_pnl=cash(net),
        mae=cash(more.get("mae", "2")),
        mfe=cash(more.get("mfe", "3")),
    )


TRIPS = st.lists(
    st.builds(
        trip,
        st.integers(-3, 3).map(str),
        st.integers(0, 1000),
        st.integers(0, 50),
        st.sampled_from(["stop", "target", "signal"]),
        side=st.sampled_from(PositionSide),
    ),
    max_size=40,
)


@given(TRIPS)
def test_each_way_to_group_trips_adds_up_to_all_of_them(trips: list[RoundTrip]) -> None:
    found = report(trips)
    for group in GROUPS:
        rows = found[group].values()
        assert sum(row["trades"] for row in rows) == len(trips)
        for key in ("net_pnl", "gross_pnl", "fees", "funding"):
            assert sum(Decimal(row[key]) for row in rows) == sum(getattr(one, key) for one in trips)


@given(TRIPS)
def test_a_streak_is_the_longest_run_in_order_of_exit(trips: list[RoundTrip]) -> None:
    signs = [(one.net_pnl > 0) - (one.net_pnl < 0) for one in sorted(trips, key=lambda one: one.exit_ts)]
    runs = [(sign, len(list(run))) for sign, run in groupby(signs)]
    assert report(trips)["streaks"] == {
        "longest_wins": max((length for sign, length in runs if sign > 0), default=0),
        "longest_losses": max((length for sign, length in runs if sign < 0), default=0),
    }


def test_trips_are_grouped_by_the_utc_hour_and_weekday_of_their_entry() -> None:
    # 2026-01-01 was a Thursday.
    found = report([trip("1", 0), trip("-2", 23), trip("3", 24 * 4 + 5)])
    assert list(found["by_hour"]) == ["00", "05", "23"]
    assert list(found["by_weekday"]) == ["Monday", "Thursday"]
    assert [row["trades"] for row in found["by_weekday"].values()] == [1, 2]
    every = report([trip("1", 24 * day) for day in range(7)])
    assert tuple(every["by_weekday"]) == WEEKDAYS


def test_excursions_of_winners_and_losers_are_told_apart() -> None:
    found = report([trip("1", mae="1", mfe="5"), trip("-1", 2, hours=3, mae="4", mfe="2")])
    assert found["excursions"] == {
        "avg_mae": "2.5",
        "avg_mfe": "3.5",
        "avg_mae_of_winners": "1",
        "avg_mfe_of_losers": "2",
    }
    assert found["avg_hold_s"] == 7200
    assert report([])["excursions"]["avg_mae"] is report([])["avg_hold_s"] is None


def test_costs_are_held_against_what_was_traded_and_gained() -> None:
    story = [
        mark(0, "1000"),
        fill(0, price="100", fee="0.5"),
        fill(1, qty="-1", price="110", fee="0.55"),
        mark(24, "1"),
    ]
    found = report(story)
    assert (found["turnover"], found["fees_bps"]) == ("210", pytest.approx(50))
    assert (found["turnover_per_day"], found["fees_share"]) == (pytest.approx(0.21), pytest.approx(0.105))
    assert found["funding_share"] == 0
    nothing = report([])
    assert nothing["turnover"] == "0"
    assert nothing["turnover_per_day"] is nothing["fees_bps"] is nothing["fees_share"] is None


CURVES = st.lists(st.tuples(st.integers(1, 400), st.integers(50, 200)), min_size=2, max_size=60)


@given(CURVES)
def test_months_and_days_multiply_up_to_the_curve(steps: list[tuple[int, int]]) -> None:
    hours = [sum(step for step, _ in steps[: place + 1]) for place in range(len(steps))]
    found = report([mark(hour, str(value)) for hour, (_, value) in zip(hours, steps, strict=True)])
    whole = 1.0
    for row in found["monthly"]:
        whole *= 1 + row["return"]
    assert whole == pytest.approx(steps[-1][1] / steps[0][1])
    assert found["return_pct"] == pytest.approx((whole - 1) * 100)
    names = [row["month"] for row in found["monthly"]]
    assert names == sorted(set(names))
    days = [ts for ts, _ in found["daily_returns"]]
    assert all(later - earlier == DAY // 10**6 for earlier, later in pairwise(days))


@given(st.lists(st.integers(50, 200), min_size=1, max_size=80))
def test_the_deepest_fall_is_the_drawdown_and_falls_do_not_overlap(values: list[int]) -> None:
    ts = [START + place * HOUR for place in range(len(values))]
    rows: Any = drawdown_rows(ts, values)
    assert max((row["depth_pct"] for row in rows), default=0.0) == pytest.approx(100 * (max_drawdown(values) or 0))
    spans = sorted((row["since"], row["until"] or float("inf")) for row in rows)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
    assert all(row["since"] < row["trough"] for row in rows)


def test_a_fall_is_made_good_when_its_peak_is_reached_again() -> None:
    ts = [place * 1_000_000 for place in range(6)]
    assert drawdown_rows(ts, [100, 90, 80, 95, 100, 99]) == [
        {"depth_pct": pytest.approx(20), "since": 0, "trough": 2, "until": 4},
        {"depth_pct": pytest.approx(1), "since": 4, "trough": 5, "until": None},
    ]
    assert monthly_rows([START, START + HOUR], [0, 1]) == [{"month": "2026-01", "return": None}]


def test_money_that_comes_is_no_return_of_a_month() -> None:
    story = [deposit(0, "100"), mark(0, "100"), mark(24, "100"), deposit(25, "100"), mark(26, "200"), mark(48, "200")]
    found = report(story)
    assert found["monthly"] == [{"month": "2026-01", "return": 0.0}]
    assert found["return_pct"] == 0
    assert [value for _, value in found["daily_returns"]] == [0.0, 0.0]


def bar(symbol: str, hour: int, opened: float, close: float) -> Bar:
    ends = opened, max(opened, close), min(opened, close), close
    return Bar(symbol, Timeframe(HOUR), Nanos(START + hour * HOUR), *map(price, map(str, ends)), qty(1))


@given(st.lists(st.integers(50, 150), min_size=30, max_size=90), st.integers(1, 40))
def test_holding_is_worth_the_closes_however_the_bars_come(closes: list[int], chunk: int) -> None:
    bars = [bar("BTC", number + 1, 100, close) for number, close in enumerate(closes)]
    whole = Closes(["BTC"])
    for first in range(0, len(bars), chunk):
        whole.take(bars[first : first + chunk])
    assert whole.worth() == closes[-1] / 100
    # The bar that closes at midnight is the last of its day.
    midnights = range(24, len(closes) + 1, 24)
    assert whole.worths() == [(START + hour * HOUR, closes[hour - 1] / 100) for hour in midnights]


def test_a_symbol_that_comes_later_is_cash_until_then() -> None:
    closes = Closes(["BTC", "ETH", "SOL"])
    closes.take([bar("BTC", 1, 100, 110), bar("ETH", 1, 10, 10)])
    assert closes.worth() == pytest.approx((1.1 + 1) / 2)
    closes.take([bar("BTC", 24, 110, 110)])
    closes.take([bar("SOL", 25, 5, 10)])
    assert closes.worth() == pytest.approx((1.1 + 1 + 2) / 3)
    assert closes.worths() == [(START + DAY, pytest.approx((1.1 + 1 + 1) / 3))]
    assert closes.symbols == ["BTC", "ETH", "SOL"]
    assert Closes().worth() == 1.0


def test_a_run_that_is_the_market_has_its_beta() -> None:
    closes = Closes(["BTC"])
    worths = [100, 120, 90, 130, 125]
    closes.take([bar("BTC", 24 * (day + 1), 100, worth) for day, worth in enumerate(worths)])
    own = [((START + (day + 1) * DAY) // 10**6, later / earlier - 1) for day, (earlier, later) in
           enumerate(pairwise([100, *worths]))]  # fmt: skip
    found: Any = benchmark(closes, own)
    assert (found["beta"], found["correlation"], found["alpha"]) == (
        pytest.approx(1),
        pytest.approx(1),
        pytest.approx(0),
    )
    assert (found["return_pct"], found["days"]) == (pytest.approx(25), 5)
    none: Any = benchmark(Closes(["BTC"]), own)
    assert none["beta"] is none["alpha"] is none["correlation"] is none["sharpe"] is None
    assert benchmark(closes, [(ts, 0.0) for ts, _ in own])["correlation"] is None


def luck(days: Sequence[float], nets: Sequence[float], start: float | None = 1000.0) -> dict[str, Any]:
    found: dict[str, Any] = uncertainty(days, nets, start)
    return found


@given(st.lists(st.integers(-50, 50), min_size=10, max_size=60))
def test_an_interval_holds_the_figure_and_is_the_same_each_time(nets: list[int]) -> None:
    found = luck([], nets)
    low, high = map(float, found["uncertainty"]["expectancy"])
    assert low - 1e-6 <= sum(nets) / len(nets) <= high + 1e-6
    won = sum(net > 0 for net in nets) / len(nets)
    assert found["uncertainty"]["win_rate"][0] - 1e-9 <= won <= found["uncertainty"]["win_rate"][1] + 1e-9
    assert luck([], nets) == found


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=700))
def test_another_order_of_the_trades_keeps_their_sum_within_its_bounds(nets: list[int]) -> None:
    found = luck([], nets)["monte_carlo"]
    falls = [found[f"p{share}_pct"] for share in (5, 50, 95, 99)]
    assert falls == sorted(falls)
    # No order can fall less than the trades lose together, nor more than all losers one after another.
    least, most = max(0, -sum(nets)) / 10, sum(-min(net, 0) for net in nets) / 10
    assert least - 1e-9 <= falls[0] <= falls[-1] <= most + 1e-9
    level = peak = worst = 0
    for net in nets:
        level += net
        peak = max(peak, level)
        worst = max(worst, peak - level)
    assert found["observed_pct"] == pytest.approx(worst / 10)
    assert found["together"] == -(-len(nets) // 500)


@pytest.mark.soak
def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(5)
    hits = sum(
        low <= 0.1 <= high
        for low, high in (
            map(float, luck([], [chance.gauss(0.1, 1) for _ in range(200)])["uncertainty"]["expectancy"])
            for _ in range(60)
        )
    )
    assert 52 <= hits <= 60


def test_what_cannot_be_told_is_said() -> None:
    few = luck([0.01, -0.01, 0.02], [1.0, -2.0, 3.0])
    assert few["uncertainty"]["is_too_few_trades"]
    assert few["uncertainty"]["is_too_few_days"]
    assert not few["uncertainty"]["is_expectancy_clear"]
    # Of so few, a block is most of the ring: resamples that hardly differ would look like certainty.
    assert few["uncertainty"]["sharpe"] is few["uncertainty"]["expectancy"] is None
    # Resamples without a loser have no profit factor, and the rest of them would be too good an interval.
    assert luck([], [1.0, 2.0, 3.0] * 9)["uncertainty"]["profit_factor"] is None
    none = luck([], [], None)
    assert none["monte_carlo"] is none["uncertainty"]["sharpe"] is none["uncertainty"]["expectancy"] is None
    assert none["uncertainty"]["trades_to_tell"] is None
    assert luck([0.01] * 90, [1.0] * 90)["uncertainty"]["sharpe"] is None
    assert luck([0.01] * 90, [1.0] * 90)["uncertainty"]["sortino"] is None
    clear = luck([], [1.0, 2.0] * 40)
    assert clear["uncertainty"]["is_expectancy_clear"]
    assert clear["uncertainty"]["trades_to_tell"] == 1
    assert luck([], [1.0, -1.0])["uncertainty"]["trades_to_tell"] is None
    assert luck([], [1.0, -1.0], 0.0)["monte_carlo"] is None


def test_percentiles_lie_between_their_neighbours() -> None:
    assert [percentile([1.0, 2.0, 3.0], share) for share in (0.0, 0.25, 0.5, 1.0)] == [1.0, 1.5, 2.0, 3.0]
    assert percentile([7.0], 0.95) == 7.0
    assert SAMPLES >= 1000
