"""Hyperliquid's client at a devnet in this process: real requests and sockets on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.clock import VirtualClock
from tests.contract.venue.world import Fault, Home, Law, World
from tests.waiting import until
from tradebot.devnet.devnet import Devnet, DevnetOptions
from tradebot.devnet.faults import Rule
from tradebot.devnet.hand import Hand
from tradebot.feeds.generated import Generated
from tradebot.live.intents import IntentLog
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.model.venue import VenueOrder
from tradebot.runtime.clock import SystemClock
from tradebot.venues.hyperliquid.account import open_orders
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.config import TradingRules
from tradebot.venues.hyperliquid.gateway import Gateway, VenueTime
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.link import Link
from tradebot.venues.hyperliquid.public import HyperliquidMarket
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.sign import ActionSigner
from tradebot.venues.hyperliquid.venue import CAPABILITIES, HyperliquidVenue
from tradebot.venues.resilience import Policy, Resilience
from tradebot.venues.submit import Rules, Submitter

D = Decimal
# The ways of the protocol, in a hurry: the devnet is a millisecond away.
QUICK = Rules(ttl_ms=600, margin_ms=200, spacing_ms=100, first_pause_ms=20, longest_pause_ms=50)
POLICY = Policy(base_s=0.01, cap_s=0.05, limited_base_s=0.05, limited_cap_s=0.05, attempts=2, weight_per_minute=10**6)
TIMEOUT_S = 0.3
_FAULTS: Mapping[Fault, Sequence[tuple[str, dict[str, Any]]]] = {
    Fault.LOST: [("lost", {})],
    Fault.UNANSWERED: [("drop_reply", {})],
    Fault.LATE: [("timeout", {"value": D("0.4")})],
    Fault.DEAF: [("rate_limit", {})],
    # A second of the comparison takes a hundredth of one: longer, and it would look again too early.
    Fault.LAG: [("replica_lag", {"value": D("0.01")})],
    Fault.DOUBLED: [("duplicate", {})],
    Fault.REORDERED: [("reorder", {})],
}


class HyperliquidWorld(World):
    """A devnet whose market moves when told to."""

    name = "hyperliquid"
    can = CAPABILITIES
    unit = D("0.01")
    patience_s = 20.0

    def __init__(self, net: Devnet, link: Link) -> None:
        self.net, self.link = net, link
        self.hand = Hand(net.exchange)
        self.clock = VirtualClock(0)

    @classmethod
    def play(cls, law: Law) -> None:
        async def live() -> None:
            async with _opened() as world:
                await law(world)

        asyncio.run(live())

    async def client(self, home: Home) -> HyperliquidVenue:
        signer = ActionSigner(SigningKey(self.net.key.secret), is_mainnet=False)
        record = IntentLog(home.journal).record  # type: ignore[arg-type]  # what it needs of a journal
        gateway = Gateway(self.link.rest, signer, self.net.user, SystemClock(), record, QUICK)
        cloids = Cloids(home.tag, b"k" * 32, ("cross",))
        venue = HyperliquidVenue(self.link, gateway, Submitter(gateway, QUICK), cloids, TradingRules(leverage=5))
        await venue.open()
        return venue

    def market(self) -> HyperliquidMarket:
        time = VenueTime(SystemClock())
        time.start(self.net.exchange.now_ms)
        return HyperliquidMarket(self.link, time, None)

    def price(self, symbol: str = "BTC") -> Decimal:
        return self.net.exchange.markets[symbol].mark

    def move(self, factor: str, symbol: str = "BTC") -> None:
        coin = self.net.exchange.markets[symbol].coin
        self.net.server.admin.move(symbol, coin.on_grid(self.price(symbol) * D(factor)))

    def close_bars(self, count: int) -> None:
        for _ in range(4 * count):
            self.net.step()

    def thin_out(self, qty: str, symbol: str = "BTC") -> None:
        self.net.exchange.markets[symbol]._depth = D(qty) * self.unit * self.price(symbol)
        self.move("1", symbol)

    def trade_by_hand(self, qty: str, price: Decimal | None = None, symbol: str = "BTC") -> None:
        self.hand.trade("", symbol, D(qty) * self.unit, price)

    def cancel_by_hand(self, symbol: str = "BTC") -> None:
        self.hand.cancel("", symbol)

    def deposit(self, amount: str) -> None:
        self.net.exchange.fund(self.net.user, D(amount))

    def fault(self, name: Fault, times: int | None = None) -> None:
        for fault, options in _FAULTS[name]:
            counted = {} if times is None else {"count": times}
            self.net.server.admin.inject(Rule(fault, **options, **counted))

    def heal(self) -> None:
        self.net.server.faults.clear()
        for market in self.net.exchange.markets.values():
            market._depth = D(5_000_000)

    def hang_up(self) -> None:
        self.net.server.admin.inject(Rule("drop"))

    @property
    def _account(self) -> Any:
        return self.hand.desk(self.net.user).account

    def placed(self) -> Mapping[str, Sequence[str]]:
        return {cloid: [str(oid) for oid in oids] for cloid, oids in self._account.cloids.items()}

    def resting(self) -> Sequence[VenueOrder]:
        rows = [order.full_row() for order in self._account.open.values()]
        return open_orders(Node(rows))

    def position(self, symbol: str = "BTC") -> Decimal:
        return Decimal(self._account.position(symbol)) / self.unit

    def cash(self) -> Decimal:
        account = self._account
        return sum((account.cash(pool) for pool in account.pools), D(0))

    def fills(self) -> Sequence[str]:
        return [f"{fill['tid']}-{fill['oid']}" for fill in self._account.fills]

    async def sleep(self, seconds: float) -> None:
        # The comparison has a time of its own; at the devnet but little passes.
        self.clock.advance(int(seconds * 1e9))
        await asyncio.sleep(min(seconds, 0.01))  # real time: a devnet answers over sockets

    async def until(self, is_so: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
        try:
            await until(is_so, self.patience_s)
        except TimeoutError:
            raise AssertionError(f"it never was so; {what()}") from None


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[HyperliquidWorld]:
    clock = SystemClock()
    options = DevnetOptions(
        coins=("BTC", "ETH"), timeframe=parse_timeframe("1m"), port=0, speed=None, history=60, is_unlimited=True
    )
    net = Devnet(options, Generated(options.coins, options.timeframe, Nanos(0), 1), clock)
    net.step()
    await net.start()
    resilience = Resilience(POLICY, clock, asyncio.sleep, 1)
    try:
        async with RestClient(net.url, resilience, timeout_s=TIMEOUT_S) as rest:
            yield HyperliquidWorld(net, Link(net.url, rest, resilience))
    finally:
        await net.stop()
