"""The admin requests: a hand in the accounts, and a market that obeys."""

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

Ask = Callable[..., Awaitable[Any]]
AGENT = "0x" + "7" * 40


@pytest.fixture
async def web(devnet: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(devnet.url) as session:
        yield session


@pytest.fixture
def admin(web: aiohttp.ClientSession) -> Ask:
    async def ask(name: str, status: int = 200, /, **body: Any) -> Any:
        async with web.post(f"/admin/{name}", json=body) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    return ask


@pytest.fixture
def info(web: aiohttp.ClientSession, devnet: Any) -> Ask:
    async def ask(kind: str, /, **fields: Any) -> Any:
        async with web.post("/info", json={"type": kind, "user": devnet.user} | fields) as response:
            return await response.json()

    return ask


async def test_money_comes_and_goes(admin: Ask, info: Ask, web: aiohttp.ClientSession, devnet: Any) -> None:
    subscription = {"type": "userNonFundingLedgerUpdates", "user": devnet.user}
    async with web.ws_connect("/ws") as socket:
        await socket.send_json({"method": "subscribe", "subscription": subscription})
        for _ in range(2):
            await socket.receive_json(timeout=5)
        assert (await admin("deposit", amount="250.5"))["cash"] == "10250.5"
        assert (await admin("withdraw", amount=50))["cash"] == "10200.5"
        told = [(await socket.receive_json(timeout=5))["data"]["nonFundingLedgerUpdates"] for _ in range(2)]
    rows = [row["delta"] for row in await info("userNonFundingLedgerUpdates", startTime=0)]
    assert [(row["type"], row["usdc"]) for row in rows] == [
        ("deposit", "10000.0"),
        ("deposit", "250.5"),
        ("withdraw", "50.0"),
    ]
    assert [[row["delta"] for row in frame] for frame in told] == [rows[1:2], rows[2:]]
    assert (await info("clearinghouseState"))["marginSummary"]["accountValue"] == "10200.5"


async def test_somebody_trades_and_cancels_by_hand(admin: Ask, info: Ask, devnet: Any) -> None:
    assert "filled" in (await admin("trade", coin="BTC", size="-0.01"))["status"]
    (position,) = (await info("clearinghouseState"))["assetPositions"]
    assert position["position"]["szi"] == "-0.01"
    price = str(round(devnet.mark("BTC") * 9 / 10))
    oids = [(await admin("trade", coin="BTC", size=0.01, price=price))["status"]["resting"]["oid"] for _ in range(3)]
    assert await admin("cancel", oid=oids[1]) == {"canceled": [oids[1]]}
    assert await admin("cancel", coin="ETH") == {"canceled": []}
    assert await admin("cancel") == {"canceled": [oids[0], oids[2]]}
    assert await info("openOrders") == []


async def test_the_market_moves_to_a_price_and_by_steps(admin: Ask, info: Ask, devnet: Any) -> None:
    assert await admin("move", coin="BTC", price="50000") == {"coin": "BTC", "price": "50000"}
    assert (await info("metaAndAssetCtxs"))[1][0]["markPx"] == "50000.0"
    assert await admin("step", count=2) == {"steps": 2}
    (rule,) = await admin("freeze", **{"for": 5})
    assert (rule["name"], rule["for"]) == ("frozen_feed", 5.0)


async def test_a_key_may_trade_until_it_runs_out(admin: Ask, info: Ask, devnet: Any) -> None:
    made = await admin("approve-agent", address=AGENT, name="bot", life_s=3600)
    assert await info("extraAgents") == [made]
    assert (await info("userRole", user=AGENT)) == {"role": "agent", "data": {"user": devnet.user}}
    await admin("expire-agents")
    assert (await info("userRole", user=AGENT)) == {"role": "missing"}
    await admin("approve-agent", 400, address=AGENT)


async def test_the_weight_of_requests_is_told_and_need_not_count(admin: Ask, info: Ask) -> None:
    before = await admin("limits", counted=False)
    await info("userRole")
    after = await admin("limits")
    assert (before["counted"], after["counted"], after["spent"] - before["spent"]) == (False, False, 60)
    assert (after["most"], after["refused"], after["asked"]["userRole"]) == (after["spent"], 0, 1)
    assert (await admin("limits", counted=True, anew=True))["counted"] is True
    assert (await admin("limits"))["spent"] == 0


async def test_positions_without_a_stop_are_listed(admin: Ask, web: aiohttp.ClientSession) -> None:
    await admin("trade", coin="BTC", size="0.02")
    await admin("liquidate")
    async with web.get("/admin/unprotected") as response:
        (row,) = await response.json()
    assert (row["coin"], row["naked"], row["until"] >= row["since"]) == ("BTC", "0.02", True)


async def test_an_account_has_so_many_actions_left(admin: Ask, info: Ask) -> None:
    assert (await admin("actions", left=3))["used"] == 9_997
    assert (await info("userRateLimit"))["nRequestsUsed"] == 9_997


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("actions", {"left": "3"}),
        ("deposit", {"amount": "-1"}),
        ("deposit", {"amount": True}),
        ("withdraw", {"amount": "20000"}),
        ("withdraw", {"amount": "0"}),
        ("trade", {"coin": "BTC", "size": "0"}),
        ("trade", {"coin": "DOGE", "size": "1"}),
        ("trade", {"coin": "BTC", "size": "1", "price": "-1"}),
        ("move", {"coin": "BTC", "price": "NaN"}),
        ("step", {"count": "2"}),
        ("cancel", {"user": AGENT}),
    ],
)
async def test_what_makes_no_sense_is_refused(admin: Ask, name: str, body: dict[str, Any]) -> None:
    assert (await admin(name, 400, **body))["error"]


def test_the_guide_lists_every_admin_request(devnet: Any) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "rehearse-on-devnet.md").read_text()
    assert all(f"`{route.path}`" in guide or f"{route.path}`" in guide for route in devnet.net.server.admin.routes())


async def test_the_truth_of_an_account_is_told_without_weight(
    admin: Ask, info: Ask, web: aiohttp.ClientSession, devnet: Any
) -> None:
    await admin("trade", coin="BTC", size="0.02")
    async with web.get("/admin/accounts") as response:
        (truth,) = await response.json()
    state = await info("clearinghouseState")
    (position,) = [row["position"] for row in state["assetPositions"]]
    equity, profit = state["marginSummary"]["accountValue"], position["unrealizedPnl"]
    assert Decimal(truth["cash"]) == Decimal(equity) - Decimal(profit)
    assert truth["positions"] == {"BTC": position["szi"]}
    (fill,) = await info("userFills")
    assert truth["fills"] == [f"{fill['tid']}-{fill['oid']}"]
    assert (truth["user"], truth["open"], truth["repeated"]) == (devnet.user, [], {})
