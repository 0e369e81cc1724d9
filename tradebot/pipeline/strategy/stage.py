"""Asks the strategies: bars in, signals out. A strategy that fails is disabled; the others go on."""

import re
import signal
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import getcontext
from pathlib import PurePath
from types import CodeType, TracebackType
from typing import ClassVar

from tradebot.model.command import Command, Verb
from tradebot.model.errors import ConfigError, StrategyError
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed, Message
from tradebot.model.money import MONEY_CONTEXT
from tradebot.model.position import Position, PositionChanged
from tradebot.model.signal import Refused, Signal, StrategyDisabled
from tradebot.model.time import Timeframe
from tradebot.pipeline.patterns import atr
from tradebot.pipeline.strategy.base import Strategy, StrategySpec
from tradebot.pipeline.strategy.regime import Gauge, RegimeState
from tradebot.pipeline.strategy.state import Shared, freeze, origin, shared, thaw
from tradebot.pipeline.strategy.wish import Moment, Nonsense, entry_signal, exit_signal, gather, move_signal

BLOCKED_AFTER_S = 5
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MOST_SAID = 300
_NO_MONEY_ROUNDING = "changed the decimal context, by which all money is reckoned; use decimal.localcontext()"


class StrategyBlocked(BaseException):
    """Raised into a strategy's call that took too long; no ``Exception``, so that it is not swallowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskerState:
    """One strategy on one symbol: the signals and bars so far, and its fields as JSON unless disabled.

    ``origin`` is that of the fresh object: fields of another timeframe or other parameters are not taken over.
    """

    strategy: str
    symbol: str
    timeframe: Timeframe
    origin: str
    signals: int
    asked: int
    position: Position | None
    fields: str | None


@dataclass(frozen=True, slots=True)
class AtrState:
    """One average true range, as the arrays of its kernel."""

    symbol: str
    timeframe: Timeframe
    n: int
    values: tuple[float, ...]
    atr: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyState:
    """The state of the stage; both mappings give a reason by strategy, ``unfit`` of those to be disabled next."""

    askers: tuple[AskerState, ...]
    atrs: tuple[AtrState, ...]
    disabled: dict[str, str]
    unfit: dict[str, str]
    regimes: tuple[RegimeState, ...] = ()


@dataclass(slots=True)
class _Atr:
    n: int
    state: "array[float]"
    out: "array[float]" = field(default_factory=lambda: array("d", (0.0,)))
    value: float | None = None

    def update(self, bar: Bar) -> None:
        defined = atr.step(self.state, self.out, 0.0, float(bar.high), float(bar.low), float(bar.close), 0.0)
        if defined:
            self.value = self.out[0]


@dataclass(slots=True)
class _Asker:
    """One strategy on one symbol."""

    spec: StrategySpec
    symbol: str
    instrument: Instrument
    object: Strategy
    origin: str
    shared: Mapping[str, Shared]
    atr: _Atr | None
    gauge: Gauge | None
    signals: int = 0
    asked: int = 0
    position: Position | None = None
    is_disabled: bool = False


@dataclass(slots=True)
class _Plan:
    """What a symbol's bars are for: averages and gauges of timeframes, and who is asked about which, in file order."""

    atrs: dict[Timeframe, list[_Atr]] = field(default_factory=dict)
    gauges: dict[Timeframe, Gauge] = field(default_factory=dict)
    askers: list[tuple[_Asker, Timeframe]] = field(default_factory=list)


