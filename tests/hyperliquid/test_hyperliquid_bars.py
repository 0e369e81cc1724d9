"""Bars close once, in order, and with the numbers the venue ends up with."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.venues.hyperliquid.bars import GRACE, LiveBars

M1 = parse_timeframe("1m")


def bar(index: int, symbol: str = "BTC", volume: int = 1) -> Bar:
    price = Price(Decimal(100 + index))
    return Bar(symbol, M1, Nanos((index + 1) * M1), price, price, price, price, Qty(Decimal(volume)))


def test_a_later_bar_closes_the_one_before_with_its_last_numbers() -> None:
    bars = LiveBars(M1)
    assert [*bars.on_bar(bar(0, volume=1)), *bars.on_bar(bar(0, volume=2))] == []
    assert list(bars.on_bar(bar(1))) == [bar(0, volume=2)]
    assert list(bars.on_bar(bar(0, volume=3))) == [], "a late frame of a closed bar changes nothing"


def test_venue_time_closes_all_bars_that_are_due_by_symbol() -> None:
    bars = LiveBars(M1)
    bars.on_bar(bar(0, "ETH"))
    bars.on_bar(bar(0, "BTC"))
    end = bar(0).ts_event
    assert list(bars.on_time(Nanos(end + GRACE))) == []
    assert [each.symbol for each in bars.on_time(Nanos(end + GRACE + 1))] == ["BTC", "ETH"]
    assert list(bars.on_time(Nanos(end + GRACE + 2))) == []


def test_history_fills_what_the_socket_missed_and_replaces_a_half_seen_bar() -> None:
    bars = LiveBars(M1)
    bars.on_bar(bar(0, volume=1))
    filled = bars.on_history([bar(index, volume=9) for index in (2, 1, 0)])
    assert list(filled) == [bar(index, volume=9) for index in (0, 1, 2)]
    assert list(bars.on_bar(bar(2, volume=5))) == []


def test_other_timeframes_are_none_of_its_business() -> None:
    other = parse_timeframe("5m")
    strange = Bar("BTC", other, Nanos(other), *(Price(Decimal(1)),) * 4, Qty(Decimal(1)))
    bars = LiveBars(M1)
    assert [*bars.on_bar(strange), *bars.on_history([strange])] == []


events = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.sampled_from(["BTC", "ETH"]), st.integers(0, 12)),
        st.tuples(st.just("time"), st.just(""), st.integers(0, 14)),
        st.tuples(st.just("history"), st.sampled_from(["BTC", "ETH"]), st.integers(0, 12)),
        st.tuples(st.just("restart"), st.just(""), st.just(0)),
    ),
    max_size=60,
)


@given(events)
def test_whatever_comes_in_whatever_order_bars_come_once_and_rise(events: list[tuple[str, str, int]]) -> None:
    bars, given_out = LiveBars(M1), list[Bar]()
    for kind, symbol, index in events:
        if kind == "frame":
            given_out += bars.on_bar(bar(index, symbol))
        elif kind == "time":
            given_out += bars.on_time(Nanos(index * M1 + GRACE + 1))
        elif kind == "history":
            given_out += bars.on_history([bar(each, symbol) for each in range(index)])
        else:
            restored = LiveBars(M1)
            restored.load(bars.save())
            bars = restored
    for symbol in ("BTC", "ETH"):
        closes = [each.ts_event for each in given_out if each.symbol == symbol]
        assert closes == sorted(set(closes))
        assert bars.last(symbol) == (closes[-1] if closes else None)
