"""What makes an entry smaller than its size rule: each factor, their order, and that none enlarges."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import bar, bars_closed, cash, fill, instrument, price, qty, replace, signal
from tradebot.model.order import OrderRole, OrderSide
from tradebot.model.signal import Action, Approved, Refused, Signal
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.limits import ConfidenceScale, DrawdownRule, KellyRule, ScaleRule, SizeKind, SizeRule
from tradebot.pipeline.risk.measures.daily import DailyState
from tradebot.pipeline.risk.measures.kelly import kelly
from tradebot.pipeline.risk.measures.measuring import DEFAULT_MEASURES, MeasureRule, Measures
from tradebot.pipeline.risk.measures.moments import deviation
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.report.metrics import win_loss
from tradebot.store.codec import decode, encode

KELLY = KellyRule(fraction=Decimal("0.5"), most=Decimal("0.02"), min_trades=10, least=Decimal("0.1"))
DRAWDOWN = DrawdownRule(from_pct=Decimal(5), to_pct=Decimal(20), least=Decimal("0.25"))
EVERYTHING = ScaleRule(
    volatility=Decimal("0.2"), regime=True, kelly=KELLY, risk_parity=True, min_trades=10, drawdown=DRAWDOWN
)
DAYS = 61


def closes(scale: float, late: float = 1.0) -> tuple[Decimal, ...]:
    moves = np.random.default_rng(5).normal(0, scale, DAYS)
    moves[-15:] *= late
    return tuple(Decimal(repr(round(float(one), 6))) for one in 100 * np.cumprod(1 + moves))


def stage(
    scales: ScaleRule,
    *,
    size: str = "10",
    kind: SizeKind = SizeKind.QTY,
    state: dict[str, object] | None = None,
    scale: ConfidenceScale = ConfidenceScale.NONE,
) -> RiskStage:
    rule = SizeRule(kind, Decimal(size), scale, scales=scales)
    risk = RiskStage({"BTC": instrument(), "ETH": instrument("ETH")}, cash(10_000), rule, {})
    risk.handle(bars_closed(bar()))
    if state:
        risk.load(replace(risk.save(), **state))  # type: ignore[arg-type]
    return risk


def days(path: tuple[Decimal, ...]) -> dict[str, object]:
    known = tuple(price(one) for one in path)
    return {"daily": DailyState(day=DAYS, days=tuple(range(DAYS)), closes={"BTC": known})}


def results(*earned: int, times: int = 4, name: str = "cross") -> dict[str, object]:
    return {"results": {name: tuple(cash(one) for one in earned) * times}}


def decide(risk: RiskStage, wish: Signal | None = None) -> Approved | Refused:
    (decided,) = risk.handle(signal() if wish is None else wish)
    assert isinstance(decided, Approved | Refused)
    return decided


def cuts(risk: RiskStage, wish: Signal | None = None) -> dict[str, Decimal]:
    decided = decide(risk, wish)
    assert isinstance(decided, Approved)
    return {cut.gate: cut.limit for cut in decided.cuts}


def test_without_scales_an_entry_keeps_its_size() -> None:
    assert decide(stage(ScaleRule())).qty == 10  # type: ignore[union-attr]


def test_nothing_known_scales_nothing() -> None:
    assert cuts(stage(EVERYTHING)) == {}


def test_a_position_varies_no_more_than_the_target() -> None:
    path = closes(0.03)
    risk = stage(ScaleRule(volatility=Decimal("0.05")), state=days(path))
    frame = pd.Series([float(one) for one in path]).pct_change().dropna()
    yearly = frame.ewm(alpha=0.06).std().iloc[-1] * 365**0.5
    decided = decide(risk)
    assert isinstance(decided, Approved)
    assert float(decided.cuts[0].limit) == pytest.approx(0.05 / yearly * 10_000 / 1000 * 100, abs=1e-3)
    assert float(decided.qty) == pytest.approx(10 * 0.05 / yearly * 10, rel=1e-3)


def test_volatility_equals_pandas() -> None:
    measures = Measures(MeasureRule(decay=0.94))
    path = closes(0.02, late=2)
    measures.daily.load(DailyState(day=DAYS, days=tuple(range(DAYS)), closes={"BTC": tuple(map(price, path))}))
    frame = pd.Series([float(one) for one in path]).pct_change().dropna()
    assert measures.volatility("BTC") == pytest.approx(frame.ewm(alpha=0.06).std().iloc[-1], rel=1e-9)
    assert measures.usual_volatility("BTC") == pytest.approx(frame.std(), rel=1e-9)
    assert measures.volatility("ETH") is None
    assert measures.usual_volatility("ETH") is None
    assert DEFAULT_MEASURES.window_days == 90


def test_an_unusually_wild_regime_makes_entries_smaller_and_a_calm_one_does_not() -> None:
    wild = cuts(stage(ScaleRule(regime=True), state=days(closes(0.02, late=3))))
    assert 30 < wild["regime_scale"] < 90
    assert cuts(stage(ScaleRule(regime=True), state=days(closes(0.02, late=0.3)))) == {}
    assert cuts(stage(ScaleRule(regime=True, volatility=Decimal("0.1")), state=days((Decimal(100),) * DAYS))) == {}


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60))
def test_kelly_is_that_of_the_report(earned: list[int]) -> None:
    won, lost = [one for one in earned if one > 0], [-one for one in earned if one < 0]
    told = win_loss(len(won), len(lost), Decimal(sum(won)), Decimal(sum(lost)), len(earned))["kelly"]
    assert kelly([float(one) for one in earned]) == (None if told is None or not won else pytest.approx(told))


@given(st.lists(st.integers(-(10**8), 10**8).map(lambda cents: cents / 100), min_size=2, max_size=200))
def test_kelly_and_spread_equal_numpy(earned: list[float]) -> None:
    results = np.array(earned)
    won, lost = results[results > 0], results[results < 0]
    if not len(won) or not len(lost):
        assert kelly(earned) is None
    else:
        share = len(won) / len(results)
        assert kelly(earned) == pytest.approx(share - (1 - share) / (won.mean() / -lost.mean()), rel=1e-9)
    assert deviation(earned) == pytest.approx(results.std(ddof=1), rel=1e-9, abs=1e-9)


def test_kelly_bounds_what_is_lost_at_the_stop() -> None:
    # 60 % won, as much as was lost: Kelly's bet is 0.2, half of it 0.1, and 2 % at most may be risked.
    state = results(10, 10, 10, -10, -10)
    risk = stage(ScaleRule(kelly=KELLY), size="100", state=state)
    wish = signal(stop="90")
    decided = decide(risk, wish)
    assert isinstance(decided, Approved)
    assert decided.qty == 20
    assert cuts(stage(ScaleRule(kelly=KELLY), size="10", state=state), wish) == {}
    # Without a stop all of it may be lost.
    bare = decide(stage(ScaleRule(kelly=KELLY), size="4", state=state), signal(stop=None))
    assert isinstance(bare, Approved)
    assert bare.qty == 2


def test_bad_odds_leave_the_least_so_that_there_is_a_way_back() -> None:
    for earned in ((10, -10, -10), (-10, -10, -10)):
        assert cuts(stage(ScaleRule(kelly=KELLY), state=results(*earned))) == {"kelly_scale": 10}
    assert cuts(stage(ScaleRule(kelly=KELLY), state=results(10, 10, 10))) == {}
    assert cuts(stage(ScaleRule(kelly=KELLY), state=results(-10, times=9))) == {}


def test_a_strategy_whose_results_spread_more_gets_less() -> None:
    wild, calm = (cash(20), cash(-20)) * 5, (cash(5), cash(-5)) * 5
    state: dict[str, object] = {"results": {"cross": wild, "break": calm, "new": (cash(1),)}}
    risk = stage(ScaleRule(risk_parity=True, min_trades=10), state=state)
    assert cuts(risk) == {"risk_parity_scale": 25}
    assert cuts(risk, signal("break-ETH-1", symbol="ETH", strategy="break")) == {}


@pytest.mark.parametrize(
    ("peak", "left"), [("10000", None), ("10500", None), ("10550", "98.93"), ("11428.57", "62.5"), ("20000", "25")]
)
def test_entries_shrink_evenly_between_two_drawdowns(peak: str, left: str | None) -> None:
    risk = stage(ScaleRule(drawdown=DRAWDOWN), state={"peak_equity": cash(peak)})
    found = cuts(risk).get("drawdown_scale")
    assert (found is None) if left is None else found == pytest.approx(Decimal(left), abs=Decimal("0.01"))


def test_an_account_without_a_peak_is_not_in_a_drawdown() -> None:
    risk = stage(ScaleRule(drawdown=DRAWDOWN), state={"peak_equity": cash(0)})
    assert cuts(risk) == {}


def test_all_of_them_multiply_in_a_stated_order() -> None:
    state = {
        **days(closes(0.03, late=3)),
        "results": {"cross": (cash(20), cash(-30)) * 5, "break": (cash(20), cash(-20)) * 5},
        "peak_equity": cash(12_000),
    }
    risk = stage(EVERYTHING, size="1000", state=state, scale=ConfidenceScale.LINEAR)
    decided = decide(risk, sure(80.0))
    assert isinstance(decided, Approved)
    assert [cut.gate for cut in decided.cuts] == [
        "volatility_scale", "regime_scale", "kelly_scale", "risk_parity_scale", "drawdown_scale", "confidence_scale",
    ]  # fmt: skip
    product = Decimal(1000)
    for cut in decided.cuts:
        product = product * cut.limit / 100
    assert decided.qty == instrument().qty_down(product)


def sure(confidence: float, stop: str | None = None) -> Signal:
    return replace(signal(stop=stop), confidence=confidence)


def test_what_the_scales_leave_below_the_smallest_order_is_refused_by_name() -> None:
    decided = decide(stage(ScaleRule(kelly=KELLY), size="0.5", state=results(10, -10, -10)))
    assert isinstance(decided, Refused)
    assert (decided.gate, decided.limit, decided.value) == ("kelly_scale", 10, 100)
    assert decided.detail == "what the kelly leaves is below the smallest order"


def test_round_trips_are_remembered_the_last_200_and_survive_a_restart() -> None:
    risk = stage(ScaleRule(kelly=KELLY), size="1")
    for number in range(205):
        entry = signal(f"cross-BTC-{number}")
        decide(risk, entry)
        risk.handle(fill(f"e{number}", signal_id=entry.id))
        risk.handle(fill(f"x{number}", OrderSide.SELL, at="101", signal_id=f"x{number}", role=OrderRole.EXIT))
    kept = risk.save().results["cross"]
    assert len(kept) == 200
    again = stage(ScaleRule(kelly=KELLY))
    again.load(decode(RiskState, encode(risk.save())))
    assert again.save().results["cross"] == kept
    assert stage(ScaleRule()).save().results == {}


def test_what_holds_now_is_told_by_name() -> None:
    state = {**days(closes(0.03)), **results(10, 10, -10), "peak_equity": cash(12_000)}
    told = stage(EVERYTHING, state=state).sizing_view()
    assert set(told) == {
        "drawdown_scale", "volatility:BTC", "regime_scale:BTC", "kelly:cross", "risk_parity_scale:cross",
    }  # fmt: skip
    assert told["kelly:cross"] == 2
    assert stage(ScaleRule(), state=state).sizing_view() == {}


@given(
    st.integers(-40, 40), st.integers(9_000, 20_000), st.floats(0.001, 0.2), st.floats(0.1, 4), st.floats(0, 100),
    st.sampled_from(list(SizeKind)),
)  # fmt: skip
def test_no_scale_ever_enlarges_a_size(
    luck: int, peak: int, scale: float, late: float, confidence: float, kind: SizeKind
) -> None:
    size = {SizeKind.QTY: "3", SizeKind.NOTIONAL: "900"}.get(kind, "0.02")
    state = {
        **days(closes(scale, late)), **results(10 + luck, -10, 5, -luck, times=5), "peak_equity": cash(peak),
    }  # fmt: skip
    wish = sure(confidence, "95")
    whole = decide(stage(ScaleRule(), size=size, kind=kind), wish)
    assert isinstance(whole, Approved)
    scaled = decide(stage(EVERYTHING, size=size, kind=kind, state=state, scale=ConfidenceScale.LINEAR), wish)
    assert isinstance(scaled, Refused) or qty(0) < scaled.qty <= whole.qty


def trade(risk: RiskStage, number: int, strategy: str, symbol: str, move: int) -> dict[str, Decimal]:
    """Enter at 100, leave ``move`` higher, and return what made the entry smaller."""
    wish = signal(f"{strategy}-{symbol}-{number}", symbol=symbol, strategy=strategy, stop="90")
    decided = decide(risk, wish)
    assert isinstance(decided, Approved)
    name = f"{strategy}{number}"
    about = {"symbol": symbol, "strategy": strategy}
    risk.handle(fill(f"{name}-in", size=decided.qty, signal_id=wish.id, **about))
    leave = signal(f"{name}-out", Action.EXIT, **about)
    risk.handle(leave)
    risk.handle(
        fill(f"{name}-out", OrderSide.SELL, decided.qty, 100 + move, signal_id=leave.id, role=OrderRole.EXIT, **about)
    )
    return {cut.gate: cut.limit for cut in decided.cuts}


def test_results_that_were_made_smaller_do_not_look_steadier() -> None:
    risk = stage(ScaleRule(risk_parity=True, min_trades=10))
    risk.handle(bars_closed(bar(symbol="ETH")))
    found = []
    for number in range(240):
        luck = 1 if number % 2 else -1
        found.append(trade(risk, number, "wild", "BTC", 4 * luck))
        trade(risk, number, "calm", "ETH", luck)
    assert found[9] == {}
    assert found[20] == found[120] == found[239] == {"risk_parity_scale": 25}


def test_small_wins_behind_large_losses_are_not_small_odds() -> None:
    risk = stage(ScaleRule(kelly=KELLY), state={"peak_equity": cash(10_000)})
    for number in range(10):
        trade(risk, number, "cross", "BTC", -2)
    # Ten losses leave a tenth of the size; at that size it wins as much as it lost before, twice as often.
    assert trade(risk, 10, "cross", "BTC", 2) == {"kelly_scale": 10}
    for number in range(11, 30):
        trade(risk, number, "cross", "BTC", 2)
    # Two of three won: Kelly's bet is a third, half of it more than the 2 % of equity that may be risked, 200.
    assert trade(risk, 30, "cross", "BTC", 2) == {}
    assert risk.save().results["cross"][-1] == 20


def test_what_limits_cut_is_not_the_fault_of_the_strategy_either() -> None:
    rule = SizeRule(SizeKind.QTY, Decimal(10), scales=ScaleRule(kelly=KELLY))
    risk = RiskStage({"BTC": instrument()}, cash(10_000), rule, {"max_order_notional": Decimal(250)})
    risk.handle(bars_closed(bar()))
    trade(risk, 1, "cross", "BTC", 3)
    assert risk.save().results["cross"] == (30,)
    wish = signal("cross-BTC-2", stop="90")
    decide(risk, wish)
    # Half of it fills before a restart, half of it after.
    risk.handle(fill("in", size="1", signal_id=wish.id))
    again = RiskStage({"BTC": instrument()}, cash(10_000), rule, {"max_order_notional": Decimal(250)})
    again.load(decode(RiskState, encode(risk.save())))
    again.handle(fill("more", size="1.5", signal_id=wish.id))
    again.handle(fill("out", OrderSide.SELL, "2.5", 99, signal_id="x", role=OrderRole.EXIT))
    assert again.save().results["cross"] == (30, -10)


def test_a_position_of_an_earlier_version_counts_as_it_is() -> None:
    risk = stage(ScaleRule(kelly=KELLY), size="2")
    decide(risk)
    risk.handle(fill(size="2"))
    saved = risk.save()
    older = replace(saved.positions["BTC"], asked_qty=qty(0))
    risk.load(replace(saved, positions={"BTC": older}))
    risk.handle(fill("out", OrderSide.SELL, "2", 101, signal_id="x", role=OrderRole.EXIT))
    assert risk.save().results["cross"] == (2,)
