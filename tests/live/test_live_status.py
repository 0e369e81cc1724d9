"""What status says of a venue while a boot waits for it."""

import os
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import run, stage
from tests.virtual import LoopClock
from tradebot.runtime.engine import Engine
from tradebot.runtime.notify import Notifier
from tradebot.runtime.operations import Operations
from tradebot.runtime.probes import Heart, LagProbe
from tradebot.runtime.supervisor import Supervisor
from tradebot.settings.load import LoadOptions
from tradebot.store.journal import SqliteJournal

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


async def test_a_venue_that_has_not_answered_is_not_called_connected(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        clock, notifier = LoopClock(), Notifier(os.environ)
        journal = await SqliteJournal.open(tmp_path / "other.db", clock)
        operations = Operations(
            tmp_path,
            venue.loaded(),
            LoadOptions(),
            {},
            clock,
            journal,
            Supervisor(),
            notifier,
            LagProbe(),
            lambda _: lambda: None,
            lambda *_: None,
        )
        assert not operations.facts().venue.connected
        engine: Engine = bot.engine
        operations.run_with(
            engine, Heart(engine.session, engine.runner, engine.durable, notifier, clock, operations.status_line, str)
        )
        bot.live.feed = None
        assert operations.facts().venue.connected
        await journal.close()
