"""The systemd unit and what the real daemon tells systemd."""

import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradebot.cli.service_units import DROP_IN, ServiceInstance, UnitFile, exec_words, unit_files
from tradebot.cli.spawn import parse_arguments
from tradebot.model import errors
from tradebot.pipeline.strategy.failure import BLOCKED_AFTER_S
from tradebot.settings.model import HyperliquidVenueSettings
from tradebot.store.account_lock import AccountLock

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "tradebot@.service"
GUARD = ROOT / "systemd" / "tradebot-guard@.service"
MAX_EXPOSURE = 1.5
# It is its user's, and has no mounts of its own.
MAX_EXPOSURE_OF_USERS = 6.5
DEADLINE_S = 30
# Not worth another try: each of these needs a person.
FOR_A_PERSON = (
    errors.RefusedByRule,
    errors.InvariantError,
    errors.StorageFailed,
    errors.LockHeld,
    errors.NotPermitted,
    errors.ConfigError,
)
needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


def analyze(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", *map(str, words)]
    # For --user it looks where a user's manager has its files, which need not be there.
    environ = os.environ | {"XDG_RUNTIME_DIR": "/run"}
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environ)


def exposure(unit: Path, *words: str) -> float:
    """Return what systemd says of a unit that stands in a file: 0 is wholly confined, 10 not at all."""
    done = analyze("security", "--offline=true", "--no-pager", *words, unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    return float(found[1])


@needs_systemd_analyze
@pytest.mark.parametrize("shipped", [UNIT, GUARD], ids=["daemon", "guard"])
def test_systemd_finds_no_fault_in_the_unit(shipped: Path, tmp_path: Path) -> None:
    # It looks for the program where the unit says; here that is a stand-in.
    unit = tmp_path / shipped.name
    unit.write_text(shipped.read_text().replace("/opt/tradebot/bin/tradebot", "/bin/true"))
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def written(folder: Path, *, is_user: bool = False) -> list[Path]:
    """Write all units of a live instance with a guard as ``install`` does, with a stand-in for the program."""
    instance = ServiceInstance(
        name="main", is_user=is_user, program=["/bin/true"], words=["--config", "/etc/my bots/100%.toml"], is_live=True,
        has_guard=True, key_file=Path("/etc/tradebot/main.key"), guard_key=Path("/etc/tradebot/main.guard.key"),
        environment=Path("/etc/tradebot/main.env"),
    )  # fmt: skip
    for file in unit_files(instance, folder):
        body = file.body.replace("/opt/tradebot/bin/tradebot", "/bin/true")
        assert UnitFile(file.path, body).write() is None
        assert file.path.stat().st_mode & 0o777 == 0o644
    # The drop-ins of an instance are read with its template when it is asked for by the instance's name.
    for template, name in (("tradebot@", "tradebot@main"), ("tradebot-guard@", "tradebot-guard@main")):
        (folder / f"{template}.service").rename(folder / f"{name}.service")
    return [folder / "tradebot@main.service", folder / "tradebot-guard@main.service"]


@needs_systemd_analyze
@pytest.mark.parametrize("manager", ["system", "user"])
def test_systemd_finds_no_fault_in_what_install_writes(manager: str, tmp_path: Path) -> None:
    for unit in written(tmp_path, is_user=manager == "user"):
        done = analyze("verify", "--man=no", f"--{manager}", unit)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd_analyze
def test_the_units_of_a_live_instance_are_confined(tmp_path: Path) -> None:
    for unit in written(tmp_path):
        assert exposure(unit) <= MAX_EXPOSURE


@needs_systemd_analyze
def test_a_unit_of_a_user_is_as_confined_as_it_can_be_everywhere(tmp_path: Path) -> None:
    for unit in written(tmp_path, is_user=True):
        assert exposure(unit, "--user") <= MAX_EXPOSURE_OF_USERS


def test_a_live_instance_says_live_and_has_its_key_where_the_settings_look_for_it(tmp_path: Path) -> None:
    written(tmp_path)
    text = (tmp_path / "tradebot@main.service.d" / DROP_IN).read_text()
    given = parse_arguments(["tradebot", *exec_words(text)[1:]])
    assert given is not None
    assert given.command is not None
    assert (given.command.name, given.flag("foreground"), given.flag("live")) == ("start", True, True)
    assert given.texts("config") == ["/etc/my bots/100%.toml"]
    name = re.search(r"^Environment=TRADEBOT__(\w+)__(\w+)=", text, re.MULTILINE)
    assert name is not None
    assert (name[1].lower(), name[2].lower()) == ("venue", "key_file")
    assert "key_file" in HyperliquidVenueSettings.model_fields


def test_what_locks_accounts_can_be_written_by_the_service() -> None:
    found = re.search(r"^ReadWritePaths=-(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    # The first of the folders that a lock is put in.
    assert inspect.signature(AccountLock).parameters["folders"].default[0] == Path(found[1])


@needs_systemd_analyze
@pytest.mark.parametrize("unit", [UNIT, GUARD], ids=["daemon", "guard"])
def test_the_unit_is_confined(unit: Path) -> None:
    assert exposure(unit) <= MAX_EXPOSURE


def test_the_unit_leaves_to_a_person_what_is_for_a_person() -> None:
    found = re.search(r"^RestartPreventExitStatus=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    assert {int(code) for code in found[1].split()} == {error.exit_code for error in FOR_A_PERSON}


STUCK = """
import select
from tradebot.pipeline.strategy.base import Params

class Stuck:
    class Params(Params):
        pass

    def __init__(self, params):
        self.bars = 0

    def on_bar(self, bar, position):
        self.bars += 1
        if self.bars > 1:
            select.select([], [], [])
"""
STUCK_CONFIG = """
[bot]
symbols = ["BTC"]
[feed]
kind = "generated"
speed = 60
[[strategy]]
kind = "stuck.py:Stuck"
"""


class Listener:
    """A datagram socket in the place of systemd's, and the messages that came, in order."""

    def __init__(self, address: str) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)

    def close(self) -> None:
        self._socket.close()

    def until(self, wanted: str, times: int = 1) -> None:
        """Listen until a line that begins with ``wanted`` came so many times from now on."""
        deadline = time.monotonic() + DEADLINE_S
        while times:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            lines = self._socket.recv(4096).decode().splitlines()
            self.heard += lines
            times -= any(line.startswith(wanted) for line in lines)

    def gap(self, wanted: str) -> float:
        """Return how many seconds pass until the next such line."""
        begun = time.monotonic()
        self.until(wanted)
        return time.monotonic() - begun


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    yield listener
    listener.close()


@pytest.fixture
def abstract_listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(f"\0tradebot-test-{os.getpid()}")
    yield listener
    listener.close()


def start(tmp_path: Path, address: str, **environ: str) -> "subprocess.Popen[bytes]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEBOT", "WATCHDOG"))}
    return subprocess.Popen(
        [sys.executable, "-m", "tradebot", "start", "--foreground"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean | {"NOTIFY_SOCKET": address, "TRADEBOT_HOME": str(tmp_path / "home")} | environ,
    )


def test_the_daemon_tells_systemd_its_whole_life(tmp_path: Path, listener: Listener) -> None:
    with start(tmp_path, str(tmp_path / "notify"), WATCHDOG_USEC="600000") as daemon:
        try:
            listener.until("READY=1")
            listener.until("WATCHDOG=1", times=3)
            listener.until("STATUS=running")
            daemon.send_signal(signal.SIGHUP)
            listener.until("RELOADING=1")
            listener.until("READY=1")
            daemon.send_signal(signal.SIGTERM)
            listener.until("STOPPING=1")
            assert daemon.wait(DEADLINE_S) == 0
        finally:
            daemon.kill()
    ready, stopping = listener.heard.index("READY=1"), listener.heard.index("STOPPING=1")
    status = next(line for line in listener.heard[ready:] if line.startswith("STATUS="))
    assert ready < stopping
    assert re.fullmatch(r"STATUS=\w+, \d+ positions, equity [\d.]+", status)


def test_without_a_watchdog_none_is_fed(tmp_path: Path, abstract_listener: Listener) -> None:
    with start(tmp_path, f"@tradebot-test-{os.getpid()}") as daemon:
        try:
            abstract_listener.until("READY=1")
            abstract_listener.until("STATUS=", times=2)
            daemon.send_signal(signal.SIGTERM)
            abstract_listener.until("STOPPING=1")
            assert daemon.wait(DEADLINE_S) == 0
        finally:
            daemon.kill()
    assert "WATCHDOG=1" not in abstract_listener.heard


def test_a_line_that_stands_still_feeds_no_watchdog(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "stuck.py").write_text(STUCK)
    (tmp_path / "home" / "tradebot.toml").write_text(STUCK_CONFIG)
    with start(tmp_path, str(tmp_path / "notify"), WATCHDOG_USEC="300000") as daemon:
        try:
            listener.until("READY=1")
            # The strategy blocks until it is interrupted and disabled; then the line goes on.
            while listener.gap("WATCHDOG=1") < BLOCKED_AFTER_S / 2:
                assert len(listener.heard) < 200
            listener.until("WATCHDOG=1", times=3)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(DEADLINE_S) == 0
        finally:
            daemon.kill()
    assert '"strategy.disabled"' in (tmp_path / "home" / "logs" / "tradebot.jsonl").read_text()


def test_state_and_socket_are_where_systemd_says(tmp_path: Path, listener: Listener) -> None:
    state, runtime = tmp_path / "state", tmp_path / "run"
    runtime.mkdir(mode=0o700)
    directories = {"TRADEBOT_HOME": "", "STATE_DIRECTORY": str(state), "RUNTIME_DIRECTORY": str(runtime)}
    with start(tmp_path, str(tmp_path / "notify"), **directories) as daemon:
        try:
            listener.until("READY=1")
            assert (runtime / "control.sock").is_socket()
            assert (state / "journal.db").is_file()
            # Who looks from outside has none of these variables, and the home is enough.
            command = [sys.executable, "-m", "tradebot", "--home", str(state), "status"]
            assert subprocess.run(command, capture_output=True, timeout=DEADLINE_S, check=False).returncode == 0
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(DEADLINE_S) == 0
        finally:
            daemon.kill()
    assert not (runtime / "control.sock").exists()


@pytest.mark.parametrize(
    ("line", "promise"),
    [
        ("WatchdogSec=30", "after 30 s"),
        ("TimeoutStopSec=60", "It has 60 s"),
        ("TimeoutStartSec=300", "every 5 minutes"),
        ("StartLimitBurst=5", "at most 5 times in 10 minutes"),
        ("StartLimitIntervalSec=600", "at most 5 times in 10 minutes"),
        ("Restart=on-failure", "after a crash or a kill"),
    ],
)
def test_the_unit_has_the_times_that_the_guide_promises(line: str, promise: str) -> None:
    assert line in UNIT.read_text().splitlines()
    assert promise in (ROOT / "docs" / "how-to" / "run-under-systemd.md").read_text()
