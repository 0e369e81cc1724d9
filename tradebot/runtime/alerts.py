"""Paging a human: what must be seen goes to the log at once, and to a webhook when one is configured.

A webhook that is slow, broken or gone costs memory for some alerts and nothing else: no one waits for it, what is
tried is bounded, and what is given up is counted and logged. An alert that the line raised leaves only after its
own row is durable; one whose row was lost never leaves, for after the next boot it never was.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import orjson

from tradebot.model.command import Alert, AlertName, StateChanged, TradingState
from tradebot.model.errors import StorageFailed
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Message
from tradebot.model.time import to_ms
from tradebot.ports import Clock
from tradebot.runtime.logs import log, redact, register_secret
from tradebot.venues.backoff import Backoff

if TYPE_CHECKING:
    import aiohttp

_WORKERS = 3
_MOST_QUEUED = 100
_MOST_REMEMBERED = 1_000
_LONGEST_TEXT = 1_000
_PATH_BEGINS = 3
_SHORTEST_SECRET = 8
# What a webhook may mean by "not now"; any other answer but a 2xx would be the same the next time.
_PASSING = frozenset({408, 425, 429})
_HALTED_MEND = "read the reason, mend it, then: tradebot resume"


class Page(Protocol):
    """How a task of the runtime pages a human."""

    def __call__(self, name: AlertName, what: str, mend: str = "", symbol: str = "") -> None:
        """Raise an alert. Returns at once."""
        ...


class Commits(Protocol):
    """The part of the journal that an alert waits for."""

    @property
    def last_seq(self) -> int:
        """The newest row."""
        ...

    async def committed(self, seq: int) -> None:
        """Return when row ``seq`` is durable. Raises ``StorageFailed``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who pages: the name of the bot, its mode and its venue."""

    bot: str
    mode: str
    venue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How hard an alert is tried. ``end_s`` is all that is left to those that wait when the daemon ends."""

    attempts: int = 8
    base_s: float = 0.5
    cap_s: float = 60.0
    timeout_s: float = 5.0
    end_s: float = 3.0


@dataclass(slots=True)
class _Queued:
    """An alert on its way: its body, the row it waits for (0: none), and when it is tried next."""

    name: AlertName
    symbol: str
    body: bytes
    seq: int
    due: float
    key: tuple[AlertName, str]
    attempts: int = 0


class _Passing(Exception):
    """The webhook did not take it now, and may the next time."""


class Pager:
    """Raises alerts. ``hear`` listens to the recorded outputs of the line; ``page`` is for what only the runtime sees.

    ``url`` ``None``: alerts are only logged. The same name and symbol do not leave again within ``repeat_s``.
    """

    def __init__(
        self,
        url: str | None,
        repeat_s: float,
        sender: Sender,
        journal: Commits,
        clock: Clock,
        delivery: Delivery | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url, self._repeat_s, self._sender = url, repeat_s, sender
        self._journal, self._clock, self._sleep = journal, clock, sleep
        self._delivery = delivery or Delivery()
        self._backoff = Backoff(self._delivery.base_s, self._delivery.cap_s, seed=1)
        self._queue: list[_Queued] = []
        self._raised: dict[tuple[AlertName, str], float] = {}
        self._wake = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self.sent = 0
        self.lost = 0
        _hide(url)

    def change(self, url: str | None, repeat_s: float) -> None:
        """Post to ``url`` from now on: the configuration was reloaded."""
        self._url, self._repeat_s = url, repeat_s
        _hide(url)

    @property
    def waiting(self) -> int:
        """How many alerts have not left."""
        return len(self._queue)

    def hear(self, message: Message) -> None:
        """Take a recorded output of the line."""
        if isinstance(message, Alert):
            self._raise(message.name, message.what, message.mend, message.symbol, self._journal.last_seq)
        elif isinstance(message, StateChanged):
            if message.state is TradingState.HALTED:
                what = f"trading is halted: {message.reason}"
                self._raise(AlertName.HALTED, what, _HALTED_MEND, "", self._journal.last_seq)
            else:
                # The next halt is another one, however soon it comes.
                self._raised = {key: at for key, at in self._raised.items() if key[0] is not AlertName.HALTED}

    def page(self, name: AlertName, what: str, mend: str = "", symbol: str = "") -> None:
        """Raise an alert that has no row. Returns at once."""
        self._raise(name, what, mend, symbol, 0)

    async def run(self, ready: Callable[[], None]) -> None:
        """Send alerts until cancelled."""
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

    # Raising ------------------------------------------------------------------------------------------

    def _raise(self, name: AlertName, what: str, mend: str, symbol: str, seq: int) -> None:
        now = self._clock.monotonic()
        # Trading that is halted may yet end for another reason, and that must be seen too.
        key = (name, what if name is AlertName.HALTED else symbol)
        raised_at = self._raised.get(key)
        if raised_at is not None and now - raised_at < self._repeat_s:
            return
        what, mend = _told(what), _told(mend)
        log(LogEvent.ALERT_RAISED, level="error", alert=name.value, symbol=symbol, what=what, mend=mend)
        if self._url is not None:
            self._make_room(key)
        self._raised.pop(key, None)
        self._raised[key] = now
        if len(self._raised) > _MOST_REMEMBERED:
            del self._raised[next(iter(self._raised))]
        if self._url is None:
            return
        self._queue.append(_Queued(name, symbol, self._body(name, what, mend, symbol), seq, now, key))
        self._wake.set()

    def _make_room(self, key: tuple[AlertName, str]) -> None:
        if len(self._queue) < _MOST_QUEUED:
            return
        dropped = next((queued for queued in self._queue if queued.key == key), self._queue[0])
        self._queue.remove(dropped)
        self._lose(dropped, "too many alerts wait")

    def _body(self, name: AlertName, what: str, mend: str, symbol: str) -> bytes:
        sender = self._sender
        return orjson.dumps(
            {
                "bot": sender.bot,
                "alert": name.value,
                "what": what,
                "mend": mend,
                "symbol": symbol,
                "ts": to_ms(self._clock.now()),
                "mode": sender.mode,
                "venue": sender.venue,
            }
        )

    def _lose(self, queued: _Queued, why: str) -> None:
        self.lost += 1
        # It reached nobody: when it is raised again, it is to be tried again.
        self._raised.pop(queued.key, None)
        log(LogEvent.ALERT_LOST, level="error", alert=queued.name.value, symbol=queued.symbol, why=why)

    # Sending ------------------------------------------------------------------------------------------

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

    def _take(self) -> _Queued | None:
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

    async def _try(self, queued: _Queued) -> None:
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

    async def _post(self, queued: _Queued) -> None:
        import aiohttp

        await self._journal.committed(queued.seq)
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

    def _answered(self, queued: _Queued, status: int) -> None:
        if 200 <= status < 300:
            self.sent += 1
            log(LogEvent.ALERT_SENT, alert=queued.name.value, symbol=queued.symbol, attempts=queued.attempts)
        elif status >= 500 or status in _PASSING:
            raise _Passing(f"HTTP {status}")
        else:
            self._lose(queued, f"HTTP {status}")


def _told(text: str) -> str:
    return redact(text)[:_LONGEST_TEXT]


def _hide(url: str | None) -> None:
    """Keep the path of a webhook out of the log: whoever knows it can post there."""
    path = "" if url is None else "/".join(url.split("/")[_PATH_BEGINS:])
    if len(path) >= _SHORTEST_SECRET:
        register_secret(path)
