"""The built-in strategies and the ATR against naive references."""

import csv
import gzip
import os
from array import array
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.order import PositionSide
from tradebot.model.position import Position
from tradebot.model.time import NANOS_PER_MS, Nanos, parse_timeframe
from tradebot.pipeline.patterns import atr
from tradebot.pipeline.strategy.base import Enter, Exit, Strategy
from tradebot.pipeline.strategy.donchian_breakout import DonchianBreakout
from tradebot.pipeline.strategy.sma_cross import SmaCross
from tradebot.pipeline.strategy.state import freeze, thaw

M5 = parse_timeframe("5m")
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
D = Decimal


def bar(number: int, close: str | Decimal, high: str | Decimal | None = None, low: str | Decimal | None = None) -> Bar:
    c = Price(D(close))
    top = Price(D(close if high is None else high))
    bottom = Price(D(close if low is None else low))
    return Bar("BTC", M5, Nanos((number + 1) * M5), c, top, bottom, c, Qty(D(1)))


def held(side: PositionSide) -> Position:
    return Position(symbol="BTC", strategy="s", qty=Qty(D(side.sign)), entry_price=Price(D(1)), entry_ts=Nanos(0))


def real_bars(name: str = "hl_BTC_5m", count: int = 6_000) -> list[Bar]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if folder is None:
        pytest.skip("TRADEBOT_TEST_DATA is not set: no real bars to decide on")
    with gzip.open(Path(folder) / f"{name}.csv.gz", "rt") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]
    columns = ("open", "high", "low", "close", "volume")
    return [Bar("BTC", M5, Nanos(int(r["ts_ms"]) * NANOS_PER_MS + M5), *(D(r[c]) for c in columns)) for r in rows]


def answers(strategy: Strategy, bars: Sequence[Bar], *, is_followed: bool = True) -> list[tuple[int, str]]:
    """Ask bar by bar, the wishes done at once when ``is_followed``; return (bar, wish) of each wish."""
    side: PositionSide | None = None
    said: list[tuple[int, str]] = []
    for number, each in enumerate(bars):
        for wish in strategy.on_bar(each, None if side is None else held(side)):
            said.append((number, "exit" if isinstance(wish, Exit) else str(wish.side)))
            if is_followed:
                side = None if isinstance(wish, Exit) else wish.side
    return said


def crosses(closes: Sequence[Decimal], fast: int, slow: int) -> list[tuple[int, str]]:
    """Each cross by whole averages, as fractions."""

    def lead(t: int) -> Fraction:
        mean = [sum(map(Fraction, closes[t + 1 - n : t + 1]), Fraction(0)) / n for n in (fast, slow)]
        return mean[0] - mean[1]

    said: list[tuple[int, str]] = []
    is_in = False
    for t in range(slow, len(closes)):
        now, before = lead(t), lead(t - 1)
        side = "long" if now > 0 >= before else "short" if now < 0 <= before else None
        if side is not None and (not said or said[-1][1] != side):
            said.extend([(t, "exit")] * is_in)
            said.append((t, side))
            is_in = True
    return said


def breaks(bars: Sequence[Bar], entry: int, leave: int) -> list[tuple[int, str]]:
    """Each break by looking at whole windows."""
    said: list[tuple[int, str]] = []
    side = ""
    for t, each in enumerate(bars):
        if side and t >= leave:
            window = bars[t - leave : t]
            is_left = (
                each.close < min(b.low for b in window) if side == "long" else each.close > max(b.high for b in window)
            )
            if is_left:
                side = ""
                said.append((t, "exit"))
        if not side and t >= entry:
            window = bars[t - entry : t]
            if each.close > max(b.high for b in window):
                side = "long"
            elif each.close < min(b.low for b in window):
                side = "short"
            if side:
                said.append((t, side))
    return said


def sma(fast: int = 2, slow: int = 4) -> SmaCross:
    return SmaCross(SmaCross.Params(fast=fast, slow=slow))


def donchian(entry: int = 4, leave: int = 2) -> DonchianBreakout:
    return DonchianBreakout(DonchianBreakout.Params(entry=entry, exit=leave))


lengths = st.tuples(st.integers(1, 6), st.integers(1, 6))
# Few different prices, so that averages are often exactly equal; some with more digits than a float has.
close_lists = st.lists(
    st.sampled_from(["1", "2", "3", "2.5", "1.00000000000000000000000001", "0.1"]).map(D), max_size=60
)


