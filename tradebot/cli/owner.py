"""The owner of an account at the keyboard: the place, the master key - read once, kept nowhere -, and the consent."""

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.cli.context import Context
from tradebot.cli.kept import kept_address
from tradebot.cli.place import ADDRESS, Place, place_of
from tradebot.model.errors import ConfigError, NotPermitted, RefusedByRule, UsageError
from tradebot.settings.salvage import salvage_venue

if TYPE_CHECKING:
    from tradebot.runtime.ownership import OwnerSession
    from tradebot.venues.hyperliquid.keys import SigningKey

_PACKAGES: Mapping[str, str] = {
    "coincurve": "coincurve",
    "Crypto": "pycryptodome",
    "msgpack": "msgpack",
    "hyperliquid": "hyperliquid-python-sdk",
}
_SIGNING = ("coincurve", "Crypto", "msgpack")
_LARGEST_KEY = 16_384
_STANDARD = frozenset({0, 1, 2})


def need_packages(asked: str, *, is_signing_only: bool = False) -> None:
    """Raise ``ConfigError`` naming what is not installed of what ``asked`` needs."""
    names = _SIGNING if is_signing_only else tuple(_PACKAGES)
    missing = [_PACKAGES[name] for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(f"it needs {', '.join(missing)}", where=asked, mend="install tradebot[hyperliquid]")


def owner_place(context: Context, asked: str) -> Place:
    """Return which exchange and account ``asked`` is about."""
    files = [Path(name).absolute() for name in context.given.texts("config")]
    salvaged = salvage_venue(context.home, files, context.given.text("profile"), context.environ)
    for note in salvaged.notes:
        context.note(f"not read: {note}")
    return place_of(context, salvaged, asked)


def account_of(context: Context, session: "OwnerSession", place: Place) -> str:
    """Return the account of ``place``: as it is named, else whose the configured key is. Raises ``UsageError``."""
    if place.account is not None:
        return place.account.lower()
    own = own_address(context, place)
    if own is None:
        raise UsageError("whose account is not said", mend="give --account ADDRESS, or set venue.account")
    found = session.role(own)
    return found.master or own


def own_address(context: Context, place: Place) -> str | None:
    """Return the address of the key that the bot of this place signs with, ``None`` when it cannot be read."""
    from tradebot.runtime.ownership import key_in_file

    try:
        if place.key_secret is not None:
            return kept_address(context, place.key_secret)
        if place.key_file is None:
            return None
        return key_in_file(place.key_file).address
    except NotPermitted as error:
        context.note(f"the key of the configuration is not read: {error.what}")
        return None


def master_key(context: Context) -> "SigningKey":
    """Return the master key: of the named file or descriptor, else from standard input, asked for at a terminal.

    Raises ``NotPermitted`` and ``UsageError``, never quoting it.
    """
    from tradebot.runtime.ownership import key_in_file, key_in_text

    file, handle = context.given.text("master_key_file"), context.given.whole("master_key_fd", -1)
    if file is not None and handle >= 0:
        raise UsageError("--master-key-file and --master-key-fd exclude each other")
    if file is not None:
        return key_in_file(Path(file).absolute(), _passphrase_of(file))
    if handle >= 0:
        return key_in_text(_from_descriptor(handle))
    if sys.stdin.isatty():
        return key_in_text(getpass.getpass("master key (64 hex digits, not shown): "))
    return key_in_text(sys.stdin.readline(_LARGEST_KEY))


def consent(context: Context, what: str) -> None:
    """Return when a human wants ``what``, or ``--yes`` was said. Raises ``UsageError`` and ``RefusedByRule``."""
    if context.given.flag("yes"):
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", mend=f"say --yes when this is wanted: {what}")
    sys.stderr.write(f"{what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedByRule("nothing was done: it was not wanted")


def read_address(text: str) -> str:
    """Return an address in lower case. Raises ``UsageError``."""
    if not ADDRESS.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is no address", mend="0x and 40 hex digits")
    return text.lower()


def _passphrase_of(file: str) -> Callable[[], str] | None:
    return (lambda: getpass.getpass(f"passphrase of {file}: ")) if sys.stdin.isatty() else None


def _from_descriptor(handle: int) -> str:
    if handle in _STANDARD - {0}:
        raise UsageError(f"--master-key-fd {handle} is where this command writes", mend="give 3 or more, or 0")
    try:
        with os.fdopen(handle, "rb", closefd=handle not in _STANDARD) as source:
            return source.read(_LARGEST_KEY).decode("ascii", "replace")
    except OSError as error:
        raise NotPermitted(f"--master-key-fd {handle}: {error.strerror}", mend="open it for reading") from None
