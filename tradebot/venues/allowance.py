"""The actions that an address may send in its life: told by the venue from time to time, counted here between.

Entries leave a reserve, so that what is held can always be protected and closed. When all is used up, the venue takes
one action each ten seconds; a cancel it takes much longer.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tradebot.ports import Clock

RESERVE = 500
"""How many actions entries leave to exits and stops."""
LOW = 2_000
"""Fewer than these are too few to go on like that: a human is paged."""
TRICKLE_S = 10.0
"""How far apart the actions of an address that used up all must be."""
_EXPIRED_COST = 5


class ActionCount:
    """Counts what is sent against what is allowed. Nothing is held back before ``learn``."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._used = 0
        self._cap: int | None = None
        self._next_at = 0.0
        self._turn = asyncio.Lock()
        self.is_doubted = False
        """Whether the venue refused what our count allows: somebody else sends actions, so it must be asked."""

    def learn(self, used: int, cap: int) -> None:
        """Take the venue's word on what was used and what is allowed."""
        self._used, self._cap, self.is_doubted = used, cap, False

    @property
    def cap(self) -> int | None:
        """The actions allowed in all, or ``None`` before the venue said."""
        return self._cap

    @property
    def left(self) -> int | None:
        """The actions left, below 0 for what was let through since; ``None`` before the venue said."""
        return None if self._cap is None else self._cap - self._used

    @property
    def is_used_up(self) -> bool:
        """Whether only one action each ten seconds is taken."""
        return self.left is not None and self.left <= 0

    def leaves_reserve(self, actions: int) -> bool:
        """Return whether ``actions`` may be sent that enter."""
        return self.left is None or self.left - actions >= RESERVE

    def spend(self, actions: int) -> None:
        """Count ``actions`` that are about to be sent."""
        self._used += actions

    def refused(self, actions: int, *, is_used_up: bool = False, is_expired: bool = False) -> None:
        """Take back ``actions`` that were refused whole: they cost nothing, unless they came too late."""
        self._used += _EXPIRED_COST - actions if is_expired else -actions
        self.is_doubted |= is_used_up and not self.is_used_up

    async def turn(self) -> None:
        """Return when the next action may be sent: at once, unless all are used up."""
        if not self.is_used_up:
            return
        async with self._turn:
            while self.is_used_up and (wait := self._next_at - self._clock.monotonic()) > 0:
                await self._sleep(wait)
            # Whoever comes next waits for this one, which leaves in a moment.
            self._next_at = self._clock.monotonic() + TRICKLE_S
