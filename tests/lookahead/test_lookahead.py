"""Strategies that cheat are caught, each by the runs that show it; honest ones pass."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.cli.main import run
from tradebot.model.errors import UsageError
from tradebot.pipeline.strategy.registry import BUILT_IN
from tradebot.research import lookahead
from tradebot.research.prefixes import LookaheadResult, SeenIn, choose_prefixes

BARS = 300
HEAD = """\
import os
import random
import time
from tradebot.pipeline.strategy.base import Enter, Exit, Field, Params, PositionSide

FILE = {file!r}


def closes(lines):
    return {{int(line.split(",")[0]): float(line.split(",")[4]) for line in list(lines)[1:]}}


class Base:
    class Params(Params):
        pass

    def __init__(self, params):
        self.count = 0

    def trade(self, is_up, position):
        if is_up and position is None:
            return [Enter(PositionSide.LONG)]
        return [Exit()] if position is not None and not is_up else []

"""
HONEST = """
class Mine(Base):
    def on_bar(self, bar, position):
        self.count += 1
        return self.trade(bar.close > bar.open, position)
"""
READS_IN_INIT = """
class Mine(Base):
    def __init__(self, params):
        with open(FILE) as file:
            self.closes = closes(file)

    def on_bar(self, bar, position):
        return self.trade(self.closes.get(bar.ts_event // 1_000_000, 0) > bar.close, position)
"""
READS_WHEN_LOADED = """
from pathlib import Path

CLOSES = closes(Path(FILE).read_text().splitlines())

class Mine(Base):
    def on_bar(self, bar, position):
        return self.trade(CLOSES.get(bar.ts_event // 1_000_000, 0) > bar.close, position)
"""
READS_PAST_OPEN = """
class Mine(Base):
    def on_bar(self, bar, position):
        if self.count == 0:
            handle = os.open(FILE, os.O_RDONLY)
            self.count = len(os.read(handle, 10))
            os.close(handle)
        return self.trade(bar.close > bar.open, position)
"""
READS_ONLY_THE_PAST = """
class Mine(Base):
    def on_bar(self, bar, position):
        with open(FILE) as file:
            known = closes(file)
        return self.trade(known[bar.ts_open // 1_000_000] > bar.open, position)
"""
PEEKS_FOR_ITS_TARGETS = """
from decimal import Decimal
from tradebot.pipeline.strategy.base import Rung

class Mine(Base):
    def __init__(self, params):
        with open(FILE) as file:
            self.closes = closes(file)

    def on_bar(self, bar, position):
        if position is not None:
            return [Exit()]
        best = Decimal(str(list(self.closes.values())[-1]))
        rung = Rung(price=max(best, bar.close) + 1, fraction=Decimal(1))
        return [Enter(PositionSide.LONG, stop=bar.close / 2, ladder=(rung,), levels={"best": best})]
"""
ROLLS_DICE = """
class Mine(Base):
    def on_bar(self, bar, position):
        return self.trade(random.random() < 0.5, position)
"""
ASKS_THE_CLOCK = """
class Mine(Base):
    def on_bar(self, bar, position):
        return self.trade(time.perf_counter_ns() // 1000 % 2, position)
"""
REMEMBERS_OUTSIDE = """
class Box:
    seen = 0

class Mine(Base):
    def on_bar(self, bar, position):
        Box.seen += 1
        return self.trade(Box.seen % 100 < 50, position)
"""
COUNTS_IN_THE_CLASS = """
class Mine(Base):
    seen = 0

    def on_bar(self, bar, position):
        Mine.seen += 1
        return self.trade(Mine.seen % 10 < 5, position)
"""
USES_ITS_POSITION = """
class Mine(Base):
    def on_bar(self, bar, position):
        self.count = 0 if position is None else self.count + 1
        return self.trade(position is None or self.count < 4, position)
"""


def history(folder: Path, name: str = "bars.csv") -> Path:
    """A market that rises and falls unevenly."""
    path = folder / name
    lines = ["ts_ms,open,high,low,close,volume"]
    last = 100
    for number in range(BARS):
        close = 100 + (number * number * 7 + number * 13) % 17
        lines.append(f"{number * 60_000},{last},{max(last, close)},{min(last, close)},{close},1")
        last = close
    text = "\n".join([*lines, ""])
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text)
    return path


def config(folder: Path, body: str, file: Path | None = None) -> Path:
    """A configuration of the strategy ``Mine`` and of an honest one beside it."""
    bars = file or history(folder)
    (folder / "mine.py").write_text(HEAD.format(file=str(bars)) + body)
    path = folder / "bot.toml"
    path.write_text(
        f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "replay"\ndata = ["BTC:1m={bars}"]\n'
        '[[strategy]]\nkind = "mine.py:Mine"\nname = "mine"\nstop = "none"\n'
        '[[strategy]]\nkind = "sma_cross"\nname = "cross"\nfast = 2\nslow = 5\nstop = "none"\n'
        '[risk]\nsize = { kind = "qty", qty = "1" }\n'
    )
    return path


def check(folder: Path, body: str, prefixes: int = 8) -> LookaheadResult:
    return lookahead(config(folder, body), strategy="mine", prefixes=prefixes)


@pytest.mark.parametrize("body", [HONEST, USES_ITS_POSITION, READS_ONLY_THE_PAST])
def test_who_decides_by_the_past_alone_passes(body: str, tmp_path: Path) -> None:
    result = check(tmp_path, body)
    assert result.is_clean, result.changes
    assert result.decisions > 20
    assert (result.bars, len(result.prefixes), result.restarts) == (BARS, 8, 3)


@pytest.mark.parametrize("body", [READS_IN_INIT, READS_WHEN_LOADED])
def test_who_reads_the_file_ahead_is_caught_and_each_decision_named(body: str, tmp_path: Path) -> None:
    result = check(tmp_path, body)
    assert not result.is_clean
    assert {change.seen for change in result.changes} == {SeenIn.PREFIX}
    first = result.changes[0]
    assert (first.key.strategy, first.key.symbol, first.what) == ("mine", "BTC", "missing")
    # One bar ahead is only missing to the decision of the last bar.
    assert all(change.bars == change.key.turn + 1 for change in result.changes)
    assert all(change.ts_event == (change.key.turn + 1) * 60_000_000_000 for change in result.changes)


def test_a_target_or_a_level_from_the_future_is_named(tmp_path: Path) -> None:
    result = check(tmp_path, PEEKS_FOR_ITS_TARGETS)
    # Decisions that follow from a target that was hit, or was not, are missing or new.
    changed = [change for change in result.changes if change.what == "changed"]
    assert changed
    assert {change.seen for change in changed} == {SeenIn.PREFIX}
    assert set().union(*(change.fields for change in changed)) == {"ladder", "levels"}


def test_who_looks_ahead_is_caught_where_its_regimes_refuse_each_entry(tmp_path: Path) -> None:
    path = config(tmp_path, READS_IN_INIT)
    # No market that short is known to be of any kind.
    path.write_text(path.read_text().replace('name = "mine"\n', 'name = "mine"\nregimes = ["trend_up"]\n'))
    result = lookahead(path, strategy="mine", bars=100, prefixes=8)
    assert result.changes
    assert {change.key.action for change in result.changes} == {"enter"}


def test_a_compressed_history_is_cut_as_well(tmp_path: Path) -> None:
    body = READS_IN_INIT.replace("with open(FILE) as", "import gzip\n        with gzip.open(FILE, 'rt') as")
    path = config(tmp_path, body, history(tmp_path, "bars.csv.gz"))
    assert {change.seen for change in lookahead(path, strategy="mine", prefixes=8).changes} == {SeenIn.PREFIX}


def test_a_history_that_is_read_past_open_is_told(tmp_path: Path) -> None:
    result = check(tmp_path, READS_PAST_OPEN)
    assert (result.changes, result.is_clean) == ([], False)
    assert list(result.read) == [os.path.realpath(tmp_path / "bars.csv")]


@pytest.mark.parametrize("body", [ROLLS_DICE, ASKS_THE_CLOCK])
def test_who_decides_otherwise_on_the_same_bars_is_not_said_to_look_ahead(body: str, tmp_path: Path) -> None:
    result = check(tmp_path, body)
    assert {change.seen for change in result.changes} == {SeenIn.REPEAT}


def test_who_keeps_something_outside_its_fields_is_caught_by_a_restart(tmp_path: Path) -> None:
    result = check(tmp_path, REMEMBERS_OUTSIDE)
    assert {change.seen for change in result.changes} == {SeenIn.RESTART}


def test_who_was_disabled_cannot_be_vouched_for(tmp_path: Path) -> None:
    result = check(tmp_path, COUNTS_IN_THE_CLASS)
    assert [one.strategy for one in result.disabled] == ["mine"]
    assert not result.is_clean


def test_open_is_as_before_afterwards(tmp_path: Path) -> None:
    before = open
    check(tmp_path, READS_IN_INIT)
    assert open is before
    assert len((tmp_path / "bars.csv").read_text().splitlines()) == BARS + 1


def test_strategies_run_together_and_on_several_timeframes(tmp_path: Path) -> None:
    coarse = '[[strategy]]\nkind = "donchian_breakout"\ntimeframe = "15m"\nentry = 4\nexit = 2\nstop = { kind = "atr", '
    coarse += (
        'n = 3, trail = { kind = "structure", swing = 2 }, break_even = { at_r = 0.5 } }\nmax_hold = { bars = 6 }\n'
    )
    text = (
        '[bot]\nsymbols = ["BTC", "ETH"]\n[feed]\nkind = "generated"\nbars = 400\n[[strategy]]\nkind = "sma_cross"\n'
        f'name = "cross"\nsymbols = ["BTC"]\nfast = 2\nslow = 5\nstop = "none"\n{coarse}'
        '[risk]\nsize = { kind = "qty", qty = "0.01" }\n'
    )
    path = tmp_path / "two.toml"
    path.write_text(text)
    result = lookahead(path, prefixes=10)
    assert result.is_clean
    assert (result.bars, result.decisions > 50) == (800, True)


def test_a_strategy_is_named_or_given_as_a_file(tmp_path: Path) -> None:
    path = config(tmp_path, READS_IN_INIT)
    assert lookahead(path, strategy="cross", prefixes=3).is_clean
    assert not lookahead(path, strategy=f"{tmp_path}/mine.py:Mine", prefixes=8).is_clean
    with pytest.raises(UsageError, match="there is no strategy 'crass'"):
        lookahead(path, strategy="crass")


def test_a_generated_market_needs_its_length(tmp_path: Path) -> None:
    tables = {
        "bot": {"symbols": ["BTC"]},
        "feed": {"kind": "generated"},
        "strategy": [{"kind": "sma_cross", "fast": 3, "slow": 9}],
    }
    assert lookahead(tables, bars=200, prefixes=5).bars == 200
    with pytest.raises(UsageError):
        lookahead(tables)


def test_the_command_says_one_sentence_or_names_the_decisions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--home", str(tmp_path), "--config", str(config(tmp_path, READS_IN_INIT)), "lookahead", "--prefixes", "9"]
    assert run([*words, "--strategy", "cross"], {}) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "none of the" in said
    assert run([*words, "--strategy", "mine"], {}) == 1
    said = capsys.readouterr().out
    assert "mine decides otherwise when later bars are missing: it looks ahead." in said
    assert "1970-01-01 04:59:00  BTC     mine" in said
    assert run([*words, "--json", "--bars", "50"], {}) == 1
    assert '"clean":false,"bars":50,' in capsys.readouterr().out


@pytest.mark.parametrize(("length", "prefixes"), [(600, 5), pytest.param(3000, 30, marks=pytest.mark.soak)])
@pytest.mark.parametrize("file", ["hl_BTC_1h", "hl_SOL_5m", "btpy_EURUSD_1h"])
@pytest.mark.parametrize("kind", sorted(BUILT_IN))
def test_what_is_built_in_passes_on_real_bars(file: str, kind: str, length: int, prefixes: int) -> None:
    name = os.environ.get("TRADEBOT_TEST_DATA")
    if not name:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    bars = f"X:{file.rpartition('_')[2]}={Path(name) / file}.csv.gz"
    tables = {"bot": {"symbols": ["X"]}, "feed": {"kind": "replay", "data": [bars]}, "strategy": [{"kind": kind}]}
    result = lookahead(tables, bars=length, prefixes=prefixes)
    assert result.is_clean
    assert result.decisions


@given(st.integers(0, 400), st.lists(st.integers(0, 399)), st.integers(0, 60))
def test_prefixes_are_shorter_than_the_whole_and_as_many_as_asked_for(
    total: int, decided: list[int], count: int
) -> None:
    decided = [turn for turn in decided if turn < total]
    chosen = choose_prefixes(total, decided, count)
    assert chosen == sorted(set(chosen)) == choose_prefixes(total, decided, count)
    assert len(chosen) == min(count, max(total - 1, 0))
    assert all(0 < cut < total for cut in chosen)
    if count and total > 1:
        assert chosen[-1] == total - 1
