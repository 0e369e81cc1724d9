"""What every store of secrets does, whatever keeps them."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from tradebot.model.errors import ConfigError, NotPermitted, UsageError
from tradebot.model.time import Nanos
from tradebot.secret.secret import Secret

StoreKind = Literal["keystore", "keyring", "vault", "credential"]
SecretKind = Literal["agent-key", "token", "url", "other"]
STORE_KINDS: tuple[StoreKind, ...] = get_args(StoreKind)
KINDS: tuple[SecretKind, ...] = get_args(SecretKind)
EXTRA_MEND = "install tradebot[secrets]"
NEXT = ".next"
LONGEST = 8192
"""Characters of a secret."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HEX_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_SHOWN_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFacts:
    """What may be told of a secret. ``fingerprint``: the address of an agent key, else 8 digits of a hash.

    ``created`` and ``expires`` are epoch nanoseconds, ``None`` where nobody said. ``flaw`` says why one that is kept
    cannot be told of; then nothing but its name and where it is kept is true.
    """

    name: str
    kind: SecretKind
    backend: StoreKind
    created: Nanos | None
    expires: Nanos | None
    fingerprint: str
    flaw: str = ""


class SecretStore(Protocol):
    """Keeps secrets by name. Blocks: an event loop calls it in a thread.

    Every method raises ``NotPermitted`` when the store is closed to us, and ``Unavailable`` while it does not answer.
    """

    @property
    def kind(self) -> StoreKind:
        """What keeps the secrets."""
        ...

    def facts(self) -> list[SecretFacts]:
        """Return the facts of all secrets, by name. Asks for no passphrase."""
        ...

    def get(self, name: str) -> Secret:
        """Return a secret. Raises ``NotPermitted`` also when there is none of that name."""
        ...

    def put(self, name: str, secret: Secret, *, kind: SecretKind, expires: Nanos | None) -> SecretFacts:
        """Keep a secret, in place of an earlier one of that name; what is returned is durable.

        Raises ``UsageError`` for a name or a value that cannot be one.
        """
        ...

    def remove(self, name: str) -> None:
        """Forget a secret. Raises ``NotPermitted`` when there is none of that name."""
        ...


def next_name(name: str) -> str:
    """Return under what name the next value of a secret waits until it is taken into use."""
    return f"{name}{NEXT}"


def check_name(name: str) -> str:
    """Return ``name``. Raises ``UsageError`` unless it is 1 to 64 of ``a-z 0-9 . _ -``, a letter or digit first."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} is no name of a secret", mend="use a-z, 0-9, '.', '_' and '-', at most 64, e.g. agent-1"
        )
    return name


def checked(kind: SecretKind, secret: Secret) -> Secret:
    """Return ``secret`` as it is kept: an agent key is 64 lower-case hex digits without ``0x``.

    Raises ``UsageError``, quoting nothing of it, for what is no value of ``kind``.
    """
    text = secret.reveal()
    if len(text) > LONGEST or "\0" in text:
        raise UsageError(f"a secret is at most {LONGEST} characters, without a zero", mend="is it the right file?")
    if kind == "agent-key":
        if not is_agent_key(secret):
            raise UsageError("an agent key is 64 hex digits, 0x optional", mend="give the key of the API wallet")
        return Secret(text.removeprefix("0x").lower())
    if kind == "url" and not text.startswith(("https://", "http://")):
        raise UsageError("a url begins with https:// or http://", mend="give the whole address")
    return secret


def is_agent_key(secret: Secret) -> bool:
    """Return whether ``secret`` looks like an agent key."""
    return _HEX_KEY.fullmatch(secret.reveal()) is not None


def fingerprint(name: str, kind: SecretKind, secret: Secret) -> str:
    """Return by what a checked secret is known in public: the lower-case address of an agent key, else a short hash.

    Raises ``UsageError`` for an agent key that is none.
    """
    if kind == "agent-key":
        return _address(secret)
    # Too short to be a way back to the text, enough to see that two are the same.
    return hashlib.blake2s(f"{name}\0{secret.reveal()}".encode()).hexdigest()[:_SHOWN_DIGITS]


def facts_of(
    name: str, secret: Secret, kind: SecretKind, backend: StoreKind, created: Nanos, expires: Nanos | None
) -> SecretFacts:
    """Return what may be told of a checked ``secret`` that is about to be kept. Raises ``UsageError`` on a bad name."""
    return SecretFacts(
        name=check_name(name),
        kind=kind,
        backend=backend,
        created=created,
        expires=expires,
        fingerprint=fingerprint(name, kind, secret),
    )


def _address(key: Secret) -> str:
    try:
        from eth_keys.datatypes import PrivateKey
    except ImportError as error:
        raise ConfigError("an agent key needs the package eth-keys", where="secrets", mend=EXTRA_MEND) from error
    try:
        return str(PrivateKey(bytes.fromhex(key.reveal())).public_key.to_address())
    except Exception:
        raise UsageError("the agent key is no valid secp256k1 private key", mend="make a new agent key") from None


def absent(name: str, where: str) -> NotPermitted:
    """Return the error of a name that the store does not have."""
    return NotPermitted(
        f"there is no secret {name!r}", where=where, mend=f"tradebot secrets list; tradebot secrets set {name}"
    )
