"""What the owner of an account does with it before and beside trading: agents, and money between its pockets.

For commands alone: no daemon imports it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType

from tradebot.model.errors import NotPermitted, RefusedByRule, Unavailable, UsageError
from tradebot.model.finding import Finding, Grade
from tradebot.model.time import Nanos, to_ms
from tradebot.model.venue import Purpose
from tradebot.ports import Clock
from tradebot.runtime.alone import shared_log
from tradebot.runtime.real_venue import venue_config
from tradebot.settings.load import Loaded
from tradebot.venues.hyperliquid.access import Agent, Role, RoleKind, agents, role
from tradebot.venues.hyperliquid.doctor import inquiry
from tradebot.venues.hyperliquid.keys import SigningKey, key_of, new_key, read_key
from tradebot.venues.hyperliquid.official import PACKAGE, OfficialClient, is_installed
from tradebot.venues.hyperliquid.owner import (
    NOBODY,
    VALID_UNTIL,
    Holdings,
    OwnedAccount,
    Pocket,
    check_move,
    do_move,
    find_pocket,
    is_agent_of,
    read_account,
    read_holdings,
)
from tradebot.venues.hyperliquid.second_opinion import CHECK, Ask, account_findings, signature_finding
from tradebot.venues.resilience import Policy, RequestBudget

_LOOKS, _LOOK_AGAIN_S = 10, 0.5


@dataclass(frozen=True, slots=True)
class Move:
    """An amount of USDC that may go from one pocket to another."""

    amount: Decimal
    source: Pocket
    target: Pocket


class OwnerSession:
    """The exchange of ``network`` at ``url``, for the owner of an account.

    ``key`` is the master's where something is to be done; ``wait`` lets seconds pass. Raises ``ConfigError`` without
    the exchange's own client; every method ``VenueError`` and ``TimedOut``.
    """

    def __init__(
        self,
        network: str,
        url: str,
        clock: Clock,
        key: SigningKey | None = None,
        wait: Callable[[float], None] | None = None,
    ) -> None:
        self._clock, self._key, self._wait = clock, key, wait or time.sleep
        self._policy = Policy()
        self._sent = shared_log(url, self._policy.span_s)
        spend = self._spend_nothing if network == "devnet" else self._spend
        self._client = OfficialClient(url, key, spend=spend, wait=self._wait)

    def __enter__(self) -> "OwnerSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, trace)
        self._sent.close()

    def ask(self, kind: str, **fields: object) -> object:
        """Return what the exchange answers to an ``info`` request, as JSON."""
        return self._client.ask(kind, **fields).value

    def account(self, address: str) -> OwnedAccount:
        """Return all that the exchange tells of an account."""
        return read_account(self._client, address)

    def holdings(self, address: str) -> Holdings:
        """Return where the money of an account is."""
        return read_holdings(self._client, address)

    def role(self, address: str) -> Role:
        """Return what an address is."""
        return role(self._client.ask("userRole", user=address))

    def agents(self, account: str) -> tuple[Agent, ...]:
        """Return the agents with a name."""
        return agents(self._client.ask("extraAgents", user=account))

    def master(self, expected: str | None) -> str:
        """Return the address of the master key. Raises ``NotPermitted`` unless it owns ``expected``, where given."""
        if self._key is None:
            raise ValueError("no key was given")
        address = self._key.address
        if expected is not None and expected.lower() != address:
            raise NotPermitted(
                f"the key is that of {address}, not of {expected.lower()}", mend="give the key of the account itself"
            )
        found = self.role(address)
        if found.kind is RoleKind.AGENT:
            what = f"the key is that of an agent of {found.master}, which may trade and nothing else"
            raise NotPermitted(what, mend="give the key of the account itself")
        if found.kind is RoleKind.MISSING:
            raise NotPermitted(
                f"the exchange does not know {address}, the address of the key", mend="deposit first; check the network"
            )
        return address

    def check_new(self, address: str) -> None:
        """Return when nobody has used ``address`` yet. Raises ``RefusedByRule``."""
        found = self.role(address)
        if found.kind is not RoleKind.MISSING:
            whose = f"an agent of {found.master}" if found.kind is RoleKind.AGENT else f"a {found.kind} of its own"
            raise RefusedByRule(
                f"{address} is {whose} already", mend="make a new key, tradebot agent create: none is used twice"
            )

    def approve(self, account: str, address: str, name: str, valid_until: Nanos | None) -> Agent:
        """Let ``address`` trade for ``account`` under ``name``, and return it as the exchange tells of it then."""
        suffix = "" if valid_until is None else f"{VALID_UNTIL}{to_ms(valid_until)}"
        self._client.approve_agent(address, name + suffix)
        return self._until(account, lambda found: found.address == address, f"{address} as an agent")

    def revoke(self, account: str, name: str) -> None:
        """End the agent of ``account`` with that name; an empty one is the agent without a name."""
        self._client.approve_agent(NOBODY, name)
        for _ in range(_LOOKS):
            if not any(agent.name == name for agent in self.agents(account)):
                return
            self._wait(_LOOK_AGAIN_S)
        raise RefusedByRule(f"the exchange still tells of {name!r}", mend="look again: tradebot agent list")

    def find_agent(self, account: str, word: str) -> tuple[str, str]:
        """Return name and address of the agent that ``word`` names, by either. Raises ``RefusedByRule``."""
        known = self.agents(account)
        for agent in known:
            if word == agent.name or word.lower() == agent.address:
                return agent.name, agent.address
        if len(word) == len(NOBODY) and word.startswith("0x") and is_agent_of(self.role(word.lower()), account):
            return "", word.lower()
        names = f"named: {', '.join(agent.name for agent in known)}" if known else "none of them has a name"
        raise RefusedByRule(f"{account} has no agent {word!r}", mend=f"give name or address; {names}")

    def move(self, account: Holdings, source: str, target: str, amount: Decimal) -> Move:
        """Return the move that these words ask for. Raises ``RefusedByRule`` when it cannot be made."""
        start, end = find_pocket(self._client, account, source), find_pocket(self._client, account, target)
        check_move(account, start, end, amount, self._clock.now())
        return Move(amount, start, end)

    def carry_out(self, move: Move) -> None:
        """Move it."""
        do_move(self._client, move.source, move.target, move.amount)

    def _spend(self, weight: int) -> None:
        # Behind all that a daemon on this machine needs.
        budget = RequestBudget(self._policy, self._sent)
        while (wait_s := budget.take(weight, Purpose.HISTORY, self._clock.monotonic())) > 0:
            self._wait(wait_s)

    def _spend_nothing(self, weight: int) -> None:
        """Count nothing: a devnet is asked by its own limits alone."""

    def _until(self, account: str, is_meant: Callable[[Agent], bool], what: str) -> Agent:
        for _ in range(_LOOKS):
            for agent in self.agents(account):
                if is_meant(agent):
                    return agent
            self._wait(_LOOK_AGAIN_S)
        raise RefusedByRule(f"the exchange does not yet tell of {what}", mend="look again: tradebot agent list")


def second_opinion(loaded: Loaded, home: Path, clock: Clock) -> Sequence[Finding]:
    """Return what the exchange's own client says of the account and of a signature, beside what we say."""
    account = venue_config(loaded.settings, home, clock).account
    if account is None:
        return ()
    if not is_installed():
        what = f"{PACKAGE} is not installed: nothing is compared with it"
        return [Finding(CHECK, Grade.OK, what, "pip install 'tradebot[hyperliquid]', if you want it")]
    with OwnerSession(account.network, account.url, clock, wait=_no_time) as session:
        return [signature_finding(), *asyncio.run(_compared(loaded, home, clock, session.ask))]


async def _compared(loaded: Loaded, home: Path, clock: Clock, ask: Ask) -> Sequence[Finding]:
    config = venue_config(loaded.settings, home, clock)
    if config.account is None:
        return ()
    async with inquiry(config, clock, shared_log) as asked:
        return await account_findings(asked, config.account, ask)


def _no_time(_seconds: float) -> None:
    raise Unavailable("the exchange limits our rate", mend="try again in a minute")


def key_in_file(path: Path, passphrase: Callable[[], str] | None = None) -> SigningKey:
    """Return the key in a file of its owner's alone. Raises ``NotPermitted``."""
    return read_key(path, passphrase)


def key_in_text(text: str) -> SigningKey:
    """Return the key that 64 hex digits are. Raises ``UsageError``, never quoting them."""
    try:
        return key_of(text)
    except ValueError:
        raise UsageError("what was given is no key", mend="64 hex digits, with 0x or without") from None


def made_key() -> tuple[str, str]:
    """Return a new key as 64 hex digits, and its address."""
    secret = new_key()
    return secret.hex(), SigningKey(secret).address
