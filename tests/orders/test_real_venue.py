"""A real venue keeps the exits of an entry asleep, refuses late, is silent, and forgets nothing that we forgot."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.builders import (
    FIRST,
    approved,
    bar,
    bars_closed,
    canceled,
    fill_report,
    instrument,
    minute,
    order_request,
    price,
    replace,
    signal,
)
from tradebot.model.command import Alert, AlertName, Heartbeat, Tick
from tradebot.model.market import Message
from tradebot.model.order import (
    CancelOrder,
    Fill,
    OrderAccepted,
    OrderDone,
    OrderFound,
    OrderRejected,
    OrderRole,
    OrderSide,
    OrderState,
    OrderType,
    RefusalClass,
    SubmitOrders,
)
from tradebot.model.signal import Action, Rung
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.orders.stage import OrdersStage

ENTRY, STOP, TARGET = "cross-BTC-1-entry", "cross-BTC-1-stop", "cross-BTC-1-target"
SELL = OrderSide.SELL


def accepted(name: str, oid: str | None = None) -> OrderAccepted:
    """An order that rests as ``oid``, or sleeps."""
    return OrderAccepted(ts_event=FIRST, client_order_id=name, venue_order_id=oid or name)


def rejected(name: str, reason: str = "no", refusal: RefusalClass = RefusalClass.PASSING) -> OrderRejected:
    return OrderRejected(ts_event=FIRST, client_order_id=name, reason=reason, refusal=refusal)


def tick(second: float) -> Tick:
    return Tick(ts_event=Nanos(FIRST + int(second * NANOS_PER_S)))


def asleep(
    size: str = "4",
    *,
    stop: str | None = "90",
    target: str | None = "130",
    entry_type: OrderType = OrderType.LIMIT,
) -> OrdersStage:
    """A stage whose bracket is at the venue: the entry rests, its exits sleep."""
    orders = OrdersStage({"BTC": instrument()})
    resting = signal(stop=stop, target=target, entry_type=entry_type, entry_price="100")
    orders.handle(approved(resting, size))
    orders.handle(accepted(ENTRY, "1"))
    for name, given in ((STOP, stop), (TARGET, target)):
        if given is not None:
            orders.handle(accepted(name))
    return orders


def submitted(outputs: Sequence[Message]) -> list[tuple[str, Decimal]]:
    requests = [r for message in outputs if isinstance(message, SubmitOrders) for r in message.orders]
    return [(request.client_order_id, request.qty) for request in requests]


def cancels(outputs: Sequence[Message]) -> list[str]:
    return [message.client_order_id for message in outputs if isinstance(message, CancelOrder)]


def alerts(outputs: Sequence[Message]) -> list[AlertName]:
    return [message.name for message in outputs if isinstance(message, Alert)]


# Exits that sleep -------------------------------------------------------------------------------------------


def test_what_fills_of_an_entry_at_work_gets_a_stop_of_its_own_at_once() -> None:
    orders = asleep()
    outputs = orders.handle(fill_report(size="1"))
    assert submitted(outputs) == [("cross-BTC-1-stop2", Decimal(1))]
    assert orders.protection()[0].covered_qty == 0
    orders.handle(accepted("cross-BTC-1-stop2", "7"))
    assert orders.protection()[0].is_full


def test_the_trades_of_an_entry_at_market_come_together_and_its_exits_with_them() -> None:
    orders = asleep(entry_type=OrderType.MARKET)
    assert submitted(orders.handle(fill_report(size="1"))) == []
    assert submitted(orders.handle(fill_report("t2", size="3"))) == []
    orders.handle(accepted(STOP, "8"))
    assert orders.protection()[0].is_full


def test_an_entry_at_market_that_ends_partly_filled_gets_its_exits_then() -> None:
    orders = asleep(entry_type=OrderType.MARKET)
    orders.handle(fill_report(size="1"))
    assert submitted(orders.handle(canceled(ENTRY, "ioc_canceled"))) == [("cross-BTC-1-stop2", Decimal(1))]
    assert submitted(orders.handle(canceled(TARGET, "canceled"))) == [("cross-BTC-1-target3", Decimal(1))]


def test_the_end_of_an_entry_at_market_that_nobody_tells_is_not_waited_for() -> None:
    orders = asleep(entry_type=OrderType.MARKET)
    orders.handle(fill_report(size="1"))
    assert [submitted(orders.handle(tick(second))) for second in range(2)] == [[], [("cross-BTC-1-stop2", Decimal(1))]]
    assert submitted(orders.handle(fill_report("t2", size="1"))) == [("cross-BTC-1-stop3", Decimal(2))]


def test_later_fills_resize_it_and_the_old_one_goes_when_the_new_one_rests() -> None:
    orders = asleep()
    orders.handle(fill_report(size="1"))
    orders.handle(accepted("cross-BTC-1-stop2", "7"))
    outputs = orders.handle(fill_report("t2", size="2"))
    assert (submitted(outputs), cancels(outputs)) == ([("cross-BTC-1-stop3", Decimal(3))], [])
    assert cancels(orders.handle(accepted("cross-BTC-1-stop3", "8"))) == ["cross-BTC-1-stop2"]
    assert cancels(orders.handle(accepted("cross-BTC-1-stop3", "8"))) == []


def test_it_stands_in_until_the_exits_of_the_whole_entry_wake() -> None:
    orders = asleep()
    orders.handle(fill_report(size="1"))
    orders.handle(accepted("cross-BTC-1-stop2", "7"))
    outputs = orders.handle(fill_report("t2", size="3"))
    assert submitted(outputs) == []
    assert not orders.protection()[0].is_full
    assert cancels(orders.handle(accepted(STOP, "8"))) == ["cross-BTC-1-stop2"]
    assert orders.protection()[0].is_full
    assert cancels(orders.handle(accepted(TARGET, "9"))) == []


def test_that_an_exit_sleeps_may_be_said_after_it_woke() -> None:
    orders = asleep()
    orders.handle(fill_report(size="4"))
    orders.handle(accepted(STOP, "8"))
    orders.handle(accepted(STOP))
    assert orders.protection()[0].is_full


def test_an_entry_that_ends_partly_filled_keeps_its_stop_and_gets_its_target_anew() -> None:
    orders = asleep()
    orders.handle(fill_report(size="1"))
    orders.handle(accepted("cross-BTC-1-stop2", "7"))
    assert submitted(orders.handle(canceled(ENTRY, "operator"))) == []
    assert submitted(orders.handle(canceled(STOP, "canceled"))) == []
    outputs = orders.handle(canceled(TARGET, "canceled"))
    assert submitted(outputs) == [("cross-BTC-1-target3", Decimal(1))]
    assert [type(m) for m in orders.handle(rejected("cross-BTC-1-target3"))] == [OrderDone]


def test_the_target_comes_anew_whichever_end_is_told_first() -> None:
    orders = asleep()
    orders.handle(fill_report(size="1"))
    assert submitted(orders.handle(canceled(TARGET, "canceled"))) == []
    assert submitted(orders.handle(canceled(ENTRY, "operator"))) == [("cross-BTC-1-target3", Decimal(1))]


def test_a_fill_told_after_the_end_of_its_entry_brings_stop_and_target() -> None:
    orders = asleep()
    orders.handle(canceled(ENTRY, "operator"))
    outputs = orders.handle(fill_report(size="1"))
    assert submitted(outputs) == [("cross-BTC-1-stop2", Decimal(1)), ("cross-BTC-1-target3", Decimal(1))]


def test_no_target_comes_anew_for_what_is_being_closed_or_gone() -> None:
    orders = asleep()
    orders.handle(fill_report(size="1"))
    orders.handle(approved(signal("cross-BTC-2", Action.EXIT), "1"))
    orders.handle(canceled(ENTRY, "exit"))
    assert submitted(orders.handle(canceled(TARGET, "canceled"))) == []


def test_a_stop_that_was_moved_before_the_exits_wake_is_the_one_that_stays() -> None:
    orders = asleep()
    orders.handle(fill_report(size="1"))
    orders.handle(accepted("cross-BTC-1-stop2", "7"))
    moved = replace(signal("cross-BTC-2", Action.MOVE_STOP), stop=price(95))
    assert submitted(orders.handle(approved(moved))) == [("cross-BTC-1-stop3", Decimal(1))]
    assert cancels(orders.handle(accepted("cross-BTC-1-stop3", "8"))) == ["cross-BTC-1-stop2"]
    outputs = orders.handle(fill_report("t2", size="3"))
    assert submitted(outputs) == [("cross-BTC-1-stop4", Decimal(4))]
    assert cancels(orders.handle(accepted("cross-BTC-1-stop4", "9"))) == [STOP, "cross-BTC-1-stop3"]
    # It slept when we cancelled it, so there was nothing to cancel.
    assert cancels(orders.handle(accepted(STOP, "10"))) == [STOP]


def test_an_order_that_rests_after_its_cancel_left_is_not_cancelled_again() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(approved(signal()))
    orders.handle(approved(signal("cross-BTC-2", symbol="BTC")))
    orders.handle(fill_report(size="0.5"))
    orders.handle(approved(signal("cross-BTC-3", Action.EXIT), "0.5"))
    assert cancels(orders.handle(accepted(ENTRY, "1"))) == []


# Refusals ---------------------------------------------------------------------------------------------------


def test_a_moved_stop_that_is_refused_leaves_the_old_one_in_force() -> None:
    orders = asleep()
    orders.handle(fill_report(size="4"))
    orders.handle(accepted(STOP, "8"))
    moved = replace(signal("cross-BTC-2", Action.MOVE_STOP), stop=price(95))
    outputs = orders.handle(approved(moved))
    assert [type(message) for message in outputs] == [SubmitOrders]
    assert [type(message) for message in orders.handle(rejected("cross-BTC-1-stop2"))] == [OrderDone]
    (now,) = orders.protection()
    assert (now.is_full, now.stop_price) == (True, Decimal(90))
    old = orders.find(STOP)
    assert old is not None
    assert not old.is_canceling


def test_a_stop_beyond_the_price_is_carried_out_at_once() -> None:
    orders = asleep()
    orders.handle(fill_report(size="4"))
    outputs = orders.handle(rejected(STOP, refusal=RefusalClass.TRIGGERED))
    assert submitted(outputs) == [("cross-BTC-1-exit2", Decimal(4))]
    # The exit is at work: nothing more is done about another refusal.
    assert submitted(orders.handle(rejected(TARGET, refusal=RefusalClass.TRIGGERED))) == []


def test_a_stop_refused_before_anything_filled_closes_nothing() -> None:
    orders = asleep()
    assert [type(message) for message in orders.handle(rejected(STOP, refusal=RefusalClass.TRIGGERED))] == [OrderDone]


def test_refused_exits_of_another_size_are_not_placed_in_circles() -> None:
    orders = asleep("1")
    orders.handle(fill_report(size="1"))
    orders.handle(accepted(STOP, "8"))
    orders.handle(accepted(TARGET, "9"))
    orders.handle(fill_report("t2", "venue-5", side=SELL, size="0.4"))
    assert submitted(orders.handle(rejected("cross-BTC-1-target2"))) == []
    assert submitted(orders.handle(rejected("cross-BTC-1-stop2"))) == []
    assert orders.protection()[0].is_full


# The audit --------------------------------------------------------------------------------------------------


def test_a_stop_that_does_not_wake_is_stood_in_for_within_two_ticks() -> None:
    orders = asleep("1")
    assert not orders.is_overdue
    orders.handle(fill_report(size="1"))
    assert orders.is_overdue
    assert orders.handle(tick(0)) == []
    assert submitted(orders.handle(tick(1))) == [("cross-BTC-1-stop2", Decimal(1))]
    assert orders.handle(tick(2)) == []
    orders.handle(accepted("cross-BTC-1-stop2", "7"))
    assert not orders.is_overdue
    assert orders.handle(tick(3)) == []
    assert orders.save().watched == {}


def test_a_silent_venue_is_asked_for_a_stop_then_for_the_end_and_then_a_human_is_paged_each_minute() -> None:
    orders = asleep("1")
    orders.handle(fill_report(size="1"))
    seen = {second: outputs for second in range(100) if (outputs := orders.handle(tick(second)))}
    told = {second: submitted(outputs) or alerts(outputs) for second, outputs in seen.items()}
    assert told == {
        1: [("cross-BTC-1-stop2", Decimal(1))],
        7: [("cross-BTC-1-stop3", Decimal(1))],
        13: [("cross-BTC-1-exit4", Decimal(1))],
        19: [AlertName.UNPROTECTED],
        29: [AlertName.EXIT_FAILED],
        44: [("cross-BTC-1-exit5", Decimal(1))],
        75: [("cross-BTC-1-exit6", Decimal(1))],
        80: [AlertName.UNPROTECTED],
        89: [AlertName.EXIT_FAILED],
    }
    (alert,) = [message for message in seen[19] if isinstance(message, Alert)]
    assert (alert.name, alert.symbol) == (AlertName.UNPROTECTED, "BTC")
    assert "1 of 1 BTC has no stop" in alert.what
    assert orders.is_overdue


def test_a_position_that_was_to_have_no_stop_is_told_once_and_left() -> None:
    orders = asleep("1", stop=None, target=None)
    orders.handle(fill_report(size="1"))
    assert [alerts(orders.handle(tick(second))) for second in range(3)] == [[], [AlertName.UNPROTECTED], []]
    assert not orders.is_overdue
    orders.handle(fill_report("t2", "venue-5", side=SELL, size="1"))
    assert orders.handle(tick(4)) == []
    assert orders.save().watched == {}


def test_the_next_position_of_a_symbol_is_looked_at_anew() -> None:
    orders = asleep("1", stop=None, target=None)
    orders.handle(fill_report(size="1"))
    for second in range(2):
        orders.handle(tick(second))
    orders.handle(fill_report("t2", "venue-5", side=SELL, size="1"))
    orders.handle(approved(signal("cross-BTC-2")))
    orders.handle(fill_report("t3", "cross-BTC-2-entry", size="1"))
    assert orders.is_overdue
    assert [alerts(orders.handle(tick(second))) for second in range(3, 5)] == [[], [AlertName.UNPROTECTED]]


def test_an_exit_on_its_way_is_waited_for() -> None:
    orders = asleep("1")
    orders.handle(fill_report(size="1"))
    orders.handle(approved(signal("cross-BTC-2", Action.EXIT), "1"))
    assert [submitted(orders.handle(tick(second))) for second in range(5)] == [[]] * 5
    orders.handle(fill_report("t2", "cross-BTC-2-exit", side=SELL, size="1"))
    assert not orders.is_overdue


# What others do ---------------------------------------------------------------------------------------------


def test_a_trade_by_hand_that_shrinks_a_position_shrinks_its_exits() -> None:
    orders = asleep("1")
    orders.handle(fill_report(size="1"))
    orders.handle(accepted(STOP, "8"))
    orders.handle(accepted(TARGET, "9"))
    outputs = orders.handle(fill_report("t2", "venue-5", side=SELL, size="0.4"))
    assert submitted(outputs) == [("cross-BTC-1-stop2", Decimal("0.6")), ("cross-BTC-1-target2", Decimal("0.6"))]
    assert alerts(outputs) == []
    fill = outputs[0]
    assert isinstance(fill, Fill)
    assert (fill.strategy, fill.reason) == ("cross", "manual")
    closed = orders.handle(fill_report("t3", "venue-5", side=SELL, size="0.6"))
    assert cancels(closed) == [STOP, TARGET, "cross-BTC-1-stop2", "cross-BTC-1-target2"]


def test_a_trade_by_hand_that_enlarges_a_position_enlarges_its_stop() -> None:
    orders = asleep("1")
    orders.handle(fill_report(size="1"))
    orders.handle(accepted(STOP, "8"))
    for number in (2, 3, 4):
        outputs = orders.handle(fill_report(f"t{number}", "venue-5", size="1"))
        assert submitted(outputs) == [(f"cross-BTC-1-stop{number}", Decimal(number))]
        assert len(cancels(orders.handle(accepted(f"cross-BTC-1-stop{number}", f"{number}")))) == 1


def test_a_trade_by_hand_past_flat_opens_a_position_that_is_not_ours() -> None:
    orders = asleep("1")
    orders.handle(fill_report(size="1"))
    outputs = orders.handle(fill_report("t2", "venue-5", side=SELL, size="3"))
    fill = outputs[0]
    assert isinstance(fill, Fill)
    assert (fill.strategy, fill.signal_id) == ("manual", "")
    assert (alerts(outputs), submitted(outputs)) == ([AlertName.FOREIGN_ORDER], [])
    assert alerts(orders.handle(fill_report("t3", "venue-6", side=SELL, size="1"))) == []
    assert [alerts(orders.handle(tick(second))) for second in range(3)] == [[], [AlertName.UNPROTECTED], []]


# A journal that was lost ------------------------------------------------------------------------------------


def found(name: str = STOP, role: OrderRole = OrderRole.STOP, size: str = "1") -> OrderFound:
    side = OrderSide.BUY if role is OrderRole.ENTRY else SELL
    request = order_request(name, role=role, side=side, type_=OrderType.STOP_MARKET, size=size, trigger="90")
    return OrderFound(ts_event=FIRST, order=replace(request, oco_id="cross-BTC-1"), venue_order_id="55")


def test_orders_and_fills_of_ours_are_known_again_by_their_ids() -> None:
    orders = OrdersStage({"BTC": instrument()})
    assert orders.is_news(found())
    orders.handle(found())
    assert not orders.is_news(found())
    before = orders.save()
    assert orders.handle(found()) == ()
    assert orders.save() == before
    (fill,) = orders.handle(fill_report("t1", ENTRY))
    assert isinstance(fill, Fill)
    assert (fill.strategy, fill.signal_id, fill.role, fill.reason) == ("cross", "cross-BTC-1", OrderRole.ENTRY, "entry")
    assert orders.protection()[0].is_full
    (out, *_) = orders.handle(fill_report("t2", "cross-BTC-1-rung1", side=SELL, size="0.4"))
    assert isinstance(out, Fill)
    assert (out.strategy, out.role, out.reason) == ("cross", OrderRole.TARGET, "target")
    stopped = orders.handle(fill_report("t3", STOP, side=SELL, size="0.6"))[0]
    assert isinstance(stopped, Fill)
    assert stopped.role is OrderRole.STOP


def test_a_trade_booked_before_its_order_was_found_is_booked_once() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(fill_report("t1", ENTRY, size="1"))
    orders.handle(found(ENTRY, OrderRole.ENTRY, "4"))
    assert not orders.is_news(fill_report("t1", ENTRY, size="1"))
    assert orders.handle(fill_report("t1", ENTRY, size="1")) == ()
    assert len(orders.handle(fill_report("t2", ENTRY, size="1"))) == 1


def test_an_adopted_position_whose_stop_nobody_knows_is_closed() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(fill_report("t1", ENTRY, size="1"))
    orders.handle(tick(0))
    assert submitted(orders.handle(tick(1))) == [("cross-BTC-1-exit2", Decimal(1))]


def test_an_id_that_the_venue_knows_already_is_never_given_again() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(found(ENTRY, OrderRole.ENTRY))
    (refused,) = orders.handle(approved(signal(stop="90")))
    assert isinstance(refused, OrderDone)
    assert (refused.state, refused.role, refused.client_order_id) == (OrderState.REJECTED, OrderRole.ENTRY, ENTRY)
    orders.handle(found("manual-BTC-1-exit", OrderRole.EXIT))
    (exit_refused,) = orders.handle(approved(signal("manual-BTC-1", Action.EXIT)))
    assert isinstance(exit_refused, OrderDone)
    assert exit_refused.role is OrderRole.EXIT


def test_a_stop_placed_anew_skips_the_ids_that_were_found() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(found())
    orders.handle(found("cross-BTC-1-target2", OrderRole.TARGET))
    orders.handle(fill_report("t1", ENTRY, size="1"))
    assert submitted(orders.handle(canceled(STOP, "canceled"))) == [("cross-BTC-1-stop3", Decimal(1))]


def test_a_found_entry_is_withdrawn_in_its_time() -> None:
    orders = OrdersStage({"BTC": instrument()})
    entry = found(ENTRY, OrderRole.ENTRY)
    orders.handle(replace(entry, order=replace(entry.order, expires_ts=minute(2))))
    assert cancels(orders.handle(bars_closed(bar(2)))) == [ENTRY]


# What is said again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "is_news"),
    [
        (accepted(ENTRY, "1"), False),
        (accepted(ENTRY, "2"), True),
        (accepted(STOP), False),
        (accepted(STOP, "3"), True),
        (accepted("nobody", "3"), False),
        (canceled(STOP), True),
        (canceled("nobody"), False),
        (rejected(ENTRY), True),
        (fill_report("t1", size="1"), False),
        (fill_report("t2", size="1"), True),
        (fill_report("t3", "venue-9", size="1"), True),
        (fill_report("t0", "venue-9", size="1"), False),
        (Heartbeat(ts_event=FIRST), True),
    ],
)
def test_the_stage_knows_what_is_news(message: Message, is_news: bool) -> None:
    orders = asleep()
    orders.handle(fill_report("t0", "venue-9", size="1"))
    orders.handle(fill_report("t1", size="1"))
    assert orders.is_news(message) is is_news


def test_a_late_repeat_of_a_trade_brings_nothing_back() -> None:
    orders = asleep("1", stop=None, target=None)
    orders.handle(fill_report("t1", size="1"))
    orders.handle(fill_report("t2", "venue-5", side=SELL, size="1"))
    before = orders.save()
    assert before.orders == {}
    assert orders.handle(fill_report("t1", size="1")) == ()
    assert orders.save() == before


def test_rungs_are_left_when_an_entry_ends_partly_filled() -> None:
    orders = OrdersStage({"BTC": instrument()})
    rungs = (Rung(price=price(110), fraction=Decimal("0.5")), Rung(price=price(120), fraction=Decimal("0.5")))
    orders.handle(approved(replace(signal(stop="90"), ladder=rungs), "4"))
    orders.handle(fill_report(size="1"))
    orders.handle(canceled(ENTRY, "operator"))
    assert submitted(orders.handle(canceled("cross-BTC-1-rung1", "canceled"))) == []
