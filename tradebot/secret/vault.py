"""Secrets in HashiCorp Vault, engine KV version 2, over its HTTP API.

A secret is the field ``value`` of ``MOUNT/data/PATH/NAME``; what may be told of it is its custom metadata, so that
listing reads no value. The token is read from its file for each visit, as Vault's agent writes a fresh one there; one
that is about to end and may be renewed is renewed by us.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tradebot.model.errors import ConfigError, NotPermitted, Unavailable, UsageError
from tradebot.model.time import Nanos
from tradebot.ports import Clock
from tradebot.secret.files import read_private
from tradebot.secret.secret import Secret
from tradebot.secret.store import (
    KINDS,
    LONGEST,
    SecretFacts,
    SecretKind,
    StoreKind,
    absent,
    check_name,
    checked,
    facts_of,
)

_TIMEOUT_S = 10.0
_LARGEST = 1 << 20
_RENEW_BELOW_S = 3600
_POLICY_MEND = "look at the token and its policy: it reads and writes data and metadata below the path"


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultConfig:
    """Where Vault answers, and where in it the secrets are: ``mount`` and ``path`` without slashes at their ends."""

    url: str
    token_file: Path
    mount: str = "secret"
    path: str = "tradebot"
    namespace: str = ""
    ca_file: Path | None = None


class VaultStore:
    """The secrets below one path of Vault."""

    def __init__(self, config: VaultConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._renew_at = 0.0

    @property
    def kind(self) -> StoreKind:
        """HashiCorp Vault."""
        return "vault"

    def facts(self) -> list[SecretFacts]:
        """Return the facts of all secrets, by name."""
        listed = self._ask("LIST", "metadata", "")
        names = [] if listed is None else [str(name) for name in listed["data"]["keys"]]
        return [found for name in sorted(names) if not name.endswith("/") and (found := self._told(name)) is not None]

    def get(self, name: str) -> Secret:
        """Return a secret: its newest version, unless that was deleted."""
        answer = self._ask("GET", "data", check_name(name))
        value = None if answer is None or answer["data"]["data"] is None else answer["data"]["data"].get("value")
        if not isinstance(value, str) or not value:
            raise absent(name, self._where(name))
        return Secret(value)

    def put(self, name: str, secret: Secret, *, kind: SecretKind, expires: Nanos | None) -> SecretFacts:
        """Keep a secret as a new version, and what may be told of it beside it."""
        secret = checked(kind, secret)
        facts = facts_of(name, secret, kind, self.kind, self._clock.now(), expires)
        self._ask("POST", "data", name, {"data": {"value": secret.reveal()}})
        told = {"kind": kind, "created": str(facts.created), "expires": "" if expires is None else str(expires)}
        self._ask("POST", "metadata", name, {"custom_metadata": told | {"fingerprint": facts.fingerprint}})
        return facts

    def remove(self, name: str) -> None:
        """Forget a secret with all its versions."""
        if self._ask("GET", "metadata", check_name(name)) is None:
            raise absent(name, self._where(name))
        self._ask("DELETE", "metadata", name)

    def _told(self, name: str) -> SecretFacts | None:
        answer = self._ask("GET", "metadata", name)
        told = None if answer is None else answer["data"].get("custom_metadata")
        if not isinstance(told, Mapping):
            told = {}
        kind = told.get("kind")
        return SecretFacts(
            name=name,
            kind=kind if kind in KINDS else "other",
            backend=self.kind,
            created=_nanos(told.get("created")),
            expires=_nanos(told.get("expires")),
            fingerprint=str(told.get("fingerprint", "")),
        )

    def _where(self, name: str) -> str:
        return f"{self._config.url} {self._config.mount}/{self._config.path}/{name}"

    def _ask(self, method: str, part: str, name: str, body: object = None) -> Any:
        """Return the reply, ``None`` for what is not there. Raises ``NotPermitted`` and ``Unavailable``."""
        self._renew()
        place = "/".join(quote(one) for one in (*self._config.path.split("/"), *([name] if name else [])))
        return self._request(method, f"{quote(self._config.mount)}/{part}/{place}", body)

    def _renew(self) -> None:
        """Renew a token that ends soon; one that may not be renewed is left to its giver."""
        now_s = self._clock.monotonic()
        if now_s < self._renew_at:
            return
        self._renew_at = now_s + _RENEW_BELOW_S / 4
        answer = self._request("GET", "auth/token/lookup-self", None)
        data = {} if answer is None else answer["data"]
        if data.get("renewable") and 0 < int(data.get("ttl", 0)) < _RENEW_BELOW_S:
            self._request("POST", "auth/token/renew-self", {})

    def _request(self, method: str, path: str, body: object) -> Any:
        config = self._config
        token = read_private(config.token_file, LONGEST, may_be_roots=True).decode("ascii", "replace").strip()
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if config.namespace:
            headers["X-Vault-Namespace"] = config.namespace
        payload = None if body is None else json.dumps(body).encode()
        connection = _connection(config)
        try:
            connection.request(method, f"/v1/{path}", payload, headers)
            response = connection.getresponse()
            status, text = response.status, response.read(_LARGEST)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Its text could hold what was sent.
            raise Unavailable(
                f"vault does not answer: {type(error).__name__}", where=config.url, mend="is it up, and the url right?"
            ) from None
        finally:
            connection.close()
        return _answer(status, text, config.url, path)


def _connection(config: VaultConfig) -> http.client.HTTPConnection:
    parts = urlsplit(config.url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        if host not in ("127.0.0.1", "localhost", "::1"):
            raise ConfigError(
                "vault is asked without TLS only on this machine", where="secrets.vault.url", mend="use https://"
            )
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    trust = ssl.create_default_context(cafile=None if config.ca_file is None else str(config.ca_file))
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=trust)


def _answer(status: int, text: bytes, url: str, path: str) -> Any:
    if status == 404:
        # Of a deleted version it still tells, and of a path it does not know it says why not.
        return _deleted(text)
    if status == 403:
        raise NotPermitted(f"vault does not let this token use {path}", where=url, mend=_POLICY_MEND)
    if status == 503:
        raise Unavailable("vault is sealed", where=url, mend="vault operator unseal")
    if status in (429, 472, 473) or status >= 500:
        raise Unavailable(f"vault answers {status}", where=url, mend="ask again in a moment; look at vault status")
    if status >= 400 or 300 <= status < 400:
        raise UsageError(f"vault answers {status} to {path}", where=url, mend="check secrets.vault: url, mount, path")
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        raise Unavailable("vault's reply is no JSON", where=url, mend="does vault answer at this url?") from None


def _deleted(text: bytes) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("data"), dict) else None


def _nanos(text: object) -> Nanos | None:
    return Nanos(int(text)) if isinstance(text, str) and text.isdecimal() else None
