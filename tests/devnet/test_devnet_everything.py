"""Every request and every channel has an answer, and what only an owner may sign has its rules."""

import json
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.clock import VirtualClock
from tradebot.devnet.account import UserAccount
from tradebot.devnet.channels import CHANNELS
from tradebot.devnet.devnet import Devnet, DevnetOptions
from tradebot.devnet.registry import AGENT_LIFE_MS, Registry
from tradebot.devnet.wire import Json, RefusedWhole
from tradebot.feeds.generated import Generated
from tradebot.model.time import NANOS_PER_S, Nanos, parse_timeframe

MINUTE = parse_timeframe("1m")
ASKED = {"coin": "BTC", "startTime": 0, "oid": 1, "builder": "0x" + "3" * 40, "user": "0x" + "4" * 40}
ASKED |= {"vaultAddress": "0x" + "5" * 40}
CANDLES = {"coin": "BTC", "interval": "1m", "startTime": 0, "endTime": 1 << 60}


def quiet() -> Devnet:
    options = DevnetOptions(coins=("BTC", "ETH"), timeframe=MINUTE, speed=None, history=20)
    feed = Generated(options.coins, MINUTE, Nanos(0), 1)
    return Devnet(options, feed, VirtualClock(1_700_000_000 * NANOS_PER_S))


def test_every_request_has_an_answer_for_every_account() -> None:
    net = quiet()
    for kind in net.server.info._answers:
        for user in (net.user, "0x" + "4" * 40):
            answer = net.server.info.answer(ASKED | {"type": kind, "user": user, "req": CANDLES})
            json.dumps(answer, allow_nan=False)


async def test_every_channel_acknowledges_and_speaks(devnet: Any) -> None:
    heard = set()
    async with aiohttp.ClientSession(devnet.url) as web, web.ws_connect("/ws") as socket:
        for kind, channel in CHANNELS.items():
            given = {"type": kind} | {need: CANDLES.get(need, devnet.user) for need in channel.needs}
            await socket.send_json({"method": "subscribe", "subscription": given})
        acknowledged = 0
        while acknowledged < len(CHANNELS):
            frame = await socket.receive_json(timeout=5)
            assert frame["channel"] != "error", frame
            acknowledged += frame["channel"] == "subscriptionResponse"
            heard.add(frame["channel"])
        devnet.do(devnet.net.step)
        while "trades" not in heard:
            heard.add((await socket.receive_json(timeout=5))["channel"])
    silent = {"orderUpdates", "userEvents", "notification"}
    assert heard - {"subscriptionResponse"} >= set(CHANNELS) - silent - {"webData2"}


async def test_a_question_over_the_socket_that_makes_no_sense_is_answered_as_such(devnet: Any) -> None:
    async with aiohttp.ClientSession(devnet.url) as web, web.ws_connect("/ws") as socket:
        for request in ({"type": "info", "payload": {"type": "x"}}, {"type": "other", "payload": {}}):
            await socket.send_json({"method": "post", "id": 1, "request": request})
            reply = (await socket.receive_json(timeout=5))["data"]["response"]
            assert reply["type"] == "error"
            assert reply["payload"].startswith("422 Unprocessable Entity: ")


def approve(net: Devnet, number: int, name: str = "") -> None:
    action: Json = {"type": "approveAgent", "agentAddress": f"0x{number:040x}", "agentName": name}
    net.exchange.registry.user_signed(net.exchange, _account(net), action)


def _account(net: Devnet) -> UserAccount:
    account = net.exchange.account(net.user)
    assert account is not None
    return account


def test_agents_are_few_used_once_and_run_out() -> None:
    net = quiet()
    now, registry = net.exchange.now_ms, net.exchange.registry
    approve(net, 1)
    approve(net, 2)
    assert registry.master_of(f"0x{1:040x}", now) is None
    assert registry.master_of(f"0x{2:040x}", now) == net.user
    assert registry.master_of(f"0x{2:040x}", now + AGENT_LIFE_MS) is None
    with pytest.raises(RefusedWhole, match=r"^Extra agent already used\.$"):
        approve(net, 1)
    for number in (3, 4, 5):
        approve(net, number, f"named {number}")
    with pytest.raises(RefusedWhole, match="Too many extra agents"):
        approve(net, 6, "one more")
    with pytest.raises(RefusedWhole, match=r"^Agent valid_until already expired\.$"):
        approve(net, 7, "named 3 valid_until 12")
    approve(net, 8, f"named 3 valid_until {now + 1_000}")
    assert registry.master_of(f"0x{8:040x}", now + 1_001) is None


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"type": "usdSend", "amount": "10001", "destination": "0x" + "1" * 40}, "Insufficient balance for token"),
        ({"type": "withdraw3", "amount": "10001", "time": 1}, "Insufficient balance for withdrawal"),
        ({"type": "usdClassTransfer", "amount": "1", "toPerp": True}, "Insufficient balance for token transfer"),
        ({"type": "usdClassTransfer", "amount": "-1", "toPerp": False}, "Invalid amount"),
        ({"type": "usdClassTransfer", "amount": "much", "toPerp": False}, "Invalid amount"),
        ({"type": "spotSend", "token": "PURR:0x1"}, "Unknown token PURR:0x1"),
    ],
)
def test_nobody_moves_money_that_is_not_there(action: Json, text: str) -> None:
    net = quiet()
    with pytest.raises(RefusedWhole, match=text):
        Registry().user_signed(net.exchange, _account(net), action)
    assert _account(net).equity() == 10_000


def test_money_goes_out_to_spot_and_comes_back() -> None:
    net = quiet()
    account, registry = _account(net), net.exchange.registry
    for to_perp, left in ((False, "9900"), (True, "10000")):
        action: Json = {"type": "usdClassTransfer", "amount": "100", "toPerp": to_perp}
        registry.user_signed(net.exchange, account, action)
        assert account.equity() == Decimal(left)
    registry.user_signed(net.exchange, account, {"type": "userSetAbstraction", "abstraction": "unifiedAccount"})
    asked = {"type": "userAbstraction", "user": net.user}
    assert net.server.info.answer(asked) == "unifiedAccount"


def test_a_unified_account_keeps_its_money_with_its_spot_balances() -> None:
    net = quiet()
    user = {"user": net.user}
    assert net.server.info.answer(user | {"type": "spotClearinghouseState"}) == {"balances": []}
    action: Json = {"type": "userSetAbstraction", "abstraction": "unifiedAccount"}
    net.exchange.registry.user_signed(net.exchange, _account(net), action)
    state: Any = net.server.info.answer(user | {"type": "clearinghouseState"})
    assert (state["marginSummary"]["accountValue"], state["withdrawable"]) == ("0.0", "0.0")
    spot: Any = net.server.info.answer(user | {"type": "spotClearinghouseState"})
    assert spot["balances"][0]["total"] == "10000.0"
