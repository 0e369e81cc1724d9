"""What makes entries smaller, as it is configured."""

from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.model.errors import ConfigError
from tradebot.pipeline.risk.scaling import Scaling
from tradebot.settings.build import build_measures, build_size
from tradebot.settings.check import check_settings
from tradebot.settings.load import Loaded, LoadOptions

TEXT = """
[bot]
name = "scaled"
mode = "paper"
symbols = ["BTC"]
[feed]
kind = "generated"
timeframe = "1m"
bars = 10
[venue]
kind = "simulated"
[[strategy]]
kind = "sma_cross"
[risk]
size = {{ kind = "qty", qty = "1" }}
[risk.scale]
volatility_pct = 40
regime = "volatility"
risk_parity = "strategies"
kelly = {{ fraction = 0.5 }}
drawdown = {{ {drawdown} }}
[risk.measure]
window_days = 60
decay = 1
"""


def loaded(folder: Path, drawdown: str = "") -> Loaded:
    (folder / "tradebot.toml").write_text(TEXT.format(drawdown=drawdown))
    return LoadOptions(config_files=(folder / "tradebot.toml",)).load(folder, {})


def test_scales_are_built_as_they_are_written(tmp_path: Path) -> None:
    risk = loaded(tmp_path).settings.risk
    scales = build_size(risk).scales
    assert (scales.volatility, scales.regime, scales.risk_parity) == (Decimal("0.4"), True, True)
    assert scales.kelly is not None
    assert (float(scales.kelly.fraction), scales.kelly.min_trades) == (0.5, 30)
    assert scales.drawdown is not None
    assert (scales.drawdown.from_pct, scales.drawdown.to_pct) == (5, 20)
    assert (build_measures(risk).window_days, build_measures(risk).decay) == (60, 1.0)


def test_a_drawdown_that_ends_before_it_begins_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        check_settings(loaded(tmp_path, "from_pct = 10, to_pct = 10"))
    assert "risk.scale.drawdown.to_pct" in str(refused.value)
    assert "set to_pct above from_pct" in str(refused.value)


def test_the_order_of_the_page_is_that_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "risk.md").read_text()
    places = [page.index(f"| `{name}`") for name in Scaling.NAMES]
    assert places == sorted(places)
