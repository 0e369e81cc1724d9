"""Whether a strategy looks ahead: the whole line run again on parts of a history must decide the same.

The history is run once whole. Then it is run again, run with restarts from the saved state, and run on prefixes;
each time everything is made anew, a user's file is loaded anew, and of the bar files only the prefix can be read.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from tradebot.model.errors import UsageError
from tradebot.model.market import Message
from tradebot.model.money import MONEY_CONTEXT, plain
from tradebot.model.near import did_you_mean
from tradebot.model.signal import WISH_GATES, Refused, Signal, StrategyDisabled
from tradebot.model.time import Nanos, Timeframe
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.strategy.registry import BUILT_IN
from tradebot.research.cut_files import CutFiles
from tradebot.runtime.backtest import Progress, with_feed
from tradebot.runtime.guard import watching
from tradebot.runtime.wiring import wire
from tradebot.settings.load import Loaded
from tradebot.settings.model import GeneratedFeedSettings, ReplayFeedSettings, Settings, StrategySettings
from tradebot.store.codec import decode, encode

PREFIXES = 50
_PROGRESS_BARS = 5_000
_RESTARTS = 3
_GOLDEN = 0x9E3779B97F4A7C15
_DISABLED = "disabled"
_COMPARED = (
    "side", "close", "entry_type", "entry_price", "stop", "target", "fraction", "reason", "confidence", "expires_ts",
    "void_price", "pattern",
)  # fmt: skip


class SeenIn(StrEnum):
    """The kind of run in which a decision changed, and so what is the matter with the strategy."""

    REPEAT = "repeat"
    RESTART = "restart"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class Key:
    """Which decision: ``number`` counts those alike within a turn. ``action``: enter, exit or disabled."""

    turn: int
    strategy: str
    symbol: str
    action: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision that changed. ``what``: it was missing, new, or ``fields`` of it were not as in the whole history.

    ``fields`` gives both values. ``bars`` is the length of the first run of kind ``seen`` in which it changed,
    ``runs`` in how many runs it did.
    """

    key: Key
    ts_event: Nanos
    what: str
    fields: Mapping[str, tuple[str, str]]
    seen: SeenIn
    bars: int
    runs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LookaheadResult:
    """What was run and what changed. ``disabled`` were so in the whole history; ``read`` are bar files read whole."""

    bars: int
    decisions: int
    prefixes: Sequence[int]
    restarts: int
    changes: Sequence[Change]
    disabled: Sequence[StrategyDisabled] = ()
    read: Sequence[str] = ()

    @property
    def is_clean(self) -> bool:
        """Whether every decision was made without the future, as far as these runs show."""
        return not (self.changes or self.disabled or self.read)


_Decisions = Mapping[Key, Signal | StrategyDisabled]


def check_prefixes(
    loaded: Loaded,
    *,
    strategy: str | None = None,
    data: Sequence[str] = (),
    bars: int | None = None,
    prefixes: int = PREFIXES,
    progress: Progress | None = None,
) -> LookaheadResult:
    """Run the configuration, or ``strategy`` of it alone, over its bars and over ``prefixes`` parts of them.

    ``strategy`` is a name of the configuration, or a kind: one that is built in, or ``file.py:Class``. ``data``
    replaces the configured bars; at most the first ``bars`` are used, and a generated market needs them. Raises
    ``ConfigError``, ``DataError`` and ``UsageError``.
    """
    settings = loaded.settings if strategy is None else _alone(loaded.settings, strategy)
    is_generated = isinstance(settings.feed, GeneratedFeedSettings) and not data
    settings = with_feed(settings, data, bars if is_generated else None)
    loaded = replace(loaded, settings=settings)
    feed = wire(loaded, check_data=False).feed
    history = list(feed if is_generated or bars is None else islice(feed, bars))
    files = settings.feed.series if isinstance(settings.feed, ReplayFeedSettings) else ()
    with localcontext(MONEY_CONTEXT), tempfile.TemporaryDirectory(prefix="tradebot-lookahead-") as folder:
        return _Check(loaded, history, CutFiles(files, Path(folder)), progress).run(prefixes)


