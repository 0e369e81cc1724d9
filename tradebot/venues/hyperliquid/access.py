"""Who may trade for whom: the key signs, the account owns, and the venue says whether they belong together."""

from tradebot.model.errors import NotPermitted
from tradebot.model.time import Nanos
from tradebot.venues.hyperliquid.account import RoleKind, agents, role
from tradebot.venues.hyperliquid.rest import RestClient

_MEND = "approve it as an API wallet of the account, or make a new one when it has expired"


async def check_signer(rest: RestClient, account: str, signer: str) -> None:
    """Return when ``signer`` may trade for ``account``; both are lower-case addresses.

    Raises ``NotPermitted`` when the account is an agent's address, and when the signer is neither the account
    itself nor one of its agents.
    """
    own = role(await rest.info({"type": "userRole", "user": account}))
    if own.kind is RoleKind.AGENT:
        raise NotPermitted(f"{account} is the address of an agent", mend=f"set account to its master's: {own.master}")
    if signer == account:
        return
    agent = role(await rest.info({"type": "userRole", "user": signer}))
    if agent.kind is not RoleKind.AGENT or agent.master != account:
        raise NotPermitted(f"the key's address {signer} is no agent of {account}", mend=_MEND)


async def agent_expiry(rest: RestClient, account: str, signer: str) -> Nanos | None:
    """Return until when ``signer`` may trade; ``None`` for an unnamed agent or the account's own key."""
    known = agents(await rest.info({"type": "extraAgents", "user": account}))
    return next((agent.valid_until for agent in known if agent.address == signer), None)