@given(close_lists, lengths)
def test_sma_crosses_are_those_of_exact_fractions(closes, drawn):
    fast, slow = min(drawn), max(drawn) + 1
    assert answers(sma(fast, slow), [bar(n, c) for n, c in enumerate(closes)]) == crosses(closes, fast, slow)


@given(close_lists, lengths)
def test_donchian_breaks_are_those_of_whole_windows(closes, drawn):
    bars = [bar(n, c, c + D("0.4"), c - D("0.05")) for n, c in enumerate(closes)]
    assert answers(donchian(*drawn), bars) == breaks(bars, *drawn)


def test_a_cross_needs_one_bar_more_than_the_slow_average():
    assert answers(sma(1, 2), [bar(0, "1"), bar(1, "2")]) == []
    assert answers(sma(1, 2), [bar(0, "2"), bar(1, "1"), bar(2, "3")]) == [(2, "long")]


def test_equal_averages_before_count_as_not_yet_above():
    assert answers(sma(1, 2), [bar(0, "2"), bar(1, "2"), bar(2, "3")]) == [(2, "long")]


def test_after_a_stop_sma_cross_waits_for_a_new_cross():
    strategy = sma(1, 2)
    for number, close in enumerate(["2", "2", "3", "4", "5"]):
        last = strategy.on_bar(bar(number, close), None)
    assert last == ()


def test_a_cross_to_the_side_already_held_says_nothing():
    strategy = sma(1, 2)
    said = [strategy.on_bar(bar(n, close), held(LONG)) for n, close in enumerate(["2", "2", "3"])]
    assert said[-1] == ()


def test_a_break_reverses_in_one_answer():
    strategy = donchian(2, 2)
    said = [strategy.on_bar(bar(n, close), held(LONG)) for n, close in enumerate(["5", "5", "4"])]
    assert said[-1] == (Exit(), Enter(SHORT))


@pytest.mark.parametrize(
    "make",
    [lambda: SmaCross.Params(fast=30, slow=30), lambda: SmaCross.Params(fast=0), lambda: SmaCross.Params(slov=3)],
)
def test_parameters_out_of_range_or_unknown_are_refused(make):
    with pytest.raises(ValidationError):
        make()


@given(close_lists, st.sampled_from([sma, donchian]), st.integers(0, 60))
def test_a_thawed_strategy_goes_on_as_if_never_frozen(closes, make, cut):
    bars = [bar(n, c, c + 1, c - D("0.05")) for n, c in enumerate(closes)]
    whole, first, second = make(), make(), make()
    begun = [first.on_bar(each, None) for each in bars[:cut]]
    thaw(second, freeze(first))
    assert begun + [second.on_bar(each, None) for each in bars[cut:]] == [whole.on_bar(each, None) for each in bars]
    assert freeze(second) == freeze(whole)


def test_on_real_bars_the_decisions_are_those_of_the_references():
    bars = real_bars()
    assert answers(SmaCross(SmaCross.Params()), bars) == crosses([each.close for each in bars], 10, 30)
    assert answers(DonchianBreakout(DonchianBreakout.Params()), bars) == breaks(bars, 20, 10)


def true_ranges(rows: Sequence[tuple[float, float, float]]) -> list[float]:
    return [
        max(h - low, abs(h - rows[t - 1][2]), abs(low - rows[t - 1][2])) for t, (h, low, _) in enumerate(rows) if t > 0
    ]


def averages(rows: Sequence[tuple[float, float, float]], n: int) -> list[float | None]:
    """Wilder's average, read off its definition."""
    ranges = true_ranges(rows)
    values: list[float | None] = [None] * min(n, len(rows))
    if len(rows) > n:
        total = 0.0
        for each in ranges[:n]:
            total += each
        value = total / n
        values.append(value)
        for each in ranges[n:]:
            value = (value * (n - 1) + each) / n
            values.append(value)
    return values


@given(st.lists(st.tuples(st.floats(10, 20), st.floats(0, 5), st.floats(0, 1)), max_size=40), st.integers(1, 8))
def test_the_atr_is_that_of_its_definition_to_the_last_bit(drawn, n):
    rows = [(low + height, low, low + height * share) for low, height, share in drawn]
    state, out = atr.new_state(n), array("d", (0.0,))
    seen = [out[0] if atr.step(state, out, 0.0, h, low, c, 0.0) else None for h, low, c in rows]
    assert seen == averages(rows, n)


def test_an_atr_of_no_bars_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        atr.new_state(0)
