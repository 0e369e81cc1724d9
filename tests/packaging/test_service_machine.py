"""The service under a real systemd: installed, started, killed, hung, upgraded and removed, as an operator does it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.machine import TRADEBOT, Machine, install_tradebot, missing

ROOT = Path(__file__).parents[2]
CONFIG = """
[bot]
name = "main"
symbols = ["BTC"]
[feed]
kind = "generated"
speed = 60
[[strategy]]
kind = "sma_cross"
fast = 3
slow = 9
"""
UNIT = "tradebot@main"

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, timeout=90, check=True)
    machine = Machine(folder)
    try:
        install_tradebot(machine, next(folder.glob("*.whl")))
        yield machine
    finally:
        machine.end()


def service(machine: Machine, *words: str) -> str:
    return machine.out(TRADEBOT, "service", *words)


def status(machine: Machine, *words: str, user: int | None = None, **environ: str) -> Any:
    return machine.json(TRADEBOT, "service", "status", "--json", *words, user=user, **environ)


def await_well(machine: Machine, unlike: int = 0) -> Any:
    """Return the status once all is well, of another process than ``unlike``."""
    found: list[Any] = []

    def is_well() -> bool:
        found.append(status(machine))
        return bool(found[-1]["well"]) and found[-1]["daemon"]["pid"] != unlike

    machine.until(is_well, lambda: f"{found[-1]}\n{machine.journal('-u', UNIT)}")
    return found[-1]


@pytest.fixture
def running(machine: Machine) -> Iterator[Machine]:
    machine.write("/etc/tradebot/main.toml", CONFIG)
    service(machine, "install", "--now")
    yield machine
    service(machine, "uninstall", "--force")
    machine.run("rm", "-rf", "/etc/systemd/system/tradebot@main.service.d", "/var/lib/private/tradebot")


def test_without_a_configuration_nothing_is_written(machine: Machine) -> None:
    refused = machine.run(TRADEBOT, "service", "install")
    assert refused.returncode == 78
    assert "tradebot init --config /etc/tradebot/main.toml" in refused.stderr
    assert machine.run("ls", "/etc/systemd/system").stdout.split() == []


def test_a_service_is_confined_and_well_and_leaves_its_state(running: Machine) -> None:
    told = await_well(running)
    assert (told["daemon"]["active"], told["daemon"]["enabled"], told["health"]["state"]) == (
        "active",
        "enabled",
        "running",
    )
    process = running.out("cat", f"/proc/{told['daemon']['pid']}/status")
    assert "CapEff:\t0000000000000000" in process
    assert "NoNewPrivs:\t1" in process
    assert "Seccomp:\t2" in process
    assert running.out("stat", "-Lc", "%U %a", "/var/lib/tradebot/main").split() == ["tradebot-main", "700"]
    found = running.out("systemd-analyze", "security", "--no-pager", UNIT)
    assert float(found.rsplit("level for", 1)[1].split(":")[1].split()[0]) <= 1.5
    assert "is up to date" in service(running, "install")
    service(running, "uninstall")
    assert running.run(TRADEBOT, "service", "status").returncode == 3
    assert running.out("ls", "/etc/systemd/system").split() in ([], ["multi-user.target.wants"])
    assert "journal.db" in running.out("ls", "/var/lib/tradebot/main/")
    service(running, "install", "--now")


def test_a_daemon_that_is_killed_comes_back_to_its_journal(running: Machine) -> None:
    pid = await_well(running)["daemon"]["pid"]
    running.out("kill", "-KILL", str(pid))
    told = await_well(running, unlike=pid)
    assert told["daemon"]["restarts"] == 1
    assert running.run(TRADEBOT, "--home", "/var/lib/tradebot/main", "status").returncode == 0


def test_a_daemon_that_hangs_is_ended_by_the_watchdog(running: Machine) -> None:
    running.write(
        "/etc/systemd/system/tradebot@main.service.d/override.conf", "[Service]\nWatchdogSec=3\nRestartSec=1\n"
    )
    running.out("systemctl", "daemon-reload")
    running.out("systemctl", "restart", UNIT)
    pid = await_well(running)["daemon"]["pid"]
    running.out("kill", "-STOP", str(pid))
    assert await_well(running, unlike=pid)["daemon"]["restarts"] == 1
    assert "Watchdog timeout" in running.journal("-u", UNIT)


def test_the_journal_has_priorities_and_fields(running: Machine) -> None:
    await_well(running)
    rows = [json.loads(line) for line in running.out(
        "journalctl", "-u", UNIT, "-o", "json", "TRADEBOT_EVENT=daemon.ready", "SYSLOG_IDENTIFIER=tradebot"
    ).splitlines()]  # fmt: skip
    assert rows[-1]["PRIORITY"] == "6"
    assert rows[-1]["_TRANSPORT"] == "journal"
    assert json.loads(rows[-1]["MESSAGE"])["event"] == "daemon.ready"


def test_a_person_for_a_refusal_and_another_try_for_a_crash(running: Machine) -> None:
    await_well(running)
    running.write("/etc/tradebot/main.toml", CONFIG + "[bot]\n")
    running.run("systemctl", "restart", UNIT)
    running.until(lambda: status(running)["daemon"]["active"] == "failed", running.journal)
    assert status(running)["daemon"]["exit_code"] == 78
    running.write("/etc/tradebot/main.toml", CONFIG)
    running.out("systemctl", "restart", UNIT)
    await_well(running)


def test_an_upgrade_renews_units_but_never_what_a_person_has_edited(running: Machine) -> None:
    pid = await_well(running)["daemon"]["pid"]
    unit = "/etc/systemd/system/tradebot@.service"
    shipped = running.out("sh", "-c", "ls -d /opt/tradebot/lib/python3*/site-packages/tradebot/systemd").strip()
    running.out("sed", "-i", "s/^RestartSec=5/RestartSec=4/", f"{shipped}/tradebot@.service")
    assert "renewed" in service(running, "install")
    assert status(running)["daemon"]["pid"] == pid
    running.out("systemctl", "restart", UNIT)
    assert "RestartUSec=4s" in running.out("systemctl", "show", UNIT, "--property=RestartUSec")
    await_well(running, unlike=pid)
    running.out("sed", "-i", "s/^RestartSec=4/RestartSec=9/", unit)
    refused = running.run(TRADEBOT, "service", "install")
    assert refused.returncode == 5
    assert unit in refused.stderr
    assert "RestartSec=9" in running.out("cat", unit)
    service(running, "install", "--force")
    assert "RestartSec=9" in running.out("cat", f"{unit}.edited-1")
    assert "RestartSec=4" in running.out("cat", unit)
    running.out("rm", f"{unit}.edited-1")


def test_a_live_bot_has_its_key_from_systemd_alone_and_a_guard_beside_it(machine: Machine) -> None:
    machine.out(
        "systemd-run", "--unit=devnet", "--property=StateDirectory=devnet", TRADEBOT, "--home", "/var/lib/devnet",
        "devnet", "--port", "3001",
    )  # fmt: skip
    machine.until(lambda: machine.run("test", "-s", "/var/lib/devnet/devnet.key").returncode == 0, machine.journal)
    for name in ("main.key", "main.guard.key"):
        machine.out("install", "-D", "-m", "0600", "/var/lib/devnet/devnet.key", f"/etc/tradebot/{name}")
    words = ("install", "--live", "--guard", "--profile", "devnet")
    machine.out("chmod", "0644", "/etc/tradebot/main.key")
    refused = machine.run(TRADEBOT, "service", *words)
    assert refused.returncode == 78
    assert "chmod 0600 /etc/tradebot/main.key" in refused.stderr
    machine.out("chmod", "0600", "/etc/tradebot/main.key")
    service(machine, *words, "--now")
    try:
        told = await_well(machine)
        assert told["guard"]["active"] == "active"
        pid = told["daemon"]["pid"]
        key = machine.out("cat", "/etc/tradebot/main.key").strip().removeprefix("0x")
        for place in ("cmdline", "environ"):
            assert key not in machine.out("cat", f"/proc/{pid}/{place}")
        assert key not in machine.journal("-n", "all")
        assert machine.out("stat", "-c", "%U %a", "/run/tradebot/main/agent.key").split() == ["tradebot-main", "600"]
        assert machine.run("cat", "/run/tradebot/main/agent.key", user=1).returncode != 0
    finally:
        service(machine, "uninstall", "--force")
        machine.run("systemctl", "stop", "devnet")


def test_a_service_of_a_user_needs_no_root(machine: Machine) -> None:
    machine.out("useradd", "--create-home", "--home-dir", "/srv/ann", "ann")
    user = int(machine.out("id", "-u", "ann"))
    environ = {"HOME": "/srv/ann", "XDG_RUNTIME_DIR": f"/run/user/{user}"}
    refused = machine.run(TRADEBOT, "service", "install", user=user, **environ)
    assert refused.returncode == 77
    assert "--user" in refused.stderr
    refused = machine.run(TRADEBOT, "service", "install", "--user", user=user, **environ)
    assert refused.returncode == 1
    assert "loginctl enable-linger ann" in refused.stderr
    machine.out("loginctl", "enable-linger", "ann")
    machine.until(
        lambda: machine.run("test", "-e", f"/run/user/{user}/systemd/private").returncode == 0, machine.journal
    )
    machine.out(TRADEBOT, "service", "install", "--user", "--now", user=user, **environ)
    machine.until(lambda: status(machine, "--user", user=user, **environ)["well"], machine.journal)
    assert "is running" in machine.out(TRADEBOT, "status", user=user, **environ)
    told = status(machine, "--user", user=user, **environ)
    assert (told["lingers"], told["home"]) == (True, "/srv/ann/.local/state/tradebot")
    machine.out(TRADEBOT, "service", "uninstall", "--user", user=user, **environ)
    assert machine.run(TRADEBOT, "status", user=user, **environ).returncode == 3
