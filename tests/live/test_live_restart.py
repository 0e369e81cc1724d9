"""Killed in every state of an order's life, the bot comes back to what is true, and no order exists twice."""

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.checking import checked
from tests.live.rehearsal import FAR, LADDER, LIMIT, LONG, OUT, D, Run, Stage, run, stage
from tests.virtual import LoopClock
from tradebot.live.intents import IntentLog
from tradebot.model.command import Verb
from tradebot.model.errors import LockHeld
from tradebot.model.finding import Grade
from tradebot.model.order import OrderState
from tradebot.model.venue import Settled
from tradebot.store.rows import Query

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


async def enter(bot: Run) -> None:
    await bot.bar(LONG)
    await bot.until(lambda: bot.position() > 0 and bot.is_protected())
    await bot.agreed()


async def warm(bot: Run) -> None:
    """Trade once, so that leverage is set."""
    await enter(bot)
    await bot.bar(OUT)
    await bot.until(lambda: bot.position() == 0)
    await bot.agreed()


async def position_findings(venue: Stage) -> list[Grade]:
    """Return what a home without a journal is told of the positions on the account."""
    findings = await checked(venue.loaded(), venue.folder / "home", LoopClock(), is_fresh=True)
    return [finding.grade for finding in findings if finding.check == "positions"]


def check(venue: Stage) -> None:
    assert venue.repeated == {}


