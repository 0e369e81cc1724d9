"""A stop is heard whatever the venue does: also while a boot waits for it to speak."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.live.rehearsal import stage
from tests.recovery.lab import Watched
from tests.virtual import LoopClock
from tests.waiting import until
from tradebot.runtime import daemon
from tradebot.settings.load import LoadOptions
from tradebot.store.lock import HomeLock

pytestmark = pytest.mark.virtual_time


async def test_a_stop_is_heard_while_the_account_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_HARD_S", 0.5)
    async with stage(tmp_path) as venue:
        venue.fault("half_open")
        environ = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
        with HomeLock(tmp_path / "home"):
            made = Watched(tmp_path / "home", venue.loaded(), LoadOptions(), environ, LoopClock())
            ending = asyncio.create_task(made.main())
            await until(lambda: ending.done() or (made.line is not None and made.line.live.trading is not None))
            await until(lambda: ending.done() or any(task.spec.name == "account" for task in made._supervisor.tasks))
            assert not ending.done()
            made._supervisor.stopping.set()
            async with asyncio.timeout(30):
                assert await ending == 0
