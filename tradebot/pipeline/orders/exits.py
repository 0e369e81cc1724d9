"""Exits stay wanted until they have traded: what the venue refuses or drops is placed anew, tick by tick.

Whoever wanted to leave will not ask again, and the stop that rests meanwhile is no substitute. At most one order is
at work for a position, never for more of it than is open, and all of them carry the name of who asked first. A halt
changes nothing: what was approved before it takes risk away.

What was refused for a reason that lasts is never sent again as it was: it goes in another size, or waits for one that
may be taken, while a human is paged. While the key may not trade nothing goes at all.
"""

from msgspec.structs import replace

from tradebot.model.command import Alert, AlertName
from tradebot.model.instrument import Instrument
from tradebot.model.market import Message
from tradebot.model.money import ZERO, Qty, plain
from tradebot.model.order import OrderState, SubmitOrders
from tradebot.model.signal import Approved
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.orders.brackets import closing_side, exit_order
from tradebot.pipeline.orders.facts import KEY_MEND, done
from tradebot.pipeline.orders.lifecycle import Order, OrderEvent
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held, WantedExit

UNPROTECTED = "unprotected"
TAKEN = "the id is that of an order found at the venue"
BARRED = "the venue does not let this key trade"
UNTRADED = "the venue does not trade the symbol"
_ENDED_OTHERWISE = "ended_otherwise"
_WAITS_S = (0, 1, 2, 4, 8, 10)
"""How long to wait, by the orders that failed; the last for all further ones."""
_SILENCE = 30 * NANOS_PER_S
"""How long to wait for an order without an outcome: it was given to the venue for less than half of that."""
_FAILS, _PATIENCE, _REPEAT = 3, 15 * NANOS_PER_S, 60 * NANOS_PER_S
"""After how many orders, or how long, a human is paged, and how often."""
LAST_NUMBER = 4_000
"""An id has room for numbers up to 4,095. The others are left to stops."""


