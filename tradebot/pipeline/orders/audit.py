"""The audit: what time alone may show to be wrong. Each tick looks at every open position for its stop.

An event that should have come may be lost: a stop that did not wake, a submission without an answer. So a position
that stays uncovered gets a stop, else is closed at market, else a human is paged, again and again. While the close is
not answered, or is refused, a stop stands by: to prove what became of a request may take longer than a position may be
naked.
"""

from msgspec.structs import replace

from tradebot.model.command import Alert, AlertName
from tradebot.model.market import Message
from tradebot.model.money import plain
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.orders.cover import has_no_stop, pending, protection
from tradebot.pipeline.orders.facts import KEY_MEND
from tradebot.pipeline.orders.guard import Guard
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held, Protection, Watch

GRACE = NANOS_PER_S
"""How long a position may be seen uncovered with nothing on its way; with the second to the first tick it is two."""
ANSWER = 5 * NANOS_PER_S
"""How long an order without an outcome counts as on its way."""
REPEAT = 60 * NANOS_PER_S
"""How often a human is paged while nothing helps, and the closing is tried again."""


class Audit:
    """Looks after what is open; the register holds what it watches, by symbol."""

    __slots__ = ("_guard", "_register")

    def __init__(self, register: Register, guard: Guard) -> None:
        self._register = register
        self._guard = guard

    @property
    def is_due(self) -> bool:
        """Whether the next tick may have something to do."""
        return any(not self._is_at_rest(held) for held in self._register.held.values())

    def look(self, now: Nanos) -> list[Message]:
        """Return what is overdue at ``now``, the venue's time."""
        outputs: list[Message] = []
        for symbol in [symbol for symbol in self._register.watched if symbol not in self._register.held]:
            del self._register.watched[symbol]
        for held in list(self._register.held.values()):
            covered = protection(self._register, held)
            # Of what is not traded any more a human was told, and there is nothing to be done.
            if covered.is_full or self._register.has_ended(held.symbol):
                self._register.watched.pop(held.symbol, None)
            else:
                outputs += self._watch(held, covered, now)
        return outputs

    def _is_at_rest(self, held: Held) -> bool:
        if protection(self._register, held).is_full or self._register.has_ended(held.symbol):
            return True
        watch = self._register.watched.get(held.symbol)
        if watch is None or watch.signal_id != held.signal_id or watch.alerted_ts is None:
            return False
        return has_no_stop(self._register, held)

    def _watch(self, held: Held, covered: Protection, now: Nanos) -> list[Message]:
        watch = self._register.watched.get(held.symbol)
        if watch is None or watch.signal_id != held.signal_id:
            watch = Watch(signal_id=held.signal_id, since=now)
        sent = pending(self._register, held)
        if sent != watch.pending_id:
            watch = replace(watch, pending_id=sent, pending_ts=now)
        self._register.watched[held.symbol] = watch
        late_ts = watch.pending_ts + ANSWER if sent else watch.since + GRACE
        return self._act(held, covered, watch, now) if now >= late_ts else []

    def _act(self, held: Held, covered: Protection, watch: Watch, now: Nanos) -> list[Message]:
        guard = self._guard
        if has_no_stop(self._register, held):
            # Whoever opened it without a stop wanted it so; but nobody shall think that it has one.
            return self._page(covered, watch, now) if watch.alerted_ts is None else []
        is_barred = self._register.bars(held.symbol)
        if not is_barred:
            if repaired := guard.repair(held, now):
                return repaired
            if not guard.is_spent(held):
                return guard.close(held, now)
            if (watch.stood_by_ts is None or now >= watch.stood_by_ts + REPEAT) and (stop := guard.stand_by(held, now)):
                self._register.watched[held.symbol] = replace(watch, stood_by_ts=now)
                return stop
        if watch.alerted_ts is not None and now < watch.alerted_ts + REPEAT:
            return []
        paged = self._page(covered, watch, now)
        return paged if is_barred else [*paged, *guard.close(held, now)]

    def _page(self, covered: Protection, watch: Watch, now: Nanos) -> list[Message]:
        self._register.watched[covered.symbol] = replace(watch, alerted_ts=now)
        bare = plain(covered.qty - covered.covered_qty)
        mend = f"look at the venue; tradebot close {covered.symbol}, while halted tradebot halt --flatten"
        alert = Alert(
            ts_event=now,
            name=AlertName.UNPROTECTED,
            symbol=covered.symbol,
            what=f"{bare} of {plain(covered.qty)} {covered.symbol} has no stop at the venue",
            mend=KEY_MEND if self._register.is_barred else mend,
        )
        return [alert]
