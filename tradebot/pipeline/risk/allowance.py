"""The gate of the actions that an account may still send: entries leave a reserve to exits and stops."""

from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.order import ActionsLeft
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.sizing import Stopped


@dataclass(frozen=True, slots=True)
class AllowanceState:
    """What the venue last allowed, less the entries approved since; ``left`` is ``None`` where nothing counts."""

    left: int | None = None
    reserve: int = 0


class Allowance:
    """Counts approved entries down from what the account was last told to have left."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = AllowanceState()

    def learn(self, told: ActionsLeft) -> None:
        """Count from ``told`` on: what was sent meanwhile, exits too, is in it."""
        self._state = AllowanceState(told.left, told.reserve)

    def check(self, signal: Signal) -> Stopped | None:
        """Return what stops an entry that would take of the reserve."""
        state, orders = self._state, _orders(signal)
        if state.left is None or state.left - orders >= state.reserve:
            return None
        what = f"{state.left} actions of the account are left, the entry takes {orders}, and what is kept is for exits"
        return Stopped("action_allowance", Decimal(state.reserve), Decimal(state.left - orders), what)

    def take(self, signal: Signal) -> None:
        """Count the orders of an approved entry."""
        state = self._state
        if state.left is not None:
            self._state = AllowanceState(state.left - _orders(signal), state.reserve)

    def save(self) -> AllowanceState:
        """Return what is left."""
        return self._state

    def load(self, state: AllowanceState) -> None:
        """Become what ``save`` saw."""
        self._state = state


def _orders(signal: Signal) -> int:
    """Return how many orders an entry becomes, its exits counted."""
    return 1 + (signal.stop is not None) + (len(signal.ladder) or (signal.target is not None))
