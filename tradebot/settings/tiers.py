"""How the tiers of a breaker are written: a number, a list of them, or "off"."""

from collections.abc import Sequence
from decimal import Decimal

OFF = "off"
_MOST = 3


def read_tiers(value: object) -> object:
    """Return what was written as a list. Raises ``ValueError`` where it is nothing of the three."""
    if isinstance(value, str) and value.strip() == OFF:
        return ()
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, str | int | float | Decimal):
        return (value,)
    raise ValueError('must be a number, a list of up to 3 rising ones, or "off"')


def check_tiers(tiers: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """Return ``tiers``. Raises ``ValueError`` where they are too many or do not rise."""
    if len(tiers) > _MOST:
        raise ValueError("has more than 3 tiers: reduce the size, reduce only, halt")
    if list(tiers) != sorted(set(tiers)):
        raise ValueError("is a list that does not rise: each tier is above the one before")
    return tiers


def whole_tiers(tiers: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """Return ``tiers``. Raises ``ValueError`` where one is not a whole number."""
    if any(tier != int(tier) for tier in tiers):
        raise ValueError("counts, and takes whole numbers")
    return tiers


def written(tiers: Sequence[Decimal]) -> object:
    """Return ``tiers`` as they are written."""
    if len(tiers) == 1:
        return tiers[0]
    return list(tiers) or OFF
