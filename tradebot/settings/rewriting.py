"""A file of the configuration written anew so that it says other settings; its comments and order stay.

One file is written, the last of those the operator named: it is over all others, and one rename is all or nothing. What
is to be written is loaded first, with every other layer there is: where the result is not what was wanted, because the
environment or an option says otherwise, nothing is written.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import SecretStr

from tradebot.model.errors import ConfigError, NotPermitted, StorageFailed, TradebotError
from tradebot.settings.difference import differences
from tradebot.settings.files import HOME_FILE, is_shipped
from tradebot.settings.load import Loaded, LoadOptions, config_hash, settings_tree, whole_toml
from tradebot.settings.model import Settings
from tradebot.settings.toml import to_toml, value_text

CONFIG_BACKUPS = Path("backups", "config")
_KEPT = 50
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A file, and the text that makes the configuration what is wanted; its comments may be lost with it."""

    path: Path
    text: str
    is_whole: bool


def plan_rewrite(
    options: LoadOptions, home: Path, environ: Mapping[str, str], target: Settings, running: Settings | None
) -> Rewrite:
    """Return what must be written so that files, environment and options make ``target``.

    Secrets are no part of ``target``: they stay as the files say, else as ``running`` has them. Raises ``ConfigError``
    where a layer above the file stands in the way, and when nothing can be written beside it.
    """
    files = [path for path in options.files(home, environ) if not is_shipped(path)]
    path = files[-1].resolve() if files else home / HOME_FILE
    texts: list[tuple[str, bool]] = []
    present: Settings | None = running
    with suppress(ConfigError):
        present = options.load(home, environ).settings
        if files:
            texts.append((edited(path.read_text(encoding="utf-8-sig"), present, target), False))
    texts.append((whole_toml(_with_secrets(target, present)), True))
    wanted, failed = config_hash(target), None
    for text, is_whole in texts:
        try:
            loaded = _tried(options, home, environ, (*files[:-1],), path, text)
        except ConfigError as error:
            failed = error
            continue
        if loaded.config_hash == wanted:
            return Rewrite(path, text, is_whole)
        failed = _stands_in_the_way(loaded, target, path)
    raise failed or ConfigError("cannot be written", where=str(path))


def write_config(path: Path, text: str) -> None:
    """Put ``text`` in place of the file, all of it or nothing; mode and owner stay. Raises ``NotPermitted``."""
    beside = _beside(path)
    try:
        _write(beside, text, path)
        beside.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def keep_copy(home: Path, paths: Sequence[Path], stamp: str) -> Path | None:
    """Copy the files as they are below ``<home>/backups/config``, and return the folder; ``None`` without any.

    Nothing is copied where the newest copy is the same. Only so many are kept, the newest. Raises ``StorageFailed``.
    """
    root = home / CONFIG_BACKUPS
    try:
        texts = _texts(paths)
        newest = max(root.iterdir(), default=None) if root.is_dir() else None
        if not texts or (newest is not None and texts == _texts(sorted(newest.iterdir()))):
            return newest if texts else None
        folder = root / stamp
        number = 1
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        while folder.exists():
            number += 1
            folder = root / f"{stamp}-{number:03}"
        folder.mkdir(mode=0o700)
        for name, text in texts.items():
            _write(folder / name, text, None)
        for old in sorted(root.iterdir())[:-_KEPT]:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
    except OSError as error:
        raise StorageFailed(f"the configuration cannot be copied: {error.strerror}", where=str(root)) from error
    return folder


def _texts(paths: Sequence[Path]) -> Mapping[str, str]:
    """Return the text of each file that is there, by its name."""
    found = [path for path in paths if path.is_file() and not is_shipped(path)]
    names = [path.name for path in found]
    return {
        name if names.count(name) == 1 else f"{index}-{name}": path.read_text("utf-8", "surrogateescape")
        for index, (name, path) in enumerate(zip(names, found, strict=True))
    }


def edited(text: str, present: Settings, target: Settings) -> str:
    """Return TOML ``text`` with each key that differs between ``present`` and ``target`` set as the latter has it.

    Raises ``ConfigError`` for what is no TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        _put(document, _tree(present), _tree(target))
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ConfigError(f"cannot be edited: {error}") from error


def _tree(settings: Settings) -> dict[str, Any]:
    return settings_tree(settings)


def _put(table: Any, before: Any, after: Any) -> None:
    for key in [*after, *(key for key in before if key not in after)]:
        old, new = before.get(key), after.get(key)
        if old == new or isinstance(old, SecretStr) or isinstance(new, SecretStr):
            continue
        if new is None:
            if key in table:
                table.remove(key)
        elif _are_alike(old, new) and isinstance(table.get(key), Mapping):
            _put(table[key], old, new)
        elif _are_lists(table.get(key), old, new):
            for item, one, other in zip(table[key], old, new, strict=True):
                _put(item, one, other)
        else:
            _set(table, key, old, new)


def _are_alike(old: Any, new: Any) -> bool:
    return isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("kind") == new.get("kind")


def _are_lists(there: Any, old: Any, new: Any) -> TypeGuard[list[Any]]:
    lists = (there, old, new)
    if not all(isinstance(each, list | tuple) for each in lists) or len({len(each) for each in lists}) != 1:
        return False
    return all(_are_alike(one, other) for one, other in zip(old, new, strict=True))


def _set(table: Any, key: str, old: Any, new: Any) -> None:
    import tomlkit

    if _are_alike(old, new):
        # The rest of the table stands in a lower layer, or is default.
        new = {name: item for name, item in new.items() if item != old.get(name)}
        new |= {"kind": old["kind"]} if "kind" in old else {}
    is_section = isinstance(table, tomlkit.TOMLDocument) and isinstance(new, Mapping | list | tuple)
    if is_section:
        table[key] = tomlkit.parse(to_toml({key: new}))[key]
    elif isinstance(table.get(key), str) and not isinstance(new, bool | Mapping | list | tuple):
        # Money that stood there as text stays text.
        table[key] = value_text(new).strip('"')
    else:
        table[key] = tomlkit.value(value_text(new))


def _with_secrets(target: Settings, present: Settings | None) -> Settings:
    if present is None:
        return target
    alerts = target.alerts.model_copy(update={"url": present.alerts.url})
    return target.model_copy(update={"alerts": alerts})


def _tried(
    options: LoadOptions, home: Path, environ: Mapping[str, str], others: Sequence[Path], path: Path, text: str
) -> Loaded:
    """Return what ``text`` in place of the file would load to."""
    beside = _beside(path)
    try:
        _write(beside, text, path)
        return replace(options, config_files=(*others, beside)).load(home, environ)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _stands_in_the_way(loaded: Loaded, target: Settings, path: Path) -> ConfigError:
    found = [f"{one.key} ({one.where})" for one in differences(loaded, target) if one.key != "alerts.url"]
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ConfigError(
        f"nothing was written: elsewhere it is said otherwise of {', '.join(found[:_MOST_NAMED])}{more}",
        where=str(path),
        mend="take these out there: environment and options are over the file, and a file cannot unset another's keys",
    )


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _write(path: Path, text: str, like: Path | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
        file.flush()
        if like is not None and like.exists():
            status = like.stat()
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: OSError) -> TradebotError:
    kind = NotPermitted if isinstance(error, PermissionError) else StorageFailed
    mend = "let the daemon's user write there, or edit the file by hand and run: tradebot reload"
    return kind(f"cannot be written: {error.strerror}", where=str(path), mend=mend)
