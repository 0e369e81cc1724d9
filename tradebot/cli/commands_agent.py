"""``agent``: the keys that may trade for an account but not withdraw - made, approved, listed and ended."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.cli.context import Context
from tradebot.cli.kept import keep_new, kept_address, note_end
from tradebot.cli.owner import (
    account_of,
    consent,
    master_key,
    need_packages,
    own_address,
    owner_place,
    read_address,
)
from tradebot.model.errors import NotPermitted, StorageFailed, UsageError
from tradebot.model.time import HOUR, Nanos, parse_timeframe, timeframe_name, to_ms
from tradebot.report.shapes import Json
from tradebot.report.table import listing, moment

if TYPE_CHECKING:
    from tradebot.cli.place import Place
    from tradebot.venues.hyperliquid.access import Agent

_NAME = "tradebot"
_KEY_NAME = "agent.key"
_LONGEST_NAME = 16
_LONGEST_LIFE = 180 * 24 * HOUR


def create(context: Context) -> int:
    """Make a key and keep it: in a file of its own that only its owner can read, or in the store of secrets."""
    need_packages("agent create", is_signing_only=True)
    from tradebot.runtime.ownership import made_key

    kept, (secret, address) = _kept_name(context), made_key()
    if kept is None:
        path = _key_file(context)
        _write_new(path, secret)
        where, option = str(path), f" --key-file {path}" if context.given.text("key_file") else ""
    else:
        keep_new(context, kept, secret)
        where, option = f"the store of secrets, as {kept}", f" --secret {kept}"
    told: dict[str, Json] = {"address": address, "key_file": None if kept else where, "key_secret": kept}
    words = [f"a new key, of {address}, is in {where}", "it may do nothing yet; approve it with the master key:"]
    _say(context, told, [*words, f"  tradebot agent approve{option}"])
    return 0


def approve(context: Context) -> int:
    """Let a key trade for the account whose master key is given."""
    need_packages("agent approve")
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.ownership import OwnerSession

    place, clock = owner_place(context, "agent approve"), SystemClock()
    name, until = _name(context), _valid_until(context, clock.now())
    address, setting = _agent_address(context)
    with OwnerSession(place.network, place.url, clock, master_key(context)) as session:
        account = session.master(place.account)
        session.check_new(address)
        replaced = next((agent for agent in session.agents(account) if agent.name == name), None)
        consent(context, _asked(place, account, address, name, replaced))
        agent = session.approve(account, address, name, until)
    if (kept := context.given.text("secret")) is not None:
        note_end(context, kept, agent.valid_until)
    told: dict[str, Json] = {"address": address, "name": name, "account": account, "network": place.network}
    told |= {"valid_until": to_ms(agent.valid_until), "replaced": None if replaced is None else replaced.address}
    words = [f"{address} trades for {account} as {name!r} until {moment(to_ms(agent.valid_until))} UTC"]
    words += [f"its key {replaced.address} is ended"] if replaced is not None else []
    words += [
        "next, in [venue] of the configuration:",
        f'  account = "{account}"',
        f"  {setting}",
    ]
    _say(context, told, [*words, "then: tradebot doctor; tradebot start --live"])
    return 0


def list_agents(context: Context) -> int:
    """List the agents that have a name: of others the exchange does not tell."""
    need_packages("agent list")
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.ownership import OwnerSession

    place = owner_place(context, "agent list")
    with OwnerSession(place.network, place.url, SystemClock()) as session:
        found, own = session.agents(account_of(context, session, place)), own_address(context, place)
    told: list[dict[str, Json]] = [
        {
            "name": agent.name,
            "address": agent.address,
            "valid_until": to_ms(agent.valid_until),
            "is_ours": agent.address == own,
        }
        for agent in found
    ]
    if context.is_json:
        context.write_json(told)
        return 0
    shown = [row | {"valid_until": moment(row["valid_until"])} for row in told]
    context.write(listing(tuple(told[0]) if told else ("name",), shown, colour=context.is_colour, width=context.width))
    context.note("of an agent without a name the exchange does not tell")
    return 0


def revoke(context: Context) -> int:
    """End an agent: whoever has its key can do nothing with it from then on."""
    need_packages("agent revoke")
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.ownership import OwnerSession

    place, word = owner_place(context, "agent revoke"), context.given.text("agent") or ""
    with OwnerSession(place.network, place.url, SystemClock(), master_key(context)) as session:
        account = session.master(place.account)
        name, address = session.find_agent(account, word)
        consent(context, f"end {address}, {name or 'which has no name'!r}, for {account} at {place.network}")
        session.revoke(account, name)
    words = [f"{address} trades for {account} no more; a daemon that has its key halts and says so"]
    words += ["its resting orders and stops stay; for a new one: tradebot agent create"]
    _say(context, {"address": address, "name": name, "account": account, "network": place.network}, words)
    return 0


def _asked(place: "Place", account: str, address: str, name: str, replaced: "Agent | None") -> str:
    ends = "" if replaced is None else f"; that ends {replaced.address}, which has this name, at once"
    return f"let {address} trade for {account} at {place.network} as {name!r}{ends}"


def _agent_address(context: Context) -> tuple[str, str]:
    """Return the address of the agent, and the setting that names its key."""
    given, kept = context.given.text("address"), _kept_name(context)
    if given is not None:
        return read_address(given), 'key_file = "FILE OF THAT KEY"'
    if kept is not None:
        return kept_address(context, kept), f'key_secret = "{kept}"'
    from tradebot.runtime.ownership import key_in_file

    path = _key_file(context)
    return key_in_file(path).address, f'key_file = "{path}"'


def _kept_name(context: Context) -> str | None:
    kept, others = context.given.text("secret"), ("address", "key_file")
    if kept is not None and any(context.given.text(other) is not None for other in others):
        raise UsageError("--secret says where the key is: neither an address nor --key-file stands beside it")
    return kept


def _key_file(context: Context) -> Path:
    return Path(context.given.text("key_file") or context.home / _KEY_NAME).absolute()


def _name(context: Context) -> str:
    name = context.given.text("name") or _NAME
    if name.strip() != name or not name.isprintable() or len(name) > _LONGEST_NAME:
        mend = f"1 to {_LONGEST_NAME} characters that can be printed, without blanks at its ends"
        raise UsageError(f"--name {name[:80]!r} is no name of an agent", mend=mend)
    return name


def _valid_until(context: Context, now: Nanos) -> Nanos | None:
    text = context.given.text("valid_for")
    if text is None:
        return None
    try:
        life = parse_timeframe(text)
    except ValueError:
        raise UsageError(f"--valid-for {text[:80]!r} is no length of time", mend="such as 90d or 12h") from None
    if life > _LONGEST_LIFE:
        raise UsageError(f"--valid-for {text}: an agent lives {timeframe_name(_LONGEST_LIFE)} at most")
    return Nanos(now + life)


def _write_new(path: Path, secret: str) -> None:
    """Write ``secret`` into a new file, durably. Raises ``NotPermitted`` when there is one, and ``StorageFailed``."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(handle)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        what = "there is something already, and it may be a key: it was left as it is"
        raise NotPermitted(what, where=str(path), mend="name another file with --key-file") from None
    except OSError as error:
        raise StorageFailed(f"the key cannot be written: {error.strerror}", where=str(path)) from None


def _say(context: Context, document: dict[str, Json], words: list[str]) -> None:
    if context.is_json:
        context.write_json(document)
    else:
        context.write("\n".join(words))
