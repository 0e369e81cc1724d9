"""``agent`` and ``account``, by the exchange's own client, against a devnet."""

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.devnet.conftest import Running
from tradebot.cli.main import run

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("hyperliquid", reason="hyperliquid-python-sdk is not installed")

from tradebot.devnet.faults import Rule
from tradebot.devnet.hand import Hand

STRANGER = "0x" + "ab" * 20


class Keyboard(io.StringIO):
    """What is typed, at a terminal or from a pipe."""

    def __init__(self, text: str, *, is_terminal: bool = False) -> None:
        super().__init__(text)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Owner:
    """Somebody with a master key, who says commands."""

    def __init__(self, devnet: Running, home: Path, capsys: Any, monkeypatch: Any) -> None:
        self.devnet, self.home, self._capsys, self._monkeypatch = devnet, home, capsys, monkeypatch
        self.key_file = home / "master.key"
        home.mkdir(mode=0o700)
        self.write(self.key_file, devnet.key)
        self.text = self.errors = ""
        self.words = ["--home", str(home), "--network", "devnet", "--url", devnet.url]

    def write(self, path: Path, key: str) -> None:
        path.write_text(key + "\n")
        path.chmod(0o600)

    def say(self, *words: str, typed: str = "", is_terminal: bool = False, code: int = 0) -> Any:
        self._monkeypatch.setattr(sys, "stdin", Keyboard(typed, is_terminal=is_terminal))
        named = [] if words[:2] in (("agent", "create"), ("secrets", "list")) else self.words[2:]
        given = run([*self.words[:2], *words, *named], {"PATH": os.environ["PATH"]})
        self.text, self.errors = self._capsys.readouterr()
        assert given == code, (self.text, self.errors)
        assert self.devnet.key.removeprefix("0x") not in self.text + self.errors
        return json.loads(self.text) if "--json" in words and not code else None

    def sign(self, *words: str, code: int = 0) -> Any:
        return self.say(*words, "--yes", "--json", "--master-key-file", str(self.key_file), code=code)

    def give_volume(self) -> None:
        account = self.devnet.net.exchange.account(self.devnet.user)
        self.devnet.do(lambda: setattr(account, "volume", Decimal(200_000)))


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def owner(shared: Running, tmp_path: Path, capsys: Any, monkeypatch: Any) -> Owner:
    """An owner on a devnet that others used before: each test looks at what it did alone."""
    return Owner(shared, tmp_path / "home", capsys, monkeypatch)


@pytest.fixture
def alone(tmp_path: Path, capsys: Any, monkeypatch: Any) -> Iterator[Owner]:
    running = Running()
    yield Owner(running, tmp_path / "home", capsys, monkeypatch)
    running.stop()


