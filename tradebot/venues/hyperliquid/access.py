"""Who may trade for whom: the key signs, the account owns, and the venue says whether they belong together."""

from dataclasses import dataclass
from enum import StrEnum

from tradebot.model.errors import NotPermitted
from tradebot.model.time import Nanos
from tradebot.model.venue import Purpose
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.rest import RECENT_S, RestClient

_MEND = "approve it (tradebot agent approve, or API on the venue's page), or make a new one when it has expired"


class RoleKind(StrEnum):
    """What an address is."""

    MISSING = "missing"
    USER = "user"
    AGENT = "agent"
    VAULT = "vault"
    SUB_ACCOUNT = "subAccount"


@dataclass(frozen=True, slots=True)
class Role:
    """What an address is, and whose it is: the master of an agent or a sub-account."""

    kind: RoleKind
    master: str | None


@dataclass(frozen=True, slots=True)
class Agent:
    """A named key that may trade for the account, until ``valid_until``."""

    name: str
    address: str
    valid_until: Nanos


async def check_signer(rest: RestClient, account: str, signer: str) -> None:
    """Return when ``signer`` may trade for ``account``; both are lower-case addresses.

    Raises ``NotPermitted`` when the account is an agent's address, and when the signer is neither the account
    itself nor one of its agents.
    """
    own = role(await rest.info({"type": "userRole", "user": account}, Purpose.PROTECT))
    if own.kind is RoleKind.AGENT:
        raise NotPermitted(f"{account} is the address of an agent", mend=f"set account to its master's: {own.master}")
    if signer == account:
        return
    agent = role(await rest.info({"type": "userRole", "user": signer}, Purpose.PROTECT))
    if agent.kind is not RoleKind.AGENT or agent.master != account:
        raise NotPermitted(f"the key's address {signer} is no agent of {account}", mend=_MEND)


async def master_of(rest: RestClient, signer: str) -> str:
    """Return the account that the key of ``signer`` signs for: its master's where it is an agent, else its own."""
    found = role(await rest.info({"type": "userRole", "user": signer}, Purpose.PROTECT))
    if found.kind is RoleKind.MISSING:
        raise NotPermitted(
            f"the venue does not know {signer}, the address of the key",
            where="venue.key_file",
            mend="approve it (tradebot agent approve, or API on the venue's page), or deposit first; check the network",
        )
    return found.master if found.kind is RoleKind.AGENT and found.master is not None else signer


async def agent_expiry(rest: RestClient, account: str, signer: str, purpose: Purpose = Purpose.WATCH) -> Nanos | None:
    """Return until when ``signer`` may trade; ``None`` for an unnamed agent or the account's own key."""
    known = agents(await rest.info({"type": "extraAgents", "user": account}, purpose, RECENT_S))
    return next((agent.valid_until for agent in known if agent.address == signer), None)


def role(reply: Node) -> Role:
    """Return ``userRole``. A word not known fails: a wrong guess would trade for the wrong account."""
    kind = RoleKind(reply.at("role").one_of(*RoleKind))
    key = {RoleKind.AGENT: "user", RoleKind.SUB_ACCOUNT: "master"}.get(kind)
    return Role(kind, None if key is None else reply.at("data").at(key).address())


def agents(reply: Node) -> tuple[Agent, ...]:
    """Return ``extraAgents``."""
    return tuple(
        Agent(row.at("name").text(), row.at("address").address(), row.at("validUntil").time()) for row in reply.rows()
    )
