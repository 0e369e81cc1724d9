"""What differs between two configurations, key by key."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from pydantic import SecretStr

from tradebot.model.money import plain
from tradebot.report.shapes import Json
from tradebot.settings.load import Loaded
from tradebot.settings.model import Settings, place_of


class Difference(NamedTuple):
    """One dotted key that differs: what the files say, what is in force, and where the files say it."""

    key: str
    file: Json
    running: Json
    where: str


def differences(files: Loaded, running: Settings) -> tuple[Difference, ...]:
    """Return what ``files`` say otherwise than ``running``, by key; ``None`` stands for a key that is not set."""
    said, in_force = flat(files.settings), flat(running)
    return tuple(
        Difference(key, _shown(said.get(key)), _shown(in_force.get(key)), _where(files, key))
        for key in changed_keys(running, files.settings)
    )


def changed_keys(before: Settings, after: Settings, *, with_secrets: bool = True) -> tuple[str, ...]:
    """Return the dotted keys that differ, sorted; those of secrets only where both sides know them."""
    old, new = flat(before), flat(after)
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return tuple(key for key in differing if with_secrets or not isinstance(new.get(key), SecretStr))


def flat(settings: Settings) -> Mapping[str, object]:
    """Return every value of ``settings`` by its dotted key, such as ``strategy.0.fast``."""
    return _flat(settings.model_dump(), "")


def _flat(value: object, key: str) -> dict[str, object]:
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {key: value}
    found: dict[str, object] = {}
    for name, item in value.items():
        found.update(_flat(item, f"{key}.{name}" if key else str(name)))
    return found


def _shown(value: object) -> Json:
    if isinstance(value, SecretStr):
        return place_of(value)
    if isinstance(value, Decimal):
        return plain(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _where(files: Loaded, key: str) -> str:
    path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
    # A key that was taken out of a file stands nowhere.
    return files.where(*path) or (str(files.files[-1]) if files.files else "")