class StrategyStage:
    """Ask each strategy at the close of its bars, in the order of ``specs``.

    ``disabled`` and ``force_disable`` give reasons by strategy; one in ``force_disable`` is disabled with
    that reason instead of being asked the next time - so a recovery repeats what a timer did. ``asking``
    names the strategy whose call is running; with ``calls``, which counts them, a timer can tell that one
    call goes on, and raise ``StrategyBlocked`` into it. ``saved_bytes`` is the most that a strategy's fields took
    in one symbol when saved. Raises ``ConfigError`` on a strategy that cannot
    be made or keeps what cannot be saved.
    """

    STATE = StrategyState

    def __init__(self, specs: Sequence[StrategySpec], instruments: Mapping[str, Instrument]) -> None:
        self.disabled: dict[str, str] = {}
        self.force_disable: dict[str, str] = {}
        self.saved_bytes: dict[str, int] = {}
        self._unfit: dict[str, str] = {}
        self.asking: str | None = None
        self.calls = 0
        self._plans: dict[str, _Plan] = {}
        self._askers: dict[tuple[str, str], _Asker] = {}
        for spec in specs:
            for symbol in spec.symbols:
                self._subscribe(spec, symbol, instruments.get(symbol) or Instrument(symbol=symbol))
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {
            BarsClosed: self._bars_closed,
            PositionChanged: self._position_changed,
            Command: self._command,
        }

    def _subscribe(self, spec: StrategySpec, symbol: str, instrument: Instrument) -> None:
        if (spec.name, symbol) in self._askers:
            raise ConfigError(f"two strategies are named {spec.name!r}", mend="give each [[strategy]] its own name")
        plan = self._plans.setdefault(symbol, _Plan())
        average: _Atr | None = None
        if spec.stop is not None:
            averages = plan.atrs.setdefault(spec.timeframe, [])
            average = next((known for known in averages if known.n == spec.stop.n), None)
            if average is None:
                average = _Atr(spec.stop.n, atr.new_state(spec.stop.n))
                averages.append(average)
        gauge = plan.gauges.setdefault(spec.timeframe, Gauge()) if spec.regimes else None
        asker = _Asker(spec, symbol, instrument, *_make(spec), average, gauge)
        plan.askers.append((asker, spec.timeframe))
        self._askers[spec.name, symbol] = asker

    def handle(self, message: Message) -> Sequence[Message]:
        """Return the signals that follow from ``message``, or the refusal of one by its strategy's regimes."""
        handler = self.handlers.get(type(message))
        return () if handler is None else handler(message)

    def _position_changed(self, changed: PositionChanged) -> Sequence[Message]:
        asker = self._askers.get((changed.strategy, changed.symbol))
        if asker is not None:
            asker.position = changed.position
        return ()

    def _command(self, command: Command) -> Sequence[Message]:
        if command.verb is Verb.RESUME:
            for strategy in list(self.disabled):
                self.rearm(strategy)
        return ()

    def _bars_closed(self, closed: BarsClosed) -> Sequence[Message]:
        plan = self._plans.get(closed.symbol)
        if plan is None:
            return ()
        bars = closed.bars
        if plan.atrs or plan.gauges:
            _measure(plan, bars)
        out: Sequence[Message] = ()
        for asker, timeframe in plan.askers:
            for bar in bars:
                if bar.timeframe == timeframe and not asker.is_disabled:
                    answers = self._ask(asker, bar, closed)
                    # Mostly there is nothing to say.
                    if answers:
                        out = [*out, *answers]
        return out

    def _ask(self, asker: _Asker, bar: Bar, closed: BarsClosed) -> Sequence[Message]:
        """Ask one strategy about one bar: whatever happens in its code, ends here."""
        name = asker.spec.name
        if self.force_disable or self._unfit:
            reason = self.force_disable.get(name) or self._unfit.get(name)
            if reason is not None:
                return self._disable(asker, reason, closed)
        asker.asked = asked = asker.asked + 1
        self.calls += 1
        self.asking = name
        try:
            answer = asker.object.on_bar(bar, asker.position)
            signals = () if answer == () else _signals(answer, asker, closed)
            # In every run at the same bars, and seldom: what a strategy keeps may change as it goes.
            if asked & (asked - 1) == 0:
                _frozen(asker)
            context = getcontext()
            if context.prec != MONEY_CONTEXT.prec or context.rounding != MONEY_CONTEXT.rounding:
                raise StrategyError(_NO_MONEY_ROUNDING)
            self.asking = None
        except BaseException as error:  # one of its own may be no Exception, and asyncio's would end a task
            if isinstance(error, KeyboardInterrupt) and _is_operator_heard():
                raise
            return self._disable(asker, _why_disabled(error, asker.object), closed)
        if signals:
            asker.signals += len(signals)
        return signals

    ask_code: ClassVar[CodeType] = _ask.__code__

    def _disable(self, asker: _Asker, reason: str, closed: BarsClosed) -> Sequence[Message]:
        self.asking = None
        _restore_context()
        name = asker.spec.name
        # Half a character, as of a file name that is no text, could not be written down.
        reason = _ADDRESS.sub("", reason)[:_MOST_SAID].encode(errors="replace").decode()
        self.disabled[name] = reason
        self.force_disable.pop(name, None)
        self._unfit.pop(name, None)
        for other in self._of(name):
            other.is_disabled = True
        return (StrategyDisabled(ts_event=closed.ts_event, strategy=name, symbol=asker.symbol, reason=reason),)

    def _of(self, strategy: str) -> list[_Asker]:
        return [asker for (name, _), asker in self._askers.items() if name == strategy]

    def rearm(self, strategy: str) -> None:
        """Ask a disabled strategy again, with fresh objects; its positions and ids go on."""
        self.disabled.pop(strategy, None)
        self._unfit.pop(strategy, None)
        for asker in self._of(strategy):
            asker.object, asker.origin, asker.shared = _make(asker.spec)
            asker.is_disabled = False
            asker.asked = 0

    def save(self) -> StrategyState:
        """Return the state. A strategy whose fields cannot be saved any more is disabled at its next bar."""
        askers = tuple(self._saved(asker) for asker in self._askers.values())
        atrs = tuple(
            AtrState(symbol, timeframe, average.n, tuple(average.state), average.value)
            for symbol, plan in self._plans.items()
            for timeframe, averages in plan.atrs.items()
            for average in averages
        )
        regimes = tuple(
            RegimeState(symbol, timeframe, gauge.kernel.save(), gauge.now)
            for symbol, plan in self._plans.items()
            for timeframe, gauge in plan.gauges.items()
        )
        return StrategyState(
            askers=askers, atrs=atrs, disabled=dict(self.disabled), unfit=dict(self._unfit), regimes=regimes
        )

    def _saved(self, asker: _Asker) -> AskerState:
        fields = None
        if not asker.is_disabled:
            try:
                fields = _frozen(asker)
                self.saved_bytes[asker.spec.name] = max(len(fields), self.saved_bytes.get(asker.spec.name, 0))
            except StrategyError as error:
                self._unfit[asker.spec.name] = error.what
        return AskerState(
            strategy=asker.spec.name,
            symbol=asker.symbol,
            timeframe=asker.spec.timeframe,
            origin=asker.origin,
            signals=asker.signals,
            asked=asker.asked,
            position=asker.position,
            fields=fields,
        )

    def load(self, state: StrategyState) -> None:
        """Become what ``save`` saw; what it did not know, or knew with other parameters, starts afresh."""
        self.disabled = dict(state.disabled)
        self._unfit = dict(state.unfit)
        for saved in state.askers:
            asker = self._askers.get((saved.strategy, saved.symbol))
            if asker is None:
                continue
            asker.signals, asker.position = saved.signals, saved.position
            asker.is_disabled = saved.strategy in self.disabled
            asker.object, asker.origin, asker.shared = _make(asker.spec)
            is_same = saved.origin == asker.origin and saved.timeframe == asker.spec.timeframe
            asker.asked = saved.asked if is_same else 0
            if saved.fields is not None and is_same:
                thaw(asker.object, saved.fields)
        for known in state.atrs:
            plan = self._plans.get(known.symbol, _Plan())
            for average in plan.atrs.get(known.timeframe, ()):
                if average.n == known.n:
                    average.state = array("d", known.values)
                    average.value = known.atr
        for seen in state.regimes:
            gauge = self._plans.get(seen.symbol, _Plan()).gauges.get(seen.timeframe)
            if gauge is not None:
                gauge.kernel.load(seen.kernel)
                gauge.now = seen.now


