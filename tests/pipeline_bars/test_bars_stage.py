"""The bars stage against a naive aggregation, and each rule of its own."""

import csv
import gzip
import os
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.command import Heartbeat
from tradebot.model.errors import InvariantError
from tradebot.model.market import Bar, BarsClosed, Disorder, Gap, Message, Trade
from tradebot.model.money import Price, Qty
from tradebot.model.time import DAY, NANOS_PER_MS, WEEK, Nanos, Timeframe, floor_to, parse_timeframe
from tradebot.pipeline.bars import MAX_HELD, BarsStage, BarsState
from tradebot.store.codec import decode, encode

M1, M5, M15, H1 = (parse_timeframe(name) for name in ("1m", "5m", "15m", "1h"))
START = 1_700_006_400 * 1_000_000_000  # a whole hour
D = Decimal


def bar(number: int, timeframe: int = M5, *, symbol: str = "BTC", price: str = "100", volume: str = "1") -> Bar:
    """The bar that opens ``number`` bars after the start."""
    close = Nanos(START + (number + 1) * timeframe)
    p = Price(D(price))
    return Bar(symbol, Timeframe(timeframe), close, p, Price(p + 2), Price(p - 2), Price(p + 1), Qty(D(volume)))


def trade(ts: int, price: str = "100", qty: str = "1") -> Trade:
    return Trade(symbol="BTC", ts_event=Nanos(START + ts), price=Price(D(price)), qty=Qty(D(qty)), is_buy=True)


def stage(*wanted: int, sources: Sequence[int] = (M5,), symbol: str = "BTC") -> BarsStage:
    given = tuple(Timeframe(source) for source in sources)
    return BarsStage({symbol: given}, {symbol: frozenset(Timeframe(each) for each in wanted)})


def run(bars_stage: BarsStage, messages: Iterable[Message]) -> list[Message]:
    return [output for message in messages for output in bars_stage.handle(message)]


def closed(outputs: Iterable[Message], timeframe: int) -> list[Bar]:
    turns = (output for output in outputs if isinstance(output, BarsClosed))
    return [each for turn in turns for each in turn.bars if each.timeframe == timeframe]


def aggregated(bars: Sequence[Bar], timeframe: int) -> list[Bar]:
    """Group by opening time, in the plainest way; the newest group counts when it is complete."""
    groups: dict[int, list[Bar]] = {}
    for each in bars:
        groups.setdefault(floor_to(each.ts_open, timeframe), []).append(each)
    built = []
    for ts_open, parts in groups.items():
        is_over = parts[-1].ts_event == ts_open + timeframe or parts[-1] is not bars[-1]
        is_partial_first = parts[0] is bars[0] and bars[0].ts_open != ts_open
        if is_over and not is_partial_first:
            built.append(
                Bar(
                    parts[0].symbol,
                    Timeframe(timeframe),
                    Nanos(ts_open + timeframe),
                    parts[0].open,
                    max(each.high for each in parts),
                    min(each.low for each in parts),
                    parts[-1].close,
                    Qty(sum((each.volume for each in parts), D(0))),
                )
            )
    return built


