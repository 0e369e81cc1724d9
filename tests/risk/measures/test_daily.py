"""Which closes are those of a day, and what returns they make."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import price
from tradebot.model.time import DAY, HOUR, Nanos
from tradebot.pipeline.risk.measures.clusters import Cluster, clusters, correlations
from tradebot.pipeline.risk.measures.daily import DailyCloses, DailyState, Panel
from tradebot.pipeline.risk.measures.measuring import MeasureRule, Measures

START = 20_000


def at(day: int, hour: int = 24) -> Nanos:
    """The end of an hour of the ``day``-th day; hour 24 is the end of the day."""
    return Nanos((START + day) * DAY + hour * HOUR)


def collected(closes: dict[str, list[str | None]], window: int = 30) -> DailyCloses:
    """What one bar a day and symbol makes, in the order of time; ``None`` is a day without one."""
    daily = DailyCloses(window)
    for day in range(max(map(len, closes.values()))):
        for symbol, listed in closes.items():
            if day < len(listed) and (close := listed[day]) is not None:
                daily.close(symbol, at(day), price(close))
    return daily


def closes_of(daily: DailyCloses, symbol: str) -> list[str]:
    return [str(close) for close in daily.save().closes.get(symbol, ())]


def test_the_last_bar_of_a_day_makes_its_close_and_midnight_ends_it() -> None:
    daily = DailyCloses(30)
    for ts, close in ((at(0, 3), "10"), (at(0, 24), "11"), (at(1, 1), "12"), (at(1, 23), "13")):
        daily.close("BTC", ts, price(close))
    assert closes_of(daily, "BTC") == ["11"]
    daily.close("BTC", at(2, 1), price("14"))
    assert closes_of(daily, "BTC") == ["11", "13"]
    assert daily.save().days == (START, START + 1)


def test_the_day_that_is_not_over_counts_for_nothing() -> None:
    daily = collected({"BTC": [str(100 + day) for day in range(31)]})
    assert daily.panel().returns == {}
    daily.close("BTC", at(31, 1), price("1"))
    assert daily.panel().returns["BTC"][0] == pytest.approx(0.01)
    assert len(daily.panel().returns["BTC"]) == 30


def test_a_last_bar_behind_anothers_first_of_the_next_day_still_counts() -> None:
    daily = DailyCloses(30)
    daily.close("BTC", at(0, 24), price("10"))
    daily.close("ETH", at(0, 23), price("5"))
    daily.close("BTC", at(1, 1), price("12"))
    before = daily.panel()
    daily.close("ETH", at(0, 24), price("6"))
    daily.close("SOL", at(0, 24), price("7"))
    assert closes_of(daily, "ETH") == ["6"]
    assert closes_of(daily, "SOL") == ["7"]
    assert daily.panel() is not before


def test_a_bar_of_a_day_long_over_changes_nothing() -> None:
    daily = DailyCloses(30)
    daily.close("BTC", at(5, 24), price("10"))
    daily.close("BTC", at(6, 1), price("12"))
    before = daily.save()
    daily.close("BTC", at(2, 1), price("99"))
    assert daily.save() == before


def test_a_day_without_a_bar_carries_the_close_on_where_others_have_one() -> None:
    days: list[str | None] = [None] * 33
    bitcoin, euro = [str(100 + day) for day in range(33)], ["50", *days[1:31], "60", "60"]
    returns = collected({"BTC": bitcoin, "EUR": euro}).panel().returns
    assert returns["EUR"][-2:] == pytest.approx((0.0, 0.2))
    alone = collected({"EUR": euro})
    assert closes_of(alone, "EUR") == ["50", "60"]


def test_a_symbol_that_ended_is_forgotten_once_the_window_has_passed() -> None:
    daily = collected({"BTC": [str(100 + day) for day in range(70)], "OLD": ["3", "4", "5"]})
    assert "OLD" not in daily.save().closes
    assert len(daily.save().closes["BTC"]) == 31


def test_the_panel_is_worked_out_once_a_day() -> None:
    daily = collected({"BTC": [str(100 + day) for day in range(40)]})
    before = daily.panel()
    daily.close("BTC", at(39, 24), price("77"))
    assert daily.panel() is before


@given(st.integers(1, 80), st.lists(st.sampled_from(("BTC", "ETH", "SOL")), min_size=1, max_size=40))
def test_what_was_saved_goes_on_as_if_nothing_had_been(cut: int, order: list[str]) -> None:
    bars = [(order[n % len(order)], at(n // 2, 1 + n % 2 * 20), price(100 + n * n % 17)) for n in range(80)]
    whole, first = DailyCloses(30), DailyCloses(30)
    for symbol, ts, close in bars:
        whole.close(symbol, ts, close)
    for symbol, ts, close in bars[:cut]:
        first.close(symbol, ts, close)
    second = DailyCloses(30)
    second.load(first.save())
    for symbol, ts, close in bars[cut:]:
        second.close(symbol, ts, close)
    assert second.save() == whole.save()
    assert second.panel().returns == whole.panel().returns


def test_a_state_of_an_earlier_version_begins_with_nothing() -> None:
    daily = DailyCloses(30)
    daily.load(DailyState())
    daily.close("BTC", at(0, 1), price("10"))
    assert daily.save().day == START


RETURNS = {"BTC": tuple(n % 7 / 100 - 0.03 for n in range(40)), "ETH": tuple(n % 5 / 50 - 0.04 for n in range(30))}


def test_pnl_is_present_notionals_times_past_returns_over_the_days_that_all_have() -> None:
    panel = Panel(RETURNS)
    pnl = panel.pnl({"BTC": 1000.0, "ETH": -500.0})
    assert pnl is not None
    assert len(pnl) == 30
    assert pnl == pytest.approx([1000 * b - 500 * e for b, e in zip(RETURNS["BTC"][-30:], RETURNS["ETH"], strict=True)])
    assert panel.pnl({"ETH": -500.0, "BTC": 1000.0}) == pnl
    assert panel.pnl({"BTC": 1000.0, "ETH": -500.0}) is panel.pnl({"BTC": 1000.0, "ETH": -500.0})
    assert panel.pnl({"BTC": 2000.0, "ETH": -1000.0}) == pytest.approx([2 * one for one in pnl])
    assert panel.added(pnl, "ETH", 5.0) is panel.added(pnl, "ETH", 5.0)
    assert panel.added(pnl, "ETH", 6.0) != panel.added(pnl, "BTC", 6.0)
    alone = panel.pnl({"BTC": 1000.0})
    assert alone is not None
    assert len(alone) == 40
    assert panel.added(alone, "ETH", -500.0) == pytest.approx(pnl)


SETS = st.lists(st.dictionaries(st.sampled_from("ABC"), st.sampled_from([-2.5, 1.0, 1000.1])), max_size=30)


@given(SETS)
def test_pnl_is_the_same_whatever_was_asked_before(books: list[dict[str, float]]) -> None:
    returns = {name: tuple((n * place) % 7 / 90 - 0.03 for n in range(30 + place)) for place, name in enumerate("ABC")}
    panel = Panel(returns)
    for notionals in books:
        assert panel.pnl(notionals) == Panel(returns).pnl(notionals)


def test_a_quantile_of_returns_is_of_the_side_that_is_asked() -> None:
    panel = Panel(RETURNS)
    assert panel.quantile("BTC", 1, 0.0) == min(RETURNS["BTC"])
    assert panel.quantile("BTC", -1, 0.0) == -max(RETURNS["BTC"])
    assert panel.quantile("NEW", 1, 0.0) is None


def test_an_empty_book_has_no_pnl_and_a_symbol_without_returns_no_measure() -> None:
    panel = Panel(RETURNS)
    assert panel.pnl({}) == ()
    assert panel.added([], "ETH", 2.0) == tuple(2.0 * one for one in RETURNS["ETH"])
    assert panel.pnl({"BTC": 1.0, "NEW": 1.0}) is None
    assert panel.added([0.1], "NEW", 1.0) is None


PAIRS = {("A", "B"): 0.8, ("B", "C"): -0.75, ("A", "C"): -0.5, ("C", "D"): 0.6999}


def test_symbols_are_grouped_by_single_linkage_and_either_direction() -> None:
    found = clusters(frozenset("ABCDE"), PAIRS, 0.7)
    assert [group.symbols for group in found] == [("A", "B", "C"), ("D",), ("E",)]
    assert found[0].correlation == pytest.approx((0.8 + 0.75 + 0.5) / 3)
    assert found[1] == Cluster(("D",), 1.0)


@given(st.permutations(sorted(PAIRS)))
def test_no_order_changes_the_groups(order: list[tuple[str, str]]) -> None:
    assert clusters(frozenset("ABCD"), {pair: PAIRS[pair] for pair in order}, 0.6) == clusters(
        frozenset("DCBA"), PAIRS, 0.6
    )


def test_ninety_returns_are_kept_where_nothing_else_is_said() -> None:
    daily = DailyCloses()
    for day in range(100):
        daily.close("BTC", at(day), price(100 + day))
    assert len(daily.panel().returns["BTC"]) == 90


def test_correlations_are_worked_out_anew_when_a_day_is_over() -> None:
    measures = Measures(MeasureRule(window_days=30, cluster_correlation=0.99))
    both = frozenset(("BTC", "ETH"))
    for day in range(34):
        for symbol in ("BTC", "ETH"):
            swing = Decimal(day % 3 if symbol == "BTC" or day < 32 else 40)
            measures.daily.close(symbol, at(day), price(100 + swing))
        if day == 30:
            assert [group.symbols for group in measures.clusters(both)] == [("BTC",), ("ETH",)]
        if day == 31:
            assert [group.symbols for group in measures.clusters(both)] == [("BTC", "ETH")]
            assert measures.clusters(both) is measures.clusters(both)
    assert [group.symbols for group in measures.clusters(both)] == [("BTC",), ("ETH",)]
    assert measures.correlations == correlations(measures.panel.returns)
