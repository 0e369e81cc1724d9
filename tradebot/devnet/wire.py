"""Texts of the protocol: numbers, addresses and ids, and the two ways in which a request fails.

Decimals are strings in plain notation; whole numbers keep one decimal. Times are milliseconds.
"""

import re
from decimal import Decimal

from tradebot.model.money import plain

MAX_DECIMALS = 8
_NUMBER = re.compile(r"\d{1,18}(\.\d{0,30})?")
_ADDRESS = re.compile(r"(0x)?([0-9a-fA-F]{40})")
_CLOID = re.compile(r"0x[0-9a-fA-F]{32}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,64}")

Json = dict[str, object]


class Malformed(Exception):
    """A request that does not fit its schema: HTTP 422, as text."""


class RefusedWhole(Exception):
    """A request that the exchange refuses as a whole: HTTP 200 with ``status`` ``err``."""


def number(value: Decimal) -> str:
    """Return ``value`` as on the wire.

    >>> number(Decimal("29258")), number(Decimal("0.50"))
    ('29258.0', '0.5')
    """
    text = plain(value)
    return text if "." in text else text + ".0"


def rounded(value: Decimal, digits: int = 6) -> str:
    """Return ``value`` on the wire with at most ``digits`` decimals."""
    return number(round(value, digits))


def read_decimal(value: object) -> Decimal:
    """Return the number a client sent. Raises ``Malformed`` unless it is a plain, unsigned text of 8 decimals."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise Malformed(f"{value!r} is not a decimal")
    read = Decimal(value)
    if read != round(read, MAX_DECIMALS):
        raise Malformed(f"{value} has more than {MAX_DECIMALS} decimals")
    return read


def read_int(value: object) -> int:
    """Return an unsigned integer. Raises ``Malformed``."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise Malformed(f"{value!r} is not an unsigned integer")
    return value


def read_signed(value: object) -> int:
    """Return an integer of either sign. Raises ``Malformed``."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        raise Malformed(f"{value!r} is not an integer")
    return value


def read_bool(value: object) -> bool:
    """Return a boolean. Raises ``Malformed``."""
    if not isinstance(value, bool):
        raise Malformed(f"{value!r} is not a boolean")
    return value


def read_str(value: object) -> str:
    """Return a text. Raises ``Malformed``."""
    if not isinstance(value, str):
        raise Malformed(f"{value!r} is not a string")
    return value


def read_address(value: object) -> str:
    """Return an address in lower case, with ``0x``. Raises ``Malformed``."""
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Malformed(f"{value!r} is not an address")
    return "0x" + match[2].lower()


def read_cloid(value: object) -> str:
    """Return a client order id in lower case. Raises ``Malformed`` unless it is 0x and 32 hex digits."""
    if not isinstance(value, str) or not _CLOID.fullmatch(value):
        raise Malformed(f"{value!r} is not a client order id")
    return value.lower()


def read_scalar(value: object) -> int:
    """Return the number behind ``0x`` and 1 to 64 hex digits, as signatures have them. Raises ``Malformed``."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise Malformed(f"{value!r} is not hex")
    return int(value, 16)


def read_object(value: object) -> Json:
    """Return a JSON object. Raises ``Malformed``."""
    if not isinstance(value, dict):
        raise Malformed(f"{value!r} is not an object")
    return value


def read_list(value: object) -> list[object]:
    """Return a JSON array. Raises ``Malformed``."""
    if not isinstance(value, list):
        raise Malformed(f"{value!r} is not an array")
    return value


def field(source: Json, name: str) -> object:
    """Return a required field. Raises ``Malformed``."""
    if name not in source:
        raise Malformed(f"missing field `{name}`")
    return source[name]
