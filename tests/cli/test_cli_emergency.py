"""``halt --flatten --emergency`` at a devnet: no daemon, no configuration, no journal, no disk to speak of."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.live.rehearsal import Stage, stage
from tradebot.cli import commands_halt
from tradebot.cli.main import run
from tradebot.live.emergency import Progress, end_all
from tradebot.log import log
from tradebot.model.errors import NotRunning, Unavailable
from tradebot.model.venue import Purpose
from tradebot.ports import Sent
from tradebot.runtime.clock import SystemClock
from tradebot.store import mark as mark_module
from tradebot.store.account_lock import AccountLock
from tradebot.store.lock import HomeLock
from tradebot.store.mark import MARK_NAME, Mark, read_mark
from tradebot.venues.hyperliquid import key_alone
from tradebot.venues.hyperliquid.config import AccountConfig, KeySource, TradingRules
from tradebot.venues.hyperliquid.keys import read_key
from tradebot.venues.resilience import MemoryLog, Policy

D = Decimal
EMERGENCY = ("halt", "--flatten", "--emergency")


@dataclass
class Place:
    """A devnet with what an account has there, and a home without a daemon."""

    venue: Stage
    home: Path
    environ: dict[str, str]

    def crowd(self, orders: int = 50) -> None:
        for number in range(orders):
            self.venue.hand.trade("", "BTC", D("0.001"), self.venue.price() * (D("0.95") - D(number) / 1000))
        for coin, size in (("BTC", "0.01"), ("ETH", "0.05"), ("SOL", "-1")):
            self.venue.hand.trade("", coin, D(size))

    @property
    def is_empty(self) -> bool:
        desk = self.venue.desk
        return not desk.open and not any(desk.position(coin) for coin in desk.coins)

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--network", "devnet", "--url", self.venue.net.url, "--key-file", str(self.venue.folder / "devnet.key"))

    def configure(self, text: str = "") -> None:
        key = self.venue.folder / "devnet.key"
        (self.home / "tradebot.toml").write_text(
            f'{text}\n[venue]\nkind = "hyperliquid"\nnetwork = "devnet"\nurl = "{self.venue.net.url}"\n'
            f"account = \"{self.venue.net.user}\"   # ours\nkey_file = '{key}'\n"
        )

    async def cli(self, *words: str) -> int:
        return await asyncio.to_thread(run, words, self.environ)

    @property
    def mark(self) -> Mark | None:
        return read_mark(self.home)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    for name in ("run", "home"):
        (tmp_path / name).mkdir(mode=0o700)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "TRADEBOT_HOME": str(tmp_path / "home")}
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue:
        yield Place(venue, tmp_path / "home", environ)


async def test_without_a_daemon_it_says_so_and_how_to_go_on(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert await place.cli("halt", "--flatten") == 3
    err = capsys.readouterr().err
    assert "no daemon runs here" in err
    assert "--emergency" in err
    assert place.mark is None


async def test_three_positions_and_fifty_orders_are_ended_by_the_key_alone(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.crowd()
    place.configure()
    assert await place.cli(*EMERGENCY, "--json") == 0
    assert place.is_empty
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (answer["flat"], answer["orders"], answer["marked"]) == (True, [], True)
    assert answer["found"] == "positions 0.01 BTC, 0.05 ETH, -1 SOL; 50 resting orders"
    assert "left: " in said.err
    assert place.mark == Mark(what=f"it found {answer['found']}; the venue said flat", is_over=True)
    # Nothing that is written anywhere holds the key.
    secret = (place.venue.folder / "devnet.key").read_text().strip().removeprefix("0x")
    assert secret not in said.out + said.err + (place.home / MARK_NAME).read_text()
    assert await place.cli(*EMERGENCY) == 0
    assert "positions none; 0 resting orders" in capsys.readouterr().out


BROKEN: dict[str, Callable[[Place], None]] = {
    "no TOML at all": lambda place: place.configure("[bot\nname = = 3"),
    "nonsense elsewhere": lambda place: place.configure('[risk]\nmax_leverage = "much"\n[nobody]\nknows = 1'),
    "keys of the venue that are wrong": lambda place: place.configure("[feed]\nkind = 7"),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_configuration_is_read_as_far_as_it_goes(place: Place, broken: str) -> None:
    place.crowd(2)
    BROKEN[broken](place)
    (place.home / "journal.db").write_bytes(b"no database" * 100)
    assert await place.cli(*EMERGENCY) == 0
    assert place.is_empty
    assert (place.home / "journal.db").read_bytes() == b"no database" * 100


async def test_options_stand_for_what_cannot_be_read(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.crowd(2)
    (place.home / "tradebot.toml").write_bytes(b"\xff\xfe\x00[venue")
    assert await place.cli(*EMERGENCY) == 2
    assert "--network, --account, --key-file" in capsys.readouterr().err
    assert await place.cli(*EMERGENCY, *place.flags) == 0
    assert place.is_empty
    assert "not read: " in capsys.readouterr().err


async def test_options_and_environment_overrule_the_file(place: Place) -> None:
    place.crowd(1)
    place.configure()
    text = (place.home / "tradebot.toml").read_text().replace(place.venue.net.url, "http://127.0.0.1:9")
    (place.home / "tradebot.toml").write_text(text)
    place.environ["TRADEBOT__VENUE__URL"] = place.venue.net.url
    assert await place.cli(*EMERGENCY, "--account", place.venue.net.user) == 0
    assert place.is_empty


async def test_a_full_disk_keeps_nothing_from_being_closed(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.crowd(2)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mark_module.os, "write", full)
    monkeypatch.setattr("tradebot.store.lock.os.pwrite", full)
    assert await place.cli(*EMERGENCY, *place.flags) == 0
    assert place.is_empty
    # A file without a word still says that there was one.
    assert place.mark == Mark(what="an emergency exit left a mark that cannot be read", is_over=False)
    assert "going on without a lock" in capsys.readouterr().err


async def test_a_home_that_is_gone_is_not_needed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.crowd(2)
    gone = place.home.parent / "gone"
    assert await place.cli("--home", str(gone), *EMERGENCY, *place.flags) == 0
    assert place.is_empty
    assert "no mark could be left" in capsys.readouterr().err
    assert not gone.exists()


async def test_a_venue_that_does_nothing_is_told_with_what_is_left(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.crowd(1)
    monkeypatch.setattr(key_alone, "Policy", lambda: Policy(attempts=1))
    place.venue.fault("error_500")
    assert await place.cli(*EMERGENCY, *place.flags, "--timeout", "1") == 4
    assert "500" in capsys.readouterr().err
    place.venue.clear()
    place.venue.fault("lost")
    assert await place.cli(*EMERGENCY, *place.flags, "--timeout", "1") == 4
    err = capsys.readouterr().err
    assert "0.01 BTC" in err
    assert place.mark is not None
    assert not place.mark.is_over
    assert "0.01 BTC" in place.mark.what
    place.venue.clear()
    assert await place.cli(*EMERGENCY, *place.flags) == 0
    assert place.is_empty


async def test_a_venue_that_falls_silent_meanwhile_is_asked_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.crowd(1)
    monkeypatch.setattr(key_alone, "Policy", lambda: Policy(attempts=1))
    place.venue.fault("error_500", probability=D("0.5"), count=6)
    assert await place.cli(*EMERGENCY, *place.flags) == 0
    assert place.is_empty


async def test_what_was_sent_before_keeps_nothing_from_being_ended(place: Place) -> None:
    place.crowd(1)
    config = AccountConfig(
        network="devnet",
        url=place.venue.net.url,
        account=None,
        key=KeySource("devnet.key", lambda: read_key(place.venue.folder / "devnet.key")),
        trading=TradingRules(slippage=D("0.05")),
    )
    clock, progress = SystemClock(), Progress()
    spent = Sent(clock.monotonic(), 5_000, Purpose.PROTECT)

    class Full(MemoryLog):
        def update(self, now_s: float, decide: Callable[[Sequence[Sent]], Sequence[Sent]]) -> None:
            super().update(now_s, lambda seen: decide([*seen, spent]))

        def close(self) -> None:
            pass

    venue = key_alone.HyperliquidKeyAlone(config, clock, lambda _place, span_s: Full(span_s), log)
    await end_all(venue, 5.0, progress, lambda _account: None, lambda _progress: None)
    assert progress.left.is_flat, progress.left
    assert place.is_empty


async def test_a_daemon_that_is_ending_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.crowd(1)
    errors = [Unavailable("the daemon is stopping"), NotRunning("no daemon runs here")]

    def act(*_: object) -> bytes:
        if len(errors) == 1:
            lock.release()
        raise errors.pop(0)

    monkeypatch.setattr(commands_halt.client, "act", act)
    lock = HomeLock(place.home)
    lock.acquire()
    assert await place.cli(*EMERGENCY, *place.flags) == 0
    assert place.is_empty
    assert "kill -9" not in capsys.readouterr().err


async def test_a_key_that_may_not_trade_ends_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.crowd(1)
    key = place.home / "other.key"
    key.write_text("11" * 32)
    key.chmod(0o600)
    words = [*place.flags[:-1], str(key), "--account", place.venue.net.user]
    assert await place.cli(*EMERGENCY, *words) == 77
    assert "does not let this key trade" in capsys.readouterr().err
    key.chmod(0o644)
    assert await place.cli(*EMERGENCY, *words) == 77


async def test_a_clock_that_is_hours_off_keeps_nothing_from_being_closed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.crowd(1)
    monkeypatch.setattr("tradebot.venues.hyperliquid.gateway._MAX_OFF_MS", -1)
    assert await place.cli(*EMERGENCY, *place.flags) == 0
    assert place.is_empty


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--emergency"], 2, "goes with --flatten"),
        (["--flatten", "--url", "http://127.0.0.1:1"], 2, "goes with --emergency"),
        ([*EMERGENCY[1:], "--own"], 2, "nobody knows what is ours"),
        ([*EMERGENCY[1:]], 5, "simulated exchange"),
        ([*EMERGENCY[1:], "--network", "moon"], 2, "none of"),
        ([*EMERGENCY[1:], "--network", "mainnet", "--url", "http://127.0.0.1:1"], 2, "nowhere else"),
        ([*EMERGENCY[1:], "--network", "testnet"], 2, "--key-file"),
        ([*EMERGENCY[1:], "--network", "devnet", "--account", "0x12"], 2, "no address"),
        ([*EMERGENCY[1:], "--network", "devnet"], 77, "key file"),
    ],
)
async def test_what_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "TRADEBOT_HOME": str(tmp_path / "home")}
    assert await asyncio.to_thread(run, ["halt", *words], environ) == code
    assert told in capsys.readouterr().err
    assert read_mark(tmp_path / "home") is None


async def test_beside_a_process_that_holds_the_home_and_is_silent_it_acts_after_a_while(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands_halt, "_HANGS_S", 0.3)
    place.crowd(2)
    with HomeLock(place.home):
        assert await place.cli(*EMERGENCY, *place.flags) == 0
    assert place.is_empty
    assert f"kill -9 {os.getpid()}" in capsys.readouterr().err
    assert place.mark is not None


async def test_a_daemon_of_another_home_is_to_do_it_itself(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.crowd(2)
    other = place.home.parent / "other"
    with AccountLock("hyperliquid", place.venue.net.url, place.venue.net.user, other):
        assert await place.cli(*EMERGENCY, *place.flags) == 75
    assert str(other) in capsys.readouterr().err
    assert not place.is_empty
    assert place.mark is None


async def test_a_daemon_that_answers_does_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def act(_path: Path, verb: str, arguments: dict[str, str], _timeout: float) -> bytes:
        asked.append((verb, arguments))
        return b"{}"

    monkeypatch.setattr(commands_halt.client, "act", act)
    monkeypatch.setattr(commands_halt.client, "read", lambda *_a, **_k: b'{"flat": true}')
    assert await place.cli(*EMERGENCY) == 0
    assert asked == [("halt", {"flatten": "true"})]
    assert "halted, flat" in capsys.readouterr().out
    assert place.mark is None
