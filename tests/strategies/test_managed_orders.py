"""Orders of a managed position: a ladder of targets, a stop that moves, an entry that waits and is withdrawn."""

import json
from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.builders import (
    approved,
    bar,
    bars_closed,
    canceled,
    cash,
    fill,
    fill_report,
    instrument,
    minute,
    price,
    replace,
    signal,
)
from tradebot.model.command import TradingState
from tradebot.model.market import Message
from tradebot.model.order import (
    CancelOrder,
    Fill,
    OrderAccepted,
    OrderDone,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderState,
    OrderType,
    PositionSide,
    SubmitOrders,
)
from tradebot.model.position import RoundTrip
from tradebot.model.signal import Action, Approved, Refused, Rung, Signal
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.report.why import WhyFold
from tradebot.store.codec import decode, encode

SELL = OrderSide.SELL
ENTRY, STOP = "cross-BTC-1-entry", "cross-BTC-1-stop"
LADDER = (("110", "0.5"), ("130", "0.5"))


def rungs(*steps: tuple[str, str]) -> tuple[Rung, ...]:
    return tuple(Rung(price=price(at), fraction=Decimal(part)) for at, part in steps)


def laddered(*steps: tuple[str, str], stop: str | None = "90") -> Signal:
    return replace(signal(stop=stop), ladder=rungs(*steps))


def waiting(*, until: int | None = None, void: str | None = None, symbol: str = "BTC") -> Signal:
    side, limit, stop = PositionSide.LONG, "95", "90"
    asked = signal(
        f"cross-{symbol}-1",
        side=side,
        symbol=symbol,
        entry_type=OrderType.LIMIT,
        entry_price=limit,
        stop=stop,
    )
    return replace(
        asked,
        expires_ts=None if until is None else minute(until),
        void_price=None if void is None else price(void),
    )


def moved(
    to: str | None, *, side: PositionSide = PositionSide.LONG, close: str = "105", strategy: str = "cross"
) -> Signal:
    asked = signal("cross-BTC-2", Action.MOVE_STOP, side, close=close, strategy=strategy, reason="trail")
    return replace(asked, stop=None if to is None else price(to))


def stage() -> OrdersStage:
    return OrdersStage({"BTC": instrument(), "ETH": instrument("ETH")})


def submitted(outputs: Sequence[Message]) -> list[OrderRequest]:
    return [request for message in outputs if isinstance(message, SubmitOrders) for request in message.orders]


def cancels(outputs: Sequence[Message]) -> list[tuple[str, str]]:
    return [(m.client_order_id, m.reason) for m in outputs if isinstance(m, CancelOrder)]


def accept(orders: OrdersStage, outputs: Sequence[Message]) -> list[Message]:
    after: list[Message] = []
    for request in submitted(outputs):
        name = request.client_order_id
        after += orders.handle(OrderAccepted(ts_event=minute(1), client_order_id=name, venue_order_id=f"v-{name}"))
    return after


def placed(asked: Signal, size: str = "1") -> OrdersStage:
    orders = stage()
    accept(orders, orders.handle(approved(asked, size)))
    return orders


def opened(asked: Signal, size: str = "1") -> OrdersStage:
    orders = placed(asked, size)
    orders.handle(fill_report(size=size))
    return orders


# A ladder ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "size", "expected"),
    [
        (LADDER, "1", ["0.5", "0.5"]),
        (LADDER, "0.001", ["0.001"]),
        (LADDER, "0.005", ["0.002", "0.003"]),
        ((("110", "0.333"), ("120", "0.333"), ("130", "0.334")), "0.01", ["0.003", "0.003", "0.004"]),
        ((("110", "0.3"), ("120", "0.3")), "1", ["0.3", "0.3"]),
    ],
)
def test_the_rungs_are_whole_lots_and_together_what_the_ladder_names(
    steps: tuple[tuple[str, str], ...], size: str, expected: list[str]
) -> None:
    orders = OrdersStage({"BTC": instrument(min_notional="0")})
    _, stop, *targets = submitted(orders.handle(approved(laddered(*steps), size)))
    assert [target.qty for target in targets] == [Decimal(qty) for qty in expected]
    assert stop.qty == Decimal(size)
    for target in targets:
        assert (target.role, target.side, target.reduce_only) == (OrderRole.TARGET, SELL, True)
        assert (target.parent_id, target.oco_id) == (ENTRY, None)


