"""What a codec is, and the codecs of single values.

``Codec.encode`` gives what orjson can write and ``Codec.decode`` checks what orjson read, value by value.
"""

import dataclasses
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from math import isfinite
from typing import Any

Encode = Callable[[Any], Any]
Decode = Callable[[Any], Any]
_NON_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


class WrongType(Exception):
    """A stored value that is not of its type; ``path`` leads to it."""

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.path = path


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """``encode`` is ``None`` where orjson writes the value as it is (a Decimal through its default)."""

    encode: Encode | None
    decode: Decode


def number(value: object) -> Decimal:
    """Return the Decimal that the text ``value`` writes."""
    if type(value) is not str:
        raise WrongType(f"{value!r} is not a decimal number as text")
    try:
        return Decimal(value)
    except InvalidOperation:
        raise WrongType(f"{value!r} is not a decimal number") from None


def _exactly(cls: type[object]) -> Decode:
    def read(value: object) -> object:
        if type(value) is not cls:
            raise WrongType(f"{value!r} is not of type {cls.__name__}")
        return value

    return read


def _float_out(value: float) -> float | str:
    # JSON has no NaN and no infinity: orjson would write null.
    return value if isfinite(value) else repr(value)


def _float_in(value: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if type(value) is str and value in _NON_FINITE:
        return _NON_FINITE[value]
    raise WrongType(f"{value!r} is not of type float")


SCALARS: Mapping[object, Codec] = {
    int: Codec(None, _exactly(int)),
    str: Codec(None, _exactly(str)),
    bool: Codec(None, _exactly(bool)),
    float: Codec(_float_out, _float_in),
    Decimal: Codec(None, number),
}


def enum(cls: type[Enum]) -> Codec:
    """Return the codec of ``cls``, which is stored as its value."""
    members = {member.value: member for member in cls}

    def read(value: object) -> object:
        try:
            return members[value]
        except (KeyError, TypeError):
            raise WrongType(f"{value!r} is not one of {', '.join(map(str, members))}") from None

    return Codec(None, read)
