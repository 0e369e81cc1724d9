"""What happens to orders and money, without a server: the laws of an account."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.clock import VirtualClock
from tradebot.devnet.account import CROSS, ChosenLeverage, UserAccount
from tradebot.devnet.desk import UserDesk
from tradebot.devnet.exchange import Exchange
from tradebot.devnet.orders import Status
from tradebot.devnet.schema import OrderSpec
from tradebot.devnet.wire import RefusedWhole
from tradebot.model.time import HOUR, NANOS_PER_S

START = 1_700_000_000 * NANOS_PER_S
USER = "0x" + "1" * 40
BTC, ETH = 0, 1
MINUTE = 60 * NANOS_PER_S


class World:
    """An exchange on a clock that moves when told to; each move lasts a minute."""

    def __init__(self, cash: str = "10000", depth: str = "5000000") -> None:
        self.clock = VirtualClock(START)
        self.exchange = Exchange(("BTC", "ETH"), self.clock, depth=Decimal(depth))
        self.account: UserAccount = self.exchange.fund(USER, Decimal(cash))
        self.desk: UserDesk = self.exchange.desks[USER]
        self.move("BTC", "50000")
        self.move("ETH", "2000")

    def move(self, coin: str, price: str, lasts: int = MINUTE) -> None:
        self.clock.advance(lasts)
        self.exchange.tick(coin, self.clock.now(), Decimal(price), Decimal(1))

    def place(self, *specs: OrderSpec, grouping: str = "na") -> list[Any]:
        self.desk.execution.now_ms = self.exchange.now_ms
        return self.desk.place(specs, grouping)

    def state(self) -> dict[str, Any]:
        return self.account.clearinghouse_state(0)

    def equity(self) -> Decimal:
        return Decimal(self.state()["marginSummary"]["accountValue"])

    def statuses(self) -> dict[int, str]:
        return {row["order"]["oid"]: row["status"] for row in self.account.history}  # type: ignore[index]


def spec(**changes: Any) -> OrderSpec:
    made = {"asset": BTC, "is_buy": True, "px": "50500", "sz": "0.1", "reduce_only": False, "tif": "Ioc"} | changes
    for name in ("px", "sz", "trigger_px"):
        if made.get(name) is not None:
            made[name] = Decimal(made[name])
    return OrderSpec(**made)


def stop(trigger: str, **changes: Any) -> OrderSpec:
    made = {"is_buy": False, "trigger_px": trigger, "px": trigger, "tif": None, "is_market": True, "tpsl": "sl"}
    return spec(**made | {"reduce_only": True} | changes)


def test_a_resting_order_fills_whole_as_maker_when_the_price_goes_through_it() -> None:
    world = World()
    (placed,) = world.place(spec(px="49900", tif="Gtc"))
    world.move("BTC", "49900")
    assert world.account.position("BTC") == 0
    world.move("BTC", "49899")
    (fill,) = world.account.fills
    assert (fill["px"], fill["crossed"], fill["fee"]) == ("49900.0", False, "0.7485")
    assert world.statuses()[placed["resting"]["oid"]] == "filled"


def test_a_taker_walks_the_book_and_what_it_took_is_gone_until_the_next_tick() -> None:
    world = World(cash="10000000", depth="1000000")
    market = world.exchange.markets["BTC"]
    asks = [(level.px, level.sz) for level in market.sides[1]]
    (reply,) = world.place(spec(sz="3"))
    assert Decimal(reply["filled"]["avgPx"]) > asks[0][0]
    assert len(world.account.fills) > 1
    assert sum(level.sz for level in market.sides[1]) == sum(sz for _, sz in asks) - 3
    world.move("BTC", "50000")
    assert len(market.sides[1]) > 10


def test_an_immediate_order_fills_what_there_is_and_drops_the_rest() -> None:
    world = World(cash="10000000", depth="100000")
    (reply,) = world.place(spec(sz="20"))
    filled = Decimal(reply["filled"]["totalSz"])
    assert 0 < filled < 20
    assert world.account.position("BTC") == filled
    assert list(world.statuses().values()) == ["canceled"]


def test_an_order_too_large_for_the_margin_fills_until_the_margin_is_used_up() -> None:
    world = World(cash="1000")
    (reply,) = world.place(spec(sz="1"))
    assert Decimal(reply["filled"]["totalSz"]) == pytest.approx(Decimal("0.39"), abs=Decimal("0.01"))
    assert Decimal(world.state()["withdrawable"]) < 10
    (refused,) = world.place(spec(px="49000", sz="1", tif="Gtc"))
    assert refused == {"error": "Insufficient margin to place order. asset=0"}


def test_resting_orders_bind_margin_of_the_larger_side() -> None:
    world = World()
    world.place(spec(px="49000", sz="1", tif="Gtc"))
    assert Decimal(world.state()["withdrawable"]) == 10_000 - 49_000 / 20
    world.place(spec(is_buy=False, px="51000", sz="1", tif="Gtc"))
    assert Decimal(world.state()["withdrawable"]) == 10_000 - 51_000 / 20


def test_a_reduce_only_order_is_cut_to_the_position_and_ends_with_it() -> None:
    world = World()
    world.place(spec(sz="0.1"))
    (placed,) = world.place(spec(is_buy=False, px="51000", sz="5", tif="Gtc", reduce_only=True))
    order = world.account.orders[placed["resting"]["oid"]]
    assert (order.sz, order.spec.sz) == (Decimal("0.1"), Decimal(5))
    world.place(spec(is_buy=False, px="49000", sz="0.04", reduce_only=True))
    assert order.sz == Decimal("0.06")
    world.place(spec(is_buy=False, px="49000", sz="0.06"))
    assert order.status is Status.REDUCE_ONLY_CANCELED


def test_the_rest_of_an_entry_stays_when_its_position_is_closed() -> None:
    world = World(cash="1000000", depth="100000")
    (reply,) = world.place(spec(px="50005", sz="2", tif="Gtc"))
    order = world.account.orders[reply["filled"]["oid"]]
    assert order.status is Status.OPEN
    held = world.account.position("BTC")
    world.place(spec(is_buy=False, px="51000", sz=f"{held:f}", tif="Gtc", reduce_only=True))
    world.move("BTC", "51001")
    assert world.account.position("BTC") == 0
    assert order.status is Status.OPEN
    assert order.resting_id is not None


def test_nobody_trades_with_himself() -> None:
    world = World()
    (resting,) = world.place(spec(is_buy=False, px="50002", tif="Gtc"))
    (reply,) = world.place(spec(px="50100", sz="0.3"))
    assert "filled" in reply
    assert world.statuses()[resting["resting"]["oid"]] in ("selfTradeCanceled", "open")
    world.place(spec(px="50100", sz="5"))
    assert world.statuses()[resting["resting"]["oid"]] == "selfTradeCanceled"


@pytest.mark.parametrize(
    ("trigger", "is_buy", "tpsl", "error"),
    [
        ("50500", False, "sl", True),
        ("49500", False, "sl", False),
        ("49500", True, "sl", True),
        ("50500", True, "sl", False),
        ("49500", False, "tp", True),
        ("50500", False, "tp", False),
    ],
)
def test_a_trigger_that_is_reached_already_is_refused(trigger: str, is_buy: bool, tpsl: str, error: bool) -> None:
    world = World()
    (reply,) = world.place(stop(trigger, is_buy=is_buy, tpsl=tpsl, reduce_only=False))
    assert (reply == {"error": "Invalid TP/SL price. asset=0"}) is error


def test_a_stop_with_its_limit_on_the_wrong_side_is_refused() -> None:
    world = World()
    (reply,) = world.place(stop("49000", px="49500", reduce_only=False))
    assert reply == {"error": "Invalid TP/SL price. asset=0"}


def test_a_stop_limit_rests_when_the_price_has_jumped_over_it() -> None:
    world = World()
    world.place(spec())
    (placed,) = world.place(stop("49000", px="48900", is_market=False))
    order = world.account.orders[placed["resting"]["oid"]]
    world.move("BTC", "48000")
    assert (order.status, world.account.position("BTC")) == (Status.TRIGGERED, Decimal("0.1"))
    world.move("BTC", "48901")
    assert order.status is Status.FILLED


def test_exits_of_a_bracket_stay_asleep_until_their_parent_has_filled_whole() -> None:
    world = World(cash="1000000", depth="100000")
    entry = spec(px="50005", sz="2", tif="Gtc")
    first, *rest = world.place(entry, stop("49000", sz="2"), grouping="normalTpsl")
    assert rest == ["waitingForFill"]
    parent = world.account.orders[first["filled"]["oid"]]
    held = world.account.position("BTC")
    assert 0 < held < 2
    world.desk.cancel(BTC, parent.oid)
    assert world.account.open == {}
    assert world.account.position("BTC") == held


def test_exits_of_an_entry_that_filled_in_part_and_was_dropped_end_with_it() -> None:
    world = World(cash="1000000", depth="100000")
    reply = world.place(spec(px="50005", sz="2"), stop("49000", sz="2"), grouping="normalTpsl")
    assert reply[1] == "waitingForFill"
    assert world.account.position("BTC") > 0
    assert world.account.open == {}
    assert [row["status"] for row in world.account.history] == ["open", "canceled", "canceled"]


def test_exits_of_an_entry_that_filled_at_once_are_armed_at_once() -> None:
    world = World()
    first, second, third = world.place(
        spec(), stop("49000"), stop("51000", tpsl="tp", px="50900"), grouping="normalTpsl"
    )
    assert "filled" in first
    assert second == third == "waitingForTrigger"
    world.move("BTC", "48999")
    assert world.account.position("BTC") == 0
    assert world.account.open == {}


@pytest.mark.parametrize(
    ("orders", "grouping", "error"),
    [
        ([], "na", "Orders are empty."),
        ([stop("49000")], "normalTpsl", "Main order cannot be trigger order."),
        ([spec()], "normalTpsl", "Unexpected number of trigger orders"),
        ([spec(), stop("49000", is_buy=True)], "normalTpsl", "Trigger order has unexpected side."),
        ([spec(), stop("49000", reduce_only=False)], "normalTpsl", "Trigger order is not reduce only."),
        ([spec()], "positionTpsl", "Unexpected number of trigger orders"),
    ],
)
def test_groups_of_another_shape_are_refused_whole(orders: list[OrderSpec], grouping: str, error: str) -> None:
    assert World().place(*orders, grouping=grouping) == [{"error": error}]


def test_funding_is_paid_on_the_hour_and_told() -> None:
    world = World()
    world.place(spec(sz="1"))
    before = world.equity()
    world.move("BTC", "50000", HOUR)
    (paid,) = world.account.fundings
    assert (paid["usdc"], paid["szi"]) == ("-0.625", "1.0")
    assert world.equity() == before - Decimal("0.625")
    (position,) = world.state()["assetPositions"]
    assert position["position"]["cumFunding"]["sinceOpen"] == "0.625"


def test_an_account_below_maintenance_is_liquidated_where_it_was_told() -> None:
    world = World(cash="3000")
    world.place(spec(sz="1"))
    told = Decimal(world.state()["assetPositions"][0]["position"]["liquidationPx"])
    world.place(spec(px="40000", sz="0.001", tif="Gtc"))
    world.move("BTC", str(int(told) + 2))
    assert world.account.position("BTC") == 1
    world.move("BTC", str(int(told)))
    assert world.account.position("BTC") == 0
    assert world.account.fills[-1]["dir"] == "Liquidated Cross Long"
    assert world.account.open == {}
    assert 0 < world.equity() < 1000


def test_what_a_crash_costs_beyond_the_margin_is_the_exchanges_loss() -> None:
    world = World(cash="3000")
    world.place(spec(sz="1"))
    world.move("BTC", "30000")
    assert (world.account.position("BTC"), world.equity()) == (0, 0)


def test_an_isolated_position_risks_its_own_margin_alone() -> None:
    world = World()
    world.desk.set_leverage(BTC, ChosenLeverage(False, 10))
    world.place(spec(sz="0.1"))
    (row,) = world.state()["assetPositions"]
    assert Decimal(row["position"]["marginUsed"]) == pytest.approx(500, abs=1)
    told = Decimal(row["position"]["liquidationPx"])
    assert 45_000 < told < 46_000
    with pytest.raises(RefusedWhole, match="Cannot switch leverage type"):
        world.desk.set_leverage(BTC, ChosenLeverage(True, 10))
    with pytest.raises(RefusedWhole, match="sufficient margin available to decrease leverage"):
        world.desk.set_leverage(BTC, ChosenLeverage(False, 2))
    world.desk.move_isolated_margin(BTC, Decimal(100))
    assert Decimal(world.state()["assetPositions"][0]["position"]["liquidationPx"]) < told - 900
    world.move("BTC", "44000")
    world.move("BTC", "30000")
    assert world.account.position("BTC") == 0
    assert world.account.equity(CROSS) > 9_300


def test_closing_an_isolated_position_gives_its_margin_back() -> None:
    world = World()
    world.desk.set_leverage(BTC, ChosenLeverage(False, 10))
    world.place(spec(sz="0.1"))
    world.place(spec(is_buy=False, px="49000", sz="0.1", reduce_only=True))
    assert world.account.equity("BTC") == 0
    assert world.account.equity(CROSS) == world.equity()


steps = st.one_of(
    st.tuples(st.just("move"), st.sampled_from(["BTC", "ETH"]), st.integers(-300, 300)),
    st.tuples(
        st.just("place"),
        st.tuples(
            st.sampled_from([BTC, ETH]),
            st.booleans(),
            st.integers(-200, 200),
            st.integers(1, 400),
            st.sampled_from(["Gtc", "Ioc", "Alo"]),
            st.booleans(),
        ),
        st.none(),
    ),
    st.tuples(st.just("stop"), st.tuples(st.sampled_from([BTC, ETH]), st.integers(1, 200)), st.none()),
    st.tuples(st.just("hour"), st.none(), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 30), st.none()),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(steps, max_size=40), st.sampled_from(["100000", "5000000"]))
def test_equity_is_deposits_plus_pnl_less_fees_plus_funding_whatever_happens(path: list[Any], depth: str) -> None:
    world = World(depth=depth)
    for step in path:
        act(world, *step)
        fills, fundings = world.account.fills, world.account.fundings
        realized = sum((Decimal(str(row["closedPnl"])) - Decimal(str(row["fee"])) for row in fills), Decimal(0))
        funding = sum((Decimal(str(row["usdc"])) for row in fundings), Decimal(0))
        open_pnl = sum(
            (Decimal(row["position"]["unrealizedPnl"]) for row in world.state()["assetPositions"]), Decimal(0)
        )
        if not any("liquidation" in row for row in fills):
            assert abs(world.equity() - (10_000 + realized + funding + open_pnl)) < Decimal("0.00001")
        check_positions(world)
        check_orders(world)


def check_positions(world: World) -> None:
    for coin in ("BTC", "ETH"):
        traded = sum(
            (
                (1 if row["side"] == "B" else -1) * Decimal(str(row["sz"]))
                for row in world.account.fills
                if row["coin"] == coin
            ),
            Decimal(0),
        )
        assert traded == world.account.position(coin) == world.account.pools[CROSS].position(coin)


def check_orders(world: World) -> None:
    # A cancelled part may still lie in the pool; it is gone before the next price is looked at.
    parts = world.account.pools[CROSS].orders()
    resting = {part.request.client_order_id for part in parts if part.cancel_at is None}
    assert resting == {order.resting_id for order in world.account.open.values() if order.resting_id}
    for order in world.account.orders.values():
        assert order.filled <= order.spec.sz
        assert order.status.is_live == (order.oid in world.account.open)
        if order.status.is_live and order.spec.reduce_only:
            assert world.account.position(order.coin.name) * order.side.sign < 0


def act(world: World, kind: str, first: Any, second: Any) -> None:
    if kind == "move":
        mark = world.exchange.markets[first].mark
        world.move(first, str(mark * (10_000 + second) / 10_000))
    elif kind == "hour":
        world.move("BTC", str(world.exchange.markets["BTC"].mark), HOUR)
    elif kind == "cancel":
        oids = list(world.account.orders)
        if oids:
            order = world.account.orders[oids[first % len(oids)]]
            world.desk.cancel(order.coin.asset, order.oid)
    else:
        asset = first[0]
        coin = list(world.exchange.coins.values())[asset]
        mark = world.exchange.markets[coin.name].mark
        if kind == "stop":
            held = world.account.position(coin.name)
            sign = -1 if held > 0 else 1
            trigger = coin.on_grid(mark * (10_000 + sign * first[1]) / 10_000)
            size = max(coin.lot, abs(held))
            world.place(stop(f"{trigger:f}", asset=asset, is_buy=held < 0, sz=f"{size:f}"))
        else:
            _, is_buy, offset, lots, tif, reduce_only = first
            limit = coin.on_grid(mark * (10_000 + offset) / 10_000)
            size = coin.qty_down(Decimal(lots * 50) / mark)
            changes = {"is_buy": is_buy, "px": f"{limit:f}", "sz": f"{size:f}", "tif": tif, "reduce_only": reduce_only}
            world.place(spec(asset=asset, **changes))
