"""What can be read of the venue, and how to act there, in a configuration that may be broken.

Files are read one by one and key by key: one that is missing, is no TOML or says nonsense elsewhere takes nothing from
the others. Nothing is checked here but what is text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tradebot.model.errors import ConfigError
from tradebot.settings.files import ENV_PREFIX, files_of
from tradebot.settings.toml import read_toml

_SECTION = re.compile(r"\s*\[\s*([A-Za-z0-9_.\"' -]+?)\s*\]\s*(#.*)?")
_TEXT = re.compile(r"""\s*(\w+)\s*=\s*(?:"([^"\\]*)"|'([^']*)')\s*(#.*)?""")
_SECTIONS = ("venue", "risk", "alerts", "bot", "secrets")
_PATHS = ("key_file", "vault_token_file", "vault_ca_file")
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The texts by key of what is needed, and what could not be read. ``venue["key_file"]`` is absolute."""

    venue: Mapping[str, str]
    risk: Mapping[str, str]
    alerts: Mapping[str, str]
    bot: Mapping[str, str]
    secrets: Mapping[str, str]
    notes: Sequence[str]


def salvage_venue(
    home: Path, config_files: Sequence[Path], profile: str | None, environ: Mapping[str, str]
) -> Salvaged:
    """Return what files and environment say, later ones over earlier ones. Never raises."""
    notes: list[str] = []
    try:
        files, _ = files_of(home, config_files, profile, environ)
    except ConfigError as error:
        notes.append(f"{error.where}: {error.what}")
        files = list(config_files)
    layers = [(_of_file(path, notes), path.absolute().parent) for path in files]
    layers.append(({section: _of_environ(section, environ) for section in _SECTIONS}, Path.cwd()))
    venue: dict[str, str] = {}
    others: dict[str, dict[str, str]] = {"risk": {}, "alerts": {}, "bot": {}, "secrets": {}}
    for found, folder in layers:
        venue = _over(venue, _placed(found["venue"], folder))
        for section, texts in others.items():
            texts |= _placed(found[section], folder)
    return Salvaged(venue, others["risk"], others["alerts"], others["bot"], others["secrets"], notes)


def _of_environ(section: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    prefix = f"{ENV_PREFIX}{section.upper()}__"
    return {name.removeprefix(prefix).lower(): text for name, text in environ.items() if name.startswith(prefix)}


def _over(lower: Mapping[str, str], upper: Mapping[str, str]) -> dict[str, str]:
    # Keys of another kind of venue mean nothing to this one.
    is_other = upper.get("kind", lower.get("kind")) != lower.get("kind")
    return {**({} if is_other else lower), **upper}


def _of_file(path: Path, notes: list[str]) -> Mapping[str, Mapping[str, str]]:
    try:
        tree, _ = read_toml(path)
    except ConfigError as error:
        notes.append(f"{error.where}: {error.what}")
        return _scanned(path)
    return {section: _texts(tree.get(section)) for section in _SECTIONS}


def _texts(table: object) -> Mapping[str, str]:
    items = table.items() if isinstance(table, Mapping) else ()
    return {
        key: str(value)
        for key, value in items
        if isinstance(value, str | int | Decimal) and not isinstance(value, bool)
    }


def _scanned(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the texts of a file that is no TOML, line by line."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST_FILE).decode(errors="replace").splitlines()
    except OSError:
        return found
    section = ""
    for line in lines:
        header = _SECTION.fullmatch(line)
        if header is not None:
            section = header[1]
        elif section in found and (text := _TEXT.fullmatch(line)) is not None:
            found[section][text[1]] = text[2] if text[2] is not None else text[3]
    return found


def _placed(found: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    return dict(found) | {key: _absolute(found[key], folder) for key in _PATHS if key in found}


def _absolute(text: str, folder: Path) -> str:
    try:
        return str(folder / Path(text).expanduser())
    except RuntimeError:
        return str(folder / text)
