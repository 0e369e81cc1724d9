"""What watches the daemon: the lag probe, the disk probe, systemd's socket, and the timer on strategies."""

import asyncio
import os
import selectors
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.virtual import VirtualLoop
from tradebot.control.protocol import URGENT
from tradebot.pipeline.strategy.failure import StrategyBlocked
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.runtime import probes
from tradebot.runtime.guard import StrategyGuard, watching
from tradebot.runtime.loop import new_loop
from tradebot.runtime.notify import Notifier
from tradebot.runtime.probes import DiskProbe, LagProbe


@pytest.mark.virtual_time
async def test_a_loop_that_is_held_up_shows_its_lag() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    probe, ready = LagProbe(), asyncio.Event()
    measuring = asyncio.create_task(probe.run(ready.set))
    await ready.wait()
    assert probe.worst_s == 0.0
    await asyncio.sleep(0.05)
    loop.hold(7.0)
    await asyncio.sleep(0.2)
    measuring.cancel()
    assert 6.9 < probe.worst_s < 7.5


async def test_a_busy_loop_looks_at_its_sockets_seldom_but_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tradebot.runtime.loop.time.monotonic", lambda: now[0])
    ours, theirs = socket.socketpair()
    with ours, theirs, closing(new_loop()) as loop:
        selector = loop._selector  # type: ignore[attr-defined]
        selector.register(ours, selectors.EVENT_READ)
        selector.select(0.0)
        theirs.send(b"x")
        assert selector.select(0.0) == [], "the rounds are short"
        now[0] += 0.01
        assert selector.select(0.0), "the last look is long ago"
        assert [bool(selector.select(0.0)) for _ in range(9)] == [False] * 8 + [True]
        assert selector.select(0.01), "it has nothing else to do"


async def test_a_full_disk_is_told_once_each_time_it_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([500, 90, 80, 500, 70, 60])
    seen: list[int] = []
    done = asyncio.Event()

    def look(_: Path) -> int:
        left = next(free, None)
        if left is None:
            done.set()
        return left or 60

    async def on_low(free_mb: int) -> None:
        seen.append(free_mb)

    monkeypatch.setattr(probes, "_DISK_PERIOD_S", 0.0)
    monkeypatch.setattr(probes, "disk_free_mb", look)
    settings = SimpleNamespace(min_free_mb=100)
    looking = asyncio.create_task(DiskProbe(tmp_path, settings, on_low).run(lambda: None))  # type: ignore[arg-type]
    await done.wait()
    looking.cancel()
    assert seen == [90, 70]


def test_systemd_is_told_over_its_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())})
        notifier.ready("running")
        notifier.watchdog()
        notifier.reloading(7)
        notifier.extend_start(2)
        notifier.stopping()
        assert [systemd.recv(200).decode() for _ in range(5)] == [
            "READY=1\nSTATUS=running",
            "WATCHDOG=1",
            "RELOADING=1\nMONOTONIC_USEC=7",
            "EXTEND_TIMEOUT_USEC=2000000",
            "STOPPING=1",
        ]
    assert notifier.watchdog_s == 3.0
    # Nobody listens any more, and nobody is harmed.
    notifier.status("running")


def test_an_abstract_socket_is_found_too() -> None:
    name = f"tradebot-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name)
        Notifier({"NOTIFY_SOCKET": "@" + name}).status("well")
        assert systemd.recv(200) == b"STATUS=well"


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_of_ours_none_is_fed(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert notifier.watchdog_s is None
    notifier.watchdog()


def test_the_timer_leaves_alone_what_is_no_strategy_and_the_process_as_it_was() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with watching(StrategyStage([], {}), limit_s=0.02):
        for _ in range(12):
            signal.pause()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_many_short_calls_are_never_taken_for_one_long() -> None:
    stage = StrategyStage([], {})
    with watching(stage, limit_s=0.02):
        for _ in range(20):
            stage.calls += 1
            stage.asking = "quick"
            # Each look of the timer falls into another call.
            signal.pause()
            stage.asking = None


def swallow(caught: list[BaseException]) -> None:
    while True:
        try:
            signal.pause()
        except BaseException as error:
            caught.append(error)


def test_a_long_call_is_interrupted_again_when_it_swallows_the_first() -> None:
    stage: StrategyStage = StrategyStage([], {})
    caught: list[BaseException] = []
    with watching(stage, limit_s=0.02):
        stage.calls, stage.asking = 1, "deaf"
        with pytest.raises(StrategyBlocked):
            swallow(caught)
        stage.asking = None
    assert caught


def test_what_is_urgent_ends_a_call_of_more_than_a_moment_and_no_shorter_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stage: StrategyStage = StrategyStage([], {})
    watch, heard = StrategyGuard(stage), []
    watch.on_urgent = lambda: heard.append("urgent")
    before = signal.getsignal(signal.SIGALRM)
    watch.install()
    try:
        os.kill(os.getpid(), URGENT)
        stage.calls, stage.asking = 1, "own"
        with watch:
            os.kill(os.getpid(), URGENT)
            monkeypatch.setattr("tradebot.runtime.guard._SHORT_S", 0.0)
            with pytest.raises(StrategyBlocked, match="longer than a halt waits"):
                os.kill(os.getpid(), URGENT)
            caught: list[BaseException] = []
            stage.calls = 2
            with pytest.raises(StrategyBlocked):
                swallow_urgent(caught)
            stage.asking = None
    finally:
        watch.uninstall(before)
    assert len(heard) >= 4
    assert caught
    # A process that does not know it goes on.
    os.kill(os.getpid(), URGENT)


def swallow_urgent(caught: list[BaseException]) -> None:
    while True:
        try:
            os.kill(os.getpid(), URGENT)
        except BaseException as error:
            caught.append(error)


def test_outside_the_main_thread_there_is_no_timer() -> None:
    seen: list[BaseException] = []

    def elsewhere() -> None:
        try:
            guard = StrategyGuard(StrategyStage([], {}), 0.01)
            guard.install()
            with guard:
                pass
        except ValueError as error:
            seen.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == []
