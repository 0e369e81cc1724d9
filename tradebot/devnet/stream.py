"""The socket: connections, their subscriptions, and what each is sent.

Every connection has a queue and a task that empties it, so that a slow reader delays nobody; one that falls far
behind is cut off. A connection to which nothing was sent for 60 seconds is closed, as the real exchange does. An IP
has so many connections, opens so many in a minute, and sends so many messages; one too many is refused or cut off.
"""

import asyncio
from collections.abc import Callable, Iterable

import orjson
from aiohttp import WSMsgType, web

from tradebot.devnet.account import Unserved, UserAccount
from tradebot.devnet.channels import Channels, UnknownCoin, frame
from tradebot.devnet.faults import Faults
from tradebot.devnet.limits import IpLimits
from tradebot.devnet.wire import Json, Malformed, read_int, read_object
from tradebot.ports import Clock

IDLE_S = 60.0
MAX_QUEUED = 20_000
MAX_SUBSCRIPTIONS = 1_000
MAX_USERS = 10
MAX_CONNECTIONS = 10
Poster = Callable[[Json], Json]


class StreamSocket:
    """One socket."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.subscriptions: dict[str, Json] = {}
        self.last_sent_s = 0.0
        self.ip = request.remote
        self._socket = socket
        self._request = request
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED)

    def send(self, message: Json) -> None:
        """Queue a frame; a reader that is too far behind loses the connection."""
        try:
            self._queue.put_nowait(orjson.dumps(message).decode())
        except asyncio.QueueFull:
            self.abort()

    def abort(self) -> None:
        """Break the connection without a close frame."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self) -> None:
        """Close the connection as the exchange does."""
        await self._socket.close()

    async def write(self, is_silent: Callable[[], bool], monotonic: Callable[[], float]) -> None:
        """Send what is queued until cancelled; while silenced, frames are lost."""
        while True:
            text = await self._queue.get()
            if is_silent():
                continue
            try:
                await self._socket.send_str(text)
            except ConnectionError:
                return
            self.last_sent_s = monotonic()


