"""The smart-money strategies and the patterns under them on any bars at all."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import cash, price, qty
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Message
from tradebot.model.message import KINDS
from tradebot.model.order import OrderType
from tradebot.model.position import Position
from tradebot.model.signal import Action, Approved, Refused, Signal, StrategyDisabled
from tradebot.model.time import Nanos, floor_to, parse_timeframe, to_ms
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.scanner import Scanner
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.strategy.base import StrategySpec
from tradebot.pipeline.strategy.bos_orderblock import BosOrderblock
from tradebot.pipeline.strategy.fvg_fill import FvgFill
from tradebot.pipeline.strategy.liquidity_sweep import LiquiditySweep
from tradebot.pipeline.strategy.smart_money import SmartMoney
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.ports import Stage
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.venue import SimulatedVenue

M15 = parse_timeframe("15m")
START = 1_738_368_000_000_000_000
KINDS_OF = {"liquidity_sweep": LiquiditySweep, "fvg_fill": FvgFill, "bos_orderblock": BosOrderblock}
EVERY = pytest.mark.parametrize("kind", sorted(KINDS_OF))
# Steps of a close, in ticks: nothing, a little, and a gap as large as the price.
STEPS = st.sampled_from((0, 0, 1, -1, 1, -1, 2, -3, 5, -7, 40, -40, 900, -900))
WICKS = st.sampled_from((0, 0, 0, 1, 2, 30))


@st.composite
def markets(draw: st.DrawFn, most: int = 220) -> list[Bar]:
    """Bars on a coarse grid, flat ones and equal highs among them, of tiny or huge prices, with holes in time."""
    unit = Decimal(1).scaleb(draw(st.integers(-10, 7)))
    shapes = draw(st.lists(st.tuples(STEPS, STEPS, WICKS, WICKS), min_size=3, max_size=12))
    count = draw(st.integers(1, most).map(lambda n: most - n // 4) | st.integers(1, most))
    holes = draw(st.sets(st.integers(0, most), max_size=6))
    volume = draw(st.sampled_from((0, 1)))
    level, opens_at, bars = draw(st.integers(1, 100)), START, []
    # A few shapes over and over, each time shifted, make swings, gaps and sweeps of any size.
    for number in range(count):
        gap, body, above, below = shapes[(number + number // len(shapes)) % len(shapes)]
        opened = max(1, level + gap)
        level = max(1, opened + body)
        top, bottom = max(opened, level) + above, max(1, min(opened, level) - below)
        opens_at += M15 * (1 + 7 * (number in holes))
        o, h, lo, c = (price(x * unit) for x in (opened, top, bottom, level))
        bars.append(Bar("BTC", M15, Nanos(opens_at), o, h, lo, c, qty(volume * (number % 3))))
    return bars


def made(kind: str, **params: float) -> SmartMoney:
    cls = KINDS_OF[kind]
    chosen: dict[str, Any] = {"swing": 1, "atr_n": 3, "bias_near": 2, "bias_far": 4} | params
    return cls(cls.Params(**chosen))


def decided(kind: str, bars: Sequence[Bar], tick: Decimal) -> list[Message]:
    """What strategy and risk say on the whole line."""
    instruments = {"BTC": Instrument(symbol="BTC", tick=tick, lot=Decimal("1e-8"))}
    heard: list[Message] = []
    factory: Any = lambda: made(kind)  # noqa: E731  # a strategy's own Params are more than the protocol says
    spec = StrategySpec(name="smart", symbols=("BTC",), timeframe=M15, factory=factory)
    stages: dict[StageName, Stage] = {
        StageName.BARS: BarsStage({"BTC": (M15,)}, {}),
        StageName.VENUE: SimulatedVenue(instruments, Costs(), cash(10_000)),
        StageName.ORDERS: OrdersStage(instruments),
        StageName.RISK: RiskStage(instruments, cash(10_000), SizeRule(SizeKind.NOTIONAL, Decimal(100)), Limits()),
        StageName.STRATEGY: StrategyStage([spec], instruments),
    }
    line = Line(stages, dict.fromkeys(KINDS.values(), heard.append))
    for one in bars:
        line.pump(one)
    return [message for message in heard if isinstance(message, Signal | Approved | Refused | StrategyDisabled)]


def assert_sound(signal: Signal) -> None:
    if signal.action is not Action.ENTER:
        return
    assert signal.confidence is not None
    assert 0 <= signal.confidence <= 100
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in signal.factors.values())
    entry = signal.close if signal.entry_price is None else signal.entry_price
    prices = [signal.stop, signal.void_price, *(rung.price for rung in signal.ladder), *signal.levels.values()]
    assert all(one is None or (one.is_finite() and one > 0) for one in prices)
    assert all((rung.price - entry) * signal.side.sign > 0 for rung in signal.ladder)
    assert (signal.entry_type is OrderType.LIMIT) == (signal.entry_price is not None)


@EVERY
@given(bars=markets(), coarse=st.booleans(), data=st.data())
@settings(max_examples=25, deadline=None)
def test_no_market_breaks_a_strategy_or_changes_what_it_said(
    kind: str, bars: list[Bar], coarse: bool, data: st.DataObject
) -> None:
    # A tick finer than the market's grid, or one so coarse that whole patterns fall on one.
    tick = Decimal(1).scaleb(bars[0].close.adjusted() - (0 if coarse else 6))
    whole = decided(kind, bars, tick)
    assert not [message for message in whole if isinstance(message, StrategyDisabled)]
    for message in whole:
        if isinstance(message, Signal):
            assert_sound(message)
    cut = data.draw(st.integers(0, len(bars)))
    part = decided(kind, bars[:cut], tick)
    assert part == whole[: len(part)]
    assert all(m.ts_event > bars[cut - 1].ts_event for m in whole[len(part) :] if cut and isinstance(m, Signal))


@EVERY
@given(bars=markets(120), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_higher_bar_in_the_making_is_never_seen(kind: str, bars: list[Bar], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(bars)))
    strategy = made(kind, bias_near=4, bias_far=16)
    for one in bars[:cut]:
        strategy.on_bar(one, None)
    for scanner, factor in ((strategy.near, 4), (strategy.far, 16)):
        closed = Scanner(PatternParams(L=1, atr_n=3))
        for higher in higher_bars(bars[:cut], M15 * factor):
            closed.take(*higher)
        assert scanner.save() == closed.save()


def higher_bars(bars: Sequence[Bar], length: int) -> list[tuple[int, float, float, float, float, float]]:
    """The higher bars that have closed by the last of ``bars``, by their definition: grouped, whole, and over."""
    groups: dict[int, list[Bar]] = {}
    for one in bars:
        groups.setdefault(one.ts_open - one.ts_open % length, []).append(one)
    found = []
    for opened, parts in groups.items():
        is_first_begun_halfway = parts[0] is bars[0] and parts[0].ts_open != opened
        # A bar whose last part is missing closes with the next bar.
        is_over = parts[-1].ts_event >= opened + length or parts[-1] is not bars[-1]
        if is_over and not is_first_begun_halfway:
            high, low = max(p.high for p in parts), min(p.low for p in parts)
            volume = 0.0
            for part in parts:
                volume += float(part.volume)
            numbers = (parts[0].open, high, low, parts[-1].close)
            found.append((opened // 1_000_000, *map(float, numbers), volume))
    return found


@EVERY
@given(bars=markets(60), data=st.data())
@settings(max_examples=15, deadline=None)
def test_the_last_part_of_a_higher_bar_could_be_anything_until_it_closes(
    kind: str, bars: list[Bar], data: st.DataObject
) -> None:
    """Bars of a higher bar that has not closed do not change the trend of that timeframe."""
    far = M15 * 16
    open_from = next(n for n, one in enumerate(bars) if floor_to(one.ts_open, far) == floor_to(bars[-1].ts_open, far))
    if bars[-1].ts_event == floor_to(bars[-1].ts_open, far) + far or open_from == 0:
        return
    factor = data.draw(st.integers(2, 50))
    strategy, other = made(kind, bias_near=8, bias_far=16), made(kind, bias_near=8, bias_far=16)
    for number, one in enumerate(bars):
        strategy.on_bar(one, None)
        other.on_bar(one if number < open_from else stretched(one, factor), None)
        if number > open_from:
            assert (strategy.far.trend, strategy.far.bars) == (other.far.trend, other.far.bars)


def stretched(one: Bar, factor: int) -> Bar:
    o, h, lo, c = (price(x * factor) for x in (one.open, one.high, one.low, one.close))
    return Bar(one.symbol, one.timeframe, one.ts_event, o, h, lo, c, one.volume)


@given(bars=markets())
@settings(max_examples=60, deadline=None)
def test_no_number_of_the_patterns_is_nan_or_infinite(bars: list[Bar]) -> None:
    scanner = Scanner(PatternParams(L=1, atr_n=2))
    for one in bars:
        numbers = (float(x) for x in (one.open, one.high, one.low, one.close, one.volume))
        for event in scanner.take(to_ms(one.ts_open), *numbers):
            assert all(math.isfinite(x) for x in (event.level, event.top, event.bottom) if x is not None)
            assert event.index <= event.confirmed == scanner.bars - 1
        dealing = scanner.dealing_range
        told = (scanner.atr, scanner.displacement, None if dealing is None else dealing.position)
        assert all(math.isfinite(x) for x in told if x is not None)


@EVERY
@given(bars=markets(80), entry=st.integers(1, 10**12), size=st.sampled_from(("1", "-1")))
@settings(max_examples=25, deadline=None)
def test_a_position_is_cared_for_in_any_market(kind: str, bars: list[Bar], entry: int, size: str) -> None:
    strategy = made(kind, time_stop=20)
    for number, one in enumerate(bars):
        held = qty(size) if number < 10 else qty(Decimal(size) / 2)
        at = price(Decimal(entry).scaleb(-6))
        position = Position(symbol="BTC", strategy="s", qty=held, entry_price=at, entry_ts=Nanos(0))
        for wish in strategy.on_bar(one, position):
            stop = getattr(wish, "stop", None)
            assert stop is None or (stop > 0 and stop.is_finite())
