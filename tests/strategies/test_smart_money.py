"""The smart-money strategies: causal, cut anywhere, explained, and defined on markets that are none."""

import gzip
import itertools
import json
import math
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import cash, command, price, qty
from tradebot.model.command import Verb
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed, Message
from tradebot.model.message import KINDS
from tradebot.model.money import from_float
from tradebot.model.order import OrderType, PositionSide, SubmitOrders
from tradebot.model.position import Position, RoundTrip
from tradebot.model.signal import Action, Approved, Refused, Signal, StrategyDisabled
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.scanner import Scanner
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.strategy.base import Enter, Exit, MoveStop, StrategySpec
from tradebot.pipeline.strategy.bos_orderblock import BosOrderblock
from tradebot.pipeline.strategy.confidence import WEIGHTS, confidence
from tradebot.pipeline.strategy.fvg_fill import FvgFill
from tradebot.pipeline.strategy.liquidity_sweep import LiquiditySweep
from tradebot.pipeline.strategy.smart_money import SmartMoney
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.pipeline.strategy.state import freeze, thaw
from tradebot.ports import Stage
from tradebot.report.why import WhyFold
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.venue import SimulatedVenue

M15 = parse_timeframe("15m")
START = 1_738_368_000_000_000_000
KINDS_OF = {"liquidity_sweep": LiquiditySweep, "fvg_fill": FvgFill, "bos_orderblock": BosOrderblock}
EVERY = pytest.mark.parametrize("kind", sorted(KINDS_OF))


def made(kind: str, **params: float) -> SmartMoney:
    """A fresh strategy; small swings, so that short histories have patterns."""
    cls = KINDS_OF[kind]
    given: dict[str, Any] = {"swing": 2, "bias_near": 2, "bias_far": 4} | params
    return cls(cls.Params(**given))


def bar(number: int, o: Decimal, h: Decimal, lo: Decimal, c: Decimal, volume: Decimal = Decimal(1)) -> Bar:
    return Bar("BTC", M15, Nanos(START + (number + 1) * M15), price(o), price(h), price(lo), price(c), qty(volume))


def waves(count: int, scale: Decimal = Decimal(1), volume: Decimal = Decimal(5)) -> list[Bar]:
    """A market that swings, trends and runs beyond its own extremes; no two stretches are alike."""
    bars, before = [], Decimal(100)
    for n in range(count):
        level = 100 + 9 * math.sin(n / 7) + 5 * math.sin(n / 2.3) + 14 * math.sin(n / 61) + 2 * math.sin(n * n)
        close = Decimal(str(round(level, 4)))
        high, low = max(before, close) + Decimal(n * 7 % 5) / 4, min(before, close) - Decimal(n * 3 % 5) / 4
        bars.append(bar(n, before * scale, high * scale, low * scale, close * scale, volume))
        before = close
    return bars


def real_bars(count: int) -> list[Bar]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    with gzip.open(Path(folder) / "hl_ETH_15m.csv.gz", "rt") as lines:
        rows = [line.split(",") for line in itertools.islice(lines, 1, count + 1)]
    bars = []
    for stamp, o, h, lo, c, v in rows:
        close_ts = Nanos(int(stamp) * 1_000_000 + M15)
        bars.append(Bar("BTC", M15, close_ts, price(o), price(h), price(lo), price(c), qty(v.strip())))
    return bars


