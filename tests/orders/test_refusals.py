"""An order refused for a reason that lasts is never sent again as it was: another form, another way, or a human."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FIRST, approved, canceled, command, fill_report, instrument, replace, signal
from tests.orders.test_exits import (
    ENTRY,
    EXIT,
    STOP,
    dones,
    holding,
    leaving,
    names,
    pages,
    requests,
    sold,
    tick,
)
from tradebot.model.command import Alert, AlertName, StateChanged, TradingState, Verb
from tradebot.model.market import Message
from tradebot.model.order import (
    CancelOrder,
    OrderAccepted,
    OrderRejected,
    OrderRole,
    OrderState,
    OrderType,
    RefusalClass,
    SubmitOrders,
    TradingPermitted,
)
from tradebot.model.signal import Action
from tradebot.pipeline.orders.exits import BARRED
from tradebot.pipeline.orders.facts import KEY_MEND
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.store.codec import decode, encode

D = Decimal
R = RefusalClass
PERMITTED = TradingPermitted(ts_event=FIRST)


def refuse(orders: OrdersStage, name: str, refusal: RefusalClass, words: str = "no") -> Sequence[Message]:
    return orders.handle(OrderRejected(ts_event=FIRST, client_order_id=name, reason=words, refusal=refusal))


def ticks(orders: OrdersStage, first: int, count: int) -> list[Message]:
    return [message for second in range(first, first + count) for message in orders.handle(tick(second))]


def again(orders: OrdersStage) -> OrdersStage:
    """The stage as a boot finds it."""
    made = OrdersStage({"BTC": instrument()})
    made.load(decode(OrdersState, encode(orders.save())))
    return made


# The form of an exit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [R.OFF_GRID, R.NOT_TRADED, R.TOO_SMALL])
def test_an_exit_that_is_refused_for_good_is_not_sent_again_but_told_at_once_and_each_minute(refusal: R) -> None:
    orders = leaving()
    assert dones(refuse(orders, EXIT, refusal, "Order has invalid size.")) == [(EXIT, OrderState.REJECTED, True)]
    outputs = ticks(orders, 0, 130)
    assert names(outputs) == []
    assert pages(outputs) == [AlertName.EXIT_FAILED] * 3
    alert = next(message for message in outputs if isinstance(message, Alert))
    assert alert.what.endswith("the venue says: Order has invalid size.")
    assert orders.is_overdue


def test_it_goes_in_the_lots_that_hold_after_a_boot_that_knows_them() -> None:
    orders = leaving("0.125", of="0.125")
    refuse(orders, EXIT, R.OFF_GRID)
    coarser = OrdersStage({"BTC": replace(instrument(), lot=D("0.01"))})
    coarser.load(decode(OrdersState, encode(orders.save())))
    (request,) = requests(ticks(coarser, 0, 12))
    assert request.qty == D("0.13"), "0.12 would leave what no order can close; the venue cuts what only reduces"


def test_it_goes_when_the_position_is_another() -> None:
    orders = leaving()
    refuse(orders, EXIT, R.OFF_GRID)
    assert names(ticks(orders, 0, 20)) == []
    orders.handle(sold("venue-5", "1"))
    (request,) = requests(ticks(orders, 20, 12))
    assert request.qty == 3


def test_an_operator_may_try_it_once_more() -> None:
    orders = leaving()
    refuse(orders, EXIT, R.NOT_TRADED)
    assert names(orders.handle(approved(signal("manual-BTC-1", Action.EXIT), "4"))) == ["manual-BTC-1-exit"]
    refuse(orders, "manual-BTC-1-exit", R.NOT_TRADED)
    assert names(ticks(orders, 0, 20)) == []


def test_a_boot_may_try_it_once_more() -> None:
    orders = leaving()
    assert not orders.is_news(PERMITTED)
    refuse(orders, EXIT, R.OFF_GRID)
    assert orders.is_news(PERMITTED)
    assert orders.handle(PERMITTED) == ()
    assert not orders.is_news(PERMITTED)
    assert names(ticks(orders, 0, 2)) == ["cross-BTC-2-exit2"]


def test_an_exit_that_is_too_large_goes_in_halves_until_nothing_is_left() -> None:
    orders = leaving()
    refuse(orders, EXIT, R.TOO_LARGE)
    sizes, name, position, second = [], "", D(4), 0
    while position:
        (request,) = requests(ticks(orders, second, 3))
        second += 3
        sizes.append(request.qty)
        name = request.client_order_id
        if request.qty > 1:
            refuse(orders, name, R.TOO_LARGE)
            continue
        orders.handle(sold(name, str(request.qty), f"t{second}"))
        position -= request.qty
    assert sizes == [2, 1, 1, 1, 1]
    assert not orders.is_overdue


def test_a_rest_that_is_too_small_for_an_order_is_left_to_the_stop() -> None:
    orders = leaving("2")
    orders.handle(sold(EXIT, "1.9"))
    assert dones(orders.handle(canceled(EXIT, "ioc_canceled"))) == [(EXIT, OrderState.CANCELED, True)]
    (name,) = names(ticks(orders, 0, 3))
    assert dones(refuse(orders, name, R.TOO_SMALL)) == [(name, OrderState.REJECTED, False)]
    assert orders.save().wanted == {}


@pytest.mark.parametrize("refusal", [R.OFF_TICK, R.TRIGGERED, R.PASSING, R.UNSENT])
def test_an_order_at_market_has_another_price_each_time_and_is_tried_again(refusal: R) -> None:
    orders = leaving()
    refuse(orders, EXIT, refusal)
    assert names(ticks(orders, 0, 3)) == ["cross-BTC-2-exit2"]


# The form of a stop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [R.OFF_TICK, R.OFF_GRID, R.NOT_TRADED, R.TOO_LARGE, R.TOO_SMALL])
def test_a_stop_that_is_refused_for_good_is_not_placed_anew_but_the_position_closed(refusal: R) -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(approved(signal(stop="90"), "4"))
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=ENTRY, venue_order_id="v1"))
    outputs = [*refuse(orders, STOP, refusal), *orders.handle(fill_report(size="4"))]
    assert [request.role for request in requests(outputs)] == [OrderRole.EXIT]


def test_a_stop_that_was_refused_for_now_is_placed_anew() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(approved(signal(stop="90"), "4"))
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=ENTRY, venue_order_id="v1"))
    outputs = [*refuse(orders, STOP, R.PASSING), *orders.handle(fill_report(size="4"))]
    assert [request.role for request in requests(outputs)] == [OrderRole.STOP]


# The key ----------------------------------------------------------------------------------------------------


def test_while_the_key_may_not_trade_no_exit_is_sent_and_the_page_says_what_helps() -> None:
    orders = leaving()
    refuse(orders, EXIT, R.KEY, "User or API Wallet 0x1 does not exist.")
    outputs = ticks(orders, 0, 100)
    assert names(outputs) == []
    assert pages(outputs) == [AlertName.EXIT_FAILED] * 2
    alert = next(message for message in outputs if isinstance(message, Alert))
    assert (alert.mend, "tradebot close" in alert.mend) == (KEY_MEND, False)
    orders = again(orders)
    assert names(ticks(orders, 100, 20)) == []
    orders.handle(PERMITTED)
    assert names(ticks(orders, 120, 2)) == ["cross-BTC-2-exit2"]


def test_a_bare_position_of_a_dead_key_gets_one_order_and_pages_and_its_stop_when_the_key_may_trade() -> None:
    orders = holding()
    assert names(orders.handle(canceled(STOP, "canceled"))) == ["cross-BTC-1-stop2"]
    outputs = [*refuse(orders, "cross-BTC-1-stop2", R.KEY), *ticks(orders, 0, 130)]
    assert names(outputs) == []
    assert pages(outputs) == [AlertName.UNPROTECTED] * 3
    assert {message.mend for message in outputs if isinstance(message, Alert)} == {KEY_MEND}
    orders.handle(StateChanged(ts_event=FIRST, state=TradingState.RUNNING, reason="operator: resume"))
    outputs = ticks(orders, 130, 3)
    (request,) = requests(outputs)
    assert (request.client_order_id, request.trigger, request.qty) == ("cross-BTC-1-stop3", 90, 4)


def test_an_exit_that_is_asked_for_while_the_key_may_not_trade_goes_when_it_may() -> None:
    orders = holding()
    orders.handle(canceled(STOP, "canceled"))
    refuse(orders, "cross-BTC-1-stop2", R.KEY)
    assert names(orders.handle(approved(signal("manual-BTC-1", Action.EXIT, reason="manual"), "4"))) == []
    assert AlertName.EXIT_FAILED in pages(ticks(orders, 0, 20))
    orders.handle(PERMITTED)
    outputs = ticks(orders, 20, 3)
    assert "manual-BTC-1-exit" in names(outputs)


def test_an_exit_of_a_position_that_only_risk_knows_is_refused_while_the_key_may_not_trade() -> None:
    orders = leaving()
    refuse(orders, EXIT, R.KEY)
    ((name, state, is_wanted),) = dones(orders.handle(approved(signal("cross-ETH-1", Action.EXIT, symbol="ETH"), "1")))
    assert (name, state, is_wanted) == ("cross-ETH-1-exit", OrderState.REJECTED, False)
    assert BARRED


def test_what_was_to_be_cancelled_is_asked_for_again_when_the_key_may_trade() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(approved(signal(entry_type=OrderType.LIMIT, entry_price="95", stop="90"), "4"))
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=ENTRY, venue_order_id="v1"))
    orders.handle(command(Verb.CANCEL, {"id": ENTRY}))
    orders.handle(approved(signal("cross-ETH-1", symbol="ETH", stop="90"), "1"))
    refuse(orders, "cross-ETH-1-entry", R.KEY)
    outputs = orders.handle(PERMITTED)
    assert [message.client_order_id for message in outputs if isinstance(message, CancelOrder)] == [ENTRY]


def test_a_fill_of_another_size_sends_nothing_while_the_key_may_not_trade() -> None:
    orders = holding()
    orders.handle(approved(signal("cross-BTC-1", Action.MOVE_STOP, stop="95")))
    refuse(orders, "cross-BTC-1-stop2", R.KEY)
    assert names(orders.handle(sold("venue-7", "1"))) == []


def test_a_refusal_of_an_order_that_nobody_knows_bars_nothing() -> None:
    orders = holding()
    refuse(orders, "cross-BTC-9-exit", R.KEY)
    assert not orders.save().is_barred


def test_a_state_from_before_refusals_had_a_class_is_read() -> None:
    before = leaving().save()
    text = encode(before)
    for new in (b',"is_barred":false', b',"refusal":"passing"', b',"refused":[]', b',"most":null', b',"words":""'):
        assert new in text
        text = text.replace(new, b"")
    assert decode(OrdersState, text) == before


@given(st.lists(st.sampled_from([*R]), max_size=30))
def test_no_exit_refused_for_good_is_ever_followed_by_the_same(refusals: list[R]) -> None:
    orders = leaving()
    name, size, second, lasting = EXIT, D(4), 0, set()
    for refusal in refusals:
        if refusal not in (R.PASSING, R.UNSENT, R.OFF_TICK, R.TRIGGERED, R.KEY):
            lasting.add(size)
        refuse(orders, name, refusal)
        if refusal is R.KEY:
            assert requests(ticks(orders, second, 12)) == []
            orders.handle(PERMITTED)
            lasting = set()
        sent = requests([m for m in ticks(orders, second, 24) if isinstance(m, SubmitOrders)])
        second += 24
        if not sent:
            assert size in lasting
            return
        (request,) = sent
        assert request.qty not in lasting
        name, size = request.client_order_id, request.qty
