"""``--emergency`` around a real daemon: one that was killed, one that hangs, and the next that finds the mark."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.desk import Desk
from tests.waiting import wait_until
from tradebot.cli import commands_halt
from tradebot.cli.main import run

pytest.importorskip("coincurve")

pytestmark = pytest.mark.long
EMERGENCY = ("halt", "--flatten", "--emergency")
# The bot books what is of the coins that it trades.
CROWD = {"BTC": "0.01", "ETH": "0.05", "SOL": "-1"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.ask("start", "--live", *made.options)
    yield made
    made.close()


def test_a_bot_that_was_killed_comes_up_halted_and_has_booked_what_was_closed(desk: Desk) -> None:
    desk.crowd(50, **CROWD)
    wait_until(lambda: len(json.loads(desk.ask("positions", "--json"))["positions"]) >= 2)
    os.kill(int(str(desk.status()["pid"])), signal.SIGKILL)
    wait_until(lambda: desk.run("status").returncode == 3)
    alone = desk.run("halt", "--flatten")
    assert alone.returncode == 3
    assert "--emergency" in alone.stderr
    # Neither journal nor configuration is needed.
    journal = desk.home / "journal.db"
    kept = {path: path.read_bytes() for path in desk.home.glob("journal.db*")}
    journal.write_bytes(b"x" * 4096)
    mine = (desk.folder / "mine.toml").read_text()
    (desk.folder / "mine.toml").write_text(mine + "[[[\n")
    assert "50 resting orders" in desk.ask(*EMERGENCY, *desk.options)
    assert desk.truth() == ({}, [], {})
    (desk.folder / "mine.toml").write_text(mine)
    for path, body in kept.items():
        path.write_bytes(body)
    desk.ask("start", "--live", *desk.options)
    status = desk.status()
    assert (status["state"], status["positions"]) == ("halted", [])
    assert not (desk.home / "emergency.json").exists()
    assert "emergency exit" in json.loads(desk.ask("risk", "--json"))["reason"]
    assert "emergency.found" in desk.ask("logs", "--event", "emergency")
    assert abs(float(json.loads(desk.ask("balance", "--json"))["residual"])) < 0.01


def test_a_bot_that_hangs_is_passed_by_and_halts_when_it_wakes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.crowd(50, **CROWD)
    pid = int(str(desk.status()["pid"]))
    os.kill(pid, signal.SIGSTOP)
    silent = desk.run("halt", "--flatten", "--timeout", "1")
    assert silent.returncode == 4
    assert "did not answer" in silent.stderr
    assert "--emergency" in silent.stderr
    # Here and not as a process, for its patience with who is silent is ten seconds.
    monkeypatch.setattr(commands_halt, "_HANGS_S", 1.0)
    assert run(["--home", str(desk.home), *EMERGENCY, *desk.options], desk.environ) == 0
    assert f"kill -9 {pid}" in capsys.readouterr().err
    assert desk.truth() == ({}, [], {})
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: desk.status()["state"] == "halted" and not (desk.home / "emergency.json").exists())
    wait_until(lambda: desk.status()["positions"] == [])
    assert desk.truth() == ({}, [], {})
