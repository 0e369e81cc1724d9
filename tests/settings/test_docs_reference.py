"""The reference pages name everything there is. A failure prints the row that is missing."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tradebot.model import errors
from tradebot.model.logevent import LogEvent
from tradebot.model.money import plain
from tradebot.settings.errors import models_in, range_text
from tradebot.settings.model import Settings
from tradebot.settings.tiers import written

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def value_text(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "`{ " + ", ".join(f"{key} = {value_text(item)[1:-1]}" for key, item in value if item is not None) + " }`"
    if isinstance(value, Decimal):
        return f"`{plain(value)}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return "`[]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def row(name: str, field: FieldInfo) -> str:
    # Those of ``Literal[...] | None`` too.
    parts = [part for arg in get_args(field.annotation) for part in (arg, *get_args(arg))]
    choices = [str(choice) for choice in parts if isinstance(choice, str)]
    allowed = ", ".join(f'`"{choice}"`' for choice in choices) or range_text(field)
    default = "none" if field.default is None else value_text(field.default)
    if isinstance(field.default, tuple) and written in [getattr(item, "func", None) for item in field.metadata]:
        default = value_text(written(field.default))
    return f"| `{name}` | {default} | {allowed} | {field.description} |"


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        found = models_in(field.annotation)
        for inner in found:
            kinds = get_args(inner.model_fields["kind"].annotation) if "kind" in inner.model_fields else ()
            kind = f', kind = "{kinds[0]}"' if kinds else ""
            yield f"{path}{name}{kind}", inner
            yield from sections(inner, f"{path}{name}.")


def expected_rows() -> list[tuple[str, str]]:
    return [
        (title, row(name, field)) for title, model in sections(Settings) for name, field in model.model_fields.items()
    ]


@pytest.mark.parametrize(("title", "line"), expected_rows())
def test_every_setting_is_documented_with_its_default_and_range(title: str, line: str) -> None:
    text = (REFERENCE / "configuration.md").read_text()
    part = re.search(rf"^## `{re.escape(title)}`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert part is not None, f"docs/reference/configuration.md has no section ## `{title}`"
    assert line in part[1].splitlines(), f"missing in ## `{title}`: {line}"


def test_no_setting_is_documented_that_does_not_exist() -> None:
    text = (REFERENCE / "configuration.md").read_text()
    known = {line for _, line in expected_rows()}
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [line for line in rows if line not in known] == []


def test_every_log_event_is_documented_and_no_other() -> None:
    text = (REFERENCE / "log-events.md").read_text()
    documented = re.findall(r"^\| `([a-z_.]+)` \| \S", text, re.MULTILINE)
    assert sorted(documented) == sorted(event.value for event in LogEvent)
    assert len(set(documented)) == len(documented)


def test_every_error_is_documented_with_its_exit_code_and_no_other() -> None:
    text = (REFERENCE / "errors.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| (\d+) \| \S", text, re.MULTILINE))
    known = {
        cls.__name__: str(cls.exit_code)
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.TradebotError)
    }
    assert documented == known
