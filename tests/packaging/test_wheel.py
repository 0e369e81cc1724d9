"""The wheel holds all that is needed, and works outside of the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90
HEAVY = {"numpy", "pandas", "pyarrow", "rich", "typer", "click", "hypothesis", "ccxt", "tomli_w"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed here")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("tradebot-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def tradebot(installed: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEBOT", "NOTIFY"))}
    return subprocess.run(
        [sys.executable, "-m", "tradebot", *words],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(installed), "XDG_STATE_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture
def running(installed: Path, tmp_path: Path) -> Iterator[Path]:
    done = tradebot(installed, tmp_path, "start")
    assert done.returncode == 0, done.stderr
    yield tmp_path
    tradebot(installed, tmp_path, "stop")


def test_the_wheel_holds_the_profiles_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    profiles = [path.relative_to(ROOT).as_posix() for path in (ROOT / "config").rglob("*") if path.is_file()]
    assert profiles
    assert {f"tradebot/{name}" for name in profiles} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"tradebot"}


def test_the_units_of_the_wheel_are_found(wheel: Path, installed: Path, tmp_path: Path) -> None:
    units = [f"tradebot/systemd/{path.name}" for path in (ROOT / "systemd").iterdir()]
    assert set(units) <= set(zipfile.ZipFile(wheel).namelist())
    done = tradebot(installed, tmp_path, "service", "show", "--user", "--guard", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["files"]) == 4


def test_the_wheel_holds_the_charts_with_their_licence_and_draws_a_page(
    wheel: Path, installed: Path, tmp_path: Path
) -> None:
    web = [path.name for path in (ROOT / "tradebot" / "report" / "web").iterdir()]
    assert {"lightweight-charts.js", "lightweight-charts.LICENSE", "lightweight-charts.NOTICE"} <= set(web)
    assert {f"tradebot/report/web/{name}" for name in web} <= set(zipfile.ZipFile(wheel).namelist())
    done = tradebot(installed, tmp_path, "backtest", "--profile", "demo", "--bars", "300", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    assert "TradingView Lightweight Charts" in (tmp_path / "page.html").read_text()


def test_the_wheel_names_its_command_and_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    assert "tradebot = tradebot.cli.main:main" in archive.read(f"{info}/entry_points.txt").decode()
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "Requires-Python: >=3.11" in metadata
    assert "License-Expression: Apache-2.0" in metadata


def test_the_installed_program_runs_the_profile_that_it_brought(installed: Path, running: Path) -> None:
    status = json.loads(tradebot(installed, running, "status", "--json").stdout)
    assert status["bot"] == "demo"
    logged = (running / "tradebot" / "logs" / "tradebot.jsonl").read_text()
    loaded = next(json.loads(line) for line in logged.splitlines() if "config.loaded" in line)
    assert str(installed / "tradebot" / "config" / "demo.toml") in str(loaded["files"])
    assert tradebot(installed, running, "stop").returncode == 0
    assert tradebot(installed, running, "status").returncode == 3


def test_the_samples_of_the_wheel_are_found(installed: Path, tmp_path: Path) -> None:
    done = tradebot(installed, tmp_path, "--profile", "replay", "backtest", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trades"] > 0


def test_the_daemon_maps_nothing_heavy(installed: Path, running: Path) -> None:
    pid = json.loads(tradebot(installed, running, "status", "--json").stdout)["pid"]
    mapped = Path(f"/proc/{pid}/maps").read_text()
    assert not [name for name in HEAVY if f"/{name}/" in mapped]


def test_the_daemon_imports_nothing_heavy(installed: Path, tmp_path: Path) -> None:
    code = "import sys, tradebot.runtime.daemon; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True, text=True, timeout=DEADLINE_S, check=True,
    )  # fmt: skip
    assert not HEAVY & set(done.stdout.split())