def real_bars(name: str, timeframe: int) -> list[Bar]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if folder is None:
        pytest.skip("TRADEBOT_TEST_DATA is not set: no real data to compare with")
    with gzip.open(Path(folder) / f"{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    columns = ("open", "high", "low", "close", "volume")
    return [
        Bar(
            "BTC",
            Timeframe(timeframe),
            Nanos(int(row["ts_ms"]) * NANOS_PER_MS + timeframe),
            *(D(row[c]) for c in columns),
        )
        for row in rows
    ]


def test_a_single_timeframe_passes_bar_by_bar():
    bars = [bar(number) for number in range(4)]
    assert run(stage(M5), bars) == [BarsClosed("BTC", each.ts_event, (each,)) for each in bars]


def test_a_built_bar_closes_with_its_last_part_longest_first():
    outputs = run(stage(M5, M15, H1), [bar(number) for number in range(12)])
    assert [[each.timeframe for each in turn.bars] for turn in outputs][2::3] == [[M15, M5]] * 3 + [[H1, M15, M5]]


def test_a_built_bar_without_its_last_part_closes_with_the_next_bar_of_the_symbol():
    outputs = run(stage(M15), [bar(0), bar(1), bar(5)])
    gap, turn = outputs[2:]
    assert gap == Gap(symbol="BTC", timeframe=M5, ts_from=bar(1).ts_event, ts_to=bar(5).ts_open, missing=3)
    # The late one first, then the one that this bar completes.
    assert [each.ts_event - START for each in turn.bars] == [M15, 2 * M15, 6 * M5]
    assert turn.bars[0].volume == 2
    assert turn.ts_event == bar(5).ts_event


def test_a_partial_first_bar_is_not_emitted_even_when_it_ends_late():
    assert closed(run(stage(M15), [bar(1), bar(2), bar(3), bar(4), bar(5)]), M15) == aggregated(
        [bar(3), bar(4), bar(5)], M15
    )
    assert closed(run(stage(M15), [bar(1), bar(3)]), M15) == []


def test_a_bar_that_is_late_or_repeated_is_left_out_and_said():
    outputs = run(stage(M15), [bar(0), bar(2), bar(1), bar(2, price="999"), bar(3)])
    late = [output for output in outputs if isinstance(output, Disorder)]
    assert [(each.ts_event, each.ts_last) for each in late] == [
        (bar(1).ts_event, bar(2).ts_event),
        (bar(2).ts_event, bar(2).ts_event),
    ]
    assert [turn.bars[-1] for turn in outputs if isinstance(turn, BarsClosed)] == [bar(0), bar(2), bar(3)]


def test_a_coarse_bar_of_the_feed_joins_the_finest_one_of_its_turn():
    hour = bar(0, H1, price="123")
    outputs = run(stage(M5, H1, sources=(M5, H1)), [*[bar(n) for n in range(11)], hour, bar(11), bar(12)])
    assert [turn.bars for turn in outputs][-2:] == [(hour, bar(11)), (bar(12),)]


def test_a_coarse_bar_whose_finest_never_came_joins_the_next_turn():
    hour = bar(0, H1)
    outputs = run(stage(M5, H1, sources=(M5, H1)), [bar(10), hour, bar(13)])
    assert outputs[-1].bars == (hour, bar(13))


def test_a_coarse_bar_that_nobody_wants_is_only_watched_for_gaps():
    hours = [bar(0, H1), bar(2, H1)]
    outputs = run(stage(M5, sources=(M5, H1)), [*hours, bar(40)])
    assert [type(output) for output in outputs] == [Gap, BarsClosed]
    assert outputs[0].timeframe == H1
    assert outputs[-1].bars == (bar(40),)


def test_a_timeframe_is_built_from_the_finest_of_the_feed():
    outputs = run(stage(M5, M15, sources=(M1, M5)), [bar(n, M1) for n in range(15)])
    assert closed(outputs, M15) == aggregated([bar(n, M1) for n in range(15)], M15)


def test_bars_held_back_are_bounded():
    hours = [bar(number, H1) for number in range(MAX_HELD + 7)]
    outputs = run(stage(M5, H1, sources=(M5, H1)), [*hours, bar(12 * (MAX_HELD + 7))])
    assert outputs[-1].bars[:-1] == tuple(hours[7:])


def test_weeks_open_on_mondays():
    monday = floor_to(START, WEEK) + WEEK
    first = (monday - START) // DAY
    days = [bar(first - 2 + number, DAY) for number in range(12)]
    days = [
        Bar(d.symbol, d.timeframe, floor_to(d.ts_event, DAY), d.open, d.high, d.low, d.close, d.volume) for d in days
    ]
    weeks = closed(run(stage(WEEK, sources=(DAY,)), days), WEEK)
    assert [each.ts_open for each in weeks] == [monday]


@pytest.mark.parametrize(
    ("source", "wanted", "said"),
    [
        ("5m", "7m", "7m bars cannot be built from 5m bars: 7m is not a multiple of 5m"),
        ("5m", "1m", "1m is not a multiple of 5m"),
        ("3d", "3w", "3w bars cannot be built from 3d bars: they do not open together"),
    ],
)
def test_a_timeframe_that_cannot_be_built_is_refused_at_the_start(source, wanted, said):
    with pytest.raises(ValueError, match=said):
        stage(parse_timeframe(wanted), sources=(parse_timeframe(source),))


def test_a_symbol_fed_by_trades_needs_a_wanted_timeframe():
    with pytest.raises(ValueError, match="no timeframe is wanted"):
        stage(sources=())


def test_a_bar_that_was_not_announced_is_a_bug():
    with pytest.raises(InvariantError, match="ETH"):
        stage(M5).handle(bar(0, symbol="ETH"))
    with pytest.raises(InvariantError, match="15m"):
        stage(M5).handle(bar(0, M15))


def test_a_heartbeat_and_trades_beside_bars_pass_without_effect():
    bars_stage = stage(M5)
    before = bars_stage.save()
    assert run(bars_stage, [Heartbeat(ts_event=Nanos(START)), trade(0)]) == []
    assert bars_stage.save() == before


def test_trades_become_bars_that_close_with_the_first_trade_after_them():
    prints = [trade(0, "10"), trade(1, "12"), trade(M1 - 1, "9", "2"), trade(M1, "11"), trade(2 * M1, "8")]
    outputs = run(stage(M1, sources=()), prints)
    first, second = closed(outputs, M1)
    assert (first.open, first.high, first.low, first.close, first.volume) == (10, 12, 9, 9, 4)
    assert (second.open, second.close, second.ts_event) == (11, 11, START + 2 * M1)


def test_a_first_bar_of_trades_that_began_before_them_is_not_emitted():
    outputs = run(stage(M1, M5, sources=()), [trade(5 * M1 * n + 1) for n in range(3)])
    assert [type(output) for output in outputs] == [BarsClosed]
    assert [each.timeframe for each in outputs[0].bars] == [M1]


def test_trades_give_every_wanted_timeframe_from_a_common_part():
    two, three = parse_timeframe("2m"), parse_timeframe("3m")
    outputs = run(stage(two, three, sources=()), [trade(M1 * n, str(10 + n)) for n in range(7)])
    assert [each.close for each in closed(outputs, two)] == [11, 13, 15]
    assert [each.close for each in closed(outputs, three)] == [12, 15]


def test_a_trade_of_a_closed_bar_is_left_out_and_one_of_the_open_bar_counts():
    outputs = run(
        stage(M1, sources=()), [trade(0), trade(M1 + 9), trade(M1 + 5, "200"), trade(3, "900"), trade(2 * M1)]
    )
    assert [type(output) for output in outputs] == [BarsClosed, Disorder, BarsClosed]
    assert [each.high for each in closed(outputs, M1)] == [100, 200]


def some_bars() -> st.SearchStrategy[list[Bar]]:
    prices = st.decimals(50, 150, places=1).map(str)
    numbers = st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True).map(sorted)
    return numbers.flatmap(
        lambda chosen: st.tuples(*(prices for _ in chosen)).map(
            lambda drawn: [bar(n, price=p, volume=p) for n, p in zip(chosen, drawn, strict=True)]
        )
    )


