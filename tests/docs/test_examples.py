"""What the documents show works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tradebot.model.errors import TradebotError
from tradebot.settings.check import check_settings
from tradebot.settings.load import load_settings

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
BARS = ROOT / "config" / "samples" / "btc_5m.csv.gz"


def fences(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def tradebot(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tradebot", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, check=False)


def faults_of(config: Path) -> str:
    try:
        load_settings(home=config.parent, config_files=[config], environ={})
    except TradebotError as error:
        return str(error)
    return ""


def test_the_strategy_of_the_how_to_runs_and_trades(tmp_path: Path) -> None:
    page = HOW_TO / "write-a-strategy.md"
    (tmp_path / "dip.py").write_text(fences(page, "python")[0])
    table = fences(page, "toml")[0]
    bars = f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "replay"\ndata = ["BTC:5m={BARS}"]\n'
    (tmp_path / "tradebot.toml").write_text(bars + table)
    done = tradebot(tmp_path, "--config", "tradebot.toml", "backtest", "--trades", "trades.jsonl")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "trades.jsonl").read_text().count('"strategy":"dip"') > 3


def test_the_configuration_of_the_tutorial_is_complete(tmp_path: Path) -> None:
    (tmp_path / "btc.csv.gz").write_bytes(BARS.read_bytes())
    (tmp_path / "cross.toml").write_text(fences(ROOT / "docs" / "tutorial" / "first-hour.md", "toml")[0])
    check_settings(load_settings(home=tmp_path, config_files=[tmp_path / "cross.toml"], environ={}), is_live=False)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_every_piece_of_configuration_has_only_keys_that_exist(page: Path, tmp_path: Path) -> None:
    for text in fences(page, "toml"):
        path = tmp_path / "piece.toml"
        path.write_text(text)
        # A piece is not whole: what is missing, or not beside it, is no fault.
        assert "unknown key" not in faults_of(path)
