"""Recorded series come in the order of turns, wherever a run is cut."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.feeds.replay import Replay, ReplayState
from tradebot.model.errors import ConfigError
from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, Timeframe, parse_timeframe

TIMEFRAMES = [parse_timeframe(text) for text in ("1m", "5m", "15m")]
ONE = Price(Decimal(1))


@dataclass(frozen=True)
class Series:
    """A series in memory."""

    symbol: str
    timeframe: Timeframe
    opens: tuple[int, ...]

    def skip(self, count: int) -> Iterator[Bar]:
        for n in self.opens[count:]:
            close = Nanos((n + 1) * self.timeframe)
            yield Bar(self.symbol, self.timeframe, close, ONE, ONE, ONE, ONE, Qty(Decimal(n)))

    def digest(self) -> str:
        return str(hash(self.opens))


def series(symbol: str, timeframe: Timeframe = TIMEFRAMES[0], opens: tuple[int, ...] = (0, 1, 2)) -> Series:
    return Series(symbol, timeframe, opens)


@st.composite
def markets(draw: st.DrawFn) -> list[Series]:
    keys = st.tuples(st.sampled_from(["A", "B", "a", "AB", "\N{EURO SIGN}", "\U0001f600"]), st.sampled_from(TIMEFRAMES))
    names = draw(st.lists(keys, min_size=1, max_size=6, unique=True))
    opens = st.lists(st.integers(0, 30), max_size=20, unique=True).map(sorted)
    return [Series(symbol, timeframe, tuple(draw(opens))) for symbol, timeframe in names]


@given(markets(), st.randoms(use_true_random=False))
def test_bars_come_by_close_then_symbol_then_longest_however_listed(sources: list[Series], random) -> None:
    everything = [bar for source in sources for bar in source.skip(0)]
    naive = sorted(everything, key=lambda bar: (bar.ts_event, bar.symbol.encode(), -bar.timeframe))
    random.shuffle(sources)
    assert list(Replay(sources)) == naive


@given(markets(), st.lists(st.integers(0, 40), max_size=4))
def test_a_run_that_is_cut_and_resumed_anywhere_is_the_uninterrupted_one(
    sources: list[Series], cuts: list[int]
) -> None:
    seen: list[Bar] = []
    replay = Replay(sources)
    for cut in cuts:
        seen.extend(islice(replay, cut))
        state = replay.save()
        replay = Replay(sources)
        replay.load(state)
        assert replay.save() == state
    assert seen + list(replay) == list(Replay(sources))


def test_a_loop_and_next_may_be_mixed() -> None:
    replay = Replay([series("A"), series("B")])
    first = next(replay)
    assert [first, *replay] == list(Replay([series("A"), series("B")]))


def test_the_description_changes_with_the_data_and_not_with_the_order() -> None:
    one = Replay([series("A"), series("B")]).describe()
    assert Replay([series("B"), series("A")]).describe() == one
    assert Replay([series("B"), series("A", opens=(0, 1))]).describe() != one


def test_two_files_of_one_series_and_none_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="A:1m has two data files"):
        Replay([series("A"), series("A", opens=(7, 8))])
    with pytest.raises(ConfigError, match="without data"):
        Replay([])


def test_a_cursor_of_other_series_is_refused() -> None:
    with pytest.raises(ConfigError, match="B:5m"):
        Replay([series("A")]).load(ReplayState({"B:5m": 3}))
