"""Mean prices: as fine as the contract says, and finer where prices are tiny; P&L never depends on them."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import cash, fill
from tradebot.model.money import book, book_fee, mean_price
from tradebot.model.order import OrderSide
from tradebot.model.position import PositionChanged, RoundTrip
from tradebot.pipeline.risk.ledger import Ledger

# Prices of up to six digits, from 1e-10 to 1e9.
PRICES = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(1, 999_999), st.integers(-10, 3)
)
SIZES = st.integers(1, 10**9).map(Decimal)
EIGHT = Decimal("1e-8")


@given(st.lists(st.tuples(PRICES, SIZES), min_size=1, max_size=4))
def test_a_mean_price_is_to_1e_8_and_keeps_nine_digits_of_a_tiny_one(fills: list[tuple[Decimal, Decimal]]) -> None:
    notional, size = sum(price * size for price, size in fills), sum(size for _, size in fills)
    exact = Decimal(notional) / size
    mean = mean_price(Decimal(notional), Decimal(size))
    unit = EIGHT if exact >= Decimal("0.0001") else Decimal(1).scaleb(exact.adjusted() - 8)
    assert abs(mean - exact) <= unit / 2
    assert mean == mean.quantize(unit)
    assert mean > 0


def test_one_fill_at_a_tiny_price_is_told_as_it_was() -> None:
    for text in ("0.00001234", "0.000000012345", "1e-8", "1.5e-10"):
        assert mean_price(Decimal(text) * 7, Decimal(7)) == Decimal(text)


@given(PRICES, PRICES, SIZES)
def test_the_pnl_of_a_tiny_price_is_that_of_its_fills(entry: Decimal, leave: Decimal, size: Decimal) -> None:
    ledger = Ledger(cash(1000))
    (opened,) = ledger.fill(fill("in", OrderSide.BUY, size, entry))
    trip, _ = ledger.fill(fill("out", OrderSide.SELL, size, leave))
    assert isinstance(opened, PositionChanged)
    assert opened.position is not None
    assert isinstance(trip, RoundTrip)
    assert trip.gross_pnl == (size * (leave - entry)).quantize(EIGHT)
    assert ledger.cash == 1000 + trip.net_pnl
    assert opened.position.entry_price == trip.entry_price


def test_no_amount_is_too_large_to_be_booked() -> None:
    absurd = Decimal("9999999999999999") * Decimal("999999999999")
    assert book(absurd) == absurd
    assert book_fee(absurd) == absurd
    assert mean_price(absurd, Decimal("1e-18")) > absurd
