"""What is asked of a venue before it gets orders, each red line provoked once on a devnet."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from tests.builders import replace
from tests.live.checking import bare_connection, checked
from tests.virtual import LoopClock
from tradebot.devnet.account import CROSS
from tradebot.devnet.coins import Coin
from tradebot.devnet.devnet import Devnet, DevnetOptions, write_key
from tradebot.devnet.faults import Rule
from tradebot.devnet.hand import Hand
from tradebot.devnet.recover import address_of, keccak
from tradebot.feeds.generated import Generated
from tradebot.live.preflight import red_lines
from tradebot.model.finding import Finding, Grade
from tradebot.model.time import NANOS_PER_MS, NANOS_PER_S, Nanos, parse_timeframe
from tradebot.runtime.doctor import doctor_exit_code, run_doctor
from tradebot.settings.load import Loaded, load_settings
from tradebot.venues.hyperliquid.access import Role, RoleKind
from tradebot.venues.hyperliquid.check_rules import clock_finding, expiry_finding, unfit_account

pytestmark = pytest.mark.virtual_time

DAY_MS = 86_400_000
CONFIG = """\
[bot]
mode = "live"
symbols = ["BTC", "ETH"]

[feed]
kind = "hyperliquid"
weight_per_minute = 1000000

[venue]
kind = "hyperliquid"
network = "devnet"
url = "{url}"

[[strategy]]
kind = "sma_cross"
timeframe = "1m"