class Exits:
    """Sees what is to be left through to its end: the register holds it by symbol, and a position in each."""

    __slots__ = ("_register",)

    def __init__(self, register: Register) -> None:
        self._register = register

    @property
    def is_stuck(self) -> bool:
        """Whether what is wanted waits for more than time: an order for it was refused for good."""
        return any(wanted.refused for wanted in self._register.wanted.values())

    def permit(self, *symbols: str) -> None:
        """Let what was refused for good be tried once more, at the next tick; of all without ``symbols``."""
        for symbol, wanted in self._register.wanted.items():
            if not symbols or symbol in symbols:
                self._register.wanted[symbol] = replace(wanted, fails=0, due_ts=None, refused=(), most=None)

    def approve(self, approved: Approved) -> list[Message]:
        """Return the order that carries out an approved exit; it takes over from one that was wanted before.

        While an order of that one is at work nothing is sent: what it leaves follows.
        """
        signal = approved.signal
        wanted = WantedExit(
            symbol=signal.symbol,
            strategy=signal.strategy,
            signal_id=signal.id,
            side=signal.side.entry.opposite,
            left=approved.qty,
            reason=signal.reason,
        )
        before = self._register.wanted.get(signal.symbol)
        if before is not None:
            # A position that lost its stop is closed wholly, whoever wants a part of it closed.
            left = Qty(max(wanted.left, before.left)) if self._protects(before) else wanted.left
            wanted = replace(wanted, left=left, fails=before.fails, since=before.since, alerted_ts=before.alerted_ts)
            if self._is_at_work(before):
                self._register.wanted[signal.symbol] = replace(wanted, order_id=before.order_id)
                return []
        if signal.symbol in self._register.held:
            self._register.wanted[signal.symbol] = wanted
        return self._place(wanted, approved.ts_event)

    def want_all(self, held: Held, ts: Nanos, reason: str) -> list[Message]:
        """Return the order that closes ``held``, unless one is at work; an exit wanted before keeps its name."""
        left = Qty(abs(held.qty))
        before = self._register.wanted.get(held.symbol)
        if before is not None:
            self._register.wanted[held.symbol] = replace(before, left=left)
            return [] if self._is_at_work(before) else self._place(self._register.wanted[held.symbol], ts)
        wanted = self._register.wanted[held.symbol] = WantedExit(
            symbol=held.symbol,
            strategy=held.strategy,
            signal_id=held.signal_id,
            side=closing_side(held.qty),
            left=left,
            reason=reason,
        )
        return self._place(wanted, ts)

    def relieve(self, symbol: str, ts: Nanos) -> list[Message]:
        """Return the last word on an exit of which others left nothing to do."""
        wanted = self._register.wanted.get(symbol)
        if wanted is None or wanted.left > 0 or self._is_at_work(wanted):
            return []
        return [self._give_up(wanted, ts)]

    def withdraw(self, ts: Nanos, client_order_id: str = "") -> list[Message]:
        """Return the last words on exits that an operator wants no more, among those with no order at work.

        Without an id that is all but the closing of a position that lost its stop.
        """
        given_up = [
            wanted
            for wanted in self._register.wanted.values()
            if not self._is_at_work(wanted)
            and (wanted.order_id == client_order_id if client_order_id else not self._protects(wanted))
        ]
        return [self._give_up(wanted, ts) for wanted in given_up]

    def look(self, now: Nanos) -> list[Message]:
        """Return the orders that are due at ``now``, the venue's time, and the pages."""
        outputs: list[Message] = []
        for symbol, wanted in list(self._register.wanted.items()):
            if self._register.has_ended(symbol):
                outputs.append(self._give_up(wanted, now))
                continue
            seen = replace(wanted, since=now if wanted.since is None else wanted.since)
            if seen.due_ts is None and (wait := self._wait(seen)) is not None:
                seen = replace(seen, due_ts=Nanos(now + wait))
            if is_page_due := self._is_page_due(seen, now):
                seen = replace(seen, alerted_ts=now)
            self._register.wanted[symbol] = seen
            if seen.due_ts is not None and now >= seen.due_ts and self._may_follow(seen):
                outputs += self._place(seen, now)
            if is_page_due:
                outputs.append(self._page(seen, now))
        return outputs

    def _wait(self, wanted: WantedExit) -> int | None:
        """Return how long from now the next order waits; nothing while one is at work that the venue knows."""
        if not self._is_at_work(wanted):
            return _WAITS_S[min(wanted.fails, len(_WAITS_S) - 1)] * NANOS_PER_S
        return _SILENCE if self._is_unknown(wanted) else None

    def _may_follow(self, wanted: WantedExit) -> bool:
        if not self._is_at_work(wanted):
            return True
        # If what was never answered did trade after all, the next one must find no position.
        return self._is_unknown(wanted) and wanted.left >= abs(self._register.held[wanted.symbol].qty)

    def _lots(self, symbol: str) -> Instrument:
        return self._register.instruments.of(symbol)

    def _size(self, wanted: WantedExit, held: Held) -> Qty:
        """Return for how much the next order is: in whole lots, and never as one that was refused for good; else 0.

        What closes all of a position that is no whole number of lots is larger than it: the venue cuts it, and a
        smaller one would leave what no order can close. So is a part smaller than a lot.
        """
        lots, all_ = self._lots(wanted.symbol), abs(held.qty)
        most = min(wanted.left, all_) if wanted.most is None else min(wanted.left, all_, wanted.most)
        qty = lots.qty_up(most) if most >= all_ or most < lots.lot else lots.qty_down(most)
        return Qty(ZERO) if qty in wanted.refused else qty

    def _place(self, wanted: WantedExit, ts: Nanos) -> list[Message]:
        held = self._register.held.get(wanted.symbol)
        name = f"{wanted.signal_id}-exit"
        qty = wanted.left
        if self._register.bars(wanted.symbol):
            reason = BARRED if self._register.is_barred else UNTRADED
            barred = Order(request=exit_order(wanted, name, qty, ts), qty=qty).on(OrderEvent.REJECT, reason=reason)
            return [] if held is not None else [done(barred, ts)]
        if held is not None:
            qty = self._size(wanted, held)
            if qty <= 0:
                return []
            if wanted.tries or wanted.signal_id == held.signal_id or self._register.find(name) is not None:
                if held.generation >= LAST_NUMBER:
                    return []
                held = self._register.next_generation(held, wanted.signal_id)
                name = f"{name}{held.generation}"
        request = exit_order(wanted, name, qty, ts)
        if held is None and self._register.find(name) is not None:
            return [done(Order(request=request, qty=qty).on(OrderEvent.REJECT, reason=TAKEN), ts)]
        self._forget_last(wanted)
        if held is not None:
            self._register.wanted[wanted.symbol] = replace(wanted, order_id=name, tries=wanted.tries + 1, due_ts=None)
        self._register.submit((request,))
        return [SubmitOrders(ts_event=ts, orders=(request,))]

    def _forget_last(self, wanted: WantedExit) -> None:
        # A venue that refuses for hours must not fill the register.
        last = self._register.orders.get(wanted.order_id)
        if last is not None and last.state.is_terminal and not last.fills:
            self._register.drop(wanted.order_id)

    def _give_up(self, wanted: WantedExit, ts: Nanos) -> Message:
        del self._register.wanted[wanted.symbol]
        last = self._register.find(wanted.order_id)
        if last is None:
            # It took over from an order that was at work, and never had one of its own.
            request = exit_order(wanted, f"{wanted.signal_id}-exit", Qty(abs(wanted.left)), ts)
            last = Order(request=request, qty=request.qty, state=OrderState.CANCELED, reason=_ENDED_OTHERWISE)
        return done(last, ts)

    def _is_at_work(self, wanted: WantedExit) -> bool:
        order = self._register.orders.get(wanted.order_id)
        return order is not None and not order.state.is_terminal

    def _is_unknown(self, wanted: WantedExit) -> bool:
        order = self._register.orders.get(wanted.order_id)
        return order is not None and order.is_unknown

    def _is_page_due(self, wanted: WantedExit, now: Nanos) -> bool:
        is_final = bool(wanted.refused)
        is_failing = wanted.fails > 0 or self._is_unknown(wanted) or self._register.bars(wanted.symbol)
        is_late = wanted.since is not None and now >= wanted.since + _PATIENCE
        if not is_failing or (wanted.fails < _FAILS and not is_late and not is_final):
            return False
        return wanted.alerted_ts is None or now >= wanted.alerted_ts + _REPEAT

    def _protects(self, wanted: WantedExit) -> bool:
        return self._register.held[wanted.symbol].signal_id == wanted.signal_id

    def _page(self, wanted: WantedExit, now: Nanos) -> Alert:
        tries = "once" if wanted.tries == 1 else f"{wanted.tries} times"
        said = f"; the venue says: {wanted.words}" if wanted.words else ""
        what = f"{plain(max(ZERO, wanted.left))} of {wanted.symbol} is to be closed ({wanted.reason}), tried {tries}"
        mend = f"look at the venue, close it there by hand; tradebot cancel {wanted.order_id} gives the exit up"
        return Alert(
            ts_event=now,
            name=AlertName.EXIT_FAILED,
            symbol=wanted.symbol,
            about=wanted.signal_id,
            what=what + said,
            mend=KEY_MEND if self._register.is_barred else mend,
        )
