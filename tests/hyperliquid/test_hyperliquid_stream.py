"""A socket that dies in every way comes back, subscribes again and says that it was away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import replace
from tests.virtual import LoopClock
from tradebot.model.venue import ChannelKind, Down, Garbled, Heard, MarketContext, Silent, Up
from tradebot.venues.hyperliquid.hearing import Hearing
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.seen import Seen
from tradebot.venues.hyperliquid.stream import Stream, StreamEvent, StreamRules, Subscription
from tradebot.venues.hyperliquid.translate import Filled, Ignored, SocketError
from tradebot.venues.resilience import Policy, Resilience, Sleep

pytestmark = pytest.mark.virtual_time

Script = Callable[[web.WebSocketResponse], Awaitable[None]]
CONTEXT: dict[str, Any] = {
    "channel": "activeAssetCtx",
    "data": {"coin": "BTC", "ctx": {"funding": "0.0", "oraclePx": "1.0", "markPx": "1.0", "midPx": None}},
}
SUBSCRIPTIONS = ({"type": "activeAssetCtx", "coin": "BTC"}, {"type": "userFills", "user": "0x" + "AB" * 20})
ETH = {"channel": "activeAssetCtx", "data": CONTEXT["data"] | {"coin": "ETH"}}
OF_ETH = {"type": "activeAssetCtx", "coin": "ETH"}
RULES = StreamRules(ping_s=1.0, reply_s=2.0, ack_s=6.0, silence_s={"activeAssetCtx": 8.0})


class Server:
    """A socket on loopback that plays one script a connection, the last one again and again."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.received: list[list[dict[str, Any]]] = []
        self.url = ""
        self.mute = ""

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        received: list[dict[str, Any]] = []
        self.received.append(received)
        read = asyncio.ensure_future(self.read(socket, received, self.mute))
        try:
            await script(socket)
        finally:
            read.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await read
        return socket

    @staticmethod
    async def read(socket: web.WebSocketResponse, received: list[dict[str, Any]], mute: str) -> None:
        async for message in socket:
            frame = orjson.loads(message.data)
            received.append(frame)
            if frame.get("subscription", {}).get("coin") == mute:
                continue
            if frame["method"] == "subscribe":
                # The venue writes addresses in lower case.
                echoed = {
                    key: value.lower() if key == "user" else value for key, value in frame["subscription"].items()
                }
                ack = {"method": "subscribe", "subscription": echoed | {"nSigFigs": None}}
                await socket.send_bytes(orjson.dumps({"channel": "subscriptionResponse", "data": ack}))
            elif frame["method"] == "unsubscribe":
                data = {"method": "unsubscribe", "subscription": frame["subscription"]}
                await socket.send_bytes(orjson.dumps({"channel": "subscriptionResponse", "data": data}))
            elif getattr(socket, "answers_pings", True):
                await socket.send_bytes(orjson.dumps({"channel": "pong"}))


async def send(socket: web.WebSocketResponse, *frames: object) -> None:
    for frame in frames:
        await socket.send_str(frame if isinstance(frame, str) else orjson.dumps(frame).decode())


async def stay(socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):
        while not socket.closed:
            await send(socket, CONTEXT)
            await asyncio.sleep(0.4)


async def silent(socket: web.WebSocketResponse) -> None:
    """Answer pings and nothing else."""
    await asyncio.Event().wait()


async def dead(socket: web.WebSocketResponse) -> None:
    """Half-open: nothing comes, not even a pong."""
    socket.answers_pings = False
    await silent(socket)


async def hang_up(socket: web.WebSocketResponse) -> None:
    await asyncio.sleep(0.6)
    await socket.close()


