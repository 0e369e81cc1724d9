"""Vaults: accounts that one leads and many own by shares of their equity.

Texts of refusals that no client has reported are this devnet's own. Nothing is taken from a follower's profit.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from tradebot.devnet.account import CROSS, UserAccount
from tradebot.devnet.chance import digest
from tradebot.devnet.registry import Bank, take
from tradebot.devnet.wire import Json, RefusedWhole, number, rounded
from tradebot.model.money import ZERO

CREATION_FEE = Decimal(100)
LEAST_INITIAL = Decimal(100)
LEADER_SHARE = Decimal("0.05")
LOCKED_MS = 86_400_000
_ADDRESS_CHARS = 42


@dataclass(slots=True)
class Vault:
    """A vault: its account, who leads it, and for each depositor the shares and until when they are locked."""

    name: str
    description: str
    leader: str
    account: UserAccount
    shares: dict[str, Decimal] = field(default_factory=dict)
    locked_until_ms: dict[str, int] = field(default_factory=dict)

    @property
    def equity(self) -> Decimal:
        """What all of it is worth at the marks."""
        return sum((self.account.equity(pool) for pool in self.account.pools), ZERO)

    @property
    def price(self) -> Decimal:
        """What a share is worth."""
        total = sum(self.shares.values(), ZERO)
        return self.equity / total if total else Decimal(1)

    def equity_of(self, user: str) -> Decimal:
        """Return what a depositor's shares are worth."""
        return self.shares.get(user, ZERO) * self.price


class Vaults:
    """All vaults of the exchange, by address."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._by_user: dict[str, Vault] = {}

    def find(self, user: str) -> Vault | None:
        """Return the vault of an address."""
        return self._by_user.get(user)

    def of(self, user: str) -> list[Vault]:
        """Return the vaults of which a user owns shares."""
        return [vault for vault in self._by_user.values() if vault.shares.get(user)]

    def led_by(self, user: str) -> list[Vault]:
        """Return the vaults that a user leads."""
        return [vault for vault in self._by_user.values() if vault.leader == user]

    def create(self, leader: UserAccount, name: str, description: str, amount: Decimal) -> str:
        """Open a vault with ``amount`` of its leader and return its address. Raises ``RefusedWhole``."""
        if amount < LEAST_INITIAL:
            raise RefusedWhole(f"Initial deposit in vault must be at least ${LEAST_INITIAL:f}")
        take(leader, amount + CREATION_FEE, "Insufficient balance for withdrawal")
        address = digest("vault", leader.user, name, len(self._by_user))[:_ADDRESS_CHARS]
        account = self._bank.open(address)
        vault = self._by_user[address] = Vault(name, description, leader.user, account)
        self._put(vault, leader.user, amount)
        delta: Json = {"type": "vaultCreate", "vault": address, "usdc": number(amount), "fee": number(CREATION_FEE)}
        leader.enter(self._bank.ledger_row(delta))
        return address

    def transfer(self, user: UserAccount, address: str, amount: Decimal, *, is_deposit: bool) -> None:
        """Buy shares of a vault for ``amount``, or sell them. Raises ``RefusedWhole``."""
        vault = self._by_user.get(address)
        if vault is None:
            raise RefusedWhole(f"Vault not registered: {address}")
        if is_deposit:
            take(user, amount, "Insufficient balance for withdrawal")
            self._put(vault, user.user, amount)
            delta: Json = {"type": "vaultDeposit", "vault": address, "usdc": number(amount)}
        else:
            self._sell(vault, user.user, amount)
            user.transfer(CROSS, amount)
            delta = {"type": "vaultWithdraw", "vault": address, "user": user.user}
            delta |= {"requestedUsd": number(amount), "commission": "0.0", "closingCost": "0.0"}
            delta |= {"basis": number(amount), "netWithdrawnUsd": number(amount)}
        row = self._bank.ledger_row(delta)
        for account in (user, vault.account):
            account.enter(row)
            self._bank.tell(account)

    def details(self, vault: Vault, user: str | None) -> Json:
        """Return ``vaultDetails``, with what ``user`` has of it."""
        followers = [self._follower(vault, one) for one in vault.shares if vault.shares[one]]
        leads = vault.equity_of(vault.leader) / vault.equity if vault.equity else ZERO
        return {
            "name": vault.name,
            "vaultAddress": vault.account.user,
            "leader": vault.leader,
            "description": vault.description,
            "portfolio": [],
            "apr": 0.0,
            "followerState": self._follower(vault, user) if user is not None and vault.shares.get(user) else None,
            "leaderFraction": float(leads),
            "leaderCommission": 0.0,
            "followers": followers,
            "maxDistributable": float(vault.account.withdrawable()),
            "maxWithdrawable": float(min(vault.account.withdrawable(), vault.equity_of(user or ""))),
            "isClosed": False,
            "relationship": {"type": "normal"},
            "allowDeposits": True,
            "alwaysCloseOnWithdraw": False,
        }

    def _follower(self, vault: Vault, user: str) -> Json:
        return {
            "user": user,
            "vaultEquity": rounded(vault.equity_of(user)),
            "pnl": "0.0",
            "allTimePnl": "0.0",
            "daysFollowing": 0,
            "vaultEntryTime": vault.locked_until_ms[user] - LOCKED_MS,
            "lockupUntil": vault.locked_until_ms[user],
        }

    def _put(self, vault: Vault, user: str, amount: Decimal) -> None:
        # Priced before the money is there.
        vault.shares[user] = vault.shares.get(user, ZERO) + amount / vault.price
        vault.account.transfer(CROSS, amount)
        vault.locked_until_ms[user] = self._bank.now_ms + LOCKED_MS

    def _sell(self, vault: Vault, user: str, amount: Decimal) -> None:
        has = vault.equity_of(user)
        if amount > has:
            raise RefusedWhole("Insufficient vault equity for withdrawal")
        if vault.locked_until_ms[user] > self._bank.now_ms:
            raise RefusedWhole("Cannot withdraw from vault during lockup period")
        if user == vault.leader and has - amount < LEADER_SHARE * (vault.equity - amount):
            raise RefusedWhole("Vault leader must keep at least 5% of the vault")
        sold = amount / vault.price
        take(vault.account, amount, "Insufficient balance for withdrawal")
        vault.shares[user] = max(ZERO, vault.shares[user] - sold)
