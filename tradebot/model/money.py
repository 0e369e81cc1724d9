"""Money is ``Decimal`` in named units, rounded only here and in ``Instrument``, in a named direction.

Fees, funding and realized P&L are booked at 1e-8, so that a sum does not depend on where a run was cut.
"""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import NewType

Price = NewType("Price", Decimal)
Qty = NewType("Qty", Decimal)
"""A quantity of the base asset; signed where it is a position (short < 0), else > 0."""
Cash = NewType("Cash", Decimal)
Ratio = NewType("Ratio", Decimal)

# All money is reckoned in this context, whatever the program around us or a library of it has set.
MONEY_CONTEXT = Context(
    prec=28,
    rounding=ROUND_HALF_EVEN,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
# Room for whatever an account may hold or a venue may say: rounding to 1e-8 fails for no amount, however absurd.
_WIDE = Context(prec=80, traps=[InvalidOperation, DivisionByZero, Overflow])
ZERO = Decimal(0)
ONE = Decimal(1)
BOOKING_UNIT = Decimal("1e-8")
BPS = Decimal("0.0001")
# The exponent of a price of which 1e-8 leaves fewer than five digits.
_FEW_DIGITS = -4


def book(amount: Decimal) -> Cash:
    """Return ``amount`` as booked: to 1e-8, half to even."""
    # By position: the keyword would cost as much as the rounding.
    return Cash(amount.quantize(BOOKING_UNIT, ROUND_HALF_EVEN, _WIDE))


def book_fee(amount: Decimal) -> Cash:
    """Return the fee ``amount`` as booked: to 1e-8, up (against us; a rebate, < 0, shrinks)."""
    return Cash(amount.quantize(BOOKING_UNIT, ROUND_CEILING, _WIDE))


def mean_price(notional: Decimal, qty: Decimal) -> Price:
    """Return the size-weighted price ``notional / qty``, to 1e-8, half to even; below 0.0001 to nine digits.

    Nothing is reckoned from it: P&L comes from cost. It is told, and a strategy may put its stop there, for which
    1e-8 would be too coarse where prices are not much larger.

    >>> mean_price(Decimal("200.1"), Decimal(3)), mean_price(Decimal("2e-8"), Decimal(3))
    (Decimal('66.70000000'), Decimal('6.66666667E-9'))
    """
    price = notional / qty
    places = price.adjusted()
    if places < _FEW_DIGITS:
        return Price(price.quantize(ONE.scaleb(places - 8), ROUND_HALF_EVEN, _WIDE))
    return Price(price.quantize(BOOKING_UNIT, ROUND_HALF_EVEN, _WIDE))


def rounded(number: Decimal, places: int) -> Decimal:
    """Return ``number`` as it is told: to so many places, half to even. ``round`` fails where it is absurdly large.

    >>> rounded(Decimal("1e25"), 8)
    Decimal('10000000000000000000000000.00000000')
    """
    return number.quantize(ONE.scaleb(-places), ROUND_HALF_EVEN, _WIDE)


def from_float(value: float) -> Decimal:
    """Return the Decimal of the shortest text that reads back to ``value``.

    Raises ``ValueError`` on NaN and infinities.

    >>> from_float(0.1)
    Decimal('0.1')
    """
    number = Decimal(repr(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return number


def plain(number: Decimal) -> str:
    """Return ``number`` in plain notation, without exponent or trailing zeros.

    >>> plain(Decimal("1E+2")), plain(Decimal("0.50")), plain(Decimal("-0.0"))
    ('100', '0.5', '0')
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
