"""What a machine sent within a minute is one count: over processes, restarts, users, and files that make no sense."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.ports import Sent
from tradebot.store import sent_log
from tradebot.store.sent_log import SharedLog

SPAN_S = 64.0
URL = "https://api.example"


class Machine:
    """A folder for all users, and what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def log(self, place: str = URL, **options: object) -> SharedLog:
        given = {"folders": (self.folder,)} | options
        return SharedLog(place, SPAN_S, self.told.append, **given)  # type: ignore[arg-type]

    @property
    def file(self) -> Path:
        (path,) = self.folder.glob(f"*.{os.geteuid()}")
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def seen(log: SharedLog, now_s: float) -> list[Sent]:
    found: list[Sent] = []

    def look(sent: Sequence[Sent]) -> Sequence[Sent]:
        found.extend(sent)
        return ()

    log.update(now_s, look)
    return found


def add(log: SharedLog, now_s: float, weight: int = 20, purpose: str = "watch") -> None:
    log.update(now_s, lambda sent: [Sent(now_s, weight, purpose)])


def test_daemons_of_one_place_count_together_and_others_do_not(machine: Machine) -> None:
    one, two, other = machine.log(), machine.log(URL.upper() + "/"), machine.log("https://other.example")
    add(one, 1.0)
    add(two, 2.0, 60, "protect")
    add(other, 3.0)
    assert seen(one, 4.0) == seen(two, 4.0) == [Sent(1.0, 20, "watch"), Sent(2.0, 60, "protect")]
    assert machine.told == []


def test_what_was_sent_counts_after_a_kill_until_its_time_is_over(machine: Machine) -> None:
    program = (
        "import sys, os\nfrom pathlib import Path\nfrom tradebot.ports import Sent\n"
        "from tradebot.store.sent_log import SharedLog\n"
        f"log = SharedLog({URL!r}, {SPAN_S}, print, (Path({str(machine.folder)!r}),))\n"
        "log.update(5.0, lambda sent: [Sent(5.0, 20, 'watch')])\nos.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    log = machine.log()
    assert seen(log, 6.0) == [Sent(5.0, 20, "watch")]
    assert seen(log, 5.0 + SPAN_S) == []


def test_the_file_does_not_grow_and_is_for_all_to_read(machine: Machine) -> None:
    previous = os.umask(0o077)
    try:
        log = machine.log()
        for number in range(5_000):
            add(log, float(number))
    finally:
        os.umask(previous)
    assert machine.file.stat().st_size < 6_000
    assert stat.S_IMODE(machine.file.stat().st_mode) == 0o644
    assert len(seen(log, 4_999.0)) == SPAN_S


def test_other_users_are_counted_and_named_so(machine: Machine) -> None:
    log = machine.log()
    theirs = machine.log(user=os.geteuid() + 1)
    add(theirs, 1.0)
    assert seen(log, 2.0) == [Sent(1.0, 20, "watch", is_own=False)]
    (machine.folder / f"{machine.file.name.rpartition('.')[0]}.4711").symlink_to("/etc/passwd")
    (machine.folder / f"{machine.file.name.rpartition('.')[0]}.4712").mkdir()
    os.mkfifo(machine.folder / f"{machine.file.name.rpartition('.')[0]}.4713")
    (machine.folder / f"{machine.file.name.rpartition('.')[0]}.4714").write_bytes(b"\xff" * 1000)
    assert len(seen(log, 2.0)) == 1
    assert machine.told == []


def test_other_users_are_looked_for_once_a_second(machine: Machine) -> None:
    log, theirs = machine.log(), machine.log(user=os.geteuid() + 1)
    assert seen(log, 1.0) == []
    add(theirs, 1.1)
    assert seen(log, 2.0) == [Sent(1.1, 20, "watch", is_own=False)]
    add(theirs, 2.1)
    assert len(seen(log, 2.2)) == 2


@given(st.binary(max_size=400), st.booleans())
def test_whatever_is_in_the_file_the_log_goes_on(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at_end: bool
) -> None:
    machine = Machine(tmp_path_factory.mktemp("sent"))
    log = machine.log()
    add(log, 1.0)
    content = machine.file.read_bytes()
    machine.file.write_bytes(content + noise if at_end else noise)
    add(log, 2.0, 60, "protect")
    assert Sent(2.0, 60, "protect") in seen(log, 3.0)
    assert all(row.at_s <= 4.0 and abs(row.weight) <= 10_000 for row in seen(log, 3.0))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 40), st.sampled_from([b"", b"#", b"cut"])), max_size=20))
