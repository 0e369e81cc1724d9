"""The bundle of an incident: there in whatever state the bot is, and never with a secret in it."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.waiting import wait_until

KEY, HOOK = "c0ffee" * 10 + "beef", "hooks-canary-4711-never-show"
CONFIG = f"""
[bot]
symbols = ["BTC"]
[feed]
kind = "generated"
speed = 600
[[strategy]]
kind = "sma_cross"
fast = 3
slow = 8
[alerts]
url = "http://127.0.0.1:9/{HOOK}"
[store]
min_free_mb = 1
reserve_mb = 1
"""
VIEWS = {"status.json", "health.json", "positions.json", "orders.jsonl", "balance.json", "risk.json", "why.jsonl"}


class Bundle(NamedTuple):
    """What was packed: file name to content, what the command said, and what went wrong with which part."""

    files: dict[str, bytes]
    said: dict[str, Any]
    errors: dict[str, str]


class Place:
    """A home with secrets in every corner, and the command there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "h"
        self.home.mkdir(mode=0o700)
        (self.home / "tradebot.toml").write_text(CONFIG)
        (self.home / "agent.key").write_text(f"0x{KEY}\n")
        (self.home / "agent.key").chmod(0o600)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEBOT")}
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        self._environ = kept | {"XDG_RUNTIME_DIR": str(runtime)}
        self._number = 0

    def run(self, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tradebot", "--home", str(self.home), *words]
        return subprocess.run(
            command, capture_output=True, text=True, env=self._environ, cwd=self.folder, check=False, **options
        )

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return status

    def bundle(self) -> Bundle:
        self._number += 1
        out = self.folder / f"{self._number}.tar.gz"
        done = self.run("incident", "--out", str(out), "--json")
        assert done.returncode == 0, done.stderr
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        said = json.loads(done.stdout)
        assert (said["file"], said["bytes"]) == (str(out), out.stat().st_size)
        with tarfile.open(out) as packed:
            names = packed.getnames()
            files = {name.removeprefix("incident/"): packed.extractfile(name).read() for name in names}  # type: ignore[union-attr]
        self._check(files, said, done.stdout + done.stderr)
        return Bundle(files, said, {one["name"]: one["error"] for one in said["contents"] if not one["ok"]})

    def _check(self, files: dict[str, bytes], said: dict[str, Any], told: str) -> None:
        everything = told.encode() + b"".join(files.values())
        for secret in (KEY, KEY.upper(), HOOK):
            assert secret.encode() not in everything
        manifest = json.loads(files["manifest.json"])
        assert manifest["contents"] == said["contents"]
        assert [one["name"] for one in said["contents"] if one["ok"]] == list(files)[1:]
        for one in said["contents"]:
            assert one["what"]
            if one["ok"]:
                assert sha256(files[one["name"]]).hexdigest() == one["sha256"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("incident"))
    assert made.run("start").returncode == 0
    with (made.home / "logs" / "tradebot.jsonl").open("a") as log:
        # As a library might have logged it, past all that redacts.
        log.write(
            json.dumps({"ts": 2**42, "level": "error", "event": "x", "k": f"{KEY} {HOOK} 0x{KEY.upper()}"}) + "\n"
        )
    yield made
    pid = made.status().get("pid")
    if pid is not None:
        os.kill(int(pid), signal.SIGKILL)


# The order matters: a daemon that runs, hangs, is dead, and whose journal is damaged.


def test_of_a_daemon_that_runs_all_is_there(place: Place) -> None:
    wait_until(lambda: place.status().get("state") == "running")
    found = place.bundle()
    assert set(found.errors) <= {"journal.jsonl"}
    assert set(found.files) >= VIEWS | {"doctor.json", "versions.json", "log.jsonl", "machine.json", "process.json"}
    assert json.loads(found.files["status.json"])["state"] == "running"
    assert b"127.0.0.1:9" in found.files["configuration.toml"]
    assert b'"event": "x"' in found.files["log.jsonl"]


def test_of_a_daemon_that_hangs_the_rest_is_there(place: Place) -> None:
    pid = int(place.status()["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        found = place.bundle()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert set(found.errors) >= VIEWS
    assert "State" in json.loads(found.files["process.json"])
    assert found.files["log.jsonl"]


def test_of_a_dead_daemon_the_journal_speaks(place: Place) -> None:
    pid = int(place.status()["pid"])
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: place.status()["state"] == "stopped")
    found = place.bundle()
    assert set(found.errors) == {"health.json", "positions.json", "orders.jsonl", "balance.json", "risk.json"}
    rows = [json.loads(line) for line in found.files["journal.jsonl"].splitlines()]
    assert {"config", "bar"} <= {row["kind"] for row in rows}
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert json.loads(found.files["verify.json"])["problems"] == []
    assert list(place.bundle().files) == list(found.files)


def test_on_a_full_disk_nothing_half_is_left(place: Place) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    out = place.folder / "full.tar.gz"
    done = place.run("incident", "--out", str(out), preexec_fn=no_room)
    assert (done.returncode, "--out" in done.stderr, out.exists()) == (74, True, False)


def test_of_a_damaged_journal_it_says_so(place: Place) -> None:
    journal = place.home / "journal.db"
    journal.write_bytes(b"noise" * 5000)
    journal.with_name("journal.db-wal").unlink()
    found = place.bundle()
    assert json.loads(found.files["verify.json"])["problems"] != []
    assert found.errors.keys() >= {"journal.jsonl", "report.json"}
    (place.home / "tradebot.toml").write_text(CONFIG + "[bot\n")
    assert place.bundle().errors.keys() >= {"configuration.toml"}


def test_a_file_that_is_there_and_a_home_that_is_not(place: Place) -> None:
    assert place.run("incident", "--out", "1.tar.gz").returncode == 2
    place.home = place.folder / "other"
    assert place.run("incident").returncode == 2
    place.home = place.folder / "h"
