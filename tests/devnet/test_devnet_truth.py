"""What the exchange says of accounts: as of when, and whether what is held is protected."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.clock import VirtualClock
from tradebot.devnet.devnet import Devnet, DevnetOptions
from tradebot.devnet.faults import parse_rule
from tradebot.devnet.schema import OrderSpec
from tradebot.feeds.generated import Generated
from tradebot.model.time import HOUR, NANOS_PER_MS, NANOS_PER_S, Nanos, parse_timeframe

SECOND_MS = 1_000


class World:
    """A devnet without a port, on a clock that moves when told to."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock(1_700_000_000 * NANOS_PER_S)
        given = {"coins": ("BTC",), "timeframe": parse_timeframe("1m"), "port": 0, "history": 90, "speed": None}
        made = DevnetOptions(**given | options)
        self.net = Devnet(made, Generated(made.coins, made.timeframe, Nanos(0), 1), self.clock)
        self.exchange = self.net.exchange
        self.account = self.exchange.desks[self.net.user].account
        self.net.step()

    @property
    def mark(self) -> Decimal:
        return self.exchange.markets["BTC"].mark

    def wait(self, seconds: float) -> None:
        self.clock.advance(int(seconds * NANOS_PER_S))
        self.net.server.settle()

    def fault(self, text: str) -> None:
        self.net.server.admin.inject(parse_rule(text))
        self.net.server.settle()

    def move(self, factor: str) -> None:
        self.net.server.admin.move("BTC", self.mark * Decimal(factor))

    def place(self, *specs: OrderSpec, grouping: str = "na") -> list[Any]:
        desk = self.exchange.desks[self.net.user]
        desk.execution.now_ms = self.exchange.now_ms
        statuses = desk.place(specs, grouping)
        self.exchange.on_change(self.account)
        return statuses

    def ask(self, kind: str, **fields: object) -> Any:
        return self.net.server.info.answer({"type": kind, "user": self.net.user} | fields)

    def unprotected(self) -> list[Any]:
        return self.net.server.protection.rows(self.exchange.now_ms)

    def spec(self, sz: str, factor: str, **changes: Any) -> OrderSpec:
        px = self.exchange.coins["BTC"].on_grid(self.mark * Decimal(factor))
        made = {"asset": 0, "is_buy": True, "px": px, "sz": Decimal(sz), "reduce_only": False, "tif": "Gtc"}
        return OrderSpec(**made | changes)

    def exit(self, sz: str, factor: str, tpsl: str = "sl") -> OrderSpec:
        px = self.exchange.coins["BTC"].on_grid(self.mark * Decimal(factor))
        trigger = {"trigger_px": px, "is_market": True, "tpsl": tpsl, "tif": None, "reduce_only": True}
        return self.spec(sz, factor, is_buy=False, **trigger)

    def bracket(self, sz: str, factor: str, **changes: Any) -> list[Any]:
        entry = self.spec(sz, factor, **changes)
        return self.place(entry, self.exit(sz, "0.97"), self.exit(sz, "1.03", "tp"), grouping="normalTpsl")


@pytest.fixture
def world() -> World:
    return World()


def test_everything_about_an_account_is_as_old_as_its_replica(world: World) -> None:
    world.wait(10)
    world.fault("replica_lag:value=3")
    (placed,) = world.place(world.spec("0.01", "0.9"))
    world.bracket("0.02", "1.01", tif="Ioc")
    world.exchange.fund(world.net.user, Decimal(5))
    at = world.exchange.now_ms
    oid = placed["resting"]["oid"]

    def known() -> tuple[int, ...]:
        state = world.ask("clearinghouseState")
        assert state["time"] == world.exchange.now_ms - 3 * SECOND_MS
        ledger = world.ask("userNonFundingLedgerUpdates", startTime=at)
        status = world.ask("orderStatus", oid=oid)["status"]
        assert world.ask("openOrders") == [] or len(world.ask("openOrders")) == len(world.ask("frontendOpenOrders"))
        counts = (state["assetPositions"], world.ask("openOrders"), world.ask("userFills"), ledger)
        return (*map(len, counts), len(world.ask("historicalOrders")) > 0, status == "order")

    assert known() == (0, 0, 0, 0, False, False)
    world.wait(2.9)
    assert known() == (0, 0, 0, 0, False, False)
    world.wait(0.2)
    assert known() == (1, 3, 1, 1, True, True)


