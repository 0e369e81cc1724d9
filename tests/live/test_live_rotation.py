"""The key is exchanged while the bot trades: refused ones change nothing, and no order exists twice."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from coincurve import PrivateKey

from tests.live.rehearsal import LONG, OUT, Run, Stage, run, stage
from tests.live.test_live_trading import give_agent
from tradebot.devnet.devnet import write_key
from tradebot.devnet.recover import address_of
from tradebot.live.freezer import FreezeReason
from tradebot.live.rotation import KeyRotation
from tradebot.model.command import TradingState, Verb
from tradebot.model.errors import InvariantError, NotPermitted, RefusedByRule, StorageFailed, VenueError
from tradebot.venues.hyperliquid.gateway import Gateway

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]

NEW = "09" * 32


def approve(venue: Stage, key: str = NEW, name: str = "next") -> str:
    address = address_of(PrivateKey(bytes.fromhex(key)).public_key)
    venue.hand.approve("", address, name, 10**9)
    return str(address)


def rotation(bot: Run) -> KeyRotation:
    found = bot.engine.rotation
    assert found is not None
    return found


async def nothing() -> None:
    pass


async def test_the_next_order_is_signed_by_the_new_key_without_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(bot.is_protected)
            await bot.agreed()
            began, kept = time.monotonic(), []

            async def keep() -> None:
                kept.append(bot.trading.venue._gateway.signer)  # type: ignore[attr-defined]

            address = approve(venue)
            assert await rotation(bot).rotate(NEW, keep) == address
            assert kept == [address]
            assert time.monotonic() - began < 60
            assert bot.engine.risk.trading_state is TradingState.RUNNING
            assert not bot.engine.risk.frozen
            # The old one is revoked at the venue, and is not missed.
            approve(venue, "0a" * 32, "bot")
            await bot.bar(OUT)
            await bot.until(lambda: venue.position() == 0)
            await bot.agreed()
            assert venue.repeated == {}


@pytest.mark.parametrize("key", ["0b" * 32, "zz", "0" * 64])
async def test_a_key_that_the_venue_does_not_know_changes_nothing(tmp_path: Path, key: str) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(bot.is_protected)
            await bot.agreed()

            async def keep() -> None:
                raise AssertionError("a refused key is not kept")

            with pytest.raises(NotPermitted) as told:
                await rotation(bot).rotate(key, keep)
            assert key not in str(told.value)
            assert not bot.engine.risk.frozen
            await bot.bar(OUT)
            await bot.until(lambda: venue.position() == 0)
            await bot.agreed()


async def test_a_venue_that_cannot_be_asked_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            approve(venue)
            before = bot.trading.venue._gateway.signer  # type: ignore[attr-defined]
            venue.fault("error_500", probability=1.0)
            with pytest.raises(VenueError):
                await rotation(bot).rotate(NEW, nothing)
            venue.clear()
            assert bot.trading.venue._gateway.signer == before  # type: ignore[attr-defined]
            assert not bot.engine.risk.frozen


async def test_an_order_without_outcome_is_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            approve(venue)
            await bot.bar(LONG)
            await bot.until(bot.is_protected)
            await bot.agreed()
            venue.fault("lost", probability=1.0)
            await bot.bar(OUT)
            await bot.until(lambda: bool(bot.trading.venue.unsettled()))
            with pytest.raises(InvariantError, match="under way"):
                bot.trading.venue.use_key(NEW)
            change = asyncio.ensure_future(rotation(bot).rotate(NEW, nothing))
            await bot.until(lambda: bot.engine.risk.frozen)
            venue.clear()
            await change
            await bot.until(lambda: venue.position() == 0)
            await bot.agreed()
            assert venue.repeated == {}


async def test_one_change_at_a_time_and_a_store_that_fails_lets_entries_in_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            approve(venue)

            async def keep() -> None:
                assert any(FreezeReason.KEY in reasons for reasons in bot.engine.risk.frozen.values())
                with pytest.raises(RefusedByRule, match="already"):
                    await rotation(bot).rotate(NEW, nothing)
                raise StorageFailed("the disk is full")

            with pytest.raises(StorageFailed):
                await rotation(bot).rotate(NEW, keep)
            assert not bot.engine.risk.frozen


async def test_what_another_key_signed_is_never_fenced_by_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(bot.is_protected)
            await bot.agreed()
            # An urgent order is signed and recorded, and the machine dies before anybody knows what became of it.
            venue.fault("lost", probability=1.0)
            await bot.bar(OUT)
            await bot.until(lambda: bool(bot.trading.venue.unsettled()))
            await bot.end()
        approve(venue)
        write_key(venue.folder / "next.key", PrivateKey(bytes.fromhex(NEW)))
        venue.key_file = "next.key"
        signed: list[str] = []
        envelope = Gateway._envelope

        def spy(gateway: Gateway, action: Any, *rest: Any) -> str:
            signed.append(str(action["type"]))
            return envelope(gateway, action, *rest)

        monkeypatch.setattr(Gateway, "_envelope", spy)
        async with run(venue) as after:
            await after.until(lambda: not after.trading.venue.unsettled())
            venue.clear()
            await after.agreed()
            assert "noop" not in signed
            assert venue.repeated == {}


async def test_that_the_last_key_may_trade_no_more_is_not_held_against_the_new_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        give_agent(venue)
        async with run(venue) as bot:
            await bot.bar(LONG)
            await bot.until(bot.is_protected)
            await bot.agreed()
            # Its agent is ended; the exit is refused, and the machine dies before that is proven.
            approve(venue, "0a" * 32, "bot")
            await bot.bar(OUT)
            await bot.until(lambda: bot.engine.risk.trading_state is TradingState.HALTED)
            assert bot.trading.venue.unsettled()
            await bot.end()
        approve(venue)
        write_key(venue.folder / "next.key", PrivateKey(bytes.fromhex(NEW)))
        venue.key_file = "next.key"
        async with run(venue) as after:
            await after.command(Verb.RESUME, reason="a new agent")
            # What the ended agent signed goes again until it expires, and is refused again.
            await after.until(lambda: not after.trading.venue.unsettled(), 60)
            await after.until(lambda: venue.position() == 0, 60)
            await after.agreed()
            assert after.engine.risk.trading_state is TradingState.RUNNING
            assert venue.repeated == {}
