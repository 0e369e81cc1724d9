"""Stops by the venue's word: as it lists them, where it liquidates, and whether they wake when the price is there.

It asks for nothing that the comparison does not ask anyway, but for a stop that should have filled: what became of
that is asked once before the line is told.
"""

from collections.abc import Mapping, Sequence

from tradebot.live.reconcile_rules import Persistence
from tradebot.live.sides import Sides
from tradebot.log import log
from tradebot.model.logevent import LogEvent
from tradebot.model.money import Price
from tradebot.model.order import StopFault, StopFaulted
from tradebot.model.time import Nanos, from_ms
from tradebot.model.venue import AccountState, Purpose, VenueOrder
from tradebot.pipeline.orders.witness import Witness

LEAST_AGE_S = 5.0
PASSED_S = 3.0
"""How long the mark may be beyond the trigger of a stop, or the venue say that it woke, before it counts as stuck."""


class StopChecks:
    """Tells the line of stops that do not protect as the book has them."""

    def __init__(self, sides: Sides) -> None:
        self._sides, self._venue = sides, sides.venue
        self._differing: Persistence[str] = Persistence(2, LEAST_AGE_S)
        self._marks: dict[str, Price] = {}
        self._woken: frozenset[str] = frozenset()
        # Since when, in monotonic seconds, a stop should have filled.
        self._passed: dict[str, float] = {}
        self.liquidations: Mapping[str, Price] = {}
        """Where the venue liquidates each position, as it last said."""

    @property
    def is_open(self) -> bool:
        """Whether something differs of which it is not known yet whether it stays so."""
        return self._differing.is_open

    def on_mark(self, symbol: str, price: Price) -> None:
        """Take note of a newer mark."""
        self._marks[symbol] = price

    async def compare(self, resting: Mapping[str, VenueOrder]) -> None:
        """Compare what rests, by client order id, with the stops of the book."""
        self._woken = frozenset(name for name, order in resting.items() if order.is_triggered)
        found = self._witness().differing(resting, self._now())
        # No stop is judged by the list of a replica that may be behind by seconds.
        kinds = {name: (faulted.fault, faulted.trigger) for name, faulted in found.items()}
        due = self._differing.look(kinds, self._sides.now_s())
        await self._tell([found[name] for name in due])

    async def compare_liquidations(self, account: AccountState) -> None:
        """Compare where the venue liquidates with where the stops lie."""
        self.liquidations = {
            position.symbol: position.liquidation_price
            for position in account.positions
            if position.liquidation_price is not None and position.qty
        }
        await self._tell(self._witness().beyond(self.liquidations, self._now()))

    async def look(self) -> None:
        """Look at the stops that should have filled; ask what became of one that should have for long enough."""
        now_s = self._sides.now_s()
        witness = self._witness()
        stuck = witness.passed(self._marks) | (self._woken & witness.names)
        self._passed = {name: self._passed.get(name, now_s) for name in stuck}
        for name in sorted(name for name, since in self._passed.items() if now_s >= since + PASSED_S):
            # It may have filled, and nobody told us.
            told = await self._venue.catch_up(self._venue.survey.now_ms(), [name], Purpose.PROTECT, again=True)
            await self._sides.deliver(told)
            await self._tell([StopFaulted(ts_event=self._now(), client_order_id=name, fault=StopFault.UNFILLED)])

    async def _tell(self, found: Sequence[StopFaulted]) -> None:
        for faulted in filter(self._sides.line.orders.is_news, found):
            log(LogEvent.STOP_FAULTED, level="warning", client_order_id=faulted.client_order_id, fault=faulted.fault)
        await self._sides.deliver(found)

    def _witness(self) -> Witness:
        orders = self._sides.line.orders
        return Witness(orders.orders, orders.held)

    def _now(self) -> Nanos:
        return from_ms(self._venue.survey.now_ms())
