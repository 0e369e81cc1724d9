"""Secrets in the keyring of the system, by a back end of the package ``keyring`` that keeps them in memory."""

from collections.abc import Iterator

import pytest

pytest.importorskip("keyring", reason="the extra keyring is not installed")
pytest.importorskip("eth_keys", reason="the extra secrets is not installed")

import keyring
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from tests.clock import VirtualClock
from tradebot.model.errors import NotPermitted
from tradebot.secret.secret import Secret
from tradebot.secret.system_keyring import SystemKeyring

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


class InMemory(KeyringBackend):
    """A keyring that may be locked."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def _check(self) -> None:
        if self.is_locked:
            raise KeyringLocked("locked with a secret text in it")

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if (service, username) not in self.kept:
            raise PasswordDeleteError("not there")
        del self.kept[service, username]


@pytest.fixture
def backend() -> Iterator[InMemory]:
    before, made = keyring.get_keyring(), InMemory()
    keyring.set_keyring(made)
    try:
        yield made
    finally:
        keyring.set_keyring(before)


def test_secrets_are_kept_told_of_and_removed(backend: InMemory) -> None:
    store = SystemKeyring("tradebot /home/me", VirtualClock(5))
    assert store.facts() == []
    first = store.put("agent-1", Secret(f"0x{KEY}"), kind="agent-key", expires=None)
    second = store.put("hook", Secret("https://hooks.example/x"), kind="url", expires=None)
    assert store.facts() == [first, second]
    assert store.get("agent-1").reveal() == KEY
    # What is told of them names no value, and another home sees nothing.
    assert KEY not in backend.kept["tradebot /home/me", "Index"]
    assert SystemKeyring("tradebot /other", VirtualClock(5)).facts() == []
    store.remove("agent-1")
    assert store.facts() == [second]
    for act in (store.get, store.remove):
        with pytest.raises(NotPermitted, match="no secret 'agent-1'"):
            act("agent-1")


def test_a_locked_keyring_is_told_with_its_mend_and_quotes_nothing(backend: InMemory) -> None:
    store = SystemKeyring("tradebot /home/me", VirtualClock(5))
    backend.is_locked = True
    with pytest.raises(NotPermitted, match="KeyringLocked") as told:
        store.get("a")
    assert "secret text" not in str(told.value)
    assert told.value.__cause__ is None
    assert "unlock" in told.value.mend


def test_without_any_keyring_the_mend_names_other_stores() -> None:
    before = keyring.get_keyring()
    from keyring.backends import fail

    keyring.set_keyring(fail.Keyring())
    try:
        with pytest.raises(NotPermitted) as told:
            SystemKeyring("tradebot", VirtualClock(5)).facts()
        assert "keystore" in told.value.mend
    finally:
        keyring.set_keyring(before)