[risk]
size = {{ kind = "notional", notional = "200" }}
max_order_notional = "500"
max_position_notional = "500"
max_exposure_notional = "1000"
"""


@dataclass
class Desk:
    """A devnet and a home that is configured for it."""

    net: Devnet
    home: Path

    def load(self, **overrides: object) -> Loaded:
        file = self.home.parent / "bot.toml"
        file.write_text(CONFIG.format(url=self.net.url))
        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        return load_settings(home=self.home, config_files=[file], environ={}, overrides=dotted)

    async def check(self, is_fresh: bool | None = None, **overrides: Any) -> dict[str, list[Finding]]:
        loaded = self.load(**overrides)
        return by_check(await checked(loaded, self.home, LoopClock(), is_fresh=is_fresh))

    def use_agent(self, name: str = "bot", valid_ms: int = 30 * DAY_MS) -> str:
        """Sign with an agent of the account from here on; ``valid_ms`` is how long it lives."""
        key = PrivateKey(keccak(f"agent {name}".encode()))
        write_key(self.home / "devnet.key", key)
        until = f" valid_until {self.net.exchange.now_ms + valid_ms}" if name else ""
        address = address_of(key.public_key)
        account = self.net.exchange.account(self.net.user)
        assert account is not None
        action: dict[str, object] = {"type": "approveAgent", "agentAddress": address, "agentName": f"{name}{until}"}
        self.net.exchange.registry.user_signed(self.net.exchange, account, action)
        return address

    def fault(self, name: str, coin: str = "", value: str | None = None) -> None:
        self.net.server.admin.inject(Rule(name, coin=coin, value=None if value is None else Decimal(value)))


def by_check(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.check, []).append(finding)
    return found


def red(found: dict[str, list[Finding]]) -> list[str]:
    return [check for check, findings in found.items() if any(one.grade is Grade.FAIL for one in findings)]


@contextlib.asynccontextmanager
async def desk(folder: Path, cash: str = "10000") -> AsyncIterator[Desk]:
    options = DevnetOptions(
        coins=("BTC", "ETH"), timeframe=parse_timeframe("1m"), port=0, speed=None, history=60, cash=Decimal(cash)
    )
    net = Devnet(options, Generated(options.coins, options.timeframe, Nanos(0), options.seed), LoopClock())
    await net.start()
    home = folder / "home"
    home.mkdir(mode=0o700)
    write_key(home / "devnet.key", net.key)
    try:
        yield Desk(net, home)
    finally:
        await net.stop()


async def test_a_devnet_is_fit_for_its_own_account(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        found = await at.check()
        assert red(found) == []
        assert set(found) == {"key", "venue", "venue clock", "symbols", "account", "balance", "budget", "sizes"}
        assert "10000 USDC to trade with" in found["balance"][0].what
        assert found["sizes"][0].what.startswith("2 kinds of entry, 19")


async def test_a_venue_that_is_gone_is_one_finding_and_no_error(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.net.stop()
        found = await at.check()
        assert red(found) == ["venue"]
        assert "does not answer" in found["venue"][0].what
        assert "tradebot devnet" in found["venue"][0].mend


async def test_a_venue_under_maintenance_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.fault("maintenance", value="60")
        assert red(await at.check()) == ["venue"]


async def test_a_key_that_others_may_read_or_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        key = at.home / "devnet.key"
        key.chmod(0o644)
        found = await at.check()
        assert red(found) == ["key"]
        assert "0644" in found["key"][0].what
        assert "chmod 600" in found["key"][0].mend
        key.unlink()
        found = await at.check()
        assert red(found) == ["key"]
        assert "tradebot devnet" in found["key"][0].mend
        found = await at.check(venue__network="testnet", venue__key_file=key)
        assert "0600" in found["key"][0].mend
        # What needs no key is asked all the same.
        assert {"venue", "symbols"} <= set(found)


async def test_an_agent_trades_for_its_master(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        agent = at.use_agent()
        found = await at.check()
        assert red(found) == []
        assert found["account"][0].what == f"{at.net.user}, by its agent {agent}"
        assert (found["agent"][0].grade, found["agent"][0].what) == (Grade.OK, "the agent may trade for 29 days")
        assert red(await at.check(venue__account=at.net.user.upper().replace("X", "x", 1))) == []


async def test_an_agent_soon_to_expire_warns_with_its_days(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.use_agent(valid_ms=3 * DAY_MS + 60_000)
        finding = (await at.check())["agent"][0]
        assert (finding.grade, finding.what) == (Grade.WARN, "the agent expires in 3 days")


async def test_an_unnamed_agent_has_no_known_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.use_agent(name="")
        assert (await at.check())["agent"][0].grade is Grade.WARN


async def test_an_expired_agent_is_refused_with_the_mend(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        agent = at.use_agent()
        at.fault("agent_expiry")
        found = await at.check(venue__account=at.net.user)
        assert red(found) == ["account"]
        assert found["account"][0].what == f"the key's address {agent} is no agent of {at.net.user}"
        assert "expired" in found["account"][0].mend
        # Nobody can say whose agent it was.
        assert "does not know" in (await at.check())["account"][0].what


async def test_an_agents_address_is_no_account(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        agent = at.use_agent()
        (finding,) = (await at.check(venue__account=agent))["account"]
        assert finding.grade is Grade.FAIL
        assert finding.mend.endswith(at.net.user)


async def test_an_account_that_the_venue_does_not_know_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        (finding,) = (await at.check(venue__account="0x" + "1" * 40))["account"]
        assert finding.grade is Grade.FAIL
        assert "deposit" in finding.mend


async def test_nothing_to_trade_with_is_told_with_where_the_money_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        account = at.net.exchange.account(at.net.user)
        assert account is not None
        account.transfer(CROSS, Decimal(-10_000))
        (finding,) = (await at.check())["balance"]
        assert (finding.grade, finding.mend) == (Grade.FAIL, "deposit USDC with the account")
        account.spot_usdc = Decimal(500)
        (finding,) = (await at.check())["balance"]
        assert finding.mend == "move USDC from spot to perpetuals"
        for mode in ("unifiedAccount", "portfolioMargin"):
            account.abstraction = mode
            found = await at.check()
            assert found["balance"][0].what.startswith("500 USDC to trade with")
            assert red(found) == []


async def test_a_symbol_that_is_not_traded_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        found = await at.check(bot__symbols=["BTC", "btc"])
        assert red(found) == ["symbols"]
        assert "btc is not traded here" in found["symbols"][0].what
        assert found["symbols"][0].mend.endswith("did you mean BTC?")


@dataclass(eq=False)
class OddCoin(Coin):
    """A coin that the exchange tells something more of."""

    more: Mapping[str, object] = field(default_factory=dict)

    def meta(self) -> dict[str, object]:
        return {**super().meta(), **self.more}


def make_odd(at: Desk, name: str, **more: object) -> None:
    coins = at.net.exchange.coins
    assert isinstance(coins, dict)
    coin = coins[name]
    coins[name] = OddCoin(coin.name, coin.asset, coin.sz_decimals, coin.max_leverage, more=more)


async def test_a_delisted_symbol_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        make_odd(at, "ETH", isDelisted=True)
        found = await at.check()
        assert red(found) == ["symbols"]
        assert found["symbols"][0].what == "ETH is delisted"


async def test_a_symbol_that_is_only_isolated_warns(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        make_odd(at, "ETH", onlyIsolated=True)
        found = await at.check()
        assert [(one.grade, one.what[:3]) for one in found["leverage"]] == [(Grade.WARN, "ETH")]
        assert "leverage" not in await at.check(venue__margin="isolated")


async def test_more_leverage_than_a_symbol_allows_warns(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        allowed: Coin = at.net.exchange.coins["ETH"]
        found = await at.check(venue__leverage=allowed.max_leverage + 1)
        assert [finding.grade for finding in found["leverage"]] == [Grade.WARN]
        assert found["leverage"][0].mend == f"set venue.leverage = {allowed.max_leverage} or less"


@pytest.mark.parametrize(
    "size",
    [
        {"kind": "qty", "qty": "0.00001"},
        {"kind": "notional", "notional": "9.99"},
        {"kind": "equity_fraction", "fraction": "0.0005"},
        {"kind": "risk_fraction", "fraction": "0.0000001"},
    ],
)
async def test_an_entry_below_the_minimum_is_told_for_each_rule(tmp_path: Path, size: dict[str, str]) -> None:
    async with desk(tmp_path) as at:
        found = await at.check(risk__size=size)
        assert red(found) == ["sizes"]
        assert len(found["sizes"]) == 2
        assert "at least" in found["sizes"][0].what
        assert "raise risk.size" in found["sizes"][0].mend


async def test_a_limit_that_leaves_too_little_is_named(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        found = await at.check(risk__max_order_notional="5")
        assert red(found) == ["sizes"]
        assert "max_order_notional is 5" in found["sizes"][0].what


async def test_risk_is_sized_by_the_bars_of_the_venue(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        risk = {"kind": "risk_fraction", "fraction": "0.0005"}
        found = await at.check(risk__size=risk, strategy__0__symbols=["BTC"])
        assert found["sizes"][0].what.startswith("1 kinds of entry")
        # Bars of a day there are none here: the limits say how large it would be.
        found = await at.check(risk__size=risk, strategy__0__timeframe="1d")
        assert "of entry, 49" in found["sizes"][0].what


async def test_a_size_that_nothing_tells_is_said_to_be_unknown(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        paper: dict[str, Any] = {"bot__mode": "paper", "venue": {"kind": "simulated"}}
        market = {"feed__url": at.net.url, "feed__network": "devnet"}
        limits = dict.fromkeys(("max_order_notional", "max_position_notional", "max_exposure_notional"), None)
        risk = {"size": {"kind": "risk_fraction", "fraction": "0.01"}}
        loaded = at.load(**paper, **market, strategy__0__timeframe="1d")
        settings = loaded.settings
        risk_settings = type(settings.risk).model_validate(risk | limits)
        loaded = replace(loaded, settings=settings.model_copy(update={"risk": risk_settings}))
        found = by_check(await checked(loaded, at.home, LoopClock()))
        assert [finding.mend for finding in found["sizes"]] == ["set risk.max_order_notional"] * 2


async def test_a_strategy_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        found = await at.check(strategy__0__kind=f"{tmp_path}/none.py:Mine")
        assert red(found) == ["sizes"]


async def test_each_part_of_a_ladder_must_be_large_enough(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        size = {"kind": "notional", "notional": "30"}
        ladder: dict[str, Any] = {"strategy__0__kind": "fvg_fill", "risk__size": size}
        found = await at.check(**ladder, strategy__0__first_part=0.2)
        assert red(found) == ["sizes"]
        assert "target 1 of 2 would be" in found["sizes"][0].what
        assert red(await at.check(**ladder, strategy__0__first_part=0.5)) == []


async def test_paper_on_the_live_market_asks_only_the_market(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        paper: dict[str, Any] = {
            "bot__mode": "paper",
            "venue": {"kind": "simulated"},
            "feed__url": at.net.url,
            "feed__network": "devnet",
        }
        found = await at.check(**paper, risk__size={"kind": "notional", "notional": "5"})
        assert set(found) == {"venue", "venue clock", "symbols", "sizes"}
        assert {finding.grade for finding in found["sizes"]} == {Grade.WARN}


async def test_a_position_of_somebody_else_stops_a_fresh_home(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.fault("manual_trade", coin="BTC", value="0.01")
        found = await at.check()
        assert red(found) == ["positions"]
        assert found["positions"][0].mend.startswith("close it first")
        assert "positions" not in await at.check(is_fresh=False)
        (at.home / "journal.db").touch()
        assert "positions" not in await at.check()
        found = await at.check(bot__symbols=["ETH"], strategy__0__symbols=["ETH"])
        assert [(one.grade, one.what[-3:]) for one in found["positions"]] == [(Grade.WARN, "BTC")]


async def test_an_order_of_somebody_else_warns(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        Hand(at.net.exchange).trade("", "BTC", Decimal("0.01"), Decimal(40_000))
        for is_fresh in (True, False):
            found = await at.check(is_fresh=is_fresh)
            assert red(found) == []
            assert [(one.grade, one.what[-3:]) for one in found["orders"]] == [(Grade.WARN, "BTC")]


async def test_an_exchange_that_is_too_slow_is_told_and_waited_for_no_longer(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        found = by_check(await checked(at.load(), at.home, LoopClock(), total_s=0))
        assert red(found) == ["venue"]
        assert "within 0 s" in found["venue"][0].what


async def test_a_used_up_address_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        account = at.net.exchange.account(at.net.user)
        assert account is not None
        account.requests = 9_000
        assert (await at.check())["budget"][0].grade is Grade.WARN
        account.requests = 9_900
        assert red(await at.check(is_fresh=True)) == ["budget"]
        # Who holds something must still be able to leave it.
        found = await at.check(is_fresh=False)
        assert (red(found), found["budget"][0].grade) == ([], Grade.WARN)


async def test_a_red_line_is_looked_at_three_times_before_nothing_is_armed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradebot.live.preflight._LOOK_AGAIN_S", 0.0)
    async with desk(tmp_path) as at:
        connection, links = bare_connection(at.load(), at.home, LoopClock())
        link, asked = links.to(at.net.url), list[str]()
        ask = link.rest.info

        async def heard(request: Mapping[str, object], *more: Any) -> object:
            asked.append(str(request["type"]))
            return await ask(request, *more)

        monkeypatch.setattr(link.rest, "info", heard)
        account = at.net.exchange.account(at.net.user)
        assert account is not None
        assert await red_lines(connection, at.load(), is_fresh=True) == []
        assert asked.count("userRateLimit") == 1
        account.requests = 9_900
        (found,) = await red_lines(connection, at.load(), is_fresh=True)
        assert (found.check, asked.count("userRateLimit")) == ("budget", 4)
        await connection.close()


@pytest.mark.parametrize(
    ("off_ms", "grade"),
    [(0, Grade.OK), (200, Grade.OK), (300, Grade.WARN), (-300, Grade.WARN), (1100, Grade.FAIL), (-1100, Grade.FAIL)],
)
def test_a_clock_is_measured_beyond_what_the_way_took(off_ms: int, grade: Grade) -> None:
    stamp = Nanos(1_763_000_000 * NANOS_PER_S)
    asked = Nanos(stamp + off_ms * NANOS_PER_MS)
    assert clock_finding(asked, stamp, asked).grade is grade
    wide = clock_finding(Nanos(asked - 2 * NANOS_PER_S), stamp, Nanos(asked + 2 * NANOS_PER_S))
    assert wide.grade is Grade.OK


def test_an_agent_that_is_past_its_end_is_red() -> None:
    assert expiry_finding(Nanos(1), Nanos(2)).grade is Grade.FAIL


@pytest.mark.parametrize("kind", [RoleKind.VAULT, RoleKind.SUB_ACCOUNT])
def test_a_vault_or_a_sub_account_is_not_traded_for(kind: RoleKind) -> None:
    finding = unfit_account("0x" + "1" * 40, Role(kind, None), "mainnet")
    assert finding is not None
    assert finding.grade is Grade.FAIL


async def test_doctor_asks_the_venue_too(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        loaded = at.load()
        clock = LoopClock()
        found = await asyncio.to_thread(run_doctor, at.home, lambda: loaded, dict(os.environ), clock)
        checks = {finding.check for finding in found}
        assert {"configuration", "disk", "venue", "balance", "sizes"} <= checks
        at.home.joinpath("devnet.key").unlink()
        assert doctor_exit_code(await asyncio.to_thread(run_doctor, at.home, lambda: loaded, {}, clock)) == 1
