"""The stops of the book against the orders of the simulated venue, which is part of the line: they never differ.

Should they ever, the line is told as it is of a real venue, so that it replaces the stop or closes the position.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tradebot.log import log
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Message
from tradebot.model.time import Nanos
from tradebot.model.venue import VenueOrder
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.witness import Witness

PERIOD_S = 5.0


class OwnBookCheck:
    """Looks every 5 s, between two turns: at what is ``resting``, by client order id. ``now`` is market time."""

    def __init__(
        self,
        orders: OrdersStage,
        resting: Callable[[], Mapping[str, VenueOrder]],
        gate: asyncio.Lock,
        deliver: Callable[[Sequence[Message]], Awaitable[None]],
        now: Callable[[], Nanos],
    ) -> None:
        self._orders, self._resting = orders, resting
        self._gate, self._deliver, self._now = gate, deliver, now

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        while True:
            await asyncio.sleep(PERIOD_S)
            await self.look()

    async def look(self) -> None:
        """Look once."""
        async with self._gate:
            witness = Witness(self._orders.orders, self._orders.held)
            found = witness.differing(self._resting(), self._now())
        for name, faulted in found.items():
            log(LogEvent.STOP_FAULTED, level="error", client_order_id=name, fault=faulted.fault)
        await self._deliver(list(found.values()))
