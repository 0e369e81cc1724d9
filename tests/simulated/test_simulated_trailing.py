"""Trailing stops that the simulated venue moves by itself: each row worked out by hand."""

from decimal import Decimal
from typing import Any

import pytest

from tests.simulated.test_simulated_bars import BUY, LIMIT, MARKET, MINUTE, SELL, START, order
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Quote, Trade
from tradebot.model.order import FillReport, OrderRejected, OrderRequest, OrderRole, OrderSide, OrderType
from tradebot.model.time import Nanos, Timeframe
from tradebot.store.codec import decode, encode
from tradebot.venues.simulated.costs import Costs, MatchOn
from tradebot.venues.simulated.venue import SimulatedVenue, VenueState

D = Decimal
Row = tuple[str, str, str, str]


def venue(match_on: MatchOn = MatchOn.BAR) -> SimulatedVenue:
    btc = Instrument(symbol="BTC", tick=D("0.1"), lot=D("0.01"), max_leverage=50)
    return SimulatedVenue({"BTC": btc}, Costs(leverage=10), D(10_000), match_on=match_on)


def trailed(side: OrderSide, trigger: str, trail: str, entry: str | None = None) -> list[OrderRequest]:
    """An entry, at market or at a limit, with a stop that trails."""
    fields: dict[str, Any] = {} if entry is None else {"price": entry}
    opening = order("e", side, MARKET if entry is None else LIMIT, **fields)
    exits: dict[str, Any] = {"role": OrderRole.STOP, "reduce_only": True, "parent_id": "e", "oco_id": "o"}
    stop = order("s", side.opposite, OrderType.TRAILING_STOP, trigger=trigger, trail=D(trail), **exits)
    return [opening, stop]


def bar(number: int, row: Row) -> Bar:
    open_, high, low, close = map(D, row)
    return Bar("BTC", Timeframe(MINUTE), Nanos(START + number * MINUTE), open_, high, low, close, D(1))


def level(market: SimulatedVenue) -> Decimal | None:
    return next((state.level for state in market.orders() if state.request.client_order_id == "s"), None)


def play(market: SimulatedVenue, rows: list[Row], first: int = 1) -> list[tuple[int, Decimal]]:
    """Return the number of the bar and the price of each fill of the stop."""
    return [
        (number, report.price)
        for number, row in enumerate(rows, start=first)
        for report in market.on_bar(bar(number, row))
        if isinstance(report, FillReport) and report.client_order_id == "s"
    ]


LONG = [
    # The high of a bar moves the stop for the next one: 104 - 5 = 99; 103.9 - 5 is less, and it stays.
    ([("100", "104", "99", "103"), ("103", "103.9", "100", "102")], [], "99"),
    # The low of the very bar that makes the new high is met by the stop of before it.
    ([("100", "110", "96", "109")], [], "105"),
    ([("100", "110", "95", "109")], [(1, "95")], None),
    # From 105 on a touch is enough.
    ([("100", "110", "96", "109"), ("109", "109", "105", "106")], [(2, "105")], None),
    # An open beyond it fills at the open.
    ([("100", "110", "96", "109"), ("104.2", "120", "104", "119")], [(2, "104.2")], None),
    # It never goes back: down to 106, up to 108, down again.
    ([("100", "110", "100", "109"), ("109", "109", "106", "106"), ("106", "108", "105.1", "107")], [], "105"),
    # 107.77 - 5 on the tick, away from the price.
    ([("100", "107.77", "100", "107")], [], "102.7"),
]


@pytest.mark.parametrize(("rows", "filled", "left"), LONG)
def test_the_stop_of_a_long_follows_highs_and_never_goes_back(
    rows: list[Row], filled: list[tuple[int, str]], left: str | None
) -> None:
    market = venue()
    market.submit(trailed(BUY, "95", "5"), START)
    assert play(market, rows) == [(number, D(at)) for number, at in filled]
    assert level(market) == (None if left is None else D(left))


