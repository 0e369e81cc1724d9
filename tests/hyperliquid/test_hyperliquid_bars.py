"""Bars close once, in order, and with the numbers the venue ends up with."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.live.market_bars import LiveBars
from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.time import NANOS_PER_S, Nanos, parse_timeframe
from tradebot.venues.hyperliquid.market import GRACE

M1 = parse_timeframe("1m")


def bar(index: int, volume: int = 1) -> Bar:
    price = Price(Decimal(100 + index))
    return Bar("BTC", M1, Nanos((index + 1) * M1), price, price, price, price, Qty(Decimal(volume)))


def at(index: int, seconds: float = 0) -> Nanos:
    """Return the time ``seconds`` after bar ``index`` opens."""
    return Nanos(index * M1 + int(seconds * NANOS_PER_S))


def live(last: int | None = None) -> LiveBars:
    """Return bars that know all until bar 0 opens, or the closed bar ``last``."""
    bars = LiveBars(M1, GRACE, None if last is None else at(last + 1))
    bars.ask()
    bars.on_history([], at(0, -1))
    bars.regained(at(0, -1))
    return bars


def closed(bars: LiveBars, now: Nanos, heard: Nanos | None = None) -> list[Bar]:
    return list(bars.closed(now, now if heard is None else heard))


def test_nothing_is_given_before_rest_was_asked() -> None:
    bars = LiveBars(M1, GRACE)
    bars.on_bar(bar(0))
    bars.on_bar(bar(1))
    assert closed(bars, at(1, 5)) == []
    assert bars.needs_history


def test_a_later_bar_closes_the_one_before_with_its_last_numbers() -> None:
    bars = live()
    bars.on_bar(bar(0, volume=1))
    bars.on_bar(bar(0, volume=3))
    bars.on_bar(bar(0, volume=2))
    assert closed(bars, at(0, 50)) == []
    bars.on_bar(bar(1))
    assert closed(bars, at(1)) == [bar(0, volume=3)]
    bars.on_bar(bar(0, volume=4))
    assert closed(bars, at(1)) == [], "a late frame of a closed bar changes nothing"


def test_time_closes_a_bar_once_the_socket_has_spoken_since() -> None:
    bars = live()
    bars.on_bar(bar(0))
    assert closed(bars, Nanos(at(1) + 2 * NANOS_PER_S)) == []
    assert closed(bars, Nanos(at(1) + 2 * NANOS_PER_S + 1)) == [bar(0)]
    assert closed(bars, at(9)) == []


def test_when_the_socket_is_silent_rest_is_asked_instead() -> None:
    bars = live()
    bars.on_bar(bar(0, volume=1))
    assert closed(bars, at(1, 5), heard=at(0, 30)) == []
    assert not bars.needs_history, "its next word may be on the way"
    assert closed(bars, at(1, 8), heard=at(0, 30)) == []
    assert bars.needs_history
    bars.ask()
    assert list(bars.on_history([bar(0, volume=7)], at(1, 8))) == [bar(0, volume=7)]


def test_a_bar_that_frames_were_lost_of_is_asked_for() -> None:
    bars = live()
    bars.on_bar(bar(0, volume=1))
    bars.lost()
    assert closed(bars, at(1, 1)) == []
    assert not bars.needs_history, "it may still change"
    assert closed(bars, at(1, 5)) == []
    assert bars.needs_history
    bars.ask()
    filled = bars.on_history([bar(index, volume=9) for index in (2, 1, 0)], at(3, 10))
    assert list(filled) == [bar(index, volume=9) for index in (0, 1, 2)]
    bars.regained(at(3, 20))
    bars.on_bar(bar(2, volume=5))
    bars.on_bar(bar(4))
    assert closed(bars, at(4)) == [], "of bar 3 nothing was heard"
    assert bars.look(at(4, 3))
    bars.ask()
    assert list(bars.on_history([bar(3, volume=8)], at(4, 3))) == [bar(3, volume=8)]
    bars.on_bar(bar(5))
    assert closed(bars, at(5)) == [bar(4)], "what opened since is whole"


def test_a_short_absence_within_a_bar_costs_no_question() -> None:
    bars = live()
    bars.on_bar(bar(0, volume=1))
    bars.lost()
    bars.regained(at(0, 30))
    assert closed(bars, at(0, 40)) == []
    bars.on_bar(bar(0, volume=5))
    bars.on_bar(bar(1, volume=2))
    assert closed(bars, at(1, 1)) == [bar(0, volume=5)], "a frame tells of its bar from the beginning"
    assert closed(bars, at(2, 5)) == [bar(1, volume=2)]
    assert not bars.needs_history


def test_a_bar_that_nobody_spoke_of_since_an_absence_is_asked_for() -> None:
    bars = live(last=-1)
    bars.on_bar(bar(0, volume=1))
    bars.lost()
    bars.regained(at(0, 30))
    bars.on_bar(bar(1))
    assert closed(bars, at(1, 1)) == [], "its last trades may have been lost"
    assert bars.needs_history
    bars.ask()
    assert list(bars.on_history([bar(0, volume=3)], at(1, 5))) == [bar(0, volume=3)]
    assert closed(bars, at(2, 5)) == [bar(1)]


def test_without_trades_there_is_no_bar_and_no_question() -> None:
    bars = live(last=-1)
    bars.lost()
    bars.regained(at(-1))
    for index in range(1, 20):
        assert not bars.look(at(index, 30))


def test_a_symbol_that_is_not_heard_is_asked_for_once_a_bar() -> None:
    bars, asked = live(last=-1), 0
    bars.lost()
    for second in range(600):
        if bars.look(at(0, second)):
            bars.ask()
            bars.on_history([bar(index) for index in range(10) if index * 60 + 62 <= second], at(0, second))
            asked += 1
    assert asked == 9
    assert bars.last == at(9)


def test_a_later_bar_shows_at_once_that_one_was_lost() -> None:
    bars = live(last=-1)
    bars.lost()
    bars.regained(at(0, 50))
    assert not bars.look(at(1))
    bars.on_bar(bar(1))
    assert bars.look(at(1))


def test_after_a_restart_only_what_has_closed_since_is_asked_for() -> None:
    assert not LiveBars(M1, GRACE, at(5)).look(at(6, 1))
    assert LiveBars(M1, GRACE, at(5)).look(at(6, 3))
    assert LiveBars(M1, GRACE).look(at(0))


def test_a_hole_is_asked_for_once_and_then_believed() -> None:
    bars = live()
    bars.on_bar(bar(0))
    bars.on_bar(bar(3))
    assert closed(bars, at(3)) == []
    bars.ask()
    assert list(bars.on_history([bar(0)], at(3, 5))) == [bar(0)]
    bars.on_bar(bar(4))
    assert closed(bars, at(4)) == []
    bars.ask()
    assert list(bars.on_history([bar(3)], at(4, 1))) == [bar(3)]
    assert bars.last == at(4)


def test_what_rest_never_has_is_believed_of_the_socket_in_the_end() -> None:
    bars, asked = live(), 0
    bars.on_bar(bar(0))
    bars.on_bar(bar(3))
    while not (found := closed(bars, at(3, 5))):
        bars.ask()
        bars.on_history([], at(3, 5))
        asked += 1
    assert found == [bar(0)]
    assert 1 <= asked <= 6


def test_no_answer_is_asked_again() -> None:
    bars = LiveBars(M1, GRACE)
    assert bars.look(at(0))
    bars.ask()
    assert not bars.needs_history
    bars.unanswered()
    assert bars.needs_history


def test_a_frame_from_far_ahead_closes_nothing_and_is_forgotten() -> None:
    bars = live()
    bars.on_bar(bar(0, volume=1))
    bars.on_bar(bar(10_000))
    assert closed(bars, at(0, 20)) == []
    bars.ask()
    assert list(bars.on_history([], at(0, 25))) == []
    bars.on_bar(bar(0, volume=5))
    bars.on_bar(bar(1))
    bars.closed(at(1), at(1))
    bars.ask()
    assert list(bars.on_history([bar(0, volume=5)], at(1, 1))) == [bar(0, volume=5)]
    assert closed(bars, at(1, 5)) == []


def test_frames_that_nobody_takes_are_bounded_and_then_asked_for() -> None:
    bars = live()
    for index in range(1000):
        bars.on_bar(bar(index))
    assert bars.needs_history
    bars.ask()
    assert len(bars.on_history([bar(index) for index in range(999)], at(999, 1))) == 999


def test_other_timeframes_are_none_of_its_business() -> None:
    other = parse_timeframe("5m")
    strange = Bar("BTC", other, Nanos(other), *(Price(Decimal(1)),) * 4, Qty(Decimal(1)))
    bars = live()
    assert not bars.on_bar(strange)
    assert list(bars.on_history([strange], at(5))) == []


class Market:
    """A market, a socket that loses frames, and a REST that answers a while after it was asked."""

    def __init__(self) -> None:
        self.now = 0
        self.volume: dict[int, int] = {}
        self.bars = LiveBars(M1, GRACE, Nanos(0))
        self.bars.regained(Nanos(0))
        self.heard = Nanos(0)
        self.given: list[Bar] = []
        self.is_lossy = False
        self.asked: Nanos | None = None

    def bar_of(self, index: int) -> Bar:
        return bar(index, self.volume[index])

    def trade(self) -> None:
        index = self.now // M1
        self.volume[index] = self.volume.get(index, 0) + 1
        self.hear(self.bar_of(index))

    def hear(self, said: Bar | None) -> None:
        if not self.is_lossy:
            self.heard = Nanos(self.now)
            if said is not None:
                self.bars.on_bar(said)

    def rest(self) -> None:
        """Ask, or answer what was asked before with what the market says now."""
        if self.asked is None:
            if self.bars.look(Nanos(self.now)):
                self.bars.ask()
                self.asked = Nanos(self.now)
            return
        rows = [self.bar_of(index) for index in sorted(self.volume) if index * M1 <= self.asked]
        if rows and rows[-1].ts_event + GRACE > self.asked:
            rows.pop()
        self.given += self.bars.on_history(rows, self.asked)
        self.asked = None

    def fail(self) -> None:
        if self.asked is not None:
            self.bars.unanswered()
            self.asked = None

    def restart(self) -> None:
        self.bars, self.asked = LiveBars(M1, GRACE, self.bars.last), None
        if not self.is_lossy:
            self.bars.regained(Nanos(self.now))

    def step(self, event: str, seconds: int) -> None:
        self.now += seconds * NANOS_PER_S
        match event:
            case "trade":
                self.trade()
            case "word":
                self.hear(None)
            case "lose":
                self.is_lossy = True
            case "regain" if self.is_lossy:
                self.is_lossy = False
                self.bars.lost()
                self.bars.regained(Nanos(self.now))
            case "rest":
                self.rest()
            case "fail":
                self.fail()
            case "restart":
                self.restart()
            case _:
                pass
        self.given += self.bars.closed(Nanos(self.now), self.heard)


EVENTS = ("trade", "trade", "trade", "word", "lose", "regain", "rest", "rest", "fail", "restart", "quiet")


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from((0, 1, 7, 20, 61, 130))), max_size=80))
def test_whatever_is_lost_every_bar_comes_once_in_order_and_whole(events: Sequence[tuple[str, int]]) -> None:
    market = Market()
    for event, seconds in events:
        market.step(event, seconds)
    market.step("regain", 0)
    for _ in range(4):
        market.step("trade", 61)
        market.step("rest", 0)
        market.step("rest", 1)
    truth = [market.bar_of(index) for index in sorted(market.volume)]
    assert market.given == truth[: len(market.given)]
    assert len(market.given) >= len(truth) - 2, "all but the last, which may wait for an answer, and the forming one"
