"""A bundle holds all that a set reads, and a set that is run in it finds the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tradebot.model.errors import DataError
from tradebot.research.bundle import Bundle
from tradebot.research.grid import ParameterSet
from tradebot.research.sets import GridRun, SetJob, run_set
from tradebot.settings.load import LoadOptions

CONFIG = """
[bot]
symbols = ["BTC"]
[feed]
kind = "replay"
data = ["BTC:5m=bars.csv"]
trades = ["BTC=trades.csv"]
[venue]
funding = ["BTC=rates.csv"]
[[strategy]]
kind = "own.py:Own"
[risk]
size = { kind = "notional", notional = "1000" }
"""
OWN = """
from tradebot.pipeline.strategy.base import Enter, Exit, Params, PositionSide


class Own:
    class Params(Params):
        every: int = 3

    def __init__(self, params):
        self.every, self.count = params.every, 0

    def on_bar(self, bar, position):
        self.count += 1
        if self.count % self.every:
            return []
        return [Enter(PositionSide.LONG)] if position is None else [Exit()]
"""
FILES = {
    "bars.csv": "ts_ms,open,high,low,close,volume\n"
    + "".join(f"{300_000 * n},{100 + n % 7},108,93,{100 + n % 5},1\n" for n in range(60)),
    "trades.csv": "ts_ms,price,size\n" + "".join(f"{100_000 * n},{100 + n % 6},5\n" for n in range(180)),
    "rates.csv": "ts_ms,rate\n0,0.0001\n3600000,0.0002\n",
    "own.py": OWN,
    "bot.toml": CONFIG,
}


@pytest.fixture
def job(tmp_path: Path) -> SetJob:
    home = tmp_path / "here"
    home.mkdir()
    for name, text in FILES.items():
        (home / name).write_text(text)
    run = GridRun(options=LoadOptions(config_files=(home / "bot.toml",)), home=home, environ={})
    return SetJob(run, ParameterSet({"every": 4}, {"strategy.0.every": "4"}, ()))


def result(job: SetJob) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(run_set(job))
    return {key: value for key, value in row.items() if key not in ("wall_s", "bars_per_s")}


def test_a_set_finds_the_same_where_only_its_bundle_is(
    job: SetJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = result(job)
    assert expected["trades"] > 3
    assert expected["funding"] != "0"
    folder = tmp_path / "there"
    folder.mkdir()
    settings = job.run.options.load(job.run.home, {}).settings
    packed = Bundle(folder, settings, job).packed(job)
    for name in FILES:
        (job.run.home / name).unlink()
    monkeypatch.chdir(folder)
    assert result(packed) == expected


def test_bars_of_a_set_are_in_it_too(job: SetJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"BTC:5m={job.run.home / 'bars.csv'}"
    job = job._replace(one=ParameterSet({}, {}, (spec,)))
    expected = result(job)
    settings = job.run.options.load(job.run.home, {}).settings
    folder = tmp_path / "there"
    folder.mkdir()
    packed = Bundle(folder, settings, job).packed(job)
    (job.run.home / "bars.csv").unlink()
    monkeypatch.chdir(folder)
    assert result(packed) == expected


def test_a_file_that_cannot_be_read_is_said(job: SetJob, tmp_path: Path) -> None:
    settings = job.run.options.load(job.run.home, {}).settings
    (job.run.home / "rates.csv").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        Bundle(tmp_path, settings, job)


def test_a_set_of_another_version_is_refused(job: SetJob) -> None:
    found = json.loads(run_set(job._replace(run=replace(job.run, version="0.0.1"))))
    assert "the grid is run by 0.0.1" in found["error"]["what"]
