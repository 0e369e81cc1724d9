"""Columns of exact numbers: floats whose shortest text is what was written, else decimals.

Any decimal of at most 15 digits is the shortest text of its float; a longer one is looked at. So a column of floats
says what its source said, in eight bytes a number, and one that cannot is kept as decimals.
"""

from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import TypeAlias

from tradebot.model.money import from_float
from tradebot.store.batches import RowFault, is_plain, quoted

Column: TypeAlias = "array[float] | list[Decimal]"
"""Numbers of one kind, all of them exact."""
# Fifteen digits, a point and nothing else.
_SURE_CHARS = 16
# A float has no more, and no market.
_MOST_DIGITS = 300


def parse_column(cells: Sequence[str]) -> Column:
    """Return the numbers of ``cells``. Raises ``ValueError`` when one is none: ``parse_number`` says which."""
    values = array("d", map(float, cells))
    # A sum with a NaN or an infinity in it is one.
    if not isfinite(sum(values)) or not is_plain("".join(cells)):
        raise ValueError("not made of plain numbers")
    if max(map(len, cells), default=0) <= _SURE_CHARS:
        return values
    for cell, value in zip(cells, values, strict=True):
        if len(cell) > _SURE_CHARS and Decimal(cell) != Decimal(repr(value)):
            return list(map(Decimal, cells))
    return values


def parse_number(cell: str) -> Decimal:
    """Return the number of one cell. Raises ``RowFault``."""
    try:
        number = Decimal(cell) if is_plain(cell) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise RowFault(f"{quoted(cell)} is not a number" if cell.strip() else "a number is missing")
    if number.adjusted() >= _MOST_DIGITS:
        raise RowFault(f"{quoted(cell)} is too large for a price or volume")
    return number


def as_decimals(column: Column) -> list[Decimal]:
    """Return the numbers as decimals."""
    return column if isinstance(column, list) else list(map(from_float, column))


def compact(numbers: list[Decimal]) -> Column:
    """Return decimals as floats where all of them are exact as such."""
    values = array("d", map(float, numbers))
    return values if list(map(from_float, values)) == numbers else numbers


def extended(first: Column, second: Column) -> Column:
    """Return ``second`` behind ``first``, which may be the same object as before, longer."""
    if isinstance(first, array) and isinstance(second, array):
        first.extend(second)
        return first
    numbers = as_decimals(first)
    numbers.extend(as_decimals(second))
    return numbers


def picked(column: Column, places: Sequence[int]) -> Column:
    """Return the numbers at ``places``, in that order."""
    at: Callable[[int], float | Decimal] = column.__getitem__
    if isinstance(column, list):
        return [column[place] for place in places]
    return array("d", map(at, places))  # type: ignore[arg-type]  # an array of floats gives floats
