"""The watch over the actions that the account may still send: asked for, told to the line, and paged when few are left.

What risk decides by must be an input of the line: so the count of what was sent goes there when it matters.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tradebot.live.line import LiveLine
from tradebot.model.command import AlertName
from tradebot.model.errors import Unavailable, VenueError
from tradebot.model.order import ActionsLeft
from tradebot.model.time import from_ms
from tradebot.model.venue import ActionAllowance, ActionLimit, Purpose
from tradebot.ports import Clock, Execution, Page

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
        venue: Execution,
        limit: ActionLimit,
        line: LiveLine,
        page: Page,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._venue, self._limit, self._line, self._page, self._clock, self._sleep = (
            venue,
            limit,
            line,
            page,
            clock,
            sleep,
        )
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

    async def learn(self, purpose: Purpose, *, may_be_recent: bool = False) -> None:
        """Ask the venue, or take its word of a moment ago, and tell the line. Raises ``VenueError``."""
        await self._venue.learn_allowance(purpose, may_be_recent=may_be_recent)
        counted = self._counted()
        left = counted.left
        self._ask_at = self._clock.monotonic() + (_ASK_LOW_S if left < self._limit.low else _ASK_S)
        if left != self._line.risk.actions_left:
            await self._tell(left)
        self._alert(counted)

    async def look(self) -> None:
        """Look once."""
        if self._counted().is_doubted or self._clock.monotonic() >= self._ask_at:
            self._ask_at = self._clock.monotonic() + _ASK_LOW_S
            with contextlib.suppress(VenueError):
                await self.learn(Purpose.WATCH)
        counted, told = self._counted(), self._line.risk.actions_left
        if told is None or told - counted.left >= (1 if counted.left < self._limit.low else _STEP):
            await self._tell(counted.left)
        self._alert(counted)

    def _counted(self) -> ActionAllowance:
        # Whoever looks has learned, or will in a moment.
        return self._venue.allowance() or ActionAllowance(0, 0)

    async def _tell(self, left: int) -> None:
        ts = from_ms(self._venue.survey.now_ms())
        await self._line.deliver([ActionsLeft(ts_event=ts, left=left, reserve=self._limit.reserve)])

    def _alert(self, counted: ActionAllowance) -> None:
        left, reserve = counted.left, self._limit.reserve
        depth = sum((left < self._limit.low, left < reserve + _BRACKET, left <= 0))
        if depth > self._depth:
            what = f"{left} of {counted.cap} actions of the account are left: "
            what += (
                f"at {reserve} entries end",
                f"entries are refused, {reserve} are kept for exits and stops",
                f"the exchange takes one order each {self._limit.trickle_s:.0f} s, exits and stops alone are sent",
            )[depth - 1]
            self._page(AlertName.ACTIONS_LOW, what, _MEND)
        self._depth = depth
