"""Rounding to ticks: where nobody said the tick it follows the price, however small that is."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import instrument
from tests.builders import price as at
from tradebot.model.instrument import Instrument
from tradebot.model.money import BOOKING_UNIT, Price
from tradebot.model.order import OrderSide, OrderType

# Of up to twelve digits, from 1e-12 to 1e6.
PRICES = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent - len(str(digits)) + 1),
    st.integers(1, 10**12 - 1),
    st.integers(-12, 5),
)
ASSUMED = Instrument(symbol="PEPE")
BUY, SELL = OrderSide.BUY, OrderSide.SELL
ROUNDINGS = (ASSUMED.price_down, ASSUMED.price_up)


@pytest.mark.parametrize("rounded", ROUNDINGS)
@given(price=PRICES)
def test_an_assumed_tick_costs_no_price_a_hundredth_of_a_percent(
    rounded: Callable[[Decimal], Price], price: Decimal
) -> None:
    found = rounded(price)
    assert found > 0
    assert abs(found - price) <= price * Decimal("0.00001")
    assert found % ASSUMED.tick_at(found) == 0
    assert rounded(found) == found


@given(PRICES, st.decimals("0.0001", "10000", allow_nan=False, allow_infinity=False))
def test_the_grid_of_a_larger_price_is_part_of_that_of_a_smaller(price: Decimal, factor: Decimal) -> None:
    found = ASSUMED.price_up(price)
    assert found % ASSUMED.tick_at(price * min(1, factor)) == 0


@given(PRICES.filter(lambda price: price >= Decimal("0.001")))
def test_ordinary_prices_have_the_ordinary_tick(price: Decimal) -> None:
    assert ASSUMED.tick_at(price) == BOOKING_UNIT
    assert ASSUMED.price_up(price) == Instrument(symbol="PEPE", tick=BOOKING_UNIT).price_up(price)


def test_a_tick_that_was_given_holds_for_every_price() -> None:
    given_tick = Instrument(symbol="PEPE", tick=Decimal("1e-8"))
    assert given_tick.price_up(Decimal("1.5e-8")) == Decimal("2e-8")
    assert given_tick.tick_at(Decimal("1.5e-8")) == Decimal("1e-8")


def test_zero_and_what_is_below_stay_on_the_ordinary_grid() -> None:
    assert ASSUMED.tick_at(Decimal(0)) == ASSUMED.tick_at(Decimal("0E-30")) == BOOKING_UNIT
    assert ASSUMED.price_down(Decimal("-0.5")) == Decimal("-0.5")


@pytest.mark.parametrize("rules", [{"tick": Decimal(0)}, {"lot": Decimal(0)}, {"max_leverage": 0}])
def test_rules_that_are_not_positive_are_refused(rules: dict[str, Decimal]) -> None:
    with pytest.raises(ValueError, match="PEPE"):
        Instrument(symbol="PEPE", **rules)  # type: ignore[arg-type]  # the dict is of all their types


@pytest.mark.parametrize(
    ("type_", "side", "expected"),
    [
        (OrderType.MARKET, BUY, (None, None)),
        (OrderType.LIMIT, BUY, ("100.0", None)),
        (OrderType.LIMIT, SELL, ("100.1", None)),
        (OrderType.STOP_MARKET, BUY, (None, "100.1")),
        (OrderType.STOP_MARKET, SELL, (None, "100.0")),
    ],
)
def test_an_entry_waits_on_the_tick(type_: OrderType, side: OrderSide, expected: tuple[str | None, str | None]) -> None:
    found = instrument(tick="0.1").entry_prices(type_, at("100.05"), side)
    assert found == tuple(None if one is None else at(one) for one in expected)


@pytest.mark.parametrize("type_", [OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP])
def test_some_types_are_no_entries(type_: OrderType) -> None:
    with pytest.raises(ValueError, match="no entry"):
        instrument().entry_prices(type_, at(100), BUY)
