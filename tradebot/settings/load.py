"""The configuration: where it comes from, how its layers make one whole, and what is remembered of that.

Profile, then files in order, then the environment, then options. This is the one place that reads the
environment for settings.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path

from pydantic import SecretStr, ValidationError

from tradebot.settings.dataspec import store_root
from tradebot.settings.errors import BadSettings, Found, Problem, found_in
from tradebot.settings.files import files_of
from tradebot.settings.layers import (
    Layer,
    VariableText,
    dotted,
    environ_layer,
    file_layer,
    lay_over,
    options_layer,
    origin_of,
    unread_variables,
    with_stored,
)
from tradebot.settings.model import SYMBOL_PATTERN, Settings, StrategySettings, canonical, place_of
from tradebot.settings.toml import KeyPath, to_toml

_NOT_BUILT = {
    ("feed", "kind"): ("ccxt",),
    ("venue", "kind"): ("ccxt",),
}
_STAND_IN: Mapping[str, Mapping[str, object]] = {"feed": {"kind": "generated"}, "venue": {"kind": "simulated"}}
_LATER_SECTIONS = ("dashboard",)
_SYMBOL = re.compile(SYMBOL_PATTERN)
_BUILT_INSTEAD = {"feed": "generated, replay or hyperliquid", "venue": "simulated or hyperliquid"}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What an operator says about the configuration; a daemon loads it again with them on a reload.

    ``overrides`` maps dotted keys, such as ``feed.data``, to values; paths in them are relative to the
    working directory.
    """

    config_files: tuple[Path, ...] = ()
    profile: str | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)

    def files(self, home: Path, environ: Mapping[str, str]) -> Sequence[Path]:
        """Return the files that make the configuration, in order. Raises ``ConfigError`` for a profile."""
        return files_of(home, self.config_files, self.profile, environ)[0]

    def load(self, home: Path, environ: Mapping[str, str] | None = None) -> "Loaded":
        """Return the configuration. Raises ``ConfigError``."""
        return load_settings(
            home=home,
            config_files=self.config_files,
            profile=self.profile,
            environ=environ,
            overrides=self.overrides,
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, where each key of it came from, and what the operator should know about that.

    ``configured`` is what files, environment and options say where a venue overrules a part of it.
    """

    settings: Settings
    config_hash: str
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    origins: Mapping[KeyPath, str]
    configured: Settings | None = None

    @property
    def as_configured(self) -> Settings:
        """The settings as files, environment and options say them."""
        return self.settings if self.configured is None else self.configured

    def where(self, *path: str | int) -> str:
        """Return where a key, or the nearest table around it, stands; empty for a default."""
        return origin_of(path, self.origins)


def load_settings(
    *,
    home: Path,
    config_files: Sequence[Path] = (),
    profile: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Loaded:
    """Return the configuration from all its layers. Raises ``ConfigError`` with all that is wrong.

    Without ``config_files`` it is the file that ``$TRADEBOT_CONFIG`` names, else ``tradebot.toml`` in the
    home, else the profile ``demo``. ``environ`` is that of the process unless given.
    """
    environ = os.environ if environ is None else environ
    files, notes = files_of(home, config_files, profile, environ)
    notes = [*notes, *unread_variables(environ)]
    layer = Layer({})
    for path in files:
        layer = lay_over(layer, file_layer(path))
    layer = lay_over(layer, environ_layer(environ, Path.cwd()))
    layer = lay_over(layer, options_layer(overrides or {}, Path.cwd()))
    layer = with_stored(layer, store_root(environ))
    settings = _validated(layer)
    return Loaded(settings, config_hash(settings), tuple(files), tuple(notes), layer.origins)


def config_hash(settings: Settings) -> str:
    """Return a digest of the effective settings: 32 hex digits, the same however they were written."""
    text = json.dumps(canonical(settings), sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def effective_toml(settings: Settings) -> str:
    """Return the settings with all defaults, but no secret, as TOML that loads to the same settings."""
    return _toml(settings, lambda secret: None)


def shown_toml(settings: Settings) -> str:
    """Return the settings as they may be shown to their owner: of a secret URL the host."""
    return _toml(settings, place_of)


def settings_tree(settings: Settings) -> dict[str, object]:
    """Return the settings as the tables of a file, with all defaults; of a secret there is a ``SecretStr``."""
    tree = settings.model_dump()
    for strategy in tree["strategy"]:
        for key in ("stop", "target"):
            strategy[key] = "none" if strategy[key] is None else strategy[key]
    return tree


def whole_toml(settings: Settings) -> str:
    """Return the settings with all defaults and every secret, for a file of their owner."""
    return _toml(settings, SecretStr.get_secret_value)


def _toml(settings: Settings, secret_text: Callable[[SecretStr], str | None]) -> str:
    tree = settings_tree(settings)
    for section in tree.values():
        if isinstance(section, dict):
            secrets = {key: value for key, value in section.items() if isinstance(value, SecretStr)}
            section |= {key: secret_text(value) for key, value in secrets.items()}
    return to_toml(tree)


def _validated(layer: Layer) -> Settings:
    tree = _with_defaults(layer.tree)
    tree, problems = _without_unbuilt(tree, layer)
    try:
        settings = Settings.of(replace(layer, tree=tree))
    except ValidationError as error:
        problems += [_problem(found, layer) for found in found_in(error, Settings, tree)]
        raise BadSettings(problems) from None
    if problems:
        raise BadSettings(problems)
    return settings


def _problem(found: Found, layer: Layer) -> Problem:
    return Problem(dotted(found.path), found.what, origin_of(found.path, layer.origins), found.mend)


def _without_unbuilt(tree: dict[str, object], layer: Layer) -> tuple[dict[str, object], list[Problem]]:
    """Return ``tree`` without what is not built yet, so that the rest can be checked, and those problems."""
    problems = []
    for (section, key), later in _NOT_BUILT.items():
        table = tree.get(section)
        value = table.get(key) if isinstance(table, Mapping) else None
        if not isinstance(table, Mapping) or value not in later:
            continue
        where = origin_of((section, key), layer.origins)
        mend = f"use {_BUILT_INSTEAD[section]}"
        problems.append(Problem(f"{section}.{key}", f'"{value}" is not built yet', where, mend))
        # The other keys of a kind that is not built cannot be judged; those of [bot] can.
        tree = {**tree, section: {**table, key: "paper"} if section == "bot" else _STAND_IN[section]}
    for section in _LATER_SECTIONS:
        if section in tree:
            where = origin_of((section,), layer.origins)
            problems.append(Problem(section, "is not built yet", where, f"remove the section [{section}]"))
    return {key: value for key, value in tree.items() if key not in _LATER_SECTIONS}, problems


def _with_defaults(tree: Mapping[str, object]) -> dict[str, object]:
    """Return ``tree`` with the name and symbols of each strategy, where they follow from other keys."""
    result = dict(tree)
    bot, strategies = tree.get("bot"), tree.get("strategy")
    symbols = bot.get("symbols") if isinstance(bot, Mapping) else None
    venue = tree.get("venue")
    if isinstance(venue, Mapping):
        result["venue"] = {"kind": "simulated", **venue}
    if isinstance(strategies, list):
        result["strategy"] = [_strategy_with_defaults(item, symbols) for item in strategies]
    return result


def _strategy_with_defaults(item: object, symbols: object) -> object:
    if not isinstance(item, Mapping):
        return item
    defaults: dict[str, object] = {}
    kind = item.get("kind")
    if isinstance(kind, str):
        defaults["name"] = kind.rpartition(":")[2]
    # Wrong symbols are told once, where they stand.
    defaults["symbols"] = symbols if _are_symbols(symbols) else ["X"]
    own = {key: _meant(value) for key, value in item.items() if key not in StrategySettings.model_fields}
    return {**defaults, **item, **own}


def _meant(value: object) -> object:
    """Return a parameter of a strategy, whose type only the strategy knows: text that is a number is one."""
    if isinstance(value, Mapping):
        return {key: _meant(item) for key, item in value.items()}
    if not isinstance(value, VariableText):
        return value
    try:
        values = tomllib.loads(f"value = {value}", parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        return str(value)
    said = values.pop("value")
    is_meant = isinstance(said, bool | int | str) or (isinstance(said, Decimal) and said.is_finite())
    return said if is_meant and not values else str(value)


def _are_symbols(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, str) and _SYMBOL.fullmatch(item) for item in value) and len(set(value)) == len(value)
