"""Secrets by the real command, and a key that is exchanged under a daemon that trades."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("eth_keyfile", reason="the extra secrets is not installed")

from coincurve import PrivateKey

from tests.cli.desk import Desk
from tradebot.devnet.recover import address_of

PASSPHRASE = "correct horse battery"
FIRST, SECOND, STRANGER = "07" * 32, "09" * 32, "0b" * 32


class Vaulted:
    """The real command in a home whose keystore has ``PASSPHRASE``."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.passphrase = desk.folder / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")

    def run(self, *words: str, value: str = "") -> "subprocess.CompletedProcess[str]":
        with self.passphrase.open("rb") as file:
            command = [sys.executable, "-m", "tradebot", "--home", str(self.desk.home), *words]
            command += ["--passphrase-fd", str(file.fileno())]
            return subprocess.run(
                command,
                input=value,
                capture_output=True,
                text=True,
                check=False,
                pass_fds=(file.fileno(),),
                env=self.desk.environ,
                cwd=self.desk.folder,
            )

    def ask(self, *words: str, value: str = "") -> str:
        done = self.run(*words, value=value)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def approve(self, key: str, name: str) -> str:
        address = str(address_of(PrivateKey(bytes.fromhex(key)).public_key))
        self.desk.by_hand("approve-agent", user=self.desk.account, address=address, name=name)
        return address


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Vaulted]:
    desk = Desk(tmp_path)
    try:
        path = tmp_path / "mine.toml"
        lines = [line for line in path.read_text().splitlines() if not line.startswith("key_file")]
        path.write_text("\n".join([*lines, f'account = "{desk.account}"', 'key_secret = "agent-1"', ""]))
        yield Vaulted(desk)
    finally:
        desk.close()


def test_a_key_of_the_keystore_trades_and_is_exchanged_without_a_restart(home: Vaulted) -> None:
    desk, options = home.desk, home.desk.options
    first, second = home.approve(FIRST, "one"), home.approve(SECOND, "two")
    home.ask("secrets", "set", "agent-1", *options, value=FIRST)
    assert home.run("start", "--live", *options).returncode == 0
    before = desk.status()

    refused = home.run("secrets", "rotate", "agent-1", *options, value=STRANGER)
    assert (refused.returncode, "no agent of" in refused.stderr) == (77, True), refused.stderr
    assert STRANGER not in refused.stderr + refused.stdout

    began = time.monotonic()
    done = json.loads(home.ask("--json", "secrets", "rotate", "agent-1", *options, value=SECOND))
    assert time.monotonic() - began < 60
    assert (done["address"], done["seconds"] < 60) == (second, True)
    listed = json.loads(home.desk.ask("--json", "secrets", "list", *options))
    (row,) = listed
    assert (row["name"], row["kind"], row["backend"], row["fingerprint"]) == (
        "agent-1",
        "agent-key",
        "keystore",
        second,
    )
    assert row["used_by"] == ["venue.key_secret"]
    after = desk.status()
    assert after["pid"] == before["pid"]
    assert first != second
    # The next run has the new one.
    desk.ask("stop")
    assert home.run("start", "--live", *options).returncode == 0
    assert f"of {second}" in home.ask("doctor", *options)


def test_without_the_passphrase_nothing_starts_and_the_mend_is_told(home: Vaulted) -> None:
    home.ask("secrets", "set", "agent-1", *home.desk.options, value=FIRST)
    done = home.desk.run("start", "--live", *home.desk.options)
    assert done.returncode == 77
    assert "--passphrase-fd" in done.stderr
    home.passphrase.write_text("another one")
    done = home.run("start", "--live", *home.desk.options)
    assert done.returncode == 77
    assert "not its passphrase" in done.stderr
    assert FIRST not in done.stderr


def test_a_restart_that_could_not_come_up_leaves_the_bot_trading(home: Vaulted) -> None:
    options = home.desk.options
    home.ask("secrets", "set", "agent-1", *options, value=FIRST)
    home.approve(FIRST, "one")
    home.ask("start", "--live", *options)
    pid = home.desk.status()["pid"]
    home.passphrase.write_text("another one")
    refused = home.run("restart", *options)
    assert (refused.returncode, "not its passphrase" in refused.stderr) == (77, True), refused.stderr
    config = home.desk.folder / "mine.toml"
    text = config.read_text()
    config.write_text(text + "[nonsense]\nkey = 1\n")
    refused = home.run("restart", *options)
    assert (refused.returncode, "nonsense" in refused.stderr) == (78, True), refused.stderr
    config.write_text(text)
    assert home.desk.status()["pid"] == pid
    # It was kept with an end: who looks at the bot sees it.
    home.passphrase.write_text(PASSPHRASE)
    assert home.desk.status()["secrets"] == []


def test_a_guard_and_a_webhook_take_what_they_need_from_the_keystore(home: Vaulted) -> None:
    desk, options = home.desk, home.desk.options
    guard = home.approve(SECOND, "guard")
    home.ask("secrets", "set", "agent-1", *options, value=FIRST)
    home.ask("secrets", "set", "guard", "--kind", "agent-key", value=SECOND)
    home.ask("secrets", "set", "hook", "--kind", "url", "--expires", "9d", value="http://127.0.0.1:9/abcdefgh")
    with (desk.folder / "mine.toml").open("a") as config:
        config.write('[alerts]\nurl_secret = "hook"\n')
    kept = desk.run("secrets", "revoke", "hook", *options)
    assert (kept.returncode, "used by alerts.url_secret" in kept.stderr) == (77, True), kept.stderr
    both = desk.run("guard", "--key-file", "a", "--key-secret", "b", *options)
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True), both.stderr
    assert "no secret 'other'" in home.run("guard", "--key-secret", "other", *options).stderr
    with home.passphrase.open("rb") as file:
        words = ["guard", "--key-secret", "guard", "--passphrase-fd", str(file.fileno()), *options]
        process = subprocess.Popen(
            [sys.executable, "-m", "tradebot", "--home", str(desk.home), *words],
            stderr=subprocess.PIPE, text=True, pass_fds=(file.fileno(),), env=desk.environ, cwd=desk.folder,
        )  # fmt: skip
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(3)]
        process.terminate()
        process.communicate()
    assert guard in "".join(said)
    assert "paging a human at the webhook" in "".join(said)


def test_what_is_missing_ends_soon_or_has_ended_is_told(home: Vaulted) -> None:
    options = home.desk.options
    missing = home.run("secrets", "check", *options)
    assert (missing.returncode, "no secret 'agent-1', which venue.key_secret names" in missing.stdout) == (77, True)
    home.ask("secrets", "set", "agent-1", "--expires", "9d", *options, value=FIRST)
    home.ask("secrets", "set", "hook", "--kind", "url", value="https://hooks.example/abc")
    checked = json.loads(home.ask("--json", "secrets", "check", *options))
    assert [(row["result"], row["what"]) for row in checked] == [("warn", "agent-1 expires in 8 days")]
    assert "agent-1 expires in 8 days" in home.run("doctor", *options).stdout
    # What a setting names is not forgotten, and what none names is.
    kept = home.desk.run("secrets", "revoke", "agent-1", *options)
    assert (kept.returncode, "used by venue.key_secret" in kept.stderr) == (77, True)
    home.desk.ask("secrets", "revoke", "hook", *options)
    # Without a daemon the next value waits for the next start.
    assert "after its next start" in home.ask("secrets", "rotate", "agent-1", *options, value=SECOND)
