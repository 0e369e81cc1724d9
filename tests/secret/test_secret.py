"""A secret shows itself to nobody but who asks for it, and a keystore gives it back to nobody but who may have it."""

import copy
import json
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clock import VirtualClock
from tradebot.model.errors import NotPermitted, UsageError
from tradebot.model.time import Nanos
from tradebot.secret.keystore import Keystore
from tradebot.secret.secret import Secret
from tradebot.secret.store import SecretKind

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
NOW = Nanos(1_800_000_000_000_000_000)


def keystore(folder: Path, passphrase: str = "open sesame") -> Keystore:
    # The least cost: what is tested is not how long it takes.
    return Keystore(folder / "secrets", lambda: Secret(passphrase), VirtualClock(NOW), scrypt_n=2)


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret("hunter2-hunter2")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", repr([secret]), repr({1: secret})]
    assert not [text for text in shown if "hunter2" in text]
    assert copy.deepcopy([secret])[0] is secret
    assert copy.copy(secret) is secret
    for level in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret, level)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(ValueError, match="empty"):
        Secret("")


def test_a_damaged_file_takes_nothing_from_the_others(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    store.put("b", Secret("value of b"), kind="token", expires=None)
    for name, text in (("a", "{"), ("c", "[]"), ("d", "{}")):
        path = tmp_path / f"secrets/{name}.json"
        path.write_text(text)
        path.chmod(0o600)
    assert [(facts.name, bool(facts.flaw)) for facts in store.facts()] == [
        ("a", True),
        ("b", False),
        ("c", True),
        ("d", True),
    ]
    assert all("is no secret of this store" in facts.flaw for facts in store.facts() if facts.flaw)
    # Whether the passphrase is the one of this folder is still seen, and what is damaged can be set anew.
    store.put("a", Secret("value of a"), kind="token", expires=None)
    assert store.get("a").reveal() == "value of a"


@settings(max_examples=20, deadline=None)
@given(
    text=st.text(min_size=1, max_size=300).filter(lambda text: "\0" not in text),
    kind=st.sampled_from(["token", "other"]),
)
def test_what_is_put_comes_back(text: str, kind: SecretKind, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = keystore(tmp_path_factory.mktemp("home"))
    store.put("one", Secret(text), kind=kind, expires=None)
    assert store.get("one").reveal() == text


def test_an_agent_key_is_an_ethereum_keystore_that_others_open(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    facts = store.put("agent-1", Secret("0x" + KEY.upper().replace("0X", "")), kind="agent-key", expires=Nanos(NOW + 5))
    document = json.loads((tmp_path / "secrets/agent-1.json").read_text())
    assert Account.decrypt(document, "open sesame").hex().removeprefix("0x") == KEY
    assert facts.fingerprint == Account.from_key(KEY).address.lower()
    assert store.get("agent-1").reveal() == KEY
    assert store.facts() == [facts]
    assert (facts.created, facts.expires, facts.backend, facts.kind) == (NOW, NOW + 5, "keystore", "agent-key")


def test_files_are_for_their_owner_alone_and_hold_no_value(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    store.put("agent-1", Secret(KEY), kind="agent-key", expires=None)
    store.put("hook", Secret("https://hooks.example/canary-canary"), kind="url", expires=None)
    folder = tmp_path / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert KEY not in path.read_text().lower()
        assert "canary" not in path.read_text()


@pytest.mark.parametrize("name", ["agent", "token"])
def test_another_passphrase_opens_nothing_and_adds_nothing(tmp_path: Path, name: str) -> None:
    kind: SecretKind = "agent-key" if name == "agent" else "token"
    keystore(tmp_path).put(name, Secret(KEY), kind=kind, expires=None)
    other = keystore(tmp_path, "open barley")
    with pytest.raises(NotPermitted, match="not its passphrase"):
        other.get(name)
    with pytest.raises(NotPermitted, match="not its passphrase"):
        other.put("second", Secret("a value"), kind="token", expires=None)
    # What is kept is listed without a passphrase.
    assert [facts.name for facts in other.facts()] == [name]


def test_what_is_told_beside_a_sealed_secret_is_bound_to_it(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    store.put("a", Secret("value of a"), kind="token", expires=None)
    path = tmp_path / "secrets/a.json"
    document = json.loads(path.read_text())
    for key, value in (("expires", 1), ("kind", "other"), ("created", 2), ("name", "b")):
        changed = document | {"tradebot": document["tradebot"] | {key: value}}
        target = path.with_name("b.json") if key == "name" else path
        target.write_text(json.dumps(changed))
        target.chmod(0o600)
        with pytest.raises(NotPermitted, match="damaged"):
            store.get("b" if key == "name" else "a")


@settings(max_examples=20, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.binary(min_size=1, max_size=3))
def test_a_damaged_file_never_opens_as_something_else(
    at: int, byte: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("home")
    store = keystore(folder)
    for name, kind in (("k", "agent-key"), ("t", "token")):
        store.put(name, Secret(KEY), kind=kind, expires=None)  # type: ignore[arg-type]
        path = folder / f"secrets/{name}.json"
        body = bytearray(path.read_bytes())
        body[at % len(body) : at % len(body) + len(byte)] = byte
        path.write_bytes(body)
        with suppress(NotPermitted):
            assert store.get(name).reveal() == KEY
        path.unlink()


def test_a_costly_file_is_refused_before_it_costs(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    for name, kind in (("k", "agent-key"), ("t", "token")):
        store.put(name, Secret(KEY), kind=kind, expires=None)  # type: ignore[arg-type]
        path = tmp_path / f"secrets/{name}.json"
        document = json.loads(path.read_text())
        (document.get("crypto") or document)["kdfparams"]["n"] = 1 << 30
        path.write_text(json.dumps(document))
        with pytest.raises(NotPermitted, match="damaged"):
            store.get(name)
        path.unlink()


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_or_folder_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    store = keystore(tmp_path)
    store.put("a", Secret("value of a"), kind="token", expires=None)
    (tmp_path / "secrets/a.json").chmod(mode)
    with pytest.raises(NotPermitted, match="others may read"):
        store.get("a")
    (tmp_path / "secrets/a.json").chmod(0o600)
    (tmp_path / "secrets").chmod(mode | 0o100)
    for act in (
        store.facts,
        lambda: store.get("a"),
        lambda: store.put("b", Secret("value"), kind="token", expires=None),
    ):
        with pytest.raises(NotPermitted, match="others may read"):
            act()


@pytest.mark.parametrize("name", ["", "A", "../a", "a/b", ".a", "a b", "x" * 65, "a\n"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    store = keystore(tmp_path)
    for act in (store.get, store.remove, lambda name: store.put(name, Secret("value"), kind="token", expires=None)):
        with pytest.raises(UsageError, match="no name of a secret"):
            act(name)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("agent-key", KEY[:-1], "64 hex digits"),
        ("agent-key", "f" * 64, "no valid secp256k1"),
        ("agent-key", "0" * 64, "no valid secp256k1"),
        ("url", "hooks.example/abcdefgh", "begins with https"),
        ("token", "x" * 8193, "at most 8192"),
        ("token", "x\0y", "without a zero"),
    ],
)
def test_a_value_that_cannot_be_one_is_refused_and_not_quoted(
    tmp_path: Path, kind: SecretKind, text: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words) as told:
        keystore(tmp_path).put("a", Secret(text), kind=kind, expires=None)
    assert text not in str(told.value)
    assert told.value.__cause__ is None
    assert not (tmp_path / "secrets").exists()


def test_a_secret_is_replaced_and_removed(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    store.put("a", Secret("first value"), kind="token", expires=None)
    # The only one may get another passphrase.
    keystore(tmp_path, "new words").put("a", Secret("second value"), kind="token", expires=None)
    store = keystore(tmp_path, "new words")
    assert store.get("a").reveal() == "second value"
    store.remove("a")
    assert store.facts() == []
    for act in (store.get, store.remove):
        with pytest.raises(NotPermitted, match="no secret 'a'"):
            act("a")
