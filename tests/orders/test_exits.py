"""An exit that the venue refuses or drops stays wanted: it is placed anew until it has traded, and a human is paged."""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.builders import FIRST, approved, canceled, command, fill_report, instrument, replace, signal
from tradebot.model.command import Alert, AlertName, CommandDone, StateChanged, Tick, TradingState, Verb
from tradebot.model.market import Message
from tradebot.model.order import (
    CancelOrder,
    Fill,
    OrderAccepted,
    OrderDone,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderState,
    OrderType,
    PositionSide,
    SubmitOrders,
)
from tradebot.model.signal import Action
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.store.codec import decode, encode
from tradebot.venues.hyperliquid.cloid import Cloids

ENTRY, STOP, EXIT = "cross-BTC-1-entry", "cross-BTC-1-stop", "cross-BTC-2-exit"
SELL = OrderSide.SELL


def holding(size: str = "4") -> OrdersStage:
    """A stage with a long position whose stop rests."""
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(approved(signal(stop="90"), size))
    for name in (ENTRY, STOP):
        orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=name, venue_order_id=f"v-{name}"))
    orders.handle(fill_report(size=size))
    return orders


def leaving(size: str = "4", of: str = "4") -> OrdersStage:
    """The same, with an exit for ``size`` of it on its way."""
    orders = holding(of)
    assert names(orders.handle(approved(signal("cross-BTC-2", Action.EXIT), size))) == [EXIT]
    return orders


def refuse(orders: OrdersStage, name: str = EXIT, reason: str = "too many requests") -> Sequence[Message]:
    return orders.handle(OrderRejected(ts_event=FIRST, client_order_id=name, reason=reason))


def sold(name: str, size: str, trade_id: str = "t9") -> Message:
    return fill_report(trade_id, name, side=SELL, size=size)


def tick(second: float) -> Tick:
    return Tick(ts_event=Nanos(FIRST + int(second * NANOS_PER_S)))


def requests(outputs: Sequence[Message]) -> list[OrderRequest]:
    return [request for message in outputs if isinstance(message, SubmitOrders) for request in message.orders]


def names(outputs: Sequence[Message]) -> list[str]:
    return [request.client_order_id for request in requests(outputs)]


def dones(outputs: Sequence[Message]) -> list[tuple[str, OrderState, bool]]:
    found = [message for message in outputs if isinstance(message, OrderDone)]
    return [(done.client_order_id, done.state, done.is_wanted) for done in found]


def pages(outputs: Sequence[Message]) -> list[AlertName]:
    return [message.name for message in outputs if isinstance(message, Alert)]


def anew(orders: OrdersStage, second: int) -> str:
    """The id of the exit that is placed within two ticks from ``second``."""
    assert names(orders.handle(tick(second))) == []
    (name,) = names(orders.handle(tick(second + 1)))
    return name


# Again and again --------------------------------------------------------------------------------------------


def test_a_refused_exit_is_placed_anew_ever_more_slowly_and_a_human_is_paged_each_minute() -> None:
    orders = leaving()
    assert dones(refuse(orders)) == [(EXIT, OrderState.REJECTED, True)]
    placed, paged, tried = [], [], [EXIT]
    for second in range(150):
        outputs = orders.handle(tick(second))
        assert orders.is_overdue
        paged += [second] * len(pages(outputs))
        for name in names(outputs):
            placed.append(second)
            tried.append(name)
            refuse(orders, name)
    assert placed[:7] == [1, 4, 9, 18, 29, 40, 51]
    assert {after - before for before, after in pairwise(placed[5:])} == {11}
    assert paged == [5, 65, 125]
    assert tried[:3] == [EXIT, "cross-BTC-2-exit2", "cross-BTC-2-exit3"]
    cloids = Cloids(b"test", b"key", ["cross"])
    assert len({cloids.encode(name) for name in tried}) == len(tried)


def test_what_is_placed_anew_carries_the_name_of_who_asked_first() -> None:
    orders = holding()
    orders.handle(approved(signal("cross-BTC-2", Action.EXIT, reason="time"), "4"))
    refuse(orders)
    orders.handle(tick(0))
    (request,) = requests(orders.handle(tick(1)))
    assert (request.signal_id, request.strategy, request.reason, request.role) == (
        "cross-BTC-2",
        "cross",
        "time",
        OrderRole.EXIT,
    )
    assert (request.side, request.type, request.qty, request.reduce_only) == (SELL, OrderType.MARKET, 4, True)
    fill = orders.handle(sold("cross-BTC-2-exit2", "4"))[0]
    assert isinstance(fill, Fill)
    assert (fill.signal_id, fill.reason) == ("cross-BTC-2", "time")
    assert not orders.is_overdue