def test_an_agent_is_made_approved_listed_replaced_and_ended(owner: Owner) -> None:
    made = owner.say("agent", "create", "--json")
    path = Path(made["key_file"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text()
    owner.say("agent", "create", code=77)
    assert "left as it is" in owner.errors
    assert path.read_text() == key
    done = owner.sign("agent", "approve", "--name", "night", "--valid-for", "30d")
    assert (done["address"], done["account"], done["replaced"]) == (made["address"], owner.devnet.user, None)
    (row,) = [
        row for row in owner.say("agent", "list", "--account", owner.devnet.user, "--json") if row["name"] == "night"
    ]
    assert row == {"name": "night", "address": made["address"], "valid_until": done["valid_until"], "is_ours": False}
    assert abs(done["valid_until"] - owner.devnet.net.exchange.now_ms - 30 * 86_400_000) < 60_000
    owner.sign("agent", "approve", "--name", "other", code=5)
    assert "is an agent of" in owner.errors
    second = owner.say("agent", "create", "--json", "--key-file", str(owner.home / "second.key"))["address"]
    assert owner.sign("agent", "approve", second, "--name", "night")["replaced"] == made["address"]
    assert owner.sign("agent", "revoke", "night")["address"] == second
    owner.sign("agent", "revoke", "night", code=5)
    assert owner.devnet.net.exchange.registry.master_of(second, owner.devnet.net.exchange.now_ms) is None


def test_a_key_in_the_store_of_secrets_is_approved_by_its_name(owner: Owner) -> None:
    def passphrase() -> list[str]:
        (owner.home / "passphrase").write_text("a long one for the test\n")
        return ["--passphrase-fd", str(os.open(owner.home / "passphrase", os.O_RDONLY))]

    made = owner.say("agent", "create", "--json", "--secret", "kept-1", *passphrase())
    assert (made["key_file"], made["key_secret"]) == (None, "kept-1")
    owner.say("agent", "create", "--secret", "kept-1", *passphrase(), code=77)
    owner.say("agent", "create", "--secret", "kept-1", "--key-file", "x", code=2)
    owner.sign("agent", "approve", "--secret", "kept-2", code=77)
    done = owner.sign("agent", "approve", "--name", "kept", "--secret", "kept-1", *passphrase())
    assert done["address"] == made["address"]
    (row,) = owner.say("secrets", "list", "--json")
    assert (row["kind"], row["fingerprint"], row["expires"]) == ("agent-key", made["address"], done["valid_until"])
    configured = owner.home / "mine.toml"
    configured.write_text(f'[venue]\nkind = "hyperliquid"\nkey_secret = "kept-1"\naccount = "{owner.devnet.user}"\n')
    rows = owner.say("agent", "list", "--json", "--config", str(configured))
    assert [row["name"] for row in rows if row["is_ours"]] == ["kept"]
    owner.sign("agent", "revoke", "kept")


def test_an_agent_without_a_name_is_ended_by_its_address(owner: Owner) -> None:
    agent = "0x" + "cd" * 20
    exchange = owner.devnet.net.exchange
    account = exchange.account(owner.devnet.user)
    owner.devnet.do(lambda: exchange.registry.approve(exchange, account, agent, "", 60_000))
    assert owner.sign("agent", "revoke", agent)["name"] == ""
    assert "" not in account.agents


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["agent", "approve", STRANGER, "--name", "x" * 17], 2, "no name of an agent"),
        (["agent", "approve", STRANGER, "--name", " a"], 2, "no name of an agent"),
        (["agent", "approve", STRANGER, "--valid-for", "181d"], 2, "180d at most"),
        (["agent", "approve", STRANGER, "--valid-for", "soon"], 2, "no length of time"),
        (["agent", "approve", "0x12"], 2, "no address"),
        (["agent", "approve", STRANGER, "--account", STRANGER], 77, "not of"),
        (["agent", "revoke", "nobody"], 5, "no agent 'nobody'"),
        (["agent", "revoke", STRANGER], 5, "no agent"),
        (["account", "transfer", "0", "--from", "perp", "--to", "spot"], 2, "not an amount"),
        (["account", "transfer", "NaN", "--from", "perp", "--to", "spot"], 2, "not an amount"),
        (["account", "transfer", "0.0000001", "--from", "perp", "--to", "spot"], 2, "decimals"),
        (["account", "transfer", "1", "--from", "perp"], 2, "--to"),
        (["account", "transfer", "1", "--from", "perp", "--to", "perp"], 5, "both"),
        (["account", "transfer", "1", "--from", "perp", "--to", STRANGER], 5, "no place"),
        (["account", "transfer", "1", "--from", "spot", "--to", "perp"], 5, "more than the 0 that is free in spot"),
        (["account", "transfer", "10001", "--from", "perp", "--to", "spot"], 5, "more than the 10000"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    owner: Owner, words: list[str], code: int, says: str
) -> None:
    sent = owner.devnet.net.exchange.account(owner.devnet.user).requests
    owner.sign(*words, code=code)
    assert says in owner.errors
    assert owner.devnet.net.exchange.account(owner.devnet.user).requests == sent


def test_the_master_key_comes_by_file_descriptor_pipe_or_prompt(owner: Owner, monkeypatch: Any) -> None:
    there, back = (
        ("account", "transfer", "1", "--from", *way) for way in (("perp", "--to", "spot"), ("spot", "--to", "perp"))
    )
    owner.say(*there, "--yes", typed=owner.devnet.key)
    descriptor = os.open(owner.key_file, os.O_RDONLY)
    owner.say(*back, "--yes", "--master-key-fd", str(descriptor))
    monkeypatch.setattr("getpass.getpass", lambda _prompt: owner.devnet.key)
    owner.say(*there, typed="y\n", is_terminal=True)
    owner.say(*back, typed="no\n", is_terminal=True, code=5)
    assert "not wanted" in owner.errors
    owner.say(*back, typed=owner.devnet.key, code=2)
    assert "--yes" in owner.errors
    owner.sign(*back)
    for wrong in ("--master-key-fd 999", "--master-key-fd 1"):
        owner.say(*there, "--yes", *wrong.split(), code=77 if "999" in wrong else 2)
    owner.say(*there, "--yes", typed="rubbish\n", code=2)
    owner.say(*there, "--yes", "--master-key-fd", "3", "--master-key-file", str(owner.key_file), code=2)
    owner.key_file.chmod(0o644)
    owner.sign(*there, code=77)


def test_a_key_that_owns_nothing_here_moves_nothing(owner: Owner) -> None:
    made = owner.say("agent", "create", "--json")
    owner.key_file = Path(made["key_file"])
    owner.sign("account", "transfer", "1", "--from", "perp", "--to", "spot", code=77)
    assert "does not know" in owner.errors
    exchange = owner.devnet.net.exchange
    account = exchange.account(owner.devnet.user)
    owner.devnet.do(lambda: exchange.registry.approve(exchange, account, made["address"], "thief", 60_000))
    owner.sign("account", "transfer", "1", "--from", "perp", "--to", "spot", code=77)
    assert "agent of" in owner.errors
    owner.devnet.do(lambda: account.agents.pop("thief"))


def test_money_goes_through_all_pockets_and_is_shown_in_each(alone: Owner) -> None:
    owner, exchange = alone, alone.devnet.net.exchange
    account = exchange.account(owner.devnet.user)
    owner.give_volume()
    sub = owner.devnet.do(lambda: exchange.sub_accounts.create(account, "grid"))
    vault = owner.devnet.do(lambda: exchange.vaults.create(account, "pool", "of many", Decimal(100)))

    def move(amount: str, source: str, target: str, code: int = 0) -> Any:
        return owner.sign("account", "transfer", amount, "--from", source, "--to", target, code=code)

    assert move("300", "perp", "spot")["spot"] == [{"coin": "USDC", "total": "300", "hold": "0"}]
    move("200.25", "perp", "grid")
    move("0.25", sub.upper().replace("0X", "0x"), "perp")
    move("50", "perp", vault)
    move("1", "grid", "spot", code=5)
    assert "one step" in owner.errors
    move("1", "pool", "perp", code=5)
    assert "locked" in owner.errors
    owner.devnet.do(lambda: exchange.vaults.find(vault).locked_until_ms.update({owner.devnet.user: 0}))
    move("151", "pool", "perp", code=5)
    move("50", "pool", "perp")
    owner.devnet.do(lambda: Hand(exchange).trade(owner.devnet.user, "BTC", Decimal("0.5")))
    move("9000", "perp", "spot", code=5)
    assert "margin of BTC" in owner.errors
    shown = owner.say("account", "show", "--account", owner.devnet.user, "--json")
    assert shown["role"] == "user"
    assert [row["symbol"] for row in shown["positions"]] == ["BTC"]
    ((held,), (share,)) = shown["sub_accounts"], shown["vaults"]
    assert (held["name"], held["address"], held["perp"]["equity"]) == ("grid", sub, "200")
    assert (share["name"], share["equity"], share["is_leader"]) == ("pool", "100", True)
    owner.say("account", "show", "--account", owner.devnet.user)
    for word in ("grid", "pool", "BTC", "taker 0.00045"):
        assert word in owner.text
    account.abstraction = "unifiedAccount"
    move("1", "perp", "spot", code=5)
    assert "one pocket" in owner.errors


def test_who_asks_too_much_waits_and_a_lost_answer_is_no_answer(alone: Owner, monkeypatch: Any) -> None:
    waited: list[float] = []
    owner, faults = alone, alone.devnet.net.server.admin
    limits = alone.devnet.net.server.limits

    def wait(seconds: float) -> None:
        waited.append(seconds)
        limits.is_open = True

    monkeypatch.setattr("tradebot.runtime.ownership.time.sleep", wait)
    owner.devnet.do(lambda: setattr(limits, "is_open", False))
    owner.devnet.do(lambda: limits.weight("127.0.0.1").charge(1_200, alone.devnet.net._clock.monotonic()))
    owner.say("account", "show", "--account", owner.devnet.user)
    assert waited == [5.0]
    owner.devnet.do(lambda: faults.inject(Rule("drop_reply", count=1)))
    owner.sign("account", "transfer", "1", "--from", "perp", "--to", "spot", code=4)
    assert "may have been done or not" in owner.errors
    assert "account show" in owner.errors
    assert owner.devnet.net.exchange.account(owner.devnet.user).spot_usdc == 1


def test_without_the_exchanges_client_the_mend_is_told(owner: Owner, monkeypatch: Any) -> None:
    monkeypatch.setattr("tradebot.cli.owner.find_spec", lambda name: None if name == "hyperliquid" else True)
    owner.say("agent", "list", code=78)
    assert "hyperliquid-python-sdk" in owner.errors
    assert "tradebot[hyperliquid]" in owner.errors
    owner.say("agent", "create")


def test_what_answers_otherwise_than_the_exchange_is_named(owner: Owner) -> None:
    owner.words = [*owner.words[:-1], "http://127.0.0.1:9"]
    owner.say("account", "show", "--account", STRANGER, code=1)
    assert "127.0.0.1:9" in owner.errors


def test_a_daemon_never_loads_the_exchanges_client() -> None:
    ours = "tradebot.runtime.daemon, tradebot.runtime.real_venue, tradebot.runtime.doctor, tradebot.cli.commands_daemon"
    theirs = "{'hyperliquid', 'eth_account', 'requests'}"
    script = f"import sys, {ours}; print({{name.partition('.')[0] for name in sys.modules}} & {theirs})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
