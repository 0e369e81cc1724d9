"""Backtests from Python: the one of the command line, with its report as a mapping."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradebot.model.errors import UsageError
from tradebot.report.document import document
from tradebot.report.html import report_html
from tradebot.report.page_document import page_document
from tradebot.report.shapes import Json, rows
from tradebot.report.tape import Tape
from tradebot.report.trades import TRADE_KEYS, trade_row
from tradebot.report.uncertainty import with_uncertainty
from tradebot.research.inline import NotebookPage, Picture
from tradebot.runtime.backtest import BacktestResult, run_backtest
from tradebot.settings.load import Loaded, load_settings

if TYPE_CHECKING:
    from tradebot.research.frames import Array, Library


class Backtest(dict[str, Json]):
    """The report, key by key as in ``tradebot backtest --json``: money as text, times in epoch milliseconds."""

    def __init__(self, result: BacktestResult, tape: Tape | None, title: str) -> None:
        self._whole = with_uncertainty(result.document, result.trades)
        super().__init__(json.loads(document(self._whole)))
        self._trips = result.trades
        self._tape = tape
        self._title = title
        self.trades = [trade_row(trip) for trip in result.trades]
        """The round trips in order of exit, as in ``tradebot backtest --trades``."""

    @property
    def equity_curve(self) -> Json:
        """The points ``[ts_ms, equity]``, from the first opening on."""
        return self["equity_curve"]

    def columns(self, name: str = "trades") -> "dict[str, Array]":
        """Return trades, equity, daily or monthly as numpy columns by name; money as float64, times as datetime64.

        Needs numpy. Raises ``UsageError`` on another name.
        """
        from tradebot.research.frames import columns_of_rows

        match name:
            case "trades":
                return columns_of_rows(self.trades, TRADE_KEYS)
            case "equity":
                return columns_of_rows(_named(self["equity_curve"], "equity"), ("ts", "equity"))
            case "daily":
                return columns_of_rows(_named(self["daily_returns"], "return"), ("ts", "return"))
            case "monthly":
                return columns_of_rows(rows(self, "monthly"), ("month", "return"))
        raise UsageError(f"there is no table {name!r}", mend="one of trades, equity, daily, monthly")

    def frame(self, name: str = "trades", library: "Library" = "pandas") -> Any:
        """Return the same as a frame of pandas or polars. Raises ``ConfigError`` where that is not installed."""
        from tradebot.research.frames import frame

        return frame(self.columns(name), library)

    def plot(self) -> Picture:
        """Return the equity curve as a picture that a notebook shows and keeps."""
        points = [(int(row["ts"]), float(row["equity"])) for row in _named(self["equity_curve"], "equity")]
        return Picture(points, f"Equity of {self._title}")

    def page(self) -> NotebookPage:
        """Return the page of ``tradebot backtest --html``, shown within a notebook.

        Raises ``UsageError`` for a run that kept no bars.
        """
        if self._tape is None:
            raise UsageError("the run kept no bars to draw", mend="run it with charts=True")
        page = json.loads(document(page_document(self._whole, self._trips, self._tape)))
        return NotebookPage(report_html(page, title=f"Backtest of {self._title}"))


def run(config: str | Path | Mapping[str, object], data: str | Sequence[str] | None, *, charts: bool) -> Backtest:
    """Return what a configuration earns: see ``tradebot.research.backtest``."""
    specs = [data] if isinstance(data, str) else list(data or ())
    loaded, tape = load(config), Tape() if charts else None
    return Backtest(run_backtest(loaded, data=specs, tape=tape), tape, loaded.settings.bot.name)


def _named(points: Json, key: str) -> list[dict[str, Any]]:
    return [{"ts": ts, key: value} for ts, value in points] if isinstance(points, list) else []


def load(config: str | Path | Mapping[str, object]) -> Loaded:
    """Return the configuration in a file, or of tables as a mapping. Raises ``ConfigError``."""
    with tempfile.TemporaryDirectory(prefix="tradebot-research-") as folder:
        home = Path(folder)
        if not isinstance(config, Mapping):
            return load_settings(home=home, config_files=[Path(config)])
        # What is given is all there is: no profile below it, and no environment above.
        nothing = home / "nothing.toml"
        nothing.write_text("")
        return load_settings(home=home, config_files=[nothing], environ={}, overrides=config)
