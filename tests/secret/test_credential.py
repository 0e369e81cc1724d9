"""Secrets that systemd gives, and where a passphrase comes from."""

import os
from pathlib import Path

import pytest

pytest.importorskip("eth_keys", reason="the extra secrets is not installed")

from tradebot.model.errors import NotPermitted, UsageError
from tradebot.secret.credential import CredentialStore
from tradebot.secret.passphrase import passphrase_source
from tradebot.secret.secret import Secret

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


def given(folder: Path, **files: str) -> dict[str, str]:
    for name, text in files.items():
        path = folder / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o400)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_credentials_are_read_and_never_written(tmp_path: Path) -> None:
    store = CredentialStore(
        given(tmp_path, agent_1=f"0x{KEY.upper().replace('0X', '')}\n", token="abc\n", tradebot_passphrase="x")
    )
    assert [(facts.name, facts.kind) for facts in store.facts()] == [("agent-1", "agent-key"), ("token", "other")]
    assert (store.get("agent-1").reveal(), store.get("token").reveal()) == (KEY, "abc")
    with pytest.raises(NotPermitted, match="no secret 'x'"):
        store.get("x")
    with pytest.raises(NotPermitted, match="not set from here"):
        store.put("x", Secret("y"), kind="token", expires=None)
    with pytest.raises(NotPermitted, match="not removed from here"):
        store.remove("token")
    assert CredentialStore({}).facts() == []


def test_an_empty_credential_or_one_that_is_no_text_is_told(tmp_path: Path) -> None:
    environ = given(tmp_path, empty="\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "bytes").chmod(0o600)
    for name in ("empty", "bytes"):
        with pytest.raises(NotPermitted, match="empty or no text"):
            CredentialStore(environ).get(name)


def test_the_passphrase_comes_from_its_file_descriptor_before_all_else(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"from the pipe\n")
    os.close(writer)
    ask = passphrase_source(given(tmp_path, tradebot_passphrase="from systemd\n"), reader)
    # It is read once, and remembered.
    assert [ask().reveal() for _ in range(2)] == ["from the pipe"] * 2
    assert passphrase_source({"CREDENTIALS_DIRECTORY": str(tmp_path)}, None)().reveal() == "from systemd"


@pytest.mark.parametrize("raw", [b"", b"\n", b"\xff\xff", b"x" * 5000])
def test_a_passphrase_that_cannot_be_one_is_refused_and_not_quoted(raw: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, raw)
    os.close(writer)
    with pytest.raises(NotPermitted, match="empty, too long or no UTF-8") as told:
        passphrase_source({}, reader)()
    assert told.value.__cause__ is None


def test_a_file_descriptor_that_is_not_open_is_told() -> None:
    with pytest.raises(UsageError, match="cannot read file descriptor"):
        passphrase_source({}, 987)()