SHORT = [
    ([("100", "101", "96", "97"), ("97", "100", "96.5", "99")], [], "101"),
    ([("100", "104.9", "90", "91")], [], "95"),
    ([("100", "105", "90", "91")], [(1, "105")], None),
    ([("100", "101", "90", "91"), ("91", "95", "90", "94")], [(2, "95")], None),
    ([("100", "101", "90", "91"), ("96", "97", "80", "81")], [(2, "96")], None),
    ([("100", "101", "92.23", "93")], [], "97.3"),
]


@pytest.mark.parametrize(("rows", "filled", "left"), SHORT)
def test_the_stop_of_a_short_follows_lows_and_never_goes_back(
    rows: list[Row], filled: list[tuple[int, str]], left: str | None
) -> None:
    market = venue()
    market.submit(trailed(SELL, "105", "5"), START)
    assert play(market, rows) == [(number, D(at)) for number, at in filled]
    assert level(market) == (None if left is None else D(left))


def test_of_the_bar_in_which_a_limit_filled_only_the_close_is_followed() -> None:
    market = venue()
    market.submit(trailed(BUY, "93", "5", entry="98"), START)
    # The high of 120 came before or after the entry at 98: nobody knows.
    assert play(market, [("110", "120", "97", "101")]) == []
    assert level(market) == D(96)
    assert play(market, [("101", "104", "100", "103")], 2) == []
    assert level(market) == D(99)


def test_a_stop_sleeps_and_follows_nothing_before_its_entry_filled() -> None:
    market = venue()
    market.submit(trailed(BUY, "93", "5", entry="98"), START)
    assert play(market, [("110", "120", "100", "118"), ("118", "130", "99", "100")]) == []
    assert level(market) is None


def test_a_restored_venue_goes_on_from_the_same_level() -> None:
    rows: list[Row] = [("100", "110", "100", "109"), ("109", "112", "108", "111"), ("111", "111", "106.9", "107")]
    for cut in range(len(rows) + 1):
        market = venue()
        market.submit(trailed(BUY, "95", "5"), START)
        before = play(market, rows[:cut])
        again = venue()
        again.load(decode(VenueState, encode(market.save())))
        assert level(again) == level(market)
        assert before + play(again, rows[cut:], cut + 1) == [(3, D(107))]


def test_quotes_and_prints_move_it_too() -> None:
    market = venue(MatchOn.QUOTE)
    market.submit(trailed(BUY, "95", "5"), START)
    for second, (bid, ask) in enumerate([("99.9", "100"), ("107", "107.2"), ("103", "103.2")]):
        market.on_quote(Quote(symbol="BTC", ts_event=Nanos(START + second), bid=D(bid), ask=D(ask)))
    # A sale takes the bid.
    assert level(market) == D(102)
    ended = market.on_quote(Quote(symbol="BTC", ts_event=Nanos(START + 9), bid=D("101.9"), ask=D(102)))
    assert [report.price for report in ended if isinstance(report, FillReport)] == [D("101.9")]
    printed = venue(MatchOn.TRADE)
    printed.submit(trailed(SELL, "105", "5"), START)
    for second, at in enumerate(["100", "92", "95"]):
        printed.on_trade(Trade(symbol="BTC", ts_event=Nanos(START + second), price=D(at), qty=D(1), is_buy=True))
    assert level(printed) == D(97)


@pytest.mark.parametrize(
    ("trail", "why"), [(None, "trail: a trailing_stop order needs one"), ("0", "trail: 0 is not above 0")]
)
def test_a_trailing_stop_without_a_distance_is_refused(trail: str | None, why: str) -> None:
    market = venue()
    distance = None if trail is None else D(trail)
    asked = order("s", SELL, OrderType.TRAILING_STOP, trigger="95", trail=distance)
    (said,) = market.submit([asked], START)
    assert isinstance(said, OrderRejected)
    assert said.reason == why