def test_the_page_says_what_is_to_be_closed_and_how_often_it_was_tried() -> None:
    orders = leaving("1")
    seen = [orders.handle(tick(second)) for second in range(16)]
    (alert,) = [message for outputs in seen for message in outputs if isinstance(message, Alert)]
    assert (alert.name, alert.symbol) == (AlertName.EXIT_FAILED, "BTC")
    assert alert.what == "1 of BTC is to be closed (signal), tried once"
    assert f"tradebot cancel {EXIT}" in alert.mend
    refuse(orders)
    anew(orders, 16)
    again = [message for message in orders.handle(tick(80)) if isinstance(message, Alert)]
    assert again[0].what.endswith("tried 2 times; the venue says: too many requests")


def test_only_the_rest_is_placed_anew() -> None:
    orders = leaving("2")
    orders.handle(sold(EXIT, "0.5"))
    assert dones(orders.handle(canceled(EXIT, "ioc_cancel_rejected"))) == [(EXIT, OrderState.CANCELED, True)]
    orders.handle(tick(0))
    (request,) = requests(orders.handle(tick(1)))
    assert request.qty == Decimal("1.5")
    outputs = orders.handle(sold(request.client_order_id, "1.5", "t10"))
    assert dones(outputs) == [(request.client_order_id, OrderState.FILLED, False)]
    assert (orders.is_overdue, orders.save().held["BTC"].qty) == (False, 2)


def test_a_late_fill_of_what_was_refused_ends_the_wish() -> None:
    orders = leaving("2")
    refuse(orders)
    assert dones(orders.handle(sold(EXIT, "2"))) == [(EXIT, OrderState.FILLED, False)]
    assert not orders.is_overdue


def test_what_is_wanted_survives_a_restart_and_a_halt() -> None:
    orders = leaving()
    refuse(orders)
    orders.handle(tick(0))
    again = OrdersStage({"BTC": instrument()})
    again.load(decode(OrdersState, encode(orders.save())))
    again.handle(StateChanged(ts_event=FIRST, state=TradingState.HALTED, reason="operator"))
    assert again.is_overdue
    assert names(again.handle(tick(1))) == ["cross-BTC-2-exit2"]


def test_a_state_that_was_saved_before_there_were_wanted_exits_is_read() -> None:
    before = re.sub(rb',"wanted":.*', b"}", encode(leaving().save()))
    assert decode(OrdersState, before).wanted == {}


def test_a_venue_that_refuses_for_hours_fills_no_memory_and_ends_with_pages_alone() -> None:
    orders = leaving()
    name, second = EXIT, 0
    last = signal("cross-BTC-2", Action.EXIT)
    state = orders.save()
    held = state.held["BTC"]
    while orders.save().held["BTC"].generation < held.generation + 200:
        refuse(orders, name)
        outputs: Sequence[Message] = ()
        while not names(outputs):
            second += 1
            outputs = orders.handle(tick(second))
        (name,) = names(outputs)
    assert len(orders.save().orders) < 5
    assert name == f"{last.id}-exit201"


def test_when_the_numbers_of_ids_are_used_up_only_pages_are_left() -> None:
    orders = leaving()
    refuse(orders)
    state = orders.save()
    orders.load(replace(state, held={"BTC": replace(state.held["BTC"], generation=4_000)}))
    seen = [orders.handle(tick(second)) for second in range(100)]
    assert [names(outputs) for outputs in seen] == [[]] * 100
    assert [second for second, outputs in enumerate(seen) if pages(outputs)] == [15, 75]


# No answer --------------------------------------------------------------------------------------------------


def test_an_exit_that_is_never_answered_is_followed_once_it_must_be_dead() -> None:
    orders = leaving()
    seen = {second: names(outputs) for second in range(70) if names(outputs := orders.handle(tick(second)))}
    assert seen == {30: ["cross-BTC-2-exit2"], 61: ["cross-BTC-2-exit3"]}
    # The first one's end changes nothing: another is at work.
    assert dones(refuse(orders)) == [(EXIT, OrderState.REJECTED, True)]
    assert names(orders.handle(tick(71))) == []


