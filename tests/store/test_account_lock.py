"""One bot for each account, whatever homes there are."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tradebot.model.errors import LockHeld, NotPermitted, StorageFailed
from tradebot.store.account_lock import AccountLock

ACCOUNT = "0x0a5d0ea7f1b832185a8a7ff6fd4f1e64124e9539"
HOLD = """
import sys
from pathlib import Path
from tradebot.store.account_lock import AccountLock
folders = [Path(name) for name in sys.argv[3:]]
with AccountLock("hyperliquid", sys.argv[1], sys.argv[2], Path("/homes/first"), folders):
    print("held", flush=True)
    sys.stdin.read()
"""


def lock(*folders: Path, place: str = "testnet", account: str = ACCOUNT) -> AccountLock:
    return AccountLock("hyperliquid", place, account, Path("/homes/second"), folders)


def held_elsewhere(*folders: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", HOLD, "testnet", ACCOUNT.upper().replace("X", "x", 1), *map(str, folders)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_trades_for_the_account(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as other:
        with pytest.raises(LockHeld, match=f"process {other.pid} .home '/homes/first'. trades for {ACCOUNT}") as caught:
            lock(tmp_path).acquire()
        assert caught.value.exit_code == 75
        other.communicate()
    with lock(tmp_path):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as other:
        other.kill()
        other.wait()
        with lock(tmp_path) as ours:
            assert (tmp_path / ours.name).exists()


def test_whoever_lets_go_leaves_nothing_behind(tmp_path: Path) -> None:
    with lock(tmp_path):
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())
    ours = lock(tmp_path)
    ours.acquire()
    file = tmp_path / ours.name
    file.unlink()
    file.write_text("another one's, who came after somebody had cleaned up")
    ours.release()
    assert file.exists()


def test_however_many_come_and_go_one_holds_it(tmp_path: Path) -> None:
    holders, most, taken = 0, 0, 0
    guard = threading.Lock()

    def contend() -> None:
        nonlocal holders, most, taken
        for _ in range(300):
            ours = lock(tmp_path)
            try:
                ours.acquire()
            except LockHeld:
                continue
            with guard:
                holders, taken = holders + 1, taken + 1
                most = max(most, holders)
            with guard:
                holders -= 1
            ours.release()

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert taken > 0


def test_other_accounts_and_places_are_free(tmp_path: Path) -> None:
    with lock(tmp_path), lock(tmp_path, account="0x" + "1" * 40), lock(tmp_path, place="mainnet"):
        pass
    assert lock(place="http://127.0.0.1:3001/").name == lock(place="http://127.0.0.1:3001").name


def test_one_common_folder_is_enough(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "none")]
    for folder in folders[:2]:
        folder.mkdir()
    with held_elsewhere(folders[1]) as other:
        with pytest.raises(LockHeld):
            lock(*folders).acquire()
        # What was taken on the way is free again.
        with lock(folders[0]):
            pass
        other.communicate()


def test_a_folder_where_others_may_move_files_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StorageFailed, match="nowhere to lock"):
        lock(tmp_path).acquire()
    tmp_path.chmod(0o1777)
    with lock(tmp_path) as ours:
        assert stat.S_IMODE((tmp_path / ours.name).stat().st_mode) == 0o644


def test_what_is_no_plain_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / lock().name
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lays: list[Callable[[], object]] = [
        lambda: path.symlink_to(victim),
        lambda: path.hardlink_to(victim),
        path.mkdir,
        lambda: os.mkfifo(path),
    ]
    for lay in lays:
        lay()
        with pytest.raises(NotPermitted):
            lock(tmp_path).acquire()
        assert victim.read_text() == "precious"
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_locked_but_not_written(tmp_path: Path) -> None:
    path = tmp_path / lock().name
    path.write_text("theirs")
    os.chown(path, 12345, 12345)
    with lock(tmp_path), pytest.raises(LockHeld, match="another process"):
        lock(tmp_path).acquire()
    assert path.read_text() == "theirs"
