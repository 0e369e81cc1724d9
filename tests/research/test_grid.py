"""The plan of a grid: which parameter an axis means, which values it has, which sets follow."""

import pytest

from tradebot.model.errors import UsageError
from tradebot.research.grid import file_axis, grid_axes, parameter_sets
from tradebot.settings.load import load_settings

TWO = """
[bot]
name = "two"
symbols = ["BTC"]
[feed]
kind = "generated"
[[strategy]]
kind = "sma_cross"
name = "cross"
stop = { kind = "percent", percent = 2 }
[[strategy]]
kind = "donchian_breakout"
name = "break"
[risk]
size = { kind = "notional", notional = "1000" }
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TWO)
    return load_settings(home=tmp_path, config_files=[path], environ={}).settings


def overrides(settings, *texts):
    return [dict(one.overrides) for one in parameter_sets(grid_axes(settings, texts), ())]


@pytest.mark.parametrize(
    ("axis", "key"),
    [
        ("fast=5", "strategy.0.fast"),
        ("cross.fast=5", "strategy.0.fast"),
        ("entry=5", "strategy.1.entry"),
        ("break.share=0.5", "strategy.1.share"),
        ("risk.max_leverage=2", "risk.max_leverage"),
        ("bot.name=x", "bot.name"),
    ],
)
def test_an_axis_is_a_parameter_of_the_strategy_that_has_it_or_a_key_of_the_configuration(settings, axis, key):
    assert list(overrides(settings, axis)[0]) == [key]


def test_a_key_of_a_tagged_table_takes_its_kind_along(settings):
    assert overrides(settings, "cross.stop.percent=1,2") == [
        {"strategy.0.stop.kind": "percent", "strategy.0.stop.percent": text} for text in ("1", "2")
    ]
    assert overrides(settings, "break.stop.mult=1")[0]["strategy.1.stop.kind"] == "atr"
    assert overrides(settings, "risk.size.notional=1")[0]["risk.size.kind"] == "notional"


def test_sets_are_all_combinations_the_last_axis_fastest(settings):
    axes = grid_axes(settings, ["fast=5,10", "cross.direction=long,both"])
    sets = list(parameter_sets(axes, ["BTC:5m=a.csv"]))
    assert [dict(one.params) for one in sets] == [
        {"fast": 5, "cross.direction": "long"},
        {"fast": 5, "cross.direction": "both"},
        {"fast": 10, "cross.direction": "long"},
        {"fast": 10, "cross.direction": "both"},
    ]
    assert {one.data for one in sets} == {("BTC:5m=a.csv",)}


def test_values_are_numbers_words_arrays_and_tables(settings):
    (axis,) = grid_axes(settings, ['cross.stop={kind="atr", mult=1.5}, none'])
    tables = [next(iter(choice.overrides.values())) for choice in axis.choices]
    assert tables[0]["kind"] == "atr"
    assert str(tables[0]["mult"]) == "1.5"
    assert tables[1] == "none"
    (axis,) = grid_axes(settings, ['cross.regimes=["trend"],["range", "volatile"],[]'])
    assert [next(iter(choice.overrides.values())) for choice in axis.choices] == [["trend"], ["range", "volatile"], []]
    (axis,) = grid_axes(settings, ["break.share=0.5,1,true,abc"])
    assert [choice.value for choice in axis.choices] == [0.5, 1, True, "abc"]


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        (["fst=5"], "did you mean fast?"),
        (["cross.fst=5"], "cross has no parameter fst"),
        (["share=0.5,1"], "say cross.share or break.share"),
        (["fast"], "is no axis"),
        (["=5"], "is no axis"),
        (["fast="], "lacks a value"),
        (["fast=5,,6"], "lacks a value"),
        (["fast=5,5"], "names a value twice"),
        (["fast=5", "fast=6"], "given twice"),
        (["cross.stop={kind="], "is not a TOML"),
        (["cross.stop=none", "cross.stop.percent=1"], "is a part of"),
        (["kind=sma_cross"], "no strategy has"),
        (["cross.symbols=BTC"], "no parameter symbols"),
        (["strategy.0.fast=5"], "no strategy has"),
    ],
)
def test_what_is_no_axis_is_refused_with_a_mend(settings, axes, says):
    with pytest.raises(UsageError) as refused:
        grid_axes(settings, axes)
    assert says in f"{refused.value.what} {refused.value.mend}"
    assert refused.value.mend


def test_a_grid_that_nobody_waits_for_is_refused(settings):
    many = ",".join(map(str, range(1, 400)))
    with pytest.raises(UsageError, match="159,201 sets are too many"):
        list(parameter_sets(grid_axes(settings, [f"fast={many}", f"slow={many}"]), ()))


def test_each_file_of_a_pattern_is_a_run_of_its_own_symbol(settings, tmp_path):
    for name in ("b-1.csv", "b-2.csv", "c.csv"):
        (tmp_path / name).touch()
    axis = file_axis(settings, [f"ETH:5m={tmp_path}/b-*.csv", f"SOL:5m={tmp_path}/c.csv"])
    sets = list(parameter_sets([axis, *grid_axes(settings, ["fast=5,6"])], ()))
    specs = [f"ETH:5m={tmp_path}/b-1.csv", f"ETH:5m={tmp_path}/b-2.csv", f"SOL:5m={tmp_path}/c.csv"]
    assert [one.data for one in sets] == [(spec,) for spec in specs for _ in range(2)]
    assert sets[0].params == {"data": specs[0], "fast": 5}
    assert sets[5].overrides == {
        "bot.symbols": ["SOL"],
        "strategy.0.symbols": ["SOL"],
        "strategy.1.symbols": ["SOL"],
        "strategy.0.fast": "6",
    }
    assert file_axis(settings, []) is None


@pytest.mark.parametrize("text", ["ETH:5m=nowhere/*.csv", "ETH:5m=", "ETH:5m", "ETH=x.csv"])
def test_a_file_that_is_not_there_is_refused(settings, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").touch()
    with pytest.raises(UsageError):
        file_axis(settings, [text])
