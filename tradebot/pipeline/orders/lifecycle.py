"""The life of one order: a fold over the *set* of what the venue said, in any order and however often.

States have a rank, and every event leads to the higher of where the order is and where the event points. So
a fill before the acknowledgement, a fill after the cancellation and a repeated report are ordinary.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import field
from msgspec.structs import replace

from tradebot.model.money import ZERO, Qty
from tradebot.model.order import OrderRequest, OrderState, RefusalClass, StopFault
from tradebot.model.record import Value


class OrderEvent(StrEnum):
    """What can happen to an order. ``FILL_LAST`` is the fill that leaves nothing of it."""

    # It is a key of hot tables, and the hash of an Enum is computed by Python code.
    __hash__ = str.__hash__

    SUBMIT = "submit"
    ACCEPT = "accept"
    FILL = "fill"
    FILL_LAST = "fill_last"
    CANCEL = "cancel"
    REJECT = "reject"
    FAIL = "fail"


E = OrderEvent
S = OrderState
_FILLED = {E.FILL_LAST: S.FILLED}
_CANCELED = _FILLED | {E.CANCEL: S.CANCELED}
_REFUSED = _CANCELED | {E.REJECT: S.REJECTED}
_WORKING = _REFUSED | {E.FAIL: S.FAILED}
_UNFILLED = _WORKING | {E.FILL: S.PARTIALLY_FILLED}
_UNANSWERED = _UNFILLED | {E.ACCEPT: S.OPEN}
TRANSITIONS: Mapping[OrderState, Mapping[OrderEvent, OrderState]] = {
    S.PENDING: _UNANSWERED | {E.SUBMIT: S.SUBMITTED},
    S.SUBMITTED: _UNANSWERED,
    S.OPEN: _UNFILLED,
    S.PARTIALLY_FILLED: _WORKING,
    S.FAILED: _REFUSED,
    S.REJECTED: _CANCELED,
    # A late fill is booked, never refused; only the last one makes the order filled after all.
    S.CANCELED: _FILLED,
    S.FILLED: {},
}
"""Where each event leads; an event that is not named changes nothing."""


class Order(Value, frozen=True, kw_only=True):
    """An order and what became of it. ``qty`` is what it is to fill: less than asked when its entry filled less.

    ``fills`` holds the quantity of each trade by the venue's trade id. ``is_canceling``: we asked to cancel it.
    ``venue_order_id`` is our own id while the venue only keeps it until its entry fills. ``replaces`` are the
    orders that are cancelled once this one rests. ``is_adopted``: it was found at the venue. ``refusal`` says, of one
    that was rejected, whether another like it may be taken. ``fault``: it is a stop that does not protect, by the
    venue's word.
    """

    request: OrderRequest
    qty: Qty
    state: OrderState = OrderState.PENDING
    venue_order_id: str = ""
    fills: dict[str, Qty] = field(default_factory=dict)
    reason: str = ""
    is_canceling: bool = False
    replaces: tuple[str, ...] = ()
    is_adopted: bool = False
    refusal: RefusalClass = RefusalClass.PASSING
    fault: StopFault | None = None

    @property
    def filled_qty(self) -> Qty:
        """How much of it traded."""
        return Qty(sum(self.fills.values(), ZERO))

    @property
    def is_unknown(self) -> bool:
        """Whether it was sent and the venue said nothing of it."""
        return self.state is OrderState.SUBMITTED

    @property
    def is_waiting(self) -> bool:
        """Whether it may still trade, as far as we want it to."""
        return not self.state.is_terminal and not self.is_canceling

    @property
    def is_asleep(self) -> bool:
        """Whether the venue took it and keeps it until its entry fills."""
        return self.state is OrderState.OPEN and self.venue_order_id == self.request.client_order_id

    @property
    def is_resting(self) -> bool:
        """Whether the venue works on it now: it gave it an id of its own, or something of it traded."""
        if self.state is OrderState.OPEN:
            return self.venue_order_id not in ("", self.request.client_order_id)
        return self.state is OrderState.PARTIALLY_FILLED

    @property
    def left(self) -> Qty:
        """How much of it is to trade yet."""
        return Qty(max(ZERO, self.qty - self.filled_qty))

    def on(self, event: OrderEvent, *, reason: str = "", venue_order_id: str = "") -> "Order":
        """Return the order after ``event``. The reason kept is that of the state it ends in."""
        state = TRANSITIONS[self.state].get(event, self.state)
        changed_reason = reason if state is not self.state else self.reason
        known = self.venue_order_id
        # That it waits for its entry may be said late, when it has woken already.
        if venue_order_id and (not known or venue_order_id != self.request.client_order_id):
            known = venue_order_id
        return self._become(state, changed_reason, known, self.fills)

    def with_fill(self, trade_id: str, qty: Decimal) -> "Order":
        """Return the order after a trade of ``qty``; the same order when it knows ``trade_id``.

        More than was asked for is booked too: whether to believe it is asked before.
        """
        if trade_id in self.fills:
            return self
        fills = self.fills | {trade_id: Qty(qty)}
        filled = sum(fills.values(), ZERO)
        event = OrderEvent.FILL_LAST if filled >= self.qty else OrderEvent.FILL
        state = TRANSITIONS[self.state].get(event, self.state)
        reason = "" if state is not self.state else self.reason
        return self._become(state, reason, self.venue_order_id, fills)

    def resized(self, qty: Decimal) -> "Order":
        """Return the order when no more than ``qty`` of it can trade: its entry ended partly filled."""
        smaller = replace(self, qty=Qty(min(qty, self.qty)))
        if self.fills and self.filled_qty >= smaller.qty:
            return smaller.on(OrderEvent.FILL_LAST)
        return smaller

    def _become(self, state: OrderState, reason: str, venue_order_id: str, fills: dict[str, Qty]) -> "Order":
        # An order changes some ten times in its life: ``replace`` would cost several times as much.
        return Order(
            request=self.request,
            qty=self.qty,
            state=state,
            venue_order_id=venue_order_id,
            fills=fills,
            reason=reason,
            is_canceling=self.is_canceling,
            replaces=self.replaces,
            is_adopted=self.is_adopted,
            refusal=self.refusal,
            fault=self.fault,
        )
