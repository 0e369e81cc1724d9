import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradebot.model.errors import LockHeld, NotPermitted, StorageFailed
from tradebot.store.lock import LOCK_NAME, HomeLock, holder, is_network_fs, refuse_network_home


def test_the_home_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    with HomeLock(home):
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / LOCK_NAME).stat().st_mode & 0o777 == 0o600
        assert (home / LOCK_NAME).read_text().split()[0] == str(os.getpid())


def test_a_second_lock_is_refused_naming_the_process(tmp_path: Path) -> None:
    with HomeLock(tmp_path / "h"), pytest.raises(LockHeld, match=f"process {os.getpid()} runs"):
        HomeLock(tmp_path / "h").acquire()


def test_a_lock_held_by_who_did_not_say_is_still_held(tmp_path: Path) -> None:
    with HomeLock(tmp_path / "h"):
        (tmp_path / "h" / LOCK_NAME).write_text("")
        with pytest.raises(LockHeld, match="another process"):
            HomeLock(tmp_path / "h").acquire()
        assert holder(tmp_path / "h") == 0


def test_release_lets_the_next_one_in_and_keeps_the_file(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path / "h")
    lock.acquire()
    lock.release()
    lock.release()
    assert (tmp_path / "h" / LOCK_NAME).exists()
    assert holder(tmp_path / "h") is None
    with HomeLock(tmp_path / "h"):
        assert holder(tmp_path / "h") == os.getpid()


def test_there_is_no_holder_without_a_home(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, tradebot.store.lock as l\n"
        "lock = l.HomeLock(pathlib.Path(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "h")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert holder(tmp_path / "h") == child.pid
        child.kill()
        child.wait()
    with HomeLock(tmp_path / "h"):
        pass


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_home_others_may_write_in_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "h"
    home.mkdir()
    home.chmod(mode)
    with pytest.raises(NotPermitted, match="chmod 700"):
        HomeLock(home).acquire()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "h"
    home.mkdir(0o700)
    os.chown(home, 12345, 12345)
    with pytest.raises(NotPermitted, match="belongs to user 12345"):
        HomeLock(home).acquire()


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("")
    with pytest.raises(NotPermitted, match="not a folder"):
        HomeLock(tmp_path / "h").acquire()


def test_a_home_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(StorageFailed, match="cannot use the home"):
        HomeLock(tmp_path / "f" / "h").acquire()


def link_to_file(lock: Path) -> None:
    lock.with_name("other").write_text("keep")
    lock.symlink_to(lock.with_name("other"))


def hard_link(lock: Path) -> None:
    lock.with_name("other").write_text("keep")
    lock.hardlink_to(lock.with_name("other"))


@pytest.mark.parametrize("make", [link_to_file, hard_link, os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_plain_file_of_ours_is_refused(tmp_path: Path, make) -> None:
    make(tmp_path / LOCK_NAME)
    tmp_path.chmod(0o700)
    with pytest.raises(NotPermitted, match="not a plain file of ours"):
        HomeLock(tmp_path).acquire()
    other = tmp_path / "other"
    assert not other.exists() or other.read_text() == "keep"


def test_a_network_file_system_is_seen_by_its_deepest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path}/ä\\040b nfs4 rw 0 0\n/dev/b {tmp_path}/ä\\040b/local ext4 rw 0 0\n"
    )
    assert is_network_fs(tmp_path / "ä b" / "home", mounts)
    assert not is_network_fs(tmp_path / "ä b" / "local" / "home", mounts)
    assert not is_network_fs(tmp_path, mounts)
    assert not is_network_fs(tmp_path, tmp_path / "none")
    assert not is_network_fs(Path("/proc"))
    with pytest.raises(NotPermitted, match="live trading refuses"):
        refuse_network_home(tmp_path / "ä b" / "home", mounts)
    refuse_network_home(tmp_path, mounts)
