"""The real command in processes of its own: exit codes, streams, and what the quick commands may import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"typer", "rich", "pydantic", "aiohttp", "asyncio", "loguru", "numpy", "sqlite3"}


def tradebot(home: Path, *words: str, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tradebot", "--home", str(home), *words]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("TRADEBOT")}
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environ, check=False)


def test_a_stopped_daemon_has_a_status_and_exit_code_3(tmp_path: Path) -> None:
    done = tradebot(tmp_path, "status", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (3, '{"state":"stopped"}\n', "")


@pytest.mark.parametrize("command", ["health", "stop", "positions", "pause", "reload", "trades"])
def test_other_commands_say_that_nothing_runs(tmp_path: Path, command: str) -> None:
    done = tradebot(tmp_path, command)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("error: no daemon runs here")
    assert "  where: " in done.stderr
    assert "  mend: " in done.stderr


def test_a_mistake_exits_2_without_a_traceback(tmp_path: Path) -> None:
    done = tradebot(tmp_path, "statsu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no such command: statsu\n  mend: did you mean status?\n"


def test_no_command_lists_all_of_them_by_groups(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tradebot"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for word in ("set-up", "daemon", "trading", "results", "upkeep", "reduce-only", "new-strategy"):
        assert word in done.stdout


def test_the_version_is_told(tmp_path: Path) -> None:
    assert tradebot(tmp_path, "--version").stdout.startswith("tradebot ")


def test_a_bad_configuration_exits_78(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text("[bot]\nnam = 'x'\n")
    done = tradebot(tmp_path / "home", "--config", str(config), "start")
    assert done.returncode == 78
    assert "bad.toml" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home" / "journal.db").exists()


def test_an_internal_error_exits_70_and_shows_its_traceback_only_on_request(tmp_path: Path) -> None:
    broken = "import sys, tradebot.cli.quick as q, tradebot.cli.main as m; q.status = lambda c: 1/0; sys.exit(m.main())"
    for words, has_traceback in (((), False), (("--debug",), True)):
        command = [sys.executable, "-c", broken, "status", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 70
        assert ("Traceback" in done.stderr) is has_traceback
        assert "ZeroDivisionError" in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = tradebot(tmp_path, "strategies", "--json", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["status", "health", "stop"])
def test_the_quick_commands_import_nothing_heavy(tmp_path: Path, command: str) -> None:
    program = (
        "import sys; from tradebot.cli.main import run; from tradebot.report import text;"
        f"run(['--home', {str(tmp_path)!r}, {command!r}], {{}}); import json;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    modules = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert modules & HEAVY == set()


def test_a_new_strategy_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "my_idea.py"
    assert tradebot(tmp_path, "new-strategy", str(file)).returncode == 0
    before = file.read_text()
    compile(before, "my_idea.py", "exec")
    assert "class MyIdea" in before
    assert tradebot(tmp_path, "new-strategy", str(file)).returncode == 2
    assert file.read_text() == before


def test_a_backtest_writes_its_trades_and_nothing_under_the_home(tmp_path: Path) -> None:
    home, trades, page = tmp_path / "home", tmp_path / "trades.jsonl", tmp_path / "report.html"
    words = ("backtest", "--profile", "demo", "--bars", "500", "--json", "--trades", str(trades), "--html", str(page))
    done = tradebot(home, *words)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    lines = [json.loads(line) for line in trades.read_text().splitlines()]
    assert report["trades"] == len(lines) > 0
    assert report["bars"] > 0
    assert page.read_text().startswith("<!doctype html>")
    assert not home.exists()
