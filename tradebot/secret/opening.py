"""Choosing the store that the configuration names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from tradebot.model.errors import ConfigError
from tradebot.ports import Clock
from tradebot.secret.credential import CredentialStore
from tradebot.secret.keystore import FOLDER_NAME, Keystore
from tradebot.secret.passphrase import AskPassphrase
from tradebot.secret.store import SecretStore, StoreKind
from tradebot.secret.system_keyring import SystemKeyring
from tradebot.secret.vault import VaultConfig, VaultStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """Which store; ``vault`` says where that one is."""

    backend: StoreKind = "keystore"
    vault: VaultConfig | None = None


def open_store(
    config: StoreConfig, home: Path, passphrase: AskPassphrase, environ: Mapping[str, str], clock: Clock
) -> SecretStore:
    """Return the store of ``home``; nothing is asked or read before it is used. Raises ``ConfigError``."""
    match config.backend:
        case "keystore":
            return Keystore(home / FOLDER_NAME, passphrase, clock)
        case "keyring":
            return SystemKeyring(f"tradebot {home}", clock)
        case "vault":
            if config.vault is None:
                raise ConfigError(
                    "says nothing of where vault is", where="secrets", mend="set vault_url and vault_token_file"
                )
            return VaultStore(config.vault, clock)
        case "credential":
            return CredentialStore(environ)
        case _:
            assert_never(config.backend)
