"""The continuous comparison of the book with the venue: asked for again and again, within a budget of its own.

What the venue says of an order or a fill is delivered to the line. What is left different after that is no message
that was lost: symbols freeze and a human is paged. A read that failed proves nothing: that look is none.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tradebot.live.reconcile_account import AccountComparison
from tradebot.live.reconcile_orders import OrdersComparison
from tradebot.live.rounds import Rounds
from tradebot.live.sides import Sides
from tradebot.live.stops import StopChecks
from tradebot.model.errors import VenueError
from tradebot.model.money import Cash
from tradebot.model.venue import AccountState, Purpose

_DUE_S, _ORDERS_S, _ACCOUNT_S = 1.0, 5.0, 15.0
# A difference is looked at again sooner than what is well.
_AGAIN_S = 5.0
_AT_ONCE_S = 1.0
_MOST_LOOKS = 7


class Reconciler:
    """Compares until cancelled, and all at once when asked to."""

    def __init__(self, sides: Sides, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.stops = StopChecks(sides)
        self.orders = OrdersComparison(sides, self.stops)
        self.money = AccountComparison(sides, self.stops)
        self._sides, self._sleep = sides, sleep
        self._may_adopt = sides.is_blank()
        self._lock = asyncio.Lock()
        self.rounds = Rounds()

    @property
    def residual(self) -> Cash | None:
        """What the venue's cash is more than ours; ``None`` before it was seen."""
        return self.money.residual

    @property
    def account(self) -> AccountState | None:
        """The account as the venue last had it; ``None`` before it was seen."""
        return self.money.seen

    async def run(self, ready: Callable[[], None]) -> None:
        """Compare until cancelled."""
        ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._look_at_what_is_due, _DUE_S))
            group.create_task(self._repeat(self._look_at_orders, _ORDERS_S))
            group.create_task(self._repeat(self._look_at_account, _ACCOUNT_S))

    async def adopt(self) -> None:
        """Take over the orders of a state directory that was lost, if the book never knew an order."""
        async with self._lock:
            may_adopt, self._may_adopt = self._may_adopt and self._sides.is_blank(), False
            if may_adopt:
                await self.orders.look_at_orders(Purpose.PROTECT, may_adopt=True)

    async def reconcile_now(self) -> None:
        """Compare all at once, until book and venue agree or a human is paged. Raises ``VenueError``.

        The first time, orders of a state directory that was lost are adopted, if the book never knew an order.
        """
        for look in range(_MOST_LOOKS):
            if look:
                await self._sleep(_AT_ONCE_S)
            async with self._lock:
                may_adopt, self._may_adopt = self._may_adopt and self._sides.is_blank(), False
                await self.orders.look_at_orders(Purpose.PROTECT, may_adopt=may_adopt)
                await self.money.look_at_account(Purpose.PROTECT)
            if not (self.orders.is_open or self.money.is_open):
                return

    async def _look_at_what_is_due(self) -> None:
        await self.orders.look_in_flight()
        await self.stops.look()

    async def _look_at_orders(self) -> None:
        async with self._lock:
            await self.orders.look_at_orders()

    async def _look_at_account(self) -> None:
        async with self._lock:
            await self.money.look_at_account()

    async def _repeat(self, look: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while True:
            self.rounds.came(look.__name__)
            await self._sleep(min(pause_s, _AGAIN_S) if self.money.is_open else pause_s)
            # The venue cannot be asked now, or the daemon is stopping: this look is none.
            with contextlib.suppress(VenueError):
                await look()
