"""What must fit together in a configuration: symbols and data, names, timeframes, strategies, safety rules."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tradebot.model.errors import ConfigError
from tradebot.model.money import plain
from tradebot.model.near import did_you_mean, nearest
from tradebot.model.time import Timeframe, parse_timeframe, timeframe_name
from tradebot.pipeline.risk.gates.base import Cooldown
from tradebot.pipeline.strategy.base import (
    Direction,
    RTarget,
    Strategy,
    StrategySpec,
)
from tradebot.settings.dataspec import SymbolFile
from tradebot.settings.errors import BadSettings, Problem, found_in
from tradebot.settings.exits import exit_problems, exit_rules, stop_rule
from tradebot.settings.layers import dotted
from tradebot.settings.live import live_problems
from tradebot.settings.load import Loaded
from tradebot.settings.model import (
    EquityFractionSize,
    GeneratedFeedSettings,
    LiveFeedSettings,
    ReplayFeedSettings,
    RiskFractionSize,
    Settings,
    SimulatedVenueSettings,
    StrategySettings,
)

_COMMON_KEYS = frozenset(StrategySettings.model_fields)
LIVE_TIMEFRAMES = tuple(
    parse_timeframe(name) for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d")
)
"""What the live market gives as bars, shortest first."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A strategy of the configuration with its class and parameters, when both are sound."""

    settings: StrategySettings
    cls: type[Strategy]
    params: BaseModel


def check_settings(loaded: Loaded, *, is_live: bool = False) -> None:
    """Check all that one key alone cannot tell. Raises ``BadSettings`` with everything that is wrong.

    ``is_live`` is whether the operator said ``--live``. Bar files are only looked for, not read.
    """
    problems = find_problems(loaded, is_live=is_live)
    if problems:
        raise BadSettings(problems)


def build_specs(loaded: Loaded) -> tuple[StrategySpec, ...]:
    """Return the strategies of a checked configuration, in its order. Raises ``BadSettings``."""
    problems: list[Problem] = []
    specs = [_spec(loaded.settings, item) for item in _strategies(loaded, problems) if item is not None]
    if problems:
        raise BadSettings(problems)
    return tuple(specs)


def find_problems(loaded: Loaded, *, is_live: bool = False) -> list[Problem]:
    """Return everything that does not fit together."""
    problems: list[Problem] = []
    for check in (_symbol_problems, _file_problems, _name_problems, _timeframe_problems, _instrument_problems):
        problems.extend(check(loaded))
    problems.extend(_share_problems(loaded))
    problems.extend(_stop_problems(loaded))
    for index, strategy in enumerate(loaded.settings.strategy):
        problems.extend(exit_problems(loaded, index, strategy_timeframe(loaded.settings, strategy)))
    problems.extend(_scale_problems(loaded))
    problems.extend(_quantity_problems(loaded))
    problems.extend(live_problems(loaded, is_live=is_live))
    for _ in _strategies(loaded, problems):
        pass
    return problems


def feed_timeframes(settings: Settings) -> Mapping[str, tuple[Timeframe, ...]]:
    """Return the timeframes that the feed delivers for each symbol, shortest first."""
    feed = settings.feed
    if isinstance(feed, GeneratedFeedSettings):
        return dict.fromkeys(settings.bot.symbols, (parse_timeframe(feed.timeframe),))
    if isinstance(feed, LiveFeedSettings):
        return _live_timeframes(settings)
    found: dict[str, set[Timeframe]] = {}
    for series in feed.series:
        found.setdefault(series.symbol, set()).add(series.timeframe)
    return {symbol: tuple(sorted(found[symbol])) for symbol in sorted(found)}


