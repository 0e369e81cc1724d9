"""The unmodified ccxt, REST and pro, lives its trading life on the devnet."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.waiting import until

BTC = "BTC/USDC:USDC"


def settings(devnet: Any) -> dict[str, Any]:
    return {
        "enableRateLimit": False,
        "walletAddress": devnet.user,
        "privateKey": devnet.key,
        "options": {"defaultSlippage": 0.05},
    }


def aimed(exchange: Any, devnet: Any) -> Any:
    exchange.set_sandbox_mode(True)
    exchange.urls["api"]["public"] = exchange.urls["api"]["private"] = devnet.url
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"]["public"] = devnet.url.replace("http", "ws") + "/ws"
    return exchange


@pytest.fixture(scope="module")
def ccxt() -> Any:
    """Import what takes two seconds only where it is used."""
    return pytest.importorskip("ccxt", reason="ccxt is not installed")


@pytest.fixture
def client(devnet: Any, ccxt: Any) -> Iterator[Any]:
    exchange = aimed(ccxt.hyperliquid(settings(devnet)), devnet)
    yield exchange
    exchange.session.close()


@pytest.fixture
async def pro(devnet: Any) -> AsyncIterator[Any]:
    ccxtpro = pytest.importorskip("ccxt.pro", reason="ccxt is not installed")
    exchange = aimed(ccxtpro.hyperliquid(settings(devnet)), devnet)
    yield exchange
    await exchange.close()


def px(client: Any, devnet: Any, factor: float) -> float:
    return float(client.price_to_precision(BTC, float(devnet.mark("BTC")) * factor))


def test_the_market_can_be_read(client: Any) -> None:
    markets = client.load_markets()
    assert markets[BTC]["precision"] == {"amount": 0.00001, "price": 1.0}
    assert markets[BTC]["limits"]["leverage"]["max"] == 40
    assert client.fetch_ticker(BTC)["bid"] < client.fetch_ticker(BTC)["ask"]
    book = client.fetch_order_book(BTC)
    assert len(book["bids"]) == len(book["asks"]) == 20
    assert len(client.fetch_ohlcv(BTC, "1m", limit=50)) >= 50
    assert client.fetch_status()["status"] == "ok"
    assert client.fetch_funding_rates()[BTC]["fundingRate"] == 0.0000125
    assert client.fetch_funding_rate_history(BTC)


def test_a_position_is_opened_watched_and_closed(client: Any, devnet: Any) -> None:
    client.load_markets()
    assert client.fetch_balance()["USDC"]["total"] == 10_000
    client.set_leverage(10, BTC, {"marginMode": "cross"})
    bought = client.create_order(BTC, "market", "buy", 0.02, float(devnet.mark("BTC")))
    assert bought["filled"] == 0.02
    (position,) = client.fetch_positions()
    assert (position["side"], position["contracts"], position["leverage"]) == ("long", 0.02, 10)
    (fill,) = client.fetch_my_trades(BTC)
    assert fill["takerOrMaker"] == "taker"
    # ccxt has itself approved as a builder and takes one basis point.
    assert float(fill["info"]["fee"]) == pytest.approx(fill["cost"] * 0.00055, rel=1e-5)
    assert client.fetch_order(bought["id"], BTC)["status"] == "closed"
    sold = client.create_order(BTC, "market", "sell", 0.02, float(devnet.mark("BTC")), {"reduceOnly": True})
    assert sold["filled"] == 0.02
    assert client.fetch_positions() == []
    assert client.fetch_balance()["USDC"]["total"] < 10_000


def test_resting_orders_are_placed_changed_and_cancelled(client: Any, devnet: Any, ccxt: Any) -> None:
    client.load_markets()
    cloid = "0x" + "12" * 16
    placed = client.create_order(BTC, "limit", "buy", 0.01, px(client, devnet, 0.9), {"clientOrderId": cloid})
    assert client.fetch_order(cloid, BTC)["id"] == placed["id"]
    client.edit_order(placed["id"], BTC, "limit", "buy", 0.02, px(client, devnet, 0.91))
    (still,) = client.fetch_open_orders(BTC)
    assert (still["amount"], still["price"]) == (0.02, px(client, devnet, 0.91))
    assert still["id"] != placed["id"]
    client.cancel_order(still["id"], BTC)
    assert client.fetch_open_orders(BTC) == []
    assert {order["status"] for order in client.fetch_canceled_orders(BTC)} == {"canceled"}
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order(still["id"], BTC)


def test_a_post_only_order_that_would_trade_is_refused(client: Any, devnet: Any, ccxt: Any) -> None:
    client.load_markets()
    with pytest.raises(ccxt.InvalidOrder, match="Post only order would have immediately matched, bbo was"):
        client.create_order(BTC, "limit", "buy", 0.01, px(client, devnet, 1.01), {"postOnly": True})


def test_stop_and_target_attached_to_an_entry_protect_it(client: Any, devnet: Any) -> None:
    client.load_markets()
    params = {
        "stopLoss": {"triggerPrice": px(client, devnet, 0.95), "type": "market"},
        "takeProfit": {"triggerPrice": px(client, devnet, 1.05), "type": "market"},
    }
    client.create_order(BTC, "market", "buy", 0.01, float(devnet.mark("BTC")), params)
    waiting = client.fetch_open_orders(BTC)
    assert {order["info"]["orderType"] for order in waiting} == {"Stop Market", "Take Profit Market"}
    devnet.move("BTC", str(int(devnet.mark("BTC") * 94 / 100)))
    assert client.fetch_positions() == []
    assert client.fetch_open_orders(BTC) == []


def test_a_stop_of_its_own_and_a_batch_with_one_bad_leg(client: Any, devnet: Any, ccxt: Any) -> None:
    client.load_markets()
    client.create_order(BTC, "market", "buy", 0.01, float(devnet.mark("BTC")))
    params = {"stopLossPrice": px(client, devnet, 0.9), "reduceOnly": True}
    stop = client.create_order(BTC, "market", "sell", 0.01, px(client, devnet, 0.9), params)
    assert client.fetch_order(stop["id"], BTC)["info"]["order"]["orderType"] == "Stop Market"
    good = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": px(client, devnet, 0.9)}
    with pytest.raises(ccxt.InvalidOrder, match="minimum value"):
        client.create_orders([good, good | {"amount": 0.0001}])
    ids = [order["id"] for order in client.fetch_open_orders(BTC)]
    assert len(ids) == 2
    client.cancel_orders(ids, BTC)
    assert client.fetch_open_orders(BTC) == []


def test_isolated_margin_can_be_chosen_and_added_to(client: Any, devnet: Any, ccxt: Any) -> None:
    client.load_markets()
    client.set_margin_mode("isolated", BTC, {"leverage": 5})
    client.create_order(BTC, "market", "buy", 0.01, float(devnet.mark("BTC")))
    (position,) = client.fetch_positions()
    assert position["marginMode"] == "isolated"
    client.add_margin(BTC, 50)
    (after,) = client.fetch_positions()
    assert after["collateral"] == pytest.approx(position["collateral"] + 50)
    with pytest.raises(ccxt.ExchangeError, match="Cannot switch leverage type with open position"):
        client.set_margin_mode("cross", BTC, {"leverage": 5})


async def test_the_streams_tell_what_happens(pro: Any, devnet: Any) -> None:
    await pro.load_markets()
    book = await pro.watch_order_book(BTC)
    assert book["bids"][0][0] < book["asks"][0][0]
    orders = asyncio.create_task(pro.watch_orders(BTC))
    fills = asyncio.create_task(pro.watch_my_trades(BTC))
    await until(lambda: _has(devnet, "userFills"))
    placed = await pro.create_order(BTC, "market", "buy", 0.01, float(devnet.mark("BTC")))
    assert {order["id"] for order in await asyncio.wait_for(orders, 5)} == {placed["id"]}
    assert [fill["order"] for fill in await asyncio.wait_for(fills, 5)] == [placed["id"]]
    candles = asyncio.create_task(pro.watch_ohlcv(BTC, "1m"))
    trades = asyncio.create_task(pro.watch_trades(BTC))
    ticker = asyncio.create_task(pro.watch_ticker(BTC))
    await until(lambda: all(_has(devnet, kind) for kind in ("candle", "trades", "activeAssetCtx")))
    devnet.do(devnet.net.step)
    assert (await asyncio.wait_for(candles, 5))[-1][4] == float(devnet.mark("BTC"))
    assert (await asyncio.wait_for(trades, 5))[-1]["price"] == float(devnet.mark("BTC"))
    assert (await asyncio.wait_for(ticker, 5))["last"] == float(devnet.mark("BTC"))


async def test_an_order_can_be_placed_and_cancelled_over_the_socket(pro: Any, devnet: Any) -> None:
    await pro.load_markets()
    limit = float(pro.price_to_precision(BTC, float(devnet.mark("BTC")) * 0.9))
    placed = await pro.create_order_ws(BTC, "limit", "buy", 0.01, limit)
    assert [order["id"] for order in await pro.fetch_open_orders(BTC)] == [placed["id"]]
    await pro.cancel_order_ws(placed["id"], BTC)
    assert await pro.fetch_open_orders(BTC) == []


async def test_balance_and_positions_are_watched_and_a_broken_socket_is_taken_up_again(
    pro: Any, devnet: Any, ccxt: Any
) -> None:
    await pro.load_markets()
    assert (await asyncio.wait_for(pro.watch_balance(), 5))["USDC"]["total"] == 10_000
    positions = asyncio.create_task(pro.watch_positions())
    await until(lambda: _has(devnet, "clearinghouseState"))
    await pro.create_order(BTC, "market", "buy", 0.01, float(devnet.mark("BTC")))
    assert (await asyncio.wait_for(positions, 5))[0]["contracts"] == 0.01
    await pro.watch_order_book(BTC)
    waiting = asyncio.create_task(pro.watch_order_book(BTC))
    await asyncio.sleep(0)
    devnet.do(devnet.net.server.hub.abort_all)
    with pytest.raises(ccxt.NetworkError):
        await asyncio.wait_for(waiting, 5)
    assert (await asyncio.wait_for(pro.watch_order_book(BTC), 5))["bids"]
    await pro.un_watch_order_book(BTC)
    assert not _has(devnet, "l2Book")


def _has(devnet: Any, kind: str) -> bool:
    connections = list(devnet.net.server.hub.connections)
    return any(one["type"] == kind for connection in connections for one in list(connection.subscriptions.values()))
