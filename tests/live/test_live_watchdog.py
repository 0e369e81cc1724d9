"""The watchdog of a live bot is fed while everything makes progress, and by nothing less."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import Run, run, stage
from tests.virtual import LoopClock
from tradebot.live import reconcile
from tradebot.live.reconcile_account import AccountComparison
from tradebot.live.reconcile_orders import OrdersComparison
from tradebot.live.watch import LiveWatch
from tradebot.model.errors import Unavailable
from tradebot.runtime import supervisor as supervising
from tradebot.runtime.notify import Notifier
from tradebot.runtime.probes import Heart

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]
STUCK_AFTER_S = 4.0
LONG_S = 10.0
PERIOD_S = 1.0


class Systemd:
    """systemd's end of the notify socket."""

    def __init__(self, path: Path) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        asyncio.get_running_loop().add_reader(self._socket, self._hear)
        self.environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}

    @property
    def feedings(self) -> int:
        return self.heard.count("WATCHDOG=1")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        self.heard.append(self._socket.recv(4096).decode())


@asynccontextmanager
async def beating(bot: Run, folder: Path) -> AsyncIterator[Systemd]:
    systemd, engine = Systemd(folder / "notify"), bot.engine
    heart = Heart(
        engine.session, engine.runner, engine.writer_answers, Notifier(systemd.environ), LoopClock(), lambda: "running",
        bot.supervisor.stuck_task,
    )  # fmt: skip
    beats = asyncio.create_task(heart.run(lambda: None))
    try:
        yield systemd
    finally:
        beats.cancel()
        systemd.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "_STUCK_AFTER_S", STUCK_AFTER_S)
    for period in ("_ORDERS_S", "_ACCOUNT_S"):
        monkeypatch.setattr(reconcile, period, 2.0)


async def never(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("hangs", ["reconciler", "watch"])
async def test_a_loop_of_the_venue_that_hangs_ends_it(
    hangs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot, beating(bot, tmp_path) as systemd:
        await asyncio.sleep(LONG_S)
        assert systemd.feedings > LONG_S / 2
        if hangs == "watch":
            monkeypatch.setattr(LiveWatch, "look", never)
        else:
            monkeypatch.setattr(AccountComparison, "look_at_account", never)
        await asyncio.sleep(LONG_S)
        assert systemd.heard.count(f"STATUS=task {hangs} is stuck") == 1
        assert systemd.heard[-1] == f"STATUS=task {hangs} is stuck"


async def test_a_venue_that_is_away_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the venue is away")

    async with stage(tmp_path) as venue, run(venue) as bot, beating(bot, tmp_path) as systemd:
        monkeypatch.setattr(OrdersComparison, "look_at_orders", away)
        monkeypatch.setattr(AccountComparison, "look_at_account", away)
        await asyncio.sleep(LONG_S)
        assert systemd.feedings > LONG_S / 2


@pytest.mark.parametrize("task", ["signal", "risk", "orders"])
async def test_a_task_of_the_line_that_hangs_ends_it(task: str, tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot, beating(bot, tmp_path) as systemd:
        await bot.until(lambda: systemd.feedings > 1)
        (stuck,) = [one for one in bot.engine.runner.tasks if one.name == task]
        stuck.advance = never  # type: ignore[method-assign]  # as a stage that waits for what never comes
        await asyncio.sleep(1)
        before = systemd.feedings
        await asyncio.sleep(LONG_S)
        assert systemd.feedings == before


async def test_a_writer_that_hangs_ends_it(tmp_path: Path) -> None:
    released = threading.Event()
    async with stage(tmp_path) as venue, run(venue) as bot, beating(bot, tmp_path) as systemd:
        await bot.until(lambda: systemd.feedings > 1)
        # The thread that writes waits, as for a disk that never answers.
        held = bot.journal._connection.post(lambda _: released.wait())
        before = systemd.feedings
        try:
            await in_real_time(2 * PERIOD_S)
            assert systemd.feedings <= before + 1
        finally:
            released.set()
            await held
        await bot.until(lambda: systemd.feedings > before + 1)


async def in_real_time(seconds: float) -> None:
    """Wait as long as a thread is at work: its time is real."""
    await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, seconds)
