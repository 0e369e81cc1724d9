"""What an order of ours is called: by us (client order id), in our actions (cloid), and by the venue (oid)."""

from tradebot.model.errors import InvariantError
from tradebot.model.venue import Intent, VenueOrder
from tradebot.venues.hyperliquid.account import VenueFill
from tradebot.venues.hyperliquid.cloid import Cloids

_KEPT = 10_000


class Names:
    """The names of the orders of one account. What we place now has the cloid that ``cloids`` makes of its id."""

    def __init__(self, cloids: Cloids) -> None:
        self._cloids = cloids
        self._of_oids: dict[str, str] = {}
        self._adopted: dict[str, str] = {}
        self._oids: dict[str, str] = {}

    def cloid(self, client_order_id: str) -> str:
        """Return the cloid that an order of ours was or will be placed with."""
        return self._adopted.get(client_order_id) or self._cloids.encode(client_order_id)

    def of(self, order: VenueOrder | VenueFill) -> str | None:
        """Return the client order id of what the venue tells of; ``None`` for a foreign order.

        The cloid goes before what was heard of the oid: one of the two is wrong where they differ, and a memory that
        is wrong would stay so.
        """
        known = self._of_oids.get(order.oid)
        owner = None if order.cloid is None else self._cloids.decode(order.cloid, order.symbol)
        if owner is None:
            return known
        if known is None:
            self.know(order.oid, owner.client_order_id)
        elif known != owner.client_order_id:
            del self._of_oids[order.oid]
        return owner.client_order_id

    def of_intent(self, intent: Intent, symbol: str) -> tuple[str, ...]:
        """Return the client order ids of an intent of ours on ``symbol``. Raises ``InvariantError`` for another's."""
        owners = [self._cloids.decode(cloid, symbol) for cloid in intent.cloids]
        if None in owners:
            raise InvariantError(f"intent {intent.nonce} is not of {symbol}, or not of this account")
        return tuple(owner.client_order_id for owner in owners if owner is not None)

    def know(self, oid: str, client_order_id: str) -> None:
        """Take note of the venue's id of an order."""
        self._of_oids[oid] = client_order_id
        if len(self._of_oids) > _KEPT:
            # Of so old an order the venue tells with its cloid, if it tells of it at all.
            del self._of_oids[next(iter(self._of_oids))]

    def adopt(self, client_order_id: str, cloid: str) -> None:
        """Call an order of another instance, whose journal was lost or restored, by the cloid it was placed with."""
        self._adopted[client_order_id] = cloid

    def remember(self, client_order_id: str, oid: str) -> None:
        """Ask for an order that an earlier run adopted by the venue's id: its cloid is not ours to make."""
        self._oids[client_order_id] = oid

    def to_ask(self, client_order_id: str) -> str | int:
        """Return by which id the venue is asked for an order: its cloid, or the oid that was remembered."""
        oid = self._oids.get(client_order_id)
        return self.cloid(client_order_id) if oid is None else int(oid)

    def must_ask(self, client_order_id: str) -> bool:
        """Return whether only the venue knows the cloid of an order: an earlier run adopted it."""
        return client_order_id in self._oids and client_order_id not in self._adopted
