"""Once, and never naked: what leaves a bot and what becomes of it, at each venue."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.venue.trader import JournaledLine, Trader, guarded, trading
from tests.contract.venue.world import Fault, World
from tests.contract.venue.worlds import ProvenAbsenceWorld, law
from tradebot.live.intents import INTENT
from tradebot.model.market import Message
from tradebot.model.money import Price
from tradebot.model.order import FillReport, OrderAccepted, OrderCanceled, OrderRejected, OrderState

D = Decimal
NAKED_S = 2.0
# Until the audit closes what nobody can say of that it is protected.
LOST_S = 8.0
ACTION_FAULTS = (Fault.LOST, Fault.UNANSWERED, Fault.LATE)


async def stands(bot: Trader, size: str = "1") -> None:
    """Wait until ``size`` is held and protected, and all is agreed."""
    await bot.world.until(lambda: bot.world.position() == D(size) and bot.is_protected(), bot.describe)
    await bot.agreed()


@law()
async def test_an_entry_stands_with_its_stop_and_all_is_agreed(world: World) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        name = bot.enter()
        await stands(bot)
        assert bot.order(f"{name}-entry").state is OrderState.FILLED
        assert bot.order(f"{name}-stop").is_resting
        assert bot.order(f"{name}-target").is_resting
        assert bot.pages == []
        assert watcher.longest_s < NAKED_S


@law(*ACTION_FAULTS)
async def test_whatever_happens_to_a_request_its_orders_exist_once(world: World, case: Fault) -> None:
    async with trading(world) as bot:
        world.fault(case, 1)
        bot.enter()
        await bot.agreed()
        assert world.position() in (0, 1)
        assert bot.is_protected()
        if case is not Fault.LOST:
            assert world.position() == 1


@law(*ACTION_FAULTS)
async def test_a_bot_killed_while_a_request_is_under_way_never_places_it_twice(world: World, case: Fault) -> None:
    async with trading(world) as bot:
        world.fault(case, 1)
        bot.enter()
        await world.until(lambda: any(row.kind == INTENT for row in bot.home.journal.kept), bot.describe)
        await world.sleep(0.05)
        await bot.reborn()
        await bot.agreed()
        assert bot.is_protected()


@law(*ACTION_FAULTS)
async def test_a_cancel_that_goes_wrong_still_ends_the_order(world: World, case: Fault) -> None:
    async with trading(world) as bot:
        name = bot.enter(limit="0.8")
        await bot.agreed()
        world.fault(case, 1)
        bot.cancel_all()
        await world.until(lambda: bot.order(f"{name}-entry").state is OrderState.CANCELED, bot.describe)
        await bot.agreed()
        assert not world.resting()
        assert world.position() == 0


@law()
async def test_what_fills_in_part_is_protected_as_far_as_it_filled(world: World) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        world.thin_out("0.4")
        bot.enter()
        await world.until(lambda: world.position() > 0 and bot.is_protected(), bot.describe)
        await bot.agreed()
        assert 0 < world.position() < 1
        assert watcher.longest_s < NAKED_S


@law(of=[ProvenAbsenceWorld])
async def test_a_stop_that_cannot_go_with_its_entry_is_placed_at_its_first_fill(world: World) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        name = bot.enter(limit="0.99")
        await bot.agreed()
        assert [order.cloid for order in world.resting()] == [bot.execution.cloid(f"{name}-entry")]
        world.thin_out("0.4")
        world.move("0.98")
        await world.until(lambda: world.position() == D("0.4") and bot.is_protected(), bot.describe)
        assert bot.order(f"{name}-entry").state is OrderState.PARTIALLY_FILLED
        world.heal()
        world.move("1")
        await stands(bot)
        assert watcher.longest_s < NAKED_S


@law()
async def test_an_entry_that_waited_has_its_stop_when_it_fills(world: World) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        bot.enter(limit="0.99")
        await bot.agreed()
        world.move("0.98")
        await stands(bot)
        assert watcher.longest_s < NAKED_S


@law()
async def test_a_stop_that_is_reached_ends_the_position_and_what_stood_with_it(world: World) -> None:
    async with trading(world) as bot:
        bot.enter()
        await stands(bot)
        world.move("0.85")
        await world.until(lambda: world.position() == 0, bot.describe)
        await bot.agreed()
        assert not world.resting()


@law()
async def test_a_stop_that_fills_in_part_is_followed_until_nothing_is_left(world: World) -> None:
    async with trading(world) as bot:
        name = bot.enter(has_target=False)
        await stands(bot)
        world.thin_out("0.4")
        world.move("0.85")
        bot.execution.mark("BTC", Price(world.price()))
        bot.reconciler.stops.on_mark("BTC", Price(world.price()))
        await world.until(lambda: any("-exit" in one for one in bot.line.orders.book()), bot.describe)
        assert world.position() > 0
        assert bot.order(f"{name}-stop").fills
        world.heal()
        world.move("1")
        await world.until(lambda: world.position() == 0, bot.describe)
        await bot.agreed()
        assert not world.resting()


@law()
async def test_a_stop_that_moves_is_there_before_the_one_that_goes(world: World) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        bot.enter(has_target=False)
        await stands(bot)
        for number, to in enumerate(("0.92", "0.94", "0.93")):
            world.fault((Fault.UNANSWERED, Fault.LATE, Fault.LOST)[number], 1)
            bot.move_stop(to)
            await bot.agreed()
            assert bot.is_protected()
        (stop,) = world.resting()
        assert stop.trigger is not None
        # A venue keeps but so many digits.
        assert abs(stop.trigger - world.price() * D("0.94")) < world.price() / 1000
        assert watcher.longest_s < NAKED_S


@law()
async def test_a_stop_that_somebody_cancels_is_placed_anew(world: World) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        bot.enter()
        await stands(bot)
        world.cancel_by_hand()
        assert not bot.is_protected()
        await stands(bot)
        assert watcher.longest_s < NAKED_S


@law(*ACTION_FAULTS)
async def test_a_stop_whose_request_goes_wrong_comes_to_rest_or_the_position_is_closed(
    world: World, case: Fault
) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        bot.enter(has_target=False)
        await stands(bot)
        world.fault(case, 1)
        world.cancel_by_hand()
        await bot.agreed()
        assert bot.is_protected()
        assert watcher.longest_s < LOST_S


@law(Fault.DOUBLED, Fault.REORDERED)
async def test_what_is_told_twice_or_in_another_order_is_booked_once(world: World, case: Fault) -> None:
    async with trading(world) as bot:
        world.fault(case)
        bot.enter()
        await stands(bot)
        bot.exit()
        await world.until(lambda: world.position() == 0, bot.describe)
        await bot.agreed()
        assert not world.resting()
        assert bot.pages == []


@law()
async def test_a_fill_that_nobody_heard_of_is_known_after_the_reconnect(world: World) -> None:
    async with trading(world) as bot:
        bot.enter(limit="0.99")
        await bot.agreed()
        world.hang_up()
        world.move("0.98")
        await stands(bot)
        world.hang_up()
        world.move("0.85")
        await world.until(lambda: world.position() == 0, bot.describe)
        await bot.agreed()
        assert not world.resting()


@law()
async def test_a_fill_while_the_bot_is_dead_is_known_and_protected_after_its_birth(world: World) -> None:
    async with trading(world) as bot:
        bot.enter(limit="0.99")
        await bot.agreed()
        await bot.kill()
        world.move("0.98")
        await bot.begin()
        await stands(bot)


@law()
async def test_an_exit_by_parts_leaves_a_stop_of_what_is_left(world: World) -> None:
    async with trading(world) as bot, guarded(bot) as watcher:
        bot.enter("2")
        await stands(bot, "2")
        bot.exit("1")
        await stands(bot)
        assert bot.stop_size() == 1
        assert watcher.longest_s < NAKED_S


@law()
async def test_the_book_is_a_fold_over_what_the_venue_says(world: World) -> None:
    async with trading(world) as bot:
        bot.enter()
        await stands(bot)
        world.move("0.85")
        await world.until(lambda: world.position() == 0, bot.describe)
        bot.enter()
        await bot.agreed()
        of_orders = (OrderAccepted, OrderRejected, OrderCanceled, FillReport)
        words = list(dict.fromkeys(Said(one) for one in bot.line.heard if isinstance(one, of_orders)))
        truth = states(bot.line)

        @settings(max_examples=40, deadline=None)
        @given(st.permutations(words * 2))
        def holds(told: list[Said]) -> None:
            line = JournaledLine(bot.line.instruments)
            line.begin(type(bot.home)(b"fold"), [], [])
            for wish in bot.wishes:
                line.run(wish)
            for word in told:
                if line.orders.is_news(word.message):
                    line.orders.handle(word.message)
            # What the line did about it on the way is not of the venue's word.
            assert {name: state for name, state in states(line).items() if name in truth} == truth

        holds()


class Said:
    """A message as a key."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self._key = repr(message)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Said) and self._key == other._key

    def __repr__(self) -> str:
        return self._key


def states(line: JournaledLine) -> dict[str, tuple[OrderState, Decimal]]:
    """Return what became of all orders."""
    state = line.orders.save()
    return {name: (order.state, order.filled_qty) for name, order in (state.orders | state.done).items()}
