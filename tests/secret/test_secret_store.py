"""What a process does with the secrets that its configuration names."""

from pathlib import Path

import pytest

from tests.clock import VirtualClock
from tradebot.model.errors import ConfigError
from tradebot.runtime.logs import redact
from tradebot.runtime.secret_store import needs_passphrase, reveal, store_of, used_by
from tradebot.secret.secret import Secret
from tradebot.secret.store import SecretFacts

KEY = "ab" * 31 + "0c"


class OneSecret:
    """A store of one secret."""

    kind = "keystore"

    def facts(self) -> list[SecretFacts]:
        return []

    def get(self, name: str) -> Secret:
        return Secret({"key": KEY, "pin": "1234567"}[name])


def test_the_log_hides_what_was_revealed_however_it_is_spelt() -> None:
    assert reveal(OneSecret(), "key") == KEY  # type: ignore[arg-type]
    for text in (KEY, KEY.upper(), f"0x{KEY}", f"key={KEY}!"):
        assert KEY.lower() not in redact(text).lower()
    # To blank so short a text would blank others.
    assert reveal(OneSecret(), "pin") == "1234567"  # type: ignore[arg-type]
    assert redact("at 1234567 ms") == "at 1234567 ms"


def test_who_uses_a_secret_is_read_from_the_texts_of_the_configuration() -> None:
    assert used_by({"venue": {"key_secret": "agent-1"}}) == {"agent-1": ["venue.key_secret"]}
    assert used_by({}) == {}
    assert needs_passphrase({"venue": {"key_secret": "a"}, "secrets": {}})
    assert not needs_passphrase({"venue": {"key_secret": "a"}, "secrets": {"backend": "vault"}})
    assert not needs_passphrase({"venue": {"key_file": "a"}, "secrets": {}})


@pytest.mark.parametrize(
    ("texts", "words"),
    [({"backend": "envelope"}, "none of keystore"), ({"backend": "vault"}, "nothing of where vault")],
)
def test_a_store_that_cannot_be_is_told(tmp_path: Path, texts: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        store_of(texts, tmp_path, VirtualClock())


def test_each_back_end_is_chosen_by_its_name(tmp_path: Path) -> None:
    vault = {"vault_url": "https://vault.example", "vault_token_file": str(tmp_path / "token")}
    for backend in ("keystore", "keyring", "vault", "credential"):
        assert store_of({"backend": backend, **vault}, tmp_path, VirtualClock()).kind == backend
