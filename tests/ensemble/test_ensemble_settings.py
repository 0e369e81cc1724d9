"""What a configuration says of shares and confidence, and what of it is refused."""

from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.model.errors import ConfigError
from tradebot.pipeline.risk.limits import ConfidenceScale
from tradebot.runtime.wiring import wire
from tradebot.settings.build import build_limits, build_size
from tradebot.settings.check import find_problems
from tradebot.settings.load import Loaded, load_settings

FRACTION = 'size = { kind = "equity_fraction", fraction = 0.5 }\n'
FIXED = 'size = { kind = "qty", qty = "1" }\n'


def load(folder: Path, risk: str = FRACTION, shares: tuple[str, ...] = ("0.4", "0.6")) -> Loaded:
    strategies = "".join(
        f'[[strategy]]\nkind = "sma_cross"\nname = "s{n}"\n' + (f"share = {share}\n" if share else "")
        for n, share in enumerate(shares)
    )
    file = folder / "bot.toml"
    file.write_text(f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "generated"\n{strategies}[risk]\n{risk}')
    return load_settings(home=folder, config_files=[file], environ={})


def told(loaded: Loaded) -> list[tuple[str, str]]:
    return [(problem.key, problem.what) for problem in find_problems(loaded)]


def test_shares_and_confidence_reach_the_risk_stage(tmp_path: Path) -> None:
    loaded = load(tmp_path, FRACTION + 'min_confidence = 55\nconfidence_scale = "linear"\n', ("0.4", "", "0.6"))
    settings = loaded.settings
    rule = build_size(settings.risk, settings.strategy)
    assert rule.shares == {"s0": Decimal("0.4"), "s2": Decimal("0.6")}
    assert rule.scale is ConfidenceScale.LINEAR
    assert build_limits(settings.risk)["min_confidence"] == 55
    assert wire(loaded).risk._desk.sizing.rule == rule


def test_nothing_is_shared_or_scaled_unless_asked_for(tmp_path: Path) -> None:
    settings = load(tmp_path, shares=("",)).settings
    rule = build_size(settings.risk, settings.strategy)
    assert (rule.shares, rule.scale) == ({}, ConfidenceScale.NONE)
    assert "min_confidence" not in build_limits(settings.risk)


def test_shares_may_not_add_up_to_more_than_all(tmp_path: Path) -> None:
    assert told(load(tmp_path, shares=("0.4", "", "0.6"))) == []
    what = "the shares add up to 1.3, more than all"
    assert told(load(tmp_path, shares=("0.7", "", "0.6"))) == [("strategy.0.share", what), ("strategy.2.share", what)]


def test_a_share_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    (problem,) = told(load(tmp_path, FIXED, ("0.4",)))
    assert problem[0] == "strategy.0.share"
    assert problem[1].startswith("has no effect")
    assert told(load(tmp_path, FIXED + "max_leverage = 2\n", ("0.4",))) == []


@pytest.mark.parametrize(
    ("risk", "share"),
    [
        (FRACTION, "0"),
        (FRACTION, "1.5"),
        (FRACTION + "min_confidence = 101\n", ""),
        (FRACTION + 'confidence_scale = "x"', ""),
    ],
)
def test_what_is_out_of_range_is_refused(risk: str, share: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, risk, (share,))
