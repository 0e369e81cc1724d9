"""Which exchange and account a command is about, where the configuration may be broken or absent."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tradebot.cli.context import Context
from tradebot.model.errors import RefusedByRule, UsageError
from tradebot.settings.files import URLS
from tradebot.settings.salvage import Salvaged

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class Place(NamedTuple):
    """An exchange, the account - ``None``: whose the key is -, and what ``[venue]`` says.

    Its key is the secret ``key_secret``, or lies in ``key_file``.
    """

    network: str
    url: str
    account: str | None
    key_secret: str | None
    key_file: Path | None
    venue: Mapping[str, str]


def place_of(context: Context, salvaged: Salvaged, asked: str) -> Place:
    """Return what options say, else what could be read of the configuration; ``asked`` is who wants to know.

    Raises ``UsageError`` and ``RefusedByRule`` for what is missing.
    """
    given = context.given
    venue = dict(salvaged.venue)
    network = given.text("network") or venue.get("network")
    if given.text("network") is not None and given.text("network") != venue.get("network"):
        # What was written for another network does not hold here.
        venue.pop("url", None)
    if network is None and venue.get("kind") == "hyperliquid":
        network = "mainnet"
    if network is None and venue.get("kind", "simulated") == "simulated" and not salvaged.notes:
        what = "this configuration trades on the simulated exchange, which lives in the daemon alone"
        raise RefusedByRule(what, where=asked, mend="for a real account name it: --network, --account, --key-file")
    if network is None:
        raise UsageError(
            "which network is not to be read from the configuration", mend="give --network, --account, --key-file"
        )
    if network not in URLS:
        raise UsageError(f"network {network!r} is none of {', '.join(URLS)}", mend="give --network")
    url = (given.text("url") or venue.get("url") or URLS[network]).rstrip("/")
    if network == "mainnet" and url != URLS["mainnet"]:
        raise UsageError(
            f"mainnet is at {URLS['mainnet']} and nowhere else", mend="leave --url out, or name the network"
        )
    account = given.text("account") or venue.get("account") or None
    if account is not None and not ADDRESS.fullmatch(account):
        raise UsageError(f"account {account!r} is no address", mend="give --account: 0x and 40 hex digits")
    secret = venue.get("key_secret") or None
    key_file = Path(venue["key_file"]) if venue.get("key_file") else None
    if key_file is None and secret is None and network == "devnet":
        key_file = context.home / "devnet.key"
    return Place(network, url, account, secret, key_file, venue)
