"""All order gates, in the order in which an order is held against them."""

from collections.abc import Mapping

from tradebot.model.market import Message
from tradebot.model.order import SubmitOrders
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate
from tradebot.pipeline.risk.order_gates.collar import CollarGate
from tradebot.pipeline.risk.order_gates.fresh import FreshGate
from tradebot.pipeline.risk.order_gates.grid import GridGate
from tradebot.pipeline.risk.order_gates.numbers import NumbersGate
from tradebot.pipeline.risk.order_gates.order_size import OrderSizeGate
from tradebot.pipeline.risk.order_gates.own_orders import OpeningState, OwnOrdersGate
from tradebot.pipeline.risk.order_gates.rate import RateGate, RateState
from tradebot.pipeline.risk.order_gates.reducing import ReducingGate
from tradebot.pipeline.risk.order_gates.standing import StandingGate

ORDER_GATES: tuple[type[OrderGate], ...] = (
    NumbersGate,
    ReducingGate,
    StandingGate,
    OwnOrdersGate,
    OrderSizeGate,
    GridGate,
    FreshGate,
    CollarGate,
    RateGate,
)
"""Those behind the fourth may take it that a working entry of the book asks for the order."""

MEASURES = tuple(key for gate in ORDER_GATES for key in gate.settings)
"""The keys of ``[risk]`` that are theirs."""

OrderGateState = OpeningState | RateState
"""What order gates remember."""
FAULTS = frozenset(name for gate in ORDER_GATES for name in gate.faults)
"""The names that no order of an honest line is ever stopped by."""


class OrderGates:
    """The order gates of one book."""

    def __init__(self) -> None:
        self._gates = [gate() for gate in ORDER_GATES]
        self._openings = [gate for gate in self._gates if type(gate).check is not OrderGate.check]
        self._exits = [gate for gate in self._gates if type(gate).check_exit is not OrderGate.check_exit]
        kinds = {kind for gate in self._gates for kind in gate.hears}
        self._hearing = {kind: [gate for gate in self._gates if kind in gate.hears] for kind in kinds}

    def stopped(self, submit: SubmitOrders, book: Book) -> Mapping[str, Stopped]:
        """Return by id the orders that may not go, and why; those that may are remembered.

        What opens goes with its exits or not at all. What only reduces is stopped where it means nothing, or would not.
        """
        if submit.orders[0].reduce_only and all(order.reduce_only for order in submit.orders):
            stopped: dict[str, Stopped] = {}
            for order in submit.orders:
                why = next((why for gate in self._exits if (why := gate.check_exit(order, book)) is not None), None)
                if why is not None:
                    stopped[order.client_order_id] = why
        else:
            why = next((why for gate in self._openings if (why := gate.check(submit.orders, book)) is not None), None)
            stopped = {} if why is None else {order.client_order_id: why for order in submit.orders}
        if len(stopped) < len(submit.orders):
            self.hear(submit, book)
        return stopped

    def hear(self, message: Message, book: Book) -> None:
        """Let each gate remember what matters to it of ``message``."""
        for gate in self._hearing.get(type(message), ()):
            gate.hear(message, book)

    def save(self) -> dict[str, OrderGateState]:
        """Return what each gate remembers."""
        return {_name(gate): state for gate in self._gates if isinstance(state := gate.save(), OrderGateState)}

    def load(self, states: Mapping[str, object]) -> None:
        """Become what ``save`` saw; a gate of which nothing is known begins anew."""
        for gate in self._gates:
            state = states.get(_name(gate))
            if state is not None:
                gate.load(state)


def _name(gate: OrderGate) -> str:
    return next(iter(gate.names))
