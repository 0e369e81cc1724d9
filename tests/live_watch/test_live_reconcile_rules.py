"""What a look proves, and that no single look proves anything."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import order_request, price, qty
from tradebot.live.reconcile_rules import (
    Persistence,
    absent,
    found_request,
    money_difference,
    position_differences,
    sort_resting,
    unanswered,
)
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import OrderRole, OrderSide, OrderState, OrderType
from tradebot.model.time import Nanos
from tradebot.model.venue import AccountState, OwnOrder, RestingOrder, VenueOrder, VenuePosition
from tradebot.pipeline.orders.lifecycle import Order

D = Decimal
NAMES = [f"cross-BTC-{number}-{word}" for number in (1, 2) for word in ("entry", "stop", "target")]
BEGAN = Nanos(1_000)


def order(name: str, state: OrderState = OrderState.OPEN, venue_order_id: str = "1", **changes: Any) -> Order:
    role = OrderRole(name.rpartition("-")[2])
    parent = None if role is OrderRole.ENTRY else name.rpartition("-")[0] + "-entry"
    request = order_request(name, role=role)
    request = type(request)(**{slot: getattr(request, slot) for slot in request.__slots__} | {"parent_id": parent})
    return Order(request=request, qty=qty(1), state=state, venue_order_id=venue_order_id, **changes)


def resting(name: str | None, oid: int = 1, *, is_this: bool = True, ts: int = 0, **changes: Any) -> RestingOrder:
    fields: dict[str, Any] = {
        "oid": oid,
        "cloid": None,
        "symbol": "BTC",
        "side": OrderSide.SELL,
        "price": price(100),
        "qty": qty(1),
        "original_qty": qty(2),
        "ts_event": Nanos(ts),
    }
    return RestingOrder(VenueOrder(**(fields | changes)), None if name is None else OwnOrder(name, is_this))


def account(**held: str) -> AccountState:
    positions = tuple(
        VenuePosition(
            symbol=symbol,
            qty=Qty(D(size)),
            entry_price=Price(D(1)),
            unrealized_pnl=Cash(D(0)),
            margin_used=Cash(D(0)),
            leverage=1,
            is_cross=True,
            liquidation_price=None,
            funding=Cash(D(0)),
        )
        for symbol, size in held.items()
    )
    zero = Cash(D(0))
    return AccountState(equity=zero, cash=zero, margin_used=zero, withdrawable=zero, positions=positions, ts_event=None)


looks_of = st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(0, 1), max_size=2), max_size=30)


@given(looks_of, st.integers(1, 4))
def test_a_finding_is_due_once_in_each_run_of_looks_that_found_it_the_same(
    looks: Sequence[dict[str, int]], needed: int
) -> None:
    watch: Persistence[str] = Persistence(needed)
    for number, found in enumerate(looks):
        due = watch.look(found, float(number))
        for key in "ab":
            run = 0
            for earlier in reversed(looks[: number + 1]):
                if key not in found or earlier.get(key) != found[key]:
                    break
                run += 1
            assert (key in due) is (run == needed), "at the look that completes the run, and only then"
        assert watch.told <= found.keys()


@given(looks_of, st.integers(1, 3))
def test_nothing_is_told_that_was_not_due_or_is_found_no_more(looks: Sequence[dict[str, int]], needed: int) -> None:
    watch: Persistence[str] = Persistence(needed)
    due: set[str] = set()
    for number, found in enumerate(looks):
        due |= set(watch.look(found, float(number)))
        assert watch.told <= due & found.keys()


def test_a_finding_must_also_be_old_enough() -> None:
    watch: Persistence[str] = Persistence(2, 5.0)
    assert [watch.look({"a": 1}, now) for now in (0.0, 1.0, 4.9, 5.0, 6.0)] == [(), (), (), ("a",), ()]
    assert watch.is_known({"a": 1})
    assert not watch.is_known({"a": 2})
    assert not watch.is_open


def test_what_changes_is_counted_anew_and_told_anew() -> None:
    watch: Persistence[str] = Persistence(2)
    assert [watch.look({"a": value}, 0.0) for value in (1, 1, 2, 2)] == [(), ("a",), (), ("a",)]


states = st.sampled_from([state for state in OrderState if state is not OrderState.PENDING])
books = st.dictionaries(st.sampled_from(NAMES), st.tuples(states, st.sampled_from(["", "1", "2", "own"])))
lists = st.lists(
    st.tuples(st.sampled_from([*NAMES, None]), st.integers(1, 5), st.booleans(), st.integers(0, 2_000)), max_size=8
)


def build(spec: dict[str, tuple[OrderState, str]]) -> dict[str, Order]:
    return {name: order(name, state, name if oid == "own" else oid) for name, (state, oid) in spec.items()}


@given(books, lists)
def test_every_resting_order_is_sorted_into_exactly_one_place(
    spec: dict[str, tuple[OrderState, str]], rows: list[tuple[str | None, int, bool, int]]
) -> None:
    book = build(spec)
    found = [resting(name, oid, is_this=is_this, ts=ts) for name, oid, is_this, ts in rows]
    done = sort_resting(found, book, BEGAN)
    judged = len(done.strays) + len(done.rivals) + len(done.foreign)
    at_work = [r for r in found if r.owner is not None and r.owner.client_order_id in done.listed]
    assert len(found) - len(at_work) <= judged <= len(found)
    assert len(done.foreign) == sum(name is None for name, *_ in rows)
    for stray in done.strays:
        known = book.get(stray.name)
        oids = {str(r.order.oid) for r in found}
        assert known is None or known.state.is_terminal or known.venue_order_id in oids - {str(stray.order.oid)}
    assert all(not book[name].state.is_terminal for name in done.listed)
    assert done.awake.keys() <= done.listed.keys()
    assert done.adopted.keys() <= done.listed.keys()


@given(books, st.frozensets(st.sampled_from(NAMES)))
def test_only_orders_that_should_rest_are_absent(
    spec: dict[str, tuple[OrderState, str]], listed: frozenset[str]
) -> None:
    book = build(spec)
    missing = absent(book, listed)
    assert not missing & listed
    for name in missing:
        assert book[name].state in {OrderState.OPEN, OrderState.PARTIALLY_FILLED}
    assert unanswered(book) == {name for name, one in book.items() if one.state is OrderState.SUBMITTED}
    assert not missing & unanswered(book)


def test_an_exit_that_waits_for_its_entry_is_not_absent_and_one_whose_entry_is_done_is() -> None:
    entry, stop = "cross-BTC-1-entry", "cross-BTC-1-stop"
    asleep = order(stop, venue_order_id=stop)
    assert absent({entry: order(entry), stop: asleep}, frozenset({entry})) == frozenset()
    assert absent({entry: order(entry, OrderState.FILLED), stop: asleep}, frozenset()) == {stop}


@given(
    st.dictionaries(st.sampled_from(["BTC", "ETH", "SOL"]), st.integers(-3, 3).filter(bool)),
    st.dictionaries(st.sampled_from(["BTC", "ETH", "SOL"]), st.integers(-3, 3).filter(bool)),
)
def test_the_book_plus_its_differences_is_what_the_venue_holds(ours: dict[str, int], theirs: dict[str, int]) -> None:
    held = {symbol: D(size) for symbol, size in ours.items()}
    found = position_differences(held, account(**{symbol: str(size) for symbol, size in theirs.items()}))
    after = {symbol: held.get(symbol, D(0)) + found.get(symbol, D(0)) for symbol in {*held, *found}}
    assert {symbol: size for symbol, size in after.items() if size} == theirs
    assert all(found.values())


@given(st.decimals(-1000, 1000, places=6), st.decimals(-1000, 1000, places=6))
def test_money_differs_by_more_than_a_cent_or_not_at_all(ours: Decimal, theirs: Decimal) -> None:
    found = money_difference(ours, theirs)
    assert (found is None) is (abs(theirs - ours) <= D("0.01"))
    assert found is None or abs(found - (theirs - ours)) <= D("0.005")


@pytest.mark.parametrize(
    ("name", "trigger", "role", "type_", "strategy"),
    [
        ("cross-BTC-12-entry", None, OrderRole.ENTRY, OrderType.LIMIT, "cross"),
        ("cross-BTC-12-entry", "90", OrderRole.ENTRY, OrderType.STOP_MARKET, "cross"),
        ("my-own-BTC-3-stop2", "90", OrderRole.STOP, OrderType.STOP_MARKET, "my-own"),
        ("cross-BTC-3-target", "110", OrderRole.TARGET, OrderType.TAKE_PROFIT, "cross"),
        ("cross-BTC-3-rung2", "110", OrderRole.TARGET, OrderType.TAKE_PROFIT, "cross"),
        ("cross-BTC-3-target", None, OrderRole.TARGET, OrderType.LIMIT, "cross"),
        ("manual-BTC-3-exit", None, OrderRole.EXIT, OrderType.LIMIT, "manual"),
    ],
)
def test_a_request_is_read_back_from_its_name_and_what_rests(
    name: str, trigger: str | None, role: OrderRole, type_: OrderType, strategy: str
) -> None:
    found = resting(name, trigger=None if trigger is None else price(trigger)).order
    request = found_request(name, found)
    assert (request.role, request.type, request.strategy) == (role, type_, strategy)
    assert (request.qty, request.client_order_id, request.signal_id) == (qty(2), name, name.rpartition("-")[0])
    assert request.parent_id is None
    entry = f"{request.signal_id}-entry"
    assert found_request(name, found, [entry]).parent_id == (None if role is OrderRole.ENTRY else entry)
