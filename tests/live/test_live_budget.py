"""What a boot asks of its venue: no more than it must, once, and what protects a position before all else."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import LONG, D, Run, Stage, run, stage
from tests.virtual import LoopClock
from tradebot.model.errors import NotPermitted
from tradebot.model.logevent import LogEvent
from tradebot.model.venue import Purpose
from tradebot.runtime import real_venue
from tradebot.venues.hyperliquid import memory

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect for how long, in seconds, each request that protects had to wait."""
    found: list[float] = []

    def log(event: LogEvent, level: str = "info", **fields: Any) -> None:
        del level
        if event in (LogEvent.REQUEST_WAITED, LogEvent.REQUEST_RETRIED) and fields["purpose"] is Purpose.PROTECT:
            found.append(fields["wait_s"])

    monkeypatch.setattr(real_venue, "log", log)
    return found


def asked(venue: Stage) -> Any:
    """Return how often each question was answered since this was asked."""
    limits = venue.net.server.limits
    row = limits.row()
    limits.begin()
    return row["asked"]


async def enter(bot: Run) -> None:
    await bot.bar(LONG)
    await bot.until(lambda: bot.position() > 0 and bot.is_protected())
    await bot.agreed()


@pytest.mark.parametrize("refusals", [1, 2])
async def test_refused_questions_of_a_boot_keep_no_stop_away_for_long(
    tmp_path: Path, waits: list[float], refusals: int
) -> None:
    async with stage(tmp_path, is_unlimited=False) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.fault("manual_cancel")
        assert venue.resting() == []
        venue.fault("rate_limit", count=refusals)
        async with run(venue) as bot:
            await bot.until(lambda: venue.resting() and bot.is_protected())
            assert 0 < sum(waits) < refusals
        assert venue.repeated == {}


async def test_what_several_parts_of_a_boot_must_know_is_asked_once(tmp_path: Path) -> None:
    async with stage(tmp_path, is_unlimited=False) as venue:
        async with run(venue) as bot:
            await bot.agreed()
        first = asked(venue)
        once = ("metaAndAssetCtxs", "userRole", "userAbstraction", "userRateLimit")
        assert {kind: first[kind] for kind in once} == dict.fromkeys(once, 1)
        async with run(venue) as bot:
            await bot.agreed()
        again = asked(venue)
        assert "userRole" not in again, "it is known from the last run"
        assert again["metaAndAssetCtxs"] == 1


async def test_what_was_remembered_is_asked_anew_when_it_is_old_or_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue):
            pass
        asked(venue)
        with monkeypatch.context() as patch:
            patch.setattr(memory, "LASTS_S", 0)
            async with run(venue):
                assert asked(venue)["userRole"] == 1
        venue.account = "0x" + "12" * 20
        with pytest.raises(NotPermitted):
            async with run(venue):
                pass
        assert asked(venue)["userRole"] == 3, "the other account, and all anew before it is refused"


async def test_all_boots_of_a_machine_count_what_they_sent_together(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        venue.weight_per_minute = 1200
        async with run(venue) as bot:
            await bot.agreed()
            left = bot.live.budget
            assert left < 1200
        async with run(venue) as bot:
            assert bot.live.budget <= left - 100
            requests = bot.live.execution._link.resilience.requests  # type: ignore[union-attr]
            assert requests.take(900, Purpose.HISTORY, LoopClock().monotonic()) > 0
            await enter(bot)
            assert bot.position() > D(0)


async def test_a_bot_of_many_coins_that_is_killed_again_and_again_is_never_refused(
    tmp_path: Path, waits: list[float]
) -> None:
    coins = ("BTC", "ETH", *(f"C{number:02}" for number in range(28)))
    async with stage(tmp_path, is_unlimited=False, coins=coins) as venue:
        venue.weight_per_minute = 1200
        venue.symbols = ", ".join(f'"{coin}"' for coin in coins)
        async with run(venue) as bot:
            await enter(bot)
        for _ in range(2):
            async with run(venue) as bot:
                await bot.agreed()
                assert bot.is_protected()
        row = venue.net.server.limits.row()
        assert row["refused"] == 0
        assert row["most"] <= 1200
        assert waits == [], "no boot waits for the weight of a minute"
        assert venue.repeated == {}
