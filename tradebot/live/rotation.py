"""Another key for an account that is traded, without a restart: entries wait, the signer is exchanged, both compare.

The old key stays in use until the venue has said that the new one may trade, and nothing that the old one signed is
without its outcome: so no order is ever proven absent by a key that never signed it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tradebot.backoff import Backoff
from tradebot.live.freezer import Freezer, FreezeReason
from tradebot.live.line import LiveLine
from tradebot.live.market_silence import ALL
from tradebot.live.patience import until_answered
from tradebot.model.errors import RefusedByRule
from tradebot.ports import Clock, Execution

SETTLE_S = 30.0
"""An intent is settled within its life, the lag of the venue and two looks."""
_LOOK_S = 0.05
_RETRY_FIRST_S, _RETRY_MAX_S = 0.25, 1.0


class KeyRotation:
    """Exchanges the key of ``venue``; ``compare`` lets book and venue agree, and raises ``VenueError``."""

    def __init__(
        self,
        venue: Execution,
        line: LiveLine,
        compare: Callable[[], Awaitable[None]],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._venue, self._compare, self._clock, self._sleep = venue, compare, clock, sleep
        self._freezer = Freezer(line, FreezeReason.KEY)
        self._lock = asyncio.Lock()

    async def begin(self) -> None:
        """Let entries in that a run which ended during a change kept out."""
        await self._freezer.hold(())

    async def rotate(self, key: str, keep: Callable[[], Awaitable[None]]) -> str:
        """Sign with ``key`` from now on and return its public name; ``keep`` makes it the key of the next run.

        Raises ``NotPermitted`` when the venue does not let it trade, ``RefusedByRule`` while another change goes on
        or orders stay without outcome, ``VenueError`` when the venue cannot be asked: then the old key stays.
        """
        if self._lock.locked():
            raise RefusedByRule("the key is being changed already", mend="wait until that is over")
        async with self._lock:
            name = await self._venue.check_key(key)
            await self._freezer.hold((ALL,))
            try:
                await self._settled()
                # Nothing is awaited between the look and this.
                self._venue.use_key(key)
                await keep()
                await until_answered(self._compare, Backoff(_RETRY_FIRST_S, _RETRY_MAX_S, seed=3))
            finally:
                await self._freezer.hold(())
            return name

    async def _settled(self) -> None:
        deadline = self._clock.monotonic() + SETTLE_S
        while self._venue.unsettled():
            if self._clock.monotonic() > deadline:
                raise RefusedByRule(
                    f"orders are without an outcome for {SETTLE_S:g} s: the old key stays",
                    mend="tradebot orders shows them; try again when they are known",
                )
            await self._sleep(_LOOK_S)
