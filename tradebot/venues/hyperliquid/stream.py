"""The socket: subscribes, pings, notices silence channel by channel, comes back, and says when it was away.

What arrives is passed on in order. A pong shows that the socket lives, not that its channels do: each channel
that must speak has its own longest silence. One that is silent while the others speak is subscribed to anew, and
the consumer asks over REST for its symbol; the socket goes when several are silent. Nothing is replayed after a
reconnect, so after each ``Up`` the consumer asks over REST for what it may have missed.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson

from tradebot.model.errors import Unreadable
from tradebot.model.time import timeframe_name
from tradebot.model.venue import (
    ChannelKind,
    Down,
    Formed,
    Garbled,
    Heard,
    MarketContext,
    OrderBook,
    Printed,
    Quoted,
    Silent,
    Up,
)
from tradebot.venues.hyperliquid.hearing import Hearing
from tradebot.venues.hyperliquid.translate import (
    Filled,
    Frame,
    Pong,
    SocketError,
    Subscribed,
    frame,
    subscription_key,
)
from tradebot.venues.resilience import Resilience

Subscription = Mapping[str, object]
_KINDS = {
    "candle": ChannelKind.BARS,
    "activeAssetCtx": ChannelKind.MARKS,
    "bbo": ChannelKind.QUOTES,
    "trades": ChannelKind.TRADES,
    "l2Book": ChannelKind.BOOKS,
}

_MAX_FRAME = 8 * 1024 * 1024
_TEXTS = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})
_ALREADY, _ALREADY_OFF, _INVALID = "Already subscribed", "Already unsubscribed", "Invalid subscription"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRules:
    """The times of a socket, in seconds. ``silence_s`` is the longest silence of each type of subscription."""

    ping_s: float = 20.0
    reply_s: float = 10.0
    ack_s: float = 10.0
    connect_s: float = 10.0
    stable_s: float = 60.0
    silence_s: Mapping[str, float] = field(
        default_factory=lambda: {"l2Book": 20.0, "activeAssetCtx": 20.0, "bbo": 120.0, "candle": 120.0}
    )


StreamEvent = Frame | Up | Down | Silent | Heard | Garbled
_Act = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[StreamEvent | None]]


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
        self._hearing = Hearing(self._rules.silence_s)
        self._events: deque[StreamEvent] = deque()
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
            # What is known of single channels is told when the others stand.
            if self._events and self._up_since is not None:
                return self._events.popleft()
            event = await (self._connect() if self._socket is None else self._receive(self._socket))
            if event is not None:
                return event

    async def want(self, subscriptions: Sequence[Subscription]) -> None:
        """Be subscribed to exactly ``subscriptions`` from here on, without a reconnect."""
        wanted = {subscription_key(each): each for each in subscriptions}
        before, self._subscriptions = self._subscriptions, wanted
        gone = [each for key, each in before.items() if key not in wanted]
        added = [each for key, each in wanted.items() if key not in before]
        for each in gone:
            self._hearing.drop(subscription_key(each))
            self._waiting.discard(subscription_key(each))
        for each in added:
            self._hearing.add(subscription_key(each), _coin(each), self._resilience.now())
        if self._socket is not None:
            await self._switch(self._socket, gone, added)

    async def _connect(self) -> StreamEvent | None:
        if self._failures:
            await self._resilience.sleep(self._resilience.reconnect.delay_s(self._failures))
        await self._resilience.admit_socket()
        timeout = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0)
        try:
            async with asyncio.timeout(self._rules.connect_s):
                self._socket = await self._session().ws_connect(
                    self._url, timeout=timeout, autoping=True, max_msg_size=_MAX_FRAME, heartbeat=None
                )
            now = self._resilience.now()
            self._waiting = set(self._subscriptions)
            self._hearing.begin({key: _coin(each) for key, each in self._subscriptions.items()}, now)
            self._last_frame, self._pinged, self._ack_by = now, None, now + self._rules.ack_s
            for subscription in self._subscriptions.values():
                await self._send(self._socket, {"method": "subscribe", "subscription": subscription})
            self._stands()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return await self._lost(f"no connection: {error}")
        return None

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> StreamEvent | None:
        now = self._resilience.now()
        due, act = self._deadline()
        if now >= due:
            return await act(socket)
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

    def _deadline(self) -> tuple[float, _Act]:
        """Return the next moment to act, and how."""
        rules = self._rules
        moments: list[tuple[float, _Act]] = [(self._last_frame + rules.ping_s, self._ping)]
        if self._pinged is not None:
            moments = [(self._pinged + rules.reply_s, self._unanswered)]
        if self._waiting:
            moments.append((self._ack_by, self._unacknowledged))
        elif (silent := self._hearing.due()) is not None:
            moments.append((silent[0], self._silent))
        return min(moments, key=lambda moment: moment[0])

    async def _unanswered(self, _socket: aiohttp.ClientWebSocketResponse) -> StreamEvent | None:
        return await self._lost("no answer to a ping")

    async def _unacknowledged(self, _socket: aiohttp.ClientWebSocketResponse) -> StreamEvent | None:
        waiting = sorted(self._waiting)
        coins = {_coin(self._subscriptions[key]) for key in waiting}
        if len(coins) > 1 or "" in coins or len(waiting) == len(self._subscriptions):
            return await self._lost(f"not acknowledged: {', '.join(waiting)}")
        for key in waiting:
            self._refused(key)
        return self._stands()

    def _refused(self, key: str) -> None:
        self._waiting.discard(key)
        if self._hearing.refuse(key):
            self._events.append(self._silence_of(key, 1))

    def _silence_of(self, key: str, times: int) -> Silent:
        subscription = self._subscriptions[key]
        return Silent(_KINDS[str(subscription["type"])], _coin(subscription), key, times)

    async def _silent(self, socket: aiohttp.ClientWebSocketResponse) -> StreamEvent | None:
        now, due = self._resilience.now(), self._hearing.due()
        if due is None or now < due[0]:
            return None
        key = due[1]
        lost = self._hearing.lost(key, now)
        if lost:
            return await self._lost(f"silent: {lost}")
        times, subscription = self._hearing.again(key, now), self._subscriptions[key]
        await self._switch(socket, [subscription], [subscription])
        return self._silence_of(key, times)

    async def _switch(
        self, socket: aiohttp.ClientWebSocketResponse, off: Sequence[Subscription], on: Sequence[Subscription]
    ) -> None:
        messages = [{"method": "unsubscribe", "subscription": each} for each in off]
        messages += [{"method": "subscribe", "subscription": each} for each in on]
        # Whoever reads the socket learns that it is gone.
        with contextlib.suppress(aiohttp.ClientError, OSError):
            for message in messages:
                await self._send(socket, message)

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
            case Subscribed(is_on=False):
                return None
            case SocketError(text):
                return await self._complained(text)
            case _:
                key = _key_of(said)
                if self._hearing.hear(key, self._last_frame):
                    self._events.append(Heard(_KINDS[key.partition(":")[0]], _coin(self._subscriptions[key]), key))
                return said

    async def _complained(self, text: str) -> StreamEvent | None:
        echoed = _echoed(text)
        if text.startswith((_ALREADY, _ALREADY_OFF)):
            return self._acknowledged(echoed) if text.startswith(_ALREADY) else None
        if text.startswith(_INVALID) and echoed in self._subscriptions and _coin(self._subscriptions[echoed]):
            # It is of one coin: the others are none the worse.
            self._refused(echoed)
            return self._stands()
        return await self._lost(f"refused: {text}")

    def _acknowledged(self, key: str) -> StreamEvent | None:
        # The venue may write an address in lower case that we sent in upper case.
        self._waiting = {waiting for waiting in self._waiting if waiting.lower() != key.lower()}
        return self._stands()

    def _stands(self) -> StreamEvent | None:
        if self._waiting or self._up_since is not None:
            return None
        now = self._resilience.now()
        self._up_since = now
        self._hearing.up(now)
        up = Up(None if self._down_since is None else now - self._down_since)
        self._events.appendleft(up)
        return None

    async def _lost(self, reason: str) -> Down:
        now = self._resilience.now()
        was_stable = self._up_since is not None and now - self._up_since >= self._rules.stable_s
        # A venue that takes us in and throws us out at once must not be asked ever faster.
        self._failures = 1 if was_stable else self._failures + 1
        if self._up_since is not None or self._down_since is None:
            self._down_since = now
        self._up_since = None
        self._events.clear()
        await self.close()
        return Down(reason)


def _coin(subscription: Subscription) -> str:
    return str(subscription.get("coin", ""))


def _echoed(text: str) -> str:
    """Return the key of the subscription that a complaint of the venue quotes; empty when it cannot be told."""
    start = text.find("{")
    try:
        return subscription_key(orjson.loads(text[start:])) if start >= 0 else ""
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return ""


def _key_of(said: Frame) -> str:
    match said:
        case OrderBook(symbol):
            return f"l2Book:{symbol}"
        case Quoted(symbol):
            return f"bbo:{symbol}"
        case MarketContext(symbol):
            return f"activeAssetCtx:{symbol}"
        case Printed(prints) if prints:
            return f"trades:{prints[0].trade.symbol}"
        case Formed(bar):
            return f"candle:{bar.symbol}:{timeframe_name(bar.timeframe)}"
        case Filled():
            return "userFills"
        case _:
            return ""
