"""Limits on what a bad day may cost, and on what moves together."""

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import bar, bars_closed, cash, fill, instrument, replace, signal
from tradebot.model.market import Bar
from tradebot.model.order import OrderSide, PositionSide
from tradebot.model.signal import Approved, Refused, Signal
from tradebot.model.time import DAY, Nanos, Timeframe
from tradebot.pipeline.risk.gates.tail import UNMEASURED
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.measures.tails import TailMethod, as_loss, tail
from tradebot.pipeline.risk.stage import RiskStage

LONG, SHORT = PositionSide
SYMBOLS = ("BTC", "ETH", "SOL")
DAYS = 45
TAILS = ("max_var95", "max_cvar95", "max_var99", "max_cvar99")


def day_bar(symbol: str, day: int, close: Decimal) -> Bar:
    one = bar(close=close, symbol=symbol, timeframe=Timeframe(DAY))
    return Bar(symbol, one.timeframe, Nanos(day * DAY), one.open, one.high, one.low, one.close, one.volume)


def closes(symbol: str) -> list[Decimal]:
    """BTC and ETH move together, SOL by itself; all end at 100."""
    shared, own = random.Random("shared"), random.Random(symbol)
    path, price = [], 100.0
    for _ in range(DAYS):
        path.append(Decimal(f"{price:.1f}"))
        move = own.gauss(0, 0.03) if symbol == "SOL" else shared.gauss(0, 0.03) + own.gauss(0, 0.002)
        price = max(50.0, price * (1 - move))
    return path[::-1]


def stage(size: str = "100", *, equity: str = "100000", days: int = DAYS, **limits: str) -> RiskStage:
    instruments = {symbol: instrument(symbol) for symbol in (*SYMBOLS, "NEW")}
    set_ = Limits({name: Decimal(limit) for name, limit in limits.items()})
    risk = RiskStage(instruments, cash(equity), SizeRule(SizeKind.QTY, Decimal(size)), set_)
    for day in range(DAYS - days, DAYS):
        for symbol in SYMBOLS:
            risk.handle(bars_closed(day_bar(symbol, day + 1, closes(symbol)[day])))
    return risk


def hold(risk: RiskStage, symbol: str, size: int) -> None:
    side = OrderSide.SELL if size < 0 else OrderSide.BUY
    risk.handle(fill(f"t-{symbol}", side, abs(size), symbol=symbol, signal_id=f"cross-{symbol}-0"))


def decide(risk: RiskStage, wish: Signal) -> Approved | Refused:
    (decision,) = risk.handle(replace(wish, ts_event=Nanos(DAYS * DAY)))
    assert isinstance(decision, Approved | Refused)
    return decision


def loss(risk: RiskStage, setting: str, quantities: dict[str, Decimal]) -> Decimal:
    """The loss of a book by hand, at prices of 100."""
    pnl = risk._measures.panel.pnl({symbol: float(qty * 100) for symbol, qty in quantities.items()})
    assert pnl is not None
    level = 0.95 if setting.endswith("95") else 0.99
    found = [tail(pnl, method, level) for method in TailMethod]
    return as_loss(max(one.cvar if "cvar" in setting else one.var for one in found))


@pytest.mark.parametrize("setting", TAILS)
def test_an_entry_is_cut_to_what_a_bad_day_may_cost(setting: str) -> None:
    risk = stage(**{setting: "300"})
    decision = decide(risk, signal())
    assert isinstance(decision, Approved)
    (cut,) = decision.cuts
    assert (cut.gate, cut.limit, cut.value) == (setting, 300, loss(risk, setting, {"BTC": Decimal(100)}))
    assert loss(risk, setting, {"BTC": decision.qty}) <= 300
    assert loss(risk, setting, {"BTC": decision.qty + Decimal("0.001")}) > 300
    (use,) = risk.limits_view()
    assert (use.value, use.scope) == (loss(risk, setting, {"BTC": decision.qty}), "account")


def test_what_is_held_and_at_work_is_part_of_it_and_a_hedge_is_none_too_many() -> None:
    risk = stage(max_var95="300")
    hold(risk, "ETH", 60)
    held = {"ETH": Decimal(60)}
    decision = decide(risk, signal(side=SHORT))
    assert isinstance(decision, Approved)
    # Short of what moves with it: at first the book grows safer.
    assert decision.qty > 60
    assert loss(risk, "max_var95", {**held, "BTC": -decision.qty}) <= 300
    other = decide(risk, signal("cross-SOL-1", symbol="SOL"))
    assert isinstance(other, Refused | Approved)
    if isinstance(other, Approved):
        book = {**held, "BTC": -decision.qty, "SOL": other.qty}
        assert loss(risk, "max_var95", book) <= 300


