"""The parameters of the patterns."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

from tradebot.model.errors import UsageError
from tradebot.model.near import did_you_mean

Number: TypeAlias = "int | float"

# The ring of a swing is twice as long; longer ones would only fill the memory.
_LONGEST_RING = 1_000_000
_LARGEST_WHOLE = 2**53


class BadParameter(UsageError, ValueError):
    """A parameter that does not exist or does not fit."""


@dataclass(frozen=True, slots=True)
class PatternParams:
    """The parameters of all patterns, checked. Raises ``BadParameter``.

    ``L`` is the swing strength in bars, ``atr_n`` the length of the ATR in bars, ``min_gap_atr`` the least size
    of a gap in ATRs (0: any), ``zone_max_age`` the bars after which zones are forgotten, ``max_levels`` the
    open liquidity levels a side, ``pool_atr`` the reach of a pool in ATRs.
    """

    L: int = 5
    atr_n: int = 14
    min_gap_atr: float = 0.0
    zone_max_age: int = 500
    max_levels: int = 50
    pool_atr: float = 0.25

    def __post_init__(self) -> None:
        _check_whole("L", self.L, 1, _LONGEST_RING)
        _check_whole("atr_n", self.atr_n, 1, _LARGEST_WHOLE)
        _check_whole("zone_max_age", self.zone_max_age, 0, _LARGEST_WHOLE)
        _check_whole("max_levels", self.max_levels, 1, _LARGEST_WHOLE)
        _check_size("min_gap_atr", self.min_gap_atr)
        _check_size("pool_atr", self.pool_atr)


PARAM_NAMES: tuple[str, ...] = tuple(field.name for field in fields(PatternParams))


def params_of(given: Mapping[str, object]) -> PatternParams:
    """Return the parameters with ``given`` in place of defaults. Raises ``BadParameter``."""
    unknown = [name for name in given if name not in PARAM_NAMES]
    if unknown:
        raise BadParameter(f"no pattern has a parameter {unknown[0]}", mend=did_you_mean(unknown[0], PARAM_NAMES))
    return PatternParams(**given)  # type: ignore[arg-type]  # checked by the class itself


def parse_params(settings: "list[str] | tuple[str, ...]") -> PatternParams:
    """Return the parameters that ``NAME=VALUE`` texts set, later ones winning. Raises ``BadParameter``."""
    given: dict[str, object] = {}
    for setting in settings:
        name, has_value, text = setting.partition("=")
        if not has_value:
            raise BadParameter(f"{setting!r} is not NAME=VALUE", where="--param", mend="write it as L=5")
        given[name.strip()] = _number(name.strip(), text.strip())
    return params_of(given)


def _number(name: str, text: str) -> Number:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise BadParameter(f"{name}={text} is not a number") from None


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise BadParameter(f"{name} is {value}, but must be a whole number from {least} to {most}")


def _check_size(name: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 <= value <= 1e9:  # type: ignore[operator]  # a number, as just seen
        raise BadParameter(f"{name} is {value}, but must be a number from 0 to 1e9")
