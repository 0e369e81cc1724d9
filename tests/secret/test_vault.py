"""Secrets in Vault, over its HTTP protocol on the loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("eth_keys", reason="the extra secrets is not installed")

from tests.clock import VirtualClock
from tests.secret.vault_server import FakeVault
from tradebot.model.errors import ConfigError, NotPermitted, TradebotError, Unavailable, UsageError
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.secret.secret import Secret
from tradebot.secret.vault import VaultConfig, VaultStore

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
TOKEN = "hvs.a-token-of-vault"


@pytest.fixture
def server() -> Iterator[FakeVault]:
    made = FakeVault(tokens={TOKEN: {"ttl": 30 * 86_400, "renewable": True, "period": 86_400}})
    try:
        yield made
    finally:
        made.close()


def vault(server: FakeVault, folder: Path, clock: VirtualClock | None = None, **changed: str) -> VaultStore:
    token = folder / "token"
    if not token.exists():
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
    fields = {"url": server.url, "path": "bots/one"} | changed
    return VaultStore(VaultConfig(token_file=token, **fields), clock or VirtualClock(10**18))  # type: ignore[arg-type]


def test_secrets_are_kept_told_of_replaced_and_removed(server: FakeVault, tmp_path: Path) -> None:
    store = vault(server, tmp_path)
    assert store.facts() == []
    first = store.put("agent-1", Secret(f"0x{KEY}"), kind="agent-key", expires=Nanos(2 * 10**18))
    second = store.put("hook", Secret("https://hooks.example/x"), kind="url", expires=None)
    assert store.facts() == [first, second]
    assert store.get("agent-1").reveal() == KEY
    store.put("hook", Secret("https://hooks.example/y"), kind="url", expires=None)
    assert store.get("hook").reveal() == "https://hooks.example/y"
    assert len(server.versions["bots/one/hook"]) == 2
    # Listing reads no value.
    server.asked.clear()
    store.facts()
    assert not [path for _, path in server.asked if "/data/" in path]
    store.remove("hook")
    assert [facts.name for facts in store.facts()] == ["agent-1"]
    for act in (store.get, store.remove):
        with pytest.raises(NotPermitted, match="no secret 'hook'"):
            act("hook")


def test_what_somebody_else_wrote_is_read_and_listed(server: FakeVault, tmp_path: Path) -> None:
    server.versions["bots/one/by-hand"] = [{"value": "a token"}]
    server.versions["bots/one/deeper/x"] = [{"value": "of somebody else"}]
    server.versions["bots/one/deleted"] = [{"value": "old"}, None]
    server.versions["bots/one/other-field"] = [{"password": "x"}]
    store = vault(server, tmp_path)
    assert [(facts.name, facts.kind, facts.created) for facts in store.facts()] == [
        ("by-hand", "other", None),
        ("deleted", "other", None),
        ("other-field", "other", None),
    ]
    assert store.get("by-hand").reveal() == "a token"
    for name in ("deleted", "other-field"):
        with pytest.raises(NotPermitted, match="no secret"):
            store.get(name)


@pytest.mark.parametrize(
    ("broken", "error", "words"),
    [
        ((403, b'{"errors":["permission denied"]}'), NotPermitted, "does not let this token"),
        ((503, b'{"errors":["Vault is sealed"]}'), Unavailable, "sealed"),
        ((500, b"oops"), Unavailable, "answers 500"),
        ((429, b""), Unavailable, "answers 429"),
        ((473, b""), Unavailable, "answers 473"),
        ((400, b'{"errors":["bad"]}'), UsageError, "answers 400"),
        ((307, b""), UsageError, "answers 307"),
        ((200, b"<html>"), Unavailable, "no JSON"),
    ],
)
def test_what_vault_refuses_is_told_with_its_mend(
    server: FakeVault, tmp_path: Path, broken: tuple[int, bytes], error: type[TradebotError], words: str
) -> None:
    server.broken = broken
    for act in (lambda store: store.get("a"), lambda store: store.facts()):
        with pytest.raises(error, match=words) as told:
            act(vault(server, tmp_path))
        assert told.value.mend
        assert TOKEN not in str(told.value)


def test_a_vault_that_is_gone_or_sealed_is_asked_again_later(server: FakeVault, tmp_path: Path) -> None:
    store = vault(server, tmp_path)
    store.put("a", Secret("a token"), kind="token", expires=None)
    server.is_sealed = True
    with pytest.raises(Unavailable, match="sealed"):
        store.get("a")
    server.is_sealed = False
    assert store.get("a").reveal() == "a token"
    url = server.url
    server.close()
    with pytest.raises(Unavailable, match="does not answer"):
        store.get("a")
    assert url.startswith("http")


def test_a_token_is_renewed_in_time_and_a_new_one_is_read_from_its_file(server: FakeVault, tmp_path: Path) -> None:
    clock = VirtualClock(10**18)
    store = vault(server, tmp_path, clock)
    store.put("a", Secret("a token"), kind="token", expires=None)
    renew = ("POST", "/v1/auth/token/renew-self")
    assert renew not in server.asked
    server.tokens[TOKEN]["ttl"] = 600
    clock.advance(3600 * NANOS_PER_S)
    store.get("a")
    assert server.asked.count(renew) == 1
    assert server.tokens[TOKEN]["ttl"] == 86_400
    # One that may not be renewed ends; whoever gives tokens writes another.
    server.tokens[TOKEN] |= {"ttl": 0, "renewable": False}
    with pytest.raises(NotPermitted, match="does not let this token"):
        store.get("a")
    server.tokens["hvs.the-next"] = {"ttl": 60, "renewable": False, "period": 0}
    (tmp_path / "token").write_text("hvs.the-next")
    assert store.get("a").reveal() == "a token"


def test_a_namespace_is_named_in_each_request(server: FakeVault, tmp_path: Path) -> None:
    server.namespace = "desk/crypto"
    with pytest.raises(NotPermitted):
        vault(server, tmp_path).facts()
    assert vault(server, tmp_path, namespace="desk/crypto").facts() == []


def test_a_token_others_may_read_is_not_used(server: FakeVault, tmp_path: Path) -> None:
    store = vault(server, tmp_path)
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(NotPermitted, match="others may read"):
        store.facts()
    assert server.asked == []


def test_a_token_leaves_this_machine_only_under_tls(server: FakeVault, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without TLS only on this machine"):
        vault(server, tmp_path, url="http://vault.example:8200").facts()
