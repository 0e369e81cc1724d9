"""How often a strategy may enter within an hour of the market."""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.signal import Approved, Signal
from tradebot.model.time import HOUR, Nanos
from tradebot.pipeline.risk.gates.base import Book, Gate, GateConfig, Stopped

GATE = "entry_rate"
SETTING = "max_entries_per_hour"
# As many are remembered as the setting can ask for.
MOST = 1_000


@dataclass(frozen=True, slots=True)
class EntryRateState:
    """When each strategy entered last, oldest first."""

    kind: ClassVar[str] = "entry_rate"
    entered: dict[str, tuple[Nanos, ...]] = field(default_factory=dict)


class EntryRateGate(Gate):
    """Entries of a strategy that does not repeat itself without end, approved ones counted, whatever came of them."""

    names: ClassVar = {GATE: "the strategy entered `max_entries_per_hour` times within the last hour"}

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self._entered: dict[str, deque[Nanos]] = {}

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return how often the strategy entered within the last hour."""
        limit = book.limits.get(SETTING)
        if limit is None:
            return None
        count = sum(ts > signal.ts_event - HOUR for ts in self._entered.get(signal.strategy, ()))
        if count < limit:
            return None
        return Stopped(GATE, limit, Decimal(count), f"{signal.strategy} entered {count} times within an hour")

    def hear(self, message: Message) -> None:
        """Remember when an entry was approved, as long as it may count."""
        if not isinstance(message, Approved):
            return
        entered = self._entered.setdefault(message.signal.strategy, deque(maxlen=MOST))
        entered.append(message.ts_event)
        while entered[0] <= message.ts_event - HOUR:
            entered.popleft()

    def save(self) -> EntryRateState:
        """Return what is remembered."""
        return EntryRateState({strategy: tuple(entered) for strategy, entered in self._entered.items()})

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
        if not isinstance(state, EntryRateState):
            raise InvariantError(f"{state!r} is not what {GATE} remembers")
        self._entered = {strategy: deque(entered, maxlen=MOST) for strategy, entered in state.entered.items()}
