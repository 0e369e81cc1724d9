"""Every sentence of the rules of trading on bars, one market at a time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from tradebot.model.command import Heartbeat
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed, Message, Quote, Trade
from tradebot.model.money import plain
from tradebot.model.order import (
    CancelOrder,
    FillReport,
    Liquidity,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderType,
    SubmitOrders,
)
from tradebot.model.position import FundingPaid
from tradebot.model.time import HOUR, NANOS_PER_MS, NANOS_PER_S, Nanos, Timeframe
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.venue import REMEMBERED_IDS, SimulatedVenue

D = Decimal
MINUTE = 60 * NANOS_PER_S
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
        "role": OrderRole.EXIT if fields.get("reduce_only") else OrderRole.ENTRY,
        "ts_event": Nanos(START),
    } | fields
    return OrderRequest(client_order_id=cid, side=side, type=type_, qty=D(qty), **values)


def bracket(entry: OrderRequest, stop: str | None = None, target: str | None = None) -> list[OrderRequest]:
    orders = [entry]
    exits: dict[str, Any] = {
        "qty": str(entry.qty),
        "symbol": entry.symbol,
        "reduce_only": True,
        "parent_id": entry.client_order_id,
        "oco_id": f"{entry.client_order_id}-oco",
    }
    side = entry.side.opposite
    if stop is not None:
        orders.append(order(f"{entry.client_order_id}-stop", side, STOP, trigger=stop, role=OrderRole.STOP, **exits))
    if target is not None:
        fields = exits | {"trigger": target, "price": target, "role": OrderRole.TARGET}
        orders.append(order(f"{entry.client_order_id}-target", side, TAKE, **fields))
    return orders


class Market:
    """A venue and a clock: each bar opens where the last one closed."""

    def __init__(self, *, minutes: int = 5, cash: str = "10000", tick: str = "0.1", **costs: Any) -> None:
        costs = {"leverage": 10} | costs
        instruments: Mapping[str, Instrument] = costs.pop(
            "instruments", {"BTC": Instrument(symbol="BTC", tick=D(tick), lot=D("0.01"), max_leverage=50)}
        )
        funding = costs.pop("funding", {})
        self.venue = SimulatedVenue(instruments, Costs(**costs), D(cash), funding)
        self.length = Timeframe(minutes * MINUTE)
        self.now = Nanos(START)

    def bar(self, text: str, symbol: str = "BTC", *, is_same_time: bool = False, volume: str = "0") -> list[Message]:
        if not is_same_time:
            self.now = Nanos(self.now + self.length)
        o, h, low, c = (D(part) for part in text.split())
        bar = Bar(symbol, self.length, self.now, o, h, low, c, D(volume))
        return list(self.venue.handle(BarsClosed(symbol, self.now, (bar,))))

    def submit(self, *orders: OrderRequest) -> list[Message]:
        return list(self.venue.handle(SubmitOrders(ts_event=self.now, orders=orders)))

    def cancel(self, cid: str, symbol: str = "BTC") -> list[Message]:
        message = CancelOrder(ts_event=self.now, client_order_id=cid, symbol=symbol, reason="asked")
        return list(self.venue.handle(message))

    def hold(self, qty: str = "1", at: str = "100") -> None:
        self.submit(order("hold", BUY if D(qty) > 0 else SELL, qty=str(abs(D(qty)))))
        assert fills(self.bar(f"{at} {at} {at} {at}"))


def fills(reports: Sequence[Message]) -> list[tuple[str | None, str, str]]:
    return [(r.client_order_id, plain(r.qty), plain(r.price)) for r in reports if isinstance(r, FillReport)]


def cancels(reports: Sequence[Message]) -> list[tuple[str, str]]:
    return [(r.client_order_id, r.reason) for r in reports if isinstance(r, OrderCanceled)]


def liquidity(reports: Sequence[Message]) -> list[str]:
    return [r.liquidity for r in reports if isinstance(r, FillReport)]


def rejections(reports: Sequence[Message]) -> dict[str, str]:
    return {r.client_order_id: r.reason for r in reports if isinstance(r, OrderRejected)}


# (2) the open


def test_a_market_order_meets_the_next_bar_at_its_open() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", BUY))
    reports = market.bar("101.2 105 99 104")
    assert fills(reports) == [("a", "1", "101.2")]
    assert liquidity(reports) == [Liquidity.TAKER]
    assert reports[0].ts_event == market.now - market.length  # type: ignore[attr-defined]


@pytest.mark.parametrize(("side", "price"), [(BUY, "100.2"), (SELL, "99.9")])
def test_a_market_order_slips_against_us_then_goes_to_the_tick(side: OrderSide, price: str) -> None:
    market = Market(slippage_bps=D(11))
    market.bar("100 100 100 100")
    market.submit(order("a", side))
    assert fills(market.bar("100.02 100.02 100.02 100.02")) == [("a", "1", price)]


def test_fees_are_rounded_up_and_paid_from_cash() -> None:
    market = Market(taker_bps=D("4.5"), tick="0.00000001")
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, qty="0.01"))
    (fill,) = market.bar("33.33333333 33.33333333 33.33333333 33.33333333")
    assert isinstance(fill, FillReport)
    assert fill.fee == D("0.00015000")
    assert market.venue.account().cash == D(10000) - D("0.00015")


def test_orders_fill_at_the_open_in_order_of_placement() -> None:
    market = Market()
    market.hold("1")
    market.submit(*bracket(order("late", BUY, STOP, trigger="101")))
    market.submit(order("exit", SELL, reduce_only=True))
    assert [cid for cid, *_ in fills(market.bar("102 102 102 102"))] == ["late", "exit"]


def test_a_reversal_closes_and_opens_at_one_open() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("long", BUY), "95", "110"))
    market.bar("100 100 100 100")
    market.submit(order("exit", SELL, reduce_only=True))
    market.submit(*bracket(order("short", SELL), "105", "90"))
    reports = market.bar("101 101 101 101")
    assert cancels(reports) == [("long-stop", "position_closed"), ("long-target", "position_closed")]
    assert fills(reports) == [("exit", "1", "101"), ("short", "1", "101")]
    assert market.venue.position("BTC") == -1
    assert [state.request.client_order_id for state in market.venue.orders()] == ["short-stop", "short-target"]


@pytest.mark.parametrize(
    ("side", "trigger", "bar"),
    [(SELL, "98", "97 99 96 98"), (BUY, "102", "103 104 101 102"), (SELL, "98", "98 99 98 99")],
)
def test_a_stop_fills_at_an_open_beyond_it(side: OrderSide, trigger: str, bar: str) -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", side, STOP, trigger=trigger))
    assert fills(market.bar(bar)) == [("a", "1", bar.split()[0])]


@pytest.mark.parametrize(("side", "price", "bar"), [(BUY, "99", "98 99 97 98"), (SELL, "101", "102 103 101 102")])
def test_a_resting_limit_fills_at_a_better_open_as_maker(side: OrderSide, price: str, bar: str) -> None:
    market = Market(slippage_bps=D(50), maker_bps=D(10))
    market.bar("100 100 100 100")
    market.submit(order("a", side, LIMIT, price=price))
    assert market.bar("100 100 100 100") == []
    reports = market.bar(bar)
    assert fills(reports) == [("a", "1", bar.split()[0])]
    assert liquidity(reports) == [Liquidity.MAKER]


def test_a_limit_marketable_at_its_first_open_is_taker_without_slippage() -> None:
    market = Market(slippage_bps=D(50))
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, LIMIT, price="101"))
    reports = market.bar("100.5 101 100 101")
    assert fills(reports) == [("a", "1", "100.5")]
    assert liquidity(reports) == [Liquidity.TAKER]


def test_a_limit_fills_when_the_open_is_exactly_there() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, LIMIT, price="99"))
    market.bar("100 100 100 100")
    assert fills(market.bar("99 99 99 99")) == [("a", "1", "99")]


# (3) stops, then limits and targets


@pytest.mark.parametrize(
    ("side", "trigger", "bar", "price"),
    [(SELL, "98", "100 101 98 99", "97.8"), (BUY, "102", "100 102 99 101", "102.2")],
)
def test_a_stop_triggers_on_touch_and_slips_from_its_trigger(
    side: OrderSide, trigger: str, bar: str, price: str
) -> None:
    market = Market(slippage_bps=D(11))
    market.bar("100 100 100 100")
    market.submit(order("a", side, STOP, trigger=trigger))
    reports = market.bar(bar)
    assert fills(reports) == [("a", "1", price)]
    assert liquidity(reports) == [Liquidity.TAKER]


def test_a_stop_that_is_not_reached_rests() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", SELL, STOP, trigger="98"))
    assert market.bar("100 101 98.1 99") == []


@pytest.mark.parametrize(
    ("side", "price", "through"), [(BUY, "98", "100 101 97.9 99"), (SELL, "102", "100 102.1 99 101")]
)
def test_a_limit_needs_a_price_strictly_through_it(side: OrderSide, price: str, through: str) -> None:
    market = Market(slippage_bps=D(50))
    market.bar("100 100 100 100")
    market.submit(order("a", side, LIMIT, price=price))
    assert market.bar("100 102 98 100") == []
    reports = market.bar(through)
    assert fills(reports) == [("a", "1", price)]
    assert liquidity(reports) == [Liquidity.MAKER]


def test_a_target_needs_a_price_strictly_through_it_and_is_maker() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95", "105"))
    market.bar("100 105 100 104")
    reports = market.bar("104 105.1 104 105")
    assert fills(reports) == [("a-target", "1", "105")]
    assert liquidity(reports) == [Liquidity.MAKER]


def test_of_a_stop_and_a_target_in_one_bar_the_stop_fills() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95", "105"))
    market.bar("100 100 100 100")
    reports = market.bar("100 110 90 100")
    assert cancels(reports) == [("a-target", "sibling_filled")]
    assert fills(reports) == [("a-stop", "1", "95")]


def test_the_sibling_ends_before_the_fill_that_ends_it() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95", "105"))
    market.bar("100 100 100 100")
    assert [type(report) for report in market.bar("105 105 105 105")] == [OrderCanceled, FillReport]
    assert market.venue.orders() == []


def test_an_entry_at_the_open_can_meet_its_stop_in_the_same_bar() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95", "105"))
    assert fills(market.bar("100 110 95 100")) == [("a", "1", "100"), ("a-stop", "1", "95")]


def test_an_entry_at_the_open_can_meet_its_target_in_the_same_bar() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95", "105"))
    assert fills(market.bar("100 105.1 96 100")) == [("a", "1", "100"), ("a-target", "1", "105")]


def test_an_entry_within_the_bar_meets_its_target_only_from_the_next_bar() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, LIMIT, price="99"), "95", "105"))
    assert fills(market.bar("100 110 98 100")) == [("a", "1", "99")]
    assert fills(market.bar("100 105.1 100 105")) == [("a-target", "1", "105")]


@pytest.mark.parametrize(
    ("entry", "stop", "target", "bar", "filled"),
    [
        (order("a", BUY, LIMIT, price="99"), "90", "106", "100 112 98 110", "106"),
        (order("a", BUY, LIMIT, price="99"), "90", "106", "100 106 98 106", "106"),
        (order("a", BUY, STOP, trigger="101"), "90", "106", "100 112 99 108", "106"),
        (order("a", SELL, LIMIT, price="101"), "110", "94", "100 102 88 90", "94"),
        (order("a", SELL, STOP, trigger="99"), "110", "94", "100 101 88 92", "94"),
    ],
)
def test_a_target_that_the_close_of_the_entry_bar_has_passed_fills_there_at_its_price(
    entry: OrderRequest, stop: str, target: str, bar: str, filled: str
) -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(entry, stop, target))
    reports = market.bar(bar)
    assert fills(reports)[1:] == [("a-target", "1", filled)]
    assert liquidity(reports)[1] is Liquidity.MAKER
    assert cancels(reports) == [("a-stop", "sibling_filled")]
    assert fills(market.bar("110 120 60 100")) == []


def test_the_stop_comes_before_a_target_that_the_close_of_the_entry_bar_has_passed() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, LIMIT, price="99"), "95", "106"))
    assert [cid for cid, *_ in fills(market.bar("100 112 94 110"))] == ["a", "a-stop"]


def test_an_exit_that_is_not_yet_at_the_venue_takes_no_part_in_the_entry_bar() -> None:
    market = Market(minutes=1, latency=Nanos(60 * NANOS_PER_S))
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, LIMIT, price="99"))
    market.bar("100 100 100 100")
    late = bracket(order("a", BUY, LIMIT, price="99"), None, "106")[1:]
    market.submit(*late)
    assert fills(market.bar("100 112 98 110")) == [("a", "1", "99")]
    assert fills(market.bar("110 112 109 110")) == [("a-target", "1", "110")]


@pytest.mark.parametrize(
    ("entry", "bar"),
    [
        (order("a", BUY, LIMIT, price="99"), "100 110 95 100"),
        (order("a", BUY, STOP, trigger="103"), "100 110 95 100"),
        (order("a", BUY, STOP_LIMIT, trigger="103", price="104"), "100 110 95 100"),
    ],
)
def test_an_entry_within_the_bar_can_meet_its_stop_there(entry: OrderRequest, bar: str) -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(entry, "95", "120"))
    assert [cid for cid, *_ in fills(market.bar(bar))] == ["a", "a-stop"]


def test_the_stop_of_an_entry_within_the_bar_fills_at_its_trigger_not_at_the_open() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, STOP, trigger="105"), "104"))
    assert fills(market.bar("100 106 99 106")) == [("a", "1", "105"), ("a-stop", "1", "104")]


def test_a_bracket_on_the_wrong_side_of_the_open_ends_there() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95", "105"))
    reports = market.bar("94 96 93 95")
    assert fills(reports) == [("a", "1", "94"), ("a-stop", "1", "94")]


def test_a_target_already_there_at_the_open_of_its_entry_is_taker() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95", "105"))
    reports = market.bar("106 107 105.5 106")
    assert fills(reports) == [("a", "1", "106"), ("a-target", "1", "106")]
    assert liquidity(reports) == [Liquidity.TAKER, Liquidity.TAKER]


def test_bars_of_zero_volume_fill_like_others() -> None:
    market = Market()
    market.hold("1")
    assert market.venue.position("BTC") == 1


STOP_LIMITS = [
    # What happened to a sell stop-limit with this trigger and limit on this bar.
    ("98", "97", "100 101 97.5 99", ("98", Liquidity.TAKER)),
    ("98", "98", "100 101 97 99", None),
    ("98", "99", "100 101 97 98", None),
    ("98", "97", "97.5 99 96 98", ("97.5", Liquidity.TAKER)),
    ("98", "97", "96 97.1 95 96", ("97", Liquidity.MAKER)),
    ("98", "97", "96 97 95 96", None),
    ("98", "97", "100 101 98.1 99", None),
]


@pytest.mark.parametrize(("trigger", "price", "bar", "expected"), STOP_LIMITS)
def test_a_stop_limit_becomes_a_limit_when_it_triggers(
    trigger: str, price: str, bar: str, expected: tuple[str, Liquidity] | None
) -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", SELL, STOP_LIMIT, trigger=trigger, price=price))
    reports = market.bar(bar)
    assert fills(reports) == ([("a", "1", expected[0])] if expected else [])
    assert liquidity(reports) == ([expected[1]] if expected else [])


def test_a_stop_limit_slips_but_never_past_its_limit() -> None:
    market = Market(slippage_bps=D(500))
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, STOP_LIMIT, trigger="102", price="103"))
    assert fills(market.bar("100 102 99 100")) == [("a", "1", "103")]


def test_a_triggered_stop_limit_rests_as_a_limit_from_the_next_bar() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", SELL, STOP_LIMIT, trigger="98", price="99"))
    assert market.bar("100 101 97 98") == []
    assert market.bar("98 99 97 98") == []
    reports = market.bar("98 99.1 97 98")
    assert fills(reports) == [("a", "1", "99")]
    assert liquidity(reports) == [Liquidity.MAKER]


TAKES = [
    ("105", "104", "100 105 99 101", ("105", Liquidity.TAKER)),
    ("105", "107", "100 106 99 101", None),
    ("105", "107", "100 107.1 99 101", ("107", Liquidity.MAKER)),
    ("105", "105", "100 105 99 101", None),
    ("105", "107", "106 107 99 101", None),
    ("105", None, "100 105.1 99 101", ("105", Liquidity.MAKER)),
    ("105", "104", "100 104.9 99 101", None),
]


@pytest.mark.parametrize(("trigger", "price", "bar", "expected"), TAKES)
def test_a_take_profit_triggers_in_our_favour_and_rests_as_a_limit(
    trigger: str, price: str | None, bar: str, expected: tuple[str, Liquidity] | None
) -> None:
    market = Market()
    market.bar("100 100 100 100")
    fields = {"trigger": trigger} | ({} if price is None else {"price": price})
    market.submit(order("a", SELL, TAKE, **fields))
    reports = market.bar(bar)
    assert fills(reports) == ([("a", "1", expected[0])] if expected else [])
    assert liquidity(reports) == ([expected[1]] if expected else [])


# Latency


def test_latency_skips_bars_that_open_before_the_order_can_arrive() -> None:
    market = Market(latency=Nanos(1 * NANOS_PER_MS))
    market.bar("100 100 100 100")
    market.submit(order("a", BUY))
    assert fills(market.bar("101 101 101 101")) == []
    assert fills(market.bar("102 102 102 102")) == [("a", "1", "102")]


def test_latency_of_one_bar_meets_the_bar_that_opens_then() -> None:
    market = Market(latency=Nanos(5 * MINUTE))
    market.bar("100 100 100 100")
    market.submit(order("a", BUY))
    assert fills(market.bar("101 101 101 101")) == []
    assert fills(market.bar("102 102 102 102")) == [("a", "1", "102")]


def test_a_replaced_stop_leaves_no_hole_under_latency() -> None:
    market = Market(latency=Nanos(1 * NANOS_PER_MS))
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95"))
    market.bar("100 100 100 100")
    market.bar("100 100 100 100")
    market.submit(order("a-stop2", SELL, STOP, trigger="97", reduce_only=True))
    assert market.cancel("a-stop") == []
    assert fills(market.bar("100 100 94 100")) == [("a-stop", "1", "95")]


def test_a_cancel_takes_effect_at_the_bar_the_new_stop_does() -> None:
    market = Market(latency=Nanos(1 * NANOS_PER_MS))
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95"))
    market.bar("100 100 100 100")
    market.bar("100 100 100 100")
    market.submit(order("a-stop2", SELL, STOP, trigger="97", reduce_only=True))
    market.cancel("a-stop")
    market.cancel("a-stop")
    assert market.bar("100 100 98 100") == []
    reports = market.bar("100 100 94 100")
    assert cancels(reports) == [("a-stop", "asked")]
    assert fills(reports) == [("a-stop2", "1", "97")]


def test_without_latency_a_cancel_is_answered_at_once() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, LIMIT, price="90"))
    assert cancels(market.cancel("a")) == [("a", "asked")]
    assert market.cancel("a") == []
    assert market.cancel("a", "ETH") == []


def test_a_cancel_does_not_reach_back_into_a_bar_of_another_symbol() -> None:
    market = Market()
    market.bar("50 50 50 50", "ETH")
    market.bar("100 100 100 100", is_same_time=True)
    market.submit(order("a", BUY, LIMIT, price="49", symbol="ETH"))
    market.bar("100 100 100 100")
    assert market.cancel("a", "ETH") == []
    assert fills(market.bar("50 50 48 50", "ETH", is_same_time=True)) == [("a", "1", "49")]


def test_a_decision_does_not_reach_back_into_a_bar_of_another_symbol() -> None:
    market = Market()
    market.bar("50 50 50 50", "ETH")
    market.bar("100 100 100 100")
    early = Nanos(market.now - market.length)
    market.venue.submit([order("a", BUY, symbol="ETH")], early)
    assert market.bar("51 51 51 51", "ETH", is_same_time=True) == []
    assert fills(market.bar("52 52 52 52", "ETH")) == [("a", "1", "52")]


def test_a_cancelled_entry_takes_its_bracket_with_it() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, LIMIT, price="90"), "85", "99"))
    assert cancels(market.cancel("a")) == [("a", "asked"), ("a-stop", "asked"), ("a-target", "asked")]
    assert market.bar("90 90 80 80") == []


# (1) funding


def funding(reports: Sequence[Message]) -> list[tuple[int, D, bool]]:
    return [((r.ts_event - START) // HOUR, r.amount, r.is_estimate) for r in reports if isinstance(r, FundingPaid)]


def test_each_hour_after_the_last_open_up_to_this_one_pays_on_the_last_close() -> None:
    rates = FundingRates([(START + HOUR + 48 * NANOS_PER_MS, D("0.001")), (START + 3 * HOUR, D("-0.002"))])
    market = Market(minutes=60, funding={"BTC": rates}, funding_rate=D("0.0005"))
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, qty="2"))
    assert funding(market.bar("100 100 100 110")) == []  # opens at hour 1: flat until then
    assert funding(market.bar("120 120 120 130")) == [(2, D("-0.11"), True)]
    market.now = Nanos(market.now + 2 * HOUR)
    assert funding(market.bar("140 140 140 140")) == [
        (3, D("0.52"), False),
        (4, D("-0.13"), True),
        (5, D("-0.13"), True),
    ]
    assert market.venue.account().cash == D(10000) + D("0.15")


def test_a_short_receives_a_positive_rate() -> None:
    market = Market(minutes=60, funding_rate=D("0.001"))
    market.bar("100 100 100 100")
    market.hold("-1")
    assert funding(market.bar("100 100 100 100")) == [(2, D("0.1"), True)]


def test_bars_within_an_hour_pay_once() -> None:
    market = Market(minutes=30, funding_rate=D("0.001"))
    market.bar("100 100 100 100")
    market.hold("1")
    paid = [funding(market.bar("100 100 100 100")) for _ in range(4)]
    assert paid == [[(1, D("-0.1"), True)], [], [(2, D("-0.1"), True)], []]


def test_funding_is_booked_half_even() -> None:
    market = Market(minutes=60, funding_rate=D("0.00000005"), tick="0.01")
    market.bar("100 100 100 100")
    market.hold("0.01", at="50")
    assert funding(market.bar("50 50 50 50")) == [(2, D("-0.00000002"), True)]


def test_without_rates_and_with_a_rate_of_0_there_is_no_funding() -> None:
    market = Market(minutes=60)
    market.bar("100 100 100 100")
    market.hold("1")
    assert market.bar("100 100 100 100") == []


# (4) liquidation


def test_a_long_is_liquidated_at_the_low_when_equity_falls_below_maintenance() -> None:
    market = Market(cash="100", slippage_bps=D(10), taker_bps=D(10), maintenance=D("0.5"))
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, qty="9"), "80", "200"))
    market.bar("100 100 100 100")
    # Filled at 100.1: cash 99.09; the account stands while 99.09 + 9 (low - 100.1) >= 9 low / 100.
    assert market.bar("100 100 90 95") == []
    reports = market.bar("95 95 89.9 95")
    assert cancels(reports) == [("a-stop", "position_closed"), ("a-target", "position_closed")]
    (fill,) = [report for report in reports if isinstance(report, FillReport)]
    assert (fill.client_order_id, fill.side, fill.qty, fill.price) == (None, SELL, 9, D("89.8"))
    assert fill.liquidity is Liquidity.TAKER
    assert type(reports[-1]) is FillReport
    assert market.venue.position("BTC") == 0


def test_a_short_is_liquidated_at_the_high() -> None:
    market = Market(cash="100", maintenance=D("0.5"))
    market.bar("100 100 100 100")
    market.submit(order("a", SELL, qty="9"))
    assert fills(market.bar("100 110 100 100")) == [("a", "9", "100")]
    assert fills(market.bar("100 111 100 100")) == [(None, "9", "111")]


def test_a_stop_in_the_bar_comes_before_the_liquidation() -> None:
    market = Market(cash="100")
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, qty="9"), "95"))
    assert fills(market.bar("100 100 50 50")) == [("a", "9", "100"), ("a-stop", "9", "95")]


def test_margin_is_crossed_so_a_gain_elsewhere_keeps_a_position_alive() -> None:
    market = Market(cash="200", instruments={name: Instrument(symbol=name) for name in ("BTC", "ETH")})
    for name in ("BTC", "ETH"):
        market.bar("100 100 100 100", name, is_same_time=True)
    market.submit(order("a", BUY, qty="9"), order("b", SELL, qty="9", symbol="ETH"))
    market.bar("100 100 100 100", "BTC")
    market.bar("100 100 70 70", "ETH", is_same_time=True)
    assert market.bar("100 100 60 60", "BTC") == []
    assert market.bar("60 60 50 50", "BTC") == []
    assert fills(market.bar("50 50 48 48", "BTC")) == [(None, "9", "48")]
    assert market.venue.position("ETH") == -9


def test_a_liquidation_ends_the_waiting_orders_of_its_symbol_only() -> None:
    market = Market(cash="100", instruments={name: Instrument(symbol=name) for name in ("BTC", "ETH")})
    market.bar("100 100 100 100", "ETH")
    market.bar("100 100 100 100", is_same_time=True)
    market.submit(order("a", BUY, qty="9"), order("more", BUY, LIMIT, price="20"))
    market.submit(order("eth", BUY, LIMIT, price="20", symbol="ETH"))
    assert fills(market.bar("100 100 50 50")) == [("a", "9", "100"), (None, "9", "50")]
    assert [state.request.client_order_id for state in market.venue.orders()] == ["eth"]


# Margin


def test_an_entry_beyond_free_margin_is_cancelled_with_its_bracket() -> None:
    market = Market(cash="100", leverage=5)
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, qty="5.01"), "90", "110"))
    reason = "insufficient_margin"
    assert cancels(market.bar("100 100 100 100")) == [("a", reason), ("a-stop", reason), ("a-target", reason)]
    market.submit(order("b", BUY, qty="5"))
    assert fills(market.bar("100 100 100 100")) == [("b", "5", "100")]
    market.submit(order("c", BUY, qty="0.01"))
    assert cancels(market.bar("100 100 100 100")) == [("c", reason)]


def test_the_instrument_can_allow_less_leverage_than_the_account() -> None:
    instruments = {"BTC": Instrument(symbol="BTC", max_leverage=2)}
    market = Market(cash="100", leverage=5, instruments=instruments)
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, qty="3"))
    assert cancels(market.bar("100 100 100 100")) == [("a", "insufficient_margin")]


def test_only_the_part_that_adds_needs_margin() -> None:
    market = Market(cash="100", leverage=5)
    market.bar("100 100 100 100")
    market.hold("5")
    market.submit(order("flip", SELL, qty="10"))
    assert fills(market.bar("100 100 100 100")) == [("flip", "10", "100")]
    market.submit(order("flip2", BUY, qty="10.01"))
    assert cancels(market.bar("100 100 100 100")) == [("flip2", "insufficient_margin")]


# Reduce-only and OCO


def test_a_reduce_only_order_is_cut_to_the_position() -> None:
    market = Market()
    market.hold("2")
    market.submit(order("exit", SELL, qty="5", reduce_only=True))
    reports = market.bar("100 100 100 100")
    assert cancels(reports) == [("exit", "position_closed")]
    assert fills(reports) == [("exit", "2", "100")]


def test_a_reduce_only_order_whose_position_has_turned_is_cancelled() -> None:
    market = Market()
    market.hold("2")
    market.submit(order("flip", SELL, qty="5"), order("exit", SELL, qty="2", reduce_only=True))
    reports = market.bar("100 100 100 100")
    assert cancels(reports) == [("exit", "position_closed")]
    assert fills(reports) == [("flip", "5", "100")]


def test_a_reduce_only_order_that_finds_nothing_to_reduce_is_cancelled() -> None:
    market = Market(latency=Nanos(7 * MINUTE))
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY), "95"))
    market.bar("100 100 100 100")
    market.bar("100 100 100 100")
    assert fills(market.bar("100 100 100 100")) == [("a", "1", "100")]
    market.submit(order("add", SELL, qty="1"))
    market.bar("100 100 100 100")
    market.submit(order("exit", SELL, reduce_only=True))
    assert cancels(market.bar("100 100 100 100")) == []
    assert cancels(market.bar("100 100 100 100")) == [
        ("a-stop", "position_closed"),
        ("exit", "position_closed"),
    ]


def test_a_partial_exit_leaves_the_bracket_in_place() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(*bracket(order("a", BUY, qty="4"), "95", "105"))
    market.bar("100 100 100 100")
    market.submit(order("exit", SELL, qty="1", reduce_only=True))
    assert cancels(market.bar("100 100 100 100")) == []
    reports = market.bar("100 100 94 100")
    assert fills(reports) == [("a-stop", "3", "95")]
    assert cancels(reports) == [("a-stop", "position_closed"), ("a-target", "sibling_filled")]


def test_of_two_stops_at_one_open_the_first_placed_fills_and_ends_the_other() -> None:
    market = Market()
    market.hold("1")
    market.submit(
        order("x", SELL, STOP, trigger="98", reduce_only=True), order("y", SELL, STOP, trigger="99", reduce_only=True)
    )
    reports = market.bar("97 97 97 97")
    assert cancels(reports) == [("y", "position_closed")]
    assert fills(reports) == [("x", "1", "97")]


# At submit


def test_accepted_orders_are_reported_at_once_and_numbered() -> None:
    market = Market()
    market.bar("100 100 100 100")
    reports = market.submit(*bracket(order("a", BUY), "95", "105"))
    assert [(type(r), r.client_order_id, r.venue_order_id) for r in reports if isinstance(r, OrderAccepted)] == [
        (OrderAccepted, "a", "o1"),
        (OrderAccepted, "a-stop", "o2"),
        (OrderAccepted, "a-target", "o3"),
    ]


REFUSED = [
    (order("a", BUY, symbol="XYZ"), "symbol: XYZ is unknown"),
    (order("a", BUY, LIMIT, price="99.95"), "price: 99.95 is not a multiple of the tick 0.1"),
    (order("a", BUY, STOP, trigger="99.95"), "trigger: 99.95 is not a multiple of the tick 0.1"),
    (order("a", BUY, LIMIT), "price: a limit order needs one"),
    (order("a", BUY, STOP_LIMIT, trigger="99"), "price: a stop_limit order needs one"),
    (order("a", BUY, STOP), "trigger: a stop_market order needs one"),
    (order("a", BUY, LIMIT, price="0"), "price: 0 is not above 0"),
    (order("a", BUY, LIMIT, price="NaN"), "price: NaN is not above 0"),
    (order("a", BUY, qty="0.005"), "qty: 0.005 is below the lot 0.01"),
    (order("a", BUY, qty="NaN"), "qty: NaN is below the lot 0.01"),
    (order("a", BUY, qty="1.005"), "qty: 1.005 is not a multiple of the lot 0.01"),
    (order("a", BUY, qty="0.09"), "min_notional: 9 is below 10"),
    (order("a", BUY, LIMIT, qty="0.1", price="99"), "min_notional: 9.9 is below 10"),
    (order("a", SELL, reduce_only=True), "reduce_only: there is no position to reduce"),
    (order("a", SELL, reduce_only=True, parent_id="gone"), "reduce_only: there is no position to reduce"),
]


@pytest.mark.parametrize(("request_", "reason"), REFUSED)
def test_what_breaks_the_rules_of_the_instrument_is_rejected(request_: OrderRequest, reason: str) -> None:
    instrument = Instrument(symbol="BTC", tick=D("0.1"), lot=D("0.01"), min_notional=D(10))
    market = Market(instruments={"BTC": instrument})
    market.bar("100 100 100 100")
    assert rejections(market.submit(request_)) == {"a": reason}
    assert market.venue.orders() == []


def test_reduce_only_orders_may_be_below_the_minimum_notional() -> None:
    instrument = Instrument(symbol="BTC", tick=D("0.1"), lot=D("0.01"), min_notional=D(10))
    market = Market(instruments={"BTC": instrument})
    market.bar("100 100 100 100")
    market.hold("1")
    assert rejections(market.submit(order("a", SELL, qty="0.01", reduce_only=True))) == {}


def test_a_client_order_id_is_taken_once_even_after_its_order_ended() -> None:
    market = Market()
    market.bar("100 100 100 100")
    taken = {"a": "client_order_id: a is taken"}
    assert rejections(market.submit(order("a", BUY), order("a", BUY))) == taken
    market.submit(order("a", BUY))
    assert rejections(market.submit(order("a", BUY))) == taken
    market.bar("100 100 100 100")
    assert rejections(market.submit(order("a", BUY))) == taken


def test_ids_are_forgotten_but_those_of_working_orders() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("old", BUY, LIMIT, price="1"))
    for n in range(REMEMBERED_IDS):
        market.submit(order(f"n{n}", BUY, LIMIT, price="1"))
        market.cancel(f"n{n}")
    assert len(market.venue.save().ids) == REMEMBERED_IDS
    assert rejections(market.submit(order("old", BUY, LIMIT, price="1")))


def test_a_bracket_rests_as_a_whole_or_not_at_all() -> None:
    market = Market()
    market.bar("100 100 100 100")
    other = order("other", BUY, LIMIT, price="90")
    reports = market.submit(*bracket(order("a", BUY), "95.05", "105"), other)
    why = "trigger: 95.05 is not a multiple of the tick 0.1"
    assert rejections(reports) == {
        "a": f"bracket: a-stop is refused: {why}",
        "a-stop": why,
        "a-target": f"bracket: a-stop is refused: {why}",
    }
    assert [state.request.client_order_id for state in market.venue.orders()] == ["other"]


def test_a_symbol_without_instrument_is_known_by_its_first_bar() -> None:
    market = Market()
    assert rejections(market.submit(order("a", BUY, symbol="XYZ")))
    market.bar("7 7 7 7", "XYZ")
    market.submit(order("b", BUY, qty="0.00000001", symbol="XYZ"))
    assert fills(market.bar("7.00000001 8 7 8", "XYZ")) == [("b", "0.00000001", "7.00000001")]


def test_an_order_before_the_first_bar_meets_it() -> None:
    market = Market()
    market.submit(order("a", BUY))
    assert fills(market.bar("100 101 99 101")) == [("a", "1", "100")]
    assert market.venue.account().equity == D(10001)


def test_an_exit_added_to_a_filled_position_is_armed_at_once() -> None:
    market = Market()
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, qty="2"))
    market.bar("100 100 100 100")
    market.submit(order("x", SELL, STOP, trigger="95", qty="2", reduce_only=True, parent_id="a"))
    assert fills(market.bar("100 100 95 95")) == [("x", "2", "95")]


# The account


def test_the_account_shows_equity_and_margins_at_the_last_close() -> None:
    market = Market(leverage=10, maintenance=D("0.5"))
    market.bar("100 100 100 100")
    market.submit(order("a", SELL, qty="2"))
    market.bar("100 110 90 105")
    account = market.venue.account()
    assert (account.cash, account.equity, account.margin_used) == (10000, 9990, 21)
    assert account.maintenance == D("2.1")


def test_partial_closes_realize_by_average_cost_to_the_booking_unit() -> None:
    market = Market(tick="0.00000001")
    market.bar("100 100 100 100")
    market.submit(order("a", BUY, qty="1"))
    market.bar("10 10 10 10")
    market.submit(order("b", BUY, qty="2"))
    market.bar("11 11 11 11")
    market.submit(order("c", SELL, qty="1", reduce_only=True))
    market.bar("12 12 12 12")
    assert market.venue.account().cash == D(10000) + D(12) - D("10.66666667")
    market.submit(order("d", SELL, qty="2", reduce_only=True))
    market.bar("12 12 12 12")
    assert market.venue.account().cash == D(10004)


def test_messages_it_does_not_match_on_pass_without_effect() -> None:
    market = Market()
    market.bar("100 100 100 100")
    before = market.venue.save()
    now = Nanos(market.now + 1)
    quote = Quote(symbol="BTC", ts_event=now, bid=D(99), ask=D(101))
    trade = Trade(symbol="BTC", ts_event=now, price=D(100), qty=D(1), is_buy=True)
    assert [market.venue.handle(message) for message in (quote, trade, Heartbeat(ts_event=now))] == [(), (), ()]
    assert market.venue.save() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"slippage_bps": D(-1)},
        {"slippage_bps": D(10_000)},
        {"latency": Nanos(-1)},
        {"leverage": 0},
        {"maintenance": D("1.1")},
    ],
)
def test_costs_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is "):
        Costs(**wrong)


# Partial fills: our share of the volume of a bar.


def test_a_market_order_takes_its_share_of_each_bar_until_it_is_filled() -> None:
    market = Market(volume_share=D("0.1"))
    market.bar("100 100 100 100", volume="50")
    market.submit(order("a", BUY, qty="1"))
    assert fills(market.bar("100 100 100 100", volume="4.26")) == [("a", "0.42", "100")]
    assert fills(market.bar("101 101 101 101", volume="0")) == []
    assert fills(market.bar("102 102 102 102", volume="3")) == [("a", "0.3", "102")]
    assert fills(market.bar("103 103 103 103", volume="90")) == [("a", "0.28", "103")]
    assert fills(market.bar("104 104 104 104", volume="90")) == []


def test_a_bar_of_zero_volume_fills_nothing_and_ends_nothing() -> None:
    market = Market(volume_share=D(1))
    market.bar("100 100 100 100", volume="1")
    market.submit(*bracket(order("a", BUY, LIMIT, price="99"), "95", "110"))
    assert market.bar("100 100 90 100", volume="0") == []
    assert fills(market.bar("100 100 98 100", volume="1")) == [("a", "1", "99")]


def test_orders_share_a_bar_in_the_order_in_which_they_are_met() -> None:
    market = Market(volume_share=D("0.5"))
    market.bar("100 100 100 100", volume="1")
    market.submit(
        order("first", BUY, qty="0.6"), order("second", BUY, qty="0.6"), order("limit", BUY, LIMIT, price="99")
    )
    reports = market.bar("100 100 98 100", volume="2")
    assert fills(reports) == [("first", "0.6", "100"), ("second", "0.4", "100")]
    assert fills(market.bar("101 101 98 98", volume="2")) == [("second", "0.2", "101"), ("limit", "0.8", "99")]
    assert fills(market.bar("98 98 98 98", volume="2")) == [("limit", "0.2", "98")]


def test_a_stop_that_the_volume_does_not_cover_goes_on_at_the_market() -> None:
    market = Market(volume_share=D("0.5"))
    market.bar("100 100 100 100", volume="9")
    market.submit(*bracket(order("a", BUY, qty="1"), "95", "110"))
    assert fills(market.bar("100 100 100 100", volume="9")) == [("a", "1", "100")]
    assert fills(market.bar("100 100 94 96", volume="0.5")) == [("a-stop", "0.25", "95")]
    assert fills(market.bar("97 112 97 112", volume="0.5")) == [("a-stop", "0.25", "97")]
    reports = market.bar("99 112 90 100", volume="4")
    assert fills(reports) == [("a-stop", "0.5", "99")]
    assert cancels(reports) == [("a-target", "sibling_filled")]
    assert market.venue.position("BTC") == 0


def test_exits_are_for_what_has_filled_of_their_entry() -> None:
    market = Market(volume_share=D("0.5"))
    market.bar("100 100 100 100", volume="9")
    market.submit(*bracket(order("a", BUY, qty="1"), "95", "110"))
    assert fills(market.bar("100 100 100 100", volume="0.8")) == [("a", "0.4", "100")]
    reports = market.bar("100 120 100 111", volume="1.2")
    assert fills(reports) == [("a", "0.6", "100")], "the share is used up by the entry"
    reports = market.bar("111 120 100 111", volume="9")
    assert fills(reports) == [("a-target", "1", "111")]


def test_a_liquidation_waits_for_no_volume() -> None:
    market = Market(volume_share=D("0.001"), cash="100")
    market.bar("100 100 100 100", volume="9000")
    market.submit(order("a", BUY, qty="5"))
    assert fills(market.bar("100 100 100 100", volume="9000")) == [("a", "5", "100")]
    assert fills(market.bar("100 100 50 50", volume="0")) == [(None, "5", "50")]


@pytest.mark.parametrize("share", ["0", "-0.1", "1.1"])
def test_a_share_of_volume_is_above_0_and_up_to_1(share: str) -> None:
    with pytest.raises(ValueError, match="volume_share"):
        Costs(volume_share=D(share))
