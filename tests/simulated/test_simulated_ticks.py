"""The simulated venue on quotes and on prints, its funding table, and its use without the line."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed, Level, Message, Quote, Trade
from tradebot.model.money import plain
from tradebot.model.order import FillReport, OrderCanceled, OrderRequest, OrderRole, OrderSide, OrderType
from tradebot.model.position import FundingPaid
from tradebot.model.time import HOUR, NANOS_PER_S, Nanos, Timeframe
from tradebot.venues.simulated.costs import Costs, MatchOn
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.venue import SimulatedVenue

D = Decimal
START = 400_000 * HOUR
BUY, SELL = OrderSide.BUY, OrderSide.SELL
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
STOP, STOP_LIMIT, TAKE = OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT


def order(cid: str, side: OrderSide, type_: OrderType = MARKET, qty: str = "1", **fields: Any) -> OrderRequest:
    for name in ("price", "trigger"):
        if name in fields:
            fields[name] = D(fields[name])
    values: dict[str, Any] = {
        "symbol": "BTC",
        "strategy": "s",
        "signal_id": "s-BTC-1",
        "role": OrderRole.ENTRY,
        "ts_event": Nanos(START),
    } | fields
    return OrderRequest(client_order_id=cid, side=side, type=type_, qty=D(qty), **values)


def exits(entry: OrderRequest, stop: str, target: str) -> list[OrderRequest]:
    fields: dict[str, Any] = {
        "qty": str(entry.qty),
        "reduce_only": True,
        "parent_id": entry.client_order_id,
        "oco_id": "oco",
    }
    side = entry.side.opposite
    return [order("stop", side, STOP, trigger=stop, **fields), order("target", side, TAKE, trigger=target, **fields)]


class Ticks:
    def __init__(self, match_on: MatchOn, cash: str = "10000", **costs: Any) -> None:
        instruments = {"BTC": Instrument(symbol="BTC", tick=D("0.1"), lot=D("0.01"))}
        costs = {"leverage": 10} | costs
        self.venue = SimulatedVenue(instruments, Costs(**costs), D(cash), match_on=match_on)
        self.now = Nanos(START)

    def submit(self, *orders: OrderRequest) -> None:
        self.venue.submit(orders, self.now)

    def quote(self, bid: str, ask: str, bid_qty: str | None = None, ask_qty: str | None = None) -> list[Message]:
        self.now = Nanos(self.now + NANOS_PER_S)
        sizes = {"bid_qty": D(bid_qty) if bid_qty else None, "ask_qty": D(ask_qty) if ask_qty else None}
        return list(
            self.venue.handle(Quote(symbol="BTC", ts_event=self.now, bid=D(bid), ask=D(ask), **sizes))  # type: ignore[arg-type]
        )

    def book(self, bids: str, asks: str) -> list[Message]:
        """Match a book, its sides written as ``price*qty price*qty``."""
        self.now = Nanos(self.now + NANOS_PER_S)
        sides = ([Level(*map(D, text.split("*"))) for text in side.split()] for side in (bids, asks))  # type: ignore[arg-type]
        (bid, *more_bids), (ask, *more_asks) = sides
        quote = Quote(
            symbol="BTC",
            ts_event=self.now,
            bid=bid.price,
            ask=ask.price,
            bid_qty=bid.qty,
            ask_qty=ask.qty,
            bids=tuple(more_bids),
            asks=tuple(more_asks),
        )
        return list(self.venue.handle(quote))

    def trade(self, price: str, qty: str = "100") -> list[Message]:
        self.now = Nanos(self.now + NANOS_PER_S)
        return list(self.venue.handle(Trade(symbol="BTC", ts_event=self.now, price=D(price), qty=D(qty), is_buy=True)))


def fills(reports: Sequence[Message]) -> list[tuple[str | None, str, str, str]]:
    return [
        (r.client_order_id, plain(r.qty), plain(r.price), r.liquidity.value)
        for r in reports
        if isinstance(r, FillReport)
    ]


def cancels(reports: Sequence[Message]) -> list[tuple[str, str]]:
    return [(r.client_order_id, r.reason) for r in reports if isinstance(r, OrderCanceled)]


# Quotes


def test_market_orders_take_the_other_side_of_the_quote() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", BUY), order("b", SELL))
    reports = ticks.quote("99.5", "100.5")
    assert fills(reports) == [("a", "1", "100.5", "taker"), ("b", "1", "99.5", "taker")]
    assert all(report.ts_event == ticks.now for report in reports)  # type: ignore[attr-defined]


def test_a_market_order_takes_what_is_offered_and_rests_for_the_next_quote() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", BUY, qty="3"), order("b", BUY, qty="1"))
    assert fills(ticks.quote("99", "101", "9", "2")) == [("a", "2", "101", "taker")]
    assert fills(ticks.quote("99", "102", "9", "1.5")) == [("a", "1", "102", "taker"), ("b", "0.5", "102", "taker")]
    assert fills(ticks.quote("99", "103")) == [("b", "0.5", "103", "taker")]


def test_a_limit_is_taker_when_marketable_on_first_sight() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", BUY, LIMIT, price="101"))
    assert fills(ticks.quote("99", "100.5")) == [("a", "1", "100.5", "taker")]


def test_a_resting_limit_needs_the_other_side_strictly_through_and_is_maker_at_its_price() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", SELL, LIMIT, price="102", qty="2"))
    assert ticks.quote("99", "101") == []
    assert ticks.quote("102", "103") == []
    assert fills(ticks.quote("102.5", "103", "0.5")) == [("a", "0.5", "102", "maker")]
    assert fills(ticks.quote("102.5", "103")) == [("a", "1.5", "102", "maker")]


def test_stops_trigger_on_touch_of_the_side_they_take_and_go_on_as_market_orders() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", SELL, STOP, trigger="98", qty="2"))
    assert ticks.quote("98.1", "98.2") == []
    assert fills(ticks.quote("98", "99", "1")) == [("a", "1", "98", "taker")]
    assert fills(ticks.quote("100", "101", "1")) == [("a", "1", "100", "taker")]


@pytest.mark.parametrize(
    ("type_", "trigger", "price", "bid", "expected"),
    [
        (STOP_LIMIT, "98", "97", "97.5", [("a", "1", "97.5", "taker")]),
        (STOP_LIMIT, "98", "97", "96", []),
        (TAKE, "102", "102", "102", [("a", "1", "102", "taker")]),
        (TAKE, "102", "103", "102.5", []),
        (TAKE, "102", "102", "101.9", []),
    ],
)
def test_triggered_limits_on_quotes(
    type_: OrderType, trigger: str, price: str, bid: str, expected: list[tuple[str, ...]]
) -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", SELL, type_, trigger=trigger, price=price))
    assert fills(ticks.quote(bid, "104")) == expected


def test_a_bracket_is_armed_for_what_its_entry_has_filled() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    entry = order("a", BUY, qty="3")
    ticks.submit(entry, *exits(entry, "95", "110"))
    ticks.quote("99", "101", "9", "2")
    assert [plain(state.armed) for state in ticks.venue.orders()] == ["3", "2", "2"]
    reports = ticks.quote("94", "95", "9", "0.1")
    # The entry goes on filling first; its rest falls with the position.
    assert fills(reports) == [("a", "0.1", "95", "taker"), ("stop", "2.1", "94", "taker")]
    assert cancels(reports) == [
        ("stop", "position_closed"),
        ("target", "sibling_filled"),
        ("a", "position_closed"),
    ]
    assert ticks.venue.orders() == []
    assert ticks.venue.position("BTC") == 0


def test_a_target_filled_in_part_keeps_its_stop() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    entry = order("a", BUY, qty="3")
    ticks.submit(entry, *exits(entry, "95", "110"))
    ticks.quote("99", "101")
    reports = ticks.quote("111", "112", "1", "1")
    assert fills(reports) == [("target", "1", "110", "maker")]
    assert cancels(reports) == []
    reports = ticks.quote("94", "95")
    assert fills(reports) == [("stop", "2", "94", "taker")]
    assert cancels(reports) == [("stop", "position_closed"), ("target", "sibling_filled")]


def test_a_partly_filled_entry_that_is_cancelled_keeps_its_stop() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    entry = order("a", BUY, qty="3")
    ticks.submit(entry, *exits(entry, "95", "110"))
    ticks.quote("99", "101", "9", "2")
    assert cancels(ticks.venue.cancel("BTC", "a", ticks.now)) == [("a", "canceled")]
    assert fills(ticks.quote("94", "95")) == [("stop", "2", "94", "taker")]


def test_an_exit_that_joins_a_partly_filled_entry_is_armed_for_that_part() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    entry = order("a", BUY, qty="3")
    ticks.submit(entry)
    ticks.quote("99", "101", "9", "2")
    ticks.submit(*exits(entry, "95", "110"))
    assert [plain(state.armed) for state in ticks.venue.orders()] == ["3", "2", "2"]


def test_on_quotes_the_mark_is_the_middle_and_liquidation_takes_the_quote() -> None:
    ticks = Ticks(MatchOn.QUOTE, cash="100")
    ticks.quote("100", "100")
    ticks.submit(order("a", SELL, qty="9"))
    ticks.quote("100", "102")
    assert ticks.venue.account().equity == D(91)
    assert fills(ticks.quote("109", "110.5")) == [(None, "9", "110.5", "taker")]


def test_funding_is_paid_between_quotes() -> None:
    ticks = Ticks(MatchOn.QUOTE, funding_rate=D("0.001"))
    ticks.quote("100", "100")
    ticks.submit(order("a", BUY))
    ticks.quote("100", "100")
    ticks.now = Nanos(START + HOUR - NANOS_PER_S)
    reports = ticks.quote("200", "200")
    assert [(r.ts_event, r.amount) for r in reports if isinstance(r, FundingPaid)] == [(START + HOUR, D("-0.1"))]


def test_latency_and_cancels_on_quotes_follow_the_clock_of_the_quotes() -> None:
    ticks = Ticks(MatchOn.QUOTE, latency=Nanos(2 * NANOS_PER_S))
    ticks.quote("99", "101")
    ticks.submit(order("a", BUY), order("b", BUY, LIMIT, price="90"))
    assert ticks.venue.cancel("BTC", "b", ticks.now) == ()
    assert ticks.quote("99", "101") == []
    reports = ticks.quote("99", "101")
    assert cancels(reports) == [("b", "canceled")]
    assert fills(reports) == [("a", "1", "101", "taker")]


# Prints


def test_a_market_order_takes_the_next_print_whatever_its_size() -> None:
    ticks = Ticks(MatchOn.TRADE, slippage_bps=D(10))
    ticks.trade("100")
    ticks.submit(order("a", BUY, qty="3"))
    assert fills(ticks.trade("100", "0.1")) == [("a", "3", "100.1", "taker")]


def test_limits_need_a_print_strictly_through_and_share_its_size() -> None:
    ticks = Ticks(MatchOn.TRADE)
    ticks.trade("100")
    ticks.submit(order("a", BUY, LIMIT, price="99", qty="2"), order("b", BUY, LIMIT, price="99", qty="2"))
    assert ticks.trade("99") == []
    assert fills(ticks.trade("98.9", "3")) == [("a", "2", "99", "maker"), ("b", "1", "99", "maker")]
    assert fills(ticks.trade("98", "3")) == [("b", "1", "99", "maker")]


def test_stops_trigger_on_a_print_that_touches_them() -> None:
    ticks = Ticks(MatchOn.TRADE)
    ticks.trade("100")
    ticks.submit(order("a", SELL, STOP, trigger="98"), order("b", SELL, STOP_LIMIT, trigger="98", price="97"))
    assert ticks.trade("98.1") == []
    assert fills(ticks.trade("97.5")) == [("a", "1", "97.5", "taker"), ("b", "1", "97.5", "taker")]


def test_a_print_liquidates() -> None:
    ticks = Ticks(MatchOn.TRADE, cash="100")
    ticks.trade("100")
    ticks.submit(order("a", BUY, qty="9"))
    ticks.trade("100")
    assert fills(ticks.trade("88")) == [(None, "9", "88", "taker")]


def test_bars_are_ignored_when_matching_on_ticks() -> None:
    ticks = Ticks(MatchOn.TRADE)
    ticks.trade("100")
    ticks.submit(order("a", BUY))
    one = D(1)
    bar = Bar("BTC", Timeframe(NANOS_PER_S), Nanos(ticks.now + NANOS_PER_S), one, one, one, one, one)
    assert ticks.venue.handle(BarsClosed("BTC", bar.ts_event, (bar,))) == ()
    assert len(ticks.venue.orders()) == 1


# Funding table


def test_rates_are_found_by_their_hour() -> None:
    rates = FundingRates([(3 * HOUR + 7, D("0.0000125")), (HOUR, D("-0.0006133368")), (HOUR + 9, D("0.1"))])
    assert len(rates) == 2
    assert rates.at(HOUR) == D("0.1")
    assert rates.at(2 * HOUR) is None
    assert rates.at(4 * HOUR - 1) == D("0.0000125")
    assert rates.at(4 * HOUR) is None


@given(st.dictionaries(st.integers(0, 10**6), st.decimals(D("-0.9"), D("0.9"), places=15), max_size=30))
def test_the_table_gives_back_every_rate_exactly(rates: dict[int, Decimal]) -> None:
    table = FundingRates([(hour * HOUR, rate) for hour, rate in rates.items()])
    assert {hour: table.at(hour * HOUR) for hour in rates} == rates


@pytest.mark.parametrize("rate", ["NaN", "Infinity", "1", "-1.5"])
def test_a_rate_that_cannot_be_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="not between -1 and 1"):
        FundingRates([(0, D(rate))])


def test_years_of_rates_take_16_bytes_an_hour() -> None:
    rates = FundingRates((hour * HOUR, D("0.0000125")) for hour in range(1_000))
    assert sum(part.itemsize * len(part) for part in (rates._hours, rates._units)) == 16_000


# Order books: level by level.


def test_a_market_order_walks_the_book_and_waits_for_the_next_with_what_is_left() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", BUY, qty="5"))
    reports = ticks.book("99*1 98*1", "101*1 102*2 104*1")
    assert [(qty, price) for _, qty, price, _ in fills(reports)] == [("1", "101"), ("2", "102"), ("1", "104")]
    assert [(qty, price) for _, qty, price, _ in fills(ticks.book("99*1", "103*9"))] == [("1", "103")]
    assert ticks.venue.position("BTC") == 5


def test_two_orders_share_the_levels_in_the_order_of_placement() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", SELL, qty="1.5"), order("b", SELL, qty="1"))
    reports = ticks.book("99*1 98*1 97*5", "101*9")
    assert [fill[:3] for fill in fills(reports)] == [
        ("a", "1", "99"),
        ("a", "0.5", "98"),
        ("b", "0.5", "98"),
        ("b", "0.5", "97"),
    ]


def test_a_limit_walks_no_farther_than_its_price() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", BUY, LIMIT, qty="5", price="102"))
    reports = ticks.book("99*1", "101*1 102*1 103*9")
    assert [(qty, price) for _, qty, price, _ in fills(reports)] == [("1", "101"), ("1", "102")]
    assert fills(ticks.book("99*1", "102*9")) == [], "at its price it waits in the queue"
    (fill,) = fills(ticks.book("99*1", "101.5*2 102*9"))
    assert fill[1:3] == ("2", "102")
    assert fill[3] == "maker"


def test_the_exits_of_an_entry_that_walks_are_for_what_it_got() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    entry = order("a", BUY, qty="3")
    ticks.submit(entry, *exits(entry, "95", "120"))
    assert len(fills(ticks.book("99*1", "101*1 102*1"))) == 2
    reports = ticks.book("94*0.5 93*9", "110*9")
    assert fills(reports)[0][0] == "a"
    assert [fill[:3] for fill in fills(reports)][1:] == [("stop", "0.5", "94"), ("stop", "2.5", "93")]


def test_closes_mark_the_account_where_orders_meet_ticks() -> None:
    ticks = Ticks(MatchOn.QUOTE)
    ticks.quote("99", "101")
    ticks.submit(order("a", BUY))
    ticks.book("99*9", "101*9")
    bar = Bar("BTC", Timeframe(NANOS_PER_S), ticks.now, D(90), D(150), D(1), D(105), D(1))  # type: ignore[arg-type]
    assert list(ticks.venue.handle(BarsClosed("BTC", ticks.now, (bar,)))) == []
    assert ticks.venue.account().equity == 10_004
