"""Secrets in the keyring of the desktop: Secret Service, KWallet, or the keychain of the system.

A keyring cannot list what it holds, so what may be told of all secrets is one more entry, an index.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tradebot.model.errors import ConfigError, NotPermitted
from tradebot.model.time import Nanos
from tradebot.ports import Clock
from tradebot.secret.secret import Secret
from tradebot.secret.store import SecretFacts, SecretKind, StoreKind, absent, check_name, checked, facts_of

if TYPE_CHECKING:
    from types import ModuleType

# No name of a secret: it has an upper-case letter.
_INDEX = "Index"


class SystemKeyring:
    """The entries of one ``service`` in the keyring of whoever runs this."""

    def __init__(self, service: str, clock: Clock) -> None:
        self._service, self._clock = service, clock

    @property
    def kind(self) -> StoreKind:
        """The keyring of the system."""
        return "keyring"

    def facts(self) -> list[SecretFacts]:
        """Return the facts of all secrets, by name."""
        return [SecretFacts(**told) for _, told in sorted(self._index().items())]  # type: ignore[arg-type]  # as put wrote it

    def get(self, name: str) -> Secret:
        """Return a secret."""
        text = self._read(check_name(name))
        if not text:
            raise absent(name, f"keyring {self._service}")
        return Secret(text)

    def put(self, name: str, secret: Secret, *, kind: SecretKind, expires: Nanos | None) -> SecretFacts:
        """Keep a secret, then list it."""
        secret = checked(kind, secret)
        facts = facts_of(name, secret, kind, self.kind, self._clock.now(), expires)
        self._write(name, secret.reveal())
        told = {key: getattr(facts, key) for key in ("name", "kind", "backend", "created", "expires", "fingerprint")}
        self._write(_INDEX, json.dumps(self._index() | {name: told}))
        return facts

    def remove(self, name: str) -> None:
        """Forget a secret."""
        self.get(name)
        index = self._index()
        index.pop(name, None)
        self._write(_INDEX, json.dumps(index))
        with _refusals():
            _keyring().delete_password(self._service, name)

    def _index(self) -> dict[str, dict[str, object]]:
        text = self._read(_INDEX)
        found = json.loads(text) if text else {}
        return found if isinstance(found, dict) else {}

    def _read(self, name: str) -> str | None:
        with _refusals():
            text: str | None = _keyring().get_password(self._service, name)
            return text

    def _write(self, name: str, text: str) -> None:
        with _refusals():
            _keyring().set_password(self._service, name, text)


def _keyring() -> "ModuleType":
    try:
        import keyring
    except ImportError as error:
        raise ConfigError(
            "the keyring needs the package keyring", where="secrets.backend", mend="install tradebot[keyring]"
        ) from error
    return keyring


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what a keyring raises into ours, quoting nothing."""
    _keyring()
    from keyring.errors import KeyringError

    try:
        yield
    except KeyringError as error:
        mend = "unlock it; where no desktop runs, secrets.backend = keystore or vault"
        raise NotPermitted(f"the keyring refuses: {type(error).__name__}", where="keyring", mend=mend) from None
