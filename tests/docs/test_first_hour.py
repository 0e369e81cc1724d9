"""The tutorial, walked through: what it says happens."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.harness import kill
from tests.waiting import wait_until

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "first-hour.md"
DEADLINE_S = 60


def tradebot(folder: Path, *words: str, expect: int = 0) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEBOT", "NOTIFY"))}
    done = subprocess.run(
        [sys.executable, "-m", "tradebot", *words],
        cwd=folder,
        env=clean | {"XDG_STATE_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == expect, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder at the end of step 4: bars, a strategy, and a configuration that names it."""
    pieces = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "btc.csv.gz").write_bytes((ROOT / "config" / "samples" / "btc_5m.csv.gz").read_bytes())
    (tmp_path / "cross.toml").write_text(pieces[0].partition("[[strategy]]")[0] + pieces[1])
    tradebot(tmp_path, "new-strategy", "mine.py")
    return tmp_path


def test_a_strategy_is_written_checked_and_tried(folder: Path) -> None:
    assert "good" in tradebot(folder, "--config", "cross.toml", "config", "check")
    assert "length = 20" in tradebot(folder, "--config", "cross.toml", "config", "show")
    tradebot(folder, "--config", "cross.toml", "backtest", "--trades", "trades.jsonl", "--html", "report.html")
    assert (folder / "trades.jsonl").read_text().count("\n") > 1
    assert (folder / "report.html").read_text().startswith("<!")
    assert ">= 2, <= 1000" in _with_length(folder, 1, expect=78)


def test_the_machine_and_the_strategies_are_looked_at(folder: Path) -> None:
    assert "sma_cross" in tradebot(folder, "strategies")
    assert "wrote" in tradebot(folder, "init", "--yes")
    checks = tradebot(folder, "doctor")
    assert "python" in checks
    assert "configuration" in checks


def test_a_strategy_that_raises_is_named_with_its_line(folder: Path) -> None:
    source = (folder / "mine.py").read_text()
    (folder / "mine.py").write_text(source.replace("        closes = list", "        1 / 0\n        closes = list"))
    said = tradebot(folder, "--config", "cross.toml", "backtest")
    assert re.search(r"Mine was disabled .* ZeroDivisionError: division by zero at mine.py:\d+", said)


def test_the_daemon_makes_the_trades_of_the_backtest(folder: Path) -> None:
    tradebot(folder, "--config", "cross.toml", "backtest", "--trades", "backtest.jsonl")
    tradebot(folder, "--home", "h1", "--config", "cross.toml", "start")
    _await_finished(folder, "h1")
    assert tradebot(folder, "--home", "h1", "trades", "--json") == (folder / "backtest.jsonl").read_text()
    tradebot(folder, "--home", "h1", "stop")


def test_a_daemon_that_is_killed_goes_on_where_it_was(folder: Path) -> None:
    config = (folder / "cross.toml").read_text()
    (folder / "cross.toml").write_text(config.replace("[feed]\n", "[feed]\nspeed = 200000\n"))
    tradebot(folder, "--config", "cross.toml", "backtest", "--trades", "backtest.jsonl")
    tradebot(folder, "--home", "h2", "--config", "cross.toml", "start")
    kill(int((folder / "h2" / "tradebot.lock").read_text().split()[0]))
    assert "stopped" in tradebot(folder, "--home", "h2", "status", expect=3)
    tradebot(folder, "--home", "h2", "--config", "cross.toml", "start")
    assert "daemon.recovered" in tradebot(folder, "--home", "h2", "logs", "--event", "daemon")
    _await_finished(folder, "h2")
    assert tradebot(folder, "--home", "h2", "trades", "--json") == (folder / "backtest.jsonl").read_text()
    tradebot(folder, "--home", "h2", "stop")
    assert "sound" in tradebot(folder, "--home", "h2", "state", "verify")


def _with_length(folder: Path, length: int, expect: int) -> str:
    text = (folder / "cross.toml").read_text().replace("length = 20", f"length = {length}")
    (folder / "other.toml").write_text(text)
    return tradebot(folder, "--config", "other.toml", "config", "check", expect=expect)


def _await_finished(folder: Path, home: str) -> None:
    def is_finished() -> bool:
        return json.loads(tradebot(folder, "--home", home, "status", "--json"))["feed"]["state"] == "finished"

    wait_until(is_finished, DEADLINE_S, pause_s=0.2)
