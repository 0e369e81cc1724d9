"""What a strategy may not say: one rule for prices, and how values are named when they are refused."""

from decimal import Decimal

# Beyond it a price has no digits left for its ticks.
_HIGHEST_PRICE = Decimal("1e12")


class Nonsense(Exception):
    """A wish that means nothing; the text says why."""


def given_price(name: str, price: object, owner: str = "Enter") -> Decimal | None:
    """Return a price that a wish gives, or ``None`` where it gives none. Raises ``Nonsense``."""
    if price is None:
        return None
    if type(price) is not Decimal or not price.is_finite() or price <= 0:
        raise Nonsense(f"{owner}.{name} is {said(price)}, not a Decimal above 0")
    if price > _HIGHEST_PRICE:
        raise Nonsense(f"{owner}.{name} is above {_HIGHEST_PRICE:f}")
    return price


def said(value: object) -> str:
    """Name a value in a way that is the same in every run: objects by their type only."""
    if value is None or type(value) in (int, float, bool, str, Decimal):
        return repr(value)[:80]
    return f"a {type(value).__name__}"
