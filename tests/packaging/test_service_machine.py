"""The service under a real systemd: installed, started, killed, hung, upgraded and removed, as an operator does it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def properties(machine: Machine, *names: str, unit: str = UNIT) -> dict[str, str]:
    text = machine.out("systemctl", "show", unit, f"--property={','.join(names)}")
    return dict(line.split("=", 1) for line in text.splitlines())


def status(machine: Machine) -> dict:
    return machine.json(TRADEBOT, "service", "status", "--json")


def test_a_service_lives_through_its_whole_life(machine: Machine) -> None:
    refused = machine.run(TRADEBOT, "service", "install")
    assert refused.returncode == 78
    assert "tradebot init --config /etc/tradebot/main.toml" in refused.stderr
    machine.write("/etc/tradebot/main.toml", CONFIG)
    machine.out(TRADEBOT, "service", "install")
    assert machine.run(TRADEBOT, "service", "status").returncode == 3
    machine.out("systemctl", "start", UNIT)
    machine.until(lambda: machine.run(TRADEBOT, "service", "status").returncode == 0, machine.journal)
    told = status(machine)
    assert (told["well"], told["daemon"]["active"], told["health"]["state"]) == (True, "active", "running")
    machine.out(TRADEBOT, "service", "uninstall")
    assert machine.run(TRADEBOT, "service", "status").returncode == 3