class Traded:
    """A strategy on the whole line: risk, orders and the simulated venue."""

    def __init__(
        self,
        strategy: SmartMoney,
        tick: Decimal = Decimal("1e-10"),
        *,
        notional: int = 1000,
        limits: Limits | None = None,
        regimes: tuple[str, ...] = (),
    ) -> None:
        instruments = {"BTC": Instrument(symbol="BTC", tick=tick, lot=Decimal("1e-8"))}
        self.heard: list[Message] = []
        self.strategy = strategy
        factory: Any = lambda: strategy  # noqa: E731  # a strategy's own Params are more than the protocol says
        spec = StrategySpec(name="smart", symbols=("BTC",), timeframe=M15, factory=factory, regimes=regimes)
        self.orders = OrdersStage(instruments)
        size = SizeRule(SizeKind.NOTIONAL, Decimal(notional))
        self.risk = RiskStage(instruments, cash(10_000), size, limits or Limits())
        self.strategies = StrategyStage([spec], instruments)
        stages: dict[StageName, Stage] = {
            StageName.BARS: BarsStage({"BTC": (M15,)}, {}),
            StageName.VENUE: SimulatedVenue(instruments, Costs(), cash(10_000)),
            StageName.ORDERS: self.orders,
            StageName.RISK: self.risk,
            StageName.STRATEGY: self.strategies,
        }
        self.line = Line(stages, dict.fromkeys(KINDS.values(), self.heard.append))

    def run(self, bars: Sequence[Bar]) -> list[Message]:
        for one in bars:
            self.line.pump(one)
            assert all(protection.is_full for protection in self.orders.protection())
        assert not [message for message in self.heard if isinstance(message, StrategyDisabled)]
        return self.heard

    def signals(self) -> list[Signal]:
        return [message for message in self.heard if isinstance(message, Signal)]


def traded(kind: str, bars: Sequence[Bar], **params: float) -> Traded:
    run = Traded(made(kind, **params))
    run.run(bars)
    return run


def assert_explained(signals: Sequence[Signal]) -> None:
    entries = [signal for signal in signals if signal.action is Action.ENTER]
    assert entries
    for entry in entries:
        assert set(entry.factors) == set(WEIGHTS)
        assert len(entry.factors) == 8
        assert all(0 <= value <= 1 for value in entry.factors.values())
        assert entry.confidence == confidence(entry.factors)
        assert entry.stop is not None
        assert entry.ladder


@EVERY
def test_every_entry_has_its_eight_factors_a_stop_and_a_ladder(kind: str) -> None:
    run = traded(kind, waves(1500))
    assert_explained(run.signals())
    assert [message for message in run.heard if isinstance(message, RoundTrip)]


@EVERY
def test_decisions_on_real_bars_are_explained_and_those_of_a_prefix_are_a_prefix(kind: str) -> None:
    bars = real_bars(1500)
    whole = traded(kind, bars).signals()
    assert_explained(whole)
    for cut in (0, 1, 40, 333, 700, 1111):
        seen = traded(kind, bars[:cut]).signals()
        end = bars[cut - 1].ts_event if cut else 0
        assert seen == [signal for signal in whole if signal.ts_event <= end]


@EVERY
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_a_strategy_saved_and_restored_anywhere_says_what_it_would_have_said(kind: str, data: st.DataObject) -> None:
    bars = waves(400)
    cuts = data.draw(st.sets(st.integers(0, len(bars) - 1), max_size=4))
    straight, broken = made(kind), made(kind)
    held = Position(symbol="BTC", strategy="s", qty=qty(1), entry_price=price(100), entry_ts=Nanos(START))
    for number, one in enumerate(bars):
        if number in cuts:
            fresh = made(kind)
            thaw(fresh, freeze(broken))
            assert freeze(fresh) == freeze(broken)
            broken = fresh
        # In and out of a position, so that its care is cut as well; half of it leaves on the way.
        position = None
        if number % 40 >= 20:
            position = (
                held
                if number % 40 < 30
                else Position(symbol="BTC", strategy="s", qty=qty("0.5"), entry_price=price(100), entry_ts=Nanos(START))
            )
        assert list(broken.on_bar(one, position)) == list(straight.on_bar(one, position))
    assert freeze(broken) == freeze(straight)


def test_the_state_is_bounded() -> None:
    strategy = made("bos_orderblock")
    sizes = []
    for number, one in enumerate(waves(3000)):
        strategy.on_bar(one, None)
        if number % 1000 == 999:
            sizes.append(len(freeze(strategy)))
    assert sizes[2] < 1.5 * sizes[0]


@EVERY
@pytest.mark.parametrize("scale", ["1e-4", "1e6"])
def test_what_is_done_does_not_depend_on_the_size_of_prices(kind: str, scale: str) -> None:
    factor = Decimal(scale)
    plain = Traded(made(kind), Decimal("1e-6"))
    plain.run(waves(600))
    scaled = Traded(made(kind), Decimal("1e-6") * factor)
    scaled.run(waves(600, factor))
    assert [(s.ts_event, s.action, s.side) for s in scaled.signals()] == [
        (s.ts_event, s.action, s.side) for s in plain.signals()
    ]
    assert plain.signals()


