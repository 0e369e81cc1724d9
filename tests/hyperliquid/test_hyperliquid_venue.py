"""The native venue lives a trading life at the local exchange: brackets, cancels, faults, a lost journal."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
import pytest

from tests.virtual import LoopClock
from tradebot.devnet.devnet import Devnet, DevnetOptions
from tradebot.devnet.faults import Rule
from tradebot.devnet.recover import user_digest
from tradebot.feeds.generated import Generated
from tradebot.model.errors import ConfigError, NotPermitted, Unavailable, Unreadable
from tradebot.model.market import Message
from tradebot.model.money import Price, Qty
from tradebot.model.order import (
    CancelOrder,
    FillReport,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderType,
    SubmitOrders,
)
from tradebot.model.time import Nanos, from_ms, parse_timeframe
from tradebot.model.venue import (
    AccountState,
    Intent,
    Never,
    Phase,
    Purpose,
    Settled,
    Sighting,
    Unclear,
    Up,
    VenueOrder,
    Waiting,
)
from tradebot.venues.hyperliquid.access import agent_expiry, check_signer
from tradebot.venues.hyperliquid.bars import read_bars
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.config import TradingRules
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.link import Link
from tradebot.venues.hyperliquid.public import HyperliquidMarket
from tradebot.venues.hyperliquid.reports import OUTCOMES, reason_of
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.sign import ActionSigner
from tradebot.venues.hyperliquid.stream import Stream
from tradebot.venues.hyperliquid.translate import Filled, Funded, OrdersUpdated
from tradebot.venues.hyperliquid.venue import HyperliquidVenue, check_traded
from tradebot.venues.outcomes import Endings
from tradebot.venues.resilience import Policy, Resilience
from tradebot.venues.submit import Rules, Submitter

pytestmark = pytest.mark.virtual_time

D = Decimal
QUICK = Rules(ttl_ms=600, margin_ms=200, spacing_ms=100, first_pause_ms=20, longest_pause_ms=50)


@dataclass
class Desk:
    """A devnet, our venue at it, its socket, and all it has told us."""

    net: Devnet
    venue: HyperliquidVenue
    gateway: Gateway
    stream: Stream
    link: Link
    rows: list[Intent | Settled]
    told: list[Message] = field(default_factory=list)

    @property
    def rest(self) -> RestClient:
        return self.link.rest

    async def record(self, entry: Intent | Settled) -> None:
        self.rows.append(entry)

    def price(self) -> Decimal:
        return self.net.exchange.markets["BTC"].mark

    def move(self, price: Decimal) -> None:
        self.net.server.admin.move("BTC", price)

    def fault(self, name: str, **options: Any) -> None:
        self.net.server.admin.inject(Rule(name, **options))

    def filled(self) -> Decimal:
        return sum((m.qty * m.side.sign for m in self.told if isinstance(m, FillReport)), D(0))

    async def listen(self, *kinds: type[Message]) -> None:
        """Read the socket until each of ``kinds`` was told."""
        async with asyncio.timeout(10):
            while not all(any(isinstance(message, kind) for message in self.told) for kind in kinds):
                event = await self.stream.next()
                if isinstance(event, OrdersUpdated | Filled | Funded):
                    self.told += self.venue.on_frame(event)


@contextlib.asynccontextmanager
async def desk(
    rules: Rules = QUICK, seed: int = 1, tag: bytes = b"test", depth: int = 5_000_000
) -> AsyncIterator[Desk]:
    clock = LoopClock()
    options = DevnetOptions(
        coins=("BTC", "ETH"),
        timeframe=parse_timeframe("1m"),
        port=0,
        speed=None,
        history=50,
        is_unlimited=True,
        seed=seed,
        depth=D(depth),
    )
    net = Devnet(options, Generated(options.coins, options.timeframe, Nanos(0), seed), clock)
    await net.start()
    # Looks so close together would spend all weight of a minute.
    policy = Policy(base_s=0.01, cap_s=0.05, limited_base_s=0.05, limited_cap_s=0.05, weight_per_minute=10**6)
    resilience = Resilience(policy, clock, asyncio.sleep, seed)
    try:
        async with RestClient(net.url, resilience, timeout_s=0.5) as rest:
            made = await connected(net, Link(net.url, rest, resilience), rules, tag)
            try:
                yield made
            finally:
                await made.stream.close()
    finally:
        await net.stop()


async def connected(net: Devnet, link: Link, rules: Rules, tag: bytes) -> Desk:
    rows: list[Intent | Settled] = []

    async def record(entry: Intent | Settled) -> None:
        rows.append(entry)

    key = SigningKey(net.key.secret)
    gateway = Gateway(link.rest, ActionSigner(key, is_mainnet=False), net.user, LoopClock(), record, rules)
    cloids = Cloids(tag, b"k" * 32, ("cross",))
    submitter = Submitter(gateway, rules)
    venue = HyperliquidVenue(link, gateway, submitter, cloids, TradingRules(leverage=5))
    await venue.open()
    subscriptions = [{"type": kind, "user": net.user} for kind in ("orderUpdates", "userFills", "userFundings")]
    stream = link.stream(subscriptions)
    while not isinstance(await stream.next(), Up):
        pass
    return Desk(net, venue, gateway, stream, link, rows)


def request(name: str, **changes: Any) -> OrderRequest:
    role = OrderRole(name.rpartition("-")[2].rstrip("0123456789"))
    fields: dict[str, Any] = {
        "client_order_id": name,
        "symbol": "BTC",
        "strategy": "cross",
        "signal_id": name.rpartition("-")[0],
        "role": role,
        "side": OrderSide.BUY if role is OrderRole.ENTRY else OrderSide.SELL,
        "type": OrderType.MARKET,
        "qty": Qty(D("0.01")),
        "ts_event": Nanos(0),
        "reduce_only": role is not OrderRole.ENTRY,
    }
    return OrderRequest(**(fields | changes))


def bracket(made: Desk, number: int = 1, **entry: Any) -> SubmitOrders:
    price = made.price()
    name = f"cross-BTC-{number}"
    target = Price(price * D("1.02"))
    orders = (
        request(f"{name}-entry", **entry),
        request(f"{name}-stop", type=OrderType.STOP_MARKET, trigger=Price(price * D("0.98"))),
        request(f"{name}-target", type=OrderType.TAKE_PROFIT, price=target, trigger=target),
    )
    return SubmitOrders(ts_event=Nanos(0), orders=orders)


def names(messages: Sequence[Message], kind: type[Message]) -> set[str]:
    return {getattr(message, "client_order_id", "") for message in messages if isinstance(message, kind)}


async def test_a_bracket_enters_rests_and_exits_at_the_venue() -> None:
    async with desk() as made:
        messages = await made.venue.submit(bracket(made))
        assert names(messages, OrderAccepted) == {"cross-BTC-1-entry", "cross-BTC-1-stop", "cross-BTC-1-target"}
        assert [type(row) for row in made.rows] == [Intent, Settled]
        await made.listen(FillReport)
        assert made.filled() == D("0.01")
        holdings = await holdings_of(made)
        assert set(holdings.ours) == {"cross-BTC-1-stop", "cross-BTC-1-target"}
        assert all(order.reduce_only for order in holdings.ours.values())
        assert [position.qty for position in holdings.account.positions] == [D("0.01")]
        made.told.clear()
        made.move(made.price() * D("0.97"))
        await made.listen(FillReport, OrderCanceled)
        assert names(made.told, FillReport) == {"cross-BTC-1-stop"}
        canceled = [message for message in made.told if isinstance(message, OrderCanceled)]
        assert canceled[0].client_order_id == "cross-BTC-1-target"
        assert canceled[0].reason in {"sibling_filled", "reduce_only"}
        after = await holdings_of(made)
        assert (dict(after.ours), after.account.positions) == ({}, ())


async def test_a_waiting_entry_is_cancelled_with_its_exits() -> None:
    async with desk() as made:
        price = Price(made.price() * D("0.9"))
        await made.venue.submit(bracket(made, type=OrderType.LIMIT, price=price))
        assert "cross-BTC-1-entry" in (await holdings_of(made)).ours
        cancel = CancelOrder(ts_event=Nanos(0), client_order_id="cross-BTC-1-entry", symbol="BTC", reason="pause")
        assert names(await made.venue.cancel(cancel), OrderCanceled) == {"cross-BTC-1-entry"}
        assert not (await holdings_of(made)).ours
        # Cancelled again, the venue only says that there is nothing; what the order is now is asked.
        again = await made.venue.cancel(cancel)
        assert names(again, OrderCanceled) == {"cross-BTC-1-entry"}


async def test_what_the_venue_refuses_is_rejected_with_its_words() -> None:
    async with desk() as made:
        tiny = SubmitOrders(ts_event=Nanos(0), orders=(request("cross-BTC-1-entry", qty=Qty(D("0.00001"))),))
        (rejected,) = await made.venue.submit(tiny)
        assert isinstance(rejected, OrderRejected)
        assert "minimum value" in rejected.reason


async def test_an_order_that_cannot_be_written_never_leaves() -> None:
    async with desk() as made:
        odd = SubmitOrders(ts_event=Nanos(0), orders=(request("cross-BTC-1-entry", qty=Qty(D("0.0000001"))),))
        (rejected,) = await made.venue.submit(odd)
        assert isinstance(rejected, OrderRejected)
        assert made.rows == []


@pytest.mark.parametrize("fault", ["drop_reply", "error_502", "timeout", "lost", "error_500", "rate_limit"])
async def test_whatever_happens_to_the_answer_the_order_exists_once(fault: str) -> None:
    async with desk(Rules(first_pause_ms=20, longest_pause_ms=50)) as made:
        await made.venue.submit(bracket(made, 1))
        await made.listen(FillReport)
        # Only the next action is struck, then the venue is well again.
        made.fault(fault, count=1, value=D(1) if fault == "timeout" else None)
        messages = await made.venue.submit(bracket(made, 2))
        assert "cross-BTC-2-entry" in names(messages, OrderAccepted)
        assert (await made.venue.survey.account(Purpose.PROTECT)).positions[0].qty == D("0.02")


async def test_a_venue_that_only_ever_fails_settles_as_never_and_holds_nothing() -> None:
    async with desk() as made:
        await made.venue.submit(bracket(made, 1))
        made.fault("lost")
        messages = await made.venue.submit(bracket(made, 2))
        assert names(messages, OrderRejected) == {"cross-BTC-2-entry", "cross-BTC-2-stop", "cross-BTC-2-target"}
        made.net.server.faults.clear()
        holdings = await holdings_of(made)
        assert set(holdings.ours) == {"cross-BTC-1-stop", "cross-BTC-1-target"}
        assert holdings.account.positions[0].qty == D("0.01")


async def test_a_moving_stop_is_placed_anew_before_the_old_one_goes() -> None:
    async with desk() as made:
        await made.venue.submit(bracket(made))
        higher = Price(made.price() * D("0.99"))
        anew = request("cross-BTC-1-stop2", type=OrderType.STOP_MARKET, trigger=higher)
        messages = await made.venue.submit(SubmitOrders(ts_event=Nanos(0), orders=(anew,)))
        assert names(messages, OrderAccepted) == {"cross-BTC-1-stop2"}
        await made.venue.cancel(
            CancelOrder(ts_event=Nanos(0), client_order_id="cross-BTC-1-stop", symbol="BTC", reason="moved")
        )
        ours = (await holdings_of(made)).ours
        assert "cross-BTC-1-stop2" in ours
        assert "cross-BTC-1-stop" not in ours


async def test_a_lost_journal_finds_its_own_orders_and_tells_the_foreign_ones() -> None:
    async with desk() as made:
        await made.venue.submit(bracket(made))
        made.fault("manual_trade", user=made.net.user, coin="BTC", value=D("0.02"))
        resilience = Resilience(Policy(), LoopClock(), asyncio.sleep, 2)
        survivor = await connected(made.net, Link(made.net.url, made.rest, resilience), QUICK, b"anew")
        ours = (await holdings_of(survivor)).ours
        assert set(ours) == {"cross-BTC-1-stop", "cross-BTC-1-target"}
        caught = await survivor.venue.catch_up(survivor.gateway.time.ms(), ["cross-BTC-1-entry"])
        assert {"cross-BTC-1-entry"} < names(caught, FillReport)
        assert any(name.startswith("venue-") for name in names(caught, FillReport))
        assert not [m for m in await survivor.venue.catch_up(0, []) if isinstance(m, FillReport)], "told once"
        await survivor.stream.close()


async def test_an_intent_left_by_a_crash_is_settled_by_looking() -> None:
    async with desk() as made:
        await made.venue.submit(bracket(made))
        intent = made.rows[0]
        assert isinstance(intent, Intent)
        resilience = Resilience(Policy(), LoopClock(), asyncio.sleep, 2)
        survivor = await connected(made.net, Link(made.net.url, made.rest, resilience), QUICK, b"test")
        messages = await survivor.venue.resume(intent, "BTC")
        assert names(messages, OrderAccepted) == {"cross-BTC-1-entry", "cross-BTC-1-stop", "cross-BTC-1-target"}
        assert (await survivor.venue.survey.account(Purpose.PROTECT)).positions[0].qty == D("0.01")
        await survivor.stream.close()


@pytest.mark.parametrize("fault", ["duplicate", "reorder"])
async def test_fills_told_twice_or_backwards_are_booked_once(fault: str) -> None:
    async with desk() as made:
        made.fault(fault)
        for number in (1, 2, 3):
            await made.venue.submit(bracket(made, number))
        await made.listen(FillReport)
        while made.filled() < D("0.03"):
            event = await made.stream.next()
            if isinstance(event, OrdersUpdated | Filled | Funded):
                made.told += made.venue.on_frame(event)
        made.told += await made.venue.catch_up(0, [])
        assert made.filled() == D("0.03")
        trades = [message.trade_id for message in made.told if isinstance(message, FillReport)]
        assert len(trades) == len(set(trades))


@pytest.mark.parametrize("seed", range(6))
async def test_under_random_faults_orders_fills_and_position_equal_the_venues(seed: int) -> None:
    rules = Rules(ttl_ms=2_000, margin_ms=400, spacing_ms=100, first_pause_ms=20, longest_pause_ms=100)
    async with desk(rules, seed) as made:
        await made.venue.submit(bracket(made, 1))
        for name in ("drop_reply", "lost", "error_502", "error_500", "timeout"):
            made.fault(name, probability=D("0.15"), value=D("0.2"))
        made.fault("replica_lag", lasts=D(1), value=D("0.2"))
        outcomes = await asyncio.gather(*(made.venue.submit(bracket(made, number)) for number in range(2, 22)))
        made.net.server.faults.clear()
        accepted = [name for messages in outcomes for name in names(messages, OrderAccepted) if name.endswith("entry")]
        rejected = [name for messages in outcomes for name in names(messages, OrderRejected) if name.endswith("entry")]
        assert len(accepted) + len(rejected) == 20
        holdings = await holdings_of(made)
        assert holdings.account.positions[0].qty == D("0.01") * (1 + len(accepted))
        assert {name for name in holdings.ours if name.endswith("stop")} == {
            name.replace("entry", "stop") for name in ("cross-BTC-1-entry", *accepted)
        }
        assert holdings.foreign == []
        made.told += await made.venue.catch_up(0, [])
        assert made.filled() == holdings.account.positions[0].qty
        settled = [row for row in made.rows if isinstance(row, Settled)]
        assert len(settled) == len([row for row in made.rows if isinstance(row, Intent)]) == 21


async def test_closed_bars_are_read_from_the_venue_without_the_forming_one() -> None:
    async with desk() as made:
        minute = parse_timeframe("1m")
        now = from_ms(made.gateway.time.ms())
        found = await read_bars(made.rest, "BTC", minute, (Nanos(now - 20 * minute), now))
        closes = [bar.ts_event for bar in found]
        assert 18 <= len(found) <= 21
        assert closes == list(range(closes[0], closes[0] + len(closes) * minute, minute))
        assert closes[-1] <= now


async def test_a_key_that_is_no_agent_is_refused_before_anything_is_sent() -> None:
    async with desk() as made:
        stranger = SigningKey(b"\x07" * 32)
        with pytest.raises(NotPermitted, match="no agent"):
            await check_signer(made.rest, made.net.user, stranger.address)
        with pytest.raises(ConfigError, match="not traded") as caught:
            check_traded(HyperliquidMarket(made.link, made.gateway.time, made.venue).listed, ("btc",))
        assert caught.value.mend.endswith("did you mean BTC?")


async def test_the_rest_of_a_market_order_is_cancelled_after_its_last_fill() -> None:
    async with desk(depth=200) as made:
        large = request("cross-BTC-1-entry", qty=Qty(D("0.5")))
        await made.venue.submit(SubmitOrders(ts_event=Nanos(0), orders=(large,)))
        await made.listen(FillReport, OrderCanceled)
        ending = [message for message in made.told if isinstance(message, FillReport | OrderCanceled)]
        assert isinstance(ending[-1], OrderCanceled)
        assert ending[-1].reason in {"ioc_canceled", "canceled"}
        assert len([message for message in ending if isinstance(message, OrderCanceled)]) == 1
        assert D(0) < made.filled() < D("0.5")
        assert made.filled() == (await made.venue.survey.account(Purpose.PROTECT)).positions[0].qty


@dataclass
class Holdings:
    """What the venue says there is: orders of ours by client order id, others, and the account."""

    ours: dict[str, VenueOrder]
    foreign: list[VenueOrder]
    account: AccountState


async def holdings_of(made: Desk) -> Holdings:
    venue = made.venue
    orders = [found.order for found in await venue.survey.resting(Purpose.PROTECT)]
    named = [(venue.names.of(order), order) for order in orders]
    return Holdings(
        ours={name: order for name, order in named if name is not None},
        foreign=[order for name, order in named if name is None],
        account=await venue.survey.account(Purpose.PROTECT),
    )


async def approve(made: Desk, agent: str) -> None:
    """Approve ``agent`` as the owner does with a wallet: an action the daemon itself never signs."""
    owner, nonce = SigningKey(made.net.key.secret), made.gateway.time.ms() + 1
    action = {"type": "approveAgent", "agentAddress": agent, "agentName": "bot", "nonce": nonce}
    action |= {"signatureChainId": "0x66eee", "hyperliquidChain": "Testnet"}
    signature = owner.sign_digest(user_digest(action, "Testnet")).wire()
    body = orjson.dumps({"action": action, "nonce": nonce, "signature": signature})
    assert (await made.rest.exchange(body, 0, Purpose.PROTECT)).at("status").value == "ok"


async def test_an_agent_trades_for_its_master_until_it_expires() -> None:
    async with desk() as made:
        agent = SigningKey(b"\x07" * 32)
        await approve(made, agent.address)
        await check_signer(made.rest, made.net.user, agent.address)
        expiry = await agent_expiry(made.rest, made.net.user, agent.address)
        assert expiry is not None
        assert expiry > from_ms(made.gateway.time.ms())
        assert await agent_expiry(made.rest, made.net.user, made.net.user) is None
        with pytest.raises(NotPermitted, match=f"master's: {made.net.user}"):
            await check_signer(made.rest, agent.address, agent.address)
        made.gateway._signer = ActionSigner(agent, is_mainnet=False)
        assert names(await made.venue.submit(bracket(made)), OrderAccepted)
        made.fault("agent_expiry", user=made.net.user)
        # One client remembers a role for a while; the next boot asks anew.
        async with RestClient(made.net.url, made.rest._resilience) as anew:
            with pytest.raises(NotPermitted, match="no agent"):
                await check_signer(anew, made.net.user, agent.address)
        messages = await made.venue.submit(bracket(made, 2))
        reasons = {message.reason for message in messages if isinstance(message, OrderRejected)}
        assert len(reasons) == 1
        assert "does not exist" in reasons.pop(), "one clear message, after proof that nothing was placed"


async def test_what_is_safe_to_repeat_is_sent_again_as_the_same_bytes() -> None:
    async with desk() as made:
        await made.venue.submit(bracket(made))
        made.fault("drop_reply", count=1)
        cancel = CancelOrder(ts_event=Nanos(0), client_order_id="cross-BTC-1-target", symbol="BTC", reason="test")
        # The cancel was done, its answer lost; the second sending is a duplicate, so the order is asked for.
        assert names(await made.venue.cancel(cancel), OrderCanceled) == {"cross-BTC-1-target"}
        made.fault("lost")
        with pytest.raises(Unavailable):
            await made.venue.cancel(cancel)


async def test_the_collateral_and_the_equity_are_the_venues() -> None:
    async with desk() as made:
        survey = made.venue.survey
        account = await survey.account(Purpose.PROTECT)
        assert await survey.collateral(account, Purpose.PROTECT) == D(10_000) == account.equity
        assert made.venue.assets["BTC"].max_leverage >= 5


def test_an_end_waits_for_the_fills_before_it() -> None:
    end = OrderCanceled(ts_event=Nanos(1), client_order_id="a", reason="canceled")
    endings = Endings()
    assert list(endings.ended(1, D(2), end)) == []
    assert list(endings.filled(1, D(1))) == []
    assert list(endings.filled(1, D(1))) == [end]
    assert list(endings.filled(1, D(1))) == []
    assert list(endings.ended(1, D(3), end)) == [end]
    assert list(endings.ended(2, D(0), end)) == [end]


def test_what_the_venue_did_is_said_in_our_words() -> None:
    ts = Nanos(1)
    assert reason_of("marginCanceled") == "margin_canceled"
    assert reason_of("siblingFilledCanceled") == "sibling_filled"
    assert OUTCOMES.leg("a", Unclear("?"), ts) == ()
    assert OUTCOMES.leg("a", Sighting(1, Phase.UNKNOWN), ts) == ()
    assert OUTCOMES.leg("a", Waiting(), ts) == (OrderAccepted(ts_event=ts, client_order_id="a", venue_order_id="a"),)
    canceled, rejected = (OUTCOMES.leg("a", Sighting(1, phase), ts)[0] for phase in (Phase.CANCELED, Phase.REJECTED))
    assert isinstance(canceled, OrderCanceled)
    assert isinstance(rejected, OrderRejected)
    never = OUTCOMES.leg("a", Never(), ts, "Action already expired")[0]
    assert isinstance(never, OrderRejected)
    assert never.reason == "Action already expired"


async def test_an_asset_that_gets_another_id_is_not_believed() -> None:
    async with desk() as made:
        before = dict(made.venue.assets)
        coins = made.net.exchange.coins
        made.net.exchange.coins = dict(reversed(coins.items()))
        with pytest.raises(Unreadable, match="is said to be asset"):
            await made.venue.refresh()
        assert dict(made.venue.assets) == before
        made.net.exchange.coins = coins
        await made.venue.refresh()