def _measure(plan: _Plan, bars: Sequence[Bar]) -> None:
    for bar in bars:
        for average in plan.atrs.get(bar.timeframe, ()):
            average.update(bar)
        gauge = plan.gauges.get(bar.timeframe)
        if gauge is not None:
            gauge.update(bar)


def _signals(answer: object, asker: _Asker, closed: BarsClosed) -> Sequence[Signal | Refused]:
    leave, enter, move = gather(answer)
    average = None if asker.atr is None else asker.atr.value
    moment = Moment(closed.ts_event, asker.symbol, closed.bars[-1].close, asker.position, average, asker.signals + 1)
    signals: list[Signal | Refused] = []
    if leave is not None and (exit_ := exit_signal(leave, asker.spec, moment)) is not None:
        signals.append(exit_)
        moment.number += 1
    if move is not None and (moved := move_signal(move, asker.spec, asker.instrument, moment)) is not None:
        signals.append(moved)
        moment.number += 1
    if enter is not None and (entry := entry_signal(enter, asker.spec, asker.instrument, moment)) is not None:
        signals.append(entry if asker.gauge is None else asker.gauge.judge(entry, asker.spec.regimes))
    return signals


def _frozen(asker: _Asker) -> str:
    """Return the fields as JSON. Raises ``StrategyError`` on what cannot be saved, or is kept where it is not saved."""
    fields = freeze(asker.object)
    now = shared(asker.object)
    if now != asker.shared:
        name = next(name for name in (*now, *asker.shared) if now.get(name) != asker.shared.get(name))
        mend = "self." + re.split("[. ]", name)[-1]
        raise StrategyError(f"changed {name}, which is not saved; keep it in a field: {mend}")
    return fields