def test_the_first_rung_leaves_a_stop_for_the_rest_placed_before_the_old_one_goes() -> None:
    orders = opened(laddered(*LADDER))
    outputs = orders.handle(fill_report("t2", "cross-BTC-1-rung1", side=SELL, size="0.5", at="110"))
    assert [type(message) for message in outputs] == [Fill, OrderDone, SubmitOrders]
    (again,) = submitted(outputs)
    assert (again.client_order_id, again.qty, again.trigger) == ("cross-BTC-1-stop2", Decimal("0.5"), Decimal(90))
    assert cancels(accept(orders, outputs)) == [(STOP, "replaced")]
    assert orders.protection()[0].is_full
    orders.handle(canceled(STOP, "replaced"))
    assert orders.protection()[0].is_full


def test_the_last_rung_ends_the_position_and_the_stop() -> None:
    orders = opened(laddered(*LADDER))
    accept(orders, orders.handle(fill_report("t2", "cross-BTC-1-rung1", side=SELL, size="0.5", at="110")))
    outputs = orders.handle(fill_report("t3", "cross-BTC-1-rung2", side=SELL, size="0.5", at="130"))
    assert cancels(outputs) == [("cross-BTC-1-stop2", "position_closed")]
    assert orders.save().held == {}


def test_a_stop_placed_anew_grows_with_an_entry_that_goes_on_filling() -> None:
    orders = placed(laddered(*LADDER), "4")
    orders.handle(fill_report("t1", size="3"))
    accept(orders, orders.handle(fill_report("t2", "cross-BTC-1-rung1", side=SELL, size="2", at="110")))
    orders.handle(canceled(STOP, "replaced"))
    outputs = orders.handle(fill_report("t3", size="1"))
    accept(orders, outputs)
    assert [(r.client_order_id, r.qty) for r in submitted(outputs)] == [("cross-BTC-1-stop3", Decimal(2))]
    assert orders.protection()[0].is_full


# A stop that moves ------------------------------------------------------------------------------------------


def test_a_moved_stop_is_placed_before_the_old_one_goes_and_is_of_the_whole_position() -> None:
    orders = opened(laddered(*LADDER))
    outputs = orders.handle(approved(moved("101.5")))
    assert [type(message) for message in outputs] == [SubmitOrders]
    (request,) = submitted(outputs)
    assert (request.client_order_id, request.trigger, request.qty, request.reason) == (
        "cross-BTC-1-stop2",
        Decimal("101.5"),
        Decimal(1),
        "trail",
    )
    assert cancels(accept(orders, outputs)) == [(STOP, "replaced")]
    assert orders.protection()[0].is_full
    orders.handle(canceled(STOP, "replaced"))
    booked = orders.handle(fill_report("t2", "cross-BTC-1-stop2", side=SELL, at="101.5"))[0]
    assert isinstance(booked, Fill)
    assert booked.reason == "trail"


def test_a_moved_stop_that_is_resized_stays_where_it_was_moved_to() -> None:
    orders = opened(laddered(*LADDER))
    accept(orders, orders.handle(approved(moved("101.5"))))
    orders.handle(canceled(STOP, "replaced"))
    (again,) = submitted(orders.handle(fill_report("t2", "cross-BTC-1-rung1", side=SELL, size="0.5", at="110")))
    assert (again.client_order_id, again.trigger, again.reason) == ("cross-BTC-1-stop3", Decimal("101.5"), "trail")


