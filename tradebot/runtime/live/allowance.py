"""The watch over the actions that the account may still send: asked for, told to the line, and paged when few are left.

What risk decides by must be an input of the line: so the count of what was sent goes there when it matters.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tradebot.model.command import AlertName
from tradebot.model.errors import Unavailable, VenueError
from tradebot.model.order import ActionsLeft
from tradebot.model.time import from_ms
from tradebot.ports import Clock
from tradebot.runtime.alerts import Page
from tradebot.runtime.live.line import LiveLine
from tradebot.venues.allowance import LOW, RESERVE, TRICKLE_S
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.resilience import Purpose

_PERIOD_S = 1.0
_ASK_S, _ASK_LOW_S = 600.0, 60.0
# Far from the reserve a difference of the two counts matters to nobody.
_STEP = 100
# An entry with its stop and its target.
_BRACKET = 3
_MEND = "each USDC traded gives one more, and the exchange sells them; trade larger and less often"


class AllowanceWatch:
    """Asks every ten minutes, each minute while few are left, and at once when the venue refuses what should go."""

    def __init__(
        self,
        gateway: Gateway,
        line: LiveLine,
        page: Page,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gateway, self._line, self._page, self._clock, self._sleep = gateway, line, page, clock, sleep
        self._ask_at = 0.0
        self._depth = 0

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled."""
        ready()
        while True:
            await self._sleep(_PERIOD_S)
            # A daemon that is stopping sends no more anyway.
            with contextlib.suppress(Unavailable):
                await self.look()

    async def learn(self, purpose: Purpose, max_age_s: float = 0.0) -> None:
        """Ask the venue, or take its word of ``max_age_s`` ago, and tell the line. Raises ``VenueError``."""
        await self._gateway.learn_allowance(purpose, max_age_s)
        left = self._left()
        self._ask_at = self._clock.monotonic() + (_ASK_LOW_S if left < LOW else _ASK_S)
        if left != self._line.risk.actions_left:
            await self._tell(left)
        self._alert(left)

    async def look(self) -> None:
        """Look once."""
        if self._gateway.allowance.is_doubted or self._clock.monotonic() >= self._ask_at:
            self._ask_at = self._clock.monotonic() + _ASK_LOW_S
            with contextlib.suppress(VenueError):
                await self.learn(Purpose.WATCH)
        left, told = self._left(), self._line.risk.actions_left
        if told is None or told - left >= (1 if left < LOW else _STEP):
            await self._tell(left)
        self._alert(left)

    def _left(self) -> int:
        # Whoever comes here has asked.
        return self._gateway.allowance.left or 0

    async def _tell(self, left: int) -> None:
        ts = from_ms(self._gateway.time.ms())
        await self._line.deliver([ActionsLeft(ts_event=ts, left=left, reserve=RESERVE)])

    def _alert(self, left: int) -> None:
        depths = (left < LOW, left < RESERVE + _BRACKET, left <= 0)
        depth = sum(depths)
        if depth > self._depth:
            what = f"{left} of {self._gateway.allowance.cap} actions of the account are left: "
            what += (
                f"at {RESERVE} entries end",
                f"entries are refused, {RESERVE} are kept for exits and stops",
                f"the exchange takes one order each {TRICKLE_S:.0f} s, exits and stops alone are sent",
            )[depth - 1]
            self._page(AlertName.ACTIONS_LOW, what, _MEND)
        self._depth = depth
