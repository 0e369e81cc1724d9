"""What must follow from a change of the register: what is told of it, and the orders around it put right."""

from tradebot.model.market import Message
from tradebot.model.order import OrderRole, OrderState, RefusalClass
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.brackets import closing_side
from tradebot.pipeline.orders.cover import is_covered, is_of_next, kin, stop_in_force
from tradebot.pipeline.orders.exits import Exits
from tradebot.pipeline.orders.facts import done
from tradebot.pipeline.orders.fold import Booked, Ended, Rested
from tradebot.pipeline.orders.foreign import foreign_alert
from tradebot.pipeline.orders.guard import CLOSING_REASONS, Guard
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register


class Follow:
    """Derives what follows; the register holds what was folded already."""

    __slots__ = ("_exits", "_guard", "_register")

    def __init__(self, register: Register, guard: Guard, exits: Exits) -> None:
        self._register = register
        self._guard = guard
        self._exits = exits

    def rested(self, rested: Rested) -> list[Message]:
        """Return what goes now that an order rests at the venue: what it replaces, and what stood in for it."""
        register, order, ts = self._register, rested.order, rested.ts
        if order.is_canceling:
            # There was nothing to cancel at the venue while it slept.
            return register.cancel([order], ts, "canceled") if rested.was_asleep else []
        request, orders = order.request, register.orders
        held = register.held.get(request.symbol)
        if request.parent_id is None:
            gone = [orders[name] for name in order.replaces if name in orders and orders[name].is_waiting]
            if request.role is OrderRole.STOP and held is not None and not is_covered(register, held, gone):
                # The position has grown since: the next stop is on its way, and replaces these too.
                return []
            return register.cancel(gone, ts, "replaced")
        if held is None or held.signal_id != request.signal_id or order.left < abs(held.qty) or request.oco_id is None:
            return []
        surplus = [
            one
            for one in kin(register, held, request.role)
            if one.request.parent_id is None and one.is_waiting and one.request.trigger == request.trigger
        ]
        return register.cancel(surplus, ts, "replaced")

    def booked(self, booked: Booked) -> list[Message]:
        """Return the fill, the end of its order if it was one, and what must be done to the orders around it."""
        made, order, held = booked.fill, booked.order, booked.held
        ts, symbol = made.ts_event, made.symbol
        outputs: list[Message] = [made]
        if order is not None and booked.is_end:
            outputs.append(done(order, ts, is_wanted=booked.is_wanted))
        elif booked.is_strange:
            outputs.append(foreign_alert(made))
        if held is None:
            return outputs + self._flattened(symbol, ts)
        if order is None:
            # A trade by others that leaves less of the position leaves its exits too large.
            outputs += self._guard.protect(held, ts, is_resized=made.side is closing_side(held.qty))
        else:
            outputs += self._guard.secure(held, order, ts)
        if symbol in self._register.wanted:
            outputs += self._exits.relieve(symbol, ts)
        if order is not None and booked.is_late and order.request.role is OrderRole.ENTRY:
            outputs += self._guard.restore_targets(order, ts)
        return outputs

    def ended(self, ended: Ended) -> list[Message]:
        """Return the end of an order, of the exits that end with it, and what mends what is missing now."""
        order, ts = ended.order, ended.ts
        symbol, stop_price = order.request.symbol, None
        outputs: list[Message] = []
        if order.request.role is OrderRole.ENTRY:
            outputs += [done(child, ts) for child in ended.children if child.state.is_terminal]
            outputs += self._mend_partial(order, ts)
        elif not order.is_canceling and order.reason not in CLOSING_REASONS:
            outputs += self._mend(order, ts)
            stop_price = stop_in_force(self._register, order)
            outputs += self._call_off(symbol, ts) if ended.is_wanted else []
        if symbol in self._register.wanted:
            # What took over from this order may have been done by others meanwhile.
            outputs += self._exits.relieve(symbol, ts)
        if symbol not in self._register.held:
            self._register.drop_finished(symbol)
        return [done(order, ts, is_wanted=ended.is_wanted, stop_price=stop_price), *outputs]

    def _flattened(self, symbol: str, ts: Nanos) -> list[Message]:
        register = self._register
        leftovers = [one for one in register.of(symbol) if one.is_waiting and not is_of_next(register, one)]
        canceled = register.cancel(leftovers, ts, "position_closed")
        register.drop_finished(symbol)
        return canceled

    def _call_off(self, symbol: str, ts: Nanos) -> list[Message]:
        # An entry that was to turn the position round would only close it, in the name of an entry.
        entries = [entry for entry in self._register.waiting_entries() if entry.request.symbol == symbol]
        return self._register.cancel(entries, ts, "exit_failed")

    def _mend(self, order: Order, ts: Nanos) -> list[Message]:
        request = order.request
        if order.refusal is RefusalClass.TRIGGERED and request.role is OrderRole.STOP:
            return self._guard.pass_trigger(order, ts)
        outputs = self._secure(order, ts)
        entry = self._register.orders.get(request.parent_id or "")
        return outputs if entry is None else outputs + self._mend_partial(entry, ts)

    def _mend_partial(self, entry: Order, ts: Nanos) -> list[Message]:
        # The exits of an entry that ends partly filled sleep for ever, or go with it.
        if not entry.fills or not entry.state.is_terminal or entry.state is OrderState.FILLED:
            return []
        return self._secure(entry, ts) + self._guard.restore_targets(entry, ts)

    def _secure(self, order: Order, ts: Nanos) -> list[Message]:
        held = self._register.held.get(order.request.symbol)
        return [] if held is None else self._guard.secure(held, order, ts)
