"""A word of the venue that makes the line raise: it is set aside, and the daemon stays up with the position guarded."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.builders import MINUTE
from tests.live.rehearsal import LONG, QUIET, SHORT, Stage, stage
from tests.recovery.lab import Running, Watched, logged, rows_of
from tests.virtual import LoopClock
from tests.waiting import until
from tradebot.model.failure import LineFailed
from tradebot.model.market import Bar, Message
from tradebot.model.money import Price, Qty
from tradebot.model.order import Fill, SubmitOrders
from tradebot.model.time import Nanos
from tradebot.pipeline.outbox import Outbox
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.runtime import logs
from tradebot.runtime.quarantine import failures
from tradebot.settings.load import LoadOptions
from tradebot.store.lock import HomeLock

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


@asynccontextmanager
async def daemon_at(venue: Stage) -> AsyncIterator[Running]:
    """Run the whole daemon at ``venue``, and stop it in order."""
    home = venue.folder / "home"
    with HomeLock(home):
        loaded = venue.loaded()
        logs.configure(home, loaded.settings.log, {})
        made = Watched(home, loaded, LoadOptions((venue.folder / "bot.toml",)), {}, LoopClock())
        ending = asyncio.create_task(made.main())
        running = Running(home, made, ending, pause_s=0.5)
        try:
            yield running
            assert not ending.done(), ending
            await running.act("stop")
            async with asyncio.timeout(30):
                assert await ending == 0
        finally:
            made._supervisor.stopping.set()
            await asyncio.wait({ending}, timeout=20)


async def bar(daemon: Running, venue: Stage, word: int = QUIET, coin: str = "BTC") -> None:
    venue.bars += 1
    close = Price(venue.price(coin))
    engine = daemon.daemon.engine
    assert engine is not None
    ts = Nanos(venue.began + venue.bars * MINUTE)
    await engine.deliver([Bar(coin, MINUTE, ts, close, close, close, close, Qty(venue.price(coin) * 0 + word))])


@pytest.fixture
def _poisoned_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every fill of an entry that the venue told raise; what is taken over from its position does not."""
    healthy = RiskStage._on_fill

    def on_fill(stage: RiskStage, fill: Fill) -> Sequence[Message]:
        if fill.role == "entry" and not fill.trade_id.startswith("adopted"):
            raise ZeroDivisionError(f"poison in {fill.trade_id}")
        return healthy(stage, fill)

    monkeypatch.setattr(RiskStage, "_on_fill", on_fill)


@pytest.mark.usefixtures("_poisoned_entries")
@pytest.mark.parametrize("word", [LONG, pytest.param(SHORT, marks=pytest.mark.soak)])
async def test_a_fill_that_makes_the_line_raise_leaves_a_guarded_position_and_a_daemon_that_flattens(
    tmp_path: Path, word: int
) -> None:
    async with stage(tmp_path) as venue:
        async with daemon_at(venue) as daemon:
            await daemon.until(lambda status: status.get("state") == "running")
            entering = asyncio.create_task(bar(daemon, venue, word))
            status = await daemon.until(lambda status: status.get("state") == "halted")
            await asyncio.wait({entering})
            assert "poison in" in status["reason"]
            (aside,) = status["set_aside"]
            assert (aside["input"], aside["symbol"]) == ("fill_report", "BTC")
            # The venue holds what the book was not told of: it is taken over, with its stop.
            status = await daemon.until(lambda status: bool(status.get("positions")))
            (held,) = status["positions"]
            assert held["symbol"] == "BTC"
            assert abs(venue.position()) == abs(type(venue.position())(held["qty"]))
            await daemon.until(lambda status: status["protected"] == {"protected": 1, "total": 1})
            assert len(venue.resting()) == 2
            order = aside["about"].split()[0]
            told = [json.loads(line) for line in (await daemon.read("why", of=order)).splitlines()]
            assert [row["outcome"] for row in told][:1] == ["set_aside"]
            await daemon.act("halt", flatten="true")
            await until(lambda: venue.position() == 0)
            await daemon.until(lambda status: not status["positions"])
        # The next process finds nothing to halt for, and the past as it was.
        async with daemon_at(venue) as daemon:
            status = await daemon.until(lambda status: status.get("state") == "halted")
            assert len(status["set_aside"]) == 1
            assert not status["positions"]
            await daemon.act("resume")
        assert venue.repeated == {}
    home = tmp_path / "home"
    assert [one.said.input for one in failures(rows_of(home, LineFailed.kind))] == ["fill_report"]
    assert {"poisoned", "halted"} <= {line["alert"] for line in logged(home, "alert.raised")}


async def test_a_turn_that_fails_sends_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = Outbox.handle
    failed: list[Message] = []

    def handle(outbox: Outbox, message: Message) -> Sequence[Message]:
        healthy(outbox, message)
        if isinstance(message, SubmitOrders) and not failed:
            failed.append(message)
            raise ZeroDivisionError("poison behind an order")
        return ()

    monkeypatch.setattr(Outbox, "handle", handle)
    async with stage(tmp_path) as venue, daemon_at(venue) as daemon:
        await daemon.until(lambda status: status.get("state") == "running")
        entering = asyncio.create_task(bar(daemon, venue, LONG))
        status = await daemon.until(lambda status: status.get("state") == "halted")
        await asyncio.wait({entering})
        assert "poison behind an order" in status["reason"]
        assert failed
        assert venue.desk.cloids == {}
        # The same name is free: what is decided next is placed once.
        await daemon.act("resume")
        await bar(daemon, venue, LONG)
        await daemon.until(lambda status: bool(status.get("positions")))
        assert venue.repeated == {}
