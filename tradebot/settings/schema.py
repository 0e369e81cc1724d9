"""The configuration as JSON Schema (draft 7), by which editors complete a TOML file and mark what cannot be.

It is made of the models. It says less than they do where a schema cannot: ranges of numbers that are written as text,
what must fit together, and what a strategy of a file takes.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tradebot.pipeline.strategy.registry import BUILT_IN
from tradebot.settings.errors import models_in
from tradebot.settings.model import Settings, StrategySettings
from tradebot.settings.model.fields import none_or_table, true_or_table
from tradebot.settings.tiers import OFF, read_tiers

SCHEMA_NAME = "tradebot.schema.json"
_Schema = dict[str, Any]
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
_NUMBER_TEXT = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_MOST_TIERS = 3


def json_schema() -> _Schema:
    """Return the schema of a whole configuration."""
    schema: _Schema = _clean(Settings.model_json_schema())
    models = {model.__name__: model for model in _all_models(Settings)}
    for name, definition in schema["definitions"].items():
        if name in models:
            _widen(models[name], definition)
    strategy = schema["definitions"].pop(StrategySettings.__name__)
    kinds = {kind: cls.Params for kind, cls in BUILT_IN.items()}
    own = [_built_in(schema["definitions"], strategy, kind, params) for kind, params in kinds.items()]
    schema["properties"]["strategy"]["items"] = {"oneOf": [*own, _of_file(strategy)]}
    # A venue without a kind is simulated, as a start assumes; of the feed the kind must be said.
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The configuration of tradebot",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def schema_text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _all_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [found for field in model.model_fields.values() for found in models_in(field.annotation)]
    return [model, *(each for found in inner for each in _all_models(found))]


def _widen(model: type[BaseModel], definition: _Schema) -> None:
    """Let properties take the other forms in which they may be written."""
    for name, field in model.model_fields.items():
        schema = definition["properties"][name]
        for reads, widen in _FORMS.items():
            if reads in _readers(field):
                definition["properties"][name] = _described(widen(schema), schema)


def _readers(field: FieldInfo) -> list[object]:
    return [getattr(item, "func", None) for item in field.metadata]


def _described(schema: _Schema, before: _Schema) -> _Schema:
    return {**schema, **{key: before[key] for key in ("description", "default") if key in before}}


def _or(schema: _Schema, other: _Schema) -> _Schema:
    bare = {key: value for key, value in schema.items() if key not in ("description", "default")}
    return {"anyOf": [bare, other]}


def _tiers(schema: _Schema) -> _Schema:
    rising = {"type": "array", "items": schema["items"], "maxItems": _MOST_TIERS}
    return {"anyOf": [schema["items"], rising, {"const": OFF}]}


_FORMS: Mapping[Callable[[object], object], Callable[[_Schema], _Schema]] = {
    none_or_table: lambda schema: _or(schema, {"const": "none"}),
    true_or_table: lambda schema: _or(schema, {"type": "boolean"}),
    read_tiers: _tiers,
}


def _built_in(definitions: _Schema, strategy: _Schema, kind: str, params: type[BaseModel]) -> _Schema:
    own = _clean(params.model_json_schema())
    definitions.update(own.get("definitions", {}))
    properties = {**strategy["properties"], **own["properties"]}
    properties["kind"] = {"const": kind, "description": (params.__doc__ or kind).strip().splitlines()[0]}
    return {
        "type": "object",
        "title": kind,
        "properties": properties,
        "required": ["kind", *own.get("required", [])],
        "additionalProperties": False,
    }


def _of_file(strategy: _Schema) -> _Schema:
    kind = {**strategy["properties"]["kind"], "pattern": r"\.py:[A-Za-z_][A-Za-z_0-9]*$"}
    return {
        "type": "object",
        "title": "path/to/file.py:Class",
        "properties": {**strategy["properties"], "kind": kind},
        "required": ["kind"],
    }


def _clean(node: Any) -> Any:
    """Return a schema of pydantic without what TOML has not (null) and what editors do not know."""
    if isinstance(node, list):
        return [_clean(item) for item in node if item != {"type": "null"}]
    if not isinstance(node, dict):
        return node.replace("#/$defs/", "#/definitions/") if isinstance(node, str) else node
    found: _Schema = {}
    for key, value in node.items():
        if key in ("properties", "patternProperties", "$defs"):
            found["definitions" if key == "$defs" else key] = {name: _clean(item) for name, item in value.items()}
        elif key == "default":
            found |= {} if value is None else {"default": _without_nulls(value)}
        elif key not in ("title", "discriminator", *_BOUNDS):
            found[key] = _clean(value)
    _bound(found, node)
    if len(found.get("anyOf", ())) == 1:
        found |= found.pop("anyOf")[0]
    return found


def _bound(found: _Schema, node: Mapping[str, Any]) -> None:
    """Hold the number of ``found`` within the bounds that ``node`` gives beside it, and let text be a number."""
    bounds = {_BOUNDS[key]: float(Decimal(str(node[key]))) for key in _BOUNDS if key in node}
    kinds = found.get("anyOf", [])
    if [one.get("type") for one in kinds] == ["number", "string"]:
        kinds[0] |= bounds
        kinds[1]["pattern"] = _NUMBER_TEXT
    else:
        found |= bounds


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
