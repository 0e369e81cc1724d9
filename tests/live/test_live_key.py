"""A key that may not trade any more: one refusal, one page with a mend that helps, and not a signed byte after it."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from coincurve import PrivateKey

from tests.live.rehearsal import LIMIT, LONG, Run, Stage, run, stage
from tests.live.test_live_trading import give_agent
from tradebot.devnet.devnet import write_key
from tradebot.devnet.recover import address_of
from tradebot.model.command import Alert, AlertName, TradingState, Verb
from tradebot.pipeline.orders.facts import KEY_MEND

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


@dataclass
class Heard:
    """The actions that the venue was asked for, by their type and when, and the pages with their mends."""

    actions: list[tuple[str, float]] = field(default_factory=list)
    pages: list[tuple[AlertName, str, float]] = field(default_factory=list)

    def page(self, name: AlertName, _what: str, mend: str = "", *_more: Any, **_others: Any) -> None:
        self.pages.append((name, mend, time.monotonic()))

    def of(self, name: AlertName) -> list[str]:
        return [mend for paged, mend, _ in self.pages if paged is name]


@contextlib.asynccontextmanager
async def trading(folder: Path, word: int = LONG) -> AsyncIterator[tuple[Stage, Run, Heard]]:
    """A bot with a key of its own that has entered; what is heard begins with the end of the key."""
    async with stage(folder) as venue:
        give_agent(venue)
        heard = Heard()
        venue.page = heard.page  # type: ignore[method-assign]
        async with run(venue) as bot:
            await bot.bar(word)
            await bot.until(lambda: bool(venue.resting()) and not bot.unknown() and bot.is_protected())
            await bot.agreed()
            bot.booted.recorder.listeners.append(
                lambda message: (
                    heard.page(message.name, message.what, message.mend) if isinstance(message, Alert) else None
                )
            )
            listen(venue, heard)
            venue.hand.expire_agents("")
            yield venue, bot, heard


def listen(venue: Stage, heard: Heard) -> None:
    act = venue.net.server.exchange.read

    def read(body: Any) -> Any:
        heard.actions.append((str(body["action"]["type"]), time.monotonic()))
        return act(body)

    venue.net.server.exchange.read = read  # type: ignore[method-assign]


async def test_one_refusal_of_the_key_is_enough(tmp_path: Path) -> None:
    async with trading(tmp_path) as (venue, bot, heard):
        venue.hand.cancel("", "BTC")
        await bot.until(lambda: AlertName.UNPROTECTED in [name for name, *_ in heard.pages])
        await bot.quiet()
        # The outcome of the order that was refused is proven by looking alone.
        assert [kind for kind, _ in heard.actions] == ["order"]
        assert bot.engine.risk.trading_state is TradingState.HALTED
        (mend,) = heard.of(AlertName.KEY_REFUSED)
        assert mend == KEY_MEND
        assert set(heard.of(AlertName.UNPROTECTED)) == {KEY_MEND}
        refused_s, paged_s = (
            heard.actions[0][1],
            next(at for name, _, at in heard.pages if name is AlertName.KEY_REFUSED),
        )
        assert paged_s - refused_s < 1
        await bot.command(Verb.HALT, flatten="true")
        await bot.bar(LONG, "ETH")
        await bot.until(lambda: bot.engine.orders.save().wanted)
        assert len(heard.actions) == 1


async def test_a_resume_tries_the_key_once(tmp_path: Path) -> None:
    async with trading(tmp_path) as (venue, bot, heard):
        venue.hand.cancel("", "BTC")
        await bot.until(lambda: heard.of(AlertName.KEY_REFUSED))
        await bot.quiet()
        await bot.command(Verb.RESUME)
        await bot.until(lambda: bot.engine.risk.trading_state is TradingState.HALTED)
        await bot.until(lambda: len(heard.actions) == 2)
        await bot.quiet()
        assert len(heard.actions) == 2
        assert len(heard.of(AlertName.KEY_REFUSED)) == 2


async def test_a_cancel_that_the_dead_key_could_not_sign_is_asked_for_by_the_next_run(tmp_path: Path) -> None:
    async with trading(tmp_path, LIMIT) as (venue, bot, heard):
        await bot.command(Verb.CANCEL, id="script-BTC-1-entry")
        await bot.until(lambda: heard.of(AlertName.KEY_REFUSED))
        await bot.until(lambda: not bot.trading.broker.waiting)
        assert venue.resting()
        await bot.end()
        give_new_agent(venue)
        async with run(venue) as after:
            await after.agreed()
            assert venue.resting() == []


async def test_the_next_run_with_a_new_key_places_the_stop_that_was_refused(tmp_path: Path) -> None:
    async with trading(tmp_path) as (venue, bot, heard):
        venue.hand.cancel("", "BTC")
        await bot.until(lambda: heard.of(AlertName.KEY_REFUSED))
        await bot.quiet()
        await bot.end()
        give_new_agent(venue)
        async with run(venue) as after:
            assert after.engine.risk.trading_state is TradingState.HALTED
            await after.until(after.is_protected)
            await after.agreed()
            assert venue.repeated == {}


def give_new_agent(venue: Stage) -> None:
    key = PrivateKey(b"\x09" * 32)
    venue.hand.approve("", address_of(key.public_key), "bot", 10**9)
    write_key(venue.folder / "agent2.key", key)
    venue.key_file = "agent2.key"
