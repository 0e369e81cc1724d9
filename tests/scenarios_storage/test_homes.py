"""Homes that are not as they should be, each told with its exit code, and homes side by side."""

import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon.harness import clean_environ, command, kill, start, tradebot, trades_of
from tests.recovery.lab import write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    folder = tmp_path / "endless"
    folder.mkdir()
    return write_config(folder, bars=None, at_end="stay", speed="600")


@pytest.fixture
def running(tmp_path: Path, endless: Path) -> Iterator[Path]:
    home = tmp_path / "running"
    tradebot("--home", home, "--config", endless, "start")
    yield home
    status = json.loads(told(home, "status", "--json")[1])
    if status["state"] != "stopped":
        tradebot("--home", home, "stop")


def told(*words: str | Path) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command on the home that is its first word."""
    line = command("--home", *words)
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=clean_environ(), check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def start_told(home: Path, config: Path) -> tuple[int, str]:
    """Return exit code and errors of a start that is refused; what a daemon behind the terminal said is passed on."""
    code, _, error = told(home, "--config", config, "start")
    assert code != 0
    assert "error: " in error
    return code, error


def test_a_home_that_others_may_write_is_refused(tmp_path: Path, config: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o770)
    code, error = start_told(home, config)
    assert code == 77
    assert "chmod 700" in error
    assert told(home, "--config", config, "start", "--foreground")[0] == 77


def test_a_home_of_another_user_is_refused(tmp_path: Path, config: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    os.chown(home, 12345, 12345)
    assert start_told(home, config)[0] == 77


def test_a_home_that_is_a_file_is_refused(tmp_path: Path, config: Path) -> None:
    (tmp_path / "home").write_text("")
    assert start_told(tmp_path / "home", config)[0] == 77
    assert start_told(tmp_path / "home" / "below", config)[0] in (74, 77)


def test_a_lock_that_is_a_link_is_refused_and_its_target_left_alone(tmp_path: Path, config: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "target"
    home.mkdir(mode=0o700)
    target.write_text("precious")
    (home / "tradebot.lock").symlink_to(target)
    assert start_told(home, config)[0] == 77
    assert target.read_text() == "precious"


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, config: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    bound = subprocess.run(["mount", "--bind", home, home], capture_output=True, check=False).returncode == 0
    if not bound:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", home], check=True)
        assert start_told(home, config)[0] in (74, 77)
    finally:
        subprocess.run(["umount", "-l", home], check=True)


def test_a_second_daemon_is_told_who_runs(running: Path, endless: Path) -> None:
    pid = json.loads(told(running, "status", "--json")[1])["pid"]
    code, error = start_told(running, endless)
    assert code == 75
    assert str(pid) in error
    assert told(running, "--config", endless, "start", "--foreground")[0] == 75


def test_state_commands_ask_to_stop_a_running_daemon_first(running: Path) -> None:
    for words in (("state", "reset"), ("state", "restore", str(running / "journal.db"))):
        code, _, error = told(running, *words)
        assert code == 75, words
        assert "tradebot stop" in error
    assert told(running, "state", "verify")[0] == 0
    code, output, _ = told(running, "state", "backup", "--json")
    assert code == 0
    backup = json.loads(output)["file"]
    assert told(running, "restart")[0] == 0
    assert told(running, "stop")[0] == 0
    assert told(running, "state", "verify")[0] == 0
    assert told(running, "state", "restore", backup)[0] == 0
    assert told(running, "state", "reset")[0] == 0
    assert told(running, "state", "verify")[0] == 2


def test_two_daemons_in_two_homes_do_not_meet(tmp_path: Path, running: Path, endless: Path) -> None:
    other = tmp_path / "other"
    tradebot("--home", other, "--config", endless, "start")
    pids = {json.loads(told(home, "status", "--json")[1])["pid"] for home in (running, other)}
    assert len(pids) == 2
    assert told(other, "stop")[0] == 0
    assert json.loads(told(running, "status", "--json")[1])["state"] == "running"


def test_what_a_killed_daemon_left_is_no_hindrance(running: Path, endless: Path, tmp_path: Path) -> None:
    kill(json.loads(told(running, "status", "--json")[1])["pid"])
    assert told(running, "stop")[0] == 3
    assert told(running, "--config", endless, "start")[0] == 0
    assert told(running, "stop")[0] == 0
    # A pointer to the socket of something else.
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(tmp_path / "s"))
        (running / "control.path").write_text(str(tmp_path / "s"))
        assert told(running, "status")[0] == 3
        assert told(running, "--config", endless, "start")[0] == 0
    assert told(running, "stop")[0] == 0


def test_a_journal_of_a_newer_program_is_refused_with_the_mend(tmp_path: Path, config: Path) -> None:
    home = tmp_path / "home"
    with start(home, config) as daemon:
        daemon.communicate(timeout=60)
    assert daemon.returncode == 0
    trades = trades_of(home)
    with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
        connection.execute("PRAGMA user_version = 99")
    code, error = start_told(home, config)
    assert code == 74
    assert "schema 99" in error
    assert "newer program" in error
    with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
        connection.execute("PRAGMA user_version = 1")
    tradebot("--home", home, "--config", config, "start", "--foreground")
    assert trades_of(home) == trades
