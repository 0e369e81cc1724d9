"""The unmodified official Python SDK lives its trading life on the devnet: Info, Exchange, WebsocketManager."""

import queue
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")
pytest.importorskip("hyperliquid", reason="hyperliquid-python-sdk is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eth_account
    from hyperliquid.exchange import Exchange
    from hyperliquid.info import Info
    from hyperliquid.utils.types import Cloid

GTC, IOC, ALO = ({"limit": {"tif": tif}} for tif in ("Gtc", "Ioc", "Alo"))


def trigger(price: float, tpsl: str) -> dict[str, Any]:
    return {"trigger": {"triggerPx": price, "isMarket": True, "tpsl": tpsl}}


@pytest.fixture
def info(devnet: Any) -> Iterator[Any]:
    made = Info(devnet.url, skip_ws=True)
    yield made
    made.session.close()


@pytest.fixture
def trader(devnet: Any) -> Iterator[Any]:
    made = Exchange(eth_account.Account.from_key(devnet.key), devnet.url)
    yield made
    made.session.close()
    made.info.session.close()


def price(devnet: Any, factor: float) -> float:
    return float(round(float(devnet.mark("BTC")) * factor))


def statuses(reply: Any) -> list[Any]:
    assert reply["status"] == "ok", reply
    return list(reply["response"]["data"]["statuses"])


def test_everything_that_is_read_has_an_answer(info: Any, devnet: Any) -> None:
    user = devnet.user
    assert set(info.all_mids()) == {"BTC", "ETH"}
    assert [coin["name"] for coin in info.meta()["universe"]] == ["BTC", "ETH"]
    assert len(info.meta_and_asset_ctxs()[1]) == 2
    assert info.user_state(user)["marginSummary"]["accountValue"] == "10000.0"
    assert info.open_orders(user) == info.frontend_open_orders(user) == info.historical_orders(user) == []
    assert info.user_fills(user) == info.user_fills_by_time(user, 0) == []
    assert info.user_funding_history(user, 0) == []
    assert info.funding_history("BTC", 0)[0]["fundingRate"] == "0.0000125"
    assert len(info.l2_snapshot("BTC")["levels"][0]) == 20
    newest = info.candles_snapshot("BTC", "1m", 0, 1 << 60)[-1]
    assert newest["c"] == info.all_mids()["BTC"]
    assert info.user_rate_limit(user)["nRequestsCap"] == 10_000
    assert info.user_role(user) == {"role": "user"}
    assert info.query_order_by_oid(user, 1) == {"status": "unknownOid"}
    for name in ("user_fees", "portfolio", "query_referral_state", "extra_agents", "user_non_funding_ledger_updates"):
        assert getattr(info, name)(*([user, 0] if name.endswith("updates") else [user])) is not None
    assert info.query_sub_accounts(user) is None
    assert info.spot_user_state(user) == {"balances": []}


def test_a_stranger_has_an_empty_account(info: Any) -> None:
    assert info.user_state("0x" + "9" * 40)["assetPositions"] == []


def test_market_orders_open_and_close(trader: Any, info: Any, devnet: Any) -> None:
    (filled,) = statuses(trader.market_open("BTC", True, 0.01))
    assert filled["filled"]["totalSz"] == "0.01"
    position = info.user_state(devnet.user)["assetPositions"][0]["position"]
    assert (position["szi"], position["entryPx"]) == ("0.01", filled["filled"]["avgPx"])
    statuses(trader.market_close("BTC"))
    assert info.user_state(devnet.user)["assetPositions"] == []
    close, opened = info.user_fills(devnet.user)
    assert (opened["dir"], close["dir"], opened["crossed"]) == ("Open Long", "Close Long", True)
    cash = 10_000 + float(close["closedPnl"]) - float(opened["fee"]) - float(close["fee"])
    assert float(info.user_state(devnet.user)["marginSummary"]["accountValue"]) == pytest.approx(cash, abs=1e-6)


def test_a_resting_order_is_found_by_both_ids_modified_and_cancelled(trader: Any, info: Any, devnet: Any) -> None:
    cloid = Cloid.from_str("0x" + "ab" * 16)
    (placed,) = statuses(trader.order("BTC", True, 0.01, price(devnet, 0.9), GTC, cloid=cloid))
    oid = placed["resting"]["oid"]
    assert info.query_order_by_cloid(devnet.user, cloid)["order"]["order"]["oid"] == oid
    (modified,) = statuses(trader.modify_order(oid, "BTC", True, 0.02, price(devnet, 0.91), GTC, cloid=cloid))
    assert modified["resting"]["oid"] != oid
    assert info.query_order_by_oid(devnet.user, oid)["order"]["status"] == "canceled"
    assert statuses(trader.cancel_by_cloid("BTC", cloid)) == ["success"]
    text = "Order was never placed, already canceled, or filled. asset=0"
    assert statuses(trader.cancel("BTC", modified["resting"]["oid"])) == [{"error": text}]


def test_a_bracket_waits_for_its_parent_and_its_first_exit_cancels_the_other(
    trader: Any, info: Any, devnet: Any
) -> None:
    legs = [
        order(True, 0.01, price(devnet, 0.99), GTC),
        order(False, 0.01, price(devnet, 0.9), trigger(price(devnet, 0.95), "sl"), reduce_only=True),
        order(False, 0.01, price(devnet, 1.0), trigger(price(devnet, 1.05), "tp"), reduce_only=True),
    ]
    parent, *children = statuses(trader.bulk_orders(legs, grouping="normalTpsl"))
    assert children == ["waitingForFill", "waitingForFill"]
    devnet.move("BTC", str(price(devnet, 0.985)))
    assert info.query_order_by_oid(devnet.user, parent["resting"]["oid"])["order"]["status"] == "filled"
    assert len(info.frontend_open_orders(devnet.user)) == 2
    devnet.move("BTC", str(price(devnet, 1.07)))
    assert info.user_state(devnet.user)["assetPositions"] == []
    done = {row["order"]["orderType"]: row["status"] for row in reversed(info.historical_orders(devnet.user))}
    assert done == {"Limit": "filled", "Take Profit Market": "filled", "Stop Market": "siblingFilledCanceled"}


def test_cancelling_the_parent_cancels_its_exits(trader: Any, info: Any, devnet: Any) -> None:
    legs = [
        order(True, 0.01, price(devnet, 0.9), GTC),
        order(False, 0.01, price(devnet, 0.7), trigger(price(devnet, 0.8), "sl"), reduce_only=True),
    ]
    parent, _ = statuses(trader.bulk_orders(legs, grouping="normalTpsl"))
    trader.cancel("BTC", parent["resting"]["oid"])
    assert info.frontend_open_orders(devnet.user) == []


def test_a_stop_for_the_whole_position_grows_with_it(trader: Any, info: Any, devnet: Any) -> None:
    trader.market_open("BTC", True, 0.01)
    stop = order(False, 0, price(devnet, 0.8), trigger(price(devnet, 0.95), "sl"), reduce_only=True)
    assert statuses(trader.bulk_orders([stop], grouping="positionTpsl")) == ["waitingForTrigger"]
    trader.market_open("BTC", True, 0.02)
    devnet.move("BTC", str(price(devnet, 0.94)))
    assert info.user_state(devnet.user)["assetPositions"] == []
    assert info.user_fills(devnet.user)[0]["sz"] == "0.03"


def test_a_batch_keeps_what_was_placed_before_a_bad_leg(trader: Any, info: Any, devnet: Any) -> None:
    good = order(True, 0.01, price(devnet, 0.9), GTC)
    first, second, third = statuses(
        trader.bulk_orders(
            [good, order(True, 0.0001, price(devnet, 0.9), GTC), order(True, 9.0, price(devnet, 1.0), GTC)]
        )
    )
    assert "resting" in first
    assert second == {"error": "Order must have minimum value of $10. asset=0"}
    assert third == {"error": "Insufficient margin to place order. asset=0"}
    assert len(info.open_orders(devnet.user)) == 1


@pytest.mark.parametrize(
    ("limit", "size", "kind", "reduce_only", "text"),
    [
        (0.9, 0.01, IOC, False, "Order could not immediately match against any resting orders. asset=0"),
        (0.99, 0.01, GTC, True, "Reduce only order would increase position. asset=0"),
        (0.1, 0.01, GTC, False, "Order price cannot be more than 80% away from the reference price"),
        (0.9, 0.000001, GTC, False, "Order has invalid size."),
        (0.9, 0.0, GTC, False, "Order has zero size."),
    ],
)
def test_refusals_have_the_real_texts(
    trader: Any, devnet: Any, limit: float, size: float, kind: Any, reduce_only: bool, text: str
) -> None:
    reply = trader.order("BTC", True, size, price(devnet, limit), kind, reduce_only=reduce_only)
    assert statuses(reply) == [{"error": text}]


def test_a_price_off_the_tick_is_refused(trader: Any, devnet: Any) -> None:
    reply = trader.order("BTC", True, 0.01, price(devnet, 0.9) + 0.5, GTC)
    assert statuses(reply) == [{"error": "Price must be divisible by tick size. asset=0"}]
    assert statuses(trader.order("BTC", True, 0.01, 12345.67, GTC)) == [{"error": "Order has invalid price."}]


def test_an_agent_trades_for_its_master_until_it_is_replaced(trader: Any, info: Any, devnet: Any) -> None:
    reply, key = trader.approve_agent("night")
    assert reply == {"status": "ok", "response": {"type": "default"}}
    agent = Exchange(eth_account.Account.from_key(key), devnet.url, account_address=devnet.user)
    statuses(agent.market_open("BTC", True, 0.01))
    assert info.user_state(devnet.user)["assetPositions"][0]["position"]["szi"] == "0.01"
    address = agent.wallet.address.lower()
    assert info.user_role(address) == {"role": "agent", "data": {"user": devnet.user}}
    assert [one["name"] for one in info.extra_agents(devnet.user)] == ["night"]
    trader.approve_agent("night")
    gone = agent.order("BTC", True, 0.01, price(devnet, 0.9), GTC)
    assert gone == {"status": "err", "response": f"User or API Wallet {address} does not exist."}
    agent.session.close()
    agent.info.session.close()


def test_leverage_margin_transfers_and_the_rest_of_the_actions(trader: Any, info: Any, devnet: Any) -> None:
    ok = {"status": "ok", "response": {"type": "default"}}
    assert trader.update_leverage(10, "BTC") == ok
    assert trader.update_leverage(41, "BTC") == {"status": "err", "response": "Invalid leverage value"}
    assert trader.update_leverage(5, "ETH", is_cross=False) == ok
    statuses(trader.market_open("ETH", False, 1.0))
    assert trader.update_isolated_margin(20, "ETH") == ok
    position = info.user_state(devnet.user)["assetPositions"][0]["position"]
    assert position["leverage"]["type"] == "isolated"
    assert trader.usd_class_transfer(100, False) == ok
    assert info.spot_user_state(devnet.user)["balances"][0]["total"] == "100.0"
    assert trader.usd_transfer(10, "0x" + "7" * 40) == ok
    assert info.user_state("0x" + "7" * 40)["withdrawable"] == "10.0"
    assert trader.withdraw_from_bridge(5, "0x" + "7" * 40) == ok
    assert trader.noop(nonce := devnet.net.exchange.now_ms) == ok
    assert trader.noop(nonce)["response"] == f"Invalid nonce: duplicate nonce {nonce}"
    assert "enough volume traded. Required: $1000000" in trader.schedule_cancel(None)["response"]
    assert trader.set_referrer("X")["response"] == "Referral code not registered"
    assert len(info.user_non_funding_ledger_updates(devnet.user, 0)) == 4


def test_an_expired_action_is_refused(trader: Any, devnet: Any) -> None:
    trader.set_expires_after(devnet.net.exchange.now_ms - 1)
    reply = trader.order("BTC", True, 0.01, price(devnet, 0.9), GTC)
    assert reply == {"status": "err", "response": "Action already expired"}


def test_a_vault_is_refused(devnet: Any) -> None:
    vault = "0x" + "5" * 40
    made = Exchange(eth_account.Account.from_key(devnet.key), devnet.url, vault_address=vault)
    reply = made.order("BTC", True, 0.01, price(devnet, 0.9), GTC)
    assert reply == {"status": "err", "response": f"Vault not registered: {vault}"}
    made.session.close()
    made.info.session.close()


def test_the_streams_of_the_websocket_manager(trader: Any, devnet: Any) -> None:
    info = Info(devnet.url)
    user, heard = devnet.user, {}
    wanted = [
        *({"type": kind, "coin": "BTC"} for kind in ("l2Book", "trades", "bbo", "activeAssetCtx")),
        {"type": "candle", "coin": "BTC", "interval": "1m"},
        *(
            {"type": kind, "user": user}
            for kind in ("userEvents", "userFills", "orderUpdates", "userFundings", "webData2")
        ),
        {"type": "userNonFundingLedgerUpdates", "user": user},
        {"type": "activeAssetData", "user": user, "coin": "BTC"},
        {"type": "allMids"},
    ]
    for subscription in wanted:
        heard[subscription["type"]] = queue.Queue()
        info.subscribe(subscription, heard[subscription["type"]].put)
    snapshots = ("l2Book", "bbo", "activeAssetCtx", "candle", "userFills", "webData2", "activeAssetData", "allMids")
    for kind in snapshots:
        heard[kind].get(timeout=5)
    statuses(trader.market_open("BTC", True, 0.01))
    devnet.do(devnet.net.step)
    assert heard["userFills"].get(timeout=5)["data"]["fills"][0]["dir"] == "Open Long"
    assert heard["userEvents"].get(timeout=5)["channel"] == "user"
    updates = heard["orderUpdates"].get(timeout=5)["data"]
    assert [update["status"] for update in updates] == ["open", "filled"]
    assert heard["trades"].get(timeout=5)["data"][0]["coin"] == "BTC"
    info.disconnect_websocket()
    info.session.close()


def order(is_buy: bool, size: float, limit: float, kind: Any, *, reduce_only: bool = False) -> dict[str, Any]:
    return {
        "coin": "BTC",
        "is_buy": is_buy,
        "sz": size,
        "limit_px": limit,
        "order_type": kind,
        "reduce_only": reduce_only,
    }