def test_a_lagging_replica_knows_what_was_left_of_an_order_then(world: World) -> None:
    world.bracket("0.02", "1.01", tif="Ioc")
    (order,) = [one for one in world.account.open.values() if one.spec.tpsl == "sl"]
    world.wait(5)
    world.fault("replica_lag:value=2")
    world.net.server.admin._hand.trade("", "BTC", Decimal("-0.005"))
    sizes = []
    for _ in range(2):
        sizes.append(world.ask("orderStatus", oid=order.oid)["order"]["order"]["sz"])
        world.wait(2.1)
    assert sizes == ["0.02", "0.015"]


def test_exits_are_armed_by_the_full_fill_of_their_entry_and_end_with_a_part_of_it() -> None:
    world = World(depth=Decimal(40_000), cash=Decimal(1_000_000))
    entry, *exits = world.bracket("3", "1.0002")
    assert Decimal(entry["filled"]["totalSz"]) < 3
    assert exits == ["waitingForFill", "waitingForFill"]
    world.move("0.999")
    assert [one.spec.tpsl for one in world.account.open.values()] == ["sl", "tp"]
    assert {one.is_waiting for one in world.account.open.values()} == {False}

    world = World(depth=Decimal(40_000), cash=Decimal(1_000_000))
    entry, *_ = world.bracket("3", "1.0002")
    world.net.server.admin._hand.cancel("", "", entry["filled"]["oid"])
    assert world.account.open == {}
    assert world.account.position("BTC") > 0
    assert len(world.unprotected()) == 1


def test_an_entry_cut_for_want_of_margin_keeps_the_exits_of_what_it_got() -> None:
    world = World(cash=Decimal(1_000))
    entry, *exits = world.bracket("3", "1.001")
    assert 0 < Decimal(entry["filled"]["totalSz"]) < 3
    assert world.account.history[-1]["status"] == "open"
    assert exits == ["waitingForTrigger", "waitingForTrigger"]
    assert [one.spec.tpsl for one in world.account.open.values()] == ["sl", "tp"]
    assert world.unprotected() == []
    world.move("0.96")
    assert world.account.position("BTC") == 0


def test_a_position_is_protected_by_live_stops_of_its_full_size(world: World) -> None:
    world.bracket("0.02", "1.01", tif="Ioc")
    assert world.unprotected() == []
    world.wait(1)
    (stop,) = [one.oid for one in world.account.open.values() if one.spec.tpsl == "sl"]
    world.net.server.admin._hand.cancel("", "", stop)
    world.wait(1.5)
    assert [(row["ms"], row["until"], row["naked"]) for row in world.unprotected()] == [(1_500, None, "0.02")]
    world.place(world.exit("0.01", "0.96"))
    world.wait(0.5)
    world.place(world.exit("0.01", "0.96"))
    world.wait(60)
    assert [(row["ms"], row["naked"]) for row in world.unprotected()] == [(2_000, "0.02")]
    world.net.server.admin._hand.trade("", "BTC", Decimal("0.005"))
    world.wait(0.25)
    world.net.server.admin._hand.trade("", "BTC", Decimal("-0.025"))
    assert [row["ms"] for row in world.unprotected()] == [2_000, 250]
    assert world.account.open == {}


def test_a_stop_that_only_waits_for_its_entry_protects_nothing(world: World) -> None:
    world.net.server.admin._hand.trade("", "BTC", Decimal("0.01"))
    world.bracket("0.01", "0.9")
    assert [row["naked"] for row in world.unprotected()] == ["0.01"]


def test_funding_is_paid_once_for_each_hour_of_the_market() -> None:
    world = World(speed=3_600.0)
    world.net.server.admin._hand.trade("", "BTC", Decimal("0.02"))
    begin = world.exchange.markets["BTC"].ts
    for _ in range(50):
        world.wait(0.1)
        world.net.catch_up()
    hours = world.exchange.markets["BTC"].ts // HOUR - begin // HOUR
    assert hours >= 4
    assert len(world.account.fundings) == hours


def test_what_the_market_says_of_one_moment_has_one_time() -> None:
    world = World(speed=60.0)
    for _ in range(40):
        world.wait(0.25)
        world.net.catch_up()
        market = world.exchange.markets["BTC"]
        candle = market.candles.newest("1m")
        assert candle is not None
        assert candle.opens <= market.ts < candle.closes
        assert market.prints[-1]["time"] == market.ts // NANOS_PER_MS
        assert candle.row()["c"] == market.prints[-1]["px"] == market.context(Decimal(0))["markPx"]
    rows = [candle.opens for candle in market.candles.between("1m", 0, 1 << 62)]
    assert {later - one for one, later in pairwise(rows)} == {60 * NANOS_PER_S}