def _is_operator_heard() -> bool:
    # A daemon hears Ctrl-C in its loop: there it was the strategy itself that raised.
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _restore_context() -> None:
    """Give the money of all others its arithmetic back: tasks share one context, so it is mended, not replaced."""
    context = getcontext()
    for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"):
        setattr(context, name, getattr(MONEY_CONTEXT, name))
    context.traps.update(MONEY_CONTEXT.traps)


def _make(spec: StrategySpec) -> tuple[Strategy, str, Mapping[str, Shared]]:
    """Return a fresh object, its origin and what it shares; it must be one that can be saved and restored."""
    try:
        strategy = spec.factory()
        thaw(spec.factory(), freeze(strategy))
        made = strategy, origin(strategy), shared(strategy)
    except StrategyError as error:
        raise ConfigError(error.what, where=f"strategy {spec.name}", mend=error.mend) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"it cannot be made: {_told(error, None)}", where=f"strategy {spec.name}", mend="correct its __init__"
        ) from error
    return made


def _why_disabled(error: BaseException, strategy: Strategy) -> str:
    match error:
        case Nonsense():
            return f"nonsense: {error}"
        case StrategyBlocked():
            return f"blocked for more than {BLOCKED_AFTER_S} s"
        case StrategyError():
            return error.what
        case _:
            return _told(error, strategy)


def _told(error: BaseException, strategy: Strategy | None) -> str:
    """Say what was raised and where: in the strategy's own file where it passed there."""
    try:
        words = str(error)
    except Exception:  # it is the strategy's own class, and may fail like the rest of it
        words = ""
    said = f"raised {type(error).__name__}" + (f": {words}" if words else "")
    places = _places(error.__traceback__)
    code = getattr(getattr(type(strategy), "on_bar", None), "__code__", None)
    places = [place for place in places if code is not None and place[0] == code.co_filename] or places
    if not places:
        return said
    file, line = places[-1]
    return f"{said} at {PurePath(file).name}:{line}"


def _places(trace: TracebackType | None) -> list[tuple[str, int]]:
    places = []
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return places
