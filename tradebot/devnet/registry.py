"""Who trades for whom, and the actions that only the account's own key may sign."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from tradebot.devnet.account import CROSS, ApprovedAgent, UserAccount
from tradebot.devnet.wire import Json, Malformed, RefusedWhole, read_address, read_bool, read_decimal, read_str
from tradebot.model.money import ZERO

AGENT_LIFE_MS = 90 * 86_400_000
MAX_AGENT_LIFE_MS = 180 * 86_400_000
MAX_NAMED = 3
WITHDRAW_FEE = Decimal(1)
NOBODY = "0x" + "0" * 40
_UNTIL = " valid_until "
_OF_SUB_ACCOUNT = " subaccount:"
_MAX_DIGITS = 20


class Bank(Protocol):
    """What transfers between accounts need of the exchange."""

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        ...

    def account(self, user: str) -> UserAccount | None:
        """Return the account of an address."""
        ...

    def fund(self, user: str, amount: Decimal) -> UserAccount:
        """Deposit with an account, opening it when needed."""
        ...

    def open(self, user: str) -> UserAccount:
        """Open an account without money that nobody has the key of."""
        ...

    def owned(self, user: str, address: str) -> UserAccount:
        """Return the sub-account or vault that ``user`` may act for. Raises ``RefusedWhole``."""
        ...

    def tell(self, account: UserAccount) -> None:
        """Serve the streams of an account."""
        ...

    def ledger_row(self, delta: Json) -> Json:
        """Return an entry of the ledger."""
        ...


class Registry:
    """The agents of all accounts; an address is used as an agent once and never again."""

    def __init__(self) -> None:
        self._masters: dict[str, UserAccount] = {}
        self._used: set[str] = set()
        self._actions: Mapping[str, Callable[[Bank, UserAccount, Json], None]] = {
            "approveAgent": self._approve_agent,
            "approveBuilderFee": _approve_builder_fee,
            "usdSend": _usd_send,
            "withdraw3": _withdraw,
            "usdClassTransfer": _usd_class_transfer,
            "spotSend": _spot_send,
            "userSetAbstraction": _set_abstraction,
            "userDexAbstraction": _nothing,
        }

    def master_of(self, agent: str, now_ms: int) -> str | None:
        """Return for whom an agent trades; one that has expired trades for nobody."""
        account = self._masters.get(agent)
        if account is None:
            return None
        if any(active.address == agent for active in account.active_agents(now_ms)):
            return account.user
        return None

    def user_signed(self, bank: Bank, account: UserAccount, action: Json) -> None:
        """Do what the owner of ``account`` has signed. Raises ``RefusedWhole``."""
        self._actions[read_str(action["type"])](bank, account, action)

    def expire_agents(self, account: UserAccount) -> None:
        """Let every agent of ``account`` run out."""
        for agent in account.agents.values():
            agent.valid_until_ms = 0

    def approve(self, bank: Bank, account: UserAccount, address: str, name: str, life_ms: int) -> ApprovedAgent:
        """Let ``address`` trade for ``account`` for so long; the zero address ends the agent of that name.

        Raises ``RefusedWhole``.
        """
        valid_until = bank.now_ms + min(life_ms, MAX_AGENT_LIFE_MS)
        if address == NOBODY:
            return self._revoke(account, name)
        if valid_until <= bank.now_ms:
            raise RefusedWhole("Agent valid_until already expired.")
        if address in self._used or bank.account(address) is not None:
            raise RefusedWhole("Extra agent already used.")
        named = [agent for agent in account.active_agents(bank.now_ms) if agent.name]
        if name and name not in account.agents and len(named) >= MAX_NAMED:
            raise RefusedWhole(f"Too many extra agents for cumulative volume traded. Current limit is {MAX_NAMED}")
        self._used.add(address)
        agent = account.agents[name] = ApprovedAgent(address, name, valid_until)
        self._masters[address] = account
        return agent

    def _revoke(self, account: UserAccount, name: str) -> ApprovedAgent:
        agent = account.agents.pop(name, None)
        if agent is None:
            # No client has reported what the exchange says here.
            raise RefusedWhole("No agent of this name.")
        return agent

    def _approve_agent(self, bank: Bank, account: UserAccount, action: Json) -> None:
        address = read_address(action.get("agentAddress"))
        name, _, until = read_str(action.get("agentName") or "").partition(_UNTIL)
        life_ms = AGENT_LIFE_MS
        if until:
            life_ms = int(until) - bank.now_ms if until.isdecimal() and len(until) <= _MAX_DIGITS else 0
        self.approve(bank, account, address, name, life_ms)


def _approve_builder_fee(_bank: Bank, account: UserAccount, action: Json) -> None:
    rate = _amount(read_str(action.get("maxFeeRate")).removesuffix("%"))
    account.builders[read_address(action.get("builder"))] = rate * 1000


def _usd_send(bank: Bank, account: UserAccount, action: Json) -> None:
    amount, destination = _amount(action.get("amount")), read_address(action.get("destination"))
    take(account, amount, "Insufficient balance for token transfer")
    bank.fund(destination, amount)
    delta: Json = {"type": "internalTransfer", "usdc": f"{amount:f}", "user": account.user}
    account.enter(bank.ledger_row(delta | {"destination": destination, "fee": "0.0"}))


def _withdraw(bank: Bank, account: UserAccount, action: Json) -> None:
    amount = _amount(action.get("amount"))
    take(account, amount, "Insufficient balance for withdrawal")
    account.enter(
        bank.ledger_row(
            {"type": "withdraw", "usdc": f"{amount - WITHDRAW_FEE:f}", "nonce": action["time"], "fee": "1.0"}
        )
    )


def _usd_class_transfer(bank: Bank, account: UserAccount, action: Json) -> None:
    text, _, sub = read_str(action.get("amount")).partition(_OF_SUB_ACCOUNT)
    amount, to_perp = _amount(text), read_bool(action.get("toPerp"))
    if sub:
        account = bank.owned(account.user, read_address(sub))
    if to_perp:
        if amount > account.spot_usdc:
            raise RefusedWhole("Insufficient balance for token transfer")
        account.spot_usdc -= amount
        account.transfer(CROSS, amount)
    else:
        take(account, amount, "Insufficient balance for withdrawal")
        account.spot_usdc += amount
    delta: Json = {"type": "accountClassTransfer", "usdc": f"{amount:f}", "toPerp": to_perp}
    account.enter(bank.ledger_row(delta))
    bank.tell(account)


def _spot_send(_bank: Bank, _account: UserAccount, action: Json) -> None:
    raise RefusedWhole(f"Unknown token {action.get('token')}")


def _set_abstraction(_bank: Bank, account: UserAccount, action: Json) -> None:
    account.abstraction = read_str(action.get("abstraction"))


def _nothing(_bank: Bank, _account: UserAccount, _action: Json) -> None:
    return


def take(account: UserAccount, amount: Decimal, refusal: str) -> None:
    """Take ``amount`` of what may leave ``account``. Raises ``RefusedWhole`` with the words of ``refusal``."""
    if amount > account.withdrawable():
        raise RefusedWhole(refusal)
    account.transfer(CROSS, -amount)


def _amount(value: object) -> Decimal:
    try:
        amount = read_decimal(value)
    except Malformed:
        raise RefusedWhole("Invalid amount") from None
    if amount == ZERO:
        raise RefusedWhole("Invalid amount")
    return amount
