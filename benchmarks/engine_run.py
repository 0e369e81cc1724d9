"""The engine of the daemon in this process: the four tasks, the real journal, a home in a temporary folder."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from tradebot.runtime.boot import boot
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.engine import Engine
from tradebot.runtime.loop import new_loop
from tradebot.runtime.supervisor import Supervisor
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.store.journal import SqliteJournal
from tradebot.store.schema import JOURNAL_NAME

T = TypeVar("T")
_GRACE_S = 5.0


def load(config: Path, home: Path) -> Loaded:
    """Return the settings of a configuration file."""
    return LoadOptions(config_files=(config,)).load(home, {})


@asynccontextmanager
async def running_engine(config: Path) -> AsyncIterator[Engine]:
    """Give an engine whose line tasks run and whose feed does not; its home goes away with it."""
    with tempfile.TemporaryDirectory(prefix="tradebot-bench-") as folder:
        home = Path(folder)
        clock = SystemClock()
        loaded = load(config, home)
        journal = await SqliteJournal.open(home / JOURNAL_NAME, clock)
        engine = Engine(home, loaded, await boot(home, loaded, journal, lambda: None), journal, clock)
        supervisor = Supervisor()
        for spec in engine.tasks():
            await supervisor.start(spec)
        try:
            yield engine
        finally:
            await supervisor.stop(grace_s=_GRACE_S, hard_s=_GRACE_S)
            await journal.close()


async def run_turns(engine: Engine, count: int) -> int:
    """Run up to ``count`` turns of the engine's feed as the feeder does; return how many there were."""
    session, runner, room = engine.session, engine.runner, engine.journal.room
    for done in range(count):
        await room()
        async with runner.gate:
            message = session.take()
            if message is None:
                return done
            await engine.turn(message)
    await asyncio.sleep(0)
    return count


def in_loop(work: Coroutine[None, None, T]) -> T:
    """Run ``work`` in the daemon's kind of event loop."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)
