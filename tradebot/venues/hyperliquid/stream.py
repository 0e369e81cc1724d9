"""The socket: subscribes, pings, notices silence channel by channel, comes back, and says when it was away.

What arrives is passed on in order. A pong shows that the socket lives, not that its channels do: each channel
that must speak has its own longest silence. Nothing is replayed after a reconnect, so after each ``Up`` the
consumer asks over REST for what it may have missed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson

from tradebot.model.errors import Unreadable
from tradebot.model.time import timeframe_name
from tradebot.venues.hyperliquid.translate import (
    Booked,
    Context,
    Filled,
    Formed,
    Frame,
    Pong,
    Printed,
    Quoted,
    SocketError,
    Subscribed,
    frame,
    subscription_key,
)
from tradebot.venues.resilience import Resilience

Subscription = Mapping[str, object]

_MAX_FRAME = 8 * 1024 * 1024
_TEXTS = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})
_ALREADY = "Already subscribed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRules:
    """The times of a socket, in seconds. ``silence_s`` is the longest silence of each type of subscription."""

    ping_s: float = 20.0
    reply_s: float = 10.0
    ack_s: float = 10.0
    connect_s: float = 10.0
    stable_s: float = 60.0
    silence_s: Mapping[str, float] = field(
        default_factory=lambda: {"l2Book": 20.0, "activeAssetCtx": 20.0, "bbo": 120.0}
    )


@dataclass(frozen=True, slots=True)
class Up:
    """All subscriptions stand. ``away_s`` is how long they had not; ``None`` at the first time."""

    away_s: float | None


@dataclass(frozen=True, slots=True)
class Down:
    """The socket is gone; what happens from here to the next ``Up`` is not told."""

    reason: str


@dataclass(frozen=True, slots=True)
class Garbled:
    """A frame we cannot read: ask over REST what it may have said."""

    error: Unreadable


StreamEvent = Frame | Up | Down | Garbled


class Stream:
    """One socket and its subscriptions. Ask ``next`` for ever; it reconnects by itself."""

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        url: str,
        subscriptions: Sequence[Subscription],
        resilience: Resilience,
        rules: StreamRules | None = None,
    ) -> None:
        self._session = session
        self._url = url
        # A second subscription of the same name would be an error frame that some servers answer with a close.
        self._subscriptions = {subscription_key(each): each for each in subscriptions}
        self._resilience = resilience
        self._rules = rules or StreamRules()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._failures = 0
        self._up_since: float | None = None
        self._down_since: float | None = None
        self._waiting: set[str] = set()
        self._heard: dict[str, float] = {}
        self._last_frame = 0.0
        self._pinged: float | None = None
        self._ack_by = 0.0

    @property
    def is_up(self) -> bool:
        """Whether all subscriptions stand."""
        return self._up_since is not None

    async def close(self) -> None:
        """Close the socket."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def next(self) -> StreamEvent:
        """Return what happens next; waits as long as it takes."""
        while True:
            event = await (self._connect() if self._socket is None else self._receive(self._socket))
            if event is not None:
                return event

    async def _connect(self) -> StreamEvent | None:
        if self._failures:
            await self._resilience.sleep(self._resilience.reconnect.delay_s(self._failures))
        timeout = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0)
        try:
            async with asyncio.timeout(self._rules.connect_s):
                self._socket = await self._session().ws_connect(
                    self._url, timeout=timeout, autoping=True, max_msg_size=_MAX_FRAME, heartbeat=None
                )
            now = self._resilience.now()
            self._waiting = set(self._subscriptions)
            self._heard = dict.fromkeys(self._subscriptions, now)
            self._last_frame, self._pinged, self._ack_by = now, None, now + self._rules.ack_s
            for subscription in self._subscriptions.values():
                await self._send(self._socket, {"method": "subscribe", "subscription": subscription})
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return await self._lost(f"no connection: {error}")
        return None

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> StreamEvent | None:
        now = self._resilience.now()
        due, reason = self._deadline()
        if now >= due:
            if reason:
                return await self._lost(reason)
            return await self._ping(socket)
        try:
            message = await socket.receive(timeout=due - now)
        except TimeoutError:
            return None
        if message.type not in _TEXTS:
            return await self._lost(f"the venue closed the socket ({socket.close_code})")
        self._last_frame = self._resilience.now()
        self._pinged = None
        content = message.data.encode() if isinstance(message.data, str) else bytes(message.data)
        try:
            return await self._heard_of(frame(content))
        except Unreadable as error:
            return Garbled(error)

    def _deadline(self) -> tuple[float, str]:
        """Return the next moment to act, and why the socket is lost then; an empty reason is a ping."""
        rules = self._rules
        if self._waiting:
            unheard = f"not acknowledged: {', '.join(sorted(self._waiting))}"
            moments = [(self._ack_by, unheard)]
        else:
            limits = ((key, rules.silence_s.get(key.partition(":")[0])) for key in self._heard)
            moments = [(self._heard[key] + limit, f"silent: {key}") for key, limit in limits if limit is not None]
        if self._pinged is None:
            moments.append((self._last_frame + rules.ping_s, ""))
        else:
            moments.append((self._pinged + rules.reply_s, "no answer to a ping"))
        return min(moments)

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> StreamEvent | None:
        self._pinged = self._resilience.now()
        try:
            await self._send(socket, {"method": "ping"})
        except (aiohttp.ClientError, OSError) as error:
            return await self._lost(f"cannot send: {error}")
        return None

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, message: Mapping[str, object]) -> None:
        await socket.send_str(orjson.dumps(message).decode())

    async def _heard_of(self, said: Frame) -> StreamEvent | None:
        match said:
            case Pong():
                return None
            case Subscribed(key, is_on=True):
                return self._acknowledged(key)
            case SocketError(text):
                return self._already(text) if text.startswith(_ALREADY) else await self._lost(f"refused: {text}")
            case _:
                key = _key_of(said)
                if key in self._heard:
                    self._heard[key] = self._last_frame
                return said

    def _already(self, text: str) -> StreamEvent | None:
        try:
            echoed = orjson.loads(text.partition(":")[2])
            return self._acknowledged(subscription_key(echoed))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return None

    def _acknowledged(self, key: str) -> StreamEvent | None:
        # The venue may write an address in lower case that we sent in upper case.
        self._waiting = {waiting for waiting in self._waiting if waiting.lower() != key.lower()}
        if self._waiting or self._up_since is not None:
            return None
        now = self._resilience.now()
        self._up_since = now
        self._heard = dict.fromkeys(self._heard, now)
        return Up(None if self._down_since is None else now - self._down_since)

    async def _lost(self, reason: str) -> Down:
        now = self._resilience.now()
        was_stable = self._up_since is not None and now - self._up_since >= self._rules.stable_s
        # A venue that takes us in and throws us out at once must not be asked ever faster.
        self._failures = 1 if was_stable else self._failures + 1
        if self._up_since is not None or self._down_since is None:
            self._down_since = now
        self._up_since = None
        await self.close()
        return Down(reason)


def _key_of(said: Frame) -> str:
    match said:
        case Booked(book):
            return f"l2Book:{book.symbol}"
        case Quoted(symbol):
            return f"bbo:{symbol}"
        case Context(context):
            return f"activeAssetCtx:{context.symbol}"
        case Printed(prints) if prints:
            return f"trades:{prints[0].trade.symbol}"
        case Formed(bar):
            return f"candle:{bar.symbol}:{timeframe_name(bar.timeframe)}"
        case Filled():
            return "userFills"
        case _:
            return ""
