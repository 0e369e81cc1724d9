"""What the owner of an account sees of it, and what may be moved where: by the exchange's own client.

Amounts are USDC. Nothing here asks a human or reads a key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from tradebot.model.errors import RefusedByRule
from tradebot.model.money import ZERO, plain
from tradebot.model.time import Nanos
from tradebot.model.venue import AccountState
from tradebot.venues.hyperliquid.access import Agent, Role, RoleKind, agents, role
from tradebot.venues.hyperliquid.account import COLLATERAL, AddressBudget, account_state, address_budget, is_unified
from tradebot.venues.hyperliquid.official import OfficialClient
from tradebot.venues.hyperliquid.reading import Node

NOBODY = "0x" + "0" * 40
VALID_UNTIL = " valid_until "
_MAX_USDC = Decimal(10**15)


@dataclass(frozen=True, slots=True)
class SpotBalance:
    """A balance outside the perpetuals; ``hold`` of it is bound."""

    coin: str
    total: Decimal
    hold: Decimal


@dataclass(frozen=True, slots=True)
class OwnedSubAccount:
    """A sub-account, with its perpetuals and its spot balances."""

    name: str
    address: str
    state: AccountState
    spot: Sequence[SpotBalance]


@dataclass(frozen=True, slots=True)
class VaultShare:
    """What the account has in a vault, until when it is locked there, and who leads it."""

    name: str
    address: str
    equity: Decimal
    locked_until: Nanos | None
    leader: str


@dataclass(frozen=True, slots=True)
class FeeRates:
    """What is paid of the notional, as fractions; ``volume`` is what was traded over the days that count."""

    taker: Decimal
    maker: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Where the money of an account is."""

    address: str
    mode: str
    is_unified: bool
    state: AccountState
    spot: Sequence[SpotBalance]
    sub_accounts: Sequence[OwnedSubAccount]
    vaults: Sequence[VaultShare]

    @property
    def free_spot(self) -> Decimal:
        """The USDC outside the perpetuals that is not bound."""
        return sum((balance.total - balance.hold for balance in self.spot if balance.coin == COLLATERAL), ZERO)


@dataclass(frozen=True, slots=True)
class OwnedAccount:
    """All that the exchange tells of an account."""

    holdings: Holdings
    role: Role
    agents: Sequence[Agent]
    fees: FeeRates
    requests: AddressBudget


class PocketKind(StrEnum):
    """Where USDC of an owner can be."""

    PERP = "perp"
    SPOT = "spot"
    SUB_ACCOUNT = "sub-account"
    VAULT = "vault"


@dataclass(frozen=True, slots=True)
class Pocket:
    """One place of an owner's money: ``address`` of a sub-account or a vault, else empty."""

    kind: PocketKind
    name: str
    address: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.address})" if self.address else self.kind.value


def read_holdings(client: OfficialClient, address: str) -> Holdings:
    """Return where the money of an account is. Raises ``VenueError``."""
    mode, subs = client.ask("userAbstraction", user=address), client.ask("subAccounts", user=address)
    return Holdings(
        address=address,
        mode=mode.text(),
        is_unified=is_unified(mode),
        state=account_state(client.ask("clearinghouseState", user=address)),
        spot=_balances(client.ask("spotClearinghouseState", user=address)),
        sub_accounts=() if subs.is_null else tuple(_sub_account(row) for row in subs.rows()),
        vaults=tuple(_share(client, row) for row in client.ask("userVaultEquities", user=address).rows()),
    )


def read_account(client: OfficialClient, address: str) -> OwnedAccount:
    """Return all that the exchange tells of an account. Raises ``VenueError``."""
    fees = client.ask("userFees", user=address)
    days = [_usdc(day.at(side)) for day in fees.at("dailyUserVlm").rows() for side in ("userCross", "userAdd")]
    taker, maker = (fees.at(key).decimal(Decimal(1)) for key in ("userCrossRate", "userAddRate"))
    return OwnedAccount(
        holdings=read_holdings(client, address),
        role=role(client.ask("userRole", user=address)),
        agents=agents(client.ask("extraAgents", user=address)),
        fees=FeeRates(taker, maker, sum(days, ZERO)),
        requests=address_budget(client.ask("userRateLimit", user=address)),
    )


def find_pocket(client: OfficialClient, account: Holdings, word: str) -> Pocket:
    """Return the place that ``word`` names: perp, spot, a sub-account or a vault by name or address.

    Raises ``RefusedByRule`` when it is none of those.
    """
    if word in (PocketKind.PERP, PocketKind.SPOT):
        return Pocket(PocketKind(word), word)
    meant = word.lower()
    named = [Pocket(PocketKind.SUB_ACCOUNT, sub.name, sub.address) for sub in account.sub_accounts]
    named += [Pocket(PocketKind.VAULT, vault.name, vault.address) for vault in account.vaults]
    found = [pocket for pocket in named if meant == pocket.address or word == pocket.name]
    if len(found) > 1:
        raise RefusedByRule(f"{word!r} names {len(found)} places", mend="give the address")
    if found:
        return found[0]
    if len(meant) == len(NOBODY) and meant.startswith("0x"):
        details = client.ask("vaultDetails", vaultAddress=meant)
        if not details.is_null:
            return Pocket(PocketKind.VAULT, details.at("name").text(), meant)
    known = ", ".join(["perp", "spot", *(f"{pocket.name} ({pocket.kind})" for pocket in named)])
    raise RefusedByRule(f"{word!r} is no place of this account and no vault", mend=f"one of {known}")


