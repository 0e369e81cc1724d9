"""The one way a JSON document or line becomes bytes."""

from collections.abc import Mapping

import orjson

from tradebot.report.curve import Curve
from tradebot.report.shapes import Json


def document(value: Json) -> bytes:
    """Return ``value`` as compact JSON with a newline at its end. Raises ``TypeError`` on other types."""
    return orjson.dumps(value, default=_fragment, option=orjson.OPT_APPEND_NEWLINE)


def line(row: Mapping[str, Json]) -> bytes:
    """Return one JSON line, newline included."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, Curve):
        return orjson.Fragment(value.json())
    raise TypeError(f"{type(value).__name__} is no JSON")
