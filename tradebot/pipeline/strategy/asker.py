"""One strategy on one symbol: its object, what it is told, and what it said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from tradebot.model.errors import ConfigError, StrategyError
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar
from tradebot.model.money import Price
from tradebot.model.position import Position, PositionChanged
from tradebot.model.signal import Action, Refused, Signal
from tradebot.model.time import NANOS_PER_S, Timeframe
from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.runs import Run
from tradebot.pipeline.strategy.base import Exit, Foresight, Strategy, StrategySpec, is_its_own
from tradebot.pipeline.strategy.care import Care, Cared, is_nearer
from tradebot.pipeline.strategy.entry import entry_signal
from tradebot.pipeline.strategy.failure import told
from tradebot.pipeline.strategy.measures import Atr
from tradebot.pipeline.strategy.regime import Gauge
from tradebot.pipeline.strategy.state import Shared, freeze, origin, shared, thaw
from tradebot.pipeline.strategy.wish import Moment, exit_signal, gather, move_signal

# The field in which a strategy that has it finds whether an entry of it is at work.
_WAITS = "is_waiting"
# What a venue has room for in the number of a signal, the most signals of one bar, and some to spare.
_NUMBER_BITS, _MOST_A_BAR, _SPARE = 20, 4, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AskerState:
    """One strategy on one symbol: the signals and bars so far, and its fields as JSON unless disabled.

    ``origin`` is that of the fresh object: fields of another timeframe or other parameters are not taken over.
    ``entries`` are the ids of its entries at work, ``stops`` the stops of those that have one.
    """

    strategy: str
    symbol: str
    timeframe: Timeframe
    origin: str
    signals: int
    asked: int
    position: Position | None
    fields: str | None
    entries: tuple[str, ...] = ()
    stops: dict[str, Price] = field(default_factory=dict)
    cared: Cared | None = None


@dataclass(slots=True)
class Asker:
    """What the stage keeps of one strategy on one symbol.

    ``entries`` are those at work, by id, with their stops. ``is_cared``: a position is open, and rules care for it.
    """

    spec: StrategySpec
    symbol: str
    instrument: Instrument
    atr: Atr | None
    gauge: Gauge | None
    care: Care | None
    strategy: Strategy = field(init=False)
    origin: str = field(init=False)
    shared: Mapping[str, Shared] = field(init=False)
    is_told: bool = field(init=False)
    signals: int = 0
    asked: int = 0
    position: Position | None = None
    entries: dict[str, Price | None] = field(default_factory=dict)
    cared: Cared | None = None
    is_cared: bool = False
    is_disabled: bool = False
    foresees: bool = False
    _horizon: tuple[Run | None, Position | None, Cared | None, bool, int, int] = (None, None, None, False, 0, 0)
    # Bars that were passed over, and that the strategy has not taken yet.
    _behind: tuple[ColumnRun, int, int] | None = None

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Make a fresh object. Raises ``ConfigError`` on one that cannot be made, or saved and restored."""
        spec = self.spec
        try:
            fresh = spec.factory()
            thaw(spec.factory(), freeze(fresh))
            self.strategy, self.origin, self.shared = fresh, origin(fresh), shared(fresh)
        except StrategyError as error:
            raise ConfigError(error.what, where=f"strategy {spec.name}", mend=error.mend) from error
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"it cannot be made: {told(error, None)}", where=f"strategy {spec.name}", mend="correct its __init__"
            ) from error
        self.is_told = hasattr(fresh, _WAITS)
        self.foresees = isinstance(fresh, Foresight) and is_its_own("horizon", fresh)
        self.asked = 0
        self._behind = None

    def horizon(self, run: Run, at: int, until: int) -> int | None:
        """Return up to which bar there is nothing to say while the strategy is told nothing; ``None``: it cannot tell.

        What is found holds until something is told.
        """
        # What it foresees, it sees in the columns of all that it has been asked about.
        if not isinstance(run, ColumnRun) or not self.foresees or self.asked != at:
            return None
        if self.is_cared and self.care is not None and not self.care.foresees:
            return None
        known, position, cared, is_waiting, silent_until, seen = self._horizon
        if (
            known is not run
            or position is not self.position
            or cared is not self.cared
            or is_waiting is not bool(self.entries)
            or at > silent_until
            or silent_until == seen < until
        ):
            self.catch_up()
            if self.is_told:
                self._tell()
            strategy = cast("Foresight", self.strategy)
            silent_until = self._uncared(run, at, strategy.horizon(run, at, until, self.position))
            self._horizon = run, self.position, self.cared, bool(self.entries), silent_until, until
        return min(silent_until, until)

    def _uncared(self, run: ColumnRun, at: int, until: int) -> int:
        """Return up to which bar the exit rules have nothing to do."""
        if self.care is None or self.cared is None or self.position is None:
            return until
        return self.care.horizon(self.cared, self.position, self.instrument, run, at, until)

    def pass_over(self, run: Run, at: int, until: int) -> None:
        """Let the strategy take bars before its horizon: once it is needed again, with those that follow."""
        if at < until:
            if self.is_told:
                self._tell()
            self.asked += until - at
            self._behind = cast("ColumnRun", run), at if self._behind is None else self._behind[1], until

    def catch_up(self) -> None:
        """Let the strategy take what was passed over."""
        if self._behind is not None:
            run, at, until = self._behind
            self._behind = None
            cast("Foresight", self.strategy).pass_over(run, at, until, self.position)

    def prepare(self, bar: Bar) -> None:
        """Tell a strategy that wants to know it whether an entry is at work; let the exit rules take in ``bar``."""
        if self.is_told:
            self._tell()
        self.learn(bar)

    def learn(self, bar: Bar) -> None:
        """Let the exit rules of an open position take in a bar of the strategy."""
        if self.care is not None and self.cared is not None and self.position is not None:
            self.cared = self.care.learn(self.cared, self.position, bar, self.instrument)

    def hold(self, changed: PositionChanged) -> None:
        """Take in what the position has become."""
        self.catch_up()
        position, before = changed.position, self.position
        self.position = position
        if position is None:
            self.cared = None
        elif before is None or before.side is not position.side:
            stop = self.entries.get(changed.signal_id)
            self.cared = Cared(first=stop, stop=stop)
        self.is_cared = position is not None and self.care is not None

    def signals_of(self, answer: object, finest: Bar) -> Sequence[Signal | Refused]:
        """Return one signal, or its refusal, for each wish of what the strategy answered, and of its exit rules.

        Raises ``Nonsense``.
        """
        leave, enter, move = gather(answer)
        moment = Moment(finest.ts_event, self.symbol, finest.close, self.position, self.atr, self.signals + 1)
        signals: list[Signal | Refused] = []
        if leave is None and self._is_over(moment):
            leave = Exit("time")
        if leave is not None:
            signals.append(exit_signal(leave, self.spec, moment))
            moment.number += 1
        if move is not None:
            signals.append(move_signal(move, self.spec, self.instrument, moment))
            moment.number += 1
        moved = None if leave is not None else self._moved(moment, signals)
        if moved is not None:
            signals.append(moved)
            moment.number += 1
        if enter is not None:
            entry = entry_signal(enter, self.spec, self.instrument, moment)
            if self.gauge is not None and isinstance(entry, Signal):
                entry = self.gauge.judge(entry, self.spec.regimes)
            signals.append(entry)
        return signals

    def _tell(self) -> None:
        setattr(self.strategy, _WAITS, bool(self.entries))

    def _is_over(self, moment: Moment) -> bool:
        position, cared = moment.position, self.cared
        if self.care is None or position is None or cared is None:
            return False
        return self.care.is_over(cared, position, moment.close, moment.ts_event)

    def _moved(self, moment: Moment, before: Sequence[Signal | Refused]) -> Signal | Refused | None:
        """Return how the exit rules move the stop further than ``before`` does."""
        position, cared = moment.position, self._after(before)
        if self.care is None or position is None or cared is None:
            return None
        wish = self.care.move(cared, position, moment.close, self.instrument)
        return None if wish is None else move_signal(wish, self.spec, self.instrument, moment)

    def _after(self, signals: Sequence[Signal | Refused]) -> Cared | None:
        """Return what is remembered of the position once ``signals`` have moved its stop."""
        cared = self.cared
        for one in signals:
            if cared is None or not isinstance(one, Signal) or one.action is not Action.MOVE_STOP or one.stop is None:
                continue
            # One that the close has passed will be refused.
            if is_nearer(one.close, one.stop, one.side):
                cared = cared.with_stop(one.stop, one.side)
        return cared

    def sent(self, signals: Sequence[Signal | Refused]) -> None:
        """Count what goes out; an entry is at work until it is refused or ends."""
        self.signals += len(signals)
        self.cared = self._after(signals)
        self.entries.update(
            {one.id: one.stop for one in signals if isinstance(one, Signal) and one.action is Action.ENTER}
        )

    def number_on(self, gap_s: int) -> None:
        """Go on behind all numbers of signals that can have been given out in ``gap_s`` seconds."""
        bars = gap_s * NANOS_PER_S // self.spec.timeframe
        room = (1 << _NUMBER_BITS) - self.signals
        self.signals += max(0, min(_MOST_A_BAR * bars + _SPARE, room // 4))

    def over(self, signal_id: str) -> None:
        """Take an entry that was refused, or whose order ended, off those at work."""
        self.entries.pop(signal_id, None)

    def stopped_at(self, stop: Price) -> None:
        """Learn that the venue did not take the stop that was asked for last: ``stop`` is in force."""
        if self.cared is not None:
            self.cared = replace(self.cared, stop=stop)

    def frozen(self) -> str:
        """Return the fields as JSON.

        Raises ``StrategyError`` on what cannot be saved, or is kept where it is not saved.
        """
        self.catch_up()
        fields = freeze(self.strategy)
        now = shared(self.strategy)
        if now != self.shared:
            name = next(name for name in (*now, *self.shared) if now.get(name) != self.shared.get(name))
            mend = "self." + re.split("[. ]", name)[-1]
            raise StrategyError(f"changed {name}, which is not saved; keep it in a field: {mend}")
        return fields

    def save(self, fields: str | None) -> AskerState:
        """Return the state, with ``fields`` as those of the strategy."""
        return AskerState(
            strategy=self.spec.name,
            symbol=self.symbol,
            timeframe=self.spec.timeframe,
            origin=self.origin,
            signals=self.signals,
            asked=self.asked,
            position=self.position,
            fields=fields,
            entries=tuple(self.entries),
            stops={name: stop for name, stop in self.entries.items() if stop is not None},
            cared=self.cared,
        )

    def load(self, saved: AskerState, is_disabled: bool) -> None:
        """Become what ``save`` saw; fields of another timeframe or other parameters start afresh."""
        self.signals, self.position = saved.signals, saved.position
        self.entries = {name: saved.stops.get(name) for name in saved.entries}
        # One that was saved before there was any care has no stop that is known of.
        self.cared = saved.cared or (None if saved.position is None else Cared())
        self.is_cared = saved.position is not None and self.care is not None
        self.is_disabled = is_disabled
        self.renew()
        if saved.origin != self.origin or saved.timeframe != self.spec.timeframe:
            return
        self.asked = saved.asked
        if saved.fields is not None:
            thaw(self.strategy, saved.fields)
