"""The law of stops that only come nearer, held against what a stage sends."""

from tradebot.model.money import ZERO, Price
from tradebot.model.order import CancelOrder, OrderRole, OrderSide, SubmitOrders
from tradebot.pipeline.orders.stage import OrdersStage


class Ratchet:
    """Remembers the nearest stop that ever rested, by signal and side. ``note`` after each message."""

    def __init__(self) -> None:
        self._nearest: dict[tuple[str, OrderSide], Price] = {}

    def check(self, stage: OrdersStage, message: SubmitOrders | CancelOrder) -> None:
        """No stop is placed farther away than one that rested, and none goes for another before enough rests."""
        if isinstance(message, SubmitOrders):
            for request in message.orders:
                if request.role is OrderRole.STOP and request.parent_id is None:
                    nearest, trigger = self._nearest.get((request.signal_id, request.side)), request.trigger
                    assert trigger is not None
                    assert nearest is None or (nearest - trigger) * request.side.sign >= 0, "moved back"
        elif message.reason == "replaced":
            gone = stage.orders[message.client_order_id].request
            if gone.role is OrderRole.STOP:
                stops = [one for one in stage.orders.values() if one.is_resting and one.request.role is gone.role]
                same = [one for one in stops if one.request.symbol == gone.symbol and one.request.side is gone.side]
                left = sum((one.left for one in same if not one.is_canceling), ZERO)
                assert left >= abs(stage.held[gone.symbol].qty), "too little rests in its place"

    def note(self, stage: OrdersStage) -> None:
        """See which stops rest now."""
        held = {one.signal_id for one in stage.held.values()}
        self._nearest = {key: price for key, price in self._nearest.items() if key[0] in held}
        for one in stage.orders.values():
            request, trigger = one.request, one.request.trigger
            is_stop = request.role is OrderRole.STOP and request.signal_id in held
            if is_stop and one.is_resting and trigger is not None:
                key = request.signal_id, request.side
                before = self._nearest.get(key, trigger)
                self._nearest[key] = min(before, trigger) if request.side.sign > 0 else max(before, trigger)
