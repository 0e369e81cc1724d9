"""Book and venue: whatever somebody does to the account, or the bot did not hear, is booked, mended or paged."""

from decimal import Decimal

import pytest

from tests.builders import canceled
from tests.contract.venue.trader import Trader, trading
from tests.contract.venue.world import SYMBOLS, Fault, World
from tests.contract.venue.worlds import law
from tradebot.model.command import AlertName, Verb
from tradebot.model.errors import InvariantError, VenueError
from tradebot.model.order import CancelOrder, FillReport, OrderState
from tradebot.model.time import Nanos
from tradebot.model.venue import Purpose

D = Decimal
LONG_S = 60.0


async def looks(bot: Trader) -> None:
    """Let the comparison look several times."""
    for _ in range(int(LONG_S)):
        await bot.world.sleep(1)


async def stands(bot: Trader) -> None:
    await bot.world.until(lambda: bot.world.position() == 1 and bot.is_protected(), bot.describe)
    await bot.agreed()


@law()
async def test_orders_of_others_are_told_once_and_never_touched(world: World) -> None:
    async with trading(world) as bot:
        bot.enter()
        await stands(bot)
        ours = {order.oid for order in world.resting()}
        world.trade_by_hand("1", world.price("ETH") * D("0.8"), "ETH")
        await world.until(lambda: AlertName.FOREIGN_ORDER in bot.paged, bot.describe)
        await looks(bot)
        assert bot.paged == [AlertName.FOREIGN_ORDER]
        assert len(world.resting()) == len(ours) + 1
        theirs = [order.oid for order in world.resting() if order.oid not in ours]
        assert [order.oid for order in bot.reconciler.orders.foreign] == theirs


@law()
async def test_what_others_trade_of_a_position_is_booked_and_its_stop_fits(world: World) -> None:
    async with trading(world) as bot:
        bot.enter("2")
        await world.until(lambda: world.position() == 2 and bot.is_protected(), bot.describe)
        await bot.agreed()
        world.trade_by_hand("-1")
        await world.until(lambda: bot.held() == 1, bot.describe)
        await bot.agreed()
        assert bot.stop_size() == 1
        assert AlertName.MISMATCH not in bot.paged


@law()
async def test_money_that_comes_is_booked(world: World) -> None:
    async with trading(world) as bot:
        bot.enter()
        await stands(bot)
        # What is of the same millisecond as the first count is in it.
        await world.sleep(0.01)
        world.deposit("500")
        await bot.agreed()
        assert bot.pages == []


@law()
async def test_old_answers_undo_nothing(world: World) -> None:
    async with trading(world) as bot:
        world.fault(Fault.LAG)
        bot.enter()
        await world.until(lambda: world.position() == 1 and bot.is_protected(), bot.describe)
        await looks(bot)
        await bot.agreed()
        assert world.position() == 1
        assert AlertName.MISMATCH not in bot.paged


@law()
async def test_questions_without_an_answer_prove_nothing(world: World) -> None:
    async with trading(world) as bot:
        bot.enter()
        await stands(bot)
        orders = world.resting()
        world.fault(Fault.DEAF, 20)
        await looks(bot)
        world.heal()
        await bot.agreed()
        assert list(world.resting()) == list(orders)
        assert bot.pages == []


@law()
async def test_an_order_of_ours_that_should_be_gone_is_cancelled_and_paged(world: World) -> None:
    async with trading(world) as bot:
        name = bot.enter()
        await stands(bot)
        await bot.line.deliver([canceled(f"{name}-target")])
        await world.until(lambda: AlertName.MISMATCH in bot.paged, bot.describe)
        await bot.agreed()
        assert bot.is_protected()


@law()
async def test_a_lost_state_directory_finds_its_orders_and_its_position(world: World) -> None:
    async with trading(world) as bot:
        bot.enter()
        await stands(bot)
        await bot.kill()
        async with trading(world, b"anew") as heir:
            await heir.world.until(heir.agrees, heir.describe)
            assert heir.held() == 1
            assert heir.is_protected()
            heir.exit()
            await world.until(lambda: world.position() == 0, heir.describe)
            await heir.agreed()
            assert not world.resting()
        await bot.begin()


@law()
async def test_another_bot_on_the_account_halts_this_one(world: World) -> None:
    async with trading(world) as bot:
        await bot.agreed()
        await world.sleep(0.01)
        async with trading(world, b"othr") as other:
            other.enter(limit="0.8")
            await world.until(lambda: bool(world.resting()), other.describe)
            await world.until(lambda: any(verb is Verb.HALT for verb, _ in bot.line.commands), bot.describe)


