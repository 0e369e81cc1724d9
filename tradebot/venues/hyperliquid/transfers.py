"""Money that came to an account or left it other than by trading: the ledger of the venue, as deposits.

A row says what was moved, and by its type which way. Types that move nothing between the account and the world are
left out, and so are those we do not know: what they did shows as a difference of money, which is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.money import ZERO, book
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos, to_ms
from tradebot.venues.hyperliquid.account import COLLATERAL
from tradebot.venues.hyperliquid.reading import Node

_MAX_CASH = Decimal(10**15)
_SPOT = "spot"


@dataclass(frozen=True, slots=True)
class TransferPage:
    """The deposits of one reply, how many rows it had, and the time of the last."""

    deposits: tuple[Deposit, ...]
    rows: int
    last: Nanos | None


@dataclass(frozen=True, slots=True)
class _Moved:
    """A row of the ledger, and for whom it is read."""

    delta: Node
    account: str
    is_unified: bool

    def cash(self, key: str) -> Decimal:
        node = self.delta.get(key)
        return ZERO if node is None else node.decimal(_MAX_CASH)

    def signed(self, amount: Decimal, fee: Decimal) -> Decimal:
        """Return ``amount`` as it is for the account: in when it is the destination, else out, with its fee."""
        if self.delta.at("destination").address() == self.account:
            return amount
        return -(amount + fee)


def _class_transfer(moved: _Moved) -> Decimal:
    # Within a unified account it goes from one pocket to the other.
    if moved.is_unified:
        return ZERO
    return moved.cash("usdc") if moved.delta.at("toPerp").flag() else -moved.cash("usdc")


def _spot_transfer(moved: _Moved) -> Decimal:
    if not moved.is_unified or moved.delta.at("token").value != COLLATERAL:
        return ZERO
    return moved.signed(moved.cash("amount"), moved.cash("fee"))


def _send(moved: _Moved) -> Decimal:
    delta = moved.delta
    if delta.at("token").value != COLLATERAL:
        return ZERO
    outside = () if moved.is_unified else (_SPOT,)
    amount = moved.cash("amount")
    came = delta.at("destination").address() == moved.account and delta.at("destinationDex").value not in outside
    left = delta.at("user").address() == moved.account and delta.at("sourceDex").value not in outside
    return (amount if came else ZERO) - (amount + moved.cash("fee") if left else ZERO)


_AMOUNTS: Mapping[str, Callable[[_Moved], Decimal]] = {
    "deposit": lambda moved: moved.cash("usdc"),
    "withdraw": lambda moved: -(moved.cash("usdc") + moved.cash("fee")),
    "internalTransfer": lambda moved: moved.signed(moved.cash("usdc"), moved.cash("fee")),
    "subAccountTransfer": lambda moved: moved.signed(moved.cash("usdc"), ZERO),
    "accountClassTransfer": _class_transfer,
    "spotTransfer": _spot_transfer,
    "send": _send,
    "vaultCreate": lambda moved: -(moved.cash("usdc") + moved.cash("fee")),
    "vaultDeposit": lambda moved: -moved.cash("usdc"),
    "vaultWithdraw": lambda moved: moved.cash("netWithdrawnUsd"),
}


def transfers(reply: Node, account: str, *, is_unified: bool) -> TransferPage:
    """Return ``userNonFundingLedgerUpdates`` as deposits, each with an id of its own, for ``account``."""
    deposits: list[Deposit] = []
    times: dict[str, int] = {}
    rows, last = 0, None
    for row in reply.rows():
        rows, last = rows + 1, row.at("time").time()
        delta = row.at("delta")
        read = _AMOUNTS.get(delta.at("type").text())
        amount = ZERO if read is None else read(_Moved(delta, account, is_unified))
        # One transaction can move money more than once, and some have no hash at all.
        name = f"{row.at('hash').text()}-{to_ms(last)}"
        times[name] = times.get(name, 0) + 1
        if amount:
            name = name if times[name] == 1 else f"{name}-{times[name]}"
            deposits.append(Deposit(ts_event=last, id=name, amount=book(amount)))
    return TransferPage(tuple(deposits), rows, last)