def test_nothing_is_moved_without_a_position_a_stop_or_a_price() -> None:
    assert list(stage().handle(approved(moved("101")))) == []
    assert list(opened(laddered(stop=None)).handle(approved(moved("101")))) == []
    assert list(opened(laddered()).handle(approved(moved(None)))) == []


def desk_with(side: PositionSide = PositionSide.LONG, stop: str | None = "90") -> RiskStage:
    risk = RiskStage({"BTC": instrument()}, cash(10_000), SizeRule(SizeKind.QTY, Decimal(4)), Limits())
    risk.handle(bars_closed(bar()))
    (decision,) = risk.handle(signal(side=side, stop=stop))
    assert isinstance(decision, Approved), decision
    risk.handle(fill(side=side.entry, size="2"))
    return risk


def decide(risk: RiskStage, wish: Signal) -> Approved | Refused:
    (decision,) = risk.handle(wish)
    assert isinstance(decision, Approved | Refused)
    return decision


@pytest.mark.parametrize(
    ("wish", "gate"),
    [
        (moved("90"), "stop_not_better"),
        (moved("89.9"), "stop_not_better"),
        (moved("105"), "bad_stop"),
        (moved("106"), "bad_stop"),
        (moved(None), "no_stop"),
        (moved("95", side=PositionSide.SHORT), "no_position"),
        (moved("95", strategy="break"), "no_position"),
    ],
)
def test_a_stop_is_only_ever_moved_in_favour_and_by_its_owner(wish: Signal, gate: str) -> None:
    decision = decide(desk_with(), wish)
    assert isinstance(decision, Refused)
    assert decision.gate == gate


def test_a_position_without_a_stop_has_none_to_move() -> None:
    decision = decide(desk_with(stop=None), moved("95"))
    assert isinstance(decision, Refused)
    assert decision.gate == "no_stop"


@pytest.mark.parametrize(
    ("side", "stop", "first", "looser", "close"),
    [(PositionSide.LONG, "90", "95", "92", "105"), (PositionSide.SHORT, "110", "105", "108", "95")],
)
def test_a_moved_stop_is_not_loosened_by_what_fills_later_nor_by_a_restart(
    side: PositionSide, stop: str, first: str, looser: str, close: str
) -> None:
    risk = desk_with(side, stop)
    decision = decide(risk, moved(first, side=side, close=close))
    assert isinstance(decision, Approved)
    assert decision.qty == 2
    risk.handle(fill("t2", side.entry, "1"))
    again = desk_with(side, stop)
    again.load(risk.save())
    for one in (risk, again):
        refused = decide(one, moved(looser, side=side, close=close))
        assert isinstance(refused, Refused)
        assert (refused.gate, refused.limit) == ("stop_not_better", Decimal(first))


def test_a_reversal_begins_with_the_stop_of_its_own_entry() -> None:
    risk = desk_with()
    risk.handle(fill("t2", size="2"))
    decide(risk, moved("99", close="105"))
    assert isinstance(decide(risk, signal("cross-BTC-3", Action.EXIT)), Approved)
    short = signal("cross-BTC-4", side=PositionSide.SHORT, stop="120")
    assert isinstance(decide(risk, short), Approved)
    risk.handle(fill("t3", SELL, "4", signal_id="cross-BTC-3", role=OrderRole.EXIT))
    risk.handle(fill("t4", SELL, "4", signal_id="cross-BTC-4"))
    assert risk.trading_state is TradingState.RUNNING
    assert isinstance(decide(risk, moved("115", side=PositionSide.SHORT, close="100")), Approved)


def test_the_round_trip_of_a_trailed_position_ends_by_trail() -> None:
    risk = desk_with()
    risk.handle(fill("t2", SELL, "1", "110", role=OrderRole.TARGET, reason="target"))
    outputs = risk.handle(fill("t3", SELL, "1", "101", role=OrderRole.STOP, reason="trail"))
    (trip,) = [message for message in outputs if isinstance(message, RoundTrip)]
    assert (trip.exit_reason, trip.exit_price, trip.qty) == ("trail", Decimal("105.5"), Decimal(2))


