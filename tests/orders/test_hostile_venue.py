"""Never naked, never twice, never lost: whatever a venue that follows its rules says, when and how often."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.builders import approved, bar, bars_closed, command, replace, signal
from tests.orders.hostile import Venue, World
from tests.search import examples
from tradebot.model.command import AlertName, Verb
from tradebot.model.money import ZERO, Price
from tradebot.model.order import OrderRole, OrderSide, OrderType, RefusalClass
from tradebot.model.signal import Action, Signal

ENTRY = "cross-BTC-1-entry"
# Most of the time words and orders arrive in their order: else little ever rests that could be moved or lost.
ARRIVING = ("deliver", "leave", "arrive")
STEPS = (
    *ARRIVING * 3,
    "deliver",
    "deliver_late",
    "again",
    "leave",
    "leave_late",
    "fill_entry",
    "end_entry",
    "wake",
    "lose_child",
    "spoil_stop",
    "look",
    "stick",
    "fill_exit",
    "by_hand",
    "move_stop",
    "close",
    "exit",
    "exit_part",
    "give_up",
    "tick",
    "restart",
)
TYPES = (OrderType.LIMIT, OrderType.MARKET)
MOODS = ("", "refused", "canceled", "part", "silent")
REFUSALS = (None, None, None, RefusalClass.PASSING, RefusalClass.TRIGGERED, RefusalClass.OFF_GRID)


def exits(world: World, *roles: OrderRole) -> list[str]:
    placed = world.venue.orders.values()
    return [o.request.client_order_id for o in placed if o.rests and o.request.role in roles]


def step(world: World, name: str, number: int) -> None:  # noqa: C901  # a table of what may happen
    venue = world.venue
    held = world.stage.save().held.get("BTC")
    match name:
        case "arrive":
            world.arrive()
        case "deliver" | "deliver_late":
            world.deliver(0 if name == "deliver" else number)
        case "leave" | "leave_late":
            world.leave(0 if name == "leave" else number)
        case "again":
            world.again(number)
        case "fill_entry" if ENTRY in venue.orders:
            venue.fill(ENTRY, Decimal(1 + number % 4))
        case "end_entry":
            venue.end(ENTRY, "margin_canceled")
        case "wake" if ENTRY in venue.orders:
            venue.wake(ENTRY)
        case "lose_child" if exits(world, OrderRole.STOP, OrderRole.TARGET):
            resting = exits(world, OrderRole.STOP, OrderRole.TARGET)
            venue.end(resting[number % len(resting)], "canceled")
        case "spoil_stop" if exits(world, OrderRole.STOP):
            resting = exits(world, OrderRole.STOP)
            venue.spoil(resting[number % len(resting)], number)
        case "stick" if exits(world, OrderRole.STOP):
            resting = exits(world, OrderRole.STOP)
            world.stick(resting[number % len(resting)])
        case "look":
            world.look()
        case "fill_exit" if exits(world, OrderRole.STOP, OrderRole.TARGET):
            resting = exits(world, OrderRole.STOP, OrderRole.TARGET)
            venue.fill(resting[number % len(resting)], Decimal(1 + number % 3))
        case "by_hand":
            venue.by_hand(OrderSide.SELL if number % 3 else OrderSide.BUY, Decimal(1 + number % 2))
        case "move_stop" if held is not None and held.qty > 0 and held.signal_id:
            moved = signal("cross-BTC-1", Action.MOVE_STOP)
            world.take(world.stage.handle(approved(_at(moved, 91 + number % 5))))
        case "close":
            world.take(world.stage.handle(bars_closed(bar(number, 95 + 3 * number))))
        case "exit" | "exit_part" if held is not None and held.qty > 0:
            world.asked += 1
            taken = signal(f"cross-BTC-{50 + world.asked}", Action.EXIT)
            world.take(world.stage.handle(approved(taken, held.qty if name == "exit" else min(held.qty, Decimal(1)))))
        case "give_up":
            world.take(world.stage.handle(command(Verb.CANCEL, {"all": "true"})))
        case "tick":
            world.tick()
        case "restart":
            world.restart()
        case _:
            pass


def runs_of(names: Sequence[str], most: int) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Give up to ``most`` steps, as often many as few: lists by themselves are short, and nothing happens in them."""
    one = st.tuples(st.sampled_from(names), st.integers(0, 11))
    return st.integers(0, most).flatmap(lambda count: st.lists(one, min_size=count, max_size=count))


def _at(moved: Signal, stop: int) -> Signal:
    return replace(moved, stop=Price(Decimal(stop)))


