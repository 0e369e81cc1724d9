"""``halt --flatten`` to its end: when the book is flat, the venue must say so too, and that nothing rests.

What the line cannot end is ended at the venue directly: orders and positions of another hand. What may add to a
position goes first; what may protect one stays until it is closed. All that closes is reduce-only, so that line and
sweep together never do more than close.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from decimal import Decimal

from tradebot.backoff import Backoff
from tradebot.live.line import LiveLine
from tradebot.log import log
from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.errors import Unavailable, VenueError
from tradebot.model.logevent import LogEvent
from tradebot.model.money import plain
from tradebot.model.time import to_ms
from tradebot.model.venue import Remains, RestingOrder
from tradebot.ports import Page, Sweep
from tradebot.report.flatness import FlatFacts, RestingFacts

_TICK_S = 0.1
_PAUSES = Backoff(0.25, 5.0)
"""Between two looks, doubled while nothing changes: each costs weight that cancels and stops may need."""
_PATIENCE = 4
"""So many looks in a row a position of the book stands as it was, before the sweep closes it beside the line."""
_AGAIN = "the venue is not flat"


class Flatness:
    """Looks while a flattening is open. ``reconcile`` tells the book what it missed; ``symbols`` are those it trades.

    ``on_flat`` hears that all is gone; ``on_change`` that there is something to see through, or no more.
    """

    def __init__(
        self,
        line: LiveLine,
        sweep: Sweep,
        reconcile: Callable[[], Awaitable[None]],
        symbols: Collection[str],
        page: Page,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._line, self._sweep, self._reconcile, self._page, self._sleep = line, sweep, reconcile, page, sleep
        self._symbols = frozenset(symbols)
        self.is_open = self._is_repeating = self._is_alone = False
        self._verb = Verb.HALT
        self._began_ms = 0
        self._asked = 0
        self._seen: Remains | None = None
        self._refused: dict[str, str] = {}
        self._rested: frozenset[str] = frozenset()
        self._own: frozenset[str] = frozenset()
        self._unchanged: dict[str, int] = {}
        self._is_behind = False
        self._wake = asyncio.Event()
        self._looking: asyncio.Future[None] | None = None
        self._is_through = False
        self.on_flat: Callable[[], None] = _unheard
        self.on_change: Callable[[bool], None] = _unheard_change

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        waited, alike = 0.0, 0
        before = self._standing()
        while True:
            # What was asked for or what the book has just heard is looked at now.
            standing = self._standing()
            if not alike or waited >= _PAUSES.delay_s(alike) or standing != before:
                before, waited = standing, 0.0
                left = self._left()
                await self._look_once()
                alike = 1 if self._left() != left else alike + 1
            await self._nap()
            waited += _TICK_S

    async def _look_once(self) -> None:
        self._looking = asyncio.ensure_future(self.look())
        try:
            await asyncio.wait({self._looking})
            if not self._looking.cancelled():
                # The venue cannot be asked now, or the daemon is stopping: this look is none.
                with contextlib.suppress(VenueError, Unavailable):
                    self._looking.result()
        finally:
            self._looking.cancel()
            self._looking = None

    async def _nap(self) -> None:
        """Wait for a tick, or until it is asked for."""
        tick, wake = (asyncio.ensure_future(wait) for wait in (self._sleep(_TICK_S), self._wake.wait()))
        try:
            await asyncio.wait({tick, wake}, return_when=asyncio.FIRST_COMPLETED)
            if tick.done():
                tick.result()
        finally:
            tick.cancel()
            wake.cancel()
        self._wake.clear()

    def _standing(self) -> tuple[int, bool, bool]:
        return self._asked, self._line.risk.is_flattening, self._line.risk.is_flat

    def _left(self) -> tuple[object, ...]:
        seen = self._seen
        return () if seen is None else (dict(seen.positions), frozenset(found.order.oid for found in seen.orders))

    def begin(self, verb: Verb = Verb.HALT) -> None:
        """See the flattening through that ``verb`` asked for just now; what was seen before it counts for nothing."""
        if self._is_repeating and verb is self._verb:
            # Our own word to the line: what was seen still counts.
            return
        self.is_open, self._verb, self._seen = True, verb, None
        self._began_ms = self._sweep.now_ms()
        self._asked += 1
        self._wake.set()
        self._refused, self._unchanged, self._is_behind = {}, {}, False
        risk = self._line.risk
        self._own = frozenset(symbol for symbol in risk.positions if risk.is_own(symbol))
        self.on_change(True)

    def give_up(self) -> None:
        """See nothing through any more: it is not wanted, or whoever asked was told that it did not come to its end."""
        if self._looking is not None and self._looking is not asyncio.current_task():
            # What it still tries to send is not wanted.
            self._looking.cancel()
        if self.is_open:
            self.is_open = False
            self.on_change(False)

    async def finish(self, seconds: float) -> bool:
        """End at the venue alone what is left, for the line takes nothing more; return whether that says flat."""
        self._is_alone = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.is_open:
                    with contextlib.suppress(VenueError):
                        await self.look()
                    await asyncio.sleep(_TICK_S if self.is_open else 0)
        return self.facts().is_flat

    def facts(self) -> FlatFacts:
        """Return how far it is, by the last look since it began."""
        seen = self._seen
        if seen is None:
            return FlatFacts(is_flat=False, stuck="the venue has not answered yet")
        positions = {symbol: qty for symbol, qty in seen.positions.items() if self._is_wanted(symbol)}
        wanted = [found for found in seen.orders if self._is_wanted_gone(found)]
        others = [f"{plain(qty)} {symbol}" for symbol, qty in seen.positions.items() if symbol not in positions]
        others += [described(found) for found in seen.orders if found not in wanted]
        orders = [*(resting_fact(found) for found in wanted), *self._in_doubt(wanted)]
        is_gone = not positions and not orders
        why = "; ".join(f"{what}: {why}" for what, why in sorted(self._refused.items()))
        if is_gone and not why and not self._is_settled(seen):
            why = "the venue shows nothing, but may not show all of it yet"
        return FlatFacts(
            is_flat=is_gone and self._is_settled(seen), positions=positions, orders=orders, others=others, stuck=why
        )

    def _is_settled(self, seen: Remains) -> bool:
        """Return whether ``seen`` is from after the beginning, and the book holds nothing against it."""
        is_fresh = seen.ts_event is not None and to_ms(seen.ts_event) >= self._began_ms
        return is_fresh and (self._is_alone or not self._is_book_open)

    @property
    def _is_book_open(self) -> bool:
        # The book is done with its flattening at its next tick, which need not be waited for.
        risk = self._line.risk
        return risk.is_flattening and not risk.is_flat

    def _in_doubt(self, listed: Collection[RestingOrder]) -> list[RestingFacts]:
        """Return the orders that were sent and of which the venue has said nothing: they may yet arrive."""
        if self._is_alone:
            # Nobody will hear of them; what they may still open, the next run ends.
            return []
        names = {found.owner.client_order_id for found in listed if found.owner is not None}
        return [
            RestingFacts(id=name, symbol=order.request.symbol, what="sent, not answered", own=True)
            for order in self._line.orders.unanswered()
            if (name := order.request.client_order_id) not in names
        ]

    async def look(self) -> None:
        """Look once: what the venue still has after a flattening is ended. Raises ``VenueError``."""
        risk = self._line.risk
        is_asked = self._verb is Verb.STOP or risk.trading_state is TradingState.HALTED
        if not is_asked:
            self.give_up()
            return
        if not self.is_open:
            self._is_through = self._is_through and risk.is_flattening
            if self._is_through or not risk.is_flattening:
                return
            # A breaker asked for it, or somebody asked the last run.
            self.begin()
        asked = self._asked
        seen = await self._sweep.look()
        if asked != self._asked:
            # It was asked for again meanwhile: this look may be older than that.
            return
        before, self._seen = self._seen, seen
        self._count_unchanged({} if before is None else before.positions, seen.positions)
        facts = self.facts()
        if facts.is_flat:
            self._refused = {}
            self.give_up()
            # The book is done with its flattening at its next tick.
            self._is_through = True
            log(LogEvent.VENUE_FLAT)
            self.on_flat()
            return
        refused = await self._cancel(seen)
        if facts.positions or risk.is_flattening:
            refused |= await self._close(facts.positions)
        if asked == self._asked:
            self._refused = refused

    def _count_unchanged(self, before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> None:
        self._unchanged = {
            symbol: self._unchanged.get(symbol, 0) + 1 if before.get(symbol) == qty else 0
            for symbol, qty in after.items()
        }

    async def _cancel(self, seen: Remains) -> dict[str, str]:
        due = [found for found in seen.orders if self._is_due(found, seen.positions)]
        self._rested = frozenset(found.order.oid for found in seen.orders if found.order.symbol not in seen.positions)
        if not due:
            return {}
        kept = await self._sweep.cancel(due)
        return {described(found): kept[found.order.oid] for found in due if found.order.oid in kept}

    def _is_due(self, found: RestingOrder, positions: Mapping[str, Decimal]) -> bool:
        """Return whether an order is to be cancelled here and now; what the line works on is the line's first."""
        order = found.order
        if not self._is_wanted_gone(found):
            return False
        if order.symbol in positions and (order.reduce_only or self._is_at_work(found)):
            return False
        return not self._is_at_work(found) or order.oid in self._rested

    def _is_at_work(self, found: RestingOrder) -> bool:
        known = None if found.owner is None else self._line.orders.find(found.owner.client_order_id)
        return not self._is_alone and known is not None and not known.state.is_terminal

    def _is_wanted_gone(self, found: RestingOrder) -> bool:
        return found.owner is not None or not self._line.risk.own_only

    def _is_wanted(self, symbol: str) -> bool:
        risk = self._line.risk
        # One that was ours stays ours: the look may be older than the fill that closed it.
        return not risk.own_only or symbol in self._own or risk.is_own(symbol)

    async def _close(self, positions: Mapping[str, Decimal]) -> dict[str, str]:
        """Close what is left: by the line what the book holds, which first learns what it missed; the rest here."""
        if self._is_alone:
            return await self._sweep_away(positions)
        risk, held = self._line.risk, self._line.risk.positions
        strange = {symbol: qty for symbol, qty in positions.items() if symbol not in self._symbols}
        refused = await self._sweep_away(strange)
        ours = {symbol: qty for symbol, qty in positions.items() if symbol in self._symbols}
        # What was there a moment ago already is no news that is still on its way.
        if any(symbol not in held and self._unchanged[symbol] for symbol in ours) or self._is_behind:
            await self._reconcile()
            held = risk.positions
        self._is_behind = not positions
        if ours.keys() & held.keys() and not risk.is_flattening:
            await self._repeat()
        late = {
            symbol: qty
            for symbol, qty in ours.items()
            if self._unchanged[symbol] >= (_PATIENCE if symbol in held else 1)
        }
        return refused | await self._sweep_away(late)

    async def _repeat(self) -> None:
        arguments = {"flatten": "true", "reason": _AGAIN} | ({"own": "true"} if self._line.risk.own_only else {})
        self._is_repeating = True
        try:
            await self._line.command(self._verb, arguments)
        finally:
            self._is_repeating = False

    async def _sweep_away(self, positions: Mapping[str, Decimal]) -> dict[str, str]:
        refused = dict(await self._sweep.close(positions)) if positions else {}
        told = {symbol: why for symbol, why in refused.items() if self._unchanged[symbol]}
        if told:
            what = ", ".join(f"{plain(positions[symbol])} {symbol} ({why})" for symbol, why in sorted(told.items()))
            self._page(
                AlertName.MISMATCH,
                f"the venue would not close {what}",
                "it is tried again; close it at the venue",
                about=",".join(sorted(told)),
            )
        return refused


def resting_fact(found: RestingOrder) -> RestingFacts:
    """Return an order that rests, as it is told of."""
    order, owner = found.order, found.owner
    name = order.oid if owner is None else owner.client_order_id
    what = f"{order.side.value} {plain(order.qty)} at {plain(order.trigger or order.price)}"
    return RestingFacts(id=name, symbol=order.symbol, what=what, own=owner is not None)


def described(found: RestingOrder) -> str:
    """Return an order that rests in words."""
    fact = resting_fact(found)
    return f"order {fact.id} ({fact.what} {fact.symbol})"


def _unheard() -> None:
    pass


def _unheard_change(is_open: bool) -> None:
    del is_open
