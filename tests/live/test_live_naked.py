"""A position that lost its stop while nobody watched, at a venue that is shut: what must come first at a boot does."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from hypothesis import given
from hypothesis import strategies as st

from tests.clock import VirtualClock
from tests.live.rehearsal import HALF, LONG, D, Stage, run, stage
from tests.virtual import LoopClock
from tests.waiting import until
from tradebot.live.patience import Patience
from tradebot.model.errors import Unavailable
from tradebot.model.order import OrderCanceled, OrderState
from tradebot.model.time import Nanos
from tradebot.model.venue import Intent, Rests
from tradebot.runtime import daemon
from tradebot.runtime.daemon import Daemon
from tradebot.settings.load import LoadOptions
from tradebot.store.lock import HomeLock
from tradebot.venues.submit import ActionReply, Rules, Step, Submission, VenueLook

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


def listen(venue: Stage) -> list[str]:
    """Return the kinds of what the venue is asked for from here on, in order."""
    kinds: list[str] = []
    server: Any = venue.net.server
    answer, read = server.info.answer, server.exchange.read

    def answered(body: Any) -> Any:
        kinds.append(str(body.get("type")))
        return answer(body)

    def acted(body: Any) -> Any:
        kinds.append(str(body["action"]["type"]))
        return read(body)

    server.info.answer, server.exchange.read = answered, acted
    return kinds


async def test_a_boot_places_a_lost_stop_before_it_asks_what_may_be_wrong_and_without_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seed 12 of the storm: a stop cancelled by hand, then a kill, then a venue that is shut.
    monkeypatch.setattr(daemon, "_HARD_S", 0.5)
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
        venue.hand.cancel("", "BTC")
        venue.fault("half_open")
        kinds = listen(venue)
        environ = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
        with HomeLock(tmp_path / "home"):
            made = Daemon(tmp_path / "home", venue.loaded(), LoadOptions(), environ, LoopClock())
            ending = asyncio.create_task(made.main())
            await until(lambda: ending.done() or bool(venue.resting()))
            (stop,) = venue.resting()
            assert stop[1] == venue.position()
            before = kinds[: kinds.index("order")]
            # Rows of the account, and nothing that only preflight asks.
            assert "candleSnapshot" not in before
            assert "userFees" not in before
            made._supervisor.stopping.set()
            async with asyncio.timeout(30):
                assert await ending == 0


@given(st.floats(0, 600))
def test_a_venue_that_is_back_is_asked_within_a_second(away_s: float) -> None:
    clock = VirtualClock(0)

    async def sleep(seconds: float) -> None:
        clock.advance(int(seconds * 1e9))

    async def ask() -> float:
        if clock.monotonic() < away_s:
            raise Unavailable("gone")
        return clock.monotonic()

    patience = Patience(clock, lambda *_, **__: None, lambda: None, sleep)
    assert asyncio.run(patience.until(ask)) - away_s <= 1


@given(st.integers(0, 11_000), st.integers(0, 400), st.booleans())
def test_a_stop_whose_bytes_were_lost_lands_within_two_seconds_of_the_venue_being_back(
    away_ms: int, answers_ms: int, is_resumed: bool
) -> None:
    rules, now = Rules(), 0
    intent = Intent(nonce=0, cloids=("a",), expires_ms=rules.ttl_ms, body="{}", is_urgent=True)
    order = Submission(intent, rules, is_resumed=is_resumed)
    while order.settled is None:
        match order.next(now):
            case Step.SEND if now >= away_ms:
                order.answered(ActionReply((Rests(1),)))
            case Step.SEND:
                now += answers_ms
                order.unanswered()
            case Step.LOOK:
                now += answers_ms
                order.looked(VenueLook(now, {}) if now >= away_ms else None)
            case Step.FENCE:
                raise AssertionError("it is given up while it may yet land")
            case _:
                now += order.pause_ms
    assert now <= away_ms + rules.longest_urgent_ms + 2 * answers_ms + rules.first_pause_ms


async def test_a_part_that_was_closed_before_a_kill_is_not_closed_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
            held = bot.position()
            venue.fault("drop_reply", count=1)
            venue.fault("half_open")
            await bot.bar(HALF)
            await bot.until(lambda: venue.position() < held)
        venue.clear()
        async with run(venue) as after:
            await after.agreed()
            assert venue.position() == after.position()
            assert held / 2 - D("0.00001") <= venue.position() <= held / 2 + D("0.00001")
            assert venue.repeated == {}


@pytest.mark.parametrize("is_shut", [False, True])
async def test_the_end_of_an_exit_is_told_behind_its_fills_or_not_at_all(
    tmp_path: Path, is_shut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shut() -> None:
        raise Unavailable("gone")

    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.until(lambda: bot.position() > 0 and bot.is_protected())
        await bot.agreed()
        held = bot.position()
        venue.fault("half_open")
        venue.fault("timeout", count=1, value=D(60))
        await bot.bar(HALF)
        await bot.until(lambda: venue.position() < held)
        end = OrderCanceled(ts_event=Nanos(0), client_order_id="script-BTC-2-exit", reason="ioc_canceled")
        with monkeypatch.context() as patched:
            if is_shut:
                patched.setattr(bot.trading.venue, "late_fills", shut)
            await bot.trading.broker.tell([end])
        order = bot.orders()["script-BTC-2-exit"]
        assert (order.state is OrderState.FILLED) is not is_shut
        assert (bot.position() == venue.position()) is not is_shut
        venue.clear()
        await bot.agreed()
        assert [name for name in await bot.submitted() if "-exit" in name] == ["script-BTC-2-exit"]
