"""What notebooks get: arrays, frames, pictures and pages; and how the check of ours finds one that lies."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.browser import opened
from tests.research.test_backtesting import CONFIG
from tradebot import research
from tradebot.model.errors import ConfigError, UsageError
from tradebot.research.backtesting import Backtest
from tradebot.research.inline import NotebookPage, Picture

np = pytest.importorskip("numpy", reason="notebooks need numpy")
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config" / "samples" / "btc_5m.csv.gz"


@pytest.fixture(scope="module")
def result() -> Backtest:
    return research.backtest(CONFIG, charts=True)


def test_columns_hold_the_report(result: Backtest) -> None:
    trades = result.columns("trades")
    assert trades["net_pnl"].tolist() == [float(str(row["net_pnl"])) for row in result.trades]
    assert trades["exit_ts"].astype(np.int64).tolist() == [row["exit_ts"] for row in result.trades]
    assert trades["symbol"].tolist() == [row["symbol"] for row in result.trades]
    equity = result.columns("equity")
    assert len(equity["ts"]) == len(result["equity_curve"])  # type: ignore[arg-type]
    assert set(result.columns("daily")) == {"ts", "return"}
    assert result.columns("monthly")["month"].tolist() == ["2025-01"]
    with pytest.raises(UsageError, match="one of trades"):
        result.columns("nothing")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_those_of_the_library_that_is_asked_for(result: Backtest, library: str) -> None:
    module = pytest.importorskip(library)
    frame = result.frame("trades", library)  # type: ignore[arg-type]
    assert isinstance(frame, module.DataFrame)
    assert frame["net_pnl"].sum() == pytest.approx(sum(float(str(row["net_pnl"])) for row in result.trades))
    assert "datetime" in str(frame["entry_ts"].dtype).lower()
    events = research.scan(*research.read_bars(SAMPLE), L=3)
    assert len(research.frame(events, library)) == len(events)  # type: ignore[arg-type]


def test_a_library_that_is_not_there_is_said(result: Backtest) -> None:
    with pytest.raises(ConfigError, match="not_there is not installed"):
        result.frame("trades", "not_there")  # type: ignore[arg-type]


def test_a_picture_is_sound_svg_that_keeps_the_extremes(result: Backtest) -> None:
    assert "Equity of x" in result.plot()._repr_svg_()
    points = [(number * 60_000, 100.0 + number % 50) for number in range(5000)]
    points[1234], points[4000] = (1234 * 60_000, 900.0), (4000 * 60_000, -700.0)
    text = Picture(points, "<a & b>")._repr_svg_()
    root = ElementTree.fromstring(text)
    line = root.find("{http://www.w3.org/2000/svg}polyline")
    assert line is not None
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert len(heights) <= 900
    assert (min(heights), max(heights)) == (26.0, 238.0)
    assert ElementTree.fromstring(Picture([], "none")._repr_svg_()) is not None
    assert "picture of 5,000 points" in repr(Picture(points, "x"))


def test_a_page_lives_within_a_notebook_and_is_saved_as_it_is(result: Backtest, tmp_path: Path) -> None:
    page = result.page()
    page.save(tmp_path / "kept.html")
    assert (tmp_path / "kept.html").read_text() == page.text
    # Inside, the page has neither an address nor anything of the notebook's.
    _, outside = opened(tmp_path, f"<!doctype html><body>{page._repr_html_()}</body>")
    assert 'sandbox="allow-scripts"' in outside
    assert "run the cell" in repr(page)
    with pytest.raises(UsageError, match="charts=True"):
        research.backtest(CONFIG).page()
    chart = research.chart(*research.read_bars(SAMPLE), title="BTC", L=3)
    assert isinstance(chart, NotebookPage)
    assert "BTC - tradebot scan" in chart.text


def test_the_check_finds_a_notebook_that_says_something_else(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    code = {"cell_type": "code", "outputs": [], "source": ["a = 2\n", "print(a)\n", "a + 1"]}
    cells = [{"cell_type": "markdown", "source": ["words"]}, code]
    book = folder / "one.ipynb"

    def check(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(tmp_path / "scripts" / "check-notebooks"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    book.write_text(json.dumps({"cells": cells}))
    assert check().returncode == 1
    assert check("--write").returncode == 0
    assert check().stdout == "notebooks: 1 run and show what they say\n"
    book.write_text(book.read_text().replace('"3"', '"4"'))
    assert "one.ipynb: cell 1: shows something else now" in check().stderr
    book.write_text(book.read_text().replace("a + 1", "a + b"))
    assert "one.ipynb: cell 1: NameError" in check().stderr