def entered(venue: Venue, *, has_target: bool, entry_type: OrderType, trails: bool = False) -> World:
    """A world in which a bracket is at the venue; a stop that ``trails`` is moved in steps."""
    world = World(venue)
    asked = signal(stop="90", target="130" if has_target else None, entry_type=entry_type, entry_price="100")
    asked = replace(asked, trail=Price(Decimal(10)) if trails else None)
    world.take(world.stage.handle(approved(asked, "4")))
    world.leave(0)
    return world


@settings(max_examples=examples(250))
@given(
    runs_of(STEPS, 60),
    st.builds(
        Venue,
        is_sleepy=st.booleans(),
        refusal=st.sampled_from(REFUSALS),
        refuses_exits=st.booleans(),
        moods=st.lists(st.sampled_from(MOODS), max_size=4),
    ),
    st.booleans(),
    st.sampled_from(TYPES),
    st.booleans(),
)
def test_a_position_ends_covered_closed_or_told_and_the_book_is_the_sum_of_the_fills(
    steps: list[tuple[str, int]], venue: Venue, has_target: bool, entry_type: OrderType, trails: bool
) -> None:
    world = entered(venue, has_target=has_target, entry_type=entry_type, trails=trails)
    for name, number in steps:
        step(world, name, number)
    world.settle()

    state = world.stage.save()
    booked = sum((fill.qty * fill.side.sign for fill in world.fills.values()), ZERO)
    assert booked == venue.position
    assert len(world.fills) == venue.trades
    held = state.held.get("BTC")
    assert (ZERO if held is None else held.qty) == venue.position
    if venue.position == 0:
        event("flat")
        assert exits(world, OrderRole.STOP, OrderRole.TARGET) == []
        assert not world.stage.is_overdue
    elif venue.covered() >= abs(venue.position):
        event("covered")
        assert world.stage.is_overdue is bool(state.wanted)
    else:
        event("told")
        assert world.has_paged()
    if state.wanted:
        event("wanted")
        assert world.has_paged(AlertName.EXIT_FAILED)
        assert venue.refuses_exits or _is_silent(world, state.wanted["BTC"].order_id)


def _is_silent(world: World, order_id: str) -> bool:
    order = world.stage.find(order_id)
    return order is not None and order.is_unknown


LEAVING = ("deliver", "again", "leave", "leave_late", "exit", "exit_part", "exit_part", "tick", "restart")


@settings(max_examples=examples(200))
@given(
    runs_of(LEAVING, 60),
    st.lists(st.sampled_from(MOODS), max_size=8),
    st.lists(st.sampled_from((None, *RefusalClass)), max_size=4),
    st.booleans(),
)
def test_exits_never_trade_more_than_was_approved_also_where_nothing_clamps_them(
    steps: list[tuple[str, int]], moods: list[str], refusals: list[RefusalClass | None], clamps: bool
) -> None:
    # The end of an order is told behind its fills; all else comes when it likes, again, or never.
    world = entered(Venue(), has_target=False, entry_type=OrderType.MARKET)
    world.venue.fill(ENTRY, Decimal(4))
    while world.venue.said:
        world.deliver(0)
    venue = world.venue
    venue.moods, venue.refusals, venue.clamps = moods, refusals, clamps
    approved_qty = most = ZERO
    for name, number in steps:
        held = world.stage.save().held.get("BTC")
        before = world.asked
        step(world, name, number)
        if held is not None and world.asked > before:
            approved_qty += held.qty if name == "exit" else min(held.qty, Decimal(1))
        most = max(most, 4 - venue.position)
    world.settle()
    assert 4 - venue.position <= min(approved_qty, Decimal(4))
    assert venue.position >= 0
    assert most <= approved_qty
    if venue.position < 4:
        event("left")


QUIET = (
    *ARRIVING * 3,
    "deliver",
    "deliver_late",
    "again",
    "leave",
    "leave_late",
    "fill_entry",
    "end_entry",
    "move_stop",
    "close",
    "restart",
)


@settings(max_examples=examples(120))
@given(
    runs_of(QUIET, 40),
    st.booleans(),
    st.sampled_from(TYPES),
    st.booleans(),
)
def test_a_venue_that_takes_every_order_leaves_one_stop_and_one_target_and_pages_nobody(
    steps: list[tuple[str, int]], has_target: bool, entry_type: OrderType, trails: bool
) -> None:
    world = entered(Venue(), has_target=has_target, entry_type=entry_type, trails=trails)
    for name, number in steps:
        step(world, name, number)
    world.settle()

    assert world.alerts == []
    assert not world.stage.is_overdue
    if world.venue.position:
        (stop,) = exits(world, OrderRole.STOP)
        assert world.venue.orders[stop].left == world.venue.position
        # A target sleeps as long as its entry is at work.
        assert len(exits(world, OrderRole.TARGET)) == (has_target and not world.venue.orders[ENTRY].is_live)
    unasked = [order for order in world.venue.orders.values() if order.request.role is OrderRole.EXIT]
    assert unasked == []