def _live_timeframes(settings: Settings) -> Mapping[str, tuple[Timeframe, ...]]:
    """Return the longest timeframe of the venue that every strategy of a symbol can be built from."""
    found: dict[str, tuple[Timeframe, ...]] = {}
    for symbol in settings.bot.symbols:
        wanted = [
            parse_timeframe(strategy.timeframe)
            for strategy in settings.strategy
            if symbol in strategy.symbols and strategy.timeframe is not None
        ]
        fitting = [part for part in LIVE_TIMEFRAMES if all(whole % part == 0 for whole in wanted)]
        # One that nothing fits is told by the check of the timeframes.
        found[symbol] = (max(fitting, default=LIVE_TIMEFRAMES[0]) if wanted else LIVE_TIMEFRAMES[0],)
    return found


def strategy_timeframe(settings: Settings, strategy: StrategySettings) -> Timeframe | None:
    """Return the timeframe of a strategy: its own, else the finest that all its symbols have; ``None`` without."""
    if strategy.timeframe is not None:
        return parse_timeframe(strategy.timeframe)
    available = feed_timeframes(settings)
    given = sorted({timeframe for symbol in strategy.symbols for timeframe in available.get(symbol, ())})
    fitting = (t for t in given if all(_is_buildable(t, available.get(symbol, ())) for symbol in strategy.symbols))
    return next(fitting, None)


def _is_buildable(timeframe: int, given: tuple[Timeframe, ...]) -> bool:
    return any(timeframe % part == 0 for part in given)


def _problem(loaded: Loaded, path: tuple[str | int, ...], what: str, mend: str) -> Problem:
    return Problem(dotted(path), what, loaded.where(*path), mend)


def _symbol_problems(loaded: Loaded) -> Iterator[Problem]:
    settings = loaded.settings
    delivered = feed_timeframes(settings)
    for symbol in settings.bot.symbols:
        if symbol not in delivered:
            what = f"{symbol} has no data"
            near = nearest(symbol, delivered.keys() - set(settings.bot.symbols))
            mend = f'add "{symbol}:TIMEFRAME=FILE" to feed.data' + ("" if near is None else f"; did you mean {near}?")
            yield _problem(loaded, ("bot", "symbols"), what, mend)
    for index, strategy in enumerate(settings.strategy):
        for symbol in strategy.symbols:
            if symbol not in settings.bot.symbols:
                path = ("strategy", index, "symbols")
                mend = did_you_mean(symbol, settings.bot.symbols)
                yield _problem(loaded, path, f"{symbol} is not in bot.symbols", mend)


def _file_problems(loaded: Loaded) -> Iterator[Problem]:
    feed, venue = loaded.settings.feed, loaded.settings.venue
    if isinstance(feed, ReplayFeedSettings):
        seen = set()
        places = [("data", index) for index, _ in enumerate(feed.data)]
        places += [("store", index) for index, _ in enumerate(feed.store)]
        for place, series in zip(places, feed.series, strict=True):
            path = ("feed", *place)
            if (series.symbol, series.timeframe) in seen:
                what = f"{series.symbol}:{timeframe_name(series.timeframe)} is given twice"
                yield _problem(loaded, path, what, "keep one file for each symbol and timeframe")
            seen.add((series.symbol, series.timeframe))
            if place[0] == "store" and not series.path.exists():
                name = feed.store[place[1]].partition("=")[0]
                mend = f"import or download it; `tradebot data list` shows what there is. It would be {series.path}"
                yield _problem(loaded, path, f"the store has no {name}", mend)
            else:
                yield from _missing_file(loaded, path, series.path)
        yield from _tick_problems(loaded, feed)
    if isinstance(venue, SimulatedVenueSettings):
        yield from _symbol_file_problems(loaded, ("venue", "funding"), venue.funding_files)


def _tick_problems(loaded: Loaded, feed: ReplayFeedSettings) -> Iterator[Problem]:
    kind, files = feed.ticks
    yield from _symbol_file_problems(loaded, ("feed", kind), files)
    without = sorted(set(loaded.settings.bot.symbols) - {file.symbol for file in files})
    if files and without:
        what = f"there are {kind} of some symbols, and none of {', '.join(without)}"
        yield _problem(loaded, ("feed", kind), what, f'add "{without[0]}=FILE", or trade it in a bot of its own')


