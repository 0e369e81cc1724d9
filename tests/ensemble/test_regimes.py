"""Which markets a strategy may enter, and what is said of an entry in another."""

from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args

import pytest

from tests.builders import bar, bars_closed
from tradebot.model.market import Bar, Message
from tradebot.model.order import PositionSide
from tradebot.model.position import Position
from tradebot.model.signal import Action, Refused, Signal
from tradebot.model.time import parse_timeframe
from tradebot.pipeline.strategy import base
from tradebot.pipeline.strategy.base import Enter, Exit, StrategySpec
from tradebot.pipeline.strategy.regime import Regime
from tradebot.pipeline.strategy.stage import StrategyStage, StrategyState
from tradebot.settings.model import fields
from tradebot.store.codec import decode, encode

KNOWN_FROM = 114


class Always:
    """Wishes to leave and to enter at every bar."""

    class Params(base.Params):
        pass

    def __init__(self, params: Any) -> None:
        self.bars = 0

    def on_bar(self, bar: Bar, position: Position | None) -> list[Enter | Exit]:
        self.bars += 1
        return [Enter(PositionSide.LONG)]


def stage(*regimes: str, name: str = "always") -> StrategyStage:
    spec = StrategySpec(name, ("BTC",), parse_timeframe("1m"), lambda: Always(None), regimes=regimes)  # type: ignore[arg-type, return-value]
    return StrategyStage([spec], {})


def rising(count: int, step: str = "1") -> list[Bar]:
    """A market that goes up by ``step`` a bar."""
    return walk([Decimal(1000) + Decimal(step) * number for number in range(count)])


def swinging(count: int) -> list[Bar]:
    """A market that goes nowhere."""
    return walk([Decimal(1000 + abs(number % 8 - 4)) for number in range(count)])


def walk(closes: list[Decimal]) -> list[Bar]:
    """Bars of these closes, each opening at the one before."""
    pairs = pairwise([closes[0], *closes])
    return [bar(number, close, open_=before) for number, (before, close) in enumerate(pairs, 1)]


def run(strategies: StrategyStage, bars: list[Bar]) -> list[Message]:
    return [output for one in bars for output in strategies.handle(bars_closed(one))]


@pytest.mark.parametrize(
    ("bars", "regimes", "passes"),
    [
        (rising(200), ("trend_up",), True),
        (rising(200), ("trend_down", "range"), False),
        (rising(200, "-1"), ("trend_down",), True),
        (swinging(200), ("range",), True),
        (swinging(200), ("trend_up", "trend_down"), False),
        (rising(200), ("usual",), True),
        (rising(200), ("wild", "quiet"), False),
        (rising(200), ("trend_up", "wild"), False),
        (rising(200), ("trend_up", "range", "usual", "wild"), True),
    ],
)
def test_entries_pass_in_the_markets_that_are_named(bars: list[Bar], regimes: tuple[str, ...], passes: bool) -> None:
    answer = run(stage(*regimes), bars)[-1]
    assert isinstance(answer, Signal if passes else Refused), answer


def test_an_entry_in_another_market_is_refused_with_what_the_market_is() -> None:
    refused = run(stage("range", "quiet"), rising(200))[-1]
    assert isinstance(refused, Refused)
    assert refused.gate == "regime"
    assert refused.detail == "the market is trend_up and usual; always enters in: range, quiet"
    assert refused.signal.id == "always-BTC-200"


def test_nothing_is_entered_before_the_regime_is_known() -> None:
    answers = run(stage(*Regime), rising(KNOWN_FROM))
    assert [type(answer) for answer in answers[-2:]] == [Refused, Signal]
    early = answers[0]
    assert isinstance(early, Refused)
    assert early.detail.startswith("the market is not known yet; ")


def test_without_regimes_nothing_is_measured_or_refused() -> None:
    strategies = stage()
    assert all(isinstance(answer, Signal) for answer in run(strategies, rising(5)))
    assert strategies.save().regimes == ()


def test_exits_pass_in_every_market() -> None:
    class Leaves(Always):
        def on_bar(self, bar: Bar, position: Position | None) -> list[Enter | Exit]:
            return [Exit()]

    spec = StrategySpec("leaves", ("BTC",), parse_timeframe("1m"), lambda: Leaves(None), regimes=("wild",))  # type: ignore[arg-type, return-value]
    strategies = StrategyStage([spec], {})
    one = rising(1)[0]
    asker = strategies._askers["leaves", "BTC"]
    asker.position = Position(
        symbol="BTC", strategy="leaves", qty=one.volume, entry_price=one.close, entry_ts=one.ts_event
    )
    (answer,) = run(strategies, [one])
    assert isinstance(answer, Signal)
    assert answer.action is Action.EXIT


@pytest.mark.parametrize("cut", [0, 1, 50, KNOWN_FROM - 1, KNOWN_FROM, 150])
def test_a_restart_anywhere_changes_nothing(cut: int) -> None:
    bars = [*rising(130), *swinging(70)]
    bars = walk([one.close for one in bars])
    whole = stage("trend_up", "range")
    expected = run(whole, bars)
    first = stage("trend_up", "range")
    answers = run(first, bars[:cut])
    second = stage("trend_up", "range")
    second.load(decode(StrategyState, encode(first.save())))
    assert answers + run(second, bars[cut:]) == expected
    assert second.save() == whole.save()


def test_the_configuration_knows_the_same_regimes() -> None:
    assert get_args(fields.Regime) == tuple(Regime)
