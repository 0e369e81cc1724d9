"""From a master key to a bot that trades, to an agent that is ended under it, to the next one: all by commands."""

import json
import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.desk import Desk
from tests.waiting import wait_until
from tradebot.cli.main import run

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("hyperliquid", reason="hyperliquid-python-sdk is not installed")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


class Owner:
    """Who has the master key of a desk's account, and gives bots keys of their own."""

    def __init__(self, desk: Desk, capsys: Any) -> None:
        self.desk, self.master, self._capsys = desk, desk.home / "devnet.key", capsys

    def sign(self, *words: str) -> dict[str, object]:
        # Here and not as a process, which would import the exchange's client anew each time.
        given = ["--home", str(self.desk.home), *words, "--yes", "--json", "--master-key-file", str(self.master)]
        assert run([*given, *self.desk.options], self.desk.environ) == 0
        document = json.loads(self._capsys.readouterr().out)
        assert isinstance(document, dict)
        return document

    def employ(self, name: str) -> str:
        """Make a key, approve it under ``name`` and let the bot be configured with it; return its address."""
        path = self.desk.folder / f"{name}.key"
        self.desk.ask("agent", "create", "--key-file", str(path))
        agent = self.sign("agent", "approve", "--name", name, "--key-file", str(path), "--valid-for", "30d")
        venue = f'[venue]\nurl = "{self.desk.url}"\nkey_file = "{path}"\naccount = "{self.desk.account}"\n'
        (self.desk.folder / "mine.toml").write_text("[feed]\nweight_per_minute = 1000000\n" + venue)
        return str(agent["address"])

    def move(self, amount: str, source: str, target: str) -> None:
        self.sign("account", "transfer", amount, "--from", source, "--to", target)

    def residual(self) -> Decimal:
        balance = json.loads(self.desk.ask("balance", "--json"))
        return abs(Decimal(str(balance["residual"])))


@pytest.mark.soak
def test_an_account_is_set_up_traded_and_kept_going_by_commands(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    owner = Owner(desk, capsys)
    address = owner.employ("night")
    (agent,) = json.loads(desk.ask("agent", "list", "--json", *desk.options))
    assert (agent["name"], agent["address"], agent["is_ours"]) == ("night", address, True)
    desk.ask("start", "--live", *desk.options)
    # The bot trades by itself when its averages cross; another hand's position shows at once that it looks.
    desk.by_hand("trade", coin="BTC", size="0.01")
    wait_until(lambda: json.loads(desk.ask("positions", "--json"))["positions"])

    # Money that moves under it is booked as such, whichever way it went.
    owner.move("100.25", "perp", "spot")
    owner.move("50", "spot", "perp")
    wait_until(lambda: owner.residual() < Decimal("0.01"))

    owner.sign("agent", "revoke", "night")
    # What it sends next is refused.
    desk.run("close", "BTC")
    wait_until(lambda: desk.status()["state"] == "halted")
    told = desk.ask("logs", "--level", "error")
    assert "alert=key_refused" in told
    assert f"{address} does not exist" in told

    owner.employ("day")
    # In order it would wait for the exit that no key could sign.
    os.kill(int(str(desk.status()["pid"])), signal.SIGKILL)
    wait_until(lambda: desk.run("status").returncode == 3)
    desk.ask("start", "--live", *desk.options)
    desk.ask("resume", "--reason", "a new agent")
    # The exit that was wished for goes out now.
    wait_until(lambda: not json.loads(desk.ask("positions", "--json"))["positions"])
    wait_until(lambda: owner.residual() < Decimal("0.01"))
