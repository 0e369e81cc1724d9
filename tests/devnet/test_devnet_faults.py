"""Every fault does what it says, and the same seed the same faults."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.clock import VirtualClock
from tradebot.devnet.devnet import Devnet, DevnetOptions
from tradebot.devnet.faults import AT_ONCE, LASTING, Faults, Rule, parse_rule
from tradebot.devnet.protection import unprotected
from tradebot.feeds.generated import Generated
from tradebot.model.errors import UsageError
from tradebot.model.time import NANOS_PER_S, Nanos, parse_timeframe

pytest.importorskip("hyperliquid", reason="hyperliquid-python-sdk is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eth_account
    from hyperliquid.exchange import Exchange
    from hyperliquid.utils.error import ClientError, ServerError

GTC = {"limit": {"tif": "Gtc"}}


@pytest.fixture
def trader(devnet: Any) -> Iterator[Any]:
    made = Exchange(eth_account.Account.from_key(devnet.key), devnet.url, timeout=3)
    yield made
    made.session.close()
    made.info.session.close()


@pytest.fixture
async def web(devnet: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(devnet.url) as session:
        yield session


def inject(devnet: Any, text: str) -> None:
    devnet.do(lambda: devnet.net.server.admin.inject(parse_rule(text)))


def rest(trader: Any, devnet: Any, factor: float = 0.9) -> Any:
    return trader.order("BTC", True, 0.01, round(float(devnet.mark("BTC")) * factor), GTC)


def open_count(devnet: Any) -> int:
    return len(devnet.net.exchange.account(devnet.user).open)


@pytest.mark.parametrize(
    ("fault", "error", "placed"),
    [
        ("rate_limit", ClientError, 0),
        ("error_500", ServerError, 0),
        ("error_502", ServerError, 1),
        ("lost", Exception, 0),
        ("drop_reply", Exception, 1),
        ("timeout:value=0.05", Exception, 1),
        ("maintenance", ServerError, 0),
    ],
)
def test_a_request_fails_before_or_after_it_counts(
    trader: Any, devnet: Any, fault: str, error: type[Exception], placed: int
) -> None:
    inject(devnet, fault)
    with pytest.raises(error):
        rest(trader, devnet)
    assert open_count(devnet) == placed


def test_part_of_a_batch_is_refused(trader: Any, devnet: Any) -> None:
    inject(devnet, "partial_batch:count=1")
    limit = round(float(devnet.mark("BTC")) * 0.9)
    one = {"coin": "BTC", "is_buy": True, "sz": 0.01, "limit_px": limit, "order_type": GTC, "reduce_only": False}
    first, second = trader.bulk_orders([one, one])["response"]["data"]["statuses"]
    assert "resting" in first
    assert second == {"error": "Insufficient margin to place order. asset=0"}
    assert "resting" in rest(trader, devnet)["response"]["data"]["statuses"][0]


def test_after_maintenance_only_post_only_orders_are_taken(trader: Any, devnet: Any) -> None:
    inject(devnet, "maintenance:value=0")
    text = "Only post-only orders allowed immediately after network upgrade asset=0"
    assert rest(trader, devnet)["response"]["data"]["statuses"] == [{"error": text}]


def test_an_answer_may_be_older_than_the_action(trader: Any, devnet: Any) -> None:
    inject(devnet, "replica_lag:value=60")
    oid = rest(trader, devnet)["response"]["data"]["statuses"][0]["resting"]["oid"]
    assert trader.info.query_order_by_oid(devnet.user, oid) == {"status": "unknownOid"}
    assert trader.info.open_orders(devnet.user) == trader.info.frontend_open_orders(devnet.user) == []
    inject(devnet, "replica_lag:value=0")
    assert trader.info.query_order_by_oid(devnet.user, oid)["order"]["status"] == "open"


def test_a_human_trades_beside_the_bot(trader: Any, devnet: Any) -> None:
    inject(devnet, "manual_trade:coin=BTC,value=-0.02")
    (position,) = trader.info.user_state(devnet.user)["assetPositions"]
    assert position["position"]["szi"] == "-0.02"


def test_a_position_is_liquidated_with_its_orders(trader: Any, devnet: Any) -> None:
    trader.market_open("BTC", True, 0.02)
    rest(trader, devnet)
    inject(devnet, f"liquidation:user={devnet.user}")
    assert trader.info.user_state(devnet.user)["assetPositions"] == []
    fill = trader.info.user_fills(devnet.user)[0]
    assert fill["liquidation"]["liquidatedUser"] == devnet.user
    assert fill["hash"] == "0x" + "0" * 64
    assert trader.info.historical_orders(devnet.user)[0]["status"] == "liquidatedCanceled"


@pytest.mark.parametrize(
    ("fault", "held", "status", "protects"),
    [
        ("sleeping_stop:coin=BTC", "0.01", "open", True),
        ("sleeping_stop:coin=ETH", "0", None, False),
        ("unfilled_stop", "0.01", "triggered", False),
        ("unfilled_stop:value=0.004,coin=BTC", "0.006", "triggered", False),
    ],
)
def test_a_stop_may_sleep_or_stay_triggered(
    trader: Any, devnet: Any, fault: str, held: str, status: str | None, protects: bool
) -> None:
    mark = float(devnet.mark("BTC"))
    trader.market_open("BTC", True, 0.01)
    stop = {"trigger": {"triggerPx": round(mark * 0.9), "isMarket": True, "tpsl": "sl"}}
    trader.order("BTC", False, 0.01, round(mark * 0.8), stop, reduce_only=True)
    inject(devnet, fault)
    devnet.do(lambda: devnet.net.server.admin.move("BTC", Decimal(round(mark * 0.89))))
    account = devnet.net.exchange.account(devnet.user)
    assert account.position("BTC") == Decimal(held)
    assert [str(order.status) for order in account.open.values()] == ([] if status is None else [status])
    assert (unprotected(account, "BTC") == 0) is (protects or not account.position("BTC"))
    # Whoever closes the position ends the stop with it; without the fault one that sleeps wakes.
    devnet.do(devnet.net.server.faults.clear)
    devnet.do(devnet.net.server.settle)
    if status == "open":
        devnet.do(lambda: devnet.net.server.admin.move("BTC", Decimal(round(mark * 0.88))))
    elif status is not None:
        trader.market_close("BTC")
    assert account.position("BTC") == 0
    assert not account.open


def test_agents_run_out(trader: Any, devnet: Any) -> None:
    _, key = trader.approve_agent()
    agent = Exchange(eth_account.Account.from_key(key), devnet.url, account_address=devnet.user)
    inject(devnet, "agent_expiry")
    assert "does not exist" in rest(agent, devnet)["response"]
    agent.session.close()
    agent.info.session.close()


async def test_sockets_break_and_fall_silent(web: aiohttp.ClientSession, devnet: Any) -> None:
    async with web.ws_connect("/ws") as socket:
        inject(devnet, "half_open:for=60")
        await socket.send_json({"method": "ping"})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.2)
        inject(devnet, "drop")
        assert (await socket.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


@pytest.mark.parametrize(("fault", "expected"), [("duplicate", [1, 1, 2, 2]), ("reorder", [2, 1])])
async def test_what_happens_to_an_account_is_told_twice_or_turned_round(
    web: aiohttp.ClientSession, devnet: Any, trader: Any, fault: str, expected: list[int]
) -> None:
    inject(devnet, fault)
    kinds = {"orderUpdates": 1, "userFills": 2}
    async with web.ws_connect("/ws") as socket:
        for kind in kinds:
            await socket.send_json({"method": "subscribe", "subscription": {"type": kind, "user": devnet.user}})
        for _ in range(3):
            await asyncio.wait_for(socket.receive_json(), 5)
        await asyncio.to_thread(trader.market_open, "BTC", True, 0.01)
        heard = [kinds[(await asyncio.wait_for(socket.receive_json(), 5))["channel"]] for _ in expected]
    assert heard == expected


async def test_faults_and_deposits_can_be_asked_for_over_http(web: aiohttp.ClientSession, devnet: Any) -> None:
    async def admin(name: str, body: dict[str, Any]) -> tuple[int, Any]:
        async with web.post(f"/admin/{name}", json=body) as response:
            return response.status, await response.json()

    status, rules = await admin("fault", {"name": "timeout", "probability": 0.5, "for": 10})
    assert (status, rules[0]["name"], rules[0]["probability"]) == (200, "timeout", 0.5)
    assert await admin("clear", {}) == (200, [])
    assert (await admin("fault", {"name": "flood"}))[0] == 400
    assert (await admin("deposit", {"user": "0x" + "2" * 40, "amount": "5"}))[1]["cash"] == "5"
    before = devnet.net.exchange.markets["BTC"].ts
    assert await admin("step", {"count": 3}) == (200, {"steps": 3})
    assert devnet.net.exchange.markets["BTC"].ts > before
    assert (await admin("fault", {"name": "jump", "coin": "BTC", "value": "50000"}))[0] == 200
    assert devnet.mark("BTC") == 50_000


def test_chance_follows_the_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.inject(Rule("lost", probability=Decimal("0.5")), 0.0)
        return [faults.strikes("lost", 1.0) is not None for _ in range(64)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 16 < sum(strikes(1)) < 48


def test_a_fault_begins_and_ends_when_asked_to() -> None:
    faults = Faults(1)
    faults.inject(parse_rule("lost:after=2,for=3,count=2"), 10.0)
    struck = [second for second in range(10, 20) if faults.strikes("lost", float(second))]
    assert struck == [12, 13]


@pytest.mark.parametrize("text", ["flood", "lost:often=1", "lost:probability=x", "lost:after=-1"])
def test_a_fault_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rule(text)


def test_a_frozen_market_loses_its_ticks_while_everything_else_goes_on() -> None:
    made = DevnetOptions(coins=("BTC",), timeframe=parse_timeframe("1m"), port=0, speed=600.0, history=10)
    clock = VirtualClock(1_700_000_000 * NANOS_PER_S)
    net = Devnet(made, Generated(made.coins, made.timeframe, Nanos(0), 1), clock)
    net.catch_up()
    clock.advance(NANOS_PER_S)
    net.catch_up()
    before = net.exchange.markets["BTC"].ts
    net.server.admin.inject(parse_rule("frozen_feed:for=1"))
    clock.advance(NANOS_PER_S // 2)
    net.catch_up()
    assert net.exchange.markets["BTC"].ts == before
    clock.advance(NANOS_PER_S)
    net.catch_up()
    assert net.exchange.markets["BTC"].ts > before + 300 * NANOS_PER_S


def test_a_dead_mans_switch_needs_volume_and_cancels_everything(trader: Any, devnet: Any) -> None:
    rest(trader, devnet)
    at = devnet.net.exchange.now_ms + 600_000
    assert trader.schedule_cancel(at)["status"] == "err"
    devnet.net.exchange.account(devnet.user).volume = Decimal(1_000_000)
    assert trader.schedule_cancel(at)["status"] == "ok"
    assert "at least 5 seconds" in trader.schedule_cancel(devnet.net.exchange.now_ms + 4_999)["response"]
    devnet.net.exchange.scheduled[devnet.user] = devnet.net.exchange.now_ms - 1
    devnet.do(devnet.net.step)
    assert trader.info.open_orders(devnet.user) == []
    assert trader.info.historical_orders(devnet.user)[0]["status"] == "scheduledCancel"


def test_the_guide_explains_every_fault() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "rehearse-on-devnet.md").read_text()
    assert all(f"`{name}`" in guide for name in (*LASTING, *AT_ONCE))


def test_no_fault_is_of_both_kinds() -> None:
    assert not LASTING.keys() & AT_ONCE.keys()
