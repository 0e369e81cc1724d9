"""Files of older releases in the form of this one. What no release ever knew is left to ``config check``.

A step changes how a file says something, never what it comes to.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from tradebot.model.errors import ConfigError
from tradebot.settings.files import is_shipped
from tradebot.settings.load import LoadOptions
from tradebot.settings.schema import SCHEMA_NAME

SCHEMA_LINE = f"#:schema ./{SCHEMA_NAME}"
"""The first line of a file, by which editors find the schema beside it."""
_FLATTEN = "all"


@dataclass(frozen=True, slots=True)
class Migrated:
    """A file, its text before and after, and what was changed, a sentence each."""

    path: Path
    before: str
    after: str
    changes: tuple[str, ...]

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        names = (str(self.path), f"{self.path} (migrated)")
        return "".join(
            unified_diff(self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), *names)
        )


def migrate(options: LoadOptions, home: Path, environ: Mapping[str, str]) -> list[Migrated]:
    """Return each of the operator's files that is to be changed. Raises ``ConfigError`` for one that is no TOML."""
    files = [path for path in options.files(home, environ) if not is_shipped(path)]
    found = []
    for path in files:
        try:
            before = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read: {error}", where=str(path), mend="check path and permissions") from error
        after, changes = _with_schema(before)
        if path == files[-1] and _lacks_flatten(options, home, environ):
            after = _with_flatten(after, path)
            changes.append(f'[risk] flatten = "{_FLATTEN}": what a live file without it always meant')
        if changes:
            found.append(Migrated(path, before, after, tuple(changes)))
    return found


def _with_schema(text: str) -> tuple[str, list[str]]:
    if any(line.startswith("#:schema") for line in text.splitlines()):
        return text, []
    return f"{SCHEMA_LINE}\n{text}", [f"{SCHEMA_LINE}: editors complete and check the file by {SCHEMA_NAME} beside it"]


def _lacks_flatten(options: LoadOptions, home: Path, environ: Mapping[str, str]) -> bool:
    with suppress(ConfigError):
        settings = options.load(home, environ).settings
        return settings.bot.mode == "live" and settings.risk.flatten is None
    return False


def _with_flatten(text: str, path: Path) -> str:
    lines = text.splitlines(keepends=True)
    header = next((number for number, line in enumerate(lines) if line.split("#")[0].strip() == "[risk]"), None)
    if header is not None:
        # Below its header, where no comment that belongs to what follows is torn from it.
        return "".join([*lines[: header + 1], f'flatten = "{_FLATTEN}"\n', *lines[header + 1 :]])
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        document.setdefault("risk", tomlkit.table())["flatten"] = _FLATTEN
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ConfigError(f"cannot be edited: {error}", where=str(path), mend="tradebot config check") from error
