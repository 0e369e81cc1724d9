"""What a venue answered an earlier run of this home, and would most likely answer this one.

What an address is costs more to ask than all that a boot must know to protect a position: a bot that is killed three
times in a minute would not have the weight for it. Only what let a boot go on is kept.
"""

import orjson

from tradebot.model.time import NANOS_PER_S
from tradebot.ports import Clock, Notes
from tradebot.venues.hyperliquid.rest import RestClient

KEY = "venue_roles"
LASTS_S = 600
"""For so long, by the clock of this machine."""


class Memory:
    """The word of the venue at ``place`` on ``signer`` and its account, for ``rest``."""

    def __init__(self, notes: Notes, clock: Clock, rest: RestClient, place: str, signer: str) -> None:
        self._notes, self._clock, self._rest = notes, clock, rest
        self._of = f"{place} {signer}"
        self._has_recalled = False

    async def recall(self) -> None:
        """Answer from memory, as far as there is any that is young enough."""
        text = await self._notes.meta(KEY)
        kept = {} if text is None else orjson.loads(text)
        age_ns = self._clock.now() - kept.get("at", 0)
        if kept.get("of") == self._of and 0 <= age_ns < LASTS_S * NANOS_PER_S:
            self._has_recalled = True
            self._rest.recall(kept["roles"])

    def doubt(self) -> bool:
        """Ask anew from here on; return whether anything was answered from memory."""
        had, self._has_recalled = self._has_recalled, False
        if had:
            self._rest.forget()
        return had

    async def keep(self) -> None:
        """Keep what was answered; what was itself recalled does not become younger."""
        if not self._has_recalled:
            kept = {"of": self._of, "at": self._clock.now(), "roles": self._rest.roles()}
            await self._notes.set_meta(KEY, orjson.dumps(kept).decode())
