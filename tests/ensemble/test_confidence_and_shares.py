"""How the confidence of a signal and the share of its strategy bound its size, and what `why` says of it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import bar, bars_closed, cash, fill, instrument, minute, replace, signal
from tradebot.model.order import PositionSide
from tradebot.model.signal import Action, Approved, Cut, Refused, Signal
from tradebot.pipeline.risk.limits import ConfidenceScale, Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.report.why import WhyFold

NO_LIMITS = Limits()
HALF = {"cross": Decimal("0.5")}
FRACTION = SizeRule(SizeKind.EQUITY_FRACTION, Decimal(1))


def stage(size: SizeRule = FRACTION, limits: Limits = NO_LIMITS) -> RiskStage:
    risk = RiskStage({"BTC": instrument(), "ETH": instrument("ETH")}, cash(10_000), size, limits)
    risk.handle(bars_closed(bar()))
    risk.handle(bars_closed(bar(symbol="ETH")))
    return risk


def decide(risk: RiskStage, wish: Signal) -> Approved | Refused:
    (decision,) = risk.handle(wish)
    assert isinstance(decision, Approved | Refused)
    return decision


def approved(risk: RiskStage, wish: Signal) -> Approved:
    decision = decide(risk, wish)
    assert isinstance(decision, Approved), decision
    return decision


def sure(confidence: float | None, wish: Signal | None = None) -> Signal:
    return replace(wish or signal(), confidence=confidence)


def linear(kind: SizeKind = SizeKind.QTY, value: str = "10") -> SizeRule:
    return SizeRule(kind, Decimal(value), ConfidenceScale.LINEAR)


@pytest.mark.parametrize(("confidence", "passes"), [(59.9, False), (60.0, True), (100.0, True), (None, True)])
def test_an_entry_below_the_least_confidence_is_refused(confidence: float | None, passes: bool) -> None:
    decision = decide(stage(limits=Limits(min_confidence=Decimal(60))), sure(confidence))
    if passes:
        assert isinstance(decision, Approved)
    else:
        assert isinstance(decision, Refused)
        assert (decision.gate, decision.limit, decision.value) == ("confidence", Decimal(60), Decimal("59.9"))


def test_an_exit_needs_no_confidence() -> None:
    risk = stage(limits=Limits(min_confidence=Decimal(60)))
    decide(risk, signal())
    risk.handle(fill(size="100"))
    assert approved(risk, sure(1.0, signal("cross-BTC-2", Action.EXIT))).qty == 100


@pytest.mark.parametrize(("confidence", "expected"), [(100.0, "10"), (None, "10"), (60.0, "6"), (33.3333, "3.333")])
def test_a_linear_scale_gives_the_confidence_of_the_size_floored_to_the_lot(
    confidence: float | None, expected: str
) -> None:
    assert approved(stage(linear()), sure(confidence)).qty == Decimal(expected)


def test_without_a_scale_the_confidence_changes_no_size() -> None:
    assert approved(stage(SizeRule(SizeKind.QTY, Decimal(10))), sure(1.0)).qty == 10


def test_limits_cut_what_the_confidence_left() -> None:
    decision = approved(stage(linear(), Limits(max_order_notional=cash(500))), sure(60.0))
    assert decision.qty == 5
    assert decision.cuts == (
        Cut(gate="confidence_scale", limit=Decimal(60), value=Decimal(100)),
        Cut(gate="max_order_notional", limit=Decimal(500), value=Decimal(600)),
    )


def test_a_confidence_that_leaves_too_little_refuses() -> None:
    decision = decide(stage(linear(value="1")), sure(5.0))
    assert isinstance(decision, Refused)
    assert (decision.gate, decision.limit, decision.value) == ("confidence_scale", Decimal(5), Decimal(100))


def test_why_shows_confidence_as_numbers() -> None:
    why = WhyFold()
    why.add(decide(stage(linear()), sure(60.0)))
    why.add(decide(stage(limits=Limits(min_confidence=Decimal(60))), sure(12.5, signal("cross-BTC-2"))))
    refused, scaled = why.rows()
    assert (scaled["confidence"], scaled["gate"], scaled["limit"], scaled["value"]) == (60, "confidence_scale", 60, 100)
    assert (refused["gate"], refused["limit"], refused["value"]) == ("confidence", 60, 12.5)


@pytest.mark.parametrize(("kind", "value"), [(SizeKind.EQUITY_FRACTION, "1"), (SizeKind.RISK_FRACTION, "0.1")])
def test_a_share_is_sized_as_an_account_of_that_part(kind: SizeKind, value: str) -> None:
    whole = approved(stage(SizeRule(kind, Decimal(value))), signal(stop="90")).qty
    half = approved(stage(SizeRule(kind, Decimal(value), shares=HALF)), signal(stop="90")).qty
    other = approved(stage(SizeRule(kind, Decimal(value), shares=HALF)), signal(stop="90", strategy="free")).qty
    assert (half * 2, other) == (whole, whole)


def test_a_share_bounds_its_own_exposure_and_not_that_of_others() -> None:
    size = SizeRule(SizeKind.QTY, Decimal(70), shares=HALF)
    risk = stage(size, Limits(max_exposure_notional=cash(20_000)))
    assert approved(risk, signal("free-ETH-1", symbol="ETH", strategy="free")).qty == 70
    assert approved(risk, signal()).qty == 70
    decision = approved(stage(size, Limits(max_exposure_notional=cash(12_000))), signal())
    assert decision.qty == 60
    assert decision.cuts == (Cut(gate="share_exposure_notional", limit=Decimal(6000), value=Decimal(7000)),)


def test_a_share_bounds_its_own_leverage() -> None:
    decision = approved(
        stage(SizeRule(SizeKind.QTY, Decimal(200), shares=HALF), Limits(max_leverage=Decimal(2))), signal()
    )
    assert decision.qty == 100
    assert decision.cuts == (Cut(gate="share_leverage", limit=Decimal(1), value=Decimal(2)),)


def test_a_share_that_is_used_up_refuses() -> None:
    risk = stage(SizeRule(SizeKind.QTY, Decimal(100), shares=HALF), Limits(max_leverage=Decimal(2)))
    decide(risk, signal("cross-ETH-1", symbol="ETH"))
    decision = decide(risk, signal())
    assert isinstance(decision, Refused)
    assert (decision.gate, decision.limit, decision.value) == ("share_leverage", Decimal(1), Decimal(2))


wishes = st.lists(
    st.tuples(
        st.sampled_from(("cross", "break", "free")),
        st.sampled_from(("BTC", "ETH", "SOL", "XRP", "BNB")),
        st.sampled_from(PositionSide),
        st.integers(1, 500),
        st.one_of(st.none(), st.floats(0, 100)),
    ),
    max_size=12,
)


@given(wishes)
def test_whatever_is_asked_no_strategy_holds_more_than_its_share(
    asked: list[tuple[str, str, PositionSide, int, float | None]],
) -> None:
    shares = {"cross": Decimal("0.3"), "break": Decimal("0.5")}
    limits = Limits(max_leverage=Decimal(3), max_exposure_notional=cash(25_000), min_confidence=Decimal(20))
    rule = SizeRule(SizeKind.QTY, Decimal(120), ConfidenceScale.LINEAR, shares)
    risk = RiskStage({}, cash(10_000), rule, limits)
    held: dict[str, Decimal] = {}
    decided = 0
    for number, (strategy, symbol, side, close, confidence) in enumerate(asked):
        wish = signal(f"{strategy}-{symbol}-{number}", side=side, symbol=symbol, strategy=strategy, close=close)
        decision = decide(risk, sure(confidence, wish))
        decided += 1
        if isinstance(decision, Refused):
            continue
        assert confidence is None or confidence >= 20
        assert decision.qty <= Decimal(120) * Decimal(str(confidence if confidence is not None else 100)) / 100
        held[strategy] = held.get(strategy, Decimal(0)) + decision.qty * close
    assert risk.save().signals == decided
    for strategy, share in shares.items():
        assert held.get(strategy, 0) <= share * 25_000
    assert sum(held.values()) <= 25_000


def test_the_bounds_of_a_share_survive_a_restart() -> None:
    rule = SizeRule(SizeKind.QTY, Decimal(60), shares=HALF)
    limits = Limits(max_leverage=Decimal(2))
    risk = stage(rule, limits)
    decide(risk, signal("cross-ETH-1", symbol="ETH", ts_event=minute(1)))
    again = stage(rule, limits)
    again.load(risk.save())
    assert decide(again, signal()) == decide(risk, signal())