def _symbol_file_problems(loaded: Loaded, key: tuple[str, str], files: Sequence[SymbolFile]) -> Iterator[Problem]:
    symbols = loaded.settings.bot.symbols
    for index, file in enumerate(files):
        path = (*key, index)
        if file.symbol not in symbols:
            yield _problem(loaded, path, f"{file.symbol} is not in bot.symbols", did_you_mean(file.symbol, symbols))
        if any(other.symbol == file.symbol for other in files[:index]):
            yield _problem(loaded, path, f"{file.symbol} is given twice", "keep one file for each symbol")
        yield from _missing_file(loaded, path, file.path)


def _missing_file(loaded: Loaded, path: tuple[str | int, ...], file: Path) -> Iterator[Problem]:
    if not file.is_file():
        what = "is not a regular file" if file.exists() else "no such file"
    elif not os.access(file, os.R_OK):
        what = "cannot be read: permission denied"
    else:
        return
    yield _problem(loaded, path, f"{file}: {what}", "correct the path; it is relative to the file that names it")


def _name_problems(loaded: Loaded) -> Iterator[Problem]:
    strategies = loaded.settings.strategy
    names = [strategy.name for strategy in strategies]
    for index, name in enumerate(names):
        if name in names[:index]:
            path = ("strategy", index, "name")
            yield _problem(loaded, path, f'a second strategy is named "{name}"', "give each strategy a name of its own")


def _timeframe_problems(loaded: Loaded) -> Iterator[Problem]:
    settings = loaded.settings
    available = feed_timeframes(settings)
    for index, strategy in enumerate(settings.strategy):
        path = ("strategy", index, "timeframe")
        timeframe = strategy_timeframe(settings, strategy)
        symbols = [symbol for symbol in strategy.symbols if symbol in available]
        if timeframe is None:
            if symbols:
                what = f"no timeframe fits all of {', '.join(symbols)}"
                yield _problem(loaded, path, what, "name a timeframe, or split the strategy")
            continue
        for symbol in symbols:
            if not _is_buildable(timeframe, available[symbol]):
                given = ", ".join(timeframe_name(part) for part in available[symbol])
                what = f"bars of {timeframe_name(timeframe)} cannot be built for {symbol} from {given}"
                yield _problem(loaded, path, what, "use a multiple of a timeframe that the feed delivers")


def _instrument_problems(loaded: Loaded) -> Iterator[Problem]:
    instruments = loaded.settings.instrument
    symbols = [instrument.symbol for instrument in instruments]
    for index, symbol in enumerate(symbols):
        if symbol in symbols[:index]:
            path = ("instrument", index, "symbol")
            yield _problem(loaded, path, f"a second instrument is for {symbol}", "keep one for each symbol")
        # Those of symbols that others trade may stand there; one that is only spelt otherwise would be passed over.
        near = next((known for known in loaded.settings.bot.symbols if known.lower() == symbol.lower()), symbol)
        if near != symbol and symbol not in loaded.settings.bot.symbols:
            path = ("instrument", index, "symbol")
            yield _problem(loaded, path, f"{symbol} is not in bot.symbols", f"did you mean {near}?")


def _share_problems(loaded: Loaded) -> Iterator[Problem]:
    settings = loaded.settings
    risk = settings.risk
    shared = [index for index, strategy in enumerate(settings.strategy) if strategy.share != 1]
    total = sum((settings.strategy[index].share for index in shared), Decimal(0))
    is_used = isinstance(risk.size, EquityFractionSize | RiskFractionSize) or not (
        risk.max_exposure_notional is None and risk.max_leverage is None
    )
    for index in shared:
        path = ("strategy", index, "share")
        if total > 1:
            what = f"the shares add up to {plain(total)}, more than all"
            yield _problem(loaded, path, what, "lower them, or leave share out where a strategy may use all")
        if not is_used:
            what = "has no effect: the size is no fraction of equity, and neither exposure nor leverage is limited"
            yield _problem(loaded, path, what, "set risk.max_exposure_notional or risk.max_leverage, or another size")


