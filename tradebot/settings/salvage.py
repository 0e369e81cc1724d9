"""What can be read of ``[venue]`` in a configuration that may be broken, for what cannot wait until it is mended.

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
_VENUE_PREFIX = f"{ENV_PREFIX}VENUE__"
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The texts of ``[venue]`` by key, and what could not be read. ``key_file`` is absolute."""

    venue: Mapping[str, str]
    notes: Sequence[str]


def salvage_venue(
    home: Path, config_files: Sequence[Path], profile: str | None, environ: Mapping[str, str]
) -> Salvaged:
    """Return what files and environment say of the venue, later ones over earlier ones. Never raises."""
    notes: list[str] = []
    try:
        files, _ = files_of(home, config_files, profile, environ)
    except ConfigError as error:
        notes.append(f"{error.where}: {error.what}")
        files = list(config_files)
    venue: dict[str, str] = {}
    for path in files:
        venue = _over(venue, _of_file(path, notes))
    named = {name.removeprefix(_VENUE_PREFIX).lower(): text for name, text in environ.items()
             if name.startswith(_VENUE_PREFIX)}  # fmt: skip
    return Salvaged(_over(venue, _placed(named, Path.cwd())), notes)


def _over(lower: Mapping[str, str], upper: Mapping[str, str]) -> dict[str, str]:
    # Keys of another kind of venue mean nothing to this one.
    is_other = upper.get("kind", lower.get("kind")) != lower.get("kind")
    return {**({} if is_other else lower), **upper}


def _of_file(path: Path, notes: list[str]) -> Mapping[str, str]:
    try:
        tree, _ = read_toml(path)
    except ConfigError as error:
        notes.append(f"{error.where}: {error.what}")
        found = _scanned(path)
    else:
        table = tree.get("venue")
        items = table.items() if isinstance(table, Mapping) else ()
        found = {
            key: str(value)
            for key, value in items
            if isinstance(value, str | int | Decimal) and not isinstance(value, bool)
        }
    return _placed(found, path.absolute().parent)


def _scanned(path: Path) -> dict[str, str]:
    """Return the texts of ``[venue]`` in a file that is no TOML, line by line."""
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST_FILE).decode(errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    section = ""
    for line in lines:
        header = _SECTION.fullmatch(line)
        if header is not None:
            section = header[1]
        elif section == "venue" and (text := _TEXT.fullmatch(line)) is not None:
            found[text[1]] = text[2] if text[2] is not None else text[3]
    return found


def _placed(found: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    if "key_file" not in found:
        return found
    try:
        path = Path(found["key_file"]).expanduser()
    except RuntimeError:
        path = Path(found["key_file"])
    return {**found, "key_file": str(folder / path)}