def test_an_entry_that_makes_a_book_beyond_its_limit_no_riskier_passes_and_any_other_is_refused() -> None:
    risk = stage("50", max_var95="10")
    hold(risk, "ETH", 60)
    assert isinstance(decide(risk, signal(side=SHORT)), Approved)
    refused = decide(risk, signal("cross-SOL-1", symbol="SOL"))
    assert isinstance(refused, Refused)
    assert refused.gate == "max_var95"
    assert refused.limit == 10
    assert refused.detail.startswith("it would make ")
    assert refused.detail.endswith(", and what the limit leaves is below the smallest order")


def test_an_entry_that_comes_exactly_to_the_limit_passes_whole_and_a_cut_one_comes_up_to_it() -> None:
    exactly = loss(stage(), "max_var95", {"BTC": Decimal(100)})
    decision = decide(stage(max_var95=str(exactly)), signal())
    assert isinstance(decision, Approved)
    assert (decision.qty, decision.cuts) == (100, ())
    decision = decide(stage("101", max_var95=str(exactly)), signal())
    assert isinstance(decision, Approved)
    # Money has eight places: a few lots more may lose no more than it shows.
    assert loss(stage(), "max_var95", {"BTC": decision.qty}) == exactly


def test_of_a_book_that_is_at_its_limit_a_hedge_may_grow_until_it_is_there_again() -> None:
    at_limit = loss(stage(), "max_var95", {"ETH": Decimal(60)})
    risk = stage("1000", max_var95=str(at_limit))
    hold(risk, "ETH", 60)
    decision = decide(risk, signal(side=SHORT))
    assert isinstance(decision, Approved)
    assert 60 < decision.qty < 1000
    assert loss(risk, "max_var95", {"ETH": Decimal(60), "BTC": -decision.qty}) <= at_limit


@pytest.mark.parametrize(("days", "symbol"), [(31, "BTC"), (DAYS, "NEW")])
def test_what_cannot_be_measured_is_refused(days: int, symbol: str) -> None:
    risk = stage(days=days, max_var95="1000")
    refused = decide(risk, signal(f"cross-{symbol}-1", symbol=symbol))
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit) == ("max_var95", 1000)
    assert refused.detail == "30 daily returns of each symbol are needed; leave risk.max_var95 out until then"


def test_so_is_any_entry_beside_a_position_that_cannot_be_measured() -> None:
    risk = stage(max_var95="1000")
    hold(risk, "NEW", 1)
    (use,) = risk.limits_view()
    assert (use.value, use.scope) == (0, UNMEASURED)
    assert isinstance(decide(risk, signal()), Refused)


def test_an_empty_book_loses_nothing() -> None:
    assert [(use.value, use.scope) for use in stage(max_var95="1", max_cvar99="1").limits_view()] == [
        (0, "account"),
        (0, "account"),
    ]


def test_symbols_that_move_together_share_a_limit() -> None:
    risk = stage("10", max_cluster_notional="1500")
    hold(risk, "ETH", -10)
    beside = decide(risk, signal())
    assert isinstance(beside, Approved)
    assert beside.qty == 5
    assert [(cut.gate, cut.limit, cut.value) for cut in beside.cuts] == [("max_cluster_notional", 1500, 2000)]
    alone = decide(risk, signal("cross-SOL-1", symbol="SOL"))
    assert isinstance(alone, Approved)
    assert alone.qty == 10
    unknown = decide(risk, signal("cross-NEW-1", symbol="NEW"))
    assert isinstance(unknown, Approved)
    assert unknown.qty == 10
    (use,) = risk.limits_view()
    assert (use.value, use.scope) == (1500, "BTC+ETH")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(TAILS),
    st.integers(20, 3000),
    st.integers(-80, 80),
    st.integers(-80, 80),
    st.sampled_from(PositionSide),
    st.decimals("0.1", "200", places=3),
)
def test_no_entry_takes_a_bad_day_beyond_its_limit_or_further_beyond(
    setting: str, limit: int, eth: int, sol: int, side: PositionSide, size: Decimal
) -> None:
    risk = stage(str(size), **{setting: str(limit)})
    book = {symbol: Decimal(held) for symbol, held in (("ETH", eth), ("SOL", sol)) if held}
    for symbol, held in book.items():
        hold(risk, symbol, int(held))
    before = loss(risk, setting, book) if book else Decimal(0)
    decision = decide(risk, signal(side=side))
    if isinstance(decision, Refused):
        assert decision.gate == setting
        return
    after = loss(risk, setting, {"BTC": decision.qty * side.sign, **book})
    assert after <= max(limit, before)
    if decision.qty < size:
        more = loss(risk, setting, {"BTC": (decision.qty + Decimal("0.001")) * side.sign, **book})
        assert more > limit
