"""The layers of a configuration - files, environment, options - and how one lies over another.

Tables merge and arrays are replaced. Two refinements: a table of digits (``strategy.0``, as the environment
writes it) reaches into an array; a tagged table (feed, venue, size, stop, target) whose ``kind`` changes is
replaced, since the keys of its old kind mean nothing to the new one.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tradebot.model.near import nearest
from tradebot.settings.dataspec import placed_stored
from tradebot.settings.errors import BadSettings, Problem
from tradebot.settings.files import ENV_PREFIX
from tradebot.settings.toml import KeyPath, read_toml

_READ_VARIABLES = ("TRADEBOT_HOME", "TRADEBOT_CONFIG")
# Of the tests: where real market data is.
_OTHER_VARIABLES = frozenset({*_READ_VARIABLES, "TRADEBOT_TEST_DATA"})
_TAGGED = frozenset({"feed", "venue", "size", "stop", "target"})
_SECRET_KEYS = frozenset(
    {"key", "api_key", "secret", "api_secret", "secret_key", "private_key", "mnemonic", "password", "passphrase"}
)
_HEX_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_MNEMONIC = re.compile(r"(?:[a-z]{3,8} ){11,23}[a-z]{3,8}")
_PATHS = (("venue", "key_file"), ("secrets", "vault_token_file"), ("secrets", "vault_ca_file"))
_FILES = (("feed", "data"), ("feed", "trades"), ("feed", "quotes"), ("feed", "books"), ("venue", "funding"))
_DEEPEST = 8
_MOST_ELEMENTS = 500


class VariableText(str):
    """What a variable says where it is neither an array nor a table: of what type it is, its key must tell."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings: a tree, and where each of its paths stands."""

    tree: Mapping[str, object]
    origins: Mapping[KeyPath, str] = field(default_factory=dict)


def file_layer(path: Path) -> Layer:
    """Return the layer of a TOML file; paths in it are relative to its folder. Raises ``ConfigError``."""
    tree, lines = read_toml(path)
    origins = {key: f"{path}:{line}" for key, line in lines.items()}
    refuse_secrets(tree, origins)
    return Layer(_absolute(tree, path.absolute().parent), origins)


def environ_layer(environ: Mapping[str, str], working_dir: Path) -> Layer:
    """Return the layer of all ``TRADEBOT__SECTION__KEY`` variables. Raises ``BadSettings`` naming the variable."""
    tree: dict[str, object] = {}
    origins: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    for name in sorted(name for name in environ if name.startswith(ENV_PREFIX)):
        parts = name[len(ENV_PREFIX) :].lower().split("__")
        key: KeyPath = tuple(int(part) if _is_index(part) else part for part in parts)
        try:
            if not all(parts) or len(parts) > _DEEPEST:
                raise ValueError("is not TRADEBOT__SECTION__KEY, such as TRADEBOT__LOG__LEVEL")
            _put(tree, parts, variable_value(environ[name]))
        except ValueError as error:
            problems.append(Problem(".".join(parts), str(error), f"environment {name}", "correct or unset it"))
        origins[key] = f"environment {name}"
    if problems:
        raise BadSettings(problems)
    refuse_secrets(tree, origins)
    return Layer(_absolute(tree, working_dir), origins)


