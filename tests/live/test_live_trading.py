"""Broker and trading on a devnet: what the line decides comes to be at the venue, once, and what is there is known."""

import asyncio
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from coincurve import PrivateKey

from tests.live.rehearsal import (
    FAR,
    HALF,
    LADDER,
    LIMIT,
    LONG,
    OUT,
    QUIET,
    SHORT,
    TRAIL,
    TURN,
    D,
    Stage,
    begin,
    run,
    stage,
)
from tradebot.devnet.devnet import write_key
from tradebot.devnet.recover import address_of
from tradebot.model.command import Alert, AlertName, TradingState, Verb
from tradebot.model.order import OrderRole, OrderState

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


def give_agent(venue: Stage) -> None:
    """Let the bot sign with a key of its own, which may run out."""
    key = PrivateKey(b"\x07" * 32)
    venue.hand.approve("", address_of(key.public_key), "bot", 10**9)
    write_key(venue.folder / "agent.key", key)
    venue.key_file, venue.account = "agent.key", venue.net.user


async def test_an_entry_rests_with_its_bracket_and_all_is_agreed(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(lambda: bot.position() > 0 and bot.is_protected())
        await bot.agreed()
        sizes = [size for _, size in venue.resting()]
        assert sizes == [venue.position(), venue.position()]
        await bot.bar(OUT)
        await bot.until(lambda: venue.position() == 0)
        await bot.agreed()
        assert venue.resting() == []
        assert venue.repeated == {}


async def test_a_reversal_ends_on_the_other_side_with_a_stop(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(bot.is_protected)
        await bot.agreed()
        await bot.bar(TURN)
        await bot.until(lambda: bot.position() < 0 and bot.is_protected())
        await bot.agreed()
        assert abs(venue.position()) < D("0.03")
        assert len(venue.resting()) == 2


async def test_a_reversal_whose_exit_has_no_answer_still_ends_right(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(bot.is_protected)
        await bot.agreed()
        venue.fault("drop_reply", count=1)
        await bot.bar(TURN)
        await bot.until(lambda: bot.position() < 0 and bot.is_protected())
        await bot.agreed()
        assert venue.repeated == {}


async def test_a_cancel_while_the_submit_is_in_flight_gets_the_order(tmp_path: Path) -> None:
    async with stage(tmp_path, latency_s=0.3) as venue, run(venue) as bot:
        await bot.bar(LIMIT)
        await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
        await bot.until(lambda: bot.working() == [])
        await bot.agreed()
        assert venue.resting() == []
        await bot.quiet()


async def test_a_cancel_of_a_submit_without_an_answer_gets_the_order(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        venue.fault("drop_reply", count=1)
        await bot.bar(LIMIT)
        await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
        await bot.until(lambda: bot.working() == [])
        await bot.agreed()
        assert venue.resting() == []


async def test_a_ladder_has_its_stop_and_its_rungs_at_the_venue(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LADDER)
        await bot.until(lambda: len(venue.resting()) == 4)
        await bot.until(bot.is_protected)
        await bot.agreed()
        sizes = sorted(size for _, size in venue.resting())
        assert sum(sizes[:3]) == sizes[3] == venue.position()
        venue.move("1.025")
        await bot.until(lambda: 0 < bot.position() < sizes[3])
        await bot.until(bot.is_protected)
        await bot.agreed()
        venue.move("0.9")
        await bot.until(lambda: bot.position() == 0 and venue.position() == 0)
        await bot.agreed()
        assert venue.resting() == []
        assert venue.repeated == {}


async def test_a_rung_that_waits_for_its_entry_can_be_cancelled_with_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(FAR)
        await bot.quiet()
        assert len(bot.working()) == 5
        await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
        await bot.until(lambda: bot.working() == [])
        assert venue.resting() == []
        await bot.agreed()
        await bot.until(lambda: not any(bot.trading.broker.holds(name) for name in bot.orders()))


async def test_a_refused_entry_ends_with_its_exits(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        venue.hand.withdraw("", D("9999.9999"))
        await bot.bar(LONG)
        await bot.until(lambda: bool(bot.orders()) and bot.working() == [])
        assert {order.state for order in bot.orders().values()} <= {OrderState.REJECTED, OrderState.CANCELED}
        assert bot.engine.risk.trading_state is TradingState.RUNNING
        assert venue.resting() == []


async def test_a_partial_batch_leaves_no_position_without_a_stop(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        venue.fault("partial_batch", count=1)
        await bot.bar(LONG)
        await bot.until(lambda: bot.position() > 0 and bot.is_protected())
        await bot.agreed()


async def test_an_expired_agent_halts_once_and_sends_no_storm(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            await bot.bar(QUIET)
            venue.hand.expire_agents("")
            await bot.bar(LONG)
            await bot.until(lambda: bot.engine.risk.trading_state is TradingState.HALTED)
            await bot.bar(SHORT)
            await asyncio.sleep(0.5)
            kinds = await bot.kinds()
            assert kinds.count("state_changed") == 1
            assert kinds.count("submit") == 1
            assert kinds.count("intent") <= 1


async def test_a_naked_position_of_an_expired_agent_pages_and_sends_no_storm(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
            alerts: list[AlertName] = []
            bot.booted.recorder.listeners.append(lambda m: alerts.append(m.name) if isinstance(m, Alert) else None)
            venue.hand.expire_agents("")
            venue.hand.cancel("", "BTC")
            await bot.until(lambda: AlertName.UNPROTECTED in alerts)
            await asyncio.sleep(3)
            assert bot.engine.risk.trading_state is TradingState.HALTED
            kinds = await bot.kinds()
            assert kinds.count("intent") <= 5
            assert alerts.count(AlertName.UNPROTECTED) == 1


async def test_a_position_is_closed_by_command_under_faults(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        for fault in ("drop_reply", "lost", "error_502", "partial_batch", "reorder", "duplicate"):
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
            venue.fault(fault, count=2)
            await bot.command(Verb.CLOSE, symbol="BTC")
            await bot.until(lambda: bot.position() == 0)
            venue.clear()
            await bot.agreed()
            assert venue.resting() == []
        assert venue.repeated == {}


async def test_an_exit_that_came_too_late_leaves_the_stop_and_can_be_asked_for_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(lambda: bot.position() > 0 and bot.is_protected())
        await bot.agreed()
        venue.fault("rate_limit")
        await bot.command(Verb.CLOSE, symbol="BTC")
        await bot.until(bot.trading.broker.unsettled)
        await asyncio.sleep(1.5)
        venue.clear()
        await bot.until(lambda: not bot.trading.broker.waiting)
        await bot.until(lambda: bot.position() == 0 or bot.is_protected())
        await bot.agreed()
        if bot.position():
            await bot.command(Verb.CLOSE, symbol="BTC")
        await bot.until(lambda: bot.position() == 0)
        await bot.agreed()
        assert venue.resting() == []
        assert venue.repeated == {}


async def test_a_cancel_that_is_not_permitted_halts_and_is_not_repeated(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            await bot.bar(LIMIT)
            await bot.agreed()
            venue.hand.expire_agents("")
            await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
            await bot.until(lambda: bot.engine.risk.trading_state is TradingState.HALTED)
            await bot.until(lambda: not bot.trading.broker.waiting)
            assert venue.resting()


@pytest.mark.parametrize("fault", ["", "drop_reply", "lost", "error_500", "error_502", "partial_batch"])
async def test_a_moved_stop_replaces_the_old_one(tmp_path: Path, fault: str) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(lambda: bot.position() > 0 and bot.is_protected())
        await bot.agreed()
        for factor in ("1.01", "1.01"):
            venue.move(factor)
            if fault:
                venue.fault(fault, count=2)
            await bot.bar(TRAIL)
            await bot.until(lambda: bot.is_protected() and len(venue.resting()) == 2)
            await bot.agreed()
        stop = D(venue.resting()[0][0])
        assert D("0.965") < stop / venue.price() < D("0.975")
        assert venue.repeated == {}


@pytest.mark.parametrize("fault", ["", "drop_reply", "lost", "partial_batch"])
async def test_a_stop_that_trails_follows_in_steps_and_never_goes_back(tmp_path: Path, fault: str) -> None:
    async with stage(tmp_path) as venue:
        venue.trails = "true"
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
            entry, first = venue.price(), D(venue.resting()[0][0])
            away = entry - first
            for factor, is_step in [("1.004", False), ("1.03", True), ("0.98", False), ("1.03", True)]:
                before = D(venue.resting()[0][0])
                venue.move(factor)
                if fault:
                    venue.fault(fault, count=1)
                await bot.bar()
                if is_step:
                    wanted = venue.price() - away
                    await bot.until(partial(stands_at, venue, wanted))
                await bot.until(lambda: bot.is_protected() and len(venue.resting()) == 2)
                await bot.agreed()
                venue.clear()
                assert (D(venue.resting()[0][0]) > before) is is_step
            venue.move("0.94")
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
            assert bot.working() == []
            assert venue.repeated == {}


@pytest.mark.parametrize("fault", ["", "drop_reply", "lost", "partial_batch"])
async def test_exit_rules_move_the_stop_and_end_the_position_over_a_kill(tmp_path: Path, fault: str) -> None:
    async with stage(tmp_path) as venue:
        venue.trails = '{ kind = "structure", swing = 1, buffer_ticks = 0 }'
        venue.break_even, venue.hold = ", break_even = { at_r = 0.5 }", "max_hold = { bars = 6 }"
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
            entry = D(bot.engine.risk.save().positions["BTC"].entry_price)
            # A gain of more than half an R, a low that stays above break-even, and the close that makes a swing of it.
            even = entry * D("1.00045") / D("0.99955")
            for factor, wanted in [("1.03", even), ("0.985", even), ("1.02", None)]:
                low = venue.price()
                venue.move(factor)
                if fault:
                    venue.fault(fault, count=1)
                await bot.bar()
                await bot.until(partial(stands_at, venue, low if wanted is None else wanted))
                await bot.until(lambda: bot.is_protected() and len(venue.resting()) == 2)
                await bot.agreed()
                venue.clear()
            (covered,) = bot.engine.orders.protection()
            assert covered.moved_by == "swing_low"
        async with run(venue) as bot:
            await bot.bar()
            assert bot.position() > 0
            await bot.bar()
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
            exits = [order.request for order in bot.orders().values() if order.request.role is OrderRole.EXIT]
            assert [request.reason for request in exits] == ["time"]
            assert bot.working() == []
            assert venue.repeated == {}


def stands_at(venue: Stage, stop: Decimal) -> bool:
    return abs(D(venue.resting()[-2][0]) - stop) <= stop * D("0.0005")


@pytest.mark.parametrize("fault", ["", "drop_reply", "lost", "error_502"])
async def test_half_an_exit_leaves_a_stop_of_what_is_left(tmp_path: Path, fault: str) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(lambda: bot.position() > 0 and bot.is_protected())
        await bot.agreed()
        held = bot.position()
        if fault:
            venue.fault(fault, count=2)
        await bot.bar(HALF)
        await bot.until(lambda: 0 < bot.position() < held and bot.is_protected())
        await bot.until(lambda: [size for _, size in venue.resting()] == [bot.position()] * 2)
        await bot.agreed()
        venue.move("0.9")
        await bot.until(lambda: bot.position() == 0)
        await bot.agreed()
        assert bot.working() == []
        assert venue.repeated == {}


async def test_a_refusal_of_the_key_while_stopping_is_no_failure(tmp_path: Path) -> None:
    async with stage(tmp_path, latency_s=0.2) as venue:
        give_agent(venue)
        bot = await begin(venue)
        await bot.bar(LIMIT)
        await bot.agreed()
        venue.hand.expire_agents("")
        await bot.bar(SHORT, "ETH")
        await bot.end(grace_s=5)
        assert bot.supervisor.failed is None


async def test_a_cancel_that_the_venue_puts_off_is_repeated(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LIMIT)
        await bot.agreed()
        venue.fault("error_500", count=6)
        await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
        await bot.until(lambda: bot.working() == [] and venue.resting() == [])
        await bot.agreed()


async def test_a_stop_that_was_larger_than_what_was_left_is_over(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LADDER)
        await bot.until(lambda: len(venue.resting()) == 4)
        await bot.agreed()
        # In one go, so that no stop of the new size comes between.
        venue.move("1.025")
        venue.move("0.9")
        await bot.until(lambda: bot.position() == 0 and venue.position() == 0)
        await bot.agreed()
        assert bot.working() == []
        assert venue.pages == []


async def test_orders_of_two_symbols_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.quiet()
        venue.fault("timeout", count=1, value=D(8))
        await bot.bar(OUT)
        await bot.until(lambda: venue.position() == 0)
        await bot.bar(LONG, "ETH")
        await bot.until(lambda: bot.position("ETH") > 0, 5)
        await bot.until(bot.is_protected)
        await bot.agreed()
