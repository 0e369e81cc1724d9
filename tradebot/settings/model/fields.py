"""What values of settings are made of: their types, how they are read, and how they are shown."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)

from tradebot.model.money import plain
from tradebot.model.time import parse_timeframe, timeframe_name
from tradebot.settings.dataspec import parse_series, parse_stored, parse_symbol_file

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"
STORED_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
SYMBOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,31}$"


def _timeframe(text: str) -> str:
    return timeframe_name(parse_timeframe(text))


def _series(text: str) -> str:
    parse_series(text)
    return text


def _stored(text: str) -> str:
    parse_stored(text.partition("=")[0])
    return text


def _symbol_file(text: str) -> str:
    parse_symbol_file(text)
    return text


def _speed(value: object) -> object:
    if value == "max":
        return value
    try:
        factor = float(str(value))
    except ValueError:
        factor = 0.0
    if isinstance(value, bool) or not 0 < factor <= 1e9:
        raise ValueError('must be "max" or market seconds per real second, above 0 and up to 1e9')
    return factor


def _start(value: object) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("must be a time such as 2025-01-01T00:00:00Z") from error
    if not isinstance(value, datetime):
        raise ValueError("must be a time such as 2025-01-01T00:00:00Z")
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if not datetime(1980, 1, 1, tzinfo=UTC) <= value < datetime(2200, 1, 1, tzinfo=UTC):
        raise ValueError("must be between 1980 and 2200")
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def none_or_table(value: object) -> object:
    """Return ``None`` for "none", else the table. Raises ``ValueError``."""
    if value is None or value == "none":
        return None
    if not isinstance(value, Mapping | BaseModel):
        raise ValueError('must be "none" or a table with its kind')
    return value


def true_or_table(value: object) -> object:
    """Return ``None`` for false, the usual table for true, else the table. Raises ``ValueError``."""
    # pydantic gives the environment's words as text.
    if value is None or value is False or value == "false":
        return None
    if value is True or value == "true":
        return {"kind": "distance"}
    if not isinstance(value, Mapping | BaseModel):
        raise ValueError("must be true, false or a table with its kind")
    return value


def _no_truth(value: object) -> object:
    # pydantic would read true as 1.
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _one_form(number: Decimal) -> Decimal:
    # 1.0 and 1 are one setting, and must make prices with the same digits.
    return Decimal(plain(number))


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``values``. Raises ``ValueError`` where one stands there twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there twice")
    return values


def _as_number(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _as_number(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_number(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _webhook(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if len(text) > 1000 or not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s#]*)?", text):
        raise ValueError("is not a URL such as https://example.org/path")
    return url


def place_of(url: SecretStr) -> str:
    """Return what of a secret URL may be shown: its host, since the path is as good as a password."""
    place = urlsplit(url.get_secret_value())
    return f"{place.scheme}://{place.hostname}" + (f":{place.port}" if place.port else "") + "/..."


Int = Annotated[int, BeforeValidator(_no_truth)]
Number = Annotated[float, BeforeValidator(_no_truth)]
Exact = Annotated[Decimal, BeforeValidator(_no_truth), AfterValidator(_one_form)]
TimeframeText = Annotated[str, AfterValidator(_timeframe)]
SeriesText = Annotated[str, AfterValidator(_series)]
StoredText = Annotated[str, AfterValidator(_stored)]
SymbolFileText = Annotated[str, AfterValidator(_symbol_file)]
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN)]
SecretName = Annotated[str, Field(pattern=STORED_NAME_PATTERN)]
VaultPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9._-]+)*$", max_length=200)]
Symbols = Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=500), AfterValidator(unique)]
Regime = Literal["trend_up", "trend_down", "range", "quiet", "usual", "wild"]
_SPEEDS = {
    "anyOf": [
        {"const": "max"},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9},
        {"type": "string", "pattern": r"^\d+\.?\d*$"},
    ]
}
Speed = Annotated[Any, BeforeValidator(_speed), WithJsonSchema(_SPEEDS)]
Start = Annotated[str, BeforeValidator(_start)]
Parameter = Annotated[Any, PlainSerializer(_as_number, when_used="json")]
SecretUrl = Annotated[SecretStr, AfterValidator(_webhook), PlainSerializer(place_of, when_used="json")]


class Section(BaseModel):
    """A table of the configuration: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
