"""The stage: what becomes a signal, what disables a strategy, and that it can be cut anywhere."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from signal import SIGINT, default_int_handler
from signal import signal as on_signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import ConfigError
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed, Message
from tradebot.model.money import Price, Qty, from_float
from tradebot.model.order import OrderType, PositionSide
from tradebot.model.position import Position, PositionChanged
from tradebot.model.signal import Action, Refused, Signal, StrategyDisabled
from tradebot.model.time import Nanos, Timeframe, parse_timeframe
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.patterns import atr
from tradebot.pipeline.strategy.base import (
    AtrStop,
    Direction,
    DistanceStop,
    Enter,
    Exit,
    MoveStop,
    PercentStop,
    RTarget,
    Strategy,
    StrategySpec,
)
from tradebot.pipeline.strategy.donchian_breakout import DonchianBreakout
from tradebot.pipeline.strategy.failure import StrategyBlocked
from tradebot.pipeline.strategy.sma_cross import SmaCross
from tradebot.pipeline.strategy.stage import StrategyStage, StrategyState
from tradebot.runtime.guard import is_operators
from tradebot.store.codec import decode, encode

M5, M15 = parse_timeframe("5m"), parse_timeframe("15m")
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
D = Decimal


class Says:
    """Answers what ``say`` returns for the number of the bar, counted from 0."""

    def __init__(self, say: Callable[[int], Any]) -> None:
        self.seen = 0
        type(self).say = staticmethod(say)

    def on_bar(self, bar: Bar, position: Position | None) -> Any:
        self.seen += 1
        return self.say(self.seen - 1)


def saying(say: Callable[[int], Any]) -> Callable[[], Any]:
    return lambda: type("Says", (Says,), {})(say)


def spec(name: str = "s", say: Callable[[int], Any] = lambda _: (), **changes: Any) -> StrategySpec:
    fields = {"symbols": ("BTC",), "timeframe": M5, "factory": saying(say)} | changes
    return StrategySpec(name=name, **fields)


def stage(*specs: StrategySpec, tick: str = "0.1") -> StrategyStage:
    return StrategyStage(specs, {"BTC": Instrument(symbol="BTC", tick=D(tick))})


def bar(number: int, close: str = "100", *, symbol: str = "BTC", timeframe: Timeframe = M5, reach: str = "2") -> Bar:
    c, r = D(close), D(reach)
    return Bar(
        symbol, timeframe, Nanos((number + 1) * timeframe), Price(c), Price(c + r), Price(c - r), Price(c), Qty(r)
    )


def turn(*bars: Bar) -> BarsClosed:
    return BarsClosed(bars[-1].symbol, bars[-1].ts_event, bars)


def turns(count: int) -> list[BarsClosed]:
    return [turn(bar(number)) for number in range(count)]


def holds(side: PositionSide | None, strategy: str = "s", symbol: str = "BTC") -> PositionChanged:
    position = None
    if side is not None:
        qty = Qty(D(side.sign))
        position = Position(symbol=symbol, strategy=strategy, qty=qty, entry_price=Price(D(1)), entry_ts=Nanos(0))
    return PositionChanged(ts_event=Nanos(0), symbol=symbol, strategy=strategy, position=position)


def run(strategy_stage: StrategyStage, messages: Iterable[Message]) -> list[Any]:
    return [output for message in messages for output in strategy_stage.handle(message)]


def signals(outputs: Iterable[Any]) -> list[Any]:
    return [output for output in outputs if isinstance(output, Signal)]


def gates(outputs: Iterable[Any]) -> list[tuple[str, Decimal | None, Decimal | None]]:
    return [(one.gate, one.limit, one.value) for one in outputs if isinstance(one, Refused)]


def only(*wishes: Enter | Exit) -> Callable[[int], Sequence[Enter | Exit]]:
    return lambda _: wishes


def test_an_entry_becomes_a_signal_with_all_that_was_said():
    wish = Enter(LONG, D("90.05"), D("120.01"), OrderType.LIMIT, D("99.97"), 70, {"trend": 1})
    (signal,) = run(stage(spec(say=only(wish))), [turn(bar(0))])
    assert signal == Signal(
        id="s-BTC-1",
        ts_event=bar(0).ts_event,
        strategy="s",
        symbol="BTC",
        action=Action.ENTER,
        side=LONG,
        close=Price(D(100)),
        entry_type=OrderType.LIMIT,
        entry_price=Price(D("99.9")),
        stop=Price(D("90.0")),
        target=Price(D("120.1")),
        confidence=70.0,
        factors={"trend": 1.0},
    )
    assert type(signal.confidence) is float


def test_prices_of_a_short_are_rounded_the_other_way():
    wish = Enter(SHORT, D("109.91"), D("79.99"), OrderType.STOP_MARKET, D("98.09"))
    (signal,) = run(stage(spec(say=only(wish))), [turn(bar(0))])
    assert (signal.stop, signal.target, signal.entry_price) == (D("110.0"), D("79.9"), D("98.0"))


def test_an_exit_leaves_the_side_that_is_held_and_is_refused_when_flat():
    outputs = run(
        stage(spec(say=only(Exit("time", D("0.5"))))),
        [turn(bar(0)), holds(SHORT), turn(bar(1)), holds(None), turn(bar(2))],
    )
    assert [(s.id, s.action, s.side, s.fraction, s.reason) for s in signals(outputs)] == [
        ("s-BTC-2", Action.EXIT, SHORT, D("0.5"), "time")
    ]
    assert gates(outputs) == [("nothing_held", None, None)] * 2


def test_a_reversal_is_two_signals_the_exit_first():
    outputs = run(stage(spec(say=only(Enter(SHORT), Exit()))), [holds(LONG), turn(bar(0))])
    assert [(s.id, s.action, s.side) for s in outputs] == [
        ("s-BTC-1", Action.EXIT, LONG),
        ("s-BTC-2", Action.ENTER, SHORT),
    ]


def test_a_direction_refuses_entries_on_the_other_side_but_not_exits():
    long_only = spec(say=only(Exit(), Enter(SHORT)), direction=Direction.LONG)
    outputs = run(stage(long_only), [holds(LONG), turn(bar(0))])
    assert [s.action for s in signals(outputs)] == [Action.EXIT]
    assert gates(outputs) == [("direction", None, None)]


def test_signals_are_counted_for_each_strategy_and_symbol_in_the_order_of_the_file():
    both = [spec(name, only(Enter(LONG)), symbols=("BTC", "ETH")) for name in ("b", "a")]
    outputs = run(stage(*both), [turn(bar(0)), turn(bar(0, symbol="ETH")), turn(bar(1))])
    assert [s.id for s in outputs] == ["b-BTC-1", "a-BTC-1", "b-ETH-1", "a-ETH-1", "b-BTC-2", "a-BTC-2"]


def test_a_strategy_is_asked_about_bars_of_its_timeframe_only_and_told_the_last_price():
    coarse = spec(say=only(Enter(LONG)), timeframe=M15)
    outputs = run(stage(coarse), [turn(bar(0)), turn(bar(0, "90", timeframe=M15), bar(2, "91")), turn(bar(3))])
    assert [(s.close, s.ts_event) for s in outputs] == [(91, bar(2).ts_event)]


def test_without_a_subscription_nothing_happens():
    assert run(stage(spec()), [turn(bar(0, symbol="XRP")), holds(LONG, "other")]) == []


def test_no_answer_means_no_wish_and_any_iterable_will_do():
    for answer in (None, [], (), iter(()), {}):
        assert run(stage(spec(say=lambda _, answer=answer: answer)), [turn(bar(0))]) == []
    assert len(run(stage(spec(say=lambda _: (each for each in [Enter(LONG)]))), [turn(bar(0))])) == 1


def test_a_stop_of_the_configuration_is_so_many_ranges_away_and_the_target_so_many_stops():
    configured = spec(say=only(Enter(LONG)), stop=AtrStop(3, D("1.5")), target=RTarget(D(2)))
    closes = ["100", "103.3", "101.7", "104.9", "99.2"]
    outputs = run(stage(configured), [turn(bar(n, c)) for n, c in enumerate(closes)])
    state, out = atr.new_state(3), array("d", (0.0,))
    expected = []
    for n, close in enumerate(closes):
        each = bar(n, close)
        if atr.step(state, out, 0.0, float(each.high), float(each.low), float(each.close), 0.0):
            stop = (each.close - from_float(out[0]) * D("1.5")) // D("0.1") * D("0.1")
            expected.append((each.close, stop, each.close + 2 * (each.close - stop)))
    assert [(s.close, s.stop, s.target) for s in signals(outputs)] == expected
    assert len(expected) == 2
    assert gates(outputs) == [("atr_unknown", D(4), D(seen)) for seen in (1, 2, 3)]


@pytest.mark.parametrize(
    ("side", "rule", "stop", "trail"),
    [
        (LONG, PercentStop(D("2.5")), "97.5", None),
        (LONG, PercentStop(D("2.5"), trails=True), "97.5", "2.5"),
        (SHORT, PercentStop(D("2.54"), trails=True), "102.6", "2.6"),
        (LONG, DistanceStop(D("3.07"), trails=True), "96.9", "3.1"),
        (SHORT, DistanceStop(D(3)), "103", None),
        (LONG, AtrStop(1, D(2), trails=True), "92", "8"),
    ],
)
def test_a_stop_is_measured_as_configured_and_trails_at_the_distance_it_begins_with(side, rule, stop, trail):
    (signal,) = signals(run(stage(spec(say=only(Enter(side)), stop=rule)), turns(2))[-1:])
    assert signal.stop == D(stop)
    assert signal.trail == (None if trail is None else D(trail))


def test_a_stop_of_the_strategy_s_own_trails_at_its_distance():
    rule = PercentStop(D(1), trails=True)
    (signal,) = signals(run(stage(spec(say=only(Enter(LONG, stop=D(95))), stop=rule)), turns(1)))
    assert (signal.stop, signal.trail) == (95, 5)


def test_a_stop_further_away_than_the_price_is_refused():
    far = spec(say=only(Enter(LONG)), stop=DistanceStop(D(100)))
    assert gates(run(stage(far), turns(1))) == [("stop_price", D(0), D(0))]


@pytest.mark.parametrize(("rule", "value"), [(PercentStop, 0), (PercentStop, 100), (DistanceStop, 0)])
def test_a_stop_that_means_nothing_is_not_made(rule, value):
    with pytest.raises(ValueError, match="a stop"):
        rule(D(value))


def test_a_short_s_stop_is_above_and_a_target_below_zero_is_none():
    configured = spec(say=only(Enter(SHORT)), stop=AtrStop(1, D(1)), target=RTarget(D(30)))
    (signal,) = signals(run(stage(configured), [turn(bar(0)), turn(bar(1))]))
    assert (signal.stop, signal.target) == (D("104.0"), None)


def test_an_entry_is_refused_before_the_average_range_exists_when_it_is_zero_and_when_it_is_too_large():
    configured = spec(say=only(Enter(LONG)), stop=AtrStop(1, D(1)))
    assert [s.stop for s in signals(run(stage(configured), [turn(bar(0)), turn(bar(1))]))] == [96]
    flat = run(stage(configured), [turn(bar(n, "100", reach="0")) for n in range(3)])
    assert gates(flat) == [("atr_unknown", D(2), D(1)), ("atr_zero", D("0.1"), D(0)), ("atr_zero", D("0.1"), D(0))]
    far = spec(say=only(Enter(LONG)), stop=AtrStop(1, D(30)))
    assert gates(run(stage(far), [turn(bar(0)), turn(bar(1))]))[1:] == [("stop_price", D(0), D(-20))]


@given(
    st.lists(
        st.tuples(
            st.lists(
                st.sampled_from([Enter(LONG), Enter(SHORT), Exit(), Exit("time", D("0.5")), MoveStop(D(90))]),
                max_size=3,
                unique_by=type,
            ),
            st.sampled_from([None, LONG, SHORT]),
            st.sampled_from(["0", "2", "40"]),
        ),
        max_size=8,
    ),
    st.sampled_from(list(Direction)),
    st.sampled_from([None, AtrStop(2, D(1)), AtrStop(1, D(30))]),
)
def test_every_wish_is_a_signal_or_a_refusal(said, direction, stop):
    under_test = stage(spec(say=lambda n: said[n][0], direction=direction, stop=stop))
    for number, (wishes, held, reach) in enumerate(said):
        run(under_test, [holds(held)])
        outputs = run(under_test, [turn(bar(number, reach=reach))])
        assert len(outputs) == len(wishes)
        assert all(isinstance(one, Signal | Refused) for one in outputs)


def test_a_stop_that_is_given_needs_no_average_range():
    configured = spec(say=only(Enter(LONG, stop=D(95))), stop=AtrStop(14, D(2)), target=RTarget(D(2)))
    (signal,) = run(stage(configured), [turn(bar(0))])
    assert (signal.stop, signal.target) == (95, 110)


def test_a_stop_entry_measures_its_stop_from_its_own_price():
    wish = Enter(LONG, stop=D(102), entry_type=OrderType.STOP_MARKET, entry_price=D(105))
    assert [s.stop for s in run(stage(spec(say=only(wish))), [turn(bar(0))])] == [102]


NONSENSE = [
    (7, "on_bar returned int, not a list of Enter and Exit"),
    (Enter(LONG), "on_bar returned Enter, not a list of Enter and Exit"),
    ("buy", "on_bar returned str in its list, not Enter, Exit or MoveStop"),
    ([object()], "on_bar returned object in its list, not Enter, Exit or MoveStop"),
    ([Enter(LONG), Enter(SHORT)], "on_bar returned more than one Enter"),
    ([Exit(), Exit()], "on_bar returned more than one Exit"),
    ([Exit(), Enter(LONG), Exit()], "on_bar returned more than one Exit"),
    ([Enter("up")], "Enter.side is 'up', not PositionSide.LONG or PositionSide.SHORT"),
    ([Enter(LONG, stop=D("NaN"))], "Enter.stop is Decimal('NaN'), not a Decimal above 0"),
    ([Enter(LONG, stop=95.0)], "Enter.stop is 95.0, not a Decimal above 0"),
    ([Enter(LONG, stop=D(-1))], "Enter.stop is Decimal('-1'), not a Decimal above 0"),
    ([Enter(LONG, stop=D(101))], "Enter.stop is 101, which is not on the losing side of 100 for a long"),
    ([Enter(SHORT, stop=D(100))], "Enter.stop is 100, which is not on the losing side of 100 for a short"),
    ([Enter(LONG, target=D(99))], "Enter.target is 99, which is not on the winning side of 100 for a long"),
    ([Enter(LONG, target=D("Infinity"))], "Enter.target is Decimal('Infinity'), not a Decimal above 0"),
    ([Enter(LONG, entry_type=OrderType.LIMIT)], "Enter.entry_price is missing for a limit entry"),
    ([Enter(LONG, entry_price=D(99))], "Enter.entry_price is given, but the entry is at market"),
    (
        [Enter(LONG, entry_type=OrderType.TAKE_PROFIT, entry_price=D(99))],
        "Enter.entry_type is a OrderType, not one of market, limit, stop_market",
    ),
    ([Enter(LONG, confidence=101)], "Enter.confidence is 101, not a number from 0 to 100"),
    ([Enter(LONG, confidence=float("nan"))], "Enter.confidence is nan, not a number from 0 to 100"),
    ([Enter(LONG, confidence=True)], "Enter.confidence is True, not a number from 0 to 100"),
    ([Enter(LONG, factors=["x"])], "Enter.factors is a list, not a dict of names and numbers"),
    ([Enter(LONG, factors={"x": "y"})], "Enter.factors has 'x': 'y', not a name and a finite number"),
    ([Enter(LONG, factors={"x": float("inf")})], "Enter.factors has 'x': inf, not a name and a finite number"),
    ([Exit(fraction=D(0))], "Exit.fraction is Decimal('0'), not a Decimal above 0 and at most 1"),
    ([Exit(fraction=2)], "Exit.fraction is Decimal('2'), not a Decimal above 0 and at most 1"),
    ([Exit(fraction=0.5)], "Exit.fraction is 0.5, not a Decimal above 0 and at most 1"),
    ([Exit(fraction=D("NaN"))], "Exit.fraction is Decimal('NaN'), not a Decimal above 0 and at most 1"),
    ([Exit(reason="bored")], "Exit.reason is 'bored', not one of signal, time, trail, stop, target"),
]


@pytest.mark.parametrize(("answer", "reason"), NONSENSE)
def test_nonsense_disables_that_strategy_and_the_others_go_on(answer, reason):
    bad = spec("bad", lambda n: answer if n else (), symbols=("BTC", "ETH"))
    good = spec("good", only(Enter(LONG)))
    strategy_stage = stage(bad, good)
    outputs = run(strategy_stage, [turn(bar(n)) for n in range(3)])
    disabled = StrategyDisabled(ts_event=bar(1).ts_event, strategy="bad", symbol="BTC", reason=f"nonsense: {reason}")
    assert [o for o in outputs if isinstance(o, StrategyDisabled)] == [disabled]
    assert outputs[1] == disabled
    assert [o.id for o in outputs if isinstance(o, Signal)] == ["good-BTC-1", "good-BTC-2", "good-BTC-3"]
    assert run(strategy_stage, [turn(bar(n, symbol="ETH")) for n in range(3)]) == []
    assert strategy_stage.disabled == {"bad": f"nonsense: {reason}"}


def fails(error: BaseException) -> Callable[[int], Any]:
    def say(_: int) -> Any:
        raise error

    return say


def divides(_: int) -> Any:
    return 1 // 0


def lazily(_: int) -> Any:
    yield Enter(LONG)
    raise LookupError


def reason_of(say: Callable[[int], Any]) -> str:
    (disabled,) = run(stage(spec(say=say)), [turn(bar(0))])
    assert isinstance(disabled, StrategyDisabled)
    return disabled.reason


def test_an_error_is_told_with_its_place():
    line = divides.__code__.co_firstlineno + 1
    said = reason_of(divides)
    assert said == f"raised ZeroDivisionError: integer division or modulo by zero at test_strategy_stage.py:{line}"
    assert reason_of(lazily).startswith("raised LookupError at test_strategy_stage.py:")


@pytest.mark.parametrize("error", [SystemExit(3), RecursionError("deep"), MemoryError(), StopIteration()])
def test_whatever_is_raised_disables(error):
    assert reason_of(fails(error)).startswith(f"raised {type(error).__name__}")


def test_a_reason_is_the_same_in_every_run():
    said = reason_of(fails(ValueError(f"no {object()} " + "x" * 500)))
    assert "0x" not in said
    assert len(said) == 300


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def test_an_error_that_cannot_be_told_is_told_by_its_type():
    assert reason_of(fails(Unspeakable())).startswith("raised Unspeakable at test_strategy_stage.py:")


@pytest.fixture
def _interruptible():
    """Hear Ctrl-C as a command in a terminal does: what runs in the background may be told to ignore it."""
    before = on_signal(SIGINT, default_int_handler)
    yield
    on_signal(SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_operator_s_interrupt_is_not_a_strategy_s_failure():
    with pytest.raises(KeyboardInterrupt):
        run(StrategyStage([spec(say=fails(KeyboardInterrupt()))], {}, is_operators), [turn(bar(0))])


def test_a_blocked_call_disables():
    assert reason_of(fails(StrategyBlocked())) == "blocked for more than 5 s"


def test_a_strategy_is_named_while_it_is_asked_and_not_after():
    seen: list[tuple[str | None, int]] = []
    strategy_stage = stage(spec(say=lambda _: seen.append((strategy_stage.asking, strategy_stage.calls))))
    run(strategy_stage, [turn(bar(0)), turn(bar(1))])
    assert seen == [("s", 1), ("s", 2)]
    assert strategy_stage.asking is None


def test_a_forced_strategy_is_disabled_instead_of_being_asked():
    calls: list[int] = []
    strategy_stage = stage(spec(say=calls.append), spec("other", only(Enter(LONG))))
    strategy_stage.force_disable = {"s": "blocked for more than 5 s"}
    disabled, signal = run(strategy_stage, [turn(bar(0))])
    assert (disabled.strategy, disabled.reason, calls) == ("s", "blocked for more than 5 s", [])
    assert signal.strategy == "other"
    assert strategy_stage.force_disable == {}


def test_a_rearmed_strategy_starts_afresh_but_its_ids_go_on():
    say = {0: [Enter(LONG)], 1: 7}
    strategy_stage = stage(spec(say=lambda n: say[n]))
    run(strategy_stage, [turn(bar(0)), turn(bar(1))])
    strategy_stage.rearm("s")
    assert [o.id for o in run(strategy_stage, [turn(bar(2))])] == ["s-BTC-2"]
    assert strategy_stage.disabled == {}


class Hoarder:
    """Keeps what cannot be saved, from its bar ``since`` on."""

    def __init__(self, since: int) -> None:
        self.seen = 0
        self.since = since
        self.kept: object = None if since else set()

    def on_bar(self, bar: Bar, position: Position | None) -> Any:
        self.seen += 1
        if self.seen == self.since:
            self.kept = {1}
        return ()


def test_a_field_that_cannot_be_saved_is_refused_at_the_start_by_name():
    with pytest.raises(ConfigError, match="strategy Hoarder keeps field 'kept' of type set") as caught:
        stage(spec("mine", factory=lambda: Hoarder(0)))
    assert caught.value.where == "strategy mine"


def test_a_field_that_turns_bad_disables_at_the_same_bar_in_every_run():
    outputs = run(stage(spec(factory=lambda: Hoarder(3))), [turn(bar(n)) for n in range(9)])
    assert [(o.ts_event, o.reason) for o in outputs] == [
        (bar(3).ts_event, "strategy Hoarder keeps field 'kept' of type set, which cannot be saved")
    ]


def test_a_field_found_bad_when_saving_disables_at_the_next_bar_also_after_a_restart():
    first, second = (stage(spec(factory=lambda: Hoarder(5))) for _ in range(2))
    run(first, [turn(bar(n)) for n in range(6)])
    second.load(first.save())
    for each in (first, second):
        (disabled,) = run(each, [turn(bar(6))])
        assert "keeps field 'kept'" in disabled.reason


def test_a_strategy_that_cannot_be_made_is_a_configuration_error():
    with pytest.raises(ConfigError, match="raised ZeroDivisionError"):
        stage(spec(factory=lambda: divides(0)))


def test_two_strategies_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two strategies are named 's'"):
        stage(spec(), spec())


def built_in() -> tuple[StrategySpec, ...]:
    def cross() -> Strategy:
        return SmaCross(SmaCross.Params(fast=2, slow=4))

    def donchian() -> Strategy:
        return DonchianBreakout(DonchianBreakout.Params(entry=4, exit=2))

    stop = AtrStop(3, D(2))
    return (
        spec("cross", factory=cross, stop=stop, target=RTarget(D(2))),
        spec("slow", factory=cross, timeframe=M15, stop=AtrStop(2, D(1))),
        spec("break", factory=donchian, stop=stop, direction=Direction.LONG),
        spec("bad", lambda n: 7 if n == 20 else ()),
    )


class Follower:
    """Bars and strategies, every signal filled at once."""

    def __init__(self) -> None:
        wanted = {"BTC": frozenset({M5, M15})}
        self.bars = BarsStage({"BTC": (M5,)}, wanted)
        self.strategies = stage(*built_in())

    def take(self, bars: Iterable[Bar]) -> list[Any]:
        outputs: list[Any] = []
        for each in bars:
            for closed in self.bars.handle(each):
                answered = self.strategies.handle(closed)
                outputs.extend(answered)
                for signal in answered:
                    if isinstance(signal, Signal):
                        side = signal.side if signal.action is Action.ENTER else None
                        self.strategies.handle(holds(side, signal.strategy))
        return outputs


closes = st.lists(st.integers(90, 110).map(str), max_size=80)


@given(closes, st.integers(0, 80))
def test_the_signals_of_a_prefix_are_a_prefix_of_those_of_the_whole(drawn, cut):
    bars = [bar(n, close) for n, close in enumerate(drawn)]
    seen = Follower().take(bars[:cut])
    assert Follower().take(bars)[: len(seen)] == seen


@given(closes, st.integers(0, 80))
def test_a_stage_restored_from_its_written_state_goes_on_as_if_never_stopped(drawn, cut):
    bars = [bar(n, close) for n, close in enumerate(drawn)]
    whole, first, second = Follower(), Follower(), Follower()
    begun = first.take(bars[:cut])
    written = encode(first.strategies.save())
    second.bars.load(first.bars.save())
    second.strategies.load(decode(StrategyState, written))
    assert begun + second.take(bars[cut:]) == whole.take(bars)
    assert encode(second.strategies.save()) == encode(whole.strategies.save())


def test_strategies_and_symbols_that_a_state_does_not_know_start_afresh():
    old, new = stage(spec("a")), stage(spec("b"), spec("a", symbols=("ETH",), stop=AtrStop(2, D(1))))
    run(old, [turn(bar(0))])
    new.load(old.save())
    assert [(each.strategy, each.asked) for each in new.save().askers] == [("b", 0), ("a", 0)]


def test_a_strategy_with_other_parameters_starts_afresh_but_keeps_its_position_and_ids():
    def crossing(slow: int, timeframe: Timeframe = M5) -> StrategyStage:
        return stage(spec(factory=lambda: SmaCross(SmaCross.Params(fast=1, slow=slow)), timeframe=timeframe))

    old, same, other, coarser = crossing(2), crossing(2), crossing(3), crossing(2, M15)
    run(old, [turn(bar(n, close)) for n, close in enumerate(["3", "2", "9"])])
    run(old, [holds(LONG)])
    for each in (same, other, coarser):
        each.load(old.save())
    saved = [each.save().askers[0] for each in (old, same, other, coarser)]
    assert [each.asked for each in saved] == [3, 3, 0, 0]
    assert [each.signals for each in saved] == [1, 1, 1, 1]
    assert all(each.position is not None for each in saved)
    assert saved[0] == saved[1]