def ten(value: str | int = 10) -> Decimal:
    return Decimal(value)


STRANGE = {
    "flat": [bar(n, ten(), ten(), ten(), ten()) for n in range(300)],
    "flat without volume": [bar(n, ten(), ten(), ten(), ten(), Decimal(0)) for n in range(300)],
    "equal highs": [bar(n, ten(), ten(12), ten(10 - n % 3), ten(10 + n % 2)) for n in range(300)],
    "no volume": waves(300, volume=Decimal(0)),
    "tiny": waves(300, Decimal("1e-10")),
    "huge": waves(300, Decimal("1e6")),
    "holes": [one for number, one in enumerate(waves(600)) if number % 50 < 37],
}


@EVERY
@pytest.mark.parametrize("market", sorted(STRANGE))
def test_a_strange_market_is_traded_or_not_but_breaks_nothing(kind: str, market: str) -> None:
    bars = STRANGE[market]
    run = Traded(made(kind), Decimal(1).scaleb(bars[0].close.adjusted() - 8))
    run.run(bars)
    for signal in run.signals():
        assert signal.confidence is None or 0 <= signal.confidence <= 100


@EVERY
@pytest.mark.parametrize("count", [0, 1, 2, 14, 15])
def test_nothing_is_wished_before_there_is_a_range(kind: str, count: int) -> None:
    assert traded(kind, waves(count)).signals() == []


def in_position(strategy: SmartMoney, bars: Sequence[Bar], sizes: Sequence[str]) -> list[Enter | Exit | MoveStop]:
    """What it wishes at the last bars, when it holds ``sizes`` at 100 there, one a bar; short < 0."""
    for one in bars[: -len(sizes)]:
        strategy.on_bar(one, None)
    wishes: list[Enter | Exit | MoveStop] = []
    for one, size in zip(bars[-len(sizes) :], sizes, strict=True):
        position = Position(symbol="BTC", strategy="s", qty=qty(size), entry_price=price(100), entry_ts=Nanos(0))
        wishes += strategy.on_bar(one, position)
    return wishes


def drift(step: int, count: int = 60) -> list[Bar]:
    """A market that goes one way, by ``step`` a bar, and ends 10 steps beyond 100."""
    closes = [Decimal(100 + step * (n - count + 11)) for n in range(count)]
    return [bar(n, c - step, max(c, c - step), min(c, c - step), c) for n, c in enumerate(closes)]


def test_a_position_that_gets_nowhere_is_left_after_its_time() -> None:
    wishes = in_position(made("liquidity_sweep", time_stop=5), drift(1), ["1"] * 6)
    assert wishes == [Exit("time")]


@pytest.mark.parametrize("step", [1, -1])
def test_after_the_first_target_the_stop_goes_to_the_entry_and_then_only_onward(step: int) -> None:
    sizes = [str(step * size) for size in (1, 1, Decimal("0.5"), Decimal("0.5"), Decimal("0.5"))]
    wishes = in_position(made("liquidity_sweep", trail_atr=1.0), drift(step), sizes)
    stops = [wish.stop for wish in wishes if isinstance(wish, MoveStop)]
    assert len(stops) == 3
    assert sorted(stops, reverse=step < 0) == stops
    assert all((stop - 100) * step >= 0 for stop in stops)


def test_without_a_trail_the_stop_is_moved_once_to_the_entry() -> None:
    wishes = in_position(made("liquidity_sweep", trail_atr=0), drift(1), ["1", "0.5", "0.5", "0.5"])
    assert wishes == [MoveStop(Decimal(100), "first_target")]


@pytest.mark.parametrize("kind", ["fvg_fill", "bos_orderblock"])
def test_who_waits_at_a_zone_waits_with_a_limit_and_one_at_a_time(kind: str) -> None:
    run = traded(kind, waves(1500))
    entries = [signal for signal in run.signals() if signal.action is Action.ENTER]
    for entry in entries:
        assert entry.entry_type is OrderType.LIMIT
        assert entry.entry_price is not None
        assert entry.void_price is not None
        assert entry.expires_ts is not None
        assert (entry.close - entry.entry_price) * entry.side.sign > 0
    times = [message.orders[0].ts_event for message in run.heard if isinstance(message, SubmitOrders)]
    assert times == sorted(times)
    assert {entry.side for entry in entries} == set(PositionSide)


