"""An invented market: the same for the same seed, valid, and like a market."""

from decimal import Decimal
from itertools import islice, pairwise
from statistics import correlation, mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.feeds.generated import Generated
from tradebot.model.errors import ConfigError
from tradebot.model.market import Bar, check_bar
from tradebot.model.time import DAY, parse_timeframe

M1 = parse_timeframe("1m")
SYMBOLS = ("BTC", "ETH", "SOL")
PINNED = [
    ["BTC", "58121", "58163", "58111", "58116", "5.09"],
    ["ETH", "2923.4", "2925.2", "2922.5", "2922.8", "163.0"],
    ["SOL", "150.68", "150.72", "150.58", "150.60", "4030"],
]


def market(seed: int = 7, bars: int | None = 400, symbols: tuple[str, ...] = SYMBOLS, **changes: int) -> Generated:
    return Generated(symbols, changes.get("timeframe", M1), changes.get("start", 0), seed, bars)


def closes(bars: list[Bar], symbol: str) -> list[float]:
    return [float(bar.close) for bar in bars if bar.symbol == symbol]


def returns(prices: list[float]) -> list[float]:
    return [after / before - 1 for before, after in pairwise(prices)]


@given(st.integers(0, 2**64), st.lists(st.integers(0, 200), max_size=4))
@settings(max_examples=30)
def test_a_run_that_is_cut_and_resumed_anywhere_is_the_uninterrupted_one(seed: int, cuts: list[int]) -> None:
    seen: list[Bar] = []
    cut_market = market(seed, 150)
    for cut in cuts:
        seen.extend(islice(cut_market, cut))
        state = cut_market.save()
        cut_market = market(seed, 150)
        cut_market.load(state)
        assert cut_market.save() == state
    assert seen + list(cut_market) == list(market(seed, 150))


def test_the_same_seed_gives_the_same_bars_and_another_one_others() -> None:
    assert list(market(7)) == list(market(7))
    assert list(market(7)) != list(market(8))


def test_these_bars_never_change() -> None:
    bars = list(market(7, 1_000))
    shown = [[str(x) for x in (bar.symbol, bar.open, bar.high, bar.low, bar.close, bar.volume)] for bar in bars[-3:]]
    assert shown == PINNED


def test_a_symbol_has_the_same_bars_whoever_stands_beside_it() -> None:
    alone = list(market(symbols=("ETH",)))
    assert [bar for bar in market() if bar.symbol == "ETH"] == alone
    assert list(market(symbols=("SOL", "BTC", "ETH"))) == list(market())


@pytest.mark.parametrize("timeframe", ["1s", "1m", "5m", "1h", "1d"])
@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_every_bar_is_valid_and_follows_the_one_before(seed: int, timeframe: str) -> None:
    symbols = (*SYMBOLS, "XRP", "PEPE", "FOO", "BAR")
    length = parse_timeframe(timeframe)
    last: dict[str, Bar] = {}
    for bar in market(seed, 500, symbols, timeframe=length, start=5 * DAY + 1):
        assert check_bar(bar.open, bar.high, bar.low, bar.close, bar.volume) is None
        assert bar.volume > 0
        before = last.get(bar.symbol)
        if before is not None:
            assert (bar.ts_open, bar.open) == (before.ts_event, before.close)
        last[bar.symbol] = bar
    assert {bar.ts_event for bar in last.values()} == {5 * DAY + 500 * length}
    assert sorted(last) == sorted(symbols)


def test_prices_have_the_level_of_their_symbol_and_five_digits() -> None:
    first = {bar.symbol: bar for bar in islice(market(symbols=(*SYMBOLS, "DOGE")), 4)}
    assert Decimal(59_000) < first["BTC"].close < Decimal(61_000)
    assert Decimal(2_900) < first["ETH"].close < Decimal(3_100)
    assert {symbol: bar.close.as_tuple().exponent for symbol, bar in first.items()} == {
        "BTC": 0,
        "ETH": -1,
        "SOL": -2,
        "DOGE": -5,
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_symbols_move_together_but_not_as_one(seed: int) -> None:
    bars = list(market(seed, 5_000))
    moves = {symbol: returns(closes(bars, symbol)) for symbol in SYMBOLS}
    for one, other in (("BTC", "ETH"), ("BTC", "SOL"), ("ETH", "SOL")):
        assert 0.3 < correlation(moves[one], moves[other]) < 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_there_are_trends_ranges_and_bursts(seed: int) -> None:
    prices = closes(list(market(seed, 6_000)), "BTC")
    moves = returns(prices)
    hours = [moves[n : n + 60] for n in range(0, len(moves) - 60, 60)]
    volatility = sorted(stdev(hour) for hour in hours)
    quiet, wild = mean(volatility[:20]), mean(volatility[-10:])
    assert wild > 2 * quiet
    # How far an hour went for the way it walked: near 1 in a trend, near 0 in a range.
    straightness = sorted(abs(sum(hour)) / (stdev(hour) * 60**0.5) for hour in hours)
    assert straightness[0] < 0.2
    assert straightness[-5] > 1.8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_averages_cross_about_every_thirty_bars(seed: int) -> None:
    prices = closes(list(market(seed, 4_000)), "ETH")
    fast_above = [mean(prices[n - 10 : n]) > mean(prices[n - 30 : n]) for n in range(30, len(prices))]
    crosses = sum(before != after for before, after in pairwise(fast_above))
    assert 15 < len(fast_above) / crosses < 45


def test_an_endless_market_keeps_near_its_level() -> None:
    prices = closes(list(market(5, 60_000, ("BTC",))), "BTC")
    assert min(prices) > 10_000
    assert max(prices) < 300_000


def test_bars_end_a_market_and_without_them_it_goes_on() -> None:
    assert len(list(market(bars=10))) == 30
    assert len(list(islice(market(bars=None), 3_000))) == 3_000


def test_the_description_holds_every_parameter_that_changes_bars() -> None:
    others = [market(8), market(symbols=("BTC",)), market(timeframe=2 * M1), market(start=M1)]
    assert len({other.describe() for other in [market(), *others]}) == 5
    assert market(bars=None).describe() == market().describe()


def test_parameters_that_make_no_market_are_refused() -> None:
    for symbols, bars in (((), 1), (("A", "A"), 1), (("A",), 0)):
        with pytest.raises(ConfigError):
            market(symbols=symbols, bars=bars)
    with pytest.raises(ConfigError, match="3 symbols"):
        market(symbols=("A",)).load(market().save())
