"""How often a strategy may enter within an hour of the market: one that wants more has gone wild, and is halted."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from tradebot.model.command import Alert, AlertName
from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.signal import Approved, Refused, Signal, StrategyDisabled
from tradebot.model.time import HOUR, Nanos
from tradebot.pipeline.risk.gates.base import Book, Gate, GateConfig, Stopped

GATE = "entry_rate"
SETTING = "max_entries_per_hour"
# As many are remembered as the setting can ask for.
MOST = 1_000
_WAY_BACK = "tradebot resume brings it back"
_MEND = "look why it enters so often: tradebot signals; its positions keep their stops"


@dataclass(frozen=True, slots=True)
class EntryRateState:
    """When each strategy entered last, oldest first; ``halted`` are those that wanted more."""

    kind: ClassVar[str] = "entry_rate"
    entered: dict[str, tuple[Nanos, ...]] = field(default_factory=dict)
    halted: tuple[str, ...] = ()


class EntryRateGate(Gate):
    """Entries of a strategy that does not repeat itself without end, approved ones counted, whatever came of them.

    The first that is too many halts the strategy: it enters no more until an operator resumes.
    """

    names: ClassVar = {
        GATE: "the strategy entered `max_entries_per_hour` times within an hour, and wanted more: "
        "it is halted until `resume`"
    }
    hears: ClassVar = (Approved,)

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self._entered: dict[str, deque[Nanos]] = {}
        self._halted: dict[str, None] = {}

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return how often the strategy entered within the last hour, and halt it when that is all it may."""
        strategy, limit = signal.strategy, book.limits.get(SETTING)
        if strategy in self._halted:
            return Stopped(GATE, limit, detail=f"{strategy} is halted for entering too often; {_WAY_BACK}")
        if limit is None:
            return None
        count = sum(ts > signal.ts_event - HOUR for ts in self._entered.get(strategy, ()))
        if count < limit:
            return None
        self._halted[strategy] = None
        what = f"{strategy} entered {count} times within an hour and wants more: it is halted; {_WAY_BACK}"
        return Stopped(GATE, limit, Decimal(count), what)

    def release(self) -> None:
        """Let those that are halted enter again, counted from 0."""
        for strategy in self._halted:
            self._entered.pop(strategy, None)
        self._halted = {}

    def hear(self, message: Message) -> None:
        """Remember when an entry was approved, as long as it may count."""
        assert isinstance(message, Approved)  # noqa: S101 - all that it hears  # nosec B101
        entered = self._entered.setdefault(message.signal.strategy, deque(maxlen=MOST))
        entered.append(message.ts_event)
        while entered[0] <= message.ts_event - HOUR:
            entered.popleft()

    def save(self) -> EntryRateState:
        """Return what is remembered."""
        entered = {strategy: tuple(entered) for strategy, entered in self._entered.items()}
        return EntryRateState(entered, tuple(self._halted))

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
        if not isinstance(state, EntryRateState):
            raise InvariantError(f"{state!r} is not what {GATE} remembers")
        self._entered = {strategy: deque(entered, maxlen=MOST) for strategy, entered in state.entered.items()}
        self._halted = dict.fromkeys(state.halted)


def halted(refused: Refused) -> Sequence[Message]:
    """Return that the strategy of a refused entry is not to be asked again, and the page."""
    strategy, ts = refused.signal.strategy, refused.ts_event
    reason = f"{SETTING}: {refused.detail}"
    return (
        StrategyDisabled(ts_event=ts, strategy=strategy, symbol=refused.signal.symbol, reason=reason, by_limit=True),
        Alert(ts_event=ts, name=AlertName.BREAKER, what=reason, mend=_MEND, about=f"{SETTING} {strategy}"),
    )