def unread_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what to say of each variable that looks as if it were ours, and is not read."""
    notes = []
    for name in sorted(environ):
        if not name.startswith("TRADEBOT_") or name.startswith(ENV_PREFIX) or name in _OTHER_VARIABLES:
            continue
        rest = name.removeprefix("TRADEBOT_")
        near = nearest(rest, [known.removeprefix("TRADEBOT_") for known in _READ_VARIABLES])
        meant = f"{ENV_PREFIX}{rest}" if "__" in rest else f"TRADEBOT_{near}"
        known = f"known: {', '.join(_READ_VARIABLES)}, and {ENV_PREFIX}SECTION__KEY"
        hint = known if near is None and "__" not in rest else f"did you mean {meant}?"
        notes.append(f"environment {name} is not read: {hint}")
    return tuple(notes)


def options_layer(overrides: Mapping[str, object], working_dir: Path) -> Layer:
    """Return the layer of command line options: dotted keys, or nested tables."""
    tree: dict[str, object] = {}
    origins: dict[KeyPath, str] = {}
    for key, value in overrides.items():
        parts = key.split(".")
        _put(tree, parts, list(value) if isinstance(value, tuple) else value)
        origins[tuple(int(part) if _is_index(part) else part for part in parts)] = f"option for {key}"
    refuse_secrets(tree, origins)
    return Layer(_absolute(tree, working_dir), origins)


def variable_value(text: str) -> object:
    """Return what a variable, or one value of a grid, says. Raises ``ValueError`` for a broken array or table."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("is not UTF-8 text")
    if not text.lstrip().startswith(("[", "{")):
        return VariableText(text)
    try:
        values = tomllib.loads(f"value = {text}", parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError('is not a TOML array or table, such as ["BTC", "ETH"]') from error
    if len(values) != 1:
        raise ValueError("is more than one value")
    return values["value"]


def with_stored(layer: Layer, root: Path) -> Layer:
    """Return the layer with the file of each series that it takes from the store at ``root``."""
    feed = layer.tree.get("feed")
    if not isinstance(feed, Mapping) or "store" not in feed:
        return layer
    placed = _each(feed["store"], lambda item: placed_stored(item, root) if isinstance(item, str) else item)
    return Layer({**layer.tree, "feed": {**feed, "store": placed}}, layer.origins)


def lay_over(lower: Layer, upper: Layer) -> Layer:
    """Return ``upper`` over ``lower``, with the origins of what is left of both. Raises ``BadSettings``."""
    replaced: set[KeyPath] = set()
    problems: list[Problem] = []

    def refuse(path: KeyPath, what: str) -> None:
        origin = next((text for key, text in upper.origins.items() if key[: len(path)] == path), "")
        problems.append(Problem(dotted(path), what, origin, "count from 0, without holes"))

    tree = _merged(lower.tree, upper.tree, (), replaced, refuse)
    if problems:
        raise BadSettings(problems)
    kept = {
        key: origin
        for key, origin in lower.origins.items()
        if not any(key[:end] in replaced for end in range(1, len(key) + 1))
    }
    for path in replaced - upper.origins.keys():
        kept[path] = next((origin for key, origin in upper.origins.items() if key[: len(path)] == path), "")
    return Layer(tree if isinstance(tree, dict) else {}, {**kept, **upper.origins})


def dotted(path: KeyPath) -> str:
    """Return a path as text, such as ``strategy.0.fast``."""
    return ".".join(str(part) for part in path)


def origin_of(path: KeyPath, origins: Mapping[KeyPath, str]) -> str:
    """Return where ``path``, or the nearest table around it, stands; empty when nowhere."""
    for end in range(len(path), 0, -1):
        if path[:end] in origins:
            return origins[path[:end]]
    return ""


def refuse_secrets(tree: Mapping[str, object], origins: Mapping[KeyPath, str]) -> None:
    """Raise ``BadSettings`` for everything that looks like a secret, without repeating it."""
    problems = [
        Problem(
            _HEX_KEY.sub("***", dotted(path)),
            "looks like a secret; secrets never stand in a configuration",
            origin_of(path, origins),
            "remove it, and treat it as leaked if others can read this",
        )
        for path in _secret_paths(tree, ())
    ]
    if problems:
        raise BadSettings(problems)


def _secret_paths(value: object, path: KeyPath) -> list[KeyPath]:
    name = str(path[-1]).lower() if path else ""
    if (name in _SECRET_KEYS and value != "") or _HEX_KEY.fullmatch(name):
        return [path]
    if isinstance(value, Mapping):
        return [found for key, item in value.items() for found in _secret_paths(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in _secret_paths(item, (*path, index))]
    if isinstance(value, int) and abs(value) >= 2**128:
        return [path]
    is_secret = isinstance(value, str) and (_HEX_KEY.fullmatch(value.strip()) or _MNEMONIC.fullmatch(value.strip()))
    return [path] if is_secret else []


def _is_index(part: str) -> bool:
    return len(part) <= 6 and part.isascii() and part.isdigit()


def _put(tree: dict[str, object], parts: list[str], value: object) -> None:
    table = tree
    for part in parts[:-1]:
        below = table.setdefault(part, {})
        if not isinstance(below, dict):
            raise ValueError(f"{part} is set as a value and as a table")
        table = below
    if isinstance(table.get(parts[-1]), dict):
        raise ValueError(f"{parts[-1]} is set as a value and as a table")
    table[parts[-1]] = value


def _merged(
    lower: object, upper: object, path: KeyPath, replaced: set[KeyPath], refuse: Callable[[KeyPath, str], None]
) -> object:
    if isinstance(upper, Mapping) and upper and all(_is_index(str(key)) for key in upper):
        return _merged_array(list(lower) if isinstance(lower, list) else [], upper, path, replaced, refuse)
    if not isinstance(upper, Mapping):
        replaced.add(path)
        return upper
    if not isinstance(lower, Mapping) or _changes_kind(lower, upper, path):
        replaced.add(path)
        lower = {}
    tree = dict(lower)
    for key, value in upper.items():
        tree[key] = _merged(lower.get(key), value, (*path, key), replaced, refuse)
    return tree


def _merged_array(
    array: list[object],
    upper: Mapping[str, object],
    path: KeyPath,
    replaced: set[KeyPath],
    refuse: Callable[[KeyPath, str], None],
) -> list[object]:
    for key in sorted(upper, key=lambda text: (len(text), text)):
        index = int(key)
        if index > len(array) or index >= _MOST_ELEMENTS:
            refuse((*path, index), f"index {key} is beyond the array, which has {len(array)} elements")
            continue
        if index == len(array):
            array.append(None)
        array[index] = _merged(array[index], upper[key], (*path, index), replaced, refuse)
    return array


def _changes_kind(lower: Mapping[str, object], upper: Mapping[str, object], path: KeyPath) -> bool:
    is_tagged = bool(path) and path[-1] in _TAGGED
    return is_tagged and "kind" in upper and "kind" in lower and lower["kind"] != upper["kind"]


def _absolute(tree: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Return ``tree`` with the paths in it made absolute, where they stand."""
    result = dict(tree)
    for section, key in _FILES:
        table = result.get(section)
        if isinstance(table, Mapping) and key in table:
            result[section] = {**table, key: _each(table[key], lambda item: _absolute_file(item, folder))}
    for section, key in _PATHS:
        table = result.get(section)
        if isinstance(table, Mapping) and isinstance(table.get(key), str):
            result[section] = {**table, key: _path_under(folder, str(table[key]))}
    if "strategy" in result:
        result["strategy"] = _each(result["strategy"], lambda item: _absolute_kind(item, folder))
    return result


def _each(value: object, change: Callable[[object], object]) -> object:
    if isinstance(value, list):
        return [change(item) for item in value]
    if isinstance(value, Mapping):
        return {key: change(item) for key, item in value.items()}
    return value


def _absolute_file(item: object, folder: Path) -> object:
    if not isinstance(item, str) or "=" not in item:
        return item
    head, _, path = item.partition("=")
    return f"{head}={_path_under(folder, path)}" if path else item


def _absolute_kind(item: object, folder: Path) -> object:
    kind = item.get("kind") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(kind, str) or ".py:" not in kind:
        return item
    path, _, name = kind.rpartition(":")
    return {**item, "kind": f"{_path_under(folder, path)}:{name}"}


def _path_under(folder: Path, text: str) -> str:
    try:
        return str(folder / Path(text).expanduser())
    except RuntimeError:
        return str(folder / text)
