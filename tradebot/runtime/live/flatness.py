"""``halt --flatten`` to its end: when the book is flat, the venue must say so too."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.errors import Unavailable, VenueError
from tradebot.model.logevent import LogEvent
from tradebot.model.money import plain
from tradebot.runtime.alerts import Page
from tradebot.runtime.live.line import LiveLine
from tradebot.runtime.logs import log

_PERIOD_S = 1.0
# What the bot cannot close is looked at more seldom: each look costs weight that cancels and stops may need.
_STUCK_S = 30.0


class Flatness:
    """Looks each second. ``positions`` asks the venue what is open; ``reconcile`` tells the book what it missed."""

    def __init__(
        self,
        line: LiveLine,
        positions: Callable[[], Awaitable[Mapping[str, Decimal]]],
        reconcile: Callable[[], Awaitable[None]],
        page: Page,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._line, self._positions, self._reconcile, self._page, self._sleep = line, positions, reconcile, page, sleep
        self._is_open = self._is_stuck = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        while True:
            # The venue cannot be asked now, or the daemon is stopping: this look is none.
            with contextlib.suppress(VenueError, Unavailable):
                await self.look()
            await self._sleep(_STUCK_S if self._is_stuck else _PERIOD_S)

    def begin(self) -> None:
        """See the flattening through that was asked for just now."""
        self._is_open = True

    async def look(self) -> None:
        """Look once: what the venue still holds after a flattening is learnt and closed. Raises ``VenueError``."""
        risk = self._line.risk
        self._is_open = (self._is_open or risk.is_flattening) and risk.trading_state is TradingState.HALTED
        self._is_stuck = False
        if not self._is_open or risk.is_flattening:
            return
        held = await self._positions()
        if not held:
            self._is_open = False
            log(LogEvent.VENUE_FLAT)
            return
        await self._reconcile()
        if risk.is_flat:
            self._is_stuck = True
            what = ", ".join(f"{plain(qty)} {symbol}" for symbol, qty in sorted(held.items()))
            self._page(AlertName.MISMATCH, f"the book is flat, the venue still holds {what}", "close it at the venue")
            return
        await self._line.command(Verb.HALT, {"flatten": "true", "reason": "the venue is not flat"})
