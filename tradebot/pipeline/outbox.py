"""The way out of the line to a real venue, as a stage: it keeps nothing, for the journal and the book keep it.

While a past is run again nothing may leave; so the outbox is shut until somebody listens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tradebot.model.market import Message
from tradebot.model.order import CancelOrder, SubmitOrders


@dataclass(frozen=True, slots=True)
class OutboxState:
    """Nothing: what was sent, and what came of it, is known by the journal and the orders stage."""


class Outbox:
    """Hands orders and cancels of the line to ``send`` once their turn is over; shut while it is ``None``.

    What a turn says that fails never leaves: nobody would know of it after the next boot. ``send`` must only queue.
    """

    STATE = OutboxState

    def __init__(self) -> None:
        self.send: Callable[[SubmitOrders | CancelOrder], None] | None = None
        self._said: list[SubmitOrders | CancelOrder] = []

    def handle(self, message: Message) -> Sequence[Message]:
        """Keep what is to leave; the venue answers by inputs of later turns."""
        if self.send is not None and isinstance(message, SubmitOrders | CancelOrder):
            self._said.append(message)
        return ()

    def release(self) -> None:
        """Let what the turn said leave: it is over."""
        said, self._said = self._said, []
        if self.send is not None:
            for message in said:
                self.send(message)

    def save(self) -> OutboxState:
        """Return nothing, as a value."""
        return OutboxState()

    def load(self, state: OutboxState) -> None:
        """Take it back."""
