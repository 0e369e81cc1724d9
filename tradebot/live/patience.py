"""Waiting for a venue that cannot be asked now: a boot has no other way, and its stops rest there meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from tradebot.backoff import Backoff
from tradebot.log import log
from tradebot.model.command import AlertName
from tradebot.model.errors import VenueError
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock, Page

T = TypeVar("T")
# Each asking waits for itself already. However long a venue was away, it is noticed soon that it is back.
_FIRST_S, _MAX_S = 0.25, 1.0
_QUIET_S = 60.0


async def until_answered(
    ask: Callable[[], Awaitable[T]],
    backoff: Backoff,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    failed: Callable[[VenueError], None] = lambda error: None,
) -> T:
    """Return what ``ask`` returns, asking again while it raises ``VenueError``; ``failed`` hears of each."""

    def note(state: RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        log(LogEvent.VENUE_FAILED, level="warning", attempt=state.attempt_number, error=str(error))
        if isinstance(error, VenueError):
            failed(error)

    async def asked() -> T:
        # tenacity awaits the answer of a coroutine function alone.
        return await ask()

    retry = retry_if_exception_type(VenueError)
    return await AsyncRetrying(sleep=sleep, wait=backoff, retry=retry, before_sleep=note)(asked)


class Patience:
    """Asks again until there is an answer. ``waits`` is called before each wait; after a minute a human is paged."""

    def __init__(
        self,
        clock: Clock,
        page: Page,
        waits: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._page, self._waits, self._sleep = clock, page, waits, sleep

    async def until(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what ``ask`` returns, asking again while it raises ``VenueError``."""
        began = self._clock.monotonic()

        def failed(error: VenueError) -> None:
            if self._clock.monotonic() - began > _QUIET_S:
                what = f"the venue cannot be asked: {error.where}: {error.what}" if error.where else error.what
                mend = error.mend or "look at its status page and the network"
                self._page(AlertName.VENUE_LOST, what, f"stops rest there meanwhile; {mend}")
            self._waits()

        return await until_answered(ask, Backoff(_FIRST_S, _MAX_S, seed=3), self._sleep, failed)
