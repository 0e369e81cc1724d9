"""What the devnet refuses, in the words of the real exchange; signed by hand, so that anything can be asked."""

import itertools
from typing import Any

import aiohttp
import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.sign import l1_digest

STRANGER = "0x" + "ab" * 20
_COUNT = itertools.count()


async def act(devnet: Any, action: dict[str, Any], vault: str | None = None, expires: int | None = None) -> Any:
    """Return what ``/exchange`` answers to ``action``, signed by the owner of the account."""
    key = SigningKey(bytes.fromhex(devnet.key.removeprefix("0x")))
    nonce = devnet.net.exchange.now_ms + next(_COUNT)
    digest = l1_digest(action, nonce, vault=vault, expires_after=expires, is_mainnet=False)
    body: dict[str, Any] = {"action": action, "nonce": nonce, "signature": key.sign_digest(digest).wire()}
    body |= {} if vault is None else {"vaultAddress": vault}
    body |= {} if expires is None else {"expiresAfter": expires}
    async with aiohttp.ClientSession() as web, web.post(f"{devnet.url}/exchange", json=body) as response:
        return await response.json()


def order(devnet: Any, **changes: Any) -> dict[str, Any]:
    price = str(int(devnet.mark("BTC") / 2))
    wire = {"a": 0, "b": True, "p": price, "s": "0.01", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    return wire | changes


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"type": "setReferrer", "code": "FRIEND"}, "Referral code not registered"),
        ({"type": "createSubAccount", "name": "second"}, "Cannot create sub-accounts until enough volume traded."),
        ({"type": "vaultTransfer", "vaultAddress": STRANGER, "isDeposit": True, "usd": 1}, "Vault not registered"),
        ({"type": "subAccountTransfer", "subAccountUser": STRANGER, "isDeposit": True, "usd": 1}, "Vault not reg"),
        ({"type": "reserveRequestWeight", "weight": 10**12}, "Insufficient balance for withdrawal"),
        ({"type": "scheduleCancel"}, "Cannot set scheduled cancel time until enough volume traded."),
        ({"type": "updateIsolatedMargin", "asset": 0, "isBuy": True, "ntli": 1_000_000}, "does not use isolated"),
        ({"type": "updateLeverage", "asset": 77, "isCross": True, "leverage": 2}, "Invalid asset: 77"),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
async def test_an_action_is_refused_as_the_real_exchange_does(devnet: Any, action: dict[str, Any], text: str) -> None:
    answer = await act(devnet, action)
    assert answer["status"] == "err"
    assert text in answer["response"]


async def test_an_action_refused_whole_costs_nothing_and_one_that_came_too_late_five(devnet: Any) -> None:
    account = devnet.net.exchange.account(devnet.user)
    assert (await act(devnet, {"type": "noop"}))["status"] == "ok"
    assert account.requests == 1
    assert (await act(devnet, {"type": "reserveRequestWeight", "weight": 10**12}))["status"] == "err"
    assert account.requests == 1
    assert (await act(devnet, {"type": "noop"}, expires=1))["response"] == "Action already expired"
    assert account.requests == 6


async def test_weight_that_is_paid_for_is_granted(devnet: Any) -> None:
    account = devnet.net.exchange.account(devnet.user)
    before = account.withdrawable()
    assert (await act(devnet, {"type": "reserveRequestWeight", "weight": 100}))["status"] == "ok"
    assert account.withdrawable() < before


async def test_what_came_too_late_does_nothing(devnet: Any) -> None:
    placing = {"type": "order", "orders": [order(devnet)], "grouping": "na"}
    answer = await act(devnet, placing, expires=devnet.net.exchange.now_ms - 1)
    assert answer == {"status": "err", "response": "Action already expired"}
    assert not devnet.net.exchange.account(devnet.user).open


async def test_nobody_acts_for_a_vault_that_is_not_there(devnet: Any) -> None:
    answer = await act(devnet, {"type": "noop"}, vault=STRANGER)
    assert answer == {"status": "err", "response": f"Vault not registered: {STRANGER}"}


async def test_a_builder_needs_the_leave_of_the_account(devnet: Any) -> None:
    placing = {"type": "order", "orders": [order(devnet)], "grouping": "na", "builder": {"b": STRANGER, "f": 10}}
    assert (await act(devnet, placing))["response"] == "Builder fee has not been approved."


async def test_an_order_that_is_gone_cannot_be_modified(devnet: Any) -> None:
    answer = await act(devnet, {"type": "modify", "oid": 4711, "order": order(devnet)})
    assert answer["status"] == "err"
    assert "Cannot modify" in answer["response"]
    several = {"type": "batchModify", "modifies": [{"oid": 4711, "order": order(devnet)}]}
    (status,) = (await act(devnet, several))["response"]["data"]["statuses"]
    assert "Cannot modify" in status["error"]


async def test_a_modified_order_that_breaks_the_rules_leaves_the_old_one(devnet: Any) -> None:
    placed = await act(devnet, {"type": "order", "orders": [order(devnet)], "grouping": "na"})
    oid = placed["response"]["data"]["statuses"][0]["resting"]["oid"]
    answer = await act(devnet, {"type": "modify", "oid": oid, "order": order(devnet, s="0.0000001")})
    assert answer["status"] == "err"
    assert list(devnet.net.exchange.account(devnet.user).open) == [oid]
    moved = await act(devnet, {"type": "modify", "oid": oid, "order": order(devnet, s="0.02")})
    assert moved["status"] == "ok"
    (working,) = devnet.net.exchange.account(devnet.user).open.values()
    assert str(working.sz) == "0.02"
    assert working.oid != oid
