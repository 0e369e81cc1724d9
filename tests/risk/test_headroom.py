"""What is left of the equity after the worst of bad days, as a limit on entries."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import bar, bars_closed, cash, fill, instrument, signal
from tests.risk.test_tail_limits import hold
from tests.risk.test_tail_limits import stage as measured
from tradebot.model.order import PositionSide
from tradebot.model.signal import Approved, Refused, Signal
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.risk.stress import AtRisk, stress

D = Decimal
LONG, SHORT = PositionSide


def stage(size: str = "1000", limit: str | None = "40") -> RiskStage:
    """A book of 10,000 at prices of 100, of which nobody knows how they move, with a leverage of 40."""
    instruments = {symbol: instrument(symbol) for symbol in ("BTC", "ETH")}
    limits = Limits() if limit is None else Limits(min_headroom_pct=D(limit))
    risk = RiskStage(instruments, cash(10_000), SizeRule(SizeKind.QTY, D(size)), limits)
    for symbol in instruments:
        risk.handle(bars_closed(bar(symbol=symbol)))
    return risk


def decide(risk: RiskStage, wish: Signal) -> Approved | Refused:
    (decision,) = risk.handle(wish)
    assert isinstance(decision, Approved | Refused)
    return decision


def left(*held: tuple[str, Decimal, str | None]) -> Decimal:
    """What the worst scenario leaves of 10,000 that holds so much of each symbol, with its stop."""
    book = [
        AtRisk(
            symbol=symbol, notional=qty * 100, mark=cash(100), stop=None if stop is None else cash(stop),  # type: ignore[arg-type]
            max_leverage=40,
        )
        for symbol, qty, stop in held
    ]  # fmt: skip
    return min(one.headroom for one in stress(book, cash(10_000), stage()._measures.panel))


@pytest.mark.parametrize(("side", "scenario"), [(LONG, "drop_2021-05-19"), (SHORT, "flash_rally")])
def test_an_entry_is_cut_to_what_the_worst_day_leaves(side: PositionSide, scenario: str) -> None:
    risk = stage()
    decision = decide(risk, signal(side=side, stop=str(100 - 5 * side.sign)))
    assert isinstance(decision, Approved)
    (cut,) = decision.cuts
    assert (cut.gate, cut.limit) == ("stress_headroom", 40)
    assert cut.value == round(left(("BTC", D(1000) * side.sign, "95")) / 100, 4)
    stop = str(100 - 5 * side.sign)
    assert left(("BTC", decision.qty * side.sign, stop)) >= 4000
    assert left(("BTC", (decision.qty + D("0.001")) * side.sign, stop)) < 4000
    (use,) = risk.limits_view()
    assert (use.limit, use.max, use.scope) == ("min_headroom_pct", 40, scenario)
    assert use.value == round(left(("BTC", decision.qty * side.sign, stop)) / 100, 4)
    assert 99 < use.pct_used <= 100


def test_an_empty_book_has_all_of_it_free() -> None:
    (use,) = stage().limits_view()
    assert (use.value, use.pct_used, use.scope) == (100, 40, "account")


def test_without_the_limit_nothing_is_cut() -> None:
    risk = stage(limit=None)
    decision = decide(risk, signal())
    assert isinstance(decision, Approved)
    assert not decision.cuts
    assert risk.limits_view() == ()


def test_of_a_book_beyond_its_limit_only_what_makes_it_no_worse_is_entered() -> None:
    risk = measured("50", equity="10000", min_headroom_pct="90")
    hold(risk, "ETH", 50)
    (use,) = risk.limits_view()
    assert use.pct_used == 100
    refused = decide(risk, signal("cross-SOL-1", symbol="SOL"))
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit) == ("stress_headroom", 90)
    assert refused.detail.startswith("after ")
    assert refused.detail.endswith("free, what the limit leaves is below the smallest order")


def test_a_hedge_of_a_book_beyond_its_limit_is_entered_whole() -> None:
    risk = stage("20", "99")
    hold(risk, "ETH", 50)
    (before,) = risk.limits_view()
    assert before.pct_used == 100
    decision = decide(risk, signal(side=SHORT, stop="101"))
    assert isinstance(decision, Approved)
    assert (decision.qty, decision.cuts) == (20, ())
    (after,) = risk.limits_view()
    assert after.value >= before.value


def test_an_entry_that_leaves_exactly_the_limit_passes_whole_and_a_cut_one_comes_up_to_it() -> None:
    exactly = str(left(("BTC", D(-75), "101")) / 100)
    for size in ("75", "75.001", "80"):
        decision = decide(stage(size, exactly), signal(side=SHORT, stop="101"))
        assert isinstance(decision, Approved)
        assert (decision.qty, len(decision.cuts)) == (75, size != "75")


def test_entries_at_work_count_as_filled_with_their_stops() -> None:
    risk, alone = stage("100", "60"), stage("100", "60")
    first = decide(risk, signal(stop="60"))
    assert isinstance(first, Approved)
    beside = decide(risk, signal("cross-ETH-1", symbol="ETH", stop="60"))
    whole = decide(alone, signal("cross-ETH-1", symbol="ETH", stop="60"))
    assert isinstance(whole, Approved)
    got = beside.qty if isinstance(beside, Approved) else D(0)
    assert got < whole.qty
    assert left(("BTC", first.qty, "60"), ("ETH", got, "60")) >= 6000
    risk.handle(fill(size=first.qty))
    (use,) = risk.limits_view()
    assert use.value == round(left(("BTC", first.qty, "60"), ("ETH", got, "60")) / 100, 4)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 99),
    st.integers(-300, 300),
    st.sampled_from(PositionSide),
    st.integers(1, 60),
    st.integers(1, 2000),
)
def test_no_entry_takes_the_worst_day_beyond_the_limit_or_further_beyond(
    limit: int, other: int, side: PositionSide, distance: int, size: int
) -> None:
    risk = stage(str(size), str(limit))
    held = [("ETH", D(other), None)] if other else []
    if other:
        hold(risk, "ETH", other)
    stop = str(100 - distance * side.sign)
    decision = decide(risk, signal(side=side, stop=stop))
    before = left(*held)
    if isinstance(decision, Refused):
        assert decision.gate == "stress_headroom"
        assert left(*held, ("BTC", size * D(side.sign), stop)) < min(limit * 100, before)
        assert before < limit * 100 or left(*held, ("BTC", D("0.1") * side.sign, stop)) < limit * 100
        return
    after = left(*held, ("BTC", decision.qty * side.sign, stop))
    assert after >= min(limit * 100, before)
    if decision.qty < size:
        assert left(*held, ("BTC", (decision.qty + D("0.001")) * side.sign, stop)) < limit * 100
