"""The venue changes the rules of a symbol, or trades it no more: orders are formed by what holds then."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FIRST, instrument
from tests.orders.test_exits import EXIT, STOP, dones, holding, leaving, names, pages, requests
from tests.orders.test_refusals import again, refuse, ticks
from tradebot.model.command import AlertName
from tradebot.model.instrument import InstrumentSeen, Listing
from tradebot.model.market import Message
from tradebot.model.order import CancelOrder, OrderCanceled, OrderState, RefusalClass, SubmitOrders
from tradebot.pipeline.orders.exits import UNTRADED
from tradebot.pipeline.orders.stage import OrdersStage

D = Decimal


def seen(listing: Listing = Listing.TRADED, **rules: str) -> InstrumentSeen:
    return InstrumentSeen(ts_event=FIRST, instrument=instrument(**rules), listing=listing)  # type: ignore[arg-type]


def lose_stop(orders: OrdersStage, name: str = STOP) -> Sequence[Message]:
    return orders.handle(OrderCanceled(ts_event=FIRST, client_order_id=name, reason="operator"))


def test_an_exit_refused_by_the_old_lot_goes_in_the_new_one_at_the_next_tick() -> None:
    orders = leaving("0.125", of="0.125")
    refuse(orders, EXIT, RefusalClass.OFF_GRID)
    assert names(ticks(orders, 0, 20)) == []
    assert orders.handle(seen(lot="0.01")) == ()
    orders = again(orders)
    (request,) = requests(ticks(orders, 20, 2))
    assert request.qty == D("0.13"), "all of it: what is rounded down would leave what no order closes"


def test_a_part_is_rounded_down_and_never_to_nothing() -> None:
    orders = leaving("0.055", of="0.125")
    refuse(orders, EXIT, RefusalClass.OFF_GRID)
    orders.handle(seen(lot="0.01"))
    assert [request.qty for request in requests(ticks(orders, 0, 2))] == [D("0.05")]
    orders = leaving("0.005", of="0.125")
    refuse(orders, EXIT, RefusalClass.OFF_GRID)
    orders.handle(seen(lot="0.01"))
    assert [request.qty for request in requests(ticks(orders, 0, 2))] == [D("0.01")]


@given(lot=st.sampled_from(["0.001", "0.01", "0.1", "1"]), held=st.integers(1, 3_000))
def test_whatever_the_lot_becomes_all_of_a_position_can_be_closed_and_covered(lot: str, held: int) -> None:
    size = D(held) / 1000
    orders = holding(str(size))
    orders.handle(seen(lot=lot))
    (stop,) = requests(lose_stop(orders))
    assert stop.qty % D(lot) == 0
    assert size <= stop.qty < size + D(lot)
    (close,) = requests(refuse(orders, stop.client_order_id, RefusalClass.PASSING))
    assert close.qty % D(lot) == 0
    assert size <= close.qty < size + D(lot)


def test_a_stop_that_was_placed_anew_once_may_be_again_by_other_rules() -> None:
    orders = holding("0.125")
    (stop,) = requests(lose_stop(orders))
    orders.handle(seen(lot="0.01", tick="1"))
    (again_,) = requests(refuse(orders, stop.client_order_id, RefusalClass.OFF_GRID))
    assert (again_.role, again_.qty) == ("stop", D("0.13"))
    assert again_.trigger is not None
    assert again_.trigger % 1 == 0


def test_of_what_has_ended_nothing_is_sent_and_no_human_is_paged_again() -> None:
    orders = leaving("0.1", of="0.125")
    refuse(orders, EXIT, RefusalClass.NOT_TRADED)
    orders.handle(seen(Listing.DELISTED))
    orders = again(orders)
    assert dones(ticks(orders, 0, 1)) == [(EXIT, OrderState.REJECTED, False)], "the exit is not wanted further"
    assert names(lose_stop(orders)) == []
    outputs = ticks(orders, 1, 200)
    assert names(outputs) == []
    assert pages(outputs) == []
    assert not orders.is_overdue
    orders.handle(seen())
    assert len(requests(ticks(orders, 201, 3))) == 1, "listed again it gets its stop"


def test_what_is_halted_waits_and_its_naked_position_is_paged() -> None:
    orders = leaving("0.125", of="0.125")
    refuse(orders, EXIT, RefusalClass.NOT_TRADED)
    orders.handle(seen(Listing.HALTED))
    lose_stop(orders)
    outputs = ticks(orders, 0, 61)
    assert names(outputs) == []
    assert set(pages(outputs)) == {AlertName.UNPROTECTED, AlertName.EXIT_FAILED}
    orders.handle(seen())
    assert len(requests(ticks(orders, 61, 2))) == 1


def test_an_exit_of_nothing_held_in_what_has_ended_is_over_at_once() -> None:
    from tests.builders import approved, signal
    from tradebot.model.signal import Action

    orders = OrdersStage({"BTC": instrument()})
    orders.handle(seen(Listing.DELISTED))
    (done,) = orders.handle(approved(signal(action=Action.EXIT)))
    assert done.reason == UNTRADED


def test_entries_that_wait_are_withdrawn_when_a_symbol_ends() -> None:
    from tests.builders import approved, signal

    orders = OrdersStage({"BTC": instrument()})
    (submit,) = orders.handle(approved(signal()))
    assert isinstance(submit, SubmitOrders)
    (cancel,) = orders.handle(seen(Listing.DELISTED))
    assert isinstance(cancel, CancelOrder)
    assert cancel.reason == "not_traded"


def test_the_rules_of_another_symbol_change_nothing() -> None:
    orders = leaving("0.125", of="0.125")
    refuse(orders, EXIT, RefusalClass.OFF_GRID)
    orders.handle(seen(symbol="ETH", lot="0.01"))
    assert names(ticks(orders, 0, 20)) == []
