"""The webhook that alerts are posted to: each after its row is durable, tried again while it may yet be taken.

A webhook that is slow, broken or gone costs memory for some alerts and nothing else: no one waits for it, what is
tried is bounded, and what is given up is counted and logged.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradebot.backoff import Backoff
from tradebot.log import log
from tradebot.model.command import AlertName
from tradebot.model.errors import StorageFailed
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock
from tradebot.runtime.logs import register_secret

if TYPE_CHECKING:
    import aiohttp

_WORKERS = 3
_MOST_QUEUED = 100
_PATH_BEGINS = 3
_SHORTEST_SECRET = 8
# What a webhook may mean by "not now"; any other answer but a 2xx would be the same the next time.
_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How hard an alert is tried. ``end_s`` is all that is left to those that wait when the daemon ends."""

    attempts: int = 8
    base_s: float = 0.5
    cap_s: float = 60.0
    timeout_s: float = 5.0
    end_s: float = 3.0


@dataclass(slots=True)
class Queued:
    """An alert on its way: its body, the row it waits for (0: none), and when it is tried next."""

    name: AlertName
    symbol: str
    body: bytes
    seq: int
    due: float
    key: tuple[AlertName, str, str]
    attempts: int = 0


class _Passing(Exception):
    """The webhook did not take it now, and may the next time."""


class Webhook:
    """Posts alerts to ``url``; ``None``: there is none. ``on_lost`` hears what reached nobody.

    ``committed`` returns once the row that an alert waits for is durable.
    """

    def __init__(
        self,
        url: str | None,
        committed: Callable[[int], Awaitable[None]],
        clock: Clock,
        delivery: Delivery,
        sleep: Callable[[float], Awaitable[None]],
        on_lost: Callable[[Queued], None],
    ) -> None:
        self._committed, self._clock, self._sleep = committed, clock, sleep
        self._delivery, self._on_lost = delivery, on_lost
        self._backoff = Backoff(delivery.base_s, delivery.cap_s, seed=1)
        self._queue: list[Queued] = []
        self._wake = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self.sent = 0
        self.lost = 0
        self.change(url)

    def change(self, url: str | None) -> None:
        """Post to ``url`` from now on."""
        self._url = url
        _hide(url)

    @property
    def is_there(self) -> bool:
        """Whether there is an address to post to."""
        return self._url is not None

    @property
    def waiting(self) -> int:
        """How many alerts have not left."""
        return len(self._queue)

    def post(self, queued: Queued) -> None:
        """Take an alert; a full queue gives up an older one, of the same kind if there is one. Returns at once."""
        if len(self._queue) >= _MOST_QUEUED:
            dropped = next((one for one in self._queue if one.key == queued.key), self._queue[0])
            self._queue.remove(dropped)
            self._lose(dropped, "too many alerts wait")
        self._queue.append(queued)
        self._wake.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Post until cancelled."""
        if self._url is not None:
            # Now, while nothing waits: it takes a while.
            importlib.import_module("aiohttp")
        ready()
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._serve())

    async def finish(self) -> None:
        """Give what still waits a last chance, within ``end_s``, and close. Call when ``run`` has ended."""
        if self._queue and self._url is not None:
            try:
                async with asyncio.timeout(self._delivery.end_s), asyncio.TaskGroup() as group:
                    for _ in range(_WORKERS):
                        group.create_task(self._send_left())
            except TimeoutError:
                pass
        for left in self._queue:
            self._lose(left, "the daemon ended first")
        self._queue.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _lose(self, queued: Queued, why: str) -> None:
        self.lost += 1
        self._on_lost(queued)
        log(LogEvent.ALERT_LOST, level="error", alert=queued.name.value, symbol=queued.symbol, why=why)

    async def _serve(self) -> None:
        while True:
            queued = self._take()
            if queued is None:
                await self._pause()
            else:
                await self._try(queued)

    async def _send_left(self) -> None:
        while self._queue:
            queued = self._queue.pop(0)
            await self._try(queued)
            if queued in self._queue:
                await self._sleep(min(self._delivery.base_s, max(0.0, queued.due - self._clock.monotonic())))

    def _take(self) -> Queued | None:
        now = self._clock.monotonic()
        queued = next((queued for queued in self._queue if queued.due <= now), None)
        if queued is not None:
            self._queue.remove(queued)
        return queued

    async def _pause(self) -> None:
        """Wait for an alert, or until the next one that failed is due."""
        self._wake.clear()
        if not self._queue:
            await self._wake.wait()
            return
        due_in_s = min(queued.due for queued in self._queue) - self._clock.monotonic()
        waits = [asyncio.ensure_future(wait) for wait in (self._wake.wait(), self._sleep(max(0.0, due_in_s)))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _try(self, queued: Queued) -> None:
        """Post an alert once; put it back when it may be taken later."""
        queued.attempts += 1
        try:
            await self._post(queued)
        except asyncio.CancelledError:
            # Nobody knows whether it arrived: rather twice than never.
            self._queue.insert(0, queued)
            raise
        except _Passing as error:
            if queued.attempts >= self._delivery.attempts:
                self._lose(queued, f"{error}, {queued.attempts} times")
                return
            queued.due = self._clock.monotonic() + self._backoff.delay_s(queued.attempts)
            self._queue.append(queued)
        except StorageFailed:
            self._lose(queued, "its row was lost with the journal")

    async def _post(self, queued: Queued) -> None:
        import aiohttp

        await self._committed(queued.seq)
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._delivery.timeout_s)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Content-Type": "application/json"}
        try:
            posting = self._session.post(self._url or "", data=queued.body, headers=headers, allow_redirects=False)
            async with posting as response:
                status = response.status
        except TimeoutError as error:
            raise _Passing("no answer in time") from error
        except aiohttp.InvalidURL:
            self._lose(queued, "the url of the webhook is none")
            return
        except (aiohttp.ClientError, OSError) as error:
            # The text of the error may hold the address, and with it the key to post there.
            raise _Passing(type(error).__name__) from error
        self._answered(queued, status)

    def _answered(self, queued: Queued, status: int) -> None:
        if 200 <= status < 300:
            self.sent += 1
            log(LogEvent.ALERT_SENT, alert=queued.name.value, symbol=queued.symbol, attempts=queued.attempts)
        elif status >= 500 or status in _PASSING:
            raise _Passing(f"HTTP {status}")
        else:
            self._lose(queued, f"HTTP {status}")


def _hide(url: str | None) -> None:
    """Keep the path of a webhook out of the log: whoever knows it can post there."""
    path = "" if url is None else "/".join(url.split("/")[_PATH_BEGINS:])
    if len(path) >= _SHORTEST_SECRET:
        register_secret(path)
