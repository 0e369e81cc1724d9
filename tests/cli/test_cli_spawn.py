"""Starting a daemon behind the terminal: how it is told what to do, and what is said when it does not come up."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tradebot.cli.main import run
from tradebot.cli.spawn import ChildFailed, await_running, last_words, spawn, words_of
from tradebot.model.errors import StorageFailed, TimedOut, UsageError
from tradebot.store.lock import prepare_home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    prepare_home(tmp_path / "home")
    return tmp_path / "home"


@contextmanager
def process(folder: Path, *words: str, **environ: str) -> Iterator[int]:
    """Give the id of a process that has the command line of a daemon, and ends with its input."""
    command = [sys.executable, "-c", "print(flush=True); input()", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environ) as one:
        assert one.stdout is not None
        one.stdout.readline()
        yield one.pid
        one.communicate()


def test_a_daemon_is_started_again_as_it_was_from_any_directory(tmp_path: Path) -> None:
    words = (
        "x/tradebot",
        "--home",
        "h",
        "start",
        "--foreground",
        "--config",
        "a.toml",
        "--config",
        "/b.toml",
        "--live",
    )
    with process(tmp_path, *words) as pid:
        assert words_of(pid) == ["--config", f"{tmp_path}/a.toml", "--config", "/b.toml", "--live"]
    with process(tmp_path, "__main__.py", "--profile", "demo", "start") as pid:
        assert words_of(pid) == ["--profile", "demo"]


def test_of_a_process_that_is_no_daemon_nothing_is_known(tmp_path: Path) -> None:
    with process(tmp_path, "something") as pid:
        assert words_of(pid) == []
    with process(tmp_path, "tradebot", "--nonsense") as pid:
        assert words_of(pid) == []
    assert words_of(2**22 + 1) == []


def test_the_daemon_of_a_service_manager_is_left_to_it(tmp_path: Path) -> None:
    with process(tmp_path, "tradebot", "start", NOTIFY_SOCKET="/none") as pid, pytest.raises(UsageError) as error:
        words_of(pid)
    assert error.value.mend == "restart it with systemctl restart"


def test_live_reaches_the_daemon_which_says_what_is_missing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = spawn(home, ["--profile", "demo", "--live"])
    with pytest.raises(ChildFailed) as error:
        await_running(child, home, {})
    assert error.value.exit_code == 78
    assert "live trading needs both" in error.value.what


def test_a_daemon_that_ends_at_once_is_told_by_its_last_words(home: Path) -> None:
    (home / "logs").mkdir(exist_ok=True)
    assert last_words(home) == ""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(9)"]) as child:
        child.wait()
        with pytest.raises(ChildFailed, match="exit code 9") as error:
            await_running(child, home, {})
        assert error.value.exit_code == 9
        (home / "logs" / "daemon.err").write_text("noise\nerror: the disk is full\n  mend: delete\n")
        with pytest.raises(ChildFailed, match="the disk is full\n  mend: delete"):
            await_running(child, home, {})


def test_a_daemon_that_does_not_come_up_is_left_to_go_on(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with pytest.raises(TimedOut, match="within 0 s"):
            await_running(child, home, {}, timeout=0)
        assert child.poll() is None
        child.communicate(b"\n")


def test_a_log_that_cannot_be_written_keeps_the_daemon_from_starting(home: Path) -> None:
    folder = home / "logs"
    if folder.exists():
        folder.rmdir()
    folder.touch()
    with pytest.raises(StorageFailed, match="cannot write the log"):
        spawn(home, [])


def test_the_lines_of_the_log_leave_out_what_is_absent(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "logs").mkdir(exist_ok=True)
    line = '{"ts":0,"level":"info","event":"orders.submitted","price":null,"qty":"1","files":["a","b"],"x":"\\u001b"}'
    (home / "logs" / "tradebot.jsonl").write_text(line + "\n")
    assert run(["--home", str(home), "logs", "--event", "task.faild"], {}) == 0
    assert "no event is named task.faild: did you mean task.failed?" in capsys.readouterr().err
    assert run(["--home", str(home), "logs"], {}) == 0
    assert capsys.readouterr().out == "1970-01-01 00:00:00  info    orders.submitted  qty=1  files=a,b  x=?\n"
