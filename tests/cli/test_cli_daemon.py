"""The whole way once: a daemon in the background, asked, stopped and asked again, by the real command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import kill
from tests.waiting import wait_until

pytestmark = pytest.mark.long

CONFIG = """
[bot]
name = "short"
mode = "paper"
symbols = ["BTC", "ETH"]

[feed]
kind = "generated"
seed = 3
timeframe = "1m"
speed = "max"
bars = 400

[venue]
kind = "simulated"
starting_cash = "10000"

[[strategy]]
kind = "sma_cross"
fast = 5
slow = 12
stop = { kind = "atr", n = 14, mult = 2.0 }
target = { kind = "r", r = 2.0 }

[risk]
size = { kind = "notional", notional = "1000" }
"""


class Bot:
    """The real command for one home."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        (folder / "bot.toml").write_text(CONFIG)
        self.config = folder / "bot.toml"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRADEBOT")}
        self._environ = kept | {"TRADEBOT_HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime)}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tradebot", *words]
        return subprocess.run(command, capture_output=True, text=True, env=self._environ, check=False)

    def ask(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pid(self) -> int:
        return int(json.loads(self.ask("status", "--json"))["pid"])

    def until_finished(self) -> None:
        wait_until(lambda: json.loads(self.ask("status", "--json"))["feed"]["state"] == "finished", pause_s=0.2)


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    made = Bot(tmp_path)
    yield made
    made.run("stop")


def test_a_daemon_is_started_asked_restarted_and_stopped(bot: Bot) -> None:
    assert "running" in bot.ask("start", "--config", str(bot.config))
    bot.until_finished()
    first = bot.pid()
    assert json.loads(bot.ask("ps", "--json"))[0]["pid"] == first
    assert bot.run("start").returncode == 75

    # Without a word about the configuration it comes back as it was started.
    bot.ask("restart")
    assert bot.pid() != first
    assert json.loads(bot.ask("status", "--json"))["bot"] == "short"

    bot.until_finished()
    views = [("report",), ("trades",), ("signals",), ("why", "BTC")]
    running = [bot.ask(*view, "--json") for view in views]
    assert running[1]
    bot.ask("stop")
    assert bot.run("status").returncode == 3
    assert json.loads(bot.ask("ps", "--json")) == []
    assert [bot.ask(*view, "--json") for view in views] == running

    backtest = bot.ask("backtest", "--config", str(bot.config), "--json", "--trades", str(bot.home / "trades"))
    assert (bot.home / "trades").read_text() == running[1]
    assert json.loads(backtest)["net_pnl"] == json.loads(running[0])["net_pnl"]

    assert json.loads(bot.ask("state", "verify", "--json"))["ok"]
    copy = json.loads(bot.ask("state", "backup", "--json"))["file"]
    bot.ask("state", "reset")
    assert bot.run("trades").returncode == 3
    bot.ask("state", "restore", copy)
    assert bot.ask("trades", "--json") == running[1]


def test_a_killed_daemon_leaves_a_socket_that_nobody_takes_for_a_daemon(bot: Bot) -> None:
    bot.ask("start", "--config", str(bot.config))
    kill(bot.pid())
    assert bot.run("status").returncode == 3
    assert json.loads(bot.ask("ps", "--json")) == []
    assert "running" in bot.ask("start", "--config", str(bot.config))