def test_an_exit_of_a_part_that_is_never_answered_is_not_followed_but_told() -> None:
    orders = leaving("1")
    seen = [orders.handle(tick(second)) for second in range(70)]
    assert [name for outputs in seen for name in names(outputs)] == []
    assert [second for second, outputs in enumerate(seen) if pages(outputs)] == [15]


def test_an_exit_that_the_venue_works_on_is_waited_for() -> None:
    orders = leaving()
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=EXIT, venue_order_id="7"))
    assert [orders.handle(tick(second)) for second in range(70)] == [[]] * 70


# What others do meanwhile -----------------------------------------------------------------------------------


def test_nothing_is_wanted_of_a_position_that_is_gone_or_turned_round() -> None:
    for size in ("4", "5"):
        orders = leaving()
        refuse(orders)
        orders.handle(sold("venue-5", size))
        assert orders.save().wanted == {}


def test_what_others_close_is_taken_off_what_is_wanted_and_the_last_order_is_told_anew() -> None:
    orders = leaving("2")
    refuse(orders)
    assert dones(orders.handle(sold("venue-5", "0.5"))) == []
    assert dones(orders.handle(sold(STOP, "1", "t10"))) == []
    assert dones(orders.handle(fill_report("t11", "venue-6", size="1"))) == []
    assert dones(orders.handle(sold("venue-7", "0.5", "t12"))) == [(EXIT, OrderState.REJECTED, False)]
    assert (orders.is_overdue, orders.save().wanted) == (orders.save().wanted != {}, {})


def test_what_others_close_while_an_order_is_at_work_ends_with_that_order() -> None:
    orders = leaving("2")
    assert dones(orders.handle(sold("venue-5", "2"))) == []
    assert dones(refuse(orders)) == [(EXIT, OrderState.REJECTED, False)]
    assert orders.save().wanted == {}


def test_an_entry_that_was_to_turn_the_position_round_is_called_off() -> None:
    orders = leaving()
    orders.handle(approved(signal("cross-BTC-3", side=PositionSide.SHORT, stop="110"), "4"))
    outputs = refuse(orders)
    assert [m.client_order_id for m in outputs if isinstance(m, CancelOrder)] == ["cross-BTC-3-entry"]
    assert names(outputs) == []


# Who takes over ---------------------------------------------------------------------------------------------


def test_an_operators_exit_takes_over_from_one_that_was_refused() -> None:
    orders = leaving("1")
    refuse(orders)
    (request,) = requests(orders.handle(approved(signal("manual-BTC-1", Action.EXIT, reason="manual"), "4")))
    assert (request.client_order_id, request.qty, request.reason) == ("manual-BTC-1-exit", 4, "manual")
    refuse(orders, "manual-BTC-1-exit")
    assert [names(orders.handle(tick(second))) for second in range(3)] == [[], [], ["manual-BTC-1-exit2"]]


def test_it_waits_for_an_order_at_work_and_takes_what_that_leaves() -> None:
    orders = leaving()
    refuse(orders)
    assert anew(orders, 0) == "cross-BTC-2-exit2"
    assert orders.handle(approved(signal("manual-BTC-1", Action.EXIT, reason="manual"), "4")) == ()
    orders.handle(sold("cross-BTC-2-exit2", "1"))
    # What it was to do is another's now.
    assert dones(orders.handle(canceled("cross-BTC-2-exit2", "ioc"))) == [
        ("cross-BTC-2-exit2", OrderState.CANCELED, False)
    ]
    outputs = [orders.handle(tick(second)) for second in (2, 3)]
    (request,) = [request for one in outputs for request in requests(one)]
    assert (request.client_order_id, request.qty) == ("manual-BTC-1-exit", 3)


def test_an_exit_that_took_over_and_never_had_an_order_is_told_when_nothing_is_left_of_it() -> None:
    orders = leaving()
    orders.handle(approved(signal("manual-BTC-1", Action.EXIT), "1"))
    orders.handle(sold("venue-5", "1"))
    assert orders.is_overdue
    # The order at work when it took over may still have traded; now that it has ended nothing is to be done.
    told = [(EXIT, OrderState.CANCELED, False), ("manual-BTC-1-exit", OrderState.CANCELED, False)]
    assert dones(orders.handle(canceled(EXIT, "ioc"))) == told
    assert orders.save().wanted == {}
    assert not orders.is_overdue