def test_who_has_followed_a_file_sees_what_one_that_opens_it_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bytes]]
) -> None:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    writers = machine.log(), machine.log()
    now_s = 0.0
    for number, weight, damage in steps:
        now_s += 9.0
        add(writers[number], now_s, weight)
        content = machine.file.read_bytes()
        machine.file.write_bytes(content[:-20] if damage == b"cut" else content + damage)
        fresh = machine.log(folders=(machine.folder,))
        assert seen(writers[0], now_s) == seen(fresh, now_s)


def test_a_file_that_makes_no_sense_is_told_of_and_written_anew(machine: Machine) -> None:
    log = machine.log()
    add(log, 1.0)
    machine.file.write_bytes(machine.file.read_bytes() + b"nonsense")
    add(log, 2.0)
    assert len(machine.told) == 1
    assert len(seen(log, 3.0)) == 2
    assert len(machine.told) == 1


def test_what_another_boot_of_the_machine_left_does_not_count(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(machine.log(), 1.0)
    monkeypatch.setattr(sent_log, "boot_id", lambda: "another")
    log = machine.log()
    assert seen(log, 2.0) == []
    add(log, 2.0)
    assert len(seen(log, 3.0)) == 1
    assert machine.told == []


def test_a_stamp_from_the_future_does_not_count(machine: Machine) -> None:
    log = machine.log()
    add(log, 1_000.0)
    assert seen(log, 10.0) == []
    assert len(machine.told) == 1


def test_without_a_folder_a_process_counts_alone_and_says_so_once(machine: Machine) -> None:
    machine.folder.chmod(0o777)
    log = machine.log()
    add(log, 1.0)
    add(log, 2.0)
    assert len(seen(log, 3.0)) == 2
    assert seen(log, 2.0 + SPAN_S) == []
    (told,) = machine.told
    assert str(machine.folder) in told
    add(log, 67.0)
    machine.folder.chmod(0o755)
    assert len(seen(log, 68.0)) == 1, "what was sent meanwhile is known to all from here on"
    assert len(seen(machine.log(), 68.0)) == 1


def test_a_lock_that_somebody_keeps_holds_up_nobody(machine: Machine) -> None:
    log, other = machine.log(), machine.log()
    add(other, 1.0)
    assert len(seen(log, 1.5)) == 1
    holder = os.open(machine.file, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    add(log, 2.0)
    assert len(seen(log, 2.0)) == 2
    os.close(holder)
    assert len(seen(other, 3.0)) == 1
    assert len(seen(log, 3.0)) == 2
    assert len(seen(other, 3.0)) == 2


def test_a_full_disk_or_a_strange_file_is_no_end(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    log = machine.log()
    add(log, 1.0)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        add(log, 2.0)
        assert len(seen(log, 2.5)) == 2
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: 1)
        add(log, 2.6)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", full)
        add(log, 2.7)
    assert {row.at_s for row in seen(log, 3.0)} >= {2.0, 2.6, 2.7}
    assert any("No space" in told for told in machine.told)
    machine.file.unlink()
    add(log, 4.0)
    assert machine.file.stat().st_size > 0, "somebody cleaned up"
    log.close()
    machine.file.unlink()
    (machine.folder / sent_log_name(log)).symlink_to(machine.folder / "elsewhere")
    add(log, 5.0)
    assert not (machine.folder / "elsewhere").exists()
    (machine.folder / sent_log_name(log)).unlink()
    (machine.folder / "elsewhere").write_bytes(b"")
    os.link(machine.folder / "elsewhere", machine.folder / sent_log_name(log))
    add(log, 5.0)
    assert "not a file of ours" in machine.told[-1] or len(machine.told) > 1


def sent_log_name(log: SharedLog) -> str:
    return log._name


def test_what_nobody_asks_any_more_is_cleaned_up(machine: Machine) -> None:
    old = machine.log("https://old.example")
    add(old, 1.0)
    os.utime(machine.file, (1, 1))
    add(machine.log(), 2.0)
    assert machine.file.stat().st_mtime > 1
