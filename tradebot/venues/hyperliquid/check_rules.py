"""What is thought of what the venue answered: pure, so that the edges of every limit are tested."""

from tradebot.model.finding import Finding, Grade
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.venues.hyperliquid.access import Role, RoleKind

_CLOCK_WARN_S, _CLOCK_FAIL_S = 0.25, 1.0
_EXPIRY_WARN_S = 7 * 86_400


def clock_finding(before: Nanos, stamp: Nanos, after: Nanos) -> Finding:
    """Return how far our clock is off the venue's ``stamp``, which it gave between ``before`` and ``after``."""
    # Whatever the way of the answer took is no proof against the clock.
    off_s = max(before - stamp, stamp - after, 0) / NANOS_PER_S
    ahead = "ahead of" if before > stamp else "behind"
    # The venue's stamps are whole milliseconds.
    what = f"{off_s:.2f} s {ahead} the venue's" if off_s >= 0.01 else "agrees with the venue's"
    mend = "synchronise the clock: chrony or systemd-timesyncd"
    if off_s > _CLOCK_FAIL_S:
        return Finding("venue clock", Grade.FAIL, what, mend)
    if off_s > _CLOCK_WARN_S:
        return Finding("venue clock", Grade.WARN, what, mend)
    return Finding("venue clock", Grade.OK, what)


def expiry_finding(valid_until: Nanos | None, now: Nanos) -> Finding:
    """Return how long the agent may trade; ``None`` is an unnamed one, of which the venue does not tell."""
    if valid_until is None:
        mend = "name the agent when you approve it: then its end is known beforehand"
        return Finding("agent", Grade.WARN, "the venue does not tell until when an unnamed agent may trade", mend)
    left_s = (valid_until - now) // NANOS_PER_S
    if left_s <= 0:
        return Finding("agent", Grade.FAIL, "the agent has expired", "approve a new one, with a new address")
    days = left_s // 86_400
    if left_s < _EXPIRY_WARN_S:
        return Finding("agent", Grade.WARN, f"the agent expires in {days} days", "approve a new one, and restart")
    return Finding("agent", Grade.OK, f"the agent may trade for {days} days")


def missing_key(network: str) -> str:
    """Return how to come by the key file that is not there."""
    if network == "devnet":
        return "start `tradebot devnet`, which writes devnet.key in its home; or name the file in venue.key_file"
    return "write the key of an agent of the account there, for you alone to read: mode 0600"


def unfit_account(address: str, account: Role, network: str) -> Finding | None:
    """Return why the bot cannot trade for ``address``, ``None`` when it can."""
    match account.kind:
        case RoleKind.USER:
            return None
        case RoleKind.MISSING:
            what, mend = f"{network} does not know {address}", "check account and network, and deposit USDC first"
        case RoleKind.AGENT:
            what, mend = f"{address} is the address of an agent", f"set venue.account to its master's: {account.master}"
        case RoleKind.VAULT | RoleKind.SUB_ACCOUNT:
            what, mend = f"{address} is a {account.kind}", "the bot trades a master's account only: name that"
    return Finding("account", Grade.FAIL, what, mend)
