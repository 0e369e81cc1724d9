"""TOML text to a tree of values with the line of every key, and back.

The locator only looks at text that ``tomllib`` has accepted, so it need not judge it.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from tradebot.model.errors import ConfigError
from tradebot.model.money import plain

KeyPath = tuple[str | int, ...]
_LARGEST_FILE = 1_000_000
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART = re.compile(r"[ \t]*(?:\"((?:[^\"\\\n]|\\.)*)\"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\n#]+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def read_toml(path: Path) -> tuple[dict[str, object], dict[KeyPath, int]]:
    """Return the tree of a TOML file and the line of each of its keys. Raises ``ConfigError``."""
    text = _read_text(path)
    try:
        tree = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        what, line = _syntax_error(str(error), text)
        raise ConfigError(what, where=f"{path}:{line}", mend="correct the TOML there") from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply", where=str(path), mend="use fewer brackets") from error
    return tree, Locator(text).lines()


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "no such configuration file"
            raise ConfigError(what, where=str(path), mend="name a TOML file, or write one with `tradebot init`")
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError("is larger than 1 MB", where=str(path), mend="name a configuration, not data")
        body = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"cannot be read: {reason}", where=repr(str(path)), mend="check path and permissions"
        ) from error
    try:
        return body.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text", where=f"{path}:{line}", mend="save the file as UTF-8") from error


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if place is None:
        return message, 1
    line = int(place[1]) if place[1] else text.count("\n") + 1
    return f"TOML syntax: {message[: place.start()]}", line


class Locator:
    """Finds the line of every key, table and array element of a valid TOML text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted_to = 0
        self._line = 1
        self._lines: dict[KeyPath, int] = {}
        self._arrays: dict[KeyPath, int] = {}

    def lines(self) -> dict[KeyPath, int]:
        """Return the line, from 1, of each path; array elements have their index in it."""
        table: KeyPath = ()
        self._skip(_SPACE)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._assignment(table)
            self._skip(_SPACE)
        return self._lines

    def _header(self) -> KeyPath:
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path = self._resolve(self._key(), is_array=is_array)
        self._at += 2 if is_array else 1
        self._mark(path)
        return path

    def _resolve(self, key: KeyPath, *, is_array: bool) -> KeyPath:
        path: KeyPath = ()
        for position, part in enumerate(key):
            path = (*path, part)
            if is_array and position == len(key) - 1:
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _assignment(self, table: KeyPath) -> None:
        self._count()
        path = (*table, *self._key())
        self._mark(path)
        self._at += 1
        self._value(path)

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while match := _PART.match(self._text, self._at):
            quoted, literal, bare = match.groups()
            parts.append(_unquoted(quoted) if quoted is not None else literal if literal is not None else bare)
            self._at = match.end()
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return tuple(parts)

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        opening = self._text[self._at : self._at + 1]
        if opening in ("[", "{"):
            self._at += 1
            self._elements(path, is_table=opening == "{")
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _elements(self, path: KeyPath, *, is_table: bool) -> None:
        index = 0
        self._skip(_SPACE)
        while self._at < len(self._text) and self._text[self._at] not in "]}":
            if is_table:
                self._assignment(path)
            else:
                self._mark((*path, index))
                self._value((*path, index))
            index += 1
            self._skip(_SPACE)
            if self._text.startswith(",", self._at):
                self._at += 1
                self._skip(_SPACE)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        if match is None or match.end() == self._at:
            return False
        self._at = match.end()
        return True

    def _count(self) -> None:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at

    def _mark(self, path: KeyPath) -> None:
        self._count()
        for end in range(1, len(path) + 1):
            self._lines.setdefault(path[:end], self._line)


def _unquoted(text: str) -> str:
    try:
        return str(tomllib.loads(f'key = "{text}"')["key"])
    except tomllib.TOMLDecodeError:
        return text


def to_toml(tree: Mapping[str, object]) -> str:
    """Return ``tree`` as TOML: its tables as sections, lists of tables as arrays of tables, the rest inline."""
    blocks = []
    scalars = {key: value for key, value in tree.items() if not isinstance(value, Mapping) and not _is_tables(value)}
    if scalars:
        blocks.append(_block("", scalars))
    for name, value in tree.items():
        if isinstance(value, Mapping):
            blocks.append(_block(f"[{_key_text(name)}]\n", value))
        elif _is_tables(value) and isinstance(value, Sequence):
            blocks.extend(_block(f"[[{_key_text(name)}]]\n", item) for item in value)
    return "\n".join(blocks)


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(item, Mapping) for item in value)


def _block(header: str, table: Mapping[str, object]) -> str:
    return header + "".join(
        f"{_key_text(key)} = {value_text(value)}\n" for key, value in table.items() if value is not None
    )


def _key_text(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)


def value_text(value: object) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        items = (f"{_key_text(key)} = {value_text(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    # JSON strings are TOML basic strings, but for DEL, which JSON leaves bare, and surrogate pairs.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
