"""The first phase of a boot: what it opens it gives on whole, or not at all."""

import asyncio
import threading
from pathlib import Path

import pytest

from tests.recovery.lab import write_config
from tradebot.model.errors import NotPermitted
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.host import Start, open_host
from tradebot.runtime.notify import Notifier
from tradebot.runtime.supervisor import Supervisor
from tradebot.settings.load import LoadOptions
from tradebot.store.lock import prepare_home


async def test_a_host_without_a_socket_leaves_no_journal_open(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path)
    prepare_home(home)
    (home / "control.sock").write_text("not a socket")
    options = LoadOptions((config,))
    start = Start(home=home, loaded=options.load(home, {}), options=options, environ={}, clock=SystemClock())
    before = set(threading.enumerate())
    supervisor = Supervisor()
    with pytest.raises(NotPermitted, match="not our socket"):
        await open_host(start, supervisor, Notifier({}))
    async with asyncio.timeout(5):
        # Those of the loop's own pool stay with it.
        for thread in (one for one in set(threading.enumerate()) - before if not one.name.startswith("asyncio_")):
            await asyncio.to_thread(thread.join)
    assert supervisor.tasks == []
