"""Status codes, nonces, limits and the manners of the socket, by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tradebot.devnet.account import UserAccount
from tradebot.devnet.coins import coins_of
from tradebot.devnet.limits import (
    MESSAGES_PER_MINUTE,
    SOCKETS_PER_MINUTE,
    WEIGHT_PER_MINUTE,
    AddressRequests,
    IpLimits,
    MinuteWeight,
    SignerNonces,
)
from tradebot.devnet.wire import RefusedWhole
from tradebot.runtime.clock import SystemClock

NOW = 1_700_000_000_000
SIGNATURE = {"r": "0x1", "s": "0x1", "v": 27}


@pytest.fixture
async def web(devnet: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(devnet.url) as session:
        yield session


async def post(web: aiohttp.ClientSession, path: str, body: Any) -> tuple[int, Any]:
    async with web.post(path, json=body) as response:
        return response.status, await (
            response.json() if response.content_type == "application/json" else response.text()
        )


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{", "application/json", 400),
        ('{"type":"meta"} trailing', "application/json", 200),
        ('{"type":"meta"}', "text/plain", 415),
        ('{"type":"meta"}', "application/vnd.x+json", 200),
        ('{"type":"nothing"}', "application/json", 422),
        ('{"type":"l2Book"}', "application/json", 422),
        ('{"type":"meta","type":"meta"}', "application/json", 422),
        ('{"type":"meta","dex":""}', "application/json", 200),
        ('{"type":"l2Book","coin":"BTC","nSigFigs":7}', "application/json", 500),
        ("[]", "application/json", 422),
        ('{"type":"userFillsByTime","user":"0x12","startTime":0}', "application/json", 422),
    ],
)
async def test_status_codes_are_the_real_ones(web: aiohttp.ClientSession, body: str, kind: str, status: int) -> None:
    async with web.post("/info", data=body, headers={"Content-Type": kind}) as response:
        assert response.status == status


async def test_an_unknown_coin_has_no_book(web: aiohttp.ClientSession) -> None:
    assert await post(web, "/info", {"type": "l2Book", "coin": "btc"}) == (200, None)


async def test_an_aggregated_book_buckets_away_from_the_middle(web: aiohttp.ClientSession, devnet: Any) -> None:
    _, fine = await post(web, "/info", {"type": "l2Book", "coin": "BTC"})
    _, coarse = await post(web, "/info", {"type": "l2Book", "coin": "BTC", "nSigFigs": 4})
    bids, asks = coarse["levels"]
    assert all(float(row["px"]) % 10 == 0 for row in bids + asks)
    for side, rows in zip(coarse["levels"], fine["levels"], strict=True):
        assert sum(Decimal(row["sz"]) for row in side) == sum(Decimal(row["sz"]) for row in rows)
    assert Decimal(bids[0]["px"]) < devnet.mark("BTC") < Decimal(asks[0]["px"])


async def test_a_signature_of_nobody_is_answered_as_the_exchange_does(web: aiohttp.ClientSession) -> None:
    envelope = {"action": {"type": "noop"}, "nonce": 1, "signature": SIGNATURE}
    status, reply = await post(web, "/exchange", envelope)
    assert (status, reply["status"]) == (200, "err")
    assert reply["response"].startswith("User or API Wallet 0x")
    impossible = envelope | {"signature": SIGNATURE | {"r": "0x0"}}
    assert (await post(web, "/exchange", impossible))[1]["response"] == "Unable to recover signer."
    assert (await post(web, "/exchange", envelope | {"more": 1}))[0] == 422
    assert (await post(web, "/exchange", {"nonce": 1}))[0] == 422


def test_a_nonce_counts_once_above_the_hundredth_and_near_the_time() -> None:
    nonces = SignerNonces()
    for nonce in range(NOW, NOW + 100):
        nonces.admit(nonce, NOW)
    for nonce, text in (
        (NOW + 5, f"duplicate nonce {NOW + 5}"),
        (NOW - 1, f"nonce too low {NOW - 1} < {NOW}"),
        (NOW + 2 * 86_400_000, "nonce too high"),
        (NOW - 3 * 86_400_000, "nonce too low"),
    ):
        with pytest.raises(RefusedWhole, match=f"^Invalid nonce: {text}"):
            nonces.admit(nonce, NOW)
    nonces.admit(NOW + 100, NOW)
    # The smallest has left the hundred, but is remembered.
    with pytest.raises(RefusedWhole, match="duplicate"):
        nonces.admit(NOW, NOW)


def test_an_address_that_used_its_budget_acts_once_in_ten_seconds_and_cancels_longer() -> None:
    account = UserAccount("0x" + "1" * 40, coins_of(["BTC"]), {}, Decimal(100))
    budget = AddressRequests(account)
    budget.admit("order", 10_000, NOW)
    budget.admit("order", 1, NOW)
    with pytest.raises(RefusedWhole, match=r"^Too many cumulative requests sent \(10001 > 10000\)"):
        budget.admit("order", 1, NOW + 9_999)
    budget.admit("cancel", 1, NOW + 1)
    budget.admit("order", 1, NOW + 10_000)


def test_weight_comes_back_when_its_sixty_seconds_are_over_and_not_before() -> None:
    weight = MinuteWeight(WEIGHT_PER_MINUTE)
    assert all(weight.admit(20, float(second)) for second in range(60))
    assert not weight.admit(2, 59.9)
    assert weight.admit(20, 60.0)
    assert not weight.admit(20, 60.5)


async def test_a_socket_acknowledges_answers_and_refuses(web: aiohttp.ClientSession) -> None:
    async with web.ws_connect("/ws") as socket:
        await socket.send_json({"method": "ping"})
        assert await socket.receive_json() == {"channel": "pong"}
        wanted = {"type": "l2Book", "coin": "BTC"}
        await socket.send_json({"method": "subscribe", "subscription": wanted})
        full = wanted | {"nSigFigs": None, "mantissa": None, "fast": False}
        acknowledged = {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": full}}
        assert await socket.receive_json() == acknowledged
        assert (await socket.receive_json())["channel"] == "l2Book"
        await socket.send_json({"method": "subscribe", "subscription": wanted})
        assert (await socket.receive_json())["data"].startswith("Already subscribed: ")
        await socket.send_json({"method": "subscribe", "subscription": {"type": "weather"}})
        assert (await socket.receive_json())["data"].startswith("Invalid subscription ")
        await socket.send_str("nonsense")
        assert (await socket.receive_json())["data"].startswith("Error parsing JSON into valid websocket request: ")
        request = {"type": "info", "payload": {"type": "allMids"}}
        await socket.send_json({"method": "post", "id": 7, "request": request})
        answered = (await socket.receive_json())["data"]
        assert (answered["id"], answered["response"]["payload"]["type"]) == (7, "allMids")
        await socket.send_json({"method": "unsubscribe", "subscription": wanted})
        assert (await socket.receive_json())["data"]["method"] == "unsubscribe"


async def test_an_unknown_coin_breaks_the_socket(web: aiohttp.ClientSession) -> None:
    async with web.ws_connect("/ws") as socket:
        await socket.send_json({"method": "subscribe", "subscription": {"type": "trades", "coin": "btc"}})
        message = await socket.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
        assert socket.close_code in (1006, None)


async def test_a_socket_that_was_sent_nothing_for_a_while_is_closed(web: aiohttp.ClientSession, devnet: Any) -> None:
    devnet.net.server.hub.idle_s = 0.1
    async with web.ws_connect("/ws") as socket:
        message = await socket.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


async def test_the_weight_limit_is_answered_with_null(devnet: Any) -> None:
    devnet.net.server.limits.is_open = False
    async with aiohttp.ClientSession(devnet.url) as web:
        replies = [await post(web, "/info", {"type": "meta"}) for _ in range(70)]
    assert replies[-1] == (429, None)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 120), st.booleans()), max_size=120))
def test_no_sixty_seconds_carry_more_than_the_limit(requests: list[tuple[float, int, bool]]) -> None:
    window, now, served = MinuteWeight(WEIGHT_PER_MINUTE), 0.0, list[tuple[float, int]]()
    for pause, amount, is_answer in requests:
        now += pause
        used = sum(taken for at, taken in served if at > now - 60)
        if is_answer:
            window.charge(amount, now)
        elif not window.admit(amount, now):
            assert used + amount > WEIGHT_PER_MINUTE
            continue
        else:
            assert used + amount <= WEIGHT_PER_MINUTE, "nothing comes back before its 60 seconds are over"
        served.append((now, amount))
    assert window.spent == sum(taken for _, taken in served)


async def test_an_ip_opens_ten_sockets_and_thirty_a_minute_and_sends_so_many_messages(devnet: Any) -> None:
    limits: IpLimits = devnet.net.server.limits
    limits.is_open = False
    async with aiohttp.ClientSession(devnet.url) as web:
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(web.ws_connect("/ws")) for _ in range(10)]
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await web.ws_connect("/ws")
            devnet.do(lambda: limits.messages("127.0.0.1").charge(MESSAGES_PER_MINUTE, SystemClock().monotonic()))
            await sockets[0].send_json({"method": "ping"})
            assert (await sockets[0].receive(timeout=5)).type is not aiohttp.WSMsgType.TEXT
        devnet.do(lambda: limits.sockets("127.0.0.1").charge(SOCKETS_PER_MINUTE - 10, SystemClock().monotonic()))
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            await web.ws_connect("/ws")


async def test_only_ten_users_fit_a_socket(web: aiohttp.ClientSession) -> None:
    async with web.ws_connect("/ws") as socket:
        for number in range(11):
            user = f"0x{number:040x}"
            await socket.send_json({"method": "subscribe", "subscription": {"type": "orderUpdates", "user": user}})
        replies = [await asyncio.wait_for(socket.receive_json(), 5) for _ in range(11)]
    assert replies[-1] == {"channel": "error", "data": "Cannot track more than 10 total users."}