# An entry that waits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "closes", "expected"),
    [
        (waiting(until=4), ["100", "100", "100"], [(4, "expired")]),
        (waiting(void="91"), ["91", "90.9", "100"], [(3, "invalidated")]),
        (waiting(until=3, void="91"), ["100", "90", "100"], [(3, "invalidated")]),
        (waiting(), ["1", "1", "1"], []),
    ],
)
def test_a_waiting_entry_is_withdrawn_once_at_the_close_that_ends_it(
    asked: Signal, closes: list[str], expected: list[tuple[int, str]]
) -> None:
    orders, found = placed(asked), []
    for number, close in enumerate(closes, start=2):
        outputs = orders.handle(bars_closed(bar(number, close)))
        found += [(number, reason) for name, reason in cancels(outputs) if name == ENTRY]
    assert found == expected


def test_a_short_that_waits_is_withdrawn_above_its_price() -> None:
    short = signal(side=PositionSide.SHORT, entry_type=OrderType.LIMIT, entry_price="105", stop="110")
    orders = placed(replace(short, void_price=price("109")))
    assert orders.handle(bars_closed(bar(2, "109"))) == []
    assert cancels(orders.handle(bars_closed(bar(3, "109.1")))) == [(ENTRY, "invalidated")]


def test_only_the_bars_of_its_own_symbol_end_a_waiting_entry() -> None:
    orders = placed(waiting(until=2, void="91"))
    assert orders.handle(bars_closed(bar(5, "1", symbol="ETH"))) == []
    assert cancels(orders.handle(bars_closed(bar(6, "100")))) == [(ENTRY, "expired")]


def test_an_entry_that_filled_is_not_withdrawn() -> None:
    orders = placed(waiting(until=3))
    orders.handle(fill_report(at="95"))
    assert list(orders.handle(bars_closed(bar(3, "100")))) == []
    assert list(orders.handle(bars_closed(bar(4, "100")))) == []


def test_an_entry_that_is_gone_is_not_withdrawn() -> None:
    orders = placed(waiting(until=3))
    orders.handle(canceled(ENTRY))
    assert list(orders.handle(bars_closed(bar(3, "100")))) == []


def test_what_a_withdrawn_entry_had_filled_keeps_its_stop() -> None:
    orders = placed(replace(waiting(until=3), ladder=rungs(*LADDER)), "4")
    orders.handle(fill_report(size="1", at="95"))
    orders.handle(bars_closed(bar(3, "100")))
    orders.handle(canceled(ENTRY, "expired"))
    assert orders.protection()[0].is_full


def test_a_waiting_entry_is_withdrawn_after_a_restart_as_well() -> None:
    before = placed(waiting(until=3, void="91"))
    after = stage()
    after.load(decode(OrdersState, encode(before.save())))
    for number, close in ((2, "100"), (3, "100")):
        closed = bars_closed(bar(number, close))
        assert list(after.handle(closed)) == list(before.handle(closed))
    assert after.save() == before.save()
    assert after.save().orders[ENTRY].is_canceling


@pytest.mark.parametrize(("close", "number", "said"), [("100", 3, "expired"), ("90", 2, "invalidated")])
def test_why_says_what_became_of_a_withdrawn_entry(close: str, number: int, said: str) -> None:
    orders, told = stage(), WhyFold()
    decision = approved(waiting(until=3, void="91"))
    outputs = [decision, *orders.handle(decision)]
    accept(orders, outputs)
    outputs += orders.handle(bars_closed(bar(number, close)))
    outputs += orders.handle(canceled(ENTRY, said, minute(number)))
    for message in outputs:
        told.add(message)
    (row,) = told.rows()
    assert row["outcome"] == "expired"
    assert f'"reason": "{said}"' in json.dumps(row)
    assert orders.save().orders == {}
    assert all(m.state is OrderState.CANCELED for m in outputs if isinstance(m, OrderDone))
