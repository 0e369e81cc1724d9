"""The life of one order is a fold over a set: order and repetition of the venue's reports change nothing."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import order_request, qty
from tradebot.model.order import OrderState
from tradebot.pipeline.orders.lifecycle import TRANSITIONS, Order, OrderEvent

RANK = [
    OrderState.PENDING,
    OrderState.SUBMITTED,
    OrderState.OPEN,
    OrderState.PARTIALLY_FILLED,
    OrderState.FAILED,
    OrderState.REJECTED,
    OrderState.CANCELED,
    OrderState.FILLED,
]
LEADS_TO = {
    OrderEvent.SUBMIT: OrderState.SUBMITTED,
    OrderEvent.ACCEPT: OrderState.OPEN,
    OrderEvent.FILL: OrderState.PARTIALLY_FILLED,
    OrderEvent.FILL_LAST: OrderState.FILLED,
    OrderEvent.CANCEL: OrderState.CANCELED,
    OrderEvent.REJECT: OrderState.REJECTED,
    OrderEvent.FAIL: OrderState.FAILED,
}


def order(size: str = "4") -> Order:
    return Order(request=order_request(size=size), qty=qty(size))


@pytest.mark.parametrize(("state", "event"), list(product(OrderState, OrderEvent)))
def test_every_event_leads_to_the_higher_of_where_the_order_is_and_where_the_event_points(
    state: OrderState, event: OrderEvent
) -> None:
    assert TRANSITIONS[state].get(event, state) is max(state, LEADS_TO[event], key=RANK.index)


@pytest.mark.parametrize("state", OrderState)
def test_terminal_states_are_those_from_which_nothing_works_any_more(state: OrderState) -> None:
    assert state.is_terminal is (RANK.index(state) >= RANK.index(OrderState.FAILED))


EVENTS = st.lists(st.sampled_from(["submit", "accept", "cancel", "reject", "t1", "t2", "t3", "t4"]), min_size=1)


def fold(reports: list[str]) -> Order:
    folded = order()
    for report in reports:
        if report.startswith("t"):
            folded = folded.with_fill(report, Decimal(1))
        else:
            folded = folded.on(OrderEvent(report), reason=report, venue_order_id="o1" if report == "accept" else "")
    return folded


@given(EVENTS, st.data())
def test_any_permutation_and_duplication_of_reports_gives_the_same_order(
    reports: list[str], data: st.DataObject
) -> None:
    repeated = reports + data.draw(st.lists(st.sampled_from(reports)))
    shuffled = data.draw(st.permutations(repeated))
    first, second = fold(reports), fold(list(shuffled))
    assert first.state is second.state
    assert first.fills == second.fills
    assert first.filled_qty == second.filled_qty == len({r for r in reports if r.startswith("t")})
    assert first.venue_order_id == second.venue_order_id


def test_a_fill_after_the_cancellation_is_booked() -> None:
    late = order().on(OrderEvent.CANCEL, reason="operator").with_fill("t1", Decimal(1))
    assert (late.state, late.filled_qty, late.reason) == (OrderState.CANCELED, 1, "operator")
    assert late.with_fill("t2", Decimal(3)).state is OrderState.FILLED


def test_more_than_was_asked_for_leaves_nothing_to_trade() -> None:
    over = order().with_fill("t1", Decimal(3)).with_fill("t2", Decimal(2))
    assert (over.state, over.filled_qty, over.left) == (OrderState.FILLED, 5, 0)


def test_an_order_whose_entry_filled_less_is_done_when_that_is_filled() -> None:
    smaller = order().resized(Decimal(2))
    assert smaller.state is OrderState.PENDING
    assert smaller.with_fill("t1", Decimal(2)).state is OrderState.FILLED
    assert order().with_fill("t1", Decimal(2)).resized(Decimal(2)).state is OrderState.FILLED
    assert order().with_fill("t1", Decimal(1)).resized(Decimal(2)).state is OrderState.PARTIALLY_FILLED


def test_an_order_waits_until_it_ends_or_is_asked_to_end() -> None:
    sent = order().on(OrderEvent.SUBMIT)
    assert sent.is_unknown
    assert sent.is_waiting
    accepted = sent.on(OrderEvent.ACCEPT)
    assert not accepted.is_unknown
    assert not accepted.on(OrderEvent.CANCEL).is_waiting
