"""Orders of the book against orders of the venue."""

from collections.abc import Sequence
from dataclasses import dataclass

from tradebot.backoff import Backoff
from tradebot.live.reconcile_rules import (
    Persistence,
    Sorted,
    Stray,
    absent,
    found_request,
    sort_resting,
    unanswered,
)
from tradebot.live.sides import COMPARE, Sides
from tradebot.live.stops import StopChecks
from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.money import plain
from tradebot.model.order import OrderAccepted, OrderFound
from tradebot.model.time import from_ms
from tradebot.model.venue import Purpose, VenueOrder

_MOST_NAMED = 10
_LEAST_AGE_S = 5.0
_YOUNG_S = 1.0
_PAUSES = Backoff(_YOUNG_S, 30.0)
_UNKNOWN_AFTER_S = 60.0
_LOOKS_A_QUESTION = 12


@dataclass(slots=True)
class _Asked:
    """An order of which nothing is known: since when, when to ask again, and how often that was done."""

    since: float
    due: float
    times: int = 0
    is_told: bool = False


class OrdersComparison:
    """Compares orders."""

    def __init__(self, sides: Sides, stops: StopChecks) -> None:
        self._sides = sides
        self._venue, self._line, self._page = sides.venue, sides.line, sides.page
        self._began_ms = sides.venue.survey.now_ms()
        self._asked: dict[str, _Asked] = {}
        # No order is judged by the list of a replica that may be behind by seconds.
        self._absent: Persistence[str] = Persistence(2, _LEAST_AGE_S)
        self._strays: Persistence[str] = Persistence(2, _LEAST_AGE_S)
        self._foreign: frozenset[str] = frozenset()
        self.foreign: Sequence[VenueOrder] = ()
        """The orders of others that rest, as they were last seen."""
        self._looks = 0
        self._stops = stops

    @property
    def is_open(self) -> bool:
        """Whether something differs of which it is not known yet whether it stays so."""
        return self._absent.is_open or self._strays.is_open or self._stops.is_open

    async def look_in_flight(self, purpose: Purpose = Purpose.WATCH) -> None:
        """Ask for one order that was sent and of which nothing is known: the one that waits longest."""
        now = self._sides.now_s()
        book = self._sides.book()
        names = {name for name in unanswered(book) if not self._sides.in_hands(name)}
        self._asked = {name: self._asked.get(name) or _Asked(now, now + _YOUNG_S) for name in sorted(names)}
        due = min(self._asked, key=lambda name: self._asked[name].due, default=None)
        if due is None or (asked := self._asked[due]).due > now:
            return
        asked.times += 1
        asked.due = now + _PAUSES.delay_s(asked.times + 1)
        await self._sides.deliver(await self._venue.status(due, purpose))
        order = self._sides.book().get(due)
        if order is not None and order.is_unknown and now - asked.since > _UNKNOWN_AFTER_S and not asked.is_told:
            asked.is_told = True
            self._tell_unknown(due, order.request.symbol)

    def _tell_unknown(self, name: str, symbol: str) -> None:
        what = f"{name} was sent, and the venue does not say what became of it"
        self._page(AlertName.UNKNOWN_ORDER, what, "look at open orders and fills at the venue", symbol, name)

    async def look_at_orders(self, purpose: Purpose = Purpose.WATCH, *, may_adopt: bool = False) -> None:
        """Compare what rests with the book."""
        before = self._sides.book()
        found = await self._venue.survey.resting(purpose)
        after = self._sides.book()
        # An order that moved while we asked is judged the next time.
        still = {name: order for name, order in after.items() if before.get(name) == order}
        sorted_ = sort_resting(found, after, from_ms(self._began_ms))
        for name, order in sorted_.adopted.items():
            self._venue.adopt(name, order)
        await self._sides.deliver([_accepted(name, order) for name, order in sorted_.awake.items()])
        if may_adopt:
            await self._adopt(sorted_)
        else:
            await self._look_at_strays(sorted_)
        await self._look_at_absent(absent(still, sorted_.listed), purpose)
        await self._stops.compare({name: order for name, order in sorted_.listed.items() if name in still})
        self._look_at_foreign(sorted_)
        await self._look_at_rivals(sorted_)

    async def _adopt(self, found: Sorted) -> None:
        """Take over the orders of a state directory that was lost."""
        names = [stray.name for stray in found.strays]
        for stray in found.strays:
            self._venue.adopt(stray.name, stray.order)
        now = from_ms(self._venue.survey.now_ms())
        await self._sides.deliver(
            [
                OrderFound(
                    ts_event=now,
                    order=found_request(stray.name, stray.order, names),
                    venue_order_id=stray.order.oid,
                )
                for stray in found.strays
            ]
        )

    async def _look_at_strays(self, found: Sorted) -> None:
        strays = {stray.order.oid: stray for stray in found.strays}
        self._strays.look(dict.fromkeys(strays, True), self._sides.now_s())
        # Until they are gone: a cancel that failed is tried again at the next look.
        for oid in self._strays.told:
            await self._cancel(strays[oid])

    async def _cancel(self, stray: Stray) -> None:
        order = stray.order
        was_there = await self._venue.cancel_resting(order)
        if was_there is False:
            # It was gone already: the list was old.
            return
        held = "the book holds it for done" if stray.is_known else "the book does not know it"
        done = "its symbol is not traded here, so it was left alone" if was_there is None else "it was cancelled"
        what = f"{stray.name} (venue order {order.oid}) rested at the venue, and {held}; {done}"
        self._page(AlertName.MISMATCH, what, COMPARE, order.symbol, f"order {order.oid}")

    async def _look_at_absent(self, names: frozenset[str], purpose: Purpose) -> None:
        self._looks += 1
        fresh = names if self._looks % _LOOKS_A_QUESTION == 0 else names - self._absent.told
        if fresh:
            now_ms = self._venue.survey.now_ms()
            await self._sides.deliver(await self._venue.catch_up(now_ms, sorted(fresh), purpose, again=True))
        book = self._sides.book()
        # Told of only when asking for them did not help: absence from one list is never an end.
        left = {name: book[name].state for name in names if name in book and not book[name].state.is_terminal}
        for name in self._absent.look(left, self._sides.now_s()):
            self._tell_unknown(name, book[name].request.symbol)

    def _look_at_foreign(self, found: Sorted) -> None:
        self.foreign = found.foreign
        new = [order for order in found.foreign if order.oid not in self._foreign]
        self._foreign = frozenset(order.oid for order in found.foreign)
        for symbol in sorted({order.symbol for order in new}):
            orders = [order for order in new if order.symbol == symbol]
            named = ", ".join(f"{_described(order)} ({order.oid})" for order in orders[:_MOST_NAMED])
            more = f" and {len(orders) - _MOST_NAMED} more" if len(orders) > _MOST_NAMED else ""
            self._page(
                AlertName.FOREIGN_ORDER,
                f"orders in {symbol} that are not ours rest on the account, {len(orders)}: {named}{more}",
                "they are left alone; cancel them, or give the bot an account of its own; halt --flatten ends them",
                symbol,
                ",".join(order.oid for order in orders),
            )

    async def _look_at_rivals(self, found: Sorted) -> None:
        if found.rivals and self._line.risk.trading_state is not TradingState.HALTED:
            order = found.rivals[0]
            reason = (
                f"another tradebot trades this account: it placed {_described(order)} in {order.symbol}, venue order "
                f"{order.oid}, since we began; stop one of them"
            )
            await self._line.command(Verb.HALT, {"reason": reason})


def _accepted(name: str, order: VenueOrder) -> OrderAccepted:
    return OrderAccepted(ts_event=order.ts_event, client_order_id=name, venue_order_id=order.oid)


def _described(order: VenueOrder) -> str:
    return f"{order.side.value} {plain(order.qty)} at {plain(order.trigger or order.price)}"
