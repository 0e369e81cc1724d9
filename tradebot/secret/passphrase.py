"""Where the passphrase of a keystore comes from: a file descriptor, a systemd credential, a terminal.

Never from an argument or the environment: everybody on the machine can read the first, every child inherits the other.
"""

import os
from collections.abc import Callable, Mapping
from getpass import getpass
from pathlib import Path

from tradebot.model.errors import NotPermitted, UsageError
from tradebot.secret.files import read_private
from tradebot.secret.secret import Secret

CREDENTIAL = "tradebot-passphrase"
"""The name of the systemd credential."""
AskPassphrase = Callable[[], Secret]
"""Gives the passphrase. Raises ``NotPermitted`` where there is none."""

_LONGEST = 4096
_MEND = (
    "give --passphrase-fd N, or the systemd credential tradebot-passphrase (LoadCredential=), or run it in a terminal"
)


def passphrase_source(environ: Mapping[str, str], descriptor: int | None) -> AskPassphrase:
    """Return what asks for the passphrase once, when it is first needed, and remembers it.

    ``descriptor`` comes first, then the credential of systemd, then the terminal.
    """
    known: list[Secret] = []

    def ask() -> Secret:
        if not known:
            known.append(_asked(environ, descriptor))
        return known[0]

    return ask


def _asked(environ: Mapping[str, str], descriptor: int | None) -> Secret:
    if descriptor is not None:
        return _secret(_drained(descriptor), f"file descriptor {descriptor}")
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and (Path(folder) / CREDENTIAL).exists():
        path = Path(folder) / CREDENTIAL
        return _secret(read_private(path, _LONGEST, may_be_roots=True), str(path))
    if not _has_terminal():
        raise NotPermitted("the keystore needs its passphrase and there is nobody to ask", mend=_MEND)
    return _secret(getpass("passphrase of the keystore: ").encode(), "terminal")


def _has_terminal() -> bool:
    # Standard input may hold a value meanwhile.
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _drained(descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_LONGEST + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read file descriptor {descriptor}: {error.strerror}",
            where="--passphrase-fd",
            mend="open it for reading, e.g. --passphrase-fd 3 3<FILE",
        ) from error


def _secret(raw: bytes, where: str) -> Secret:
    try:
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text or len(raw) > _LONGEST:
        # The cause would carry the bytes into a traceback.
        raise NotPermitted("the passphrase is empty, too long or no UTF-8", where=where, mend=_MEND) from None
    return Secret(text)