@law()
async def test_a_sweep_ends_all_that_there_is_and_may_be_repeated(world: World) -> None:
    async with trading(world) as bot:
        bot.enter()
        await stands(bot)
        world.trade_by_hand("-1", symbol="ETH")
        world.trade_by_hand("1", world.price("ETH") * D("0.8"), "ETH")
        await bot.kill()
        sweep = (await world.client(bot.home)).sweep
        seen = await sweep.look()
        assert len(seen.orders) == len(world.resting())
        assert {symbol: qty / world.unit for symbol, qty in seen.positions.items()} == {"BTC": 1, "ETH": -1}
        assert await sweep.cancel(seen.orders) == {}
        assert await sweep.close(seen.positions) == {}
        assert not world.resting()
        assert [world.position(symbol) for symbol in SYMBOLS] == [0, 0]
        # Again, of what is gone: each order is named, and nothing is opened.
        assert set(await sweep.cancel(seen.orders)) == {found.order.oid for found in seen.orders}
        await sweep.close(seen.positions)
        assert [world.position(symbol) for symbol in SYMBOLS] == [0, 0]
        after = await sweep.look()
        assert not after.orders
        assert not after.positions
        assert after.ts_event is not None
        await bot.begin()


@law()
async def test_a_survey_says_what_is(world: World) -> None:
    async with trading(world) as bot:
        name = bot.enter()
        await stands(bot)
        world.trade_by_hand("1", world.price("ETH") * D("0.8"), "ETH")
        survey = bot.execution.survey
        resting = await survey.resting(Purpose.WATCH)
        assert {found.order.oid for found in resting} == {order.oid for order in world.resting()}
        owners = {found.owner.client_order_id for found in resting if found.owner is not None}
        assert owners == {f"{name}-stop", f"{name}-target"}
        assert all(found.owner.is_this_instance for found in resting if found.owner is not None)
        account = await survey.account(Purpose.WATCH)
        assert {symbol: qty / world.unit for symbol, qty in account.held.items()} == {"BTC": 1}
        assert abs(await survey.cash(account, Purpose.WATCH) - world.cash()) <= D("0.01")
        assert account.ts_event is not None
        assert await survey.leverage("BTC", Purpose.WATCH) == bot.execution.wanted_leverage("BTC")


@law()
async def test_an_execution_knows_its_orders_by_their_names(world: World) -> None:
    async with trading(world) as bot:
        venue, name = bot.execution, bot.enter()
        await stands(bot)
        cloid = venue.cloid(f"{name}-entry")
        assert cloid in world.placed()
        assert not venue.is_of_another(cloid)
        stranger = await world.client(Trader(world, b"othr").home)
        assert stranger.is_of_another(cloid)
        assert stranger.cloid(f"{name}-entry") != cloid
        intent = bot.intents()[0]
        assert venue.symbol_of(intent) == "BTC"
        assert f"{name}-entry" in venue.names_of(intent, "BTC")
        with pytest.raises(InvariantError):
            venue.names_of(intent, "ETH")


@law()
async def test_what_is_asked_again_is_told_again_only_when_that_is_wanted(world: World) -> None:
    async with trading(world) as bot:
        name = bot.enter()
        await stands(bot)
        venue = bot.execution
        now = venue.survey.now_ms()
        told = [one for one in await venue.catch_up(now, []) if isinstance(one, FillReport)]
        assert told == []
        again = [one for one in await venue.catch_up(now, [], again=True) if isinstance(one, FillReport)]
        assert [one.trade_id for one in again] == list(world.fills())
        assert {one.client_order_id for one in again} == {f"{name}-entry"}
        assert [one.trade_id for one in await venue.late_fills()] == list(world.fills())
        assert [one.trade_id for one in await venue.fills_again(0, Purpose.WATCH)] == list(world.fills())
        assert await venue.status("cross-BTC-77-entry") == ()


@law()
async def test_a_cancel_of_what_is_gone_tells_what_became_of_it(world: World) -> None:
    async with trading(world) as bot:
        name = bot.enter(limit="0.8")
        await bot.agreed()
        await bot.kill()
        world.cancel_by_hand()
        venue = await world.client(bot.home)
        cancel = CancelOrder(ts_event=Nanos(0), client_order_id=f"{name}-entry", symbol="BTC", reason="test")
        words = await venue.cancel(cancel)
        assert [word.kind for word in words] == ["canceled"]
        await bot.begin()
        await world.until(lambda: bot.order(f"{name}-entry").state is OrderState.CANCELED, bot.describe)


@law()
async def test_a_question_without_an_answer_raises_what_can_be_waited_for(world: World) -> None:
    async with trading(world) as bot:
        await bot.agreed()
        await bot.kill()
        venue = await world.client(bot.home)
        world.fault(Fault.DEAF)
        for question in (venue.survey.resting, venue.survey.account):
            with pytest.raises(VenueError):
                await question(Purpose.PROTECT)
        with pytest.raises(VenueError):
            await venue.catch_up(0, [])
        world.heal()
        await bot.begin()
