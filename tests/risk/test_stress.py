"""What bad days would cost, and when they liquidate."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import cash, price
from tradebot.pipeline.risk.measures.daily import Panel
from tradebot.pipeline.risk.stress import AtRisk, Stressed, stress
from tradebot.pipeline.risk.stress_days import DAYS

BTC = tuple(n % 7 / 100 - 0.03 for n in range(40))
ETH = tuple(-0.08 if n == 20 else n % 5 / 50 - 0.04 for n in range(40))
PANEL = Panel({"BTC": BTC, "ETH": ETH})


def exposed(symbol: str = "BTC", notional: str = "1000", stop: str | None = None, max_leverage: int = 40) -> AtRisk:
    return AtRisk(
        symbol=symbol, notional=Decimal(notional), mark=price(100), stop=None if stop is None else price(stop),
        max_leverage=max_leverage,
    )  # fmt: skip


def found(*held: AtRisk, equity: str = "10000") -> dict[str, Stressed]:
    return {one.scenario: one for one in stress(held, cash(equity), PANEL)}


def loss(name: str, *held: AtRisk) -> Decimal:
    return found(*held)[name].loss


def test_every_scenario_is_told_and_an_empty_book_loses_nothing() -> None:
    told = found()
    assert list(told) == [
        "flash_crash", "flash_rally", "correlation_to_one", "funding_spike", "gap_over_stop", "exchange_outage",
        *(f"drop_{day}" for day in DAYS),
    ]  # fmt: skip
    assert {(one.loss, one.liquidated) for one in told.values()} == {(0, False)}


def test_a_crash_costs_what_is_long_and_pays_what_is_short() -> None:
    assert loss("flash_crash", exposed(), exposed("ETH", "-400")) == 150
    assert loss("flash_rally", exposed(), exposed("ETH", "-400")) == -150


def test_when_all_moves_against_the_book_no_hedge_helps() -> None:
    hedged = loss("correlation_to_one", exposed(), exposed("ETH", "-1000"))
    alone = loss("correlation_to_one", exposed()), loss("correlation_to_one", exposed("ETH", "-1000"))
    assert hedged == sum(alone)
    assert min(alone) > 0


def test_a_symbol_without_returns_moves_by_a_fifth() -> None:
    assert loss("correlation_to_one", exposed("NEW")) == 200
    assert loss("correlation_to_one", exposed("NEW", "-1000")) == 200
    assert loss("exchange_outage", exposed("NEW")) == 200


def test_an_outage_is_the_worst_day_of_the_window_for_this_book() -> None:
    assert loss("exchange_outage", exposed("ETH")) == 80
    both = [1000 * b - 500 * e for b, e in zip(BTC, ETH, strict=True)]
    assert loss("exchange_outage", exposed(), exposed("ETH", "-500")) == pytest.approx(
        Decimal(repr(-min(both))), abs=Decimal("1e-6")
    )


def test_funding_is_paid_by_all_that_is_held() -> None:
    assert loss("funding_spike", exposed(), exposed("ETH", "-1000")) == 48


@pytest.mark.parametrize(
    ("notional", "stop", "lost"),
    [("1000", "95", 100), ("-1000", "107", 140), ("1000", None, 200), ("-1000", None, 200), ("1000", "104", 0)],
)
def test_a_gap_goes_as_far_behind_the_stop_again(notional: str, stop: str | None, lost: int) -> None:
    assert loss("gap_over_stop", exposed(notional=notional, stop=stop)) == lost


@pytest.mark.parametrize(
    ("symbol", "lost"), [("BTC", "331"), ("BTC-USD", "331"), ("ETHUSDT", "585"), ("kPEPE", "589"), ("1000X", "589")]
)
def test_a_coin_falls_as_it_did_and_an_unknown_one_as_the_worst(symbol: str, lost: str) -> None:
    assert loss("drop_2021-05-19", exposed(symbol)) == Decimal(lost)


def test_an_unknown_coin_held_short_gains_nothing() -> None:
    assert loss("drop_2021-05-19", exposed("kPEPE", "-1000")) == 0
    assert loss("drop_2021-05-19", exposed("BTC", "-1000")) == -331


def test_the_account_is_liquidated_below_its_maintenance_margin() -> None:
    # After the fall 30,000 are worth 22,500, whose margin at leverage 40 is 281.25.
    large = exposed(notional="30000")
    assert not found(large, equity="7781.25")["flash_crash"].liquidated
    assert found(large, equity="7781.24")["flash_crash"].liquidated
    assert found(large, equity="1000")["funding_spike"].liquidated
    assert not found(large, equity="1095")["funding_spike"].liquidated
    assert not any(one.liquidated for one in found(equity="-5").values())


def test_no_price_falls_below_nothing() -> None:
    assert loss("gap_over_stop", exposed(stop="10")) == 1000


@given(
    st.lists(
        st.tuples(st.sampled_from(("BTC", "ETH", "NEW")), st.integers(-5000, 5000)),
        max_size=3,
        unique_by=lambda one: one[0],
    )
)
def test_what_moves_against_every_position_never_pays(held: list[tuple[str, int]]) -> None:
    told = found(*(exposed(symbol, str(notional)) for symbol, notional in held if notional))
    for name in ("correlation_to_one", "funding_spike", "gap_over_stop"):
        assert told[name].loss >= 0
