"""Chance that is a function of a seed and names: the same run gives the same market and the same faults."""

from hashlib import blake2b

_TOP = 1 << 64


def draw(*names: object) -> int:
    """Return 64 bits that follow from ``names``, the seed first."""
    text = "\0".join(map(str, names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def share(*names: object) -> float:
    """Return a number in [0, 1) that follows from ``names``."""
    return draw(*names) / _TOP


def digest(*names: object) -> str:
    """Return a 32-byte hash as the exchange prints them."""
    return "0x" + blake2b("\0".join(map(str, names)).encode(), digest_size=32).hexdigest()
