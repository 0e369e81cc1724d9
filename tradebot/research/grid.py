"""A grid: one configuration in every combination of some values, each combination a set.

``--grid fast=5,10`` gives the parameter of the one strategy that has it, ``cross.fast`` that of the strategy of this
name, and ``risk.size.fraction`` any other key of the configuration.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations, product
from math import prod
from pathlib import Path

from tradebot.model.errors import UsageError
from tradebot.model.near import did_you_mean
from tradebot.report.shapes import Json
from tradebot.settings.dataspec import given_series
from tradebot.settings.layers import variable_value
from tradebot.settings.model import Settings, StrategySettings
from tradebot.settings.strategy_class import load_strategy

_WHERE = "--grid"
_MEND = "write NAME=A,B,C, such as fast=5,10,20"
_MOST_SETS = 100_000
_FIXED = frozenset({"kind", "name", "symbols"})
_OPENING, _CLOSING, _QUOTES = "[{", "]}", "\"'"


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an axis: what it sets, by dotted key, and how a result names it."""

    overrides: Mapping[str, object]
    value: Json
    data: str | None = None
    """The bars that this set runs on, ``SYMBOL:TIMEFRAME=FILE``; ``None``: those of the configuration."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a grid: its name and its choices, in the order given."""

    name: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """One combination: what is set, by the name of each axis and by dotted key, and on which bars."""

    params: Mapping[str, Json]
    overrides: Mapping[str, object]
    data: tuple[str, ...]


def grid_axes(settings: Settings, texts: Sequence[str]) -> list[Axis]:
    """Return the axes of ``NAME=A,B,C``. Raises ``UsageError`` for a name that nothing has, and for one given twice."""
    axes: list[Axis] = []
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not (equals and name):
            raise UsageError(f"{text!r} is no axis of a grid", where=_WHERE, mend=_MEND)
        if any(axis.name == name for axis in axes):
            raise UsageError(f"{name} is given twice", where=_WHERE, mend="give all its values at once")
        axes.append(_axis(settings, name, _key_of(settings, name), values))
    keys = {f"{key}.": axis.name for axis in axes for key in axis.choices[0].overrides if not key.endswith(".kind")}
    for outer, inner in permutations(keys, 2):
        if inner.startswith(outer):
            what = f"{keys[inner]} is a part of {keys[outer]}, and both are varied"
            raise UsageError(what, where=_WHERE, mend=f"write whole tables: {keys[outer]}={{...}},{{...}}")
    return axes


def file_axis(settings: Settings, texts: Sequence[str]) -> Axis | None:
    """Return the axis of ``SYMBOL:TIMEFRAME=FILE``, one run a file; ``FILE`` may be a pattern. ``None`` for none.

    The symbol is the only one of its run, and of each strategy. Raises ``UsageError`` where no file fits.
    """
    choices = []
    for text in texts:
        head, equals, pattern = text.partition("=")
        path = Path(pattern).expanduser()
        found = sorted(str(one) for one in path.parent.glob(path.name)) if equals and path.name else []
        if equals and not found:
            raise UsageError(f"there is no file {pattern}", where="--each", mend="correct the path or the pattern")
        for spec in [f"{head}={file}" for file in found] or [text]:
            keys = ["bot.symbols", *(f"strategy.{number}.symbols" for number in range(len(settings.strategy)))]
            symbols = {key: [given_series(spec).symbol] for key in keys}
            choices.append(Choice(symbols, spec, spec))
    return Axis("data", tuple(choices)) if choices else None


def parameter_sets(axes: Sequence[Axis], data: Sequence[str]) -> Iterator[ParameterSet]:
    """Give every combination of ``axes``, the last varying fastest, on ``data`` where no axis says otherwise.

    Raises ``UsageError`` for more than 100,000.
    """
    count = prod(len(axis.choices) for axis in axes)
    if count > _MOST_SETS:
        raise UsageError(f"{count:,} sets are too many", where=_WHERE, mend=f"take at most {_MOST_SETS:,}")
    for chosen in product(*(axis.choices for axis in axes)):
        overrides = {key: value for choice in chosen for key, value in choice.overrides.items()}
        files = tuple(choice.data for choice in chosen if choice.data is not None)
        params = {axis.name: choice.value for axis, choice in zip(axes, chosen, strict=True)}
        yield ParameterSet(params, overrides, files or tuple(data))


def _axis(settings: Settings, name: str, key: str, values: str) -> Axis:
    texts = _split(values)
    if not all(texts):
        raise UsageError(f"{name}: {values!r} lacks a value", where=_WHERE, mend=_MEND)
    try:
        kinds = _kinds(settings, key)
        choices = [Choice({**kinds, key: variable_value(text)}, _shown(text)) for text in texts]
    except ValueError as error:
        raise UsageError(f"{name}: {values!r} {error}", where=_WHERE, mend=_MEND) from None
    if len(set(texts)) < len(texts):
        raise UsageError(f"{name}: {values!r} names a value twice", where=_WHERE, mend="leave the second out")
    return Axis(name, tuple(choices))


def _kinds(settings: Settings, key: str) -> Mapping[str, object]:
    """Return the kinds of the tables around ``key``: over a table that is a default, it alone would not be whole."""
    found: dict[str, object] = {}
    place: object = settings
    path = key.split(".")
    for depth, part in enumerate(path[:-1], 1):
        place = place[int(part)] if isinstance(place, tuple) else getattr(place, part, None)
        kind = getattr(place, "kind", None)
        if isinstance(kind, str) and not isinstance(place, StrategySettings):
            found[".".join([*path[:depth], "kind"])] = kind
    return found


def _key_of(settings: Settings, name: str) -> str:
    """Return the dotted key of the configuration that an axis varies."""
    head, _, rest = name.partition(".")
    for number, strategy in enumerate(settings.strategy):
        if rest and strategy.name == head:
            return f"strategy.{number}.{_parameter(strategy, rest)}"
    having = [number for number, one in enumerate(settings.strategy) if head in _parameters(one)]
    if len(having) == 1:
        return f"strategy.{having[0]}.{name}"
    if having:
        names = " or ".join(f"{settings.strategy[number].name}.{name}" for number in having)
        raise UsageError(f"several strategies have {name}", where=_WHERE, mend=f"say {names}")
    if rest and head in Settings.model_fields and head != "strategy":
        return name
    known = {parameter for strategy in settings.strategy for parameter in _parameters(strategy)}
    raise UsageError(f"no strategy has a parameter {name}", where=_WHERE, mend=did_you_mean(name, known))


def _parameter(strategy: StrategySettings, path: str) -> str:
    known = _parameters(strategy)
    if path.partition(".")[0] not in known:
        what = f"{strategy.name} has no parameter {path}"
        raise UsageError(what, where=_WHERE, mend=did_you_mean(path, known))
    return path


def _parameters(strategy: StrategySettings) -> set[str]:
    own = load_strategy(strategy.kind, Path.cwd()).Params.model_fields
    return {*own, *StrategySettings.model_fields} - _FIXED


def _split(text: str) -> list[str]:
    """Return the values between commas, but for commas in quotes, arrays and tables."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts]


def _shown(text: str) -> Json:
    """Return a value as JSON has it: a number where it is one, else text."""
    try:
        value = tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return text
    if isinstance(value, Decimal) and value.is_finite():
        return float(value)
    return value if isinstance(value, bool | int | str) else text
