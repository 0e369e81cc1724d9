"""What an operator may cancel: everything that waits, but what protects."""

from collections.abc import Sequence

from tradebot.model.command import Command, CommandDone
from tradebot.model.market import Message
from tradebot.model.order import OrderRole
from tradebot.pipeline.orders.cover import guards, is_of_next
from tradebot.pipeline.orders.exits import Exits
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register


class Canceller:
    """Answers ``cancel``, by an order's id or for all."""

    __slots__ = ("_exits", "_register")

    def __init__(self, register: Register, exits: Exits) -> None:
        self._register = register
        self._exits = exits

    def on_command(self, command: Command) -> Sequence[Message]:
        """Return the cancels that ``command`` asks for and its answer."""
        ts = command.ts_event
        if command.arguments.get("all") == "true":
            given_up = self._exits.withdraw(ts)
            orders = [
                order
                for order in self._register.orders.values()
                if order.is_waiting and not guards(self._register, order) and not self._is_child(order)
            ]
        else:
            name = command.arguments.get("id", "")
            given_up = self._exits.withdraw(ts, name) if name else []
            order = self._register.orders.get(name)
            error = "" if given_up else self._error(order)
            if error:
                return (CommandDone(id=command.id, ts_event=ts, detail="", error=error),)
            orders = [] if order is None or given_up else [order]
        count = len(orders) + len(given_up)
        detail = f"cancelling {count} order{'' if count == 1 else 's'}"
        done = CommandDone(id=command.id, ts_event=ts, detail=detail)
        return (*given_up, *self._register.cancel(orders, ts, "operator"), done)

    def _error(self, order: Order | None) -> str:
        if order is None or not order.is_waiting:
            return "no such order is at work; mend: orders lists those that are"
        if guards(self._register, order):
            return "this stop protects a position; mend: close the position, or halt --flatten"
        if self._is_child(order) and order.request.role is OrderRole.STOP:
            return f"this stop belongs to a waiting entry; mend: cancel {order.request.parent_id}"
        return ""

    def _is_child(self, order: Order) -> bool:
        return order.request.parent_id is not None and is_of_next(self._register, order)
