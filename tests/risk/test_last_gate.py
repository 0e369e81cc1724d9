"""The last look at an order: what it stops, what it never stops, and what the line makes of its answers."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    bar,
    bars_closed,
    cash,
    command,
    fill,
    instrument,
    minute,
    order_request,
    price,
    qty,
    replace,
    signal,
)
from tests.risk.test_trading_line import Nothing
from tradebot.model.command import Alert, AlertName, Verb
from tradebot.model.instrument import InstrumentSeen, Listing
from tradebot.model.market import Message
from tradebot.model.order import (
    CancelOrder,
    OrderDone,
    OrderFound,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderState,
    OrderType,
    PositionSide,
    RefusalClass,
    SubmitOrders,
)
from tradebot.model.signal import Approved, Signal
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.orders.brackets import bracket
from tradebot.pipeline.risk.last_gate import LastGate
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.order_gates.own_orders import OpeningState, OwnOrdersGate
from tradebot.pipeline.risk.order_gates.rate import RateGate, RateState
from tradebot.pipeline.risk.order_gates.sequence import MEASURES, ORDER_GATES
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.settings.model import RiskSettings
from tradebot.store.codec import decode, encode

LONG, SHORT = PositionSide
BTC = instrument()


class Taker:
    """A venue that takes whatever comes to it, and says nothing."""

    STATE = Nothing

    def __init__(self) -> None:
        self.taken: list[Message] = []

    def handle(self, message: Message) -> Sequence[Message]:
        self.taken.append(message)
        return ()

    def save(self) -> Nothing:
        return Nothing()

    def load(self, state: Any) -> None:
        self.loaded = state


class World:
    """A risk stage and its last gate, at prices of 100."""

    def __init__(self, size: str = "1", **limits: str) -> None:
        set_ = Limits({name: Decimal(limit) for name, limit in limits.items()})
        self.instruments = {symbol: instrument(symbol) for symbol in ("BTC", "ETH")}
        self.risk = RiskStage(self.instruments, cash(10_000), SizeRule(SizeKind.QTY, Decimal(size)), set_)
        self.venue = Taker()
        self.gate = LastGate(self.venue, self.risk)
        for symbol in self.instruments:
            self.risk.handle(bars_closed(bar(symbol=symbol)))

    def approve(self, wish: Signal) -> tuple[OrderRequest, ...]:
        """The orders of a signal that passed."""
        (decision,) = self.risk.handle(wish)
        assert isinstance(decision, Approved)
        return bracket(decision, self.instruments[wish.symbol])

    def send(self, *orders: OrderRequest, at: Nanos | None = None) -> Sequence[Message]:
        """What is answered in place of the venue."""
        ts = orders[0].ts_event if at is None else at
        return self.gate.handle(
            SubmitOrders(ts_event=ts, orders=tuple(replace(order, ts_event=ts) for order in orders))
        )

    def end(self, order: OrderRequest, state: OrderState = OrderState.FILLED, at: Nanos | None = None) -> None:
        self.risk.handle(
            OrderDone(
                ts_event=order.ts_event if at is None else at,
                client_order_id=order.client_order_id,
                signal_id=order.signal_id,
                strategy=order.strategy,
                symbol=order.symbol,
                role=order.role,
                state=state,
                filled_qty=qty(0),
                reason="",
            )
        )


def stopped(answers: Sequence[Message]) -> str:
    """By which gate the first order was stopped; empty where none was."""
    rejected = [answer for answer in answers if isinstance(answer, OrderRejected)]
    return rejected[0].reason.partition(":")[0] if rejected else ""


def pages(answers: Sequence[Message]) -> list[str]:
    return [answer.about for answer in answers if isinstance(answer, Alert) and answer.name is AlertName.ORDER_STOPPED]


def exit_(name: str = "cross-BTC-1-exit", **changes: Any) -> OrderRequest:
    return replace(order_request(name, role=OrderRole.EXIT, side=OrderSide.SELL), **changes)


def test_what_was_approved_goes_whole_and_once() -> None:
    world = World()
    orders = world.approve(signal(stop="90", target="120"))
    assert world.send(*orders) == ()
    assert world.venue.taken == [SubmitOrders(ts_event=orders[0].ts_event, orders=orders)]
    again = [replace(order, client_order_id=f"{order.client_order_id}-2") for order in orders]
    answers = world.send(*again)
    assert stopped(answers) == "no_intent"
    assert len(world.venue.taken) == 1
    # The whole bracket is refused, and its entry speaks for it.
    assert [type(answer) for answer in answers].count(OrderRejected) == 3
    assert pages(answers) == ["cross-BTC-1-entry-2"]


@pytest.mark.parametrize(
    "changes",
    [
        {"signal_id": "cross-BTC-7"},
        {"symbol": "ETH"},
        {"side": OrderSide.SELL},
        {"qty": qty("1.001")},
    ],
)
def test_an_entry_that_is_not_what_was_approved_is_stopped(changes: dict[str, Any]) -> None:
    world = World()
    (entry,) = world.approve(signal())
    assert stopped(world.send(replace(entry, **changes))) == "no_intent"
    assert world.send(entry) == ()


@pytest.mark.parametrize(
    "changes",
    [{"reduce_only": False}, {"symbol": "ETH"}, {"side": OrderSide.BUY}, {"qty": qty("1.001")}],
)
def test_an_exit_of_an_entry_that_is_none_stops_the_bracket(changes: dict[str, Any]) -> None:
    world = World()
    entry, stop = world.approve(signal(stop="90"))
    assert stopped(world.send(entry, replace(stop, **changes))) == "no_intent"


def test_what_reduces_first_and_opens_then_is_no_bracket() -> None:
    world = World()
    entry, stop = world.approve(signal(stop="90"))
    assert stopped(world.send(stop, entry)) == "no_intent"


@pytest.mark.parametrize("number", [Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal("1e16"), 1.5])
@pytest.mark.parametrize("field", ["qty", "price", "trigger"])
def test_a_number_that_is_none_goes_nowhere_whatever_the_order_is_for(field: str, number: Any) -> None:
    world = World()
    (entry,) = world.approve(signal())
    answers = world.send(replace(entry, **{field: number}))
    assert (stopped(answers), pages(answers)) == ("bad_number", ["cross-BTC-1-entry"])
    answers = world.send(exit_(**{field: number}), exit_("cross-BTC-1-stop"))
    assert (stopped(answers), pages(answers)) == ("bad_number", ["cross-BTC-1-exit"])
    rejected, alert = answers[:2]
    assert isinstance(rejected, OrderRejected)
    assert rejected.refusal is RefusalClass.OFF_GRID
    assert isinstance(alert, Alert)
    assert "protect it at the venue by hand" in alert.mend
    # The other one does what it can.
    (submit,) = world.venue.taken
    assert isinstance(submit, SubmitOrders)
    assert [order.client_order_id for order in submit.orders] == ["cross-BTC-1-stop"]


@pytest.mark.parametrize(
    "changes", [{"side": OrderSide.BUY}, {"role": OrderRole.ENTRY}], ids=["it would add", "it is no exit"]
)
def test_what_is_to_reduce_and_would_not_is_stopped_and_pages(changes: dict[str, Any]) -> None:
    world = World()
    exit_of = replace(exit_(), reduce_only=True)
    # Without a position it is the venue that drops it: its fill may be on its way.
    assert world.send(exit_of) == ()
    world.risk.handle(fill())
    assert world.send(exit_of) == ()
    answers = world.send(replace(exit_of, **changes), replace(exit_of, client_order_id="cross-BTC-1-stop"))
    assert (stopped(answers), pages(answers)) == ("bad_exit", ["cross-BTC-1-exit"])
    assert len(world.venue.taken) == 3
    world.risk.handle(fill("t2", OrderSide.SELL, 2))
    assert stopped(world.send(exit_of)) == "bad_exit"
    assert world.send(replace(exit_of, side=OrderSide.BUY)) == ()


@pytest.mark.parametrize(("size", "gate"), [("0.2", ""), ("0.099", "order_minimum"), ("0.1", "")])
def test_a_part_that_a_target_closes_is_as_large_as_the_venue_wants_it(size: str, gate: str) -> None:
    world = World()
    entry, *_, target = world.approve(signal(stop="90", target="101"))
    answers = world.send(entry, replace(target, qty=qty(size), price=price(100), trigger=price(100)))
    assert stopped(answers) == gate


def test_all_of_a_small_position_may_be_closed_at_any_price() -> None:
    world = World("0.1")
    orders = world.approve(signal(side=SHORT, stop="110", target="90"))
    assert world.send(*orders) == ()


def test_no_order_is_of_more_than_may_be_entered_of_its_symbol() -> None:
    world = World("2")
    (entry,) = world.approve(signal())
    world.risk.set_limits(Limits({"max_order_qty.BTC": Decimal("1.999"), "max_order_qty.ETH": Decimal(1)}))
    answers = world.send(entry)
    assert (stopped(answers), pages(answers)) == ("order_size", ["cross-BTC-1-entry"])
    assert isinstance(answers[0], OrderRejected)
    assert answers[0].reason.endswith("risk.max_order_qty.BTC (2, limit 1.999)")
    world.risk.set_limits(Limits({"max_order_qty.BTC": Decimal(2)}))
    assert world.send(entry) == ()


STATES = {
    "paused": lambda risk: risk.handle(command(Verb.PAUSE)),
    "reduce_only": lambda risk: risk.handle(command(Verb.REDUCE_ONLY)),
    "halted": lambda risk: risk.handle(command(Verb.HALT)),
    "flattening": lambda risk: risk.handle(command(Verb.STOP, {"flatten": "true"})),
    "frozen": lambda risk: risk.handle(command(Verb.FREEZE, {"symbol": "BTC", "reason": "doubt"})),
    "not_traded": lambda risk: risk.handle(InstrumentSeen(ts_event=minute(1), instrument=BTC, listing=Listing.HALTED)),
}


@pytest.mark.parametrize("state", STATES)
def test_nothing_opens_when_it_may_not_and_what_reduces_goes_on(state: str) -> None:
    world = World()
    (entry,) = world.approve(signal())
    STATES[state](world.risk)
    answers = world.send(entry)
    assert stopped(answers) == "not_now"
    assert isinstance(answers[0], OrderRejected)
    assert answers[0].reason.startswith(f"not_now: {state}: ")
    assert world.send(exit_()) == ()
    cancel = CancelOrder(ts_event=minute(1), client_order_id="x", symbol="BTC", reason="")
    assert world.gate.handle(cancel) == ()
    assert world.venue.taken[-1] == cancel


@pytest.mark.parametrize("setting", ["max_order_notional", "max_position_notional", "live_cap_notional"])
def test_an_order_is_never_worth_more_than_one_may_be(setting: str) -> None:
    world = World("2")
    (entry,) = world.approve(signal())
    world.risk.set_limits(Limits({setting: Decimal("199.99")}))
    answers = world.send(entry)
    assert (stopped(answers), pages(answers)) == ("order_size", ["cross-BTC-1-entry"])
    assert isinstance(answers[0], OrderRejected)
    assert answers[0].reason.endswith(f"risk.{setting} (200, limit 199.99)")
    world.risk.set_limits(Limits({setting: Decimal(200)}))
    assert world.send(entry) == ()


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"qty": qty("0.5005")}, "off_grid"),
        ({"price": price("100.05")}, "off_grid"),
        ({"trigger": price("100.05")}, "off_grid"),
        ({"qty": qty("0.099")}, "order_minimum"),
        ({"qty": qty("0.1")}, ""),
        ({"qty": qty("0.1"), "price": price("99.9")}, "order_minimum"),
        ({"qty": qty("0.1"), "trigger": price("99.9")}, "order_minimum"),
    ],
)
def test_an_entry_is_on_the_grid_of_the_venue_and_large_enough(changes: dict[str, Any], gate: str) -> None:
    world = World()
    (entry,) = world.approve(signal())
    answers = world.send(replace(entry, **changes))
    assert (stopped(answers), pages(answers)) == (gate, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"qty": qty("0.5005")}, "off_grid: cross-BTC-1-entry is of no whole number of lots (0.5005, limit 0.001)"),
        ({"price": price("100.05")}, "off_grid: cross-BTC-1-entry is not on the tick (100.05, limit 0.1)"),
        ({"qty": qty("0.05")}, "order_minimum: the venue takes no smaller order (5, limit 10)"),
        ({"qty": qty("2")}, "no_intent: it is larger than what was approved (2, limit 1)"),
    ],
)
def test_what_is_stopped_says_by_which_numbers(changes: dict[str, Any], reason: str) -> None:
    world = World()
    (entry,) = world.approve(signal())
    (answer, *_) = world.send(replace(entry, **changes))
    assert isinstance(answer, OrderRejected)
    assert answer.reason == reason


def test_a_duplicate_says_how_old_the_other_is() -> None:
    world = World(duplicate_window_s="2")
    (first,) = world.approve(signal(entry_type=OrderType.LIMIT, entry_price="99"))
    world.send(first)
    world.end(first)
    wish = signal("cross-BTC-2", ts_event=at("1.5"), entry_type=OrderType.LIMIT, entry_price="99")
    (answer,) = world.send(*world.approve(wish))
    assert isinstance(answer, OrderRejected)
    assert answer.reason == "duplicate_order: to buy 1 BTC at 99 went out already (1.5, limit 2)"


def test_the_largest_number_is_one() -> None:
    world = World("1e15")
    assert stopped(world.send(*world.approve(signal()))) == ""


def test_the_exits_of_an_entry_are_on_the_grid_too() -> None:
    world = World()
    entry, stop = world.approve(signal(stop="90"))
    assert stopped(world.send(entry, replace(stop, trigger=price("89.95")))) == "off_grid"


@pytest.mark.parametrize(
    ("type_", "side", "at", "gate"),
    [
        (OrderType.LIMIT, LONG, "102", ""),
        (OrderType.LIMIT, LONG, "102.1", "price_collar"),
        (OrderType.LIMIT, LONG, "1", ""),
        (OrderType.LIMIT, SHORT, "98", ""),
        (OrderType.LIMIT, SHORT, "97.9", "price_collar"),
        (OrderType.LIMIT, SHORT, "1000", ""),
        (OrderType.STOP_MARKET, LONG, "200", ""),
        (OrderType.STOP_MARKET, SHORT, "20", ""),
    ],
)
def test_a_limit_is_not_worse_than_the_mark_by_more_than_the_collar(
    type_: OrderType, side: PositionSide, at: str, gate: str
) -> None:
    world = World("20", price_collar_pct="2")
    (entry,) = world.approve(signal(side=side, entry_type=type_, entry_price=at))
    answers = world.send(entry)
    assert (stopped(answers), pages(answers)) == (gate, [])
    if gate:
        assert isinstance(answers[0], OrderRejected)
        assert answers[0].reason == "price_collar: percent away from the mark of 100 (2.1, limit 2)"


@pytest.mark.parametrize(
    ("close", "gate"), [("102", ""), ("98", ""), ("102.1", "price_collar"), ("97.9", "price_collar")]
)
def test_an_entry_at_market_was_decided_near_the_mark(close: str, gate: str) -> None:
    world = World(price_collar_pct="2")
    (entry,) = world.approve(signal(close=close))
    assert stopped(world.send(entry)) == gate


def test_without_a_mark_no_entry_is_priced() -> None:
    world = World(price_collar_pct="2")
    world.instruments["SOL"] = instrument("SOL")
    orders = world.approve(signal("cross-SOL-1", symbol="SOL"))
    assert stopped(world.send(*orders)) == "price_collar"


def at(seconds: str) -> Nanos:
    return Nanos(minute(1) + int(Decimal(seconds) * NANOS_PER_S))


@pytest.mark.parametrize(("after", "gate"), [("0", "duplicate_order"), ("1.999", "duplicate_order"), ("2", "")])
@pytest.mark.parametrize("state", [OrderState.FILLED, OrderState.CANCELED])
def test_the_same_entry_does_not_go_twice_within_the_window(after: str, gate: str, state: OrderState) -> None:
    world = World(duplicate_window_s="2")
    (first,) = world.approve(signal())
    assert world.send(first) == ()
    world.end(first, state)
    (second,) = world.approve(signal("cross-BTC-2", ts_event=at(after)))
    answers = world.send(second)
    assert (stopped(answers), pages(answers)) == (gate, [])


@pytest.mark.parametrize(
    "wish",
    [
        signal("cross-ETH-2", symbol="ETH"),
        signal("cross-BTC-2", side=SHORT),
        signal("cross-BTC-2", entry_type=OrderType.LIMIT, entry_price="99"),
    ],
)
def test_another_entry_is_no_duplicate(wish: Signal) -> None:
    world = World(duplicate_window_s="2")
    (first,) = world.approve(signal())
    world.send(first)
    world.end(first)
    assert world.send(*world.approve(wish)) == ()


def test_what_the_venue_never_took_may_be_tried_again() -> None:
    world = World(duplicate_window_s="2")
    (first,) = world.approve(signal())
    world.send(first)
    world.end(first, OrderState.REJECTED)
    assert world.send(*world.approve(signal("cross-BTC-2"))) == ()


def test_without_a_window_nothing_that_ended_is_remembered() -> None:
    world = World()
    (first,) = world.approve(signal())
    world.send(first)
    world.end(first)
    assert world.risk.save().gates["no_intent"] == OpeningState()
    assert world.send(*world.approve(signal("cross-BTC-2"))) == ()


def test_what_ended_is_forgotten_when_the_window_is_over() -> None:
    world = World(duplicate_window_s="2")
    for number, seconds in enumerate(("0", "1", "2.5")):
        (order,) = world.approve(signal(f"cross-BTC-{number}", ts_event=at(seconds), side=(LONG, SHORT)[number % 2]))
        assert world.send(order) == ()
        world.end(order, at=at(seconds))
    state = world.risk.save().gates["no_intent"]
    assert isinstance(state, OpeningState)
    assert [order.ts_event for order in state.ended] == [at("1"), at("2.5")]


def found(side: OrderSide, limit: str, type_: OrderType = OrderType.LIMIT) -> OrderFound:
    order = order_request("old-BTC-1-entry", side=side, type_=type_, limit=limit)
    return OrderFound(ts_event=minute(1), order=order, venue_order_id="7")


@pytest.mark.parametrize(
    ("resting", "wish", "gate"),
    [
        ("100", signal(), "self_trade"),
        ("100", signal(entry_type=OrderType.STOP_MARKET, entry_price="101"), "self_trade"),
        ("100", signal(entry_type=OrderType.LIMIT, entry_price="100"), "self_trade"),
        ("100", signal(entry_type=OrderType.LIMIT, entry_price="99.9"), ""),
        ("100", signal(side=SHORT), ""),
    ],
)
def test_an_entry_does_not_trade_with_our_own_limit(resting: str, wish: Signal, gate: str) -> None:
    world = World()
    orders = world.approve(wish)
    world.risk.handle(found(OrderSide.SELL, resting))
    answers = world.send(*orders)
    assert (stopped(answers), bool(pages(answers))) == (gate, bool(gate))
    if gate:
        assert isinstance(answers[0], OrderRejected)
        assert answers[0].reason.startswith("self_trade: to sell 1 BTC at 100 rests, and is ours")


def test_only_limits_of_the_symbol_are_in_the_way() -> None:
    world = World()
    orders = world.approve(signal("cross-ETH-1", symbol="ETH"))
    world.risk.handle(found(OrderSide.SELL, "100"))
    assert world.send(*orders) == ()
    world = World()
    orders = world.approve(signal())
    world.risk.handle(found(OrderSide.SELL, "100", OrderType.STOP_LIMIT))
    world.risk.handle(OrderFound(ts_event=minute(1), order=exit_("old-BTC-2-stop"), venue_order_id="8"))
    assert world.send(*orders) == ()


def entries(world: World, count: int, seconds: str = "0") -> list[str]:
    """By which gates ``count`` entries at once are stopped, each with a stop; room is made for the next."""
    gates = []
    for _ in range(count):
        world.number = getattr(world, "number", 0) + 1
        orders = world.approve(signal(f"cross-BTC-{world.number}", stop="90", ts_event=at(seconds)))
        gates.append(stopped(world.send(*orders)))
        world.end(orders[0])
    return gates


def test_entries_wait_when_orders_go_out_too_fast_and_the_measure_refills_evenly() -> None:
    world = World(max_orders_per_min="6")
    assert entries(world, 4) == ["", "", "", "order_rate"]
    assert entries(world, 1, "19") == ["order_rate"]
    assert entries(world, 2, "20") == ["", "order_rate"]
    world = World(max_orders_per_s="2")
    assert entries(world, 2) == ["", "order_rate"]
    assert entries(world, 1, "1") == [""]


def test_what_went_out_counts_after_a_restart_and_is_told() -> None:
    world = World(max_orders_per_min="6")
    assert entries(world, 3) == ["", "", ""]
    again = World(max_orders_per_min="6")
    again.risk.load(decode(RiskStage.STATE, encode(world.risk.save())))
    (answer, *_) = again.send(*again.approve(signal("late", stop="90", ts_event=at("5"))))
    assert isinstance(answer, OrderRejected)
    assert answer.reason == "order_rate: orders, by risk.max_orders_per_min (8, limit 6)"


def test_a_bracket_larger_than_the_measure_goes_when_that_is_full() -> None:
    world = World(max_orders_per_s="1")
    assert entries(world, 2) == ["", "order_rate"]


def test_exits_take_of_the_measure_and_are_never_stopped() -> None:
    world = World(max_orders_per_min="6")
    for _ in range(20):
        assert world.send(exit_()) == ()
    assert entries(world, 1) == ["order_rate"]
    assert entries(world, 1, "20") == [""]


def test_cancels_have_a_measure_of_their_own_and_are_never_stopped() -> None:
    world = World(max_orders_per_min="6")
    cancel = CancelOrder(ts_event=minute(1), client_order_id="x", symbol="BTC", reason="")
    for _ in range(17):
        world.gate.handle(cancel)
    assert entries(world, 1) == [""]
    for _ in range(40):
        assert world.gate.handle(cancel) == ()
    assert len([one for one in world.venue.taken if one == cancel]) == 57
    orders = world.approve(signal("late", stop="90", ts_event=at("3")))
    (answer, *_) = world.send(*orders)
    assert isinstance(answer, OrderRejected)
    assert answer.reason == "order_rate: cancels, by risk.max_orders_per_min (18, limit 18)"
    world.end(orders[0])
    assert entries(world, 1, "20") == [""]


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4), st.booleans()), max_size=40),
)
def test_no_minute_carries_more_entries_than_twice_the_measure_and_a_quiet_one_lets_all_through(
    most: int, sent: list[tuple[int, int, bool]]
) -> None:
    world = World(max_orders_per_min=str(most))
    now, passed, number = 0, [], 0
    for wait, count, is_exit in sent:
        now += wait
        if is_exit:
            assert world.send(*(exit_(f"e{n}") for n in range(count)), at=at(str(now))) == ()
            continue
        number += 1
        (entry,) = world.approve(signal(f"cross-BTC-{number}", ts_event=at(str(now))))
        if not stopped(world.send(entry)):
            passed.append(now)
        world.end(entry)
    for start in passed:
        assert sum(start <= one < start + 60 for one in passed) <= 2 * most
    assert entries(world, 1, str(now + 60)) == [""]


def test_what_the_gates_remember_survives_a_restart() -> None:
    world = World(max_orders_per_min="6", duplicate_window_s="2")
    (first,) = world.approve(signal())
    world.send(first)
    world.end(first)
    world.send(*world.approve(signal("cross-ETH-1", symbol="ETH", entry_type=OrderType.LIMIT, entry_price="99")))
    world.gate.handle(CancelOrder(ts_event=minute(1), client_order_id="x", symbol="BTC", reason=""))
    again = World(max_orders_per_min="6", duplicate_window_s="2")
    again.risk.load(decode(RiskStage.STATE, encode(world.risk.save())))
    assert again.risk.save() == world.risk.save()
    assert stopped(again.send(*again.approve(signal("cross-BTC-2")))) == "duplicate_order"


def test_a_gate_does_not_become_what_another_remembers() -> None:
    with pytest.raises(Exception, match="is not what no_intent remembers"):
        OwnOrdersGate().load(RateState())
    with pytest.raises(Exception, match="is not what order_rate remembers"):
        RateGate().load(OpeningState())


def test_what_no_honest_line_would_send_is_paged() -> None:
    world = World()
    (entry,) = world.approve(signal())
    answers = world.send(replace(entry, qty=qty(2)))
    assert [answer for answer in answers if isinstance(answer, Alert)] == [
        Alert(
            ts_event=entry.ts_event,
            name=AlertName.ORDER_STOPPED,
            symbol="BTC",
            about="cross-BTC-1-entry",
            what="cross-BTC-1-entry was not sent: no_intent: it is larger than what was approved (2, limit 1)",
            mend="the line made an order that it should not have: tradebot why shows it; "
            "keep the journal, report this bug",
        )
    ]


def test_the_state_is_that_of_the_venue() -> None:
    world = World()
    assert world.gate.STATE is Nothing
    assert world.gate.save() == Nothing()
    world.gate.load(Nothing())
    assert world.venue.loaded == Nothing()
    world.gate.handle(bars_closed(bar()))
    assert world.venue.taken == [bars_closed(bar())]


def test_names_are_of_one_gate_and_settings_exist() -> None:
    names = [name for gate in ORDER_GATES for name in gate.names]
    assert len(names) == len(set(names))
    assert set(MEASURES) <= RiskSettings.model_fields.keys()
