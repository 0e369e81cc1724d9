"""Stops that trail: by the venue itself where it can, else moved in steps that never leave a position naked."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import FIRST, approved, bar, bars_closed, canceled, fill_report, instrument, minute, price, signal
from tests.orders.test_orders_stage import ENTRY, STOP, cancels, submitted
from tradebot.model.market import Message
from tradebot.model.order import (
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderSide,
    OrderType,
    PositionSide,
    RefusalClass,
    SubmitOrders,
)
from tradebot.model.signal import Action, Signal
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.store.codec import decode, encode

SELL = OrderSide.SELL


def entry(trail: str | None = "10", *, side: PositionSide = PositionSide.LONG, stop: str = "90") -> Signal:
    return replace(signal(stop=stop, side=side), trail=None if trail is None else price(trail))


def stage(*, venue_trails: bool = False) -> OrdersStage:
    return OrdersStage({"BTC": instrument()}, venue_trails=venue_trails)


def accepted(name: str) -> OrderAccepted:
    return OrderAccepted(ts_event=FIRST, client_order_id=name, venue_order_id=f"v-{name}")


def opened(asked: Signal, *, venue_trails: bool = False) -> OrdersStage:
    """A stage whose entry at 100 has filled and whose stop rests."""
    orders = stage(venue_trails=venue_trails)
    orders.handle(approved(asked))
    orders.handle(accepted(ENTRY))
    orders.handle(fill_report("t1", ENTRY, side=asked.side.entry))
    orders.handle(accepted(STOP))
    return orders


def close(orders: OrdersStage, at: str, number: int = 1) -> Sequence[Message]:
    return orders.handle(bars_closed(bar(number, at)))


def stop_price(orders: OrdersStage) -> Decimal | None:
    (covered,) = orders.protection()
    assert covered.is_full
    return covered.stop_price


@pytest.mark.parametrize(("venue_trails", "type_"), [(True, OrderType.TRAILING_STOP), (False, OrderType.STOP_MARKET)])
def test_the_venue_trails_where_it_can_and_either_form_leaves_by_trail(venue_trails: bool, type_: OrderType) -> None:
    _, stop = submitted(stage(venue_trails=venue_trails).handle(approved(entry())))
    assert (stop.type, stop.trigger, stop.trail, stop.reason) == (type_, 90, 10, "trail")
    _, plain = submitted(stage(venue_trails=venue_trails).handle(approved(entry(None))))
    assert (plain.type, plain.trail, plain.reason) == (OrderType.STOP_MARKET, None, "stop")


# Distance 10, so steps of at least 1: a long from 100 with its stop at 90, a short with its stop at 110.
STEPS = [
    (
        PositionSide.LONG,
        "90",
        ["100.9", "101", "105.5", "103", "106.4", "106.5"],
        [None, "91", "95.5", None, None, "96.5"],
    ),
    (
        PositionSide.SHORT,
        "110",
        ["99.1", "99", "94.5", "97", "93.6", "93.5"],
        [None, "109", "104.5", None, None, "103.5"],
    ),
]


@pytest.mark.parametrize(("side", "stop", "closes", "moves"), STEPS)
def test_a_stop_is_moved_in_steps_and_only_in_favour(
    side: PositionSide, stop: str, closes: list[str], moves: list[str | None]
) -> None:
    orders = opened(entry(side=side, stop=stop))
    last = STOP
    for number, (at, move) in enumerate(zip(closes, moves, strict=True)):
        outputs = close(orders, at, number)
        if move is None:
            assert outputs == []
            continue
        (new,) = submitted(outputs)
        assert (new.trigger, new.type, new.trail, new.reduce_only) == (Decimal(move), OrderType.STOP_MARKET, 10, True)
        # The old one is cancelled only once the new one rests.
        assert cancels(outputs) == []
        assert cancels(orders.handle(accepted(new.client_order_id))) == [last]
        orders.handle(canceled(last, "replaced"))
        last = new.client_order_id
        assert stop_price(orders) == Decimal(move)


def test_no_step_is_taken_before_the_last_one_was_answered() -> None:
    orders = opened(entry())
    (new,) = submitted(close(orders, "105"))
    assert close(orders, "120", 2) == []
    assert stop_price(orders) == 90
    orders.handle(accepted(new.client_order_id))
    (newer,) = submitted(close(orders, "121", 3))
    assert newer.trigger == 111


def test_a_refused_step_leaves_the_stop_that_rests() -> None:
    orders = opened(entry())
    (new,) = submitted(close(orders, "105"))
    refused = OrderRejected(ts_event=FIRST, client_order_id=new.client_order_id, reason="too many")
    assert submitted(orders.handle(refused)) == ()
    assert stop_price(orders) == 90
    (again,) = submitted(close(orders, "105", 2))
    assert again.trigger == 95


def test_a_step_that_the_price_has_passed_closes_the_position() -> None:
    orders = opened(entry())
    (new,) = submitted(close(orders, "105"))
    passed = OrderRejected(
        ts_event=FIRST, client_order_id=new.client_order_id, reason="beyond", refusal=RefusalClass.TRIGGERED
    )
    (leaving,) = submitted(orders.handle(passed))
    assert (leaving.type, leaving.reason) == (OrderType.MARKET, "trail")
    # While it is being closed nothing is moved.
    assert close(orders, "130", 2) == []


def test_what_rests_at_a_venue_that_trails_is_not_touched_and_the_book_learns_how_far_it_came() -> None:
    orders = opened(entry(), venue_trails=True)
    for number, (at, level) in enumerate([("100.05", "90"), ("107.77", "97.7"), ("101", "97.7")]):
        assert close(orders, at, number) == []
        assert stop_price(orders) == Decimal(level)


def test_a_trailing_stop_of_another_size_begins_where_the_last_one_stood() -> None:
    orders = opened(entry(), venue_trails=True)
    close(orders, "108")
    leave = approved(signal("cross-BTC-2", action=Action.EXIT), "0.25")
    (exit_,) = submitted(orders.handle(leave))
    outputs = orders.handle(fill_report("t2", exit_.client_order_id, side=SELL, size="0.25"))
    (stop,) = (request for request in submitted(outputs) if request.trigger is not None)
    assert (stop.type, stop.trigger, stop.qty, stop.trail) == (OrderType.TRAILING_STOP, 98, Decimal("0.75"), 10)


@pytest.mark.parametrize("venue_trails", [True, False])
def test_a_strategy_never_moves_a_trailing_stop_back(venue_trails: bool) -> None:
    orders = opened(entry(), venue_trails=venue_trails)
    for request in submitted(close(orders, "108")):
        orders.handle(accepted(request.client_order_id))
    assert orders.handle(approved(signal("cross-BTC-2", action=Action.MOVE_STOP, stop="95"))) == []
    (moved,) = submitted(orders.handle(approved(signal("cross-BTC-3", action=Action.MOVE_STOP, stop="99"))))
    assert (moved.trigger, moved.trail) == (99, 10)


def test_a_wish_to_trail_waits_with_its_entry_and_ends_with_it() -> None:
    orders = stage()
    asked = replace(entry(), entry_type=OrderType.LIMIT, entry_price=price("99"))
    orders.handle(approved(asked))
    assert close(orders, "120") == []
    orders.handle(canceled(ENTRY))
    assert close(orders, "130", 2) == []


def test_symbols_without_a_stop_that_trails_cost_nothing() -> None:
    orders = opened(entry())
    close(orders, "101")
    orders.handle(fill_report("t2", STOP, side=SELL, at="90"))
    for name in list(orders.orders):
        orders.handle(OrderCanceled(ts_event=FIRST, client_order_id=name, reason="position_closed"))
    assert close(orders, "120", 2) == []
    assert orders.orders == {}


@given(
    st.lists(st.tuples(st.integers(60, 160), st.sampled_from(["take", "refuse", "silence"])), max_size=25),
    st.integers(0, 25),
    st.booleans(),
)
def test_a_trailing_position_is_never_naked_its_stop_never_goes_back_and_a_restart_changes_nothing(
    bars: list[tuple[int, str]], cut: int, venue_trails: bool
) -> None:
    orders = opened(entry(), venue_trails=venue_trails)
    again, before = None, Decimal(90)
    for number, (at, answer) in enumerate(bars):
        if number == cut:
            again = stage(venue_trails=venue_trails)
            again.load(decode(OrdersState, encode(orders.save())))
        outputs = close(orders, str(at), number)
        assert again is None or close(again, str(at), number) == outputs
        for request in submitted(outputs):
            assert request.trigger is not None
            assert request.trigger - before >= 1
            assert request.trigger <= at - 10
            name = request.client_order_id
            told: list[Message] = {
                "take": [accepted(name)],
                "refuse": [OrderRejected(ts_event=FIRST, client_order_id=name, reason="busy")],
                "silence": [],
            }[answer]
            for one in told:
                follows = orders.handle(one)
                assert again is None or again.handle(one) == follows
                assert not any(isinstance(each, SubmitOrders) for each in follows)
                for old in cancels(follows):
                    gone = canceled(old, "replaced")
                    orders.handle(gone)
                    assert again is None or again.handle(gone) is not None
        stands = stop_price(orders)
        assert stands is not None
        assert stands >= before
        before = stands
    assert again is None or again.save() == orders.save()


def test_the_end_by_a_trailing_stop_is_told_as_trail() -> None:
    orders = opened(entry(), venue_trails=True)
    booked = orders.handle(fill_report("t2", STOP, side=SELL, at="95", ts_event=minute(3)))
    assert [fill.reason for fill in booked if isinstance(fill, Fill)] == ["trail"]