class Hub:
    """All connections of one exchange. ``post`` answers requests that come over the socket."""

    def __init__(self, channels: Channels, faults: Faults, clock: Clock, post: Poster, limits: IpLimits) -> None:
        self.connections: set[StreamSocket] = set()
        self.idle_s = IDLE_S
        self._channels = channels
        self._faults = faults
        self._clock = clock
        self._post = post
        self._limits = limits

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket until it ends."""
        if not self._may_open(request.remote):
            return web.Response(status=429)
        socket = web.WebSocketResponse(autoping=True, max_msg_size=1 << 20)
        await socket.prepare(request)
        connection = StreamSocket(socket, request)
        connection.last_sent_s = self._clock.monotonic()
        self.connections.add(connection)
        writer = asyncio.create_task(connection.write(self._is_silent, self._clock.monotonic))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._read(connection, message.data)
        finally:
            self.connections.discard(connection)
            writer.cancel()
        return socket

    def publish_account(self, account: UserAccount) -> None:
        """Tell what has happened to ``account``, and empty its outbox."""
        outbox, account.outbox = account.outbox, Unserved()
        now_s = self._clock.monotonic()
        for connection in self.connections:
            frames: list[Json] = []
            for subscription in connection.subscriptions.values():
                if subscription.get("user") == account.user:
                    frames.extend(self._channels.account_frames(subscription, account, outbox))
            if frames and self._faults.strikes("reorder", now_s):
                frames.reverse()
            if frames and self._faults.strikes("duplicate", now_s):
                frames = [one for frame_ in frames for one in (frame_, frame_)]
            self._send(connection, frames)

    def publish_market(self) -> None:
        """Tell that the market has moved, and forget the fresh prints."""
        for connection in self.connections:
            told = (one for one in connection.subscriptions.values() if not self._is_mute(one))
            frames = (self._channels.tick(subscription) for subscription in told)
            self._send(connection, (one for one in frames if one is not None))
        for market in self._channels.exchange.markets.values():
            market.fresh.clear()

    def abort_all(self) -> None:
        """Break every connection without a close frame."""
        for connection in tuple(self.connections):
            connection.abort()

    async def close_idle(self) -> None:
        """Close the connections to which nothing was sent for too long."""
        now_s = self._clock.monotonic()
        for connection in tuple(self.connections):
            if now_s - connection.last_sent_s > self.idle_s:
                await connection.close()

    def _is_silent(self) -> bool:
        return self._faults.active("half_open", self._clock.monotonic()) is not None

    def _is_mute(self, subscription: Json) -> bool:
        coin = self._channels.exchange.coins.get(str(subscription.get("coin")))
        if coin is not None and coin.is_delisted:
            return True
        rule = self._faults.active("silent_coin", self._clock.monotonic())
        return rule is not None and subscription.get("coin") == rule.coin

    def _send(self, connection: StreamSocket, frames: Iterable[Json]) -> None:
        for one in frames:
            connection.send(one)

    def _may_open(self, ip: str | None) -> bool:
        open_ = sum(connection.ip == ip for connection in self.connections)
        is_full = open_ >= MAX_CONNECTIONS and not self._limits.is_open
        return not is_full and self._limits.sockets(ip).admit(1, self._clock.monotonic())

    def _read(self, connection: StreamSocket, text: str) -> None:
        if not self._limits.messages(connection.ip).admit(1, self._clock.monotonic()):
            connection.abort()
            return
        try:
            message = read_object(orjson.loads(text))
            method = message.get("method")
            if method == "ping":
                connection.send({"channel": "pong"})
            elif method == "post":
                self._answer(connection, message)
            elif method in ("subscribe", "unsubscribe"):
                self._subscribe(connection, read_object(message.get("subscription")), str(method))
            else:
                raise Malformed("unknown method")
        except (orjson.JSONDecodeError, Malformed):
            connection.send(frame("error", f"Error parsing JSON into valid websocket request: {text}"))
        except UnknownCoin:
            connection.abort()

    def _answer(self, connection: StreamSocket, message: Json) -> None:
        request_id, request = read_int(message.get("id")), read_object(message.get("request"))
        connection.send(frame("post", {"id": request_id, "response": self._post(request)}))

    def _subscribe(self, connection: StreamSocket, raw: Json, method: str) -> None:
        try:
            subscription = self._channels.read(raw)
        except Malformed:
            connection.send(frame("error", f"Invalid subscription {orjson.dumps(raw).decode()}"))
            return
        key = orjson.dumps(subscription, option=orjson.OPT_SORT_KEYS).decode()
        if method == "unsubscribe":
            if connection.subscriptions.pop(key, None) is None:
                connection.send(frame("error", f"Already unsubscribed: {orjson.dumps(raw).decode()}"))
                return
        elif key in connection.subscriptions:
            connection.send(frame("error", f"Already subscribed: {orjson.dumps(raw).decode()}"))
            return
        elif self._is_too_many(connection, subscription):
            return
        else:
            connection.subscriptions[key] = subscription
        connection.send(frame("subscriptionResponse", {"method": method, "subscription": subscription}))
        is_told = method == "subscribe" and not self._is_mute(subscription)
        snapshot = self._channels.begin(subscription) if is_told else None
        if snapshot is not None:
            connection.send(snapshot)

    def _is_too_many(self, connection: StreamSocket, subscription: Json) -> bool:
        users = {str(one["user"]) for one in connection.subscriptions.values() if "user" in one}
        if len(users | ({str(subscription["user"])} if "user" in subscription else set())) > MAX_USERS:
            connection.send(frame("error", f"Cannot track more than {MAX_USERS} total users."))
            return True
        if len(connection.subscriptions) >= MAX_SUBSCRIPTIONS:
            connection.send(frame("error", f"Cannot track more than {MAX_SUBSCRIPTIONS} total subscriptions."))
            return True
        return False
