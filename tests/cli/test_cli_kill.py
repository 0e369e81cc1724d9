"""``halt --flatten`` of a real daemon that is hampered: a strategy that does not come back, a disk that is full."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.desk import Desk
from tests.waiting import wait_until
from tradebot.store.mark import read_mark

pytest.importorskip("coincurve")

pytestmark = pytest.mark.long
STRATEGY = """
import itertools
import time
from collections import deque
from pathlib import Path

from tradebot.pipeline.strategy.base import Params

HOW = Path(__file__).with_name("how")


def spin():
    while True:
        pass


HANGS = {
    "spin": spin,
    "sleep": lambda: time.sleep(3600),
    "deaf": lambda: deque(itertools.repeat(None), maxlen=0),
}


class Hanging:
    class Params(Params):
        pass

    def __init__(self, params):
        pass

    def on_bar(self, bar, position):
        if HOW.exists():
            how = HOW.read_text()
            HOW.with_name("hangs").touch()
            HANGS[how]()
        return ()
"""
CONFIG = """
[[strategy]]
kind = "hanging.py:Hanging"
name = "hanging"
timeframe = "1m"
stop = { kind = "atr", n = 5, mult = 2 }
"""


# One that the bot books, and one of a coin that it does not trade.
CROWD = {"ETH": "0.05", "SOL": "-1"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, "--speed", "60")
    (tmp_path / "hanging.py").write_text(STRATEGY)
    mine = tmp_path / "mine.toml"
    mine.write_text(mine.read_text() + CONFIG)
    yield made
    made.close()


def hang(desk: Desk, how: str) -> None:
    (desk.folder / "how").write_text(how)
    wait_until((desk.folder / "hangs").exists)


@pytest.mark.parametrize("how", ["spin", "sleep"])
def test_a_strategy_that_does_not_come_back_keeps_nothing_from_being_closed(desk: Desk, how: str) -> None:
    desk.ask("start", "--live", *desk.options)
    desk.crowd(5, **CROWD)
    hang(desk, how)
    assert "halted, flat" in desk.ask("halt", "--flatten")
    assert desk.truth() == ({}, [], {})
    assert "longer than a halt waits" in desk.ask("logs", "--event", "strategy.disabled")
    # With what it hung at gone, an operator goes on, and it is asked again.
    (desk.folder / "how").unlink()
    desk.ask("resume", "--reason", "mended")
    assert desk.status()["state"] == "running"


def test_a_daemon_that_nothing_reaches_is_passed_by_without_being_told_to(desk: Desk) -> None:
    desk.ask("start", "--live", *desk.options)
    pid = int(str(desk.status()["pid"]))
    desk.crowd(5, **CROWD)
    hang(desk, "deaf")
    done = desk.run("halt", "--flatten", *desk.options)
    assert done.returncode == 0, done.stderr
    assert desk.truth() == ({}, [], {})
    assert f"acting beside it; end it: kill -9 {pid}" in done.stderr
    assert read_mark(desk.home) is not None
    os.kill(pid, signal.SIGKILL)


def test_a_disk_that_is_full_keeps_nothing_from_being_closed_and_the_next_start_is_halted(
    desk: Desk, tmp_path: Path
) -> None:
    desk.home.mkdir(mode=0o700, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs", str(desk.home)]
    key = (desk.home / "devnet.key").read_text()
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        (desk.home / "devnet.key").write_text(key)
        (desk.home / "devnet.key").chmod(0o600)
        desk.ask("start", "--live", *desk.options)
        desk.crowd(5, **CROWD)
        filler = desk.home / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        done = desk.run("halt", "--flatten", *desk.options)
        assert done.returncode == 0, done.stderr
        assert desk.truth() == ({}, [], {})
        wait_until(lambda: desk.run("status").returncode == 3)
        filler.unlink()
        desk.ask("start", "--live", *desk.options)
        status = desk.status()
        assert (status["state"], status["positions"]) == ("halted", [])
        desk.ask("stop")
    finally:
        subprocess.run(["umount", "-l", str(desk.home)], check=True)


def test_what_is_spared_is_asked_for_in_the_configuration(desk: Desk) -> None:
    mine = desk.folder / "mine.toml"
    mine.write_text(mine.read_text() + '[risk]\nflatten = "own"\n')
    desk.ask("start", "--live", *desk.options)
    desk.crowd(5, **CROWD)
    assert "of others: " in desk.ask("halt", "--flatten")
    positions, orders, _ = desk.truth()
    assert positions["SOL"] == "-1"
    assert len(orders) >= 5
    # Without a daemon nobody knows what is ours: only who says all is obeyed.
    os.kill(int(str(desk.status()["pid"])), signal.SIGKILL)
    wait_until(lambda: desk.run("status").returncode == 3)
    assert desk.run("halt", "--flatten", *desk.options).returncode == 3
    assert desk.run("halt", "--flatten", "--own", "--all", *desk.options).returncode == 2
    desk.ask("halt", "--flatten", "--all", *desk.options)
    assert desk.truth() == ({}, [], {})
