"""The gate of the actions that an account may still send: entries leave a reserve to exits and stops."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.order import ActionsLeft
from tradebot.model.signal import Approved, Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, GateConfig, Stopped

GATE = "action_allowance"


@dataclass(frozen=True, slots=True)
class AllowanceState:
    """What the venue last allowed, less the entries approved since; ``left`` is ``None`` where nothing counts."""

    kind: ClassVar[str] = "allowance"
    left: int | None = None
    reserve: int = 0


class AllowanceGate(Gate):
    """Counts approved entries down from what the account was last told to have left."""

    names: ClassVar = {GATE: "the entry would take of the actions that the account keeps for exits and stops"}
    hears: ClassVar = (ActionsLeft, Approved)

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self._state = AllowanceState()

    @property
    def left(self) -> int | None:
        """How many actions the account may still send; ``None`` where nothing counts them."""
        return self._state.left

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return what stops an entry that would take of the reserve."""
        del book
        state, orders = self._state, _orders(signal)
        if state.left is None or state.left - orders >= state.reserve:
            return None
        what = f"{state.left} actions of the account are left, the entry takes {orders}, and what is kept is for exits"
        return Stopped(GATE, Decimal(state.reserve), Decimal(state.left - orders), what)

    def hear(self, message: Message) -> None:
        """Count from what the venue says on; in that is what was sent meanwhile, exits too."""
        state = self._state
        if isinstance(message, ActionsLeft):
            self._state = AllowanceState(message.left, message.reserve)
        elif isinstance(message, Approved) and state.left is not None:
            self._state = AllowanceState(state.left - _orders(message.signal), state.reserve)

    def save(self) -> AllowanceState:
        """Return what is left."""
        return self._state

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
        if not isinstance(state, AllowanceState):
            raise InvariantError(f"{state!r} is not what {GATE} remembers")
        self._state = state


def _orders(signal: Signal) -> int:
    """Return how many orders an entry becomes, its exits counted."""
    return 1 + (signal.stop is not None) + (len(signal.ladder) or (signal.target is not None))