def _stop_problems(loaded: Loaded) -> Iterator[Problem]:
    settings = loaded.settings
    for index, strategy in enumerate(settings.strategy):
        if strategy.stop is None and isinstance(settings.risk.size, RiskFractionSize):
            what = '"none" does not go with risk_fraction, which sizes by the distance of the stop'
            yield _problem(loaded, ("strategy", index, "stop"), what, "set a stop, or another risk.size")


def _quantity_problems(loaded: Loaded) -> Iterator[Problem]:
    symbols = loaded.settings.bot.symbols
    for symbol in loaded.settings.risk.max_order_qty:
        if symbol not in symbols:
            path = ("risk", "max_order_qty", symbol)
            yield _problem(loaded, path, f"{symbol} is not in bot.symbols", did_you_mean(symbol, symbols))


def _scale_problems(loaded: Loaded) -> Iterator[Problem]:
    scale = loaded.settings.risk.scale
    drawdown = None if scale is None else scale.drawdown
    if drawdown is not None and drawdown.to_pct <= drawdown.from_pct:
        what = f"sizes would shrink from {plain(drawdown.from_pct)} % on and be smallest at {plain(drawdown.to_pct)} %"
        yield _problem(loaded, ("risk", "scale", "drawdown", "to_pct"), what, "set to_pct above from_pct")


def build_cooldowns(specs: Sequence[StrategySpec], settings: Settings) -> Mapping[str, Cooldown]:
    """Return how long each strategy keeps off zones, where it does."""
    bars = {strategy.name: strategy.zone_cooldown for strategy in settings.strategy}
    return {spec.name: Cooldown(bars[spec.name], spec.timeframe) for spec in specs if bars[spec.name]}


def _strategies(loaded: Loaded, problems: list[Problem]) -> Iterator[_Checked | None]:
    for index, strategy in enumerate(loaded.settings.strategy):
        yield _checked(loaded, index, strategy, problems)


def _checked(loaded: Loaded, index: int, strategy: StrategySettings, problems: list[Problem]) -> _Checked | None:
    # Loading a class runs the user's file; nothing else here needs it.
    from tradebot.settings.strategy_class import load_strategy

    try:
        cls = load_strategy(strategy.kind, Path.cwd())
        _refuse_taken(cls)
        params = cls.Params.model_validate(dict(strategy.parameters))
    except ConfigError as error:
        where = loaded.where("strategy", index, "kind")
        what = f"{error.where}: {error.what}" if error.where and error.where != where else error.what
        problems.append(Problem(f"strategy.{index}.kind", what, where, error.mend))
        return None
    except ValidationError as error:
        for found in found_in(error, cls.Params, dict(strategy.parameters)):
            path = ("strategy", index, *found.path)
            mend = found.mend
            if found.what == "unknown key" and len(found.path) == 1:
                mend = did_you_mean(found.path[0], _COMMON_KEYS | set(cls.Params.model_fields))
            problems.append(_problem(loaded, path, found.what, mend))
        return None
    return _Checked(strategy, cls, params)


def _refuse_taken(cls: type[Strategy]) -> None:
    taken = next((name for name in cls.Params.model_fields if name in _COMMON_KEYS), None)
    if taken is not None:
        what = f"its parameter {taken} can never be given: every strategy has a key of that name"
        raise ConfigError(what, mend=f"name it otherwise in {cls.__name__}.Params")


def _spec(settings: Settings, checked: _Checked) -> StrategySpec:
    strategy = checked.settings
    timeframe = strategy_timeframe(settings, strategy)
    if timeframe is None:
        raise ConfigError(f"strategy {strategy.name} has no timeframe", mend="run `tradebot config check`")
    return StrategySpec(
        name=strategy.name,
        symbols=strategy.symbols,
        timeframe=timeframe,
        factory=partial(checked.cls, checked.params),
        direction=Direction(strategy.direction),
        stop=None if strategy.stop is None else stop_rule(strategy.stop),
        target=None if strategy.target is None else RTarget(strategy.target.r),
        regimes=strategy.regimes,
        exits=exit_rules(settings, strategy, timeframe),
    )
