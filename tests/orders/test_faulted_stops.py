"""A stop that does not protect as the book has it: replaced, followed by the close, or never moved back."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from tests.builders import FIRST, approved, canceled, fill_report, instrument, price, qty, signal
from tests.orders.test_orders_stage import (
    ENTRY,
    SELL,
    STOP,
    TARGET,
    accept,
    bracketed,
    cancels,
    opened,
    stage,
    submitted,
)
from tradebot.model.command import Alert, AlertName, Tick
from tradebot.model.instrument import InstrumentSeen, Listing
from tradebot.model.order import (
    OrderAccepted,
    OrderDone,
    OrderRejected,
    OrderSide,
    OrderType,
    PositionSide,
    RefusalClass,
    StopFault,
    StopFaulted,
)
from tradebot.model.signal import Action
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.model.venue import VenueOrder
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.witness import LEAST_MARGIN, Witness, is_clear

RESTS_OTHERWISE = (StopFault.SIDE, StopFault.SIZE, StopFault.PRICE)


def faulted(fault: StopFault, trigger: str | None = None, name: str = STOP) -> StopFaulted:
    at = None if trigger is None else price(trigger)
    return StopFaulted(ts_event=FIRST, client_order_id=name, fault=fault, trigger=at)


def ticks(orders: OrdersStage, seconds: int) -> list[object]:
    return [
        one for second in range(seconds) for one in orders.handle(Tick(ts_event=Nanos(FIRST + second * NANOS_PER_S)))
    ]


@pytest.mark.parametrize("fault", RESTS_OTHERWISE)
def test_a_stop_that_rests_otherwise_is_replaced_and_cancelled_once_the_new_one_rests(fault: StopFault) -> None:
    orders = opened()
    outputs = orders.handle(faulted(fault, "89"))
    (new,) = submitted(outputs)
    assert (new.trigger, new.qty, new.side, new.reduce_only) == (90, 1, SELL, True)
    assert cancels(outputs) == []
    (naked,) = orders.protection()
    assert not naked.is_full
    assert naked.why.endswith(f"{new.client_order_id} is on its way")
    assert cancels(accept(orders, outputs)) == [STOP]
    assert orders.protection()[0].is_full


def test_a_fault_is_news_once() -> None:
    orders = opened()
    assert orders.is_news(faulted(StopFault.SIZE))
    orders.handle(faulted(StopFault.SIZE))
    assert not orders.is_news(faulted(StopFault.SIZE))
    assert orders.handle(faulted(StopFault.SIZE)) == ()


@pytest.mark.parametrize("name", ["unknown", ENTRY, TARGET, "cross-BTC-2-stop"])
def test_nothing_follows_of_what_is_no_stop_of_a_position(name: str) -> None:
    orders = opened()
    orders.handle(approved(signal("cross-BTC-2", stop="80", entry_price="85", entry_type=OrderType.LIMIT)))
    assert not orders.is_news(faulted(StopFault.UNFILLED, name=name))


def test_a_stop_that_rests_otherwise_twice_is_one_too_many_and_the_position_is_closed() -> None:
    orders = opened()
    outputs = orders.handle(faulted(StopFault.SIZE))
    accept(orders, outputs)
    orders.handle(canceled(STOP, "replaced"))
    (new,) = submitted(outputs)
    (leaving,) = submitted(orders.handle(faulted(StopFault.SIZE, name=new.client_order_id)))
    assert (leaving.type, leaving.reason) == (OrderType.MARKET, "unprotected")


def test_a_stop_that_somebody_moved_in_our_favour_is_taken_as_it_is() -> None:
    orders = opened()
    assert orders.handle(faulted(StopFault.PRICE, "95")) == []
    (held,) = orders.protection()
    assert (held.is_full, held.stop_price, held.moved_by) == (True, 95, "by_hand")
    # From there it does not come back either.
    assert orders.handle(approved(signal("cross-BTC-2", Action.MOVE_STOP, stop="94"))) == []


@pytest.mark.parametrize(("side", "trigger"), [(PositionSide.LONG, "93"), (PositionSide.SHORT, "107")])
def test_a_stop_beyond_the_liquidation_is_moved_before_it(side: PositionSide, trigger: str) -> None:
    orders = stage()
    stop = "90" if side is PositionSide.LONG else "110"
    accept(orders, orders.handle(approved(signal(stop=stop, side=side))))
    orders.handle(fill_report(side=side.entry))
    outputs = orders.handle(faulted(StopFault.LIQUIDATION, trigger))
    (new,) = submitted(outputs)
    assert (new.trigger, new.reduce_only) == (Decimal(trigger), True)
    assert cancels(outputs) == []
    assert "lies beyond the liquidation" in orders.protection()[0].why
    assert not orders.is_news(faulted(StopFault.LIQUIDATION, trigger))
    assert cancels(accept(orders, outputs)) == [STOP]
    (held,) = orders.protection()
    assert (held.stop_price, held.moved_by) == (Decimal(trigger), "liquidation")


def test_where_the_price_is_there_already_the_position_is_closed() -> None:
    orders = opened()
    (new,) = submitted(orders.handle(faulted(StopFault.LIQUIDATION, "101")))
    told = OrderRejected(
        ts_event=FIRST, client_order_id=new.client_order_id, reason="beyond", refusal=RefusalClass.TRIGGERED
    )
    (leaving,) = submitted(orders.handle(told))
    assert leaving.type is OrderType.MARKET


def test_a_stop_that_has_come_nearer_meanwhile_is_not_at_fault() -> None:
    orders = opened()
    accept(orders, orders.handle(approved(signal("cross-BTC-2", Action.MOVE_STOP, stop="95"))))
    assert not orders.is_news(faulted(StopFault.LIQUIDATION, "93"))
    assert orders.handle(faulted(StopFault.LIQUIDATION)) == []


def test_a_stop_that_was_passed_is_followed_by_one_order_at_market_and_cancelled_when_that_has_filled() -> None:
    orders = opened()
    outputs = orders.handle(faulted(StopFault.UNFILLED))
    (leaving,) = submitted(outputs)
    assert (leaving.type, leaving.qty, leaving.side, leaving.reduce_only, leaving.reason) == (
        OrderType.MARKET,
        1,
        SELL,
        True,
        "stop",
    )
    assert cancels(outputs) == []
    accept(orders, outputs)
    # Told again, by whatever: it is the same order that is at work.
    assert submitted(orders.handle(faulted(StopFault.UNFILLED))) == ()
    assert [one for one in ticks(orders, 4) if not isinstance(one, Alert)] == []
    assert "was passed and did not fill" in orders.protection()[0].why
    assert sorted(cancels(orders.handle(fill_report("t2", leaving.client_order_id, side=SELL)))) == [STOP, TARGET]


def test_a_stop_that_filled_in_part_after_all_leaves_the_rest_to_the_order_at_market() -> None:
    orders = opened()
    (leaving,) = submitted(orders.handle(faulted(StopFault.UNFILLED)))
    orders.handle(fill_report("t2", STOP, side=SELL, size="0.4"))
    # The venue cuts what only reduces.
    after = [
        *orders.handle(fill_report("t3", leaving.client_order_id, side=SELL, size="0.6")),
        *orders.handle(canceled(leaving.client_order_id, "ioc_canceled")),
    ]
    assert submitted(after) == ()
    assert orders.protection() == ()


def test_while_an_exit_is_at_work_a_passed_stop_adds_none() -> None:
    orders = opened()
    accept(orders, orders.handle(approved(signal("cross-BTC-2", Action.EXIT))))
    assert orders.handle(faulted(StopFault.UNFILLED)) == []


def test_what_cannot_be_mended_is_paged() -> None:
    orders = opened()
    seen = InstrumentSeen(ts_event=FIRST, instrument=instrument(), listing=Listing.HALTED)
    orders.handle(seen)
    assert orders.handle(faulted(StopFault.SIZE)) == []
    assert orders.protection()[0].why == "the venue takes no orders for it now"
    pages = [one.name for one in ticks(orders, 3) if isinstance(one, Alert)]
    assert pages == [AlertName.UNPROTECTED]


def test_the_reasons_name_what_is_missing() -> None:
    orders = opened(target=None)
    assert orders.protection()[0].why == ""
    orders.handle(fill_report("t2", "venue-7", size="0.5"))
    assert orders.protection()[0].why == "its stops rest for 1 of 1.5; cross-BTC-1-stop2 is on its way"
    plain = opened(stop=None, target=None)
    assert plain.protection()[0].why == "it was opened without a stop"
    orders = opened(target=None)
    (leaving,) = submitted(orders.handle(faulted(StopFault.UNFILLED)))
    done = orders.handle(OrderRejected(ts_event=FIRST, client_order_id=leaving.client_order_id, reason="no"))
    assert any(isinstance(one, OrderDone) and one.is_wanted for one in done)
    assert orders.protection()[0].why == "its stop was passed and did not fill; it is to be closed"


def resting(orders: OrdersStage, **changes: object) -> dict[str, VenueOrder]:
    request = orders.orders[STOP].request
    order = VenueOrder(
        oid="7",
        cloid=None,
        symbol="BTC",
        side=request.side,
        price=price(1),
        qty=request.qty,
        original_qty=request.qty,
        ts_event=FIRST,
        reduce_only=True,
        trigger=request.trigger,
    )
    fields = {name: getattr(order, name) for name in order.__slots__} | changes
    return {STOP: VenueOrder(**fields)}


def witness(orders: OrdersStage) -> Witness:
    return Witness(orders.orders, orders.held)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"qty": qty("0.9")}, StopFault.SIZE),
        ({"qty": qty(2)}, None),
        ({"side": OrderSide.BUY}, StopFault.SIDE),
        ({"reduce_only": False}, StopFault.SIDE),
        ({"trigger": price("89.96")}, None),
        ({"trigger": price("90.04")}, None),
        ({"trigger": price("89.9")}, StopFault.PRICE),
        ({"trigger": price("90.1")}, StopFault.PRICE),
        ({"trigger": None}, StopFault.PRICE),
    ],
)
def test_the_venue_is_a_witness_of_side_size_and_price(changes: dict[str, object], fault: StopFault | None) -> None:
    orders = opened()
    found = witness(orders).differing(resting(orders, **changes), FIRST)
    assert [one.fault for one in found.values()] == ([] if fault is None else [fault])
    assert witness(orders).differing({}, FIRST) == {}


def test_a_stop_of_more_than_is_held_may_be_cut_to_it() -> None:
    orders = opened()
    orders.handle(fill_report("t2", TARGET, side=SELL, size="0.4", at="130"))
    assert witness(orders).differing(resting(orders, qty=qty("0.6")), FIRST) == {}


def test_a_stop_that_its_venue_moves_may_stand_nearer_and_not_farther() -> None:
    orders = OrdersStage({"BTC": instrument()}, venue_trails=True)
    trailing = replace(signal(stop="90"), trail=price(10))
    accept(orders, orders.handle(approved(trailing)))
    orders.handle(fill_report())
    for trigger, count in (("97", 0), ("89", 1)):
        assert len(witness(orders).differing(resting(orders, trigger=price(trigger)), FIRST)) == count


def test_only_what_the_book_relies_on_is_compared() -> None:
    orders = opened()
    at = {"BTC": price(89)}
    assert witness(orders).passed(at) == witness(orders).names == {STOP}
    assert witness(orders).passed({"BTC": price("90.1")}) == frozenset()
    # The venue may have rounded it: it need not have woken yet.
    assert witness(orders).passed({"BTC": price("89.96")}) == frozenset()
    assert witness(orders).passed({}) == frozenset()
    (beyond,) = witness(orders).beyond({"BTC": price("89.8")}, FIRST)
    assert (beyond.fault, beyond.trigger) == (StopFault.LIQUIDATION, Decimal("89.8") * Decimal("1.01"))
    assert witness(orders).beyond({"BTC": price(80)}, FIRST) == []
    orders.handle(faulted(StopFault.UNFILLED))
    assert witness(orders).names == frozenset()


def test_the_margin_before_the_liquidation_is_half_a_percent_of_it() -> None:
    assert Decimal("0.005") == LEAST_MARGIN
    assert [is_clear(Decimal(at), Decimal(100), Decimal(1)) for at in ("100.4", "100.5", "99")] == [False, True, False]
    assert [is_clear(Decimal(at), Decimal(100), Decimal(-1)) for at in ("99.6", "99.5", "101")] == [False, True, False]


def test_a_stop_that_was_found_again_keeps_its_fault_over_a_late_word() -> None:
    orders = opened()
    orders.handle(faulted(StopFault.SIZE))
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=STOP, venue_order_id="late"))
    assert not orders.protection()[0].is_full


def second(number: int) -> Tick:
    return Tick(ts_event=Nanos(FIRST + number * NANOS_PER_S))


def lost_twice() -> tuple[OrdersStage, str]:
    """A position whose stop was lost, and the one placed anew too; and the order that is to close it."""
    orders = opened(target=None)
    outputs = orders.handle(canceled(STOP, "venue"))
    accept(orders, outputs)
    (anew,) = submitted(outputs)
    (leaving,) = submitted(orders.handle(canceled(anew.client_order_id, "venue")))
    assert leaving.type is OrderType.MARKET
    return orders, leaving.client_order_id


def test_beside_a_close_that_nobody_answers_a_stop_stands_by_after_five_seconds() -> None:
    orders, leaving = lost_twice()
    sent = {number: submitted(orders.handle(second(number))) for number in range(7)}
    ((number, (stop,)),) = [(number, found) for number, found in sent.items() if found]
    assert (number, stop.trigger, stop.qty, stop.reduce_only) == (5, 90, 1, True)
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=stop.client_order_id, venue_order_id="o9"))
    assert orders.protection()[0].is_full
    # The close is wanted further, and ends the stop.
    assert orders.is_overdue
    assert cancels(orders.handle(fill_report("t2", leaving, side=SELL))) == [stop.client_order_id]


def test_beside_a_close_that_is_refused_again_and_again_a_stop_stands_by_once_a_minute() -> None:
    orders, leaving = lost_twice()
    placed: list[tuple[int, str]] = []
    for number in range(130):
        for request in submitted(orders.handle(second(number))):
            leaving = request.client_order_id
            if request.trigger is not None:
                placed.append((number, leaving))
        orders.handle(OrderRejected(ts_event=FIRST, client_order_id=leaving, reason="no"))
    first, *others = [number for number, _ in placed]
    assert (first, len(others)) == (1, 2)
    assert all(later - earlier >= 60 for earlier, later in zip([first, *others], others, strict=False))


def test_no_stop_stands_by_where_it_would_be_refused_as_before() -> None:
    orders = opened(target=None)
    (anew,) = submitted(orders.handle(canceled(STOP, "venue")))
    refused = OrderRejected(
        ts_event=FIRST, client_order_id=anew.client_order_id, reason="no", refusal=RefusalClass.OFF_GRID
    )
    assert submitted(orders.handle(refused))
    assert [submitted(orders.handle(second(number))) for number in range(9)] == [()] * 9


def test_a_moved_stop_that_the_position_has_outgrown_leaves_the_old_one_until_the_next_rests() -> None:
    orders = bracketed("2", target=None)
    orders.handle(fill_report(size="1"))
    outputs = orders.handle(approved(signal("cross-BTC-2", Action.MOVE_STOP, stop="95")))
    (moved,) = submitted(outputs)
    assert moved.qty == 1
    grown = orders.handle(fill_report("t2", size="1"))
    assert cancels(accept(orders, outputs)) == [], "it covers half of what is held now"
    (whole,) = submitted(grown) or submitted(ticks(orders, 3))
    assert (whole.trigger, whole.qty) == (95, 2)
    assert STOP in cancels(
        orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=whole.client_order_id, venue_order_id="o9"))
    )
