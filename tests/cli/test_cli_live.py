"""Live trading by the real commands: a devnet, a daemon behind the terminal, and a second one that must not be."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coincurve")


class Desk:
    """A devnet as a process, and the real command for homes that trade there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRADEBOT")}
        self._environ = kept | {"XDG_RUNTIME_DIR": str(runtime)}
        words = ["--json", "--home", str(self.home), "devnet", "--port", "0", "--history", "250"]
        words += ["--symbol", "BTC", "--symbol", "ETH", "--symbol", "SOL"]
        self.net = subprocess.Popen(
            [sys.executable, "-m", "tradebot", *words], stdout=subprocess.PIPE, text=True, env=self._environ
        )
        assert self.net.stdout is not None
        told = json.loads(self.net.stdout.readline())
        self.account = str(told["account"])
        # So many boots within a minute would spend all its weight.
        self.url = str(told["url"])
        self.by_hand("limits", counted=False)
        self.options = ["--profile", "devnet", "--config", str(folder / "mine.toml")]
        (folder / "mine.toml").write_text(f'[venue]\nurl = "{told["url"]}"\nkey_file = "{told["key_file"]}"\n')

    def by_hand(self, what: str, **fields: object) -> Any:
        """Do or ask what no real exchange offers."""
        body = None if what == "accounts" else json.dumps(fields).encode()
        with urllib.request.urlopen(f"{self.url}/admin/{what}", body, timeout=60) as answer:
            return json.loads(answer.read())

    def price(self, coin: str) -> int:
        asked = urllib.request.Request(
            f"{self.url}/info", b'{"type": "allMids"}', headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return int(float(json.loads(answer.read())[coin]))

    def run(self, *words: str, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tradebot", "--home", str(home or self.home), *words]
        return subprocess.run(command, capture_output=True, text=True, env=self._environ, cwd=self.folder, check=False)

    def ask(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, object]:
        document = json.loads(self.ask("status", "--json"))
        assert isinstance(document, dict)
        return document

    def close(self) -> None:
        self.run("stop")
        self.net.kill()
        self.net.communicate()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_live_trading_starts_once_for_an_account_and_restarts_as_it_was(desk: Desk) -> None:
    assert json.loads(desk.ask("doctor", "--json", *desk.options))["ok"] is True
    assert "is running" not in desk.run("start", *desk.options).stdout
    desk.ask("start", "--live", *desk.options)
    before = desk.status()
    assert (before["mode"], before["state"]) == ("live", "running")
    second = desk.run("start", "--live", *desk.options, home=desk.folder / "second")
    assert second.returncode == 75
    assert f"trades for {desk.account}" in second.stderr
    assert str(desk.home) in second.stderr
    desk.ask("restart")
    after = desk.status()
    assert after["mode"] == "live"
    assert after["pid"] != before["pid"]
    (desk.folder / "mine.toml").write_text(
        (desk.folder / "mine.toml").read_text() + '[risk]\nlive_cap_notional = "100"\n'
    )
    assert "risk.live_cap_notional" in desk.ask("reload")
    limits = {row["limit"]: row["max"] for row in json.loads(desk.ask("risk", "--json"))["risk"]}
    assert limits["live_cap_notional"] == "100"


def test_a_red_line_keeps_the_bot_from_arming_and_is_told_at_the_terminal(desk: Desk) -> None:
    key = desk.home / "devnet.key"
    key.chmod(0o644)
    refused = desk.run("start", "--live", *desk.options)
    assert refused.returncode == 77
    assert "0644" in refused.stderr
    assert "chmod 600" in refused.stderr
    assert json.loads(desk.run("doctor", "--json", *desk.options).stdout)["ok"] is False
    assert desk.run("status").returncode == 3


def test_a_flattening_returns_when_a_slow_venue_is_flat_whoever_opened_what(desk: Desk) -> None:
    desk.ask("start", "--live", *desk.options)
    for number in range(50):
        desk.by_hand("trade", coin="BTC", size="0.001", price=str(desk.price("BTC") * (900 - number) // 1000))
    desk.by_hand("trade", coin="ETH", size="0.05")
    desk.by_hand("trade", coin="SOL", size="-1")
    desk.by_hand("fault", **{"name": "lost", "for": "600"})
    left = desk.run("halt", "--flatten", "--timeout", "1")
    assert left.returncode == 4
    assert "-1 SOL" in left.stderr
    assert left.stderr.count("not ours") >= 50
    listed: list[dict[str, object]] = []
    while sum(not order["own"] for order in listed) < 50:
        # The orders of others are looked for every five seconds.
        listed = [json.loads(line) for line in desk.ask("orders", "--json").splitlines()]
    desk.by_hand("clear")
    assert "flat" in desk.ask("halt", "--flatten", "--timeout", "50")
    (account,) = desk.by_hand("accounts")
    assert (account["positions"], account["open"], account["repeated"]) == ({}, [], {})
