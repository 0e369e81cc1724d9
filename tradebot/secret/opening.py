"""Choosing the store that the configuration names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from tradebot.ports import Clock
from tradebot.secret.credential import CredentialStore
from tradebot.secret.keystore import FOLDER_NAME, Keystore
from tradebot.secret.passphrase import AskPassphrase
from tradebot.secret.store import SecretStore, StoreKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """Which store."""

    backend: StoreKind = "keystore"


def open_store(
    config: StoreConfig, home: Path, passphrase: AskPassphrase, environ: Mapping[str, str], clock: Clock
) -> SecretStore:
    """Return the store of ``home``; nothing is asked or read before it is used."""
    match config.backend:
        case "keystore":
            return Keystore(home / FOLDER_NAME, passphrase, clock)
        case "credential":
            return CredentialStore(environ)
        case _:
            assert_never(config.backend)
