"""Finding strategies: those built in, a user's own file, and every way it can be wrong."""

from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.model.errors import ConfigError
from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.order import PositionSide
from tradebot.model.position import Position
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.strategy.base import Enter, Exit
from tradebot.pipeline.strategy.donchian_breakout import DonchianBreakout
from tradebot.pipeline.strategy.registry import BUILT_IN, ParameterRow, parameters_table
from tradebot.pipeline.strategy.sma_cross import SmaCross
from tradebot.pipeline.strategy.state import freeze, thaw
from tradebot.pipeline.strategy.template import template
from tradebot.settings.strategy_class import load_strategy

M5 = parse_timeframe("5m")
GOOD = """
from typing import Literal
from tradebot.pipeline.strategy.base import Enter, Field, Params

class Mine:
    class Params(Params):
        size: "int" = Field(3, gt=0, lt=9, description="how much")
        mode: Literal["fast", "slow"] = "fast"
        share: float

    def __init__(self, params):
        self.size = params.size

    def on_bar(self, bar, position):
        return []
"""


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return f"{name}:Mine"


def bar(number: int, close: str) -> Bar:
    c = Price(Decimal(close))
    return Bar("BTC", M5, Nanos((number + 1) * M5), c, c, c, c, Qty(Decimal(1)))


def test_the_built_in_strategies_are_found_by_name(tmp_path):
    assert load_strategy("sma_cross", tmp_path) is SmaCross
    assert load_strategy("donchian_breakout", tmp_path) is DonchianBreakout


def test_a_user_s_file_is_loaded_by_its_path_relative_or_absolute(tmp_path):
    kind = write(tmp_path, GOOD)
    for found in (load_strategy(kind, tmp_path), load_strategy(f"{tmp_path}/{kind}", Path("elsewhere"))):
        assert found(found.Params(share=1, size=4)).size == 4
    assert not (tmp_path / "__pycache__").exists()


def test_a_changed_file_is_seen_at_once(tmp_path):
    kind = write(tmp_path, GOOD)
    old = load_strategy(kind, tmp_path)
    write(tmp_path, GOOD.replace("Field(3", "Field(5"))
    assert old.Params(share=1).size == 3
    assert load_strategy(kind, tmp_path).Params(share=1).size == 5


def test_a_table_of_constants_may_stand_in_the_class(tmp_path):
    load_strategy(write(tmp_path, GOOD + "\n    WEIGHTS = {'a': 1}"), tmp_path)


def test_two_files_of_one_name_are_two_modules(tmp_path):
    (tmp_path / "other").mkdir()
    first = load_strategy(write(tmp_path, GOOD), tmp_path)
    second = load_strategy(write(tmp_path / "other", GOOD), tmp_path / "other")
    assert first.__module__ != second.__module__


def test_parameters_are_told_with_type_default_range_and_description(tmp_path):
    assert parameters_table(load_strategy(write(tmp_path, GOOD), tmp_path)) == (
        ParameterRow("size", "int", "3", "> 0, < 9", "how much"),
        ParameterRow("mode", "choice", "fast", "fast | slow", ""),
        ParameterRow("share", "float", "", "", ""),
    )


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_built_in_parameter_has_a_range_and_a_description(kind):
    rows = parameters_table(BUILT_IN[kind])
    assert rows
    assert all(row.range and row.description and row.default for row in rows)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("sma_cros", "there is no strategy 'sma_cros', did you mean 'sma_cross'"),
        (
            "nothing_like_it",
            "use one of sma_cross, donchian_breakout, .*bos_orderblock, or path/to/file.py:ClassName",
        ),
        ("file.py", "there is no strategy 'file.py'"),
        ("file.py:not a name", "there is no strategy"),
        ("missing.py:Mine", "missing.py: the strategy file cannot be read: No such file"),
    ],
)
def test_a_kind_that_is_not_there_is_said_with_what_there_is(tmp_path, kind, said):
    with pytest.raises(ConfigError, match=said):
        load_strategy(kind, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Mine:\n    def on_bar(self:\n", r"mine.py:2: this is not Python"),
        ("\x00", r"mine.py:\d+: (this is not Python|the file cannot be loaded)"),
        ("x = 1\ny = x / 0\n", r"mine.py:2: the file cannot be loaded: ZeroDivisionError: division by zero"),
        ("\nimport not_a_module\n", r"mine.py:2: the file cannot be loaded: ModuleNotFoundError"),
        ("raise SystemExit(0)", r"mine.py:1: the file cannot be loaded: SystemExit"),
        (GOOD.replace("class Mine", "class Mina"), r"there is no class Mine, did you mean 'Mina'"),
        ("Mine = 3", r"there is no class Mine\n  mend: name a class of the file: mine.py:ClassName"),
        ("class Mine: pass", r"mine.py:1: Mine has no class Params"),
        ("class Mine:\n    class Params: pass", r"Mine has a Params that is no pydantic model"),
        (
            GOOD + "\n    closes = []",
            r"keeps the list 'closes' in the class.*\n  mend: make it in __init__: self.closes",
        ),
        (GOOD.replace("def on_bar", "def on_bars"), r"mine.py:5: Mine has no method on_bar"),
        (GOOD.replace("def on_bar", "async def on_bar"), r"Mine.on_bar is async"),
        (GOOD.replace("(self, bar, position)", "(self, bar)"), r"Mine.on_bar does not take \(bar, position\)"),
        (GOOD.replace("(self, params)", "(self)"), r"Mine.__init__ does not take \(params\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_with_its_line(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        load_strategy(write(tmp_path, text), tmp_path)


def test_a_file_that_fails_leaves_the_loaded_one_in_place(tmp_path):
    cls = load_strategy(write(tmp_path, GOOD), tmp_path)
    with pytest.raises(ConfigError):
        load_strategy(write(tmp_path, "oops("), tmp_path)
    assert cls.Params(share=1).size == 3


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "mine.py").write_bytes(b"\xff\xfe\x00junk")
    with pytest.raises(ConfigError, match=r"mine\.py"):
        load_strategy("mine.py:Mine", tmp_path)


def test_the_template_is_short_runs_and_survives_a_restart(tmp_path):
    text = template("mine.py", "Mine")
    assert len(text.splitlines()) < 50
    cls = load_strategy(write(tmp_path, text), tmp_path)
    strategy, restored = (cls(cls.Params(length=3)) for _ in range(2))
    for number, close in enumerate(["1", "2", "3"]):
        assert list(strategy.on_bar(bar(number, close), None)) == []
    thaw(restored, freeze(strategy))
    position = Position(
        symbol="BTC", strategy="s", qty=Qty(Decimal(1)), entry_price=Price(Decimal(1)), entry_ts=Nanos(0)
    )
    for each in (strategy, restored):
        (enter,) = each.on_bar(bar(3, "4"), None)
        assert isinstance(enter, Enter)
        assert enter.side is PositionSide.LONG
        assert list(each.on_bar(bar(4, "2"), position)) == [Exit()]
