"""Secrets that systemd gives to the service: one file each, read only."""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from tradebot.model.errors import NotPermitted
from tradebot.model.time import Nanos
from tradebot.secret.files import read_private
from tradebot.secret.passphrase import CREDENTIAL
from tradebot.secret.secret import Secret
from tradebot.secret.store import (
    LONGEST,
    SecretFacts,
    SecretKind,
    StoreKind,
    absent,
    check_name,
    checked,
    fingerprint,
    is_agent_key,
)

_MEND = "systemd-creds encrypt, LoadCredentialEncrypted=NAME in the unit, systemctl restart"


class CredentialStore:
    """The files of ``$CREDENTIALS_DIRECTORY``; what is 64 hex digits is an agent key."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._folder = environ.get("CREDENTIALS_DIRECTORY", "")

    @property
    def kind(self) -> StoreKind:
        """Credentials of the service."""
        return "credential"

    def facts(self) -> list[SecretFacts]:
        """Return the facts of all credentials but the passphrase, by name."""
        if not self._folder:
            return []
        names = sorted(path.name for path in Path(self._folder).iterdir() if path.name != CREDENTIAL)
        return [self._facts_of(name) for name in names]

    def get(self, name: str) -> Secret:
        """Return a credential. Raises ``NotPermitted`` outside of a service, and when there is none of that name."""
        return self._read(check_name(name))

    def put(self, _name: str, _secret: Secret, *, kind: SecretKind, expires: Nanos | None) -> NoReturn:
        """Raise ``NotPermitted``: credentials are set by who runs the service."""
        raise NotPermitted("credentials of systemd are not set from here", where="secrets.backend", mend=_MEND)

    def remove(self, _name: str) -> NoReturn:
        """Raise ``NotPermitted``: credentials are removed by who runs the service."""
        raise NotPermitted("credentials of systemd are not removed from here", where="secrets.backend", mend=_MEND)

    def _facts_of(self, name: str) -> SecretFacts:
        secret = self._read(name)
        kind: SecretKind = "agent-key" if is_agent_key(secret) else "other"
        known = fingerprint(name, kind, secret)
        return SecretFacts(name=name, kind=kind, backend=self.kind, created=None, expires=None, fingerprint=known)

    def _read(self, name: str) -> Secret:
        path = Path(self._folder) / name
        if not self._folder or not path.exists():
            raise absent(name, self._folder or "$CREDENTIALS_DIRECTORY is not set")
        try:
            text = read_private(path, LONGEST, may_be_roots=True).decode().strip()
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise NotPermitted("the credential is empty or no text", where=str(path), mend=_MEND) from None
        secret = Secret(text)
        return checked("agent-key", secret) if is_agent_key(secret) else secret
