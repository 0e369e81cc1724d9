"""Asks the strategies: bars in, signals out. A strategy that fails is disabled; the others go on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import getcontext
from types import CodeType
from typing import ClassVar

from tradebot.model.command import Command, Verb
from tradebot.model.errors import ConfigError, StrategyError
from tradebot.model.instrument import Instrument, InstrumentSeen
from tradebot.model.market import Bar, BarsClosed, Message
from tradebot.model.money import MONEY_CONTEXT
from tradebot.model.order import OrderDone, OrderRole
from tradebot.model.position import PositionChanged
from tradebot.model.signal import Refused, Signal, StrategyDisabled
from tradebot.model.time import Timeframe
from tradebot.pipeline.instruments import Instruments
from tradebot.pipeline.runs import Run
from tradebot.pipeline.strategy.asker import Asker, AskerState
from tradebot.pipeline.strategy.base import AtrStop, StrategySpec
from tradebot.pipeline.strategy.care import Care
from tradebot.pipeline.strategy.failure import plain_reason, restore_context, why_disabled
from tradebot.pipeline.strategy.measures import AtrState, Follower, SwingsState, SymbolMeasures
from tradebot.pipeline.strategy.regime import RegimeState

_PRECISION, _ROUNDING = MONEY_CONTEXT.prec, MONEY_CONTEXT.rounding
_NO_MONEY_ROUNDING = "changed the decimal context, by which all money is reckoned; use decimal.localcontext()"


Follow = Callable[[int, Bar], None]


def _nothing_left(until: int, last: Bar) -> None:
    """Stand where all is measured that is to be measured of a bar before it is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyState:
    """The state of the stage. ``disabled`` and ``unfit`` give a reason by strategy, ``unfit`` of those disabled next.

    ``instruments`` is what the venue said last of each symbol.
    """

    askers: tuple[AskerState, ...]
    atrs: tuple[AtrState, ...]
    disabled: dict[str, str]
    unfit: dict[str, str]
    regimes: tuple[RegimeState, ...] = ()
    instruments: dict[str, InstrumentSeen] = field(default_factory=dict)
    swings: tuple[SwingsState, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What a symbol's bars are for: its measures, and who is asked about which timeframe, in file order."""

    measures: SymbolMeasures = field(default_factory=SymbolMeasures)
    askers: list[tuple[Asker, Timeframe]] = field(default_factory=list)


class StrategyStage:
    """Ask each strategy at the close of its bars, in the order of ``specs``.

    ``disabled`` and ``force_disable`` give reasons by strategy; one in ``force_disable`` is disabled with
    that reason instead of being asked the next time - so a recovery repeats what a timer did. ``recorded``, where it is
    not ``None``, is what the strategies said in the turn under way, whatever their code says now. ``asking``
    names the strategy whose call is running; with ``calls``, which counts them, a timer can tell that one
    call goes on, and raise ``StrategyBlocked`` into it. ``saved_bytes`` is the most that a strategy's fields took
    in one symbol when saved. What a call raised that is the operator's by ``is_operators`` ends the program, not the
    strategy. Raises ``ConfigError`` on a strategy that cannot be made or keeps what cannot be saved.
    """

    STATE = StrategyState

    def __init__(
        self,
        specs: Sequence[StrategySpec],
        instruments: Mapping[str, Instrument],
        is_operators: Callable[[BaseException], bool] = lambda error: False,
    ) -> None:
        self._is_operators = is_operators
        self.disabled: dict[str, str] = {}
        self.force_disable: dict[str, str] = {}
        self.recorded: Sequence[Signal | Refused] | None = None
        self.saved_bytes: dict[str, int] = {}
        self._unfit: dict[str, str] = {}
        self.asking: str | None = None
        self.calls = 0
        self._instruments = Instruments(instruments)
        self._plans: dict[str, _Plan] = {}
        self._askers: dict[tuple[str, str], Asker] = {}
        self._visited: tuple[Run, int] | None = None
        for spec in specs:
            for symbol in spec.symbols:
                self._subscribe(spec, symbol)
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {
            BarsClosed: self._bars_closed,
            PositionChanged: self._position_changed,
            Refused: self._refused,
            OrderDone: self._order_done,
            Command: self._command,
            InstrumentSeen: self._seen,
            StrategyDisabled: self._disabled,
        }

    @property
    def classes(self) -> Mapping[str, type]:
        """The classes of the strategies, by name."""
        return {name: type(asker.strategy) for (name, _), asker in self._askers.items()}

    def _subscribe(self, spec: StrategySpec, symbol: str) -> None:
        if (spec.name, symbol) in self._askers:
            raise ConfigError(f"two strategies are named {spec.name!r}", mend="give each [[strategy]] its own name")
        plan = self._plans.setdefault(symbol, _Plan())
        atr = plan.measures.atr(spec.timeframe, spec.stop.n) if isinstance(spec.stop, AtrStop) else None
        gauge = plan.measures.gauge(spec.timeframe) if spec.regimes else None
        care = None if spec.exits is None else Care(spec.exits, spec.timeframe, plan.measures)
        asker = Asker(spec, symbol, self._instruments.of(symbol), atr, gauge, care)
        plan.askers.append((asker, spec.timeframe))
        self._askers[spec.name, symbol] = asker

    def handle(self, message: Message) -> Sequence[Message]:
        """Return the signals that follow from ``message``, or the refusal of one by its strategy's regimes."""
        handler = self.handlers.get(type(message))
        return () if handler is None else handler(message)

    def _position_changed(self, changed: PositionChanged) -> Sequence[Message]:
        asker = self._askers.get((changed.strategy, changed.symbol))
        if asker is not None:
            asker.hold(changed)
        return ()

    def _refused(self, refused: Refused) -> Sequence[Message]:
        return self._over(refused.signal.strategy, refused.signal.symbol, refused.signal.id)

    def _order_done(self, done: OrderDone) -> Sequence[Message]:
        if done.role is OrderRole.ENTRY:
            return self._over(done.strategy, done.symbol, done.signal_id)
        asker = self._askers.get((done.strategy, done.symbol))
        if asker is not None and done.stop_price is not None:
            asker.stopped_at(done.stop_price)
        return ()

    def _over(self, strategy: str, symbol: str, signal_id: str) -> Sequence[Message]:
        asker = self._askers.get((strategy, symbol))
        if asker is not None:
            asker.over(signal_id)
        return ()

    def _seen(self, seen: InstrumentSeen) -> Sequence[Message]:
        self._instruments.learn(seen)
        self._tell_instruments()
        return ()

    def _tell_instruments(self) -> None:
        for (_, symbol), asker in self._askers.items():
            asker.instrument = self._instruments.of(symbol)

    def _command(self, command: Command) -> Sequence[Message]:
        if command.verb is Verb.RESUME:
            for strategy in list(self.disabled):
                self.rearm(strategy)
        elif command.verb is Verb.RENUMBER:
            for asker in self._askers.values():
                asker.number_on(int(command.arguments.get("gap_s", "0")))
        return ()

    def _bars_closed(self, closed: BarsClosed) -> Sequence[Message]:
        plan = self._plans.get(closed.symbol)
        if plan is None:
            return ()
        bars, visited = closed.bars, self._visited
        self._visited = None
        measures = plan.measures
        if not measures.is_empty:
            measures.update(bars)
        out: Sequence[Message] = ()
        for asker, timeframe in plan.askers:
            for bar in bars:
                if bar.timeframe == timeframe and _has_a_say(asker):
                    if visited is not None and self._is_silent(asker, *visited):
                        continue
                    _, answers = self._asking(asker)(asker, (bar,), bars[-1])
                    # Mostly there is nothing to say.
                    if answers:
                        out = [*out, *answers]
        return out

    def visit(self, run: Run, place: int) -> None:
        """Learn that the bar that closes next is this one of ``run``, which is there beforehand."""
        self._visited = run, place

    def _is_silent(self, asker: Asker, run: Run, place: int) -> bool:
        """Return whether a bar was passed over: other stages may have to see one that means nothing to a strategy."""
        name = asker.spec.name
        if asker.is_disabled or name in self.force_disable or name in self._unfit:
            return False
        silent_until = asker.horizon(run, place, len(run))
        if silent_until is None or silent_until <= place:
            return False
        self.calls += 1
        asker.pass_over(run, place, place + 1)
        return True

    def horizon(self, run: Run, at: int, until: int) -> int:
        """Return the first place from ``at`` on at which a strategy may have its say: further looks are vain."""
        for asker in self._askers_of(run):
            silent_until = asker.horizon(run, at, until)
            until = min(until, at + run.ahead if silent_until is None else silent_until)
        return until

    def is_blind(self, run: Run, at: int) -> bool:
        """Return whether a strategy must be asked at each bar from ``at`` on."""
        return any(asker.horizon(run, at, at + 1) is None for asker in self._askers_of(run))

    def ask(self, run: Run, at: int, until: int) -> tuple[int, Sequence[Message]]:
        """Ask about the bars from ``at`` on, and before ``until``; return behind which there was something to say.

        Up to the nearest horizon only those are asked that have none; at it, all are.
        """
        plan = self._plans.get(run.symbol)
        if plan is None:
            return until, ()
        askers = self._askers_of(run)
        seeing, blind, horizon = list[Asker](), list[Asker](), until
        for asker in askers:
            silent_until = asker.horizon(run, at, until)
            if silent_until is None:
                blind.append(asker)
            else:
                seeing.append(asker)
                horizon = min(horizon, silent_until)
        follower = Follower(plan.measures, run, at)
        end, out = self._ask_each(blind, run, follower, at, horizon)
        for asker in seeing:
            self.calls += end - at
            asker.pass_over(run, at, end)
        if not out and end < until:
            bar = (run.bar(end),)
            out = [
                answer for asker in askers for answer in self._asking(asker)(asker, bar, None, follower.follow, end)[1]
            ]
            end += 1
        follower.follow(end)
        return end, out

    def _ask_each(
        self, askers: Sequence[Asker], run: Run, follower: Follower, at: int, until: int
    ) -> tuple[int, Sequence[Message]]:
        """Ask at each bar up to the first at which there is something to say; return the place behind it."""
        if not askers or at == until:
            return until, ()
        bars, follow = run.bars(at, until), follower.follow
        if len(askers) == 1:
            asked, out = self._asking(askers[0])(askers[0], bars, None, follow, at)
            return at + asked, out
        asking = [(asker, self._asking(asker)) for asker in askers]
        for place, bar in enumerate(bars, at):
            answers = [one for asker, ask in asking for one in ask(asker, (bar,), None, follow, place)[1]]
            if answers:
                return place + 1, answers
        return until, ()

    def _askers_of(self, run: Run) -> list[Asker]:
        plan = self._plans.get(run.symbol)
        if plan is None:
            return []
        return [asker for asker, timeframe in plan.askers if timeframe == run.timeframe and _has_a_say(asker)]

    def _asking(self, asker: Asker) -> Callable[..., tuple[int, Sequence[Message]]]:
        return self._only_care if asker.is_disabled else self._ask

    def _ask(
        self,
        asker: Asker,
        bars: Iterable[Bar],
        finest: Bar | None = None,
        follow: Follow = _nothing_left,
        at: int = 0,
    ) -> tuple[int, Sequence[Message]]:
        """Ask one strategy about ``bars`` up to the first at which it has something to say; return how many that are.

        ``finest`` closed with a bar that is not the finest. The bars of a run begin at its place ``at``; what is
        measured of them is so by ``follow``, once it is needed. Whatever happens in the strategy's code, ends
        here.
        """
        name = asker.spec.name
        reason = self.force_disable.get(name) or self._unfit.get(name)
        if reason is not None:
            return 1, self._disable(asker, reason, finest or next(iter(bars)))
        asker.catch_up()
        strategy, count = asker.strategy, 0
        signals: Sequence[Signal | Refused] = ()
        for bar in bars:
            count += 1
            asker.asked = asked = asker.asked + 1
            self.calls += 1
            self.asking = name
            try:
                if asker.is_cared:
                    follow(at + count, bar)
                if asker.is_told or asker.is_cared:
                    asker.prepare(bar)
                answer = strategy.on_bar(bar, asker.position)
                if asker.is_cared or (answer != () and answer != []):
                    follow(at + count, bar)
                    signals = asker.signals_of(answer, finest or bar)
                # In every run at the same bars, and seldom: what a strategy keeps may change as it goes.
                if asked & (asked - 1) == 0:
                    asker.frozen()
                _check_context()
                self.asking = None
            except BaseException as error:  # one of its own may be no Exception, and asyncio's would end a task
                if self._is_operators(error):
                    raise
                return count, self._disable(asker, why_disabled(error, strategy), finest or bar)
            signals = signals if self.recorded is None else self._recorded_of(asker)
            # Mostly there is nothing to say.
            if signals:
                asker.sent(signals)
                break
        return count, signals

    def _recorded_of(self, asker: Asker) -> Sequence[Signal | Refused]:
        """Take what was recorded of ``asker``."""
        place = (asker.spec.name, asker.symbol)
        known = [(one.signal if isinstance(one, Refused) else one, one) for one in self.recorded or ()]
        taken = [one for signal, one in known if (signal.strategy, signal.symbol) == place]
        self.recorded = [one for signal, one in known if (signal.strategy, signal.symbol) != place]
        return taken

    def _only_care(
        self,
        asker: Asker,
        bars: Iterable[Bar],
        finest: Bar | None = None,
        follow: Follow = _nothing_left,
        at: int = 0,
    ) -> tuple[int, Sequence[Message]]:
        """Let the exit rules go on with the position of a strategy that is disabled, as ``_ask`` would."""
        count = 0
        for count, bar in enumerate(bars, start=1):
            follow(at + count, bar)
            asker.learn(bar)
            signals = asker.signals_of((), finest or bar)
            if self.recorded is not None:
                signals = self._recorded_of(asker)
            if signals:
                asker.sent(signals)
                return count, signals
        return count, ()

    ask_code: ClassVar[CodeType] = _ask.__code__

    def _disable(self, asker: Asker, reason: str, finest: Bar) -> Sequence[Message]:
        self.asking = None
        restore_context()
        name = asker.spec.name
        reason = plain_reason(reason)
        self.disabled[name] = reason
        self.force_disable.pop(name, None)
        self._unfit.pop(name, None)
        for other in self._of(name):
            other.is_disabled = True
        return (StrategyDisabled(ts_event=finest.ts_event, strategy=name, symbol=asker.symbol, reason=reason),)

    def _disabled(self, disabled: StrategyDisabled) -> Sequence[Message]:
        if disabled.by_limit:
            self.disabled[disabled.strategy] = disabled.reason
            for asker in self._of(disabled.strategy):
                asker.is_disabled = True
        return ()

    def _of(self, strategy: str) -> list[Asker]:
        return [asker for (name, _), asker in self._askers.items() if name == strategy]

    def rearm(self, strategy: str) -> None:
        """Ask a disabled strategy again, with fresh objects; its positions and ids go on."""
        self.disabled.pop(strategy, None)
        self._unfit.pop(strategy, None)
        for asker in self._of(strategy):
            asker.renew()
            asker.is_disabled = False

    def save(self) -> StrategyState:
        """Return the state. A strategy whose fields cannot be saved any more is disabled at its next bar."""
        askers = tuple(asker.save(self._saved_fields(asker)) for asker in self._askers.values())
        measured = [(symbol, plan.measures) for symbol, plan in self._plans.items()]
        return StrategyState(
            askers=askers,
            atrs=tuple(average for symbol, measures in measured for average in measures.save_atrs(symbol)),
            disabled=dict(self.disabled),
            unfit=dict(self._unfit),
            regimes=tuple(gauge for symbol, measures in measured for gauge in measures.save_regimes(symbol)),
            instruments=dict(self._instruments.seen),
            swings=tuple(found for symbol, measures in measured for found in measures.save_swings(symbol)),
        )

    def _saved_fields(self, asker: Asker) -> str | None:
        if asker.is_disabled:
            return None
        name = asker.spec.name
        try:
            fields = asker.frozen()
        except StrategyError as error:
            self._unfit[name] = error.what
            return None
        self.saved_bytes[name] = max(len(fields), self.saved_bytes.get(name, 0))
        return fields

    def load(self, state: StrategyState) -> None:
        """Become what ``save`` saw; what it did not know, or knew with other parameters, starts afresh."""
        self.disabled = dict(state.disabled)
        self._unfit = dict(state.unfit)
        self._instruments.seen = dict(state.instruments)
        self._tell_instruments()
        for saved in state.askers:
            asker = self._askers.get((saved.strategy, saved.symbol))
            if asker is not None:
                asker.load(saved, saved.strategy in self.disabled)
        for symbol, plan in self._plans.items():
            plan.measures.load(
                [known for known in state.atrs if known.symbol == symbol],
                [found for found in state.swings if found.symbol == symbol],
                [seen for seen in state.regimes if seen.symbol == symbol],
            )


def _has_a_say(asker: Asker) -> bool:
    return asker.is_cared or not asker.is_disabled


def _check_context() -> None:
    context = getcontext()
    if context.prec != _PRECISION or context.rounding != _ROUNDING:
        raise StrategyError(_NO_MONEY_ROUNDING)
