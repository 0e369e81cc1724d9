"""Sub-accounts: accounts of one owner with money and positions of their own, traded by the owner's keys."""

from dataclasses import dataclass
from decimal import Decimal

from tradebot.devnet.account import CROSS, UserAccount
from tradebot.devnet.chance import digest
from tradebot.devnet.registry import Bank, take
from tradebot.devnet.wire import Json, RefusedWhole, number

REQUIRED_VOLUME = Decimal(100_000)
MAX_SUB_ACCOUNTS = 10
_ADDRESS_CHARS = 42


@dataclass(frozen=True, slots=True)
class SubAccount:
    """A sub-account: its name, its own account, and the address of its owner."""

    name: str
    account: UserAccount
    master: str


class SubAccounts:
    """All sub-accounts of the exchange, by address."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._by_user: dict[str, SubAccount] = {}

    def find(self, user: str) -> SubAccount | None:
        """Return the sub-account of an address."""
        return self._by_user.get(user)

    def of(self, master: str) -> list[SubAccount]:
        """Return the sub-accounts of an owner, oldest first."""
        return [sub for sub in self._by_user.values() if sub.master == master]

    def create(self, master: UserAccount, name: str) -> str:
        """Open a sub-account and return its address. Raises ``RefusedWhole``."""
        if master.volume < REQUIRED_VOLUME:
            traded = f"{master.volume.normalize():f}"
            raise RefusedWhole(
                "Cannot create sub-accounts until enough volume traded. "
                f"Required: ${REQUIRED_VOLUME:f}. Traded: ${traded}."
            )
        owned = self.of(master.user)
        if not name or any(sub.name == name for sub in owned):
            raise RefusedWhole("Invalid sub-account name")
        if len(owned) >= MAX_SUB_ACCOUNTS:
            raise RefusedWhole("Too many sub-accounts")
        address = digest("sub-account", master.user, name)[:_ADDRESS_CHARS]
        self._by_user[address] = SubAccount(name, self._bank.open(address), master.user)
        return address

    def transfer(self, master: UserAccount, user: str, amount: Decimal, *, is_deposit: bool) -> None:
        """Move ``amount`` of perpetual collateral to a sub-account, or back. Raises ``RefusedWhole``."""
        sub = self._by_user.get(user)
        if sub is None or sub.master != master.user:
            raise RefusedWhole(f"Vault not registered: {user}")
        move(self._bank, (master, sub.account) if is_deposit else (sub.account, master), amount)


def move(bank: Bank, way: tuple[UserAccount, UserAccount], amount: Decimal) -> None:
    """Move ``amount`` from the first account to the second, and tell both ledgers. Raises ``RefusedWhole``."""
    source, target = way
    take(source, amount, "Insufficient balance for withdrawal")
    target.transfer(CROSS, amount)
    delta: Json = {"type": "subAccountTransfer", "usdc": number(amount), "user": source.user}
    row = bank.ledger_row(delta | {"destination": target.user})
    for account in way:
        account.enter(row)
        bank.tell(account)
