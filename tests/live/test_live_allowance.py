"""The actions that an address may send, counted by the devnet as the venue counts them: entries leave 500 to exits."""

from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import LONG, OUT, SHORT, D, Run, Stage, run, stage
from tradebot.devnet import limits
from tradebot.live import allowance as watching
from tradebot.model.command import AlertName
from tradebot.model.order import OrderState
from tradebot.model.signal import Refused
from tradebot.store.codec import decode_message
from tradebot.store.rows import Query
from tradebot.venues import allowance

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


def leave(venue: Stage, actions: int) -> None:
    """Let the account have ``actions`` left."""
    venue.desk.requests = venue.net.exchange.budget(venue.net.user).cap - actions


async def refusals(bot: Run) -> list[Refused]:
    await bot.engine.durable()
    rows = await bot.journal.rows(Query(kinds=[Refused.kind]))
    return [m for row in rows if isinstance(m := decode_message(row.kind, row.payload), Refused)]


async def test_an_entry_that_would_take_of_the_reserve_is_refused_with_its_numbers(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        leave(venue, 502)
        async with run(venue) as bot:
            await bot.bar(LONG)
            assert [(one.gate, one.limit, one.value) for one in await refusals(bot)] == [
                ("action_allowance", D(500), D(499))
            ]
            assert venue.desk.requests == venue.net.exchange.budget(venue.net.user).cap - 502
            assert venue.desk.cloids == {}
            assert bot.live.actions_left == 502


async def test_what_is_sent_between_two_answers_of_the_venue_is_counted(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        leave(venue, 506)
        async with run(venue) as bot:
            used = venue.desk.requests
            # Leverage, entry, stop, target.
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            assert (venue.desk.requests, bot.live.actions_left) == (used + 4, 502)
            await bot.until(lambda: bot.engine.risk.actions_left == 502)
            await bot.bar(LONG, "ETH")
            assert [one.gate for one in await refusals(bot)] == ["action_allowance"]
            await bot.bar(OUT)
            await bot.until(lambda: venue.position() == 0)
            await bot.agreed()
            assert venue.desk.requests > used + 4


async def test_an_entry_on_its_way_is_not_sent_when_orders_before_it_used_the_actions_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The line is not told in time.
    monkeypatch.setattr(watching, "_PERIOD_S", 60.0)
    async with stage(tmp_path) as venue:
        leave(venue, 506)
        async with run(venue) as bot:
            bot.live.execution._gateway.allowance.spend(4)  # type: ignore[union-attr]
            await bot.bar(LONG)
            await bot.until(lambda: bot.orders()["script-BTC-1-entry"].state is OrderState.REJECTED)
            assert "500 are kept for exits" in bot.orders()["script-BTC-1-entry"].reason
            assert venue.position() == 0


async def test_entries_go_on_when_the_venue_allows_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_ASK_LOW_S", 0.1)
    async with stage(tmp_path) as venue:
        leave(venue, 400)
        async with run(venue) as bot:
            await bot.bar(LONG)
            assert [one.gate for one in await refusals(bot)] == ["action_allowance"]
            leave(venue, 900)
            await bot.until(lambda: bot.engine.risk.actions_left == 900)
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())


async def test_a_restart_knows_what_is_left_before_it_asks_and_few_left_are_paged(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        leave(venue, 1_999)
        async with run(venue) as bot:
            await bot.until(lambda: venue.pages)
            await bot.bar(LONG)
            await bot.until(bot.is_protected)
        leave(venue, 450)
        async with run(venue) as bot:
            assert bot.booted.wired.risk.actions_left == 450
            await bot.bar(SHORT, "ETH")
            assert [one.gate for one in await refusals(bot)] == ["action_allowance"]
        told = [what for name, what in venue.pages if name is AlertName.ACTIONS_LOW]
        assert ["entries end" in told[0], "entries are refused" in told[1]] == [True, True]


async def test_with_all_used_up_exits_and_stops_go_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SLOW_MS", 700)
    monkeypatch.setattr(allowance, "TRICKLE_S", 0.75)
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.bar(SHORT, "ETH")
        await bot.until(lambda: venue.position() > 0 and venue.position("ETH") < 0 and bot.is_protected())
        await bot.agreed()
        leave(venue, 0)
        bot.live.execution._gateway.allowance.learn(1, 1)  # type: ignore[union-attr]
        venue.hand.cancel("", "BTC")
        await bot.bar(OUT, "ETH")
        await bot.until(lambda: bot.is_protected() and venue.position("ETH") == 0)
        await bot.bar(OUT)
        await bot.until(lambda: venue.position() == 0)
        await bot.agreed()
        assert venue.repeated == {}
        assert any("one order each" in what for name, what in venue.pages if name is AlertName.ACTIONS_LOW)


async def test_a_count_that_the_venue_contradicts_is_asked_for_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(bot.is_protected)
        await bot.agreed()
        leave(venue, 0)
        venue.net.exchange.budget(venue.net.user)._slow_until_ms = 1 << 62
        await bot.bar(OUT)
        await bot.until(lambda: bot.live.actions_left in range(-50, 1))
        assert (await bot.kinds()).count("actions_left") >= 2


async def test_with_all_used_up_no_noop_takes_the_turn_of_an_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SLOW_MS", 100)
    monkeypatch.setattr(allowance, "TRICKLE_S", 0.1)
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(lambda: venue.position() > 0 and bot.is_protected())
        await bot.agreed()
        leave(venue, 0)
        bot.live.execution._gateway.allowance.learn(1, 1)  # type: ignore[union-attr]
        noops: list[object] = []
        monkeypatch.setitem(venue.net.exchange._actions, "noop", lambda _, action: noops.append(action))
        venue.fault("lost", count=4)
        await bot.bar(OUT)
        await bot.until(lambda: venue.position() == 0)
        await bot.agreed()
        assert noops == []
