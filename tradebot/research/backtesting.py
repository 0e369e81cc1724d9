"""Backtests from Python: the one of the command line, with its report as a mapping."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tradebot.report.document import document
from tradebot.report.shapes import Json
from tradebot.report.trades import trade_row
from tradebot.report.uncertainty import with_uncertainty
from tradebot.runtime.backtest import run_backtest
from tradebot.settings.load import Loaded, load_settings


class Backtest(dict[str, Json]):
    """The report, key by key as in ``tradebot backtest --json``: money as text, times in epoch milliseconds."""

    def __init__(self, report: Mapping[str, Json], trades: Sequence[Mapping[str, Json]]) -> None:
        super().__init__(report)
        self.trades = trades
        """The round trips in order of exit, as in ``tradebot backtest --trades``."""

    @property
    def equity_curve(self) -> Json:
        """The points ``[ts_ms, equity]``, from the first opening on."""
        return self["equity_curve"]


def run(config: str | Path | Mapping[str, object], data: str | Sequence[str] | None) -> Backtest:
    """Return what a configuration earns: see ``tradebot.research.backtest``."""
    specs = [data] if isinstance(data, str) else list(data or ())
    result = run_backtest(load(config), data=specs)
    return Backtest(
        json.loads(document(with_uncertainty(result.document, result.trades))),
        [trade_row(trip) for trip in result.trades],
    )


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
