"""The unmodified SDK moves money between pockets, sub-accounts and vaults, and ends agents."""

import itertools
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("hyperliquid", reason="hyperliquid-python-sdk is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eth_account
    from hyperliquid.exchange import Exchange
    from hyperliquid.utils.signing import get_timestamp_ms, sign_agent, sign_l1_action

NOBODY = "0x" + "0" * 40
STRANGER = "0x" + "ab" * 20
OTHER_KEY = "0x" + "7" * 64
# Above those of the SDK, which are its milliseconds.
_NONCES = itertools.count(60_000)
OK = {"status": "ok", "response": {"type": "default"}}


@pytest.fixture
def client(devnet: Any) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(key: str = "", **options: Any) -> Any:
        made.append(Exchange(eth_account.Account.from_key(key or devnet.key), devnet.url, **options))
        return made[-1]

    yield make
    for one in made:
        one.session.close()
        one.info.session.close()


def approve(owner: Any, agent: str, name: str) -> Any:
    action = {
        "type": "approveAgent",
        "agentAddress": agent,
        "agentName": name,
        "nonce": get_timestamp_ms() + next(_NONCES),
    }
    return owner._post_action(action, sign_agent(owner.wallet, action, False), action["nonce"])


def create_vault(leader: Any, name: str, usd: int) -> Any:
    nonce = get_timestamp_ms() + next(_NONCES)
    action = {"type": "createVault", "name": name, "description": "grids", "initialUsd": usd * 10**6, "nonce": nonce}
    return leader._post_action(action, sign_l1_action(leader.wallet, action, None, nonce, None, False), nonce)


def make_rich(devnet: Any) -> None:
    devnet.do(lambda: setattr(devnet.net.exchange.account(devnet.user), "volume", Decimal(200_000)))


def value(owner: Any, user: str) -> str:
    return str(owner.info.user_state(user)["marginSummary"]["accountValue"])


def ledger(owner: Any, user: str) -> list[Any]:
    return [row["delta"] for row in owner.info.user_non_funding_ledger_updates(user, 0)]


def test_the_zero_address_ends_the_agent_of_its_name(client: Any, devnet: Any) -> None:
    owner, agent = client(), eth_account.Account.from_key(OTHER_KEY).address
    assert approve(owner, agent, "bot") == OK
    trader = client(OTHER_KEY, account_address=devnet.user)
    assert trader.update_leverage(3, "BTC")["status"] == "ok"
    assert approve(owner, NOBODY, "bot") == OK
    assert owner.info.extra_agents(devnet.user) == []
    assert owner.info.user_role(agent) == {"role": "missing"}
    assert trader.update_leverage(4, "BTC")["response"] == f"User or API Wallet {agent.lower()} does not exist."
    assert approve(owner, NOBODY, "bot")["status"] == "err"


def test_a_sub_account_takes_money_trades_and_gives_it_back(client: Any, devnet: Any) -> None:
    make_rich(devnet)
    owner = client()
    made = owner.create_sub_account("grid")
    sub = made["response"]["data"]
    assert made["response"]["type"] == "createSubAccount"
    assert owner.info.user_role(sub) == {"role": "subAccount", "data": {"master": devnet.user}}
    assert owner.sub_account_transfer(sub, True, 300_000_000) == OK
    assert (value(owner, sub), value(owner, devnet.user)) == ("300.0", "9700.0")
    moved = {"type": "subAccountTransfer", "usdc": "300.0", "user": devnet.user, "destination": sub}
    assert ledger(owner, sub) == [moved]
    assert ledger(owner, devnet.user)[-1] == moved
    trader = client(vault_address=sub)
    (filled,) = trader.market_open("BTC", True, 0.001)["response"]["data"]["statuses"]
    assert "filled" in filled
    (row,) = owner.info.query_sub_accounts(devnet.user)
    assert (row["name"], row["master"], row["subAccountUser"]) == ("grid", devnet.user, sub)
    assert row["clearinghouseState"]["assetPositions"][0]["position"]["szi"] == "0.001"
    assert owner.info.user_state(devnet.user)["assetPositions"] == []
    assert owner.sub_account_transfer(sub, False, 300_000_000)["response"] == "Insufficient balance for withdrawal"
    assert owner.sub_account_transfer(sub, False, 100_000_000) == OK
    assert trader.usd_class_transfer(50, False) == OK
    assert owner.info.spot_user_state(sub)["balances"][0]["total"] == "50.0"


def test_sub_accounts_are_their_masters_alone(client: Any, devnet: Any) -> None:
    owner = client()
    assert "enough volume traded" in owner.create_sub_account("early")["response"]
    make_rich(devnet)
    sub = owner.create_sub_account("grid")["response"]["data"]
    assert owner.create_sub_account("grid")["status"] == "err"
    other = eth_account.Account.from_key(OTHER_KEY).address.lower()
    devnet.do(lambda: devnet.net.exchange.fund(other, Decimal(100)))
    thief = client(OTHER_KEY)
    assert thief.sub_account_transfer(sub, False, 1)["response"] == f"Vault not registered: {sub}"
    assert client(OTHER_KEY, vault_address=sub).update_leverage(3, "BTC")["response"] == f"Vault not registered: {sub}"
    exchange = devnet.net.exchange
    for number in range(9):
        devnet.do(lambda name=f"n{number}": exchange.sub_accounts.create(exchange.account(devnet.user), name))
    assert owner.create_sub_account("more")["response"] == "Too many sub-accounts"


def test_a_vault_is_opened_joined_traded_and_left(client: Any, devnet: Any) -> None:
    leader, other = client(), eth_account.Account.from_key(OTHER_KEY).address.lower()
    devnet.do(lambda: devnet.net.exchange.fund(other, Decimal(1000)))
    assert "at least $100" in create_vault(leader, "small", 99)["response"]
    vault = create_vault(leader, "grids", 1000)["response"]["data"]
    assert value(leader, devnet.user) == "8900.0"
    assert leader.info.user_role(vault) == {"role": "vault"}
    follower = client(OTHER_KEY)
    assert follower.vault_usd_transfer(vault, True, 500_000_000) == OK
    (row,) = leader.info.user_vault_equities(other)
    assert (row["vaultAddress"], row["equity"]) == (vault, "500.0")
    details = leader.info.post("/info", {"type": "vaultDetails", "vaultAddress": vault, "user": other})
    assert (details["name"], details["leader"], details["followerState"]["vaultEquity"]) == (
        "grids",
        devnet.user,
        "500.0",
    )
    assert leader.info.post("/info", {"type": "vaultDetails", "vaultAddress": STRANGER}) is None
    (filled,) = client(vault_address=vault).market_open("BTC", True, 0.01)["response"]["data"]["statuses"]
    assert "filled" in filled
    assert follower.vault_usd_transfer(vault, False, 100_000_000)["response"].endswith("lockup period")
    devnet.do(lambda: devnet.net.exchange.vaults.find(vault).locked_until_ms.update({other: 0, devnet.user: 0}))
    assert follower.vault_usd_transfer(vault, False, 501_000_000)["response"].startswith("Insufficient vault equity")
    assert follower.vault_usd_transfer(vault, False, 100_000_000) == OK
    assert value(leader, other) == "600.0"
    assert [delta["type"] for delta in ledger(leader, other)] == ["deposit", "vaultDeposit", "vaultWithdraw"]
    assert "5%" in leader.vault_usd_transfer(vault, False, 990_000_000)["response"]
    assert leader.vault_usd_transfer(STRANGER, True, 1)["response"] == f"Vault not registered: {STRANGER}"
    web = leader.info.post("/info", {"type": "webData2", "user": devnet.user})
    assert (web["leadingVaults"][0]["name"], web["totalVaultEquity"] > "9") == ("grids", True)


def test_pockets_refuse_what_they_do_not_hold(client: Any, devnet: Any) -> None:
    owner = client()
    assert owner.usd_class_transfer(10_001, False)["response"] == "Insufficient balance for withdrawal"
    assert owner.usd_class_transfer(1, True)["response"] == "Insufficient balance for token transfer"
    assert owner.usd_class_transfer(Decimal("0.25"), False) == OK
    assert ledger(owner, devnet.user)[-1] == {"type": "accountClassTransfer", "usdc": "0.25", "toPerp": False}
