"""The last look at what leaves: it stands where the venue stands, and hands on to it what may go."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from tradebot.model.command import Alert, AlertName
from tradebot.model.market import Message
from tradebot.model.money import plain
from tradebot.model.order import CancelOrder, OrderRejected, RefusalClass, SubmitOrders
from tradebot.pipeline.risk.gates.base import Stopped
from tradebot.pipeline.risk.order_gates.sequence import FAULTS
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.ports import Stage

_ENTRY_MEND = "the line made an order that it should not have: tradebot why shows it; keep the journal, report this bug"
_EXIT_MEND = "it was to reduce a position: look at tradebot positions, protect it at the venue by hand; report this bug"


class LastGate:
    """A venue behind the order gates of a book. It keeps nothing: the risk stage remembers, the venue has its state.

    What is stopped is answered as a venue answers what it refuses, so that nothing else need know of it: an entry
    ends with its exits, an exit is tried again, a lost stop is mended or its position closed.
    """

    def __init__(self, venue: Stage, risk: RiskStage) -> None:
        self.STATE = venue.STATE
        self._venue = venue
        self._risk = risk
        table: Mapping[type[Message], Callable[..., Sequence[Message]]] = getattr(venue, "handlers", {})
        self._submit = table.get(SubmitOrders, venue.handle)
        # What does not leave goes straight to the venue.
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {
            **table,
            SubmitOrders: self._on_submit,
            CancelOrder: self._on_cancel,
        }

    def handle(self, message: Message) -> Sequence[Message]:
        """Return what the venue says to ``message``, or what is said in its place."""
        return self.handlers.get(type(message), self._venue.handle)(message)

    def save(self) -> Any:
        """Return the state of the venue."""
        return self._venue.save()

    def load(self, state: Any) -> None:
        """Let the venue become what ``save`` saw."""
        self._venue.load(state)

    def _on_submit(self, submit: SubmitOrders) -> Sequence[Message]:
        stopped = self._risk.stopped(submit)
        if not stopped:
            return self._submit(submit)
        passed = tuple(order for order in submit.orders if order.client_order_id not in stopped)
        answers = [answer for name, why in stopped.items() for answer in _answers(submit, name, why)]
        return [*answers, *self._submit(replace(submit, orders=passed))] if passed else answers

    def _on_cancel(self, cancel: CancelOrder) -> Sequence[Message]:
        # A cancel is counted, and never stopped.
        self._risk.note_cancel(cancel)
        return self._venue.handle(cancel)


def _answers(submit: SubmitOrders, name: str, why: Stopped) -> Sequence[Message]:
    order = next(order for order in submit.orders if order.client_order_id == name)
    is_exit = order.reduce_only and order.parent_id is None
    rejected = OrderRejected(
        ts_event=submit.ts_event,
        client_order_id=name,
        reason=_told(why),
        refusal=RefusalClass.OFF_GRID if is_exit else RefusalClass.UNSENT,
    )
    # Of a bracket its entry speaks for all.
    if not is_exit and (why.gate not in FAULTS or order.reduce_only):
        return [rejected]
    alert = Alert(
        ts_event=submit.ts_event,
        name=AlertName.ORDER_STOPPED,
        symbol=order.symbol,
        about=name,
        what=f"{name} was not sent: {_told(why)}",
        mend=_EXIT_MEND if is_exit else _ENTRY_MEND,
    )
    return [rejected, alert]


def _told(why: Stopped) -> str:
    numbers = "" if why.limit is None or why.value is None else f" ({plain(why.value)}, limit {plain(why.limit)})"
    return f"{why.gate}: {why.detail}{numbers}"
