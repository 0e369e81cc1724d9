"""One strategy on one symbol: its object, what it is told, and what it said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tradebot.model.errors import ConfigError, StrategyError
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar
from tradebot.model.position import Position
from tradebot.model.signal import Action, Refused, Signal
from tradebot.model.time import Timeframe
from tradebot.pipeline.strategy.base import Strategy, StrategySpec
from tradebot.pipeline.strategy.entry import entry_signal
from tradebot.pipeline.strategy.failure import told
from tradebot.pipeline.strategy.measures import Atr
from tradebot.pipeline.strategy.regime import Gauge
from tradebot.pipeline.strategy.state import Shared, freeze, origin, shared, thaw
from tradebot.pipeline.strategy.wish import Moment, exit_signal, gather, move_signal

# The field in which a strategy that has it finds whether an entry of it is at work.
_WAITS = "is_waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskerState:
    """One strategy on one symbol: the signals and bars so far, and its fields as JSON unless disabled.

    ``origin`` is that of the fresh object: fields of another timeframe or other parameters are not taken over.
    ``entries`` are the ids of its entries at work.
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


@dataclass(slots=True)
class Asker:
    """What the stage keeps of one strategy on one symbol."""

    spec: StrategySpec
    symbol: str
    instrument: Instrument
    atr: Atr | None
    gauge: Gauge | None
    strategy: Strategy = field(init=False)
    origin: str = field(init=False)
    shared: Mapping[str, Shared] = field(init=False)
    is_told: bool = field(init=False)
    signals: int = 0
    asked: int = 0
    position: Position | None = None
    entries: list[str] = field(default_factory=list)
    is_disabled: bool = False

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
        self.asked = 0

    def tell(self) -> None:
        """Give a strategy that wants to know it, whether an entry of it is at work."""
        setattr(self.strategy, _WAITS, bool(self.entries))

    def signals_of(self, answer: object, finest: Bar) -> Sequence[Signal | Refused]:
        """Return one signal, or its refusal, for each wish of what the strategy answered. Raises ``Nonsense``."""
        leave, enter, move = gather(answer)
        moment = Moment(finest.ts_event, self.symbol, finest.close, self.position, self.atr, self.signals + 1)
        signals: list[Signal | Refused] = []
        if leave is not None:
            signals.append(exit_signal(leave, self.spec, moment))
            moment.number += 1
        if move is not None:
            signals.append(move_signal(move, self.spec, self.instrument, moment))
            moment.number += 1
        if enter is not None:
            entry = entry_signal(enter, self.spec, self.instrument, moment)
            if self.gauge is not None and isinstance(entry, Signal):
                entry = self.gauge.judge(entry, self.spec.regimes)
            signals.append(entry)
        return signals

    def sent(self, signals: Sequence[Signal | Refused]) -> None:
        """Count what goes out; an entry is at work until it is refused or ends."""
        self.signals += len(signals)
        self.entries += [one.id for one in signals if isinstance(one, Signal) and one.action is Action.ENTER]

    def over(self, signal_id: str) -> None:
        """Take an entry that was refused, or whose order ended, off those at work."""
        if signal_id in self.entries:
            self.entries.remove(signal_id)

    def frozen(self) -> str:
        """Return the fields as JSON.

        Raises ``StrategyError`` on what cannot be saved, or is kept where it is not saved.
        """
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
        )

    def load(self, saved: AskerState, is_disabled: bool) -> None:
        """Become what ``save`` saw; fields of another timeframe or other parameters start afresh."""
        self.signals, self.position, self.entries = saved.signals, saved.position, list(saved.entries)
        self.is_disabled = is_disabled
        self.renew()
        if saved.origin != self.origin or saved.timeframe != self.spec.timeframe:
            return
        self.asked = saved.asked
        if saved.fields is not None:
            thaw(self.strategy, saved.fields)