@contextlib.asynccontextmanager
async def stream(
    server: Server,
    sleep: Sleep = asyncio.sleep,
    subscriptions: Sequence[Subscription] = SUBSCRIPTIONS,
    **policy: float,
) -> AsyncIterator[Stream]:
    app = web.Application()
    app.router.add_get("/ws", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    shared = Resilience(Policy(**({"base_s": 0.005, "cap_s": 0.02} | policy)), LoopClock(), sleep, seed=1)
    async with RestClient(url, shared) as client:

        def session() -> aiohttp.ClientSession:
            return client.session

        made = Stream(session, url.replace("http", "ws") + "/ws", subscriptions, shared, RULES)
        try:
            yield made
        finally:
            await made.close()
            await runner.cleanup()


async def until(made: Stream, wanted: Callable[[StreamEvent], bool]) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    async with asyncio.timeout(600):
        while not events or not wanted(events[-1]):
            events.append(await made.next())
    return events


def is_up(event: StreamEvent) -> bool:
    return isinstance(event, Up)


def is_down(event: StreamEvent) -> bool:
    return isinstance(event, Down)


async def test_it_is_up_when_every_subscription_is_acknowledged() -> None:
    server = Server(stay)
    async with stream(server) as made:
        events = await until(made, is_up)
        assert events[-1] == Up(None)
        assert made.is_up
        assert isinstance((await until(made, lambda event: isinstance(event, MarketContext)))[-1], MarketContext)
    assert [frame["subscription"]["type"] for frame in server.received[0] if frame["method"] == "subscribe"] == [
        "activeAssetCtx",
        "userFills",
    ]


async def test_after_a_close_it_subscribes_again_and_says_how_long_it_was_away() -> None:
    server = Server(hang_up, stay)
    async with stream(server) as made:
        events = await until(made, is_down)
        assert not made.is_up
        again = (await until(made, is_up))[-1]
    assert any(isinstance(event, Up) for event in events)
    assert isinstance(again, Up)
    assert again.away_s is not None
    assert len([frame for frame in server.received[1] if frame["method"] == "subscribe"]) == 2


async def test_a_pong_is_not_data() -> None:
    server = Server(silent, stay)
    async with stream(server) as made:
        down = (await until(made, is_down))[-1]
    assert down == Down("silent: BTC")
    methods = [frame["method"] for frame in server.received[0]]
    assert "ping" in methods
    assert methods.count("unsubscribe") == 1, "the only one is subscribed to anew before the socket is given up"


async def test_one_silent_channel_is_subscribed_to_anew_and_the_socket_stays() -> None:
    async def half(socket: web.WebSocketResponse) -> None:
        await send(socket, CONTEXT, CONTEXT)
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                is_asked = any(frame["method"] == "unsubscribe" for frame in server.received[0])
                await send(socket, ETH, *([CONTEXT] if is_asked else []))
                await asyncio.sleep(0.4)

    server = Server(half)
    async with stream(server, subscriptions=(*SUBSCRIPTIONS, OF_ETH)) as made:
        events = await until(made, lambda event: isinstance(event, Heard))
    silences = [event for event in events if isinstance(event, Silent)]
    assert [(one.channel, one.symbol, one.times) for one in silences] == [("activeAssetCtx:BTC", "BTC", 1)]
    assert not any(isinstance(event, Down) for event in events)
    assert len(server.received) == 1
    switched = [frame["subscription"] for frame in server.received[0] if frame["method"] == "unsubscribe"]
    assert switched == [SUBSCRIPTIONS[0]]


@pytest.mark.parametrize("answer", ["nothing", "a refusal"])
async def test_a_channel_that_the_venue_does_not_give_leaves_the_others(answer: str) -> None:
    async def script(socket: web.WebSocketResponse) -> None:
        if answer == "a refusal":
            text = orjson.dumps(OF_ETH).decode()
            await send(socket, {"channel": "error", "data": f"Invalid subscription {text}"})
        await stay(socket)

    server = Server(script)
    server.mute = "ETH"
    async with stream(server, subscriptions=(*SUBSCRIPTIONS, OF_ETH)) as made:
        events = await until(made, lambda event: isinstance(event, Silent))
    assert is_up(events[-2])
    assert events[-1] == Silent(ChannelKind.MARKS, "ETH", "activeAssetCtx:ETH", 1)


async def test_what_is_wanted_changes_without_a_reconnect() -> None:
    server = Server(stay)
    async with stream(server) as made:
        await made.want(SUBSCRIPTIONS)
        await until(made, is_up)
        await made.want((SUBSCRIPTIONS[1], OF_ETH))
        await until(made, lambda event: isinstance(event, MarketContext))
        async with asyncio.timeout(600):
            while len(server.received[0]) < 4:
                await made.next()
        assert made.is_up
    changed = [(frame["method"], frame["subscription"]) for frame in server.received[0] if frame["method"] != "ping"]
    assert changed[2:] == [("unsubscribe", SUBSCRIPTIONS[0]), ("subscribe", OF_ETH)]


async def test_a_half_open_socket_is_given_up_after_an_unanswered_ping() -> None:
    async with stream(Server(dead, stay)) as made:
        assert (await until(made, is_down))[-1] == Down("no answer to a ping")
        assert isinstance((await until(made, is_up))[-1], Up)


async def test_a_refused_subscription_ends_the_socket_and_a_repeated_one_does_not() -> None:
    echoed = orjson.dumps(SUBSCRIPTIONS[0]).decode()

    async def refuse(socket: web.WebSocketResponse) -> None:
        await send(socket, {"channel": "error", "data": f"Already subscribed: {echoed}"})
        await send(socket, {"channel": "error", "data": "Invalid subscription {}"})
        await silent(socket)

    async with stream(Server(refuse)) as made:
        events = await until(made, is_down)
    assert events[-1] == Down("refused: Invalid subscription {}")
    assert not any(isinstance(event, SocketError) for event in events)


async def test_a_frame_nobody_can_read_is_reported_and_the_next_is_read() -> None:
    async def mumble(socket: web.WebSocketResponse) -> None:
        await send(socket, "not json", {"channel": "userFills", "data": {"fills": [{}]}}, {"channel": "x", "data": 1})
        await stay(socket)

    async with stream(Server(mumble)) as made:
        events = await until(made, lambda event: isinstance(event, MarketContext))
    assert [type(event) for event in events if not isinstance(event, Up)] == [Garbled, Garbled, Ignored, MarketContext]


async def test_nobody_listens_is_a_down_and_it_goes_on_trying() -> None:
    policy = Resilience(Policy(base_s=0.001, cap_s=0.002), LoopClock(), asyncio.sleep, seed=1)
    async with aiohttp.ClientSession() as session:
        made = Stream(lambda: session, "ws://127.0.0.1:9/ws", SUBSCRIPTIONS, policy, RULES)
        for _ in range(3):
            assert isinstance(await made.next(), Down)


async def test_a_server_that_takes_the_call_and_says_nothing_is_given_up() -> None:
    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await asyncio.Event().wait()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        policy = Resilience(Policy(base_s=0.001, cap_s=0.002), LoopClock(), asyncio.sleep, seed=1)
        rules = replace(RULES, connect_s=1.0)
        made = Stream(lambda: session, f"ws://127.0.0.1:{port}/ws", SUBSCRIPTIONS, policy, rules)
        async with asyncio.timeout(600):
            assert isinstance(await made.next(), Down)


async def test_a_venue_that_hangs_up_at_once_is_asked_ever_more_slowly() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with stream(Server(hang_up), sleep, cap_s=60.0) as made:
        for _ in range(5):
            await until(made, is_down)
    assert all(later > earlier / 2 for earlier, later in pairwise(slept))
    assert slept[-1] > 2 * slept[0]


async def test_replayed_fills_are_told_apart_by_trade_id() -> None:
    row = {
        "coin": "BTC",
        "px": "1.0",
        "sz": "1.0",
        "side": "B",
        "time": 1_700_000_000_000,
        "startPosition": "0.0",
        "dir": "Open Long",
        "closedPnl": "0.0",
        "hash": "0x",
        "oid": 1,
        "crossed": True,
        "fee": "0.0",
        "feeToken": "USDC",
    }
    snapshot = {"isSnapshot": True, "user": "0x", "fills": [row | {"tid": 1}, row | {"tid": 2}]}

    async def replay(socket: web.WebSocketResponse) -> None:
        await send(socket, {"channel": "userFills", "data": snapshot})
        await hang_up(socket)

    seen, booked = Seen(), []
    async with stream(Server(replay, replay, stay)) as made:
        for _ in range(3):
            for event in await until(made, is_up):
                if isinstance(event, Filled):
                    booked += [fill.trade_id for fill in event.fills if seen.is_new(fill.trade_id)]
    assert booked == [1, 2]


@given(st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_what_was_seen_is_forgotten_only_when_it_is_old(ids: list[int], kept: int) -> None:
    seen = Seen(kept)
    fresh = [trade_id for trade_id in ids if seen.is_new(trade_id)]
    assert set(fresh) == set(ids)
    if len(set(ids)) <= kept:
        assert len(fresh) == len(set(ids))


@pytest.mark.parametrize(("kind", "limit"), [("activeAssetCtx", 20), ("bbo", 120), ("candle", 120)])
def test_a_channel_may_be_silent_for_so_long(kind: str, limit: float) -> None:
    hearing = Hearing(StreamRules().silence_s)
    hearing.begin({f"{kind}:BTC": "BTC"}, 7.0)
    assert hearing.due() == (7.0 + limit, f"{kind}:BTC")
