"""The venue's ledger as deposits: each row that moves money counts once, in the right direction."""

from decimal import Decimal
from typing import Any

import pytest

from tradebot.model.errors import Unreadable
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.transfers import transfers

US, THEM = "0x" + "a" * 40, "0x" + "b" * 40
BETWEEN = {"user": THEM, "destination": US, "sourceDex": "", "destinationDex": "", "token": "USDC", "amount": "5.0"}
NOW = 1_700_000_000_000


def row(kind: str, hash_: str = "0x1", **delta: Any) -> dict[str, Any]:
    return {"time": NOW, "hash": hash_, "delta": {"type": kind} | delta}


def amounts(*rows: dict[str, Any], is_unified: bool = False) -> list[str]:
    page = transfers(Node(list(rows), None, "reply"), US, is_unified=is_unified)
    return [str(deposit.amount.normalize()) for deposit in page.deposits]


@pytest.mark.parametrize(
    ("entry", "amount"),
    [
        (row("deposit", usdc="500.0"), "5E+2"),
        (row("withdraw", usdc="99.0", nonce=1, fee="1.0"), "-1E+2"),
        (row("internalTransfer", usdc="10.0", user=THEM, destination=US, fee="1.0"), "1E+1"),
        (row("internalTransfer", usdc="10.0", user=US, destination=THEM, fee="1.0"), "-11"),
        (row("subAccountTransfer", usdc="10.0", user=US, destination=THEM), "-1E+1"),
        (row("accountClassTransfer", usdc="3.0", toPerp=True), "3"),
        (row("accountClassTransfer", usdc="3.0", toPerp=False), "-3"),
        (row("vaultDeposit", vault=THEM, usdc="4.0"), "-4"),
        (row("vaultWithdraw", vault=THEM, user=US, netWithdrawnUsd="4.0"), "4"),
        (
            row("send", **BETWEEN | {"user": US, "destination": THEM}, fee="1.0"),
            "-6",
        ),
        (row("send", **BETWEEN | {"user": US, "sourceDex": "spot"}), "5"),
        (row("send", **BETWEEN), "5"),
    ],
)
def test_a_row_moves_money_as_its_type_says(entry: dict[str, Any], amount: str) -> None:
    assert amounts(entry) == [amount]


@pytest.mark.parametrize(
    "entry",
    [
        row("liquidation", liquidatedNtlPos="1.0", accountValue="0.0"),
        row("somethingNew", usdc="5.0"),
        row("spotTransfer", token="HYPE", amount="5.0", user=THEM, destination=US, fee="0.0"),
        row("spotTransfer", token="USDC", amount="5.0", user=THEM, destination=US, fee="0.0"),
        row("send", user=THEM, destination=US, sourceDex="", destinationDex="spot", token="USDC", amount="5.0"),
        row("send", user=THEM, destination=US, sourceDex="", destinationDex="", token="HYPE", amount="5.0"),
    ],
)
def test_a_row_that_moves_no_collateral_is_no_deposit(entry: dict[str, Any]) -> None:
    assert amounts(entry) == []


def test_within_a_unified_account_pockets_do_not_matter() -> None:
    assert amounts(row("accountClassTransfer", usdc="3.0", toPerp=True), is_unified=True) == []
    spot = row("spotTransfer", token="USDC", amount="5.0", user=THEM, destination=US, fee="0.0")
    assert amounts(spot, is_unified=True) == ["5"]
    within = row("send", user=US, destination=US, sourceDex="spot", destinationDex="", token="USDC", amount="5.0")
    assert amounts(within, is_unified=True) == []


def test_each_row_has_an_id_of_its_own_that_stays_the_same() -> None:
    rows = [row("deposit", "0x0", usdc="1.0"), row("deposit", "0x0", usdc="1.0"), row("deposit", "0x2", usdc="1.0")]
    page = transfers(Node(rows, None, "reply"), US, is_unified=False)
    assert len({deposit.id for deposit in page.deposits}) == 3
    assert transfers(Node(rows, None, "reply"), US, is_unified=False) == page
    assert (page.rows, page.last is not None) == (3, True)


@pytest.mark.parametrize("delta", [{"type": "deposit", "usdc": 5}, {"usdc": "5.0"}, {"type": "deposit", "usdc": "NaN"}])
def test_a_row_that_cannot_be_read_is_named(delta: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match="delta"):
        transfers(Node([{"time": NOW, "hash": "0x1", "delta": delta}], None, "reply"), US, is_unified=False)


def test_an_empty_ledger_is_no_deposit() -> None:
    page = transfers(Node([], None, "reply"), US, is_unified=False)
    assert (page.deposits, page.rows, page.last) == ((), 0, None)
    assert Decimal(0) == sum((deposit.amount for deposit in page.deposits), Decimal(0))