def choose_prefixes(total: int, decided: Sequence[int], count: int) -> list[int]:
    """Return up to ``count`` lengths from 1 to ``total`` - 1, ascending, the same for the same arguments.

    A tenth of them are the last ones, half end with one of the turns ``decided``, and the others lie evenly: who
    peeks one bar ahead is only seen where that bar is missing.
    """
    if count >= total - 1:
        return list(range(1, total))
    at_decisions = [turn + 1 for turn in sorted(set(decided)) if turn + 1 < total]
    chosen = set(range(total - min(count, max(1, count // 10)), total))
    chosen.update(_spread(at_decisions, min(count // 2, count - len(chosen))))
    step = 0
    while len(chosen) < count:
        # Multiples of the golden ratio fill the range evenly however many there are.
        step += 1
        chosen.add(1 + ((step * _GOLDEN % 2**64) * (total - 1) >> 64))
    return sorted(chosen)


def _spread(values: Sequence[int], count: int) -> list[int]:
    if len(values) <= count:
        return list(values)
    return [values[(2 * i + 1) * len(values) // (2 * count)] for i in range(count)]


@dataclass(slots=True)
class _Check:
    """The runs over one history, and what was found in them."""

    loaded: Loaded
    history: Sequence[Message]
    files: CutFiles
    progress: Progress | None
    whole: _Decisions = field(default_factory=dict)
    changes: dict[Key, Change] = field(default_factory=dict)
    done: int = 0
    total: int = 0

    def run(self, prefixes: int) -> LookaheadResult:
        bars = len(self.history)
        self.total = (3 + prefixes // 2) * bars
        self.whole = self._decide(bars)
        cuts = choose_prefixes(bars, [key.turn for key in self.whole], prefixes)
        restarts = sorted({bars * part // (_RESTARTS + 1) for part in range(1, _RESTARTS + 1)} - {0})
        self.total = 3 * bars + sum(cuts)
        self._compare(SeenIn.REPEAT, bars, self._decide(bars))
        self._compare(SeenIn.RESTART, bars, self._decide(bars, restarts))
        for cut, rows in zip(cuts, self._rows(cuts), strict=True):
            with self.files.cut_to(rows):
                found = self._decide(cut)
            self._compare(SeenIn.PREFIX, cut, found)
        if self.progress is not None:
            self.progress(self.total, self.total)
        return LookaheadResult(
            bars=bars,
            decisions=len(self.whole),
            prefixes=cuts,
            restarts=len(restarts),
            changes=sorted(self.changes.values(), key=lambda change: change.key.turn),
            disabled=[message for message in self.whole.values() if isinstance(message, StrategyDisabled)],
            read=sorted(self.files.bypassed),
        )

    def _rows(self, cuts: Sequence[int]) -> Iterator[Counter[tuple[str, Timeframe]]]:
        """Yield how many bars of each series the prefixes hold."""
        rows: Counter[tuple[str, Timeframe]] = Counter()
        before = 0
        for cut in cuts:
            rows.update((bar.symbol, bar.timeframe) for bar in self.history[before:cut])  # type: ignore[attr-defined]
            before = cut
            yield rows

    def _decide(self, stop: int, restarts: Sequence[int] = ()) -> _Decisions:
        """Run the first ``stop`` turns on a line made anew, and made anew again at each of ``restarts``."""
        found: dict[Key, Signal | StrategyDisabled] = {}
        turn = 0

        def note(message: Any) -> None:
            key = _key(turn, message, 0)
            while key in found:
                key = replace(key, number=key.number + 1)
            found[key] = message

        def note_refused(message: Any) -> None:
            # Of what risk refuses, the signal was seen before; a wish that is stopped comes in place of one.
            if message.gate in WISH_GATES:
                note(message.signal)

        sinks: dict[type[Message], Callable[[Any], None]]
        sinks = {Signal: note, StrategyDisabled: note, Refused: note_refused}
        saved: dict[StageName, bytes] = {}
        for begin, end in zip((0, *restarts), (*restarts, stop), strict=True):
            wired = wire(self.loaded, check_data=False)
            for name, part in saved.items():
                stage = wired.stages[name]
                stage.load(decode(stage.STATE, part))
            line = Line(wired.stages, sinks)
            with watching(wired.strategy):
                for turn in range(begin, end):
                    line.pump(self.history[turn])
                    self._advance()
            saved = {name: encode(stage.save()) for name, stage in wired.stages.items()} if end < stop else {}
        return found

    def _advance(self) -> None:
        self.done += 1
        if self.progress is not None and self.done % _PROGRESS_BARS == 0:
            self.progress(self.done, self.total)

    def _compare(self, seen: SeenIn, stop: int, found: _Decisions) -> None:
        expected = {key: message for key, message in self.whole.items() if key.turn < stop}
        for key in expected.keys() | found.keys():
            difference = _difference(expected.get(key), found.get(key))
            if difference is None:
                continue
            before = self.changes.get(key)
            if before is not None:
                self.changes[key] = replace(before, runs=before.runs + 1)
                continue
            message = expected.get(key) or found[key]
            what, fields = difference
            self.changes[key] = Change(
                key=key,
                ts_event=message.ts_event,
                what=what,
                fields=fields,
                seen=self._reason(key.strategy, seen),
                bars=stop,
            )

    def _reason(self, strategy: str, seen: SeenIn) -> SeenIn:
        """Return the first kind of run that showed the strategy up: chance also shows in prefixes."""
        earlier = {change.seen for change in self.changes.values() if change.key.strategy == strategy}
        return next((kind for kind in SeenIn if kind in earlier), seen)


def _key(turn: int, message: Signal | StrategyDisabled, number: int) -> Key:
    action = str(message.action) if isinstance(message, Signal) else _DISABLED
    return Key(turn, message.strategy, message.symbol, action, number)


def _difference(
    expected: Signal | StrategyDisabled | None, found: Signal | StrategyDisabled | None
) -> tuple[str, Mapping[str, tuple[str, str]]] | None:
    if expected is None or found is None:
        return ("new" if expected is None else "missing"), {}
    if expected == found:
        return None
    was, now = _fields(expected), _fields(found)
    fields = {name: (was[name], now[name]) for name in was if was[name] != now[name]}
    # Ids count the decisions, so one that is missing shifts those of all that follow.
    return ("changed", fields) if fields else None


def _fields(message: Signal | StrategyDisabled) -> dict[str, str]:
    if isinstance(message, StrategyDisabled):
        return {"reason": message.reason}
    fields = {name: _text(getattr(message, name)) for name in _COMPARED}
    fields["ladder"] = ", ".join(f"{plain(rung.fraction)} at {plain(rung.price)}" for rung in message.ladder)
    fields["factors"] = ", ".join(f"{name} {value!r}" for name, value in message.factors.items())
    fields["levels"] = ", ".join(f"{name} {plain(price)}" for name, price in message.levels.items())
    return fields


def _text(value: object) -> str:
    return "none" if value is None else plain(value) if isinstance(value, Decimal) else str(value)


def _alone(settings: Settings, strategy: str) -> Settings:
    """Return the settings with one strategy only."""
    found = next((one for one in settings.strategy if one.name == strategy), None)
    if found is None:
        if ".py:" not in strategy and strategy not in BUILT_IN:
            known = (*(one.name for one in settings.strategy), *BUILT_IN)
            raise UsageError(
                f"there is no strategy {strategy!r}", where="--strategy", mend=did_you_mean(strategy, known)
            )
        name = strategy.rpartition(":")[2]
        found = StrategySettings(kind=strategy, name=name, symbols=settings.bot.symbols)
    return settings.model_copy(update={"strategy": (found,)})
