"""A disk that fills up under the real daemon: it ends with 74, and with room it goes on as if nothing had been."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.daemon.harness import backtest_trades, report_of, start, tradebot, trades_of
from tests.recovery.lab import logged, rows_of, write_config

pytestmark = pytest.mark.long

# With less room the disk is low, and entries end.
SIZE_MB = 24


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MB, where we may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, leave_kb: int = 0) -> Path:
    """Fill the disk but for ``leave_kb``, whoever else writes there meanwhile."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > leave_kb * 1024:
            file.write(bytes(4096))
    return filler


def test_a_full_disk_ends_it_with_74_and_after_room_is_made_it_trades_as_the_backtest(
    small_disk: Path, tmp_path: Path
) -> None:
    home, config = small_disk / "home", write_config(tmp_path, bars=1500, store="snapshot_turns = 200")
    with start(home, config) as daemon:
        assert daemon.stdout is not None
        # The first fill; then the disk is full.
        while "order.filled" not in daemon.stdout.readline():
            assert daemon.poll() is None
        filler = fill(small_disk)
        _, errors = daemon.communicate(timeout=60)
    assert daemon.returncode == 74, errors
    assert "error: " in errors
    assert "Traceback" not in errors
    assert not (home / "reserve.bin").exists()
    filler.unlink()
    left = rows_of(home)
    approved = {row.payload for row in left if row.kind == "approved"}
    assert sum(row.kind == "submit" for row in left) <= len(approved)
    tradebot("--home", home, "--config", config, "start", "--foreground")
    assert trades_of(home) == backtest_trades(config, tmp_path)
    assert not rows_of(home, "failed_turn")
    tradebot("--home", home, "state", "verify")


def test_starting_again_on_a_full_disk_adds_no_position_and_loses_no_cent(small_disk: Path, tmp_path: Path) -> None:
    home, config = small_disk / "home", write_config(tmp_path, bars=1500, store="snapshot_turns = 200")
    with start(home, config) as daemon:
        assert daemon.stdout is not None
        while "order.filled" not in daemon.stdout.readline():
            assert daemon.poll() is None
        filler = fill(small_disk)
        daemon.communicate(timeout=60)
    # The room of the reserve is there now, and too little to trade with.
    for _ in range(3):
        with start(home, config) as daemon:
            _, errors = daemon.communicate(timeout=60)
        assert daemon.returncode in (0, 74), errors
        assert "Traceback" not in errors
    filler.unlink()
    tradebot("--home", home, "--config", config, "start", "--foreground")
    assert report_of(home)["residual"] == "0"
    tradebot("--home", home, "state", "verify")


def test_a_disk_that_runs_low_stops_new_positions_and_says_why(small_disk: Path, tmp_path: Path) -> None:
    home = small_disk / "home"
    config = write_config(tmp_path, bars=None, at_end="stay", speed="600")
    config.write_text(config.read_text().replace("min_free_mb = 1", "min_free_mb = 6"))
    fill(small_disk, 5 * 1024)
    tradebot("--home", home, "--config", config, "start")
    try:
        assert '"state":"reduce_only"' in tradebot("--home", home, "status", "--json")
    finally:
        tradebot("--home", home, "stop")
    (changed,) = rows_of(home, "state_changed")
    assert b"MB of disk are free" in changed.payload
    assert logged(home, "disk.low")


def test_a_log_that_cannot_be_written_stops_no_trade(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path)
    home.mkdir(mode=0o700)
    (home / "logs").write_text("in the way")
    tradebot("--home", home, "--config", config, "start", "--foreground")
    assert trades_of(home) == backtest_trades(config, tmp_path)