@EVERY
@pytest.mark.parametrize("wrong", [{"bias_near": 16}, {"first_r": 4.0}, {"second_r": 0.5}, {"memory": 0}])
def test_parameters_that_contradict_each_other_are_refused(kind: str, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        KINDS_OF[kind].Params(**wrong)


@EVERY
def test_higher_bars_count_only_when_they_have_closed(kind: str) -> None:
    strategy, bars = made(kind, bias_near=4, bias_far=16), waves(161)
    for number, one in enumerate(bars, start=1):
        strategy.on_bar(one, None)
        assert (strategy.near.bars, strategy.far.bars) == (number // 4, number // 16)


def test_factors_survive_json() -> None:
    (entry, *_) = [s for s in traded("liquidity_sweep", waves(600)).signals() if s.action is Action.ENTER]
    assert json.loads(json.dumps(dict(entry.factors))) == entry.factors


@EVERY
def test_the_pattern_of_an_entry_is_one_of_scan_with_its_levels(kind: str) -> None:
    words = {"liquidity_sweep": "sweep", "fvg_fill": "fvg", "bos_orderblock": "order_block"}
    names = {"sweep": {"level", "edge"}, "fvg": {"top", "bottom"}, "order_block": {"top", "bottom"}}
    bars = waves(1500)
    scanner = Scanner(PatternParams(L=2))
    seen = set()
    for one in bars:
        numbers = [float(x) for x in (one.open, one.high, one.low, one.close, one.volume)]
        for event in scanner.take(one.ts_open // 1_000_000, *numbers):
            prices = [from_float(x) for x in (event.level, event.top, event.bottom) if x is not None]
            seen.add((one.ts_event, str(event.kind), event.side, *prices))
    entries = [signal for signal in traded(kind, bars).signals() if signal.action is Action.ENTER]
    assert entries
    for entry in entries:
        assert entry.pattern == words[kind]
        assert set(entry.levels) == names[entry.pattern]
        prices = [entry.levels[name] for name in ("level", "top", "bottom") if name in entry.levels]
        assert (entry.ts_event, entry.pattern, entry.side.sign, *prices) in seen


@EVERY
def test_an_entry_that_is_refused_is_not_waited_for(kind: str) -> None:
    bars, alone = waves(800), made(kind)
    asked = [wish for one in bars for wish in alone.on_bar(one, None)]
    run = Traded(made(kind), limits=Limits(min_confidence=Decimal(100)))
    run.run(bars)
    assert len([message for message in run.heard if isinstance(message, Refused)]) == len(asked) > 1


@pytest.mark.parametrize("kind", ["fvg_fill", "bos_orderblock"])
def test_a_strategy_waits_for_an_entry_as_long_as_risk_holds_room_for_it(kind: str) -> None:
    run, was_at_work = Traded(made(kind)), 0
    for number, one in enumerate(waves(600)):
        run.run([one])
        if number % 97 == 96:
            run.line.pump(command(Verb.PAUSE))
            run.line.pump(command(Verb.RESUME))
        (asker,) = run.strategies.save().askers
        assert set(asker.entries) == set(run.risk.save().entries)
        was_at_work += bool(asker.entries)
    assert was_at_work


def test_what_a_regime_refuses_is_counted_and_explained_like_any_refusal() -> None:
    run = Traded(made("liquidity_sweep"), regimes=("trend_up",))
    run.run(waves(1200))
    fold = WhyFold(limit=10_000)
    for message in run.heard:
        fold.add(message)
    refused = [row for row in fold.rows() if row["gate"] == "regime"]
    assert refused
    assert all(row["outcome"] == "refused" and row["pattern"] == "sweep" and row["factors"] for row in refused)
    book, answers = run.risk.save(), [m for m in run.heard if isinstance(m, Approved | Refused)]
    assert (book.signals, book.refused) == (len(answers), len([m for m in answers if isinstance(m, Refused)]))


def test_a_turn_says_bars_closed_once() -> None:
    run = Traded(made("liquidity_sweep"))
    run.run(waves(3))
    assert len([message for message in run.heard if isinstance(message, BarsClosed)]) == 3
