"""Whatever is sent, the exchange answers and lives on."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.clock import VirtualClock
from tradebot.devnet.exchange import Envelope, Exchange
from tradebot.devnet.info import BadBook, Info
from tradebot.devnet.schema import read_action
from tradebot.devnet.wire import Malformed
from tradebot.model.time import NANOS_PER_S

USER = "0x" + "1" * 40
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.sampled_from(["", "0", "-1", "1e9", "NaN", "9" * 30, "0.00000001", "0x", "0x" + "f" * 32, "BTC", "Gtc", USER]),
    st.text(max_size=8),
)
JSON = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8
)
AMOUNT = (
    st.sampled_from(
        ["0", "0.00000001", "0.001", "1", "49999.5", "50000", "12345.6", "9" * 18, "9" * 30, "1." + "0" * 20]
    )
    | LEAF
)
TRIGGER = st.fixed_dictionaries(
    {"isMarket": st.booleans() | LEAF, "triggerPx": AMOUNT, "tpsl": st.sampled_from(["tp", "sl"]) | LEAF}
)
TYPE = st.one_of(
    st.builds(lambda tif: {"limit": {"tif": tif}}, st.sampled_from(["Gtc", "Ioc", "Alo", "FrontendMarket"]) | LEAF),
    st.builds(lambda trigger: {"trigger": trigger}, TRIGGER),
    JSON,
)
ORDER = st.fixed_dictionaries(
    {
        "a": st.sampled_from([0, 1, 2]) | LEAF,
        "b": st.booleans(),
        "p": AMOUNT,
        "s": AMOUNT,
        "r": st.booleans(),
        "t": TYPE,
    }
)
GROUPING = st.sampled_from(["na", "normalTpsl", "positionTpsl"]) | JSON
OID = st.integers(90_000_000_000, 90_000_000_020) | LEAF
ACTION = st.one_of(
    st.fixed_dictionaries({"type": st.just("order"), "orders": st.lists(ORDER, max_size=3), "grouping": GROUPING}),
    st.fixed_dictionaries({"type": st.just("modify"), "oid": OID, "order": ORDER}),
    st.fixed_dictionaries(
        {"type": st.just("cancel"), "cancels": st.lists(st.fixed_dictionaries({"a": LEAF, "o": OID}), max_size=2)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("updateLeverage"), "asset": OID | st.just(0), "isCross": st.booleans(), "leverage": LEAF}
    ),
    st.fixed_dictionaries(
        {"type": st.just("updateIsolatedMargin"), "asset": st.just(0), "isBuy": st.booleans(), "ntli": LEAF}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["scheduleCancel", "noop", "reserveRequestWeight"]), "weight": LEAF}
    ),
    JSON,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTION, min_size=1, max_size=6))
def test_an_action_is_done_or_refused_whatever_its_numbers(actions: list[Any]) -> None:
    clock = VirtualClock(1_700_000_000 * NANOS_PER_S)
    exchange = Exchange(("BTC", "ETH"), clock)
    account = exchange.fund(USER, Decimal(10_000))
    for coin, price in (("BTC", 50_000), ("ETH", 2_000)):
        exchange.tick(coin, clock.now(), Decimal(price), Decimal(1))
    for nonce, raw in enumerate(actions):
        try:
            action = read_action(raw)
        except Malformed:
            continue
        reply = exchange.act(Envelope(action, exchange.now_ms + nonce, USER, None, None))
        json.dumps(reply)
    clock.advance(NANOS_PER_S)
    exchange.tick("BTC", clock.now(), Decimal(49_000), Decimal(1))
    assert account.cash() >= 0
    assert all(order.sz > 0 or order.is_position_wide for order in account.open.values())


@settings(max_examples=150, deadline=None)
@given(JSON, st.data())
def test_a_question_is_answered_or_found_malformed(body: Any, data: st.DataObject) -> None:
    exchange = Exchange(("BTC",), VirtualClock(1_700_000_000 * NANOS_PER_S))
    exchange.fund(USER, Decimal(10_000))
    exchange.tick("BTC", 1_700_000_000 * NANOS_PER_S, Decimal(50_000), Decimal(1))
    info = Info(exchange)
    kind = data.draw(st.sampled_from(sorted(info._answers)))
    names = ("user", "coin", "oid", "startTime", "endTime", "interval", "nSigFigs", "mantissa", "builder", "req")
    given = {name: data.draw(JSON | st.just(USER) | st.just("BTC") | st.just("1m")) for name in names}
    for question in (body, {"type": kind} | given, {"type": kind, "user": USER}):
        try:
            json.dumps(info.answer(question))
        except (Malformed, BadBook):
            continue


@pytest.fixture
async def web(devnet: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(devnet.url) as session:
        yield session


DEEP = b"[" * 100_000
RAW = (
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'"x"',
    b'{"type": 1}',
    b'{"type": "meta", "type": "meta"}',
    b'{"nonce": 1e400}',
    b'{"nonce": ' + b"9" * 5_000 + b"}",
    DEEP,
    b'{"type": "meta"} and more',
)


@pytest.mark.parametrize(
    "path", ["/info", "/exchange", "/admin/fault", "/admin/trade", "/admin/step", "/admin/deposit"]
)
async def test_no_body_breaks_a_request(web: aiohttp.ClientSession, path: str) -> None:
    for raw in RAW:
        async with web.post(path, data=raw, headers={"Content-Type": "application/json"}) as response:
            assert response.status in {200, 400, 422}, raw[:40]
    async with web.post("/info", json={"type": "exchangeStatus"}) as response:
        assert response.status == 200


async def test_no_frame_breaks_a_socket(web: aiohttp.ClientSession) -> None:
    async with web.ws_connect("/ws") as socket:
        for raw in RAW:
            await socket.send_str(raw.decode(errors="replace"))
        for message in ({"method": "post"}, {"method": "subscribe", "subscription": []}, {"method": "subscribe"}):
            await socket.send_json(message)
        await socket.send_json({"method": "ping"})
        async with asyncio.timeout(5):
            heard = [await socket.receive_json()]
            while heard[-1]["channel"] != "pong":
                heard.append(await socket.receive_json())
    assert {frame["channel"] for frame in heard[:-1]} == {"error"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(st.sampled_from(["user", "coin", "size", "price", "amount", "name", "value", "count"]), JSON)
)
def test_no_admin_request_breaks_the_exchange(devnet: Any, body: dict[str, Any]) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession(devnet.url) as session:
            for name in ("fault", "move", "trade", "cancel", "deposit", "withdraw", "approve-agent", "step", "volume"):
                async with session.post(f"/admin/{name}", data=json.dumps(body)) as response:
                    assert response.status in {200, 400}, (name, body)

    asyncio.run(ask())
