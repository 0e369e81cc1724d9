"""What is wrong with a configuration, all of it at once, each with its place and its mend."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tradebot.model.errors import ConfigError
from tradebot.model.money import plain
from tradebot.model.near import did_you_mean

_HEX_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_LONGEST_ECHO = 80
_BOUNDS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``key`` is its dotted path, ``where`` the file and line, variable or option."""

    key: str
    what: str
    where: str = ""
    mend: str = ""

    def __str__(self) -> str:
        text = f"{self.key}: {self.what}" if self.key else self.what
        return f"{self.where}: {text}" if self.where else text


class BadSettings(ConfigError):
    """A configuration with problems; all of them are in ``problems``."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems)
        first = self.problems[0]
        if len(self.problems) == 1:
            what = f"{first.key}: {first.what}" if first.key else first.what
            super().__init__(what, where=first.where, mend=first.mend)
            return
        lines = "".join(f"\n  {problem}" + (f" ({problem.mend})" if problem.mend else "") for problem in self.problems)
        super().__init__(
            f"{len(self.problems)} problems in the configuration:{lines}",
            mend="mend them all, then run `tradebot config check`",
        )


class Found(NamedTuple):
    """A pydantic error, translated: its path in the configuration, what is wrong, and the mend."""

    path: tuple[str | int, ...]
    what: str
    mend: str


def echo(value: object) -> str:
    """Return ``value`` for a message: short, on one line, and no secret."""
    text = _HEX_KEY.sub("***", repr(str(value) if not isinstance(value, str | int | float | bool) else value))
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "..."


def found_in(error: ValidationError, model: type[BaseModel], tree: object) -> list[Found]:
    """Return the errors of ``model`` on ``tree``, in the words of the configuration."""
    items = error.errors(include_url=False)
    # An array whose elements are wrong also counts as too short.
    wrong = {tuple(item["loc"][:end]) for item in items for end in range(1, len(item["loc"]))}
    return [
        _found(item, model, tree) for item in items if item["type"] != "too_short" or tuple(item["loc"]) not in wrong
    ]


def range_text(field: FieldInfo) -> str:
    """Return the range of a number, such as ``>= 1, <= 100``; empty without one."""
    bounds = [
        f"{sign} {plain(Decimal(str(getattr(item, name))))}"
        for item in _constraints(field)
        for name, sign in _BOUNDS
        if getattr(item, name, None) is not None
    ]
    return ", ".join(bounds)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation, however deep they stand in unions, arrays and annotations."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def _constraints(field: FieldInfo) -> list[Any]:
    nested = [item for part in get_args(field.annotation) for item in getattr(part, "__metadata__", ())]
    items: list[Any] = []
    for item in (*field.metadata, *nested):
        items.extend(item.metadata if isinstance(item, FieldInfo) else [item])
    return items


def _found(item: Mapping[str, Any], model: type[BaseModel], tree: object) -> Found:
    path, owner, field = _place(item["loc"], model, tree)
    name = str(path[-1]) if path else ""
    value = item["input"]
    match item["type"]:
        case "extra_forbidden":
            return Found(path, "unknown key", did_you_mean(name, owner.model_fields if owner is not None else ()))
        case "missing":
            meaning = f": {field.description}" if field is not None and field.description else ""
            return Found(path, "is missing", f"add {name}{meaning}")
        case "literal_error":
            known = re.findall(r"'([^']*)'", item["ctx"]["expected"])
            return Found(path, f"{echo(value)} is none of {', '.join(known)}", did_you_mean(value, known))
        case "union_tag_invalid":
            known = re.findall(r"'([^']*)'", item["ctx"]["expected_tags"])
            tag = item["ctx"]["tag"]
            return Found((*path, "kind"), f"{echo(tag)} is none of {', '.join(known)}", did_you_mean(tag, known))
        case "union_tag_not_found":
            kinds = [str(get_args(part.model_fields["kind"].annotation)[0]) for part in _owned(field)]
            return Found(path, "has no kind", f"add kind = one of {', '.join(kinds)}")
        case "value_error":
            return Found(path, str(item["ctx"]["error"]), field.description or "" if field else "")
        case _:
            return Found(path, _expectation(item, field), (field.description or "") if field else "")


def _owned(field: FieldInfo | None) -> list[type[BaseModel]]:
    return models_in(field.annotation) if field is not None else []


def _expectation(item: Mapping[str, Any], field: FieldInfo | None) -> str:
    if item["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "must be a table"
    if item["type"] in ("tuple_type", "list_type"):
        return "must be an array"
    if item["type"] == "too_short":
        return "must not be empty"
    if item["type"] == "string_pattern_mismatch":
        return f"{echo(item['input'])} is not {_form(item['ctx']['pattern'])}"
    wanted = (
        item["msg"].replace("Input should be", "must be").replace("a valid integer", "an integer").replace("valid ", "")
    )
    limits = range_text(field) if field is not None else ""
    return f"{wanted}, not {echo(item['input'])}" + (f" (range: {limits})" if limits else "")


def _form(pattern: str) -> str:
    if pattern.startswith("^http"):
        return "a URL such as https://example.org/path"
    if pattern.startswith("^0x"):
        return "an address: 0x and 40 hex digits"
    if "/" in pattern:
        return (
            "a symbol of letters, digits and -_./ up to 32 characters, such as BTC or BTC/USDT; there is no colon in it"
        )
    return "a name of letters, digits and -_. up to 32 characters, without a slash"


def _place(
    loc: Sequence[str | int], model: type[BaseModel], tree: object
) -> tuple[tuple[str | int, ...], type[BaseModel] | None, FieldInfo | None]:
    """Return the path of a pydantic location, without its union tags, and the model and field it ends in."""
    path: list[str | int] = []
    owner: type[BaseModel] | None = model
    below: list[type[BaseModel]] = [model]
    field: FieldInfo | None = None
    node = tree
    for part in loc:
        if len(below) > 1:
            # A union of tables: pydantic puts the tag that it chose into the location.
            below = [choice for choice in below if part in get_args(choice.model_fields["kind"].annotation)]
            continue
        path.append(part)
        if isinstance(part, str):
            owner = below[0] if below else None
            field = owner.model_fields.get(part) if owner is not None else None
            below = models_in(field.annotation) if field is not None else []
        node = _child(node, part)
    return tuple(path), owner, field


def _child(node: object, part: str | int) -> object:
    if isinstance(node, Mapping):
        return node.get(part)
    if isinstance(node, list | tuple) and isinstance(part, int) and part < len(node):
        return node[part]
    return None
