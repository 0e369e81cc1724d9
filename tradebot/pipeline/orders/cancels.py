"""What an operator may cancel: everything that waits, but what protects."""

from collections.abc import Sequence

from tradebot.model.command import Command, CommandDone
from tradebot.model.market import Message
from tradebot.model.order import OrderRole
from tradebot.pipeline.orders.guard import Guard
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register


class Canceller:
    """Answers ``cancel``, by an order's id or for all."""

    __slots__ = ("_guard", "_register")

    def __init__(self, register: Register, guard: Guard) -> None:
        self._register = register
        self._guard = guard

    def on_command(self, command: Command) -> Sequence[Message]:
        """Return the cancels that ``command`` asks for and its answer."""
        orders = self._register.orders
        if command.arguments.get("all") == "true":
            wanted = [
                o for o in orders.values() if o.is_waiting and not self._guard.guards(o) and not self._is_child(o)
            ]
        else:
            order = orders.get(command.arguments.get("id", ""))
            error = self._error(order)
            if order is None or error:
                return (CommandDone(id=command.id, ts_event=command.ts_event, detail="", error=error),)
            wanted = [order]
        detail = f"cancelling {len(wanted)} order{'' if len(wanted) == 1 else 's'}"
        done = CommandDone(id=command.id, ts_event=command.ts_event, detail=detail)
        return (*self._register.cancel(wanted, command.ts_event, "operator"), done)

    def _error(self, order: Order | None) -> str:
        if order is None or not order.is_waiting:
            return "no such order is at work; mend: orders lists those that are"
        if self._guard.guards(order):
            return "this stop protects a position; mend: close the position, or halt --flatten"
        if self._is_child(order) and order.request.role is OrderRole.STOP:
            return f"this stop belongs to a waiting entry; mend: cancel {order.request.parent_id}"
        return ""

    def _is_child(self, order: Order) -> bool:
        return order.request.parent_id is not None and self._guard.is_of_next(order)