def test_the_guard_closes_under_the_name_of_the_exit_that_was_wanted_before() -> None:
    orders = leaving("1")
    refuse(orders)
    outputs = orders.handle(canceled(STOP, "lost"))
    assert names(outputs) == ["cross-BTC-1-stop2"]
    (request,) = requests(refuse(orders, "cross-BTC-1-stop2", "bad_trigger_px"))
    assert (request.signal_id, request.reason, request.qty) == ("cross-BTC-2", "signal", 4)
    # One is at work: a further reason to close sends no second.
    orders.handle(sold(request.client_order_id, "1"))
    assert names(orders.handle(canceled(STOP, "lost"))) == []


def test_while_an_exit_of_a_part_is_at_work_the_guard_enlarges_what_is_wanted() -> None:
    orders = leaving("1")
    orders.handle(canceled(STOP, "lost"))
    assert names(refuse(orders, "cross-BTC-1-stop2", "bad_trigger_px")) == []
    assert orders.save().wanted["BTC"].left == 4


def test_an_exit_of_a_part_makes_the_closing_of_a_bare_position_no_smaller() -> None:
    orders = holding()
    orders.handle(canceled(STOP, "lost"))
    refuse(orders, *names(refuse(orders, "cross-BTC-1-stop2")))
    (request,) = requests(orders.handle(approved(signal("manual-BTC-1", Action.EXIT), "1")))
    assert (request.signal_id, request.qty) == ("manual-BTC-1", 4)


# An operator who wants it no more ---------------------------------------------------------------------------


def told(outputs: Sequence[Message]) -> CommandDone:
    (done,) = [message for message in outputs if isinstance(message, CommandDone)]
    return done


def test_an_exit_that_an_operator_cancels_at_work_is_not_placed_anew() -> None:
    orders = leaving()
    assert told(orders.handle(command(Verb.CANCEL, {"id": EXIT}))).error == ""
    assert dones(orders.handle(canceled(EXIT, "operator"))) == [(EXIT, OrderState.CANCELED, False)]
    assert not orders.is_overdue


@pytest.mark.parametrize("arguments", [{"id": EXIT}, {"all": "true"}])
def test_an_operator_gives_up_an_exit_between_two_tries(arguments: dict[str, str]) -> None:
    orders = leaving()
    refuse(orders)
    outputs = orders.handle(command(Verb.CANCEL, arguments))
    assert dones(outputs) == [(EXIT, OrderState.REJECTED, False)]
    assert told(outputs).detail == "cancelling 1 order"
    assert not orders.is_overdue


def test_the_closing_of_a_position_that_lost_its_stop_goes_on_when_all_is_cancelled() -> None:
    orders = holding()
    orders.handle(canceled(STOP, "lost"))
    (name,) = names(refuse(orders, "cross-BTC-1-stop2"))
    refuse(orders, name)
    assert told(orders.handle(command(Verb.CANCEL, {"all": "true"}))).detail == "cancelling 0 orders"
    assert orders.save().wanted["BTC"].signal_id == "cross-BTC-1"
    assert told(orders.handle(command(Verb.CANCEL, {"id": ""}))).error


def test_a_stop_that_was_refused_tells_where_the_one_in_force_stands() -> None:
    orders = holding()
    moved = signal("cross-BTC-2", Action.MOVE_STOP, stop="95")
    orders.handle(approved(moved))
    (refused,) = refuse(orders, "cross-BTC-1-stop2")
    assert isinstance(refused, OrderDone)
    assert refused.stop_price == 90
    orders.handle(approved(signal("cross-BTC-3", Action.MOVE_STOP, stop="93")))
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id="cross-BTC-1-stop3", venue_order_id="8"))
    (replaced,) = orders.handle(canceled(STOP, "replaced"))
    assert isinstance(replaced, OrderDone)
    assert replaced.stop_price is None


def test_an_exit_of_a_position_that_only_risk_knows_is_sent_once() -> None:
    orders = OrdersStage({"BTC": instrument()})
    assert names(orders.handle(approved(signal("cross-BTC-2", Action.EXIT)))) == [EXIT]
    assert dones(refuse(orders)) == [(EXIT, OrderState.REJECTED, False)]
    assert not orders.is_overdue


def test_a_stop_that_is_not_there_is_not_moved() -> None:
    orders = holding()
    orders.handle(canceled(STOP, "position_closed"))
    assert orders.handle(approved(signal("cross-BTC-2", Action.MOVE_STOP, stop="95"))) == []