@given(some_bars())
def test_built_bars_are_those_of_a_naive_aggregation(bars):
    outputs = run(stage(M5, M15, H1), bars)
    assert closed(outputs, M5) == bars
    assert closed(outputs, M15) == aggregated(bars, M15)
    assert closed(outputs, H1) == aggregated(bars, H1)


@given(some_bars(), st.data())
def test_a_restored_stage_goes_on_as_if_never_stopped(bars, data):
    mixed: list[Message] = sorted(
        [*bars, *[bar(n, M15) for n in range(0, 20, 3)], *[bar(3, M5)]], key=lambda b: (b.ts_event, -b.timeframe)
    )
    cut = data.draw(st.integers(0, len(mixed)))
    whole = stage(M5, M15, H1, sources=(M5, M15))
    first, second = (stage(M5, M15, H1, sources=(M5, M15)) for _ in range(2))
    begun = run(first, mixed[:cut])
    second.load(decode(BarsState, encode(first.save())))
    assert begun + run(second, mixed[cut:]) == run(whole, mixed)
    assert second.save() == whole.save()


@given(st.lists(st.tuples(st.integers(0, 30 * M1), st.integers(1, 9)), max_size=40), st.data())
def test_a_restored_stage_of_trades_goes_on_as_if_never_stopped(prints, data):
    trades = [trade(ts, str(price)) for ts, price in prints]
    cut = data.draw(st.integers(0, len(trades)))
    whole, first, second = (stage(M1, M5, sources=()) for _ in range(3))
    begun = run(first, trades[:cut])
    second.load(decode(BarsState, encode(first.save())))
    assert begun + run(second, trades[cut:]) == run(whole, trades)


@given(some_bars(), st.data())
def test_later_bars_never_change_what_has_closed(bars, data):
    cut = data.draw(st.integers(0, len(bars)))
    seen = run(stage(M15, H1), bars[:cut])
    assert run(stage(M15, H1), bars)[: len(seen)] == seen


@pytest.mark.parametrize(("name", "timeframe"), [("15m", M15), ("1h", H1)])
def test_real_5m_bars_build_the_exchange_s_own_coarser_bars(name, timeframe):
    fine = real_bars("hl_BTC_5m", M5)
    built = closed(run(stage(timeframe), fine), timeframe)
    assert built == aggregated(fine, timeframe)
    own = {each.ts_event: each for each in real_bars(f"hl_BTC_{name}", timeframe)}
    both = [(each, own[each.ts_event]) for each in built if each.ts_event in own]
    assert len(both) > 400
    wrong = sum((a.open, a.high, a.low, a.close) != (b.open, b.high, b.low, b.close) for a, b in both)
    assert wrong <= 0.01 * len(both)
    assert sum(a.close != b.close for a, b in both) <= 1


def test_real_bars_with_missing_minutes_give_gaps_and_the_same_bars_as_a_naive_aggregation():
    fine = real_bars("bitfinex_BTCUSD_1m_2019", M1)[:40_000]
    outputs = run(stage(M15, sources=(M1,)), fine)
    assert closed(outputs, M15) == aggregated(fine, M15)
    missing = sum(output.missing for output in outputs if isinstance(output, Gap))
    assert missing == (fine[-1].ts_event - fine[0].ts_open) // M1 - len(fine)
