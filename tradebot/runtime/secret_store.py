"""The store of secrets that a configuration names, the passphrase of this process, and what of it is used where."""

import os
from collections.abc import Mapping
from pathlib import Path

from tradebot.model.errors import ConfigError
from tradebot.ports import Clock
from tradebot.runtime.hardening import keep_out_of_dumps
from tradebot.runtime.logline import SHORTEST_SECRET, register_secret
from tradebot.secret.opening import StoreConfig, open_store
from tradebot.secret.passphrase import AskPassphrase, passphrase_source
from tradebot.secret.secret import Secret
from tradebot.secret.store import STORE_KINDS, SecretStore
from tradebot.secret.vault import VaultConfig
from tradebot.settings.model import Settings

USES = (("venue", "key_secret"), ("alerts", "url_secret"))
"""The settings that name a secret."""


class _Process:
    """A process is given one passphrase, and asks for it once."""

    ask: AskPassphrase = staticmethod(passphrase_source(os.environ, None))


def take_passphrase(ask: AskPassphrase) -> None:
    """Open keystores from now on with what ``ask`` gives."""
    _Process.ask = staticmethod(ask)


def given_passphrase() -> Secret:
    """Return the passphrase of this process. Raises ``NotPermitted`` where there is none."""
    keep_out_of_dumps()
    return _Process.ask()


def store_of(texts: Mapping[str, str], home: Path, clock: Clock) -> SecretStore:
    """Return the store that the section ``secrets`` with ``texts`` names. Raises ``ConfigError``."""
    named = texts.get("backend", "keystore")
    backend = next((kind for kind in STORE_KINDS if kind == named), None)
    if backend is None:
        raise ConfigError(
            f"{named!r} is none of {', '.join(STORE_KINDS)}", where="secrets.backend", mend="set one of them"
        )
    config = StoreConfig(backend=backend, vault=_vault(texts) if backend == "vault" else None)
    return open_store(config, home, given_passphrase, os.environ, clock)


def _vault(texts: Mapping[str, str]) -> VaultConfig | None:
    url, token_file, ca_file = (texts.get(f"vault_{key}") for key in ("url", "token_file", "ca_file"))
    if not url or not token_file:
        return None
    return VaultConfig(
        url=url,
        token_file=Path(token_file),
        mount=texts.get("vault_mount", "secret"),
        path=texts.get("vault_path", "tradebot"),
        namespace=texts.get("vault_namespace", ""),
        ca_file=None if ca_file is None else Path(ca_file),
    )


def reveal(store: SecretStore, name: str) -> str:
    """Return the value of a secret, which the log hides from now on. Raises ``NotPermitted`` and ``Unavailable``."""
    keep_out_of_dumps()
    text = store.get(name).reveal()
    if len(text) >= SHORTEST_SECRET:
        # Hex digits are the same in either case.
        for spelt in dict.fromkeys((text, text.lower(), text.upper())):
            register_secret(spelt)
    return text


def used_by(sections: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return which settings use each secret, by its name; ``sections`` are the texts of the configuration."""
    found: dict[str, list[str]] = {}
    for section, key in USES:
        if name := sections.get(section, {}).get(key):
            found.setdefault(name, []).append(f"{section}.{key}")
    return found


def secrets_used(settings: Settings) -> dict[str, list[str]]:
    """Return which settings of a whole configuration use each secret, by its name."""
    return used_by({"venue": settings.venue.model_dump(), "alerts": settings.alerts.model_dump()})


def needs_passphrase(sections: Mapping[str, Mapping[str, str]]) -> bool:
    """Return whether a daemon of this configuration opens a keystore."""
    return sections["secrets"].get("backend", "keystore") == "keystore" and bool(used_by(sections))


def check_opens(sections: Mapping[str, Mapping[str, str]], home: Path, clock: Clock) -> None:
    """Open each secret that a configuration names. Raises ``NotPermitted`` and ``Unavailable``."""
    used = used_by(sections)
    if used:
        store = store_of(sections["secrets"], home, clock)
        for name in used:
            reveal(store, name)
