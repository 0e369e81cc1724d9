"""Stops that go behind swings or to break-even, and ends by time: each row worked out by hand, for both sides."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import price, qty, replace
from tests.strategies.exit_market import D, ExitMarket, Row, entering, mirrored, row_of
from tradebot.model.order import OrderDone, OrderRole, OrderState, OrderType, PositionSide
from tradebot.model.signal import Action, Approved, Refused
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.strategy.base import (
    AtrTrail,
    BreakEven,
    Enter,
    Exit,
    ExitRules,
    MaxHold,
    MoveStop,
    PercentStop,
    StructureTrail,
)
from tradebot.report.result_text import why_text
from tradebot.venues.simulated.costs import Costs

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
M1, M3 = parse_timeframe("1m"), parse_timeframe("3m")
CALM: Row = ("100", "100", "100", "100")
SWINGS = ExitRules(trail=StructureTrail(swing=1, ticks=1))
EVEN = ExitRules(break_even=BreakEven(at=D(1)))
THREE_BARS = ExitRules(max_hold=MaxHold(length=Nanos(3 * M1)))
Stops = Sequence[str | None]
End = tuple[int, str, str]


def both(cases: Mapping[str, Any]) -> Any:
    """Each case for a long and, mirrored about 100, for a short."""
    sides = [pytest.param(side, *case, id=f"{name}-{side}") for name, case in cases.items() for side in (LONG, SHORT)]
    return pytest.mark.parametrize(("side", "rules", "rows", "stops", "end"), sides)


def play(market: ExitMarket, rows: Sequence[Row], side: PositionSide) -> list[Decimal | None]:
    stops = [market.bar(number, row_of(row, side)) for number, row in enumerate(rows, start=1)]
    return stops if side is LONG else [None if stop is None else mirrored(stop) for stop in stops]


def assert_plays(
    side: PositionSide, rules: ExitRules, rows: Sequence[Row], stops: Stops, end: End | None, **entry: Any
) -> ExitMarket:
    """The first bar is calm, and an entry at the open of the second has its stop at 95: one R is 5."""
    market = ExitMarket({1: (entering(side, **{"stop": "95", **entry}),)}, rules)
    found = play(market, [CALM, *rows], side)
    assert found[1:] == [None if stop is None else D(stop) for stop in stops]
    price = None if end is None else D(end[1]) if side is LONG else mirrored(D(end[1]))
    assert market.trips == ([] if end is None else [(end[0], price, end[2])])
    return market


STRUCTURE = {
    # A low of 98 between 99 and 100 is known to be a swing one bar later; the stop is a tick behind it.
    "follows": (
        SWINGS,
        [
            ("100", "103", "99", "102"),
            ("102", "104", "98", "103"),
            ("103", "106", "100", "105"),
            ("105", "107", "103", "106"),
            ("106", "106.5", "101", "102"),
            ("102", "105", "102", "104"),
            ("104", "104", "100.5", "101"),
        ],
        ["95", "95", "97.9", "97.9", "97.9", "100.9", None],
        (8, "100.9", "trail"),
    ),
    # With three units of room: from 99.5 to 96.5, and not back to 96 behind the swing at 99.
    "never back": (
        ExitRules(trail=StructureTrail(swing=1, ticks=30)),
        [
            ("100", "103", "99.5", "102"),
            ("102", "104", "101", "103"),
            ("103", "106", "102", "105"),
            ("105", "107", "99", "106"),
            ("106", "106.5", "101", "102"),
        ],
        ["95", "96.5", "96.5", "96.5", "96.5"],
        None,
    ),
    # An open beyond the stop that was moved fills at that open.
    "gap": (
        SWINGS,
        [
            ("100", "103", "99", "102"),
            ("102", "104", "98", "103"),
            ("103", "106", "100", "105"),
            ("96", "99", "94", "98"),
        ],
        ["95", "95", "97.9", None],
        (5, "96", "trail"),
    ),
    # The bar that confirms the swing falls to the stop of before: that one fills, where the entry put it.
    "same bar": (
        SWINGS,
        [("100", "103", "99", "102"), ("102", "104", "98", "103"), ("103", "106", "95", "105")],
        ["95", "95", None],
        (4, "95", "stop"),
    ),
    # The range of the last bar is max(106 - 100, 106 - 103) = 6; a quarter of it is 1.5.
    "room in ranges": (
        ExitRules(trail=StructureTrail(swing=1, atrs=D("0.25"), n=1)),
        [("100", "103", "99", "102"), ("102", "104", "98", "103"), ("103", "106", "100", "105")],
        ["95", "95", "96.5"],
        None,
    ),
    # Of a range of ten bars nothing is known yet.
    "unknown range": (
        ExitRules(trail=StructureTrail(swing=1, atrs=D("0.25"), n=10)),
        [("100", "103", "99", "102"), ("102", "104", "98", "103"), ("103", "106", "100", "105")],
        ["95", "95", "95"],
        None,
    ),
    # Two bars on each side: 98 is a swing only when two bars after it have passed.
    "wider swings": (
        ExitRules(trail=StructureTrail(swing=2)),
        [
            ("100", "103", "99", "102"),
            ("102", "104", "98", "103"),
            ("103", "106", "98", "105"),
            ("105", "106", "99", "105"),
        ],
        ["95", "95", "95", "98"],
        None,
    ),
    # Less room than a short's price has: no stop at or below nothing.
    "room beyond all prices": (
        ExitRules(trail=StructureTrail(swing=1, ticks=3000)),
        [("100", "103", "99", "102"), ("102", "104", "98", "103"), ("103", "106", "100", "105")],
        ["95", "95", "95"],
        None,
    ),
}
RANGES = {
    # Two ranges of the last bar behind the best price: of the entry's bar its close, 101 - 2 x 2, then 104 - 2 x 3 and,
    # as the range shrinks, 104 - 2 x 2. The same again is no step, and the wider range behind it takes nothing back.
    "breathes": (
        ExitRules(trail=AtrTrail(mult=D(2), n=1)),
        [
            ("100", "101", "99", "101"),
            ("101", "104", "101", "103"),
            ("103", "104", "102", "102"),
            ("102", "103", "101", "101.5"),
            ("101.5", "104.2", "101", "104"),
            ("104", "104", "100", "100"),
        ],
        ["97", "98", "100", "100", "100", None],
        (7, "100", "trail"),
    ),
    # A distance of 4: from 97 on a step is 0.4, and 97.3 is none. From 95 on 95.4 would have been the first.
    "small steps": (
        ExitRules(trail=AtrTrail(mult=D(2), n=1)),
        [
            ("100", "101", "99", "101"),
            ("101", "101.3", "99.3", "101"),
            ("101", "101.4", "99.4", "101"),
        ],
        ["97", "97", "97.4"],
        None,
    ),
    # The place behind the best price is beyond the close: it waits for a close that it can stand behind.
    "beyond the close": (
        ExitRules(trail=AtrTrail(mult=D("0.5"), n=1)),
        [("100", "101", "99", "100.1"), ("100.1", "104", "100", "100.5"), ("103", "103", "102.5", "103")],
        ["99.1", "99.1", "102.7"],
        None,
    ),
    "unknown range": (
        ExitRules(trail=AtrTrail(mult=D(2), n=10)),
        [("100", "101", "99", "101"), ("101", "110", "101", "109")],
        ["95", "95"],
        None,
    ),
}
BREAK_EVEN = {
    # Of the bar of the entry only the close counts, of later ones the high: 105 is one R.
    "at one r": (
        EVEN,
        [
            ("100", "110", "99", "102"),
            ("102", "104.9", "101", "104"),
            ("104", "105", "103", "103"),
            ("103", "103", "99", "99.5"),
        ],
        ["95", "95", "100", None],
        (5, "100", "trail"),
    ),
    "the close of the entry's bar": (EVEN, [("100", "106", "99", "105")], ["100"], None),
    # The wick was there, but the close is below break-even: the stop waits for a close that it can stand behind.
    "a wick": (
        EVEN,
        [
            ("100", "101", "99", "101"),
            ("101", "105", "98", "99"),
            ("99", "100", "97", "100"),
            ("99", "101", "98", "100.5"),
        ],
        ["95", "95", "95", "100"],
        None,
    ),
    # 100 x 1.001 / 0.999 x 1.0005 = 100.2503, on the tick that pays more.
    "fees and offset": (
        ExitRules(break_even=BreakEven(at=D(1), fee=D("0.001"), offset=D("0.0005"))),
        [("100", "101", "99", "101"), ("101", "105", "101", "104")],
        ["95", None],
        None,
    ),
    "gap": (
        EVEN,
        [("100", "101", "99", "101"), ("101", "105", "101", "104"), ("98", "99", "97", "98")],
        ["95", "100", None],
        (4, "98", "trail"),
    ),
    # The bar falls to the stop of before it; that it also gained one R does not help.
    "same bar as the stop": (
        EVEN,
        [("100", "101", "99", "101"), ("101", "106", "95", "104")],
        ["95", None],
        (3, "95", "stop"),
    ),
    # The entry fills at 102: one R is 7, and 109 the price.
    "an entry at a gap": (
        EVEN,
        [("102", "103", "101", "102"), ("102", "108.9", "101", "105"), ("105", "109", "104", "105")],
        ["95", "95", "102"],
        None,
    ),
    # The entry fills beyond its own stop, which ends it at once: there is no R.
    "an entry beyond its stop": (EVEN, [("94", "120", "93", "119")], [None], (2, "94", "stop")),
    # Ranges of the last bar: 2, then max(1, 102.5 - 101) = 1.5, and 100 + 2 x 1.5 is 103.
    "in ranges": (
        ExitRules(break_even=BreakEven(at=D(2), n=1)),
        [("100", "101", "99", "101"), ("101.5", "102.5", "101.5", "102"), ("102", "103.2", "101.7", "103")],
        ["95", "95", "100"],
        None,
    ),
    # The swing at 101 takes the stop further than break-even does, that at 98 does not.
    "beside structure": (
        ExitRules(trail=StructureTrail(swing=1, ticks=1), break_even=BreakEven(at=D(1))),
        [
            ("100", "103", "99", "102"),
            ("102", "105", "98", "103"),
            ("103", "106", "100.5", "105"),
            ("105", "107", "103", "106"),
            ("106", "106.5", "101", "102"),
            ("102", "105", "102", "104"),
        ],
        ["95", "100", "100", "100", "100", "100.9"],
        None,
    ),
}
BREAK_EVEN["fees and offset"][2][1] = "100.3"
TIME = {
    # In the bars 2, 3 and 4 the position is open: at the close of the third it is to end, at the next open.
    "after three bars": (
        THREE_BARS,
        [
            ("100", "101", "99", "101"),
            ("101", "102", "100", "101"),
            ("101", "102", "100", "101"),
            ("102", "103", "90", "91"),
        ],
        ["95", "95", "95", None],
        (5, "102", "time"),
    ),
    # While it is half an R in profit at the close it stays; at 102.4 it is not.
    "unless it gained": (
        ExitRules(max_hold=MaxHold(length=Nanos(3 * M1), unless_r=D("0.5"))),
        [
            ("100", "101", "99", "101"),
            ("101", "102", "100", "101"),
            ("101", "103", "100", "102.5"),
            ("102", "103", "101", "103"),
            ("102", "103", "101", "102.4"),
            ("102", "103", "101", "102.4"),
        ],
        ["95", "95", "95", "95", "95", None],
        (7, "102", "time"),
    ),
    # Stop and target are met before the close at which time would end it.
    "the stop comes first": (
        THREE_BARS,
        [("100", "101", "99", "101"), ("101", "102", "100", "101"), ("101", "102", "95", "101"), CALM],
        ["95", "95", None, None],
        (4, "95", "stop"),
    ),
    # The open at which it leaves is beyond the stop as well: both would fill there, the older order does.
    "the stop at the open": (
        THREE_BARS,
        [
            ("100", "101", "99", "101"),
            ("101", "102", "100", "101"),
            ("101", "102", "100", "101"),
            ("94", "95", "93", "94"),
        ],
        ["95", "95", "95", None],
        (5, "94", "stop"),
    ),
    # A time that is over moves no stop any more.
    "with break-even": (
        ExitRules(max_hold=MaxHold(length=Nanos(2 * M1)), break_even=BreakEven(at=D(1))),
        [("100", "101", "99", "101"), ("101", "106", "100", "105"), ("103", "104", "99", "100")],
        ["95", "95", None],
        (4, "103", "time"),
    ),
}


@both(STRUCTURE)
def test_a_stop_goes_behind_each_swing_that_is_confirmed_and_never_back(
    side: PositionSide, rules: ExitRules, rows: Sequence[Row], stops: Stops, end: End | None
) -> None:
    assert_plays(side, rules, rows, stops, end)


@both(RANGES)
def test_a_stop_follows_the_best_price_at_ranges_as_they_are_now(
    side: PositionSide, rules: ExitRules, rows: Sequence[Row], stops: Stops, end: End | None
) -> None:
    assert_plays(side, rules, rows, stops, end)


@both(BREAK_EVEN)
def test_a_stop_goes_to_break_even_once_the_trade_gained_enough(
    side: PositionSide, rules: ExitRules, rows: Sequence[Row], stops: Stops, end: End | None
) -> None:
    assert_plays(side, rules, rows, stops, end)


@both(TIME)
def test_a_position_ends_by_time(
    side: PositionSide, rules: ExitRules, rows: Sequence[Row], stops: Stops, end: End | None
) -> None:
    assert_plays(side, rules, rows, stops, end)


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize(
    ("rows", "entry_at", "last"),
    [
        # The swing at 98 of the second bar is confirmed by the bar of the entry, the third: that is after the entry.
        ([("103", "103", "102", "103"), ("103", "103", "98", "100"), ("100", "101", "99", "100")], 2, "97.9"),
        # Confirmed by the bar at whose close the entry was decided, it is not.
        (
            [
                ("103", "103", "102", "103"),
                ("103", "103", "98", "100"),
                ("100", "101", "99", "100"),
                ("100", "101", "99.5", "100"),
            ],
            3,
            "95",
        ),
    ],
)
def test_a_swing_counts_when_it_is_confirmed_after_the_entry(
    side: PositionSide, rows: Sequence[Row], entry_at: int, last: str
) -> None:
    market = ExitMarket({entry_at: (entering(side, stop="95"),)}, SWINGS)
    assert play(market, rows, side)[-1] == D(last)


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize(
    ("rules", "moved_by", "levels"),
    [(SWINGS, {LONG: "swing_low", SHORT: "swing_high"}, {"level": "98"}), (EVEN, "break_even", {"entry": "100"})],
)
def test_why_and_positions_say_what_moved_the_stop(
    side: PositionSide, rules: ExitRules, moved_by: Any, levels: Mapping[str, str]
) -> None:
    rows = [("100", "103", "99", "102"), ("102", "105", "98", "103"), ("103", "104", "100.5", "103")]
    stops = ["95", "100", "100"] if rules is EVEN else ["95", "95", "97.9"]
    market = assert_plays(side, rules, rows, stops, None)
    expected = moved_by if isinstance(moved_by, str) else moved_by[side]
    assert market.stop[1] == expected
    _, move = market.answers
    assert isinstance(move, Approved)
    assert (move.signal.action, move.signal.reason, move.signal.pattern) == (Action.MOVE_STOP, "trail", expected)
    given = {name: D(at) if side is LONG else mirrored(D(at)) for name, at in levels.items()}
    assert move.signal.levels == given
    moved, first = market.why.rows()
    assert (moved["pattern"], moved["outcome"]) == (expected, "ordered")
    said = why_text([first])
    assert f"(moved by {expected}): working" in said
    assert "canceled (replaced)" in said


def test_a_stop_of_its_own_strategy_counts_where_it_is_nearer() -> None:
    calm: Row = ("103", "104", "103", "104")
    # Break-even asks for 100; the strategy had it at 101 before, and later goes on to 102.
    plan = {1: (entering(LONG, "95"),), 2: (MoveStop(D(101)),), 4: (MoveStop(D(102)),)}
    market = ExitMarket(plan, EVEN)
    rows: list[Row] = [CALM, ("100", "104", "100", "104"), ("104", "106", "103", "104"), calm, calm]
    assert play(market, rows, LONG) == [None, 101, 101, 102, 102]
    assert market.stop[1] == "strategy"
    assert all(isinstance(answer, Approved) for answer in market.answers)


def test_what_a_strategy_may_not_wish_keeps_no_rule_from_its_own() -> None:
    # At the close of the third bar the strategy wants a stop beyond the close, which is refused.
    market = ExitMarket({1: (entering(LONG, "95"),), 3: (MoveStop(D(120)),)}, EVEN)
    rows: list[Row] = [CALM, ("100", "101", "100", "101"), ("101", "106", "101", "104")]
    assert play(market, rows, LONG)[-1] == 100
    assert [type(answer) for answer in market.answers] == [Approved, Refused, Approved]


def test_the_rules_add_to_what_the_strategy_says_at_the_same_close() -> None:
    # It wishes a nearer stop, but break-even is nearer still.
    market = ExitMarket({1: (entering(LONG, "95"),), 3: (MoveStop(D(97)),)}, EVEN)
    rows: list[Row] = [CALM, ("100", "101", "100", "101"), ("101", "106", "101", "104"), ("104", "104", "99", "99")]
    assert play(market, rows, LONG)[2] == 100
    assert market.trips == [(4, D(100), "trail")]


def test_an_exit_of_the_strategy_itself_is_told_as_such() -> None:
    rows: list[Row] = [CALM, CALM, CALM, CALM, CALM]
    market = ExitMarket({1: (entering(LONG, "95"),), 4: (Exit(),)}, THREE_BARS)
    play(market, rows, LONG)
    assert market.trips == [(5, D(100), "signal")]


def test_bars_that_are_missing_count_as_the_time_they_would_have_taken() -> None:
    market = ExitMarket({1: (entering(LONG, "95"),)}, THREE_BARS)
    for number in (1, 2, 9, 10):
        market.bar(number, map(D, CALM))
    # The third minute since the entry is over at the close of bar 9, the first one that comes.
    assert market.trips == [(10, D(100), "time")]


def test_times_and_swings_are_those_of_the_bars_of_the_strategy() -> None:
    # Decided at the close of minute 3, entered at the open of minute 4: two bars of three minutes end with minute 9.
    rules = ExitRules(max_hold=MaxHold(length=Nanos(2 * M3)), trail=StructureTrail(swing=1))
    market = ExitMarket({1: (entering(LONG, "95"),)}, rules, timeframe=M3)
    lows = {4: "99", 5: "98", 6: "99", 7: "100"}
    stops = []
    for number in range(1, 12):
        low = lows.get(number, "100.5" if number > 7 else "100")
        stops.append(market.bar(number, map(D, ("101", "101", low, "101"))))
    # The low of 98 is that of minutes 4 to 6, and confirmed by the bar that ends with minute 9.
    assert market.trips == [(10, D(101), "time")]
    assert stops[3:9] == [95, 95, 95, 95, 95, 95]


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_break_even_pays_for_the_fees_of_both_ways(side: PositionSide) -> None:
    fee = D("0.00045")
    rules = ExitRules(break_even=BreakEven(at=D(1), fee=fee))
    costs = Costs(taker_bps=D("4.5"), leverage=10)
    market = ExitMarket({1: (entering(side, "95"),)}, rules, costs=costs)
    rows = [CALM, ("100", "101", "99", "101"), ("101", "106", "101", "105"), ("104", "104", "99", "99")]
    play(market, rows, side)
    assert [reason for _, _, reason in market.trips] == ["trail"]
    assert 0 <= market.net[0] < D("0.1")


def test_the_first_stop_that_fills_where_it_was_put_is_no_trail() -> None:
    rules = ExitRules(trail=StructureTrail(swing=1), break_even=BreakEven(at=D(1)))
    assert_plays(LONG, rules, [("100", "101", "94", "95")], [None], (2, "95", "stop"))


def test_a_strategy_that_fails_leaves_its_position_to_the_rules() -> None:
    rules = ExitRules(max_hold=MaxHold(length=Nanos(4 * M1)), break_even=BreakEven(at=D(1)))
    market = ExitMarket({1: (entering(LONG, "95"),), 2: ValueError("enough")}, rules)
    rows: list[Row] = [CALM, CALM, ("100", "106", "100", "105"), ("105", "106", "104", "105"), CALM, CALM]
    stops = play(market, rows, LONG)
    assert stops[2:4] == [100, 100]
    assert market.trips == [(5, D(100), "trail")]
    again = ExitMarket({1: (entering(LONG, "95"),), 2: ValueError("enough")}, rules)
    play(again, [CALM, CALM, CALM, CALM, CALM, CALM], LONG)
    assert again.trips == [(6, D(100), "time")]


def test_a_position_without_a_stop_has_none_to_move_and_still_ends_by_time() -> None:
    rules = ExitRules(max_hold=MaxHold(length=Nanos(3 * M1), unless_r=D(1)), break_even=BreakEven(at=D(1)))
    market = ExitMarket({1: (entering(LONG, stop=None),), 2: (MoveStop(D(95)),)}, rules)
    rows: list[Row] = [CALM, ("100", "200", "100", "180"), CALM, CALM, CALM]
    assert play(market, rows, LONG) == [None] * 5
    assert market.trips == [(5, D(100), "time")]
    # What the strategy wished was refused, and no rule wished more.
    assert [type(answer) for answer in market.answers] == [Approved, Refused, Approved]


def test_a_stop_that_the_venue_did_not_take_is_asked_for_again() -> None:
    market = ExitMarket({1: (entering(LONG, "95"),)}, EVEN)
    calm: Row = ("104", "105", "103", "104")
    play(market, [CALM, ("100", "106", "100", "105"), calm], LONG)
    assert len(market.answers) == 2
    told = OrderDone(
        ts_event=Nanos(3 * M1),
        client_order_id="s-BTC-1-stop2",
        signal_id="s-BTC-1",
        strategy="s",
        symbol="BTC",
        role=OrderRole.STOP,
        state=OrderState.REJECTED,
        filled_qty=qty(0),
        reason="busy",
        stop_price=price(95),
    )
    market.tell(told)
    market.bar(4, map(D, calm))
    again = market.answers[-1]
    assert isinstance(again, Approved)
    assert (len(market.answers), again.signal.stop) == (3, 100)
    # One that was told before, and stands, is not.
    market.tell(replace(told, stop_price=None))
    market.bar(5, map(D, calm))
    assert len(market.answers) == 3


def test_a_reversal_begins_anew() -> None:
    flip = (Exit(), entering(SHORT, "95"))
    market = ExitMarket({1: (entering(LONG, "95"),), 3: flip}, EVEN)
    rows: list[Row] = [CALM, ("100", "106", "100", "105"), ("104", "104", "100.5", "101"), ("100", "101", "99", "100")]
    assert play(market, rows, LONG) == [None, 100, 100, 105]
    # The short gains one R of 5 at 95.
    assert market.bar(5, map(D, ("100", "100", "95", "96"))) == 100


def test_an_entry_that_waits_is_cared_for_from_its_fill_on() -> None:
    wish = entering(LONG, "95", entry_type=OrderType.LIMIT, entry_price="98")
    rules = ExitRules(max_hold=MaxHold(length=Nanos(3 * M1)), break_even=BreakEven(at=D(1)))
    market = ExitMarket({1: (wish,)}, rules)
    rows: list[Row] = [CALM, ("100", "120", "99", "100"), ("100", "120", "97", "100"), ("100", "101", "99", "100")]
    # It fills within bar 3, of which only the close counts: 100 is not yet one R of 3 above 98. In bar 4 101 is.
    assert play(market, rows, LONG) == [None, None, 95, 98]
    market.bar(5, map(D, CALM))
    market.bar(6, map(D, CALM))
    assert market.trips == [(6, D(100), "time")]


def test_rules_that_a_restart_brings_hold_for_what_is_open() -> None:
    plan = {1: (entering(LONG, "95"),)}
    before = ExitMarket(plan, None)
    play(before, [CALM, ("100", "101", "99", "101")], LONG)
    after = before.restored(ExitMarket(plan, EVEN))
    assert after.bar(3, map(D, ("101", "106", "101", "105"))) == 100
    # And those that it takes away hold no more, but the stop stays where it was moved to.
    last = after.restored(ExitMarket(plan, None))
    assert last.bar(4, map(D, ("105", "106", "104", "105"))) == 100
    last.bar(5, map(D, ("105", "105", "99", "99")))
    assert last.trips == [(5, D(100), "trail")]


@st.composite
def walks(draw: st.DrawFn) -> list[tuple[Decimal, ...]]:
    """Bars of a price that wanders in tenths, with gaps between them."""
    steps = draw(st.lists(st.tuples(*[st.integers(low, 25) for low in (-25, -25, 0, 0)]), min_size=12, max_size=60))
    rows, price = [], 1000
    for step, jump, up, down in steps:
        open_ = price + (jump if jump % 5 == 0 else 0)
        close = open_ + step
        rows.append(
            tuple(D(tenths) / 10 for tenths in (open_, max(open_, close) + up, min(open_, close) - down, close))
        )
        price = close
    return rows


parts = st.decimals("0.1", "3", places=1)
every_rule = st.builds(
    ExitRules,
    trail=st.none()
    | st.builds(
        StructureTrail,
        swing=st.integers(1, 3),
        atrs=st.sampled_from([D(0), D("0.3")]),
        ticks=st.integers(0, 9),
        n=st.integers(1, 4),
    )
    | st.builds(AtrTrail, mult=parts, n=st.integers(1, 4)),
    break_even=st.none()
    | st.builds(
        BreakEven,
        at=parts,
        n=st.none() | st.integers(1, 4),
        fee=st.sampled_from([D(0), D("0.001")]),
        offset=st.sampled_from([D(0), D("0.002")]),
    ),
    max_hold=st.none()
    | st.builds(MaxHold, length=st.integers(1, 12).map(lambda bars: Nanos(bars * M1)), unless_r=st.none() | parts),
)


@given(
    walks(),
    every_rule,
    st.lists(st.sampled_from([LONG, SHORT]), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_a_stop_never_moves_away_time_ends_and_a_restart_changes_nothing(
    rows: list[tuple[Decimal, ...]],
    rules: ExitRules,
    sides: list[PositionSide],
    trails: bool,
    venue_trails: bool,
    data: st.DataObject,
) -> None:
    plan = {number: (Enter(side),) for number, side in zip(range(1, len(rows) + 1, 3), sides * len(rows), strict=False)}

    def market() -> ExitMarket:
        return ExitMarket(plan, rules, stop=PercentStop(D(2), trails), venue_trails=venue_trails)

    one, cut = market(), data.draw(st.integers(0, len(rows)))
    other: ExitMarket | None = None
    first: dict[str, Decimal] = {}
    last: dict[str, tuple[Decimal, str]] = {}
    for number, row in enumerate(rows, start=1):
        if number - 1 == cut:
            other = one.restored(market())
            other.trips = list(one.trips)
        ended = len(one.trips)
        before = dict(last)
        stop = one.bar(number, row)
        assert other is None or other.bar(number, row) == stop
        for _, _, reason in one.trips[ended:]:
            assert reason in ("stop", "trail", "time")
        held = one.orders.held.get("BTC")
        if held is None:
            last.clear()
            continue
        assert stop is not None
        name, sign = held.signal_id, 1 if held.qty > 0 else -1
        assert (row[3] - stop) * sign > 0
        was = before.get(name)
        if was is not None:
            assert (stop - was[0]) * sign >= 0
        first.setdefault(name, stop)
        last = {name: (stop, one.stop[1])}
        assert (stop == first[name]) or one.stop[1] != ""
        hold = rules.max_hold
        if hold is not None and hold.unless_r is None:
            opened = one.risk.save().positions["BTC"].entry_ts
            assert number * M1 - opened <= hold.length
    if other is not None:
        assert other.trips == one.trips
        assert {name: stage.save() for name, stage in other.stages.items()} == {
            name: stage.save() for name, stage in one.stages.items()
        }