async def test_a_position_is_as_it_was_after_a_kill(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            held = bot.position()
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.position() == held
            assert bot.is_protected()
            assert venue.pages == []
        check(venue)


async def test_what_was_decided_and_never_sent_is_given_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            bot.mute()
            await bot.bar(LONG)
            await bot.engine.durable()
        async with run(venue) as bot:
            await bot.until(lambda: bot.working() == [])
            await bot.agreed()
            assert bot.orders()["script-BTC-1-entry"].state is OrderState.REJECTED
        check(venue)


async def test_an_exit_that_was_never_sent_goes_out_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            bot.mute()
            await bot.bar(OUT)
            await bot.engine.durable()
        async with run(venue) as bot:
            await bot.until(lambda: venue.position() == 0 and bot.position() == 0)
            await bot.agreed()
        assert venue.resting() == []
        check(venue)


async def test_an_exit_that_was_never_sent_does_not_go_out_for_a_position_turned_round_meanwhile(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            bot.mute()
            await bot.bar(OUT)
            await bot.engine.durable()
        venue.hand.trade("", "BTC", -2 * venue.position())
        short = venue.position()
        async with run(venue) as bot:
            await bot.quiet()
            await bot.agreed()
            assert bot.orders()["script-BTC-2-exit"].reason.startswith("not sent: script-BTC-2-exit is to sell")
            assert venue.position() == bot.position() == short
        check(venue)


async def test_an_intent_that_is_durable_and_was_never_sent_is_settled(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await warm(bot)
            venue.fault("lost")
            await bot.bar(LONG)
            await bot.until(bot.trading.broker.unsettled)
        venue.clear()
        async with run(venue) as bot:
            await bot.quiet()
            await bot.agreed()
            assert bot.is_protected()
        check(venue)


async def test_an_intent_that_was_sent_and_never_answered_is_found(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await warm(bot)
            venue.fault("timeout", value=D(60))
            venue.fault("half_open")
            await bot.bar(LONG)
            await bot.until(venue.position)
        venue.clear()
        async with run(venue) as bot:
            await bot.quiet()
            await bot.agreed()
            assert bot.position() == venue.position() > 0
            assert bot.is_protected()
        check(venue)


async def test_an_outcome_that_is_durable_and_was_never_told_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = IntentLog.record

    async def record_and_hang(log: IntentLog, entry: object) -> None:
        await record(log, entry)  # type: ignore[arg-type]
        if isinstance(entry, Settled):
            await asyncio.Event().wait()

    async with stage(tmp_path) as venue:
        with monkeypatch.context() as patch:
            patch.setattr(IntentLog, "record", record_and_hang)
            async with run(venue) as bot:
                await bot.bar(LIMIT)
                await bot.until(venue.resting)
                await bot.bar(LONG, "ETH")
                await bot.until(lambda: venue.position("ETH"))
                await asyncio.sleep(0.1)
        async with run(venue) as bot:
            await bot.quiet()
            await bot.agreed()
            assert bot.is_protected()
        check(venue)


async def test_a_cancel_that_was_asked_and_never_sent_is_sent(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(LIMIT)
            await bot.agreed()
            bot.mute()
            await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
            assert venue.resting()
        async with run(venue) as bot:
            await bot.until(lambda: bot.working() == [] and venue.resting() == [])
            await bot.agreed()
        check(venue)


async def test_rungs_that_wait_for_their_entry_are_placed_by_the_next_run(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(FAR)
            await bot.until(lambda: not bot.trading.broker.waiting)
        async with run(venue) as bot:
            venue.move("0.975")
            await bot.until(lambda: len(venue.resting()) == 4 and bot.is_protected())
            await bot.agreed()
        check(venue)


async def test_rungs_whose_entry_filled_while_down_are_placed(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(FAR)
            await bot.until(lambda: not bot.trading.broker.waiting)
        venue.move("0.975")
        async with run(venue) as bot:
            await bot.until(lambda: len(venue.resting()) == 4 and bot.is_protected())
            await bot.agreed()
        check(venue)


async def test_rungs_of_an_entry_without_an_answer_are_placed_when_it_filled(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await warm(bot)
            venue.fault("timeout", value=D(60))
            venue.fault("half_open")
            await bot.bar(LADDER)
            await bot.until(lambda: venue.position())
        venue.clear()
        async with run(venue) as bot:
            await bot.until(lambda: len(venue.resting()) == 4 and bot.is_protected())
            await bot.agreed()
        check(venue)


async def test_an_entry_filled_while_down_is_known_with_its_stop(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(LIMIT)
            await bot.agreed()
        venue.move("0.985")
        assert venue.position() > 0
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.position() > 0
            await bot.until(bot.is_protected)
            assert len(venue.resting()) == 2
        check(venue)


async def test_a_position_stopped_out_while_down_is_closed(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.move("0.9")
        assert venue.position() == 0
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.position() == 0
            assert bot.working() == []
        check(venue)


async def test_a_position_closed_by_hand_while_down_is_closed(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.hand.trade("", "BTC", -venue.position())
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.position() == 0
            assert bot.working() == []
        check(venue)


async def test_a_stop_cancelled_by_hand_while_down_is_placed_anew(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.hand.cancel("", "BTC")
        async with run(venue) as bot:
            await bot.until(lambda: bool(venue.resting()) and bot.is_protected())
            await bot.agreed()
        check(venue)


async def test_a_part_closed_by_hand_while_down_leaves_a_stop_of_its_size(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.hand.trade("", "BTC", D("-0.005"))
        async with run(venue) as bot:
            await bot.until(bot.is_protected)
            await bot.agreed()
        check(venue)


async def test_money_that_came_while_down_is_booked(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.net.exchange.fund(venue.net.user, D(500))
        venue.hand.withdraw("", D(20))
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.live.residual is not None
            assert abs(bot.live.residual) < D("0.01")
            assert venue.pages == []
        async with run(venue) as bot:
            await bot.agreed()
        check(venue)


async def test_a_second_run_on_the_account_is_kept_out(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue):
        other = tmp_path / "other"
        other.mkdir()
        with pytest.raises(LockHeld):
            async with run(Stage(venue.net, other)):
                pass


async def test_a_lost_journal_finds_its_position_and_its_stop(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            held = bot.position()
        for path in (tmp_path / "home").iterdir():
            path.unlink()
        assert await position_findings(venue) == [Grade.WARN]
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.position() == held
            await bot.until(bot.is_protected)
        check(venue)


async def test_the_stop_of_a_lost_journal_that_went_while_down_is_missed(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        for path in (tmp_path / "home").iterdir():
            path.unlink()
        async with run(venue) as bot:
            await bot.agreed()
        venue.hand.cancel("", "BTC")
        async with run(venue) as bot:
            await bot.until(lambda: bool(venue.resting()) or venue.position() == 0)
            await bot.until(bot.is_protected)
            await bot.agreed()
        check(venue)


async def test_what_was_adopted_can_be_cancelled_by_a_later_run(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(LIMIT)
            await bot.agreed()
        for path in (tmp_path / "home").iterdir():
            path.unlink()
        async with run(venue) as bot:
            await bot.until(lambda: "script-BTC-1-entry" in bot.working())
        async with run(venue) as bot:
            await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
            await bot.until(lambda: bot.working() == [] and venue.resting() == [])
            await bot.agreed()


async def test_an_entry_of_a_lost_journal_that_fills_is_protected(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(LIMIT)
            await bot.agreed()
        for path in (tmp_path / "home").iterdir():
            path.unlink()
        async with run(venue) as bot:
            await bot.until(lambda: "script-BTC-1-entry" in bot.working())
            venue.move("0.985")
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
        check(venue)


async def test_a_position_somebody_opened_before_the_first_boot_is_left_alone(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        venue.hand.trade("", "BTC", D("0.01"))
        (tmp_path / "home").mkdir()
        assert await position_findings(venue) == [Grade.FAIL]
        async with run(venue) as bot:
            await bot.agreed()
            await asyncio.sleep(2.5)
            assert bot.position() == venue.position() == D("0.01")
            assert venue.pages == []
            await bot.bar(LONG, "ETH")
            await bot.until(lambda: bot.position("ETH") > 0)
            await bot.agreed()


async def test_a_position_of_a_strategy_that_is_configured_no_more_lives_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.strategy = "renamed"
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.is_protected()
            assert venue.pages == []
            venue.move("0.9")
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
            await bot.journal.committed(bot.journal.last_seq)
            trips = [row async for row in bot.journal.scan(Query(kinds=["round_trip"]))]
            assert b'"stop"' in trips[-1].payload
        check(venue)


async def test_a_position_of_a_symbol_that_is_configured_no_more_lives_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.symbols = '"ETH"'
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.is_protected()
            venue.move("0.9")
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
        check(venue)
