"""What a strategy may wish of ladders, moved stops and waiting entries, and what disables it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed
from tradebot.model.money import Price, Qty
from tradebot.model.order import OrderType, PositionSide
from tradebot.model.position import Position, PositionChanged
from tradebot.model.signal import Action, Rung, Signal, StrategyDisabled
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.strategy.base import Enter, MoveStop, RTarget, StrategySpec
from tradebot.pipeline.strategy.stage import StrategyStage

D = Decimal
M5 = parse_timeframe("5m")
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


class Says:
    """Answers the same at every bar."""

    wish: Any = None

    def on_bar(self, bar: Bar, position: Position | None) -> Any:
        return [self.wish]


def answers(wish: object, held: PositionSide | None = None, target: RTarget | None = None) -> Sequence[Any]:
    """Return what the stage says at a close of 100 when a strategy that holds ``held`` wishes ``wish``."""
    factory = type("Says", (Says,), {"wish": wish})
    spec = StrategySpec(name="s", symbols=("BTC",), timeframe=M5, factory=factory, target=target)
    stage = StrategyStage([spec], {"BTC": Instrument(symbol="BTC", tick=D("0.1"))})
    if held is not None:
        position = Position(
            symbol="BTC", strategy="s", qty=Qty(D(held.sign)), entry_price=Price(D(100)), entry_ts=Nanos(0)
        )
        stage.handle(PositionChanged(ts_event=Nanos(0), symbol="BTC", strategy="s", position=position))
    hundred = Price(D(100))
    bar = Bar("BTC", M5, Nanos(M5), hundred, hundred, hundred, hundred, Qty(D(1)))
    return stage.handle(BarsClosed("BTC", bar.ts_event, (bar,)))


def signal_of(wish: object, held: PositionSide | None = None, target: RTarget | None = None) -> Signal:
    (signal,) = answers(wish, held, target)
    assert isinstance(signal, Signal), signal
    return signal


HALF, TARGET = D("0.5"), D(110)


def rung(at: Any = TARGET, part: Any = HALF) -> Rung:
    return Rung(price=at, fraction=part)


def test_a_ladder_is_put_on_the_tick_so_that_it_promises_no_more_than_was_asked() -> None:
    signal = signal_of(Enter(LONG, D(90), ladder=(rung(D("110.01")), rung(D("120.09")))), target=RTarget(D(2)))
    assert signal.ladder == (rung(D("110.1")), rung(D("120.1")))
    assert signal.target is None


def test_a_short_has_its_ladder_below() -> None:
    assert signal_of(Enter(SHORT, D(110), ladder=(rung(D("89.99")),))).ladder == (rung(D("89.9")),)


def test_an_entry_that_waits_says_until_when_and_until_which_price() -> None:
    signal = signal_of(Enter(LONG, D(90), None, OrderType.LIMIT, D(95), wait_bars=3, void_price=D("91.04")))
    assert (signal.expires_ts, signal.void_price) == (Nanos(4 * M5), D("91.0"))


@pytest.mark.parametrize(("side", "given", "expected"), [(LONG, "95.07", "95.0"), (SHORT, "104.91", "105.0")])
def test_a_moved_stop_is_put_on_the_tick_that_leaves_more_room(side: PositionSide, given: str, expected: str) -> None:
    signal = signal_of(MoveStop(D(given)), side)
    assert (signal.action, signal.side, signal.stop, signal.reason) == (
        Action.MOVE_STOP,
        side,
        D(expected),
        "trail",
    )


def test_a_stop_is_not_moved_without_a_position() -> None:
    (refused,) = answers(MoveStop(D(95)))
    assert (refused.gate, refused.signal.action) == ("nothing_held", Action.MOVE_STOP)


def test_what_would_be_below_one_tick_is_the_tick_or_is_left_out() -> None:
    assert signal_of(Enter(LONG, D("0.01"))).stop == D("0.1")
    assert signal_of(MoveStop(D("0.01")), LONG).stop == D("0.1")
    assert signal_of(Enter(SHORT, ladder=(rung(at=D("0.01")), rung(at=D(90))))).ladder == (rung(at=D(90)),)
    short = Enter(SHORT, D(110), D("0.05"))
    assert signal_of(short, target=RTarget(D(2))).target == D(80)
    (refused,) = answers(Enter(LONG, entry_type=OrderType.LIMIT, entry_price=D("0.01")))
    assert (refused.gate, refused.limit, refused.value) == ("entry_price", D("0.1"), D("0.01"))
    waiting = Enter(LONG, entry_type=OrderType.LIMIT, entry_price=D(95), void_price=D("0.01"))
    assert signal_of(waiting).void_price is None


def test_an_entry_whose_stop_falls_on_its_own_tick_is_left_to_risk() -> None:
    signal = signal_of(Enter(LONG, D("95.01"), entry_type=OrderType.LIMIT, entry_price=D("95.07")))
    assert (signal.entry_price, signal.stop) == (D("95.0"), D("95.0"))


def test_a_pattern_and_its_levels_are_told_as_they_were_given() -> None:
    signal = signal_of(Enter(LONG, pattern="sweep", levels={"level": D("98.765"), "edge": D(97)}))
    assert (signal.pattern, signal.levels) == ("sweep", {"level": D("98.765"), "edge": D(97)})


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Enter(LONG, pattern=None), "Enter.pattern"),  # type: ignore[arg-type]
        (Enter(LONG, pattern="x" * 65), "Enter.pattern"),
        (Enter(LONG, pattern="a\x1b"), "Enter.pattern"),
        (Enter(LONG, levels=[D(1)]), "Enter.levels"),  # type: ignore[arg-type]
        (Enter(LONG, levels={str(n): D(1) for n in range(9)}), "Enter.levels"),
        (Enter(LONG, levels={1: D(1)}), "Enter.levels"),  # type: ignore[dict-item]
        (Enter(LONG, levels={"low": 1.5}), r"Enter.levels[low] is 1.5"),  # type: ignore[dict-item]
        (Enter(LONG, levels={"low": None}), r"Enter.levels[low] is None"),  # type: ignore[dict-item]
        (Enter(LONG, levels={"low": D("NaN")}), r"Enter.levels[low]"),
        (Enter(LONG, ladder=[rung()]), "Enter.ladder"),  # type: ignore[arg-type]  # that is what is tested
        (Enter(LONG, ladder=(rung(part=D("0.01")),) * 11), "at most 10"),
        (Enter(LONG, ladder=("x",)), "not a Rung"),  # type: ignore[arg-type]
        (Enter(LONG, D(90), D(120), ladder=(rung(),)), "both a target and a ladder"),
        (Enter(LONG, ladder=(rung(part=D("0.6")), rung(part=D("0.6")))), "more than 1 together"),
        (Enter(LONG, ladder=(rung(part=D(0)),)), "Rung.fraction"),
        (Enter(LONG, ladder=(rung(part=D("1.1")),)), "Rung.fraction"),
        (Enter(LONG, ladder=(rung(part=0.5),)), "Rung.fraction"),
        (Enter(LONG, ladder=(rung(part=D("NaN")),)), "Rung.fraction"),
        (Enter(LONG, ladder=(rung(at=None),)), "Rung.price"),
        (Enter(LONG, ladder=(rung(at=110.0),)), "Rung.price"),
        (Enter(LONG, ladder=(rung(at=D("Infinity")),)), "Rung.price"),
        (Enter(LONG, ladder=(rung(at=D("1e13")),)), "above 1000000000000"),
        (Enter(LONG, ladder=(rung(at=D(100)),)), "winning side"),
        (Enter(SHORT, ladder=(rung(at=D(110)),)), "winning side"),
        (Enter(LONG, wait_bars=0), "Enter.wait_bars"),
        (Enter(LONG, wait_bars=10**9), "Enter.wait_bars"),
        (Enter(LONG, wait_bars=True), "Enter.wait_bars"),
        (Enter(LONG, wait_bars=1.5), "Enter.wait_bars"),  # type: ignore[arg-type]
        (Enter(LONG, void_price=D(101)), "Enter.void_price"),
        (Enter(SHORT, void_price=D(99)), "Enter.void_price"),
        (Enter(LONG, void_price=D(-1)), "Enter.void_price"),
        (MoveStop(None), "MoveStop.stop"),  # type: ignore[arg-type]
        (MoveStop(D(0)), "MoveStop.stop"),
        (MoveStop(95.0), "MoveStop.stop"),  # type: ignore[arg-type]
        (MoveStop(D(95), "x" * 65), "MoveStop.pattern"),
        (MoveStop(D(95), "low", {"low": D(-1)}), "MoveStop.levels[low]"),
    ],
)
def test_nonsense_disables_the_strategy_and_says_what_it_was(wish: object, said: str) -> None:
    (disabled,) = answers(wish, LONG if isinstance(wish, MoveStop) else None)
    assert isinstance(disabled, StrategyDisabled)
    assert said in disabled.reason
