"""A test that sleeps is refused by its line."""

from pathlib import Path

import pytest

from tests.scripts import run_script

VIRTUAL = "@pytest.mark.virtual_time\nasync def test_waits():\n    await asyncio.sleep(5)\n"


def faults(folder: Path, text: str) -> list[int]:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text(text)
    code, said = run_script("check-sleeps", folder)
    assert code == bool(said)
    return [int(line.split(":")[1]) for line in said.splitlines()]


@pytest.mark.parametrize(
    "pause",
    ["time.sleep(1)", "await asyncio.sleep(0.01)", "await asyncio.sleep(seconds)", "[time.sleep(n) for n in range(3)]"],
)
def test_a_pause_is_a_fault(tmp_path: Path, pause: str) -> None:
    assert faults(tmp_path, f"async def test_it():\n    {pause}\n") == [2]


def test_a_name_that_hides_a_pause_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, "from time import sleep\nfrom asyncio import Event, sleep\n") == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "async def test_it():\n    await asyncio.sleep(0)\n",
        "async def test_it():\n    await world.sleep(3)\n",
        "def test_it():\n    time.sleep(3)  # real time: the daemon runs meanwhile\n",
        VIRTUAL,
        "pytestmark = pytest.mark.virtual_time\n\n\nasync def test_it():\n    await asyncio.sleep(5)\n",
        "pytestmark = [pytest.mark.soak, pytest.mark.virtual_time]\nasyncio.sleep(1)\n",
    ],
)
def test_what_costs_nothing_or_says_why_is_none(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == []


def test_virtual_time_in_one_test_excuses_no_other(tmp_path: Path) -> None:
    assert faults(tmp_path, VIRTUAL + "\n\ndef test_other():\n    time.sleep(2)\n") == [7]
