"""Exit rules as they are configured, and what of them makes no sense."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.model.errors import ConfigError
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.strategy.base import (
    AtrStop,
    AtrTrail,
    BreakEven,
    ExitRules,
    MaxHold,
    StrategySpec,
    StructureTrail,
)
from tradebot.settings.check import build_specs, check_settings
from tradebot.settings.load import Loaded, LoadOptions, effective_toml

D = Decimal
M5 = parse_timeframe("5m")
TEXT = """
[bot]
symbols = ["BTC"]
[feed]
kind = "generated"
timeframe = "5m"
bars = 10
[[strategy]]
kind = "{kind}"
{lines}
[venue]
{venue}
[risk]
size = {{ kind = "qty", qty = 1 }}
"""


def loaded(
    folder: Path, *lines: str, kind: str = "sma_cross", venue: str = "", environ: Mapping[str, str] | None = None
) -> Loaded:
    (folder / "bot.toml").write_text(TEXT.format(kind=kind, lines="\n".join(lines), venue=venue))
    return LoadOptions(config_files=(folder / "bot.toml",)).load(folder, environ or {})


def spec(folder: Path, *lines: str, venue: str = "", environ: Mapping[str, str] | None = None) -> StrategySpec:
    (found,) = build_specs(loaded(folder, *lines, venue=venue, environ=environ))
    return found


def stop(inner: str) -> str:
    return f'stop = {{ kind = "atr", {inner} }}'


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        ([stop("trail = true")], None),
        ([stop("trail = false")], None),
        (
            [stop('trail = { kind = "structure" }')],
            ExitRules(trail=StructureTrail(swing=5, atrs=D("0.5"), n=14)),
        ),
        (
            [stop('trail = { kind = "structure", swing = 2, buffer_atr = 1, n = 7 }')],
            ExitRules(trail=StructureTrail(swing=2, atrs=D(1), n=7)),
        ),
        (
            [stop('trail = { kind = "structure", buffer_ticks = 3 }')],
            ExitRules(trail=StructureTrail(swing=5, ticks=3)),
        ),
        ([stop('trail = { kind = "atr" }')], ExitRules(trail=AtrTrail(mult=D(3)))),
        ([stop('trail = { kind = "atr", n = 5, mult = 2 }')], ExitRules(trail=AtrTrail(mult=D(2), n=5))),
        (
            [stop("break_even = {}")],
            ExitRules(break_even=BreakEven(at=D(1), fee=D("0.00045"))),
        ),
        (
            [stop("break_even = { at_atr = 2, n = 9, fee_bps = 2, offset_bps = 1 }")],
            ExitRules(break_even=BreakEven(at=D(2), n=9, fee=D("0.0002"), offset=D("0.0001"))),
        ),
        (["max_hold = { bars = 3 }"], ExitRules(max_hold=MaxHold(length=Nanos(3 * M5)))),
        (
            ['max_hold = { time = "1h", unless_r = 0 }'],
            ExitRules(max_hold=MaxHold(length=Nanos(12 * M5), unless_r=D(0))),
        ),
        (['stop = "none"', "max_hold = { bars = 3 }"], ExitRules(max_hold=MaxHold(length=Nanos(3 * M5)))),
    ],
)
def test_rules_are_built_as_they_are_written(tmp_path: Path, lines: list[str], expected: ExitRules | None) -> None:
    assert spec(tmp_path, *lines).exits == expected


def test_true_is_short_for_a_trail_at_the_distance_of_the_stop(tmp_path: Path) -> None:
    for written in ("true", '{ kind = "distance" }'):
        assert spec(tmp_path, stop(f"trail = {written}")).stop == AtrStop(trails=True)
    for written in ("false", '{ kind = "structure" }'):
        assert spec(tmp_path, stop(f"trail = {written}")).stop == AtrStop(trails=False)


def test_the_environment_turns_a_trail_on_off_and_into_another(tmp_path: Path) -> None:
    key = "TRADEBOT__STRATEGY__0__STOP__TRAIL"
    structure = stop('trail = { kind = "structure" }')
    assert spec(tmp_path, structure, environ={key: "false"}).exits is None
    assert spec(tmp_path, structure, environ={key: "true"}).stop == AtrStop(trails=True)
    assert spec(tmp_path, stop("trail = true"), environ={f"{key}__KIND": "structure"}).exits is not None


@pytest.mark.parametrize(
    ("venue", "fee"), [("taker_bps = 10", "0.001"), ("taker_bps = -1", "0"), ('kind = "hyperliquid"', "0.00045")]
)
def test_break_even_counts_the_taker_fee_of_the_venue(tmp_path: Path, venue: str, fee: str) -> None:
    exits = spec(tmp_path, stop("break_even = {}"), venue=venue).exits
    assert exits is not None
    assert exits.break_even is not None
    assert exits.break_even.fee == D(fee)


NONSENSE = [
    ([stop('trail = "yes"')], "stop.trail: must be true, false or a table"),
    ([stop("trail = 1")], "stop.trail: must be true, false or a table"),
    ([stop("trail = { swing = 3 }")], "stop.trail: has no kind"),
    ([stop('trail = { kind = "structure", buffer_atr = 1, buffer_ticks = 1 }')], "both buffer_atr and buffer_ticks"),
    ([stop('trail = { kind = "distance", swing = 1 }')], "stop.trail.swing: unknown key"),
    ([stop("break_even = { at_r = 1, at_atr = 1 }")], "both at_r and at_atr"),
    ([stop("break_even = true")], "stop.break_even: must be a table"),
    (
        [stop("break_even = { at_r = 2 }"), 'target = { kind = "r", r = 2 }'],
        "stop.break_even.at_r: is 2, and the target",
    ),
    ([stop("break_even = {}"), 'target = { kind = "r", r = 0.5 }'], "stop.break_even.at_r: is 1, and the target"),
    (["max_hold = {}"], "has neither bars nor time"),
    (['max_hold = { bars = 1, time = "1h" }'], "has both bars and time"),
    (['max_hold = { time = "1m" }'], "max_hold.time: is shorter than a bar of 5m"),
    (
        ["max_hold = { bars = 9, unless_r = 2 }", 'target = { kind = "r", r = 2 }'],
        "max_hold.unless_r: is 2, and the target",
    ),
    (
        ['stop = "none"', "max_hold = { bars = 9, unless_r = 1 }"],
        "max_hold.unless_r: is measured in distances of the stop",
    ),
]


@pytest.mark.parametrize(("lines", "said"), NONSENSE)
def test_what_makes_no_sense_together_is_refused_in_words(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_settings(loaded(tmp_path, *lines))
    assert f"strategy.0.{said}" in str(refused.value) or said in str(refused.value)


def test_a_parameter_that_could_never_be_given_is_refused(tmp_path: Path) -> None:
    body = "from tradebot.pipeline.strategy.base import Params\n\n\nclass Own:\n    class Params(Params):\n"
    body += "        max_hold: int = 3\n\n    def __init__(self, params):\n        pass\n\n"
    (tmp_path / "own.py").write_text(f"{body}    def on_bar(self, bar, position):\n        return []\n")
    with pytest.raises(ConfigError, match="max_hold can never be given"):
        check_settings(loaded(tmp_path, kind=f"{tmp_path}/own.py:Own"))


def test_what_is_shown_reads_back_as_the_same(tmp_path: Path) -> None:
    lines = [
        stop('trail = { kind = "structure", buffer_ticks = 3 }, break_even = { at_atr = 2 }'),
        "max_hold = { bars = 3 }",
    ]
    found = loaded(tmp_path, *lines)
    text = effective_toml(found.settings)
    assert tomllib.loads(text)["strategy"][0]["max_hold"] == {"bars": 3}
    (tmp_path / "shown.toml").write_text(text)
    assert LoadOptions(config_files=(tmp_path / "shown.toml",)).load(tmp_path, {}).settings == found.settings


def test_a_table_of_which_only_a_part_is_set_reads_back_as_the_same(tmp_path: Path) -> None:
    (tmp_path / "bot.toml").write_text(
        TEXT.format(kind="sma_cross", lines="", venue="") + "[risk.scale]\nvolatility_pct = 40\n"
    )
    found = LoadOptions(config_files=(tmp_path / "bot.toml",)).load(tmp_path, {})
    (tmp_path / "shown.toml").write_text(effective_toml(found.settings))
    assert LoadOptions(config_files=(tmp_path / "shown.toml",)).load(tmp_path, {}).settings == found.settings
