"""What became of an order, as the messages the line takes. Pure, and safe to say twice: the line folds them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.market import Message
from tradebot.model.money import ZERO
from tradebot.model.order import OrderAccepted, OrderCanceled, OrderRejected, RefusalClass
from tradebot.model.time import Nanos
from tradebot.model.venue import (
    FilledNow,
    LegOutcome,
    Never,
    Phase,
    Refusal,
    Rests,
    Sighting,
    Success,
    Unclear,
    Waiting,
)

_KEPT = 5_000
_NEVER = "the venue never accepted it"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Says outcomes to the line. What a venue's words mean, only its own code knows.

    ``refusal_of``: what the words of a refusal mean for the next order. ``reason_of``: a status word as a reason of
    ours.
    """

    refusal_of: Callable[[str], RefusalClass]
    reason_of: Callable[[str], str]

    def leg(
        self, client_order_id: str, leg: LegOutcome | Sighting | Never, ts: Nanos, refusal: str = ""
    ) -> Sequence[Message]:
        """Return what an outcome of ``submit`` means; fills are told by the fills themselves."""
        match leg:
            case Rests(oid) | FilledNow(oid):
                return (_accepted(client_order_id, oid, ts),)
            case Waiting() | Success():
                # It has no id of the venue's before it wakes.
                return (_accepted(client_order_id, client_order_id, ts),)
            case Refusal(text):
                return (self.rejected(client_order_id, text, ts),)
            case Never():
                return (self.unsent(client_order_id, refusal or _NEVER, ts),)
            case Sighting(oid, phase):
                return self.seen(client_order_id, oid, phase, phase.value, ts)
            case Unclear():
                return ()

    def seen(self, client_order_id: str, oid: str, phase: Phase, word: str, ts: Nanos) -> Sequence[Message]:
        """Return what a status ``word`` of an order means; nothing for one that proves nothing.

        An order that waits for its entry has no ``oid`` yet.
        """
        match phase:
            case Phase.LIVE | Phase.FILLED:
                return (_accepted(client_order_id, oid or client_order_id, ts),)
            case Phase.CANCELED:
                return (OrderCanceled(ts_event=ts, client_order_id=client_order_id, reason=self.reason_of(word)),)
            case Phase.REJECTED:
                return (self.rejected(client_order_id, word, ts, reason=self.reason_of(word)),)
            case Phase.UNKNOWN:
                return ()

    def unsent(self, client_order_id: str, words: str, ts: Nanos) -> OrderRejected:
        """Return that an order never was there: for what ``words`` mean that lasts, else for nothing the venue said."""
        refusal = self.refusal_of(words)
        return self.rejected(client_order_id, words, ts, refusal if refusal.is_lasting else RefusalClass.UNSENT)

    def rejected(
        self, client_order_id: str, words: str, ts: Nanos, refusal: RefusalClass | None = None, reason: str = ""
    ) -> OrderRejected:
        """Return the refusal of an order in the venue's ``words``; ``refusal`` where it is known without them."""
        return OrderRejected(
            ts_event=ts,
            client_order_id=client_order_id,
            reason=reason or words,
            refusal=self.refusal_of(words) if refusal is None else refusal,
        )


class Endings:
    """Holds back the end of an order until the fills before it are told: streams come in any order.

    An entry that ends without a fill takes its exits with it; one that ends after a fill must not.
    """

    __slots__ = ("_booked", "_held")

    def __init__(self) -> None:
        self._booked: dict[str, Decimal] = {}
        self._held: dict[str, tuple[Decimal, OrderCanceled]] = {}

    def ended(self, oid: str, filled: Decimal, canceled: OrderCanceled) -> Sequence[Message]:
        """Take the end of an order of which ``filled`` traded; return it when all of that is told."""
        if self._booked.get(oid, ZERO) >= filled:
            return (canceled,)
        self._held[oid] = filled, canceled
        return ()

    def filled(self, oid: str, qty: Decimal) -> Sequence[Message]:
        """Take a fill that is told; return the end that waited for it."""
        booked = self._booked[oid] = self._booked.pop(oid, ZERO) + qty
        if len(self._booked) > _KEPT:
            del self._booked[next(iter(self._booked))]
        held = self._held.get(oid)
        if held is None or booked < held[0]:
            return ()
        del self._held[oid]
        return (held[1],)


def _accepted(client_order_id: str, venue_order_id: str, ts: Nanos) -> OrderAccepted:
    return OrderAccepted(ts_event=ts, client_order_id=client_order_id, venue_order_id=venue_order_id)