def check_move(account: Holdings, source: Pocket, target: Pocket, amount: Decimal, now: Nanos) -> None:
    """Return when ``amount`` may go from ``source`` to ``target``. Raises ``RefusedByRule`` with why not."""
    kinds = {source.kind, target.kind}
    if source == target:
        raise RefusedByRule(f"{source} is both where from and where to", mend="give --from and --to")
    if PocketKind.PERP not in kinds:
        raise RefusedByRule(
            f"nothing goes from {source.kind} to {target.kind} in one step", mend="move it to perp first, then on"
        )
    if account.is_unified and kinds == {PocketKind.PERP, PocketKind.SPOT}:
        raise RefusedByRule(f"a {account.mode} has one pocket: spot and perp are the same", mend="move nothing")
    match source.kind:
        case PocketKind.PERP:
            # A unified account has all its collateral in spot.
            free = account.free_spot if account.is_unified else account.state.withdrawable
            _check_free(amount, Decimal(free), account.state, source)
        case PocketKind.SPOT:
            _check_free(amount, account.free_spot, None, source)
        case PocketKind.SUB_ACCOUNT:
            state = next(sub.state for sub in account.sub_accounts if sub.address == source.address)
            _check_free(amount, state.withdrawable, state, source)
        case PocketKind.VAULT:
            _check_vault(account, source, amount, now)
        case _ as never:
            assert_never(never)


def do_move(client: OfficialClient, source: Pocket, target: Pocket, amount: Decimal) -> None:
    """Move ``amount``. Raises ``Rejected``, ``Unavailable``, and ``TimedOut`` when nobody knows whether it was done."""
    is_deposit = source.kind is PocketKind.PERP
    other = target if is_deposit else source
    match other.kind:
        case PocketKind.SPOT:
            client.move_class(amount, to_perp=not is_deposit)
        case PocketKind.SUB_ACCOUNT:
            client.move_sub_account(other.address, amount, is_deposit=is_deposit)
        case PocketKind.VAULT:
            client.move_vault(other.address, amount, is_deposit=is_deposit)
        case PocketKind.PERP:
            raise ValueError("from perp to perp")
        case _ as never:
            assert_never(never)


def is_agent_of(found: Role, account: str) -> bool:
    """Return whether an address with that role trades for ``account``."""
    return found.kind is RoleKind.AGENT and found.master == account


def _check_free(amount: Decimal, free: Decimal, state: AccountState | None, source: Pocket) -> None:
    if amount <= free:
        return
    what = f"{plain(amount)} USDC is more than the {plain(free)} that is free in {source}"
    mend = f"move at most {plain(free)}"
    if state is not None and state.positions and amount <= state.equity:
        held = ", ".join(position.symbol for position in state.positions)
        raise RefusedByRule(f"{what}: the rest is margin of {held}, and of orders", mend=f"{mend}, or close first")
    raise RefusedByRule(what, mend=mend)


def _check_vault(account: Holdings, source: Pocket, amount: Decimal, now: Nanos) -> None:
    share = next((vault for vault in account.vaults if vault.address == source.address), None)
    has = ZERO if share is None else share.equity
    if amount > has:
        raise RefusedByRule(f"{plain(amount)} USDC is more than the {plain(has)} in {source}", mend="move less")
    if share is not None and share.locked_until is not None and share.locked_until > now:
        raise RefusedByRule(f"what is in {source} is locked", mend="tradebot account show says until when")


def _balances(reply: Node) -> tuple[SpotBalance, ...]:
    return tuple(
        SpotBalance(row.at("coin").text(), _usdc(row.at("total")), _usdc(row.at("hold")))
        for row in reply.at("balances").rows()
    )


def _sub_account(row: Node) -> OwnedSubAccount:
    return OwnedSubAccount(
        row.at("name").text(),
        row.at("subAccountUser").address(),
        account_state(row.at("clearinghouseState")),
        _balances(row.at("spotState")),
    )


def _share(client: OfficialClient, row: Node) -> VaultShare:
    address, locked = row.at("vaultAddress").address(), row.get("lockedUntilTimestamp")
    details = client.ask("vaultDetails", vaultAddress=address)
    # Nought where nothing was ever locked.
    until = None if locked is None or locked.value == 0 else locked.time()
    return VaultShare(
        details.at("name").text(), address, _usdc(row.at("equity")), until, details.at("leader").address()
    )


def _usdc(row: Node) -> Decimal:
    return row.decimal(_MAX_USDC)
