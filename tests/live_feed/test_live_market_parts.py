"""Market time, turns and silence of a live feed, each by itself."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.live.market_silence import ALL, Silence
from tradebot.live.market_time import MarketTime
from tradebot.live.market_turns import PATIENCE_S, Turns
from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, from_ms, parse_timeframe
from tradebot.venues.hyperliquid.public import market_subscriptions

M1, M5 = parse_timeframe("1m"), parse_timeframe("5m")


def bar(symbol: str, index: int) -> Bar:
    price = Price(Decimal(1))
    return Bar(symbol, M1, Nanos((index + 1) * M1), price, price, price, price, Qty(Decimal(1)))


class Venue:
    """A venue whose clock is set by hand."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def test_a_market_that_keeps_to_the_venues_clock_goes_on_with_it_in_silence() -> None:
    venue = Venue()
    time = MarketTime(venue)
    assert time.now() == 0
    time.stamped(from_ms(venue.ms - 300))
    venue.ms += 90_000
    assert time.is_paced
    assert time.now() == from_ms(venue.ms)
    time.stamped(from_ms(venue.ms - 95_000))
    assert time.is_paced, "an old stamp says nothing of now"


def test_a_market_that_runs_apart_is_moved_by_its_stamps_alone() -> None:
    for ahead_ms in (3_600_000, -600_000):
        venue = Venue()
        time = MarketTime(venue)
        time.stamped(from_ms(venue.ms + ahead_ms))
        venue.ms += 600_000
        assert not time.is_paced
        assert time.now() == from_ms(1_000_000 + ahead_ms)


def test_bars_wait_for_those_that_close_before_them_but_not_for_long() -> None:
    turns = Turns()
    turns.add([bar("ETH", 0)], 10.0, is_late=False)
    assert not turns.take({"BTC": Nanos(M1), "ETH": Nanos(2 * M1)}, 10.1)
    turns.add([bar("BTC", 0)], 10.2, is_late=False)
    taken = turns.take({"BTC": Nanos(2 * M1), "ETH": Nanos(2 * M1)}, 10.2)
    assert [due.bar.symbol for due in taken] == ["BTC", "ETH"]
    turns.add([bar("ETH", 1)], 20.0, is_late=False)
    assert not turns.take({"BTC": Nanos(2 * M1), "ETH": Nanos(3 * M1)}, 20.0)
    assert [due.bar for due in turns.take({"BTC": Nanos(2 * M1)}, 20.0 + PATIENCE_S)] == [bar("ETH", 1)]


def test_nobody_waits_for_a_coarser_bar_that_closes_later_or_an_unknown_symbol() -> None:
    turns = Turns()
    turns.add([bar("BTC", 0)], 0.0, is_late=False)
    assert turns.take({"BTC": Nanos(2 * M1), "ETH": Nanos(M5), "SOL": None}, 0.0)


arrivals = st.lists(st.tuples(st.sampled_from(["BTC", "ETH", "SOL"]), st.floats(0, 2)), max_size=30)


@given(arrivals)
def test_every_bar_has_one_turn_and_those_of_a_symbol_rise(given_bars: list[tuple[str, float]]) -> None:
    turns, now, taken, last = Turns(), 0.0, list[Bar](), dict.fromkeys(["BTC", "ETH", "SOL"], -1)
    for symbol, passed in given_bars:
        now += passed
        last[symbol] += 1
        turns.add([bar(symbol, last[symbol])], now, is_late=False)
        closes = {each: Nanos((index + 2) * M1) for each, index in last.items()}
        batch = [due.bar for due in turns.take(closes, now)]
        assert batch == sorted(batch, key=lambda each: (each.ts_event, each.symbol))
        taken += batch
    taken += [due.bar for due in turns.take({}, now + PATIENCE_S)]
    assert sorted(taken, key=lambda each: each.symbol) == [
        bar(symbol, index) for symbol in sorted(last) for index in range(last[symbol] + 1)
    ]


def silence() -> Silence:
    return Silence(["BTC", "ETH"], 30.0, 0.0)


def test_who_is_silent_too_long_is_stale_until_it_speaks() -> None:
    quiet = silence()
    quiet.up()
    assert list(quiet.changes(0.0)) == [(ALL, False, False)]
    quiet.hear("BTC", 1, 20.0)
    assert list(quiet.changes(31.0)) == [("BTC", False, False), ("ETH", True, True)]
    assert list(quiet.changes(40.0)) == []
    quiet.hear("ETH", 1, 41.0)
    assert list(quiet.changes(41.0)) == [("ETH", False, True)]


def test_a_socket_that_stays_away_is_one_word_for_all() -> None:
    quiet = silence()
    quiet.up()
    for symbol in ("BTC", "ETH"):
        quiet.hear(symbol, 1, 0.0)
    quiet.changes(0.0)
    quiet.down(10.0)
    quiet.down(39.0)
    assert list(quiet.changes(40.0)) == []
    assert list(quiet.changes(41.0)) == [(ALL, True, True)]
    quiet.up()
    assert list(quiet.changes(60.0)) == [(ALL, False, True)], "nobody could speak meanwhile"


def test_what_a_new_socket_repeats_is_no_sign_of_life() -> None:
    quiet = silence()
    quiet.up()
    quiet.hear("BTC", "mark 1", 0.0)
    quiet.hear("ETH", "mark 1", 0.0)
    quiet.changes(0.0)
    quiet.down(20.0)
    quiet.up()
    quiet.hear("BTC", "mark 1", 21.0)
    quiet.hear("ETH", "mark 2", 21.0)
    assert list(quiet.changes(31.0)) == [("BTC", True, True)]
    quiet.hear("BTC", "mark 1", 32.0)
    assert list(quiet.changes(32.0)) == [("BTC", False, True)], "said again on the same socket it is one"


def test_the_socket_asks_for_bars_and_marks_of_each_symbol_and_stamps_of_one() -> None:
    wanted = market_subscriptions({"ETH": M5, "BTC": M1})
    assert wanted[0] == {"type": "bbo", "coin": "BTC"}
    assert {"type": "candle", "coin": "ETH", "interval": "5m"} in wanted
    assert [each["coin"] for each in wanted if each["type"] == "activeAssetCtx"] == ["ETH", "BTC"]
