"""A line of real stages that trades on a devnet in this process, without a daemon around it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.bare_line import BareLine
from tests.builders import approved, signal
from tests.clock import VirtualClock
from tests.virtual import LoopClock
from tradebot.devnet.devnet import Devnet, DevnetOptions
from tradebot.devnet.faults import Rule
from tradebot.devnet.hand import Hand
from tradebot.feeds.generated import Generated
from tradebot.live.reconcile import Reconciler
from tradebot.live.sides import Sides
from tradebot.model.command import AlertName, Command, Verb
from tradebot.model.order import SubmitOrders
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos, from_ms, parse_timeframe
from tradebot.model.venue import Intent, Purpose, Settled
from tradebot.ports import Clock
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.config import TradingRules
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.link import Link
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.sign import ActionSigner
from tradebot.venues.hyperliquid.venue import HyperliquidVenue
from tradebot.venues.resilience import Policy, Resilience
from tradebot.venues.submit import Rules, Submitter

D = Decimal
QUICK = Rules(ttl_ms=600, margin_ms=200, spacing_ms=100, first_pause_ms=20, longest_pause_ms=50)


@dataclass
class Bench:
    """The devnet, our venue at it, a line, and a reconciler between them whose sleep only moves a clock."""

    net: Devnet
    venue: HyperliquidVenue
    gateway: Gateway
    submitter: Submitter
    resilience: Resilience
    line: BareLine
    clock: VirtualClock
    pages: list[tuple[AlertName, str, str]] = field(default_factory=list)
    signals: int = 0

    def __post_init__(self) -> None:
        self.hand = Hand(self.net.exchange)
        self.reconciler = Reconciler(self.sides(), self.sleep)

    def sides(self, **changes: Any) -> Sides:
        fields: dict[str, Any] = {
            "venue": self.venue,
            "line": self.line,
            "page": self.page,
            "clock": self.clock,
            "deliver": self.line.deliver,
            "in_hands": lambda _name: False,
            "symbols": ("BTC", "ETH"),
        }
        return Sides(**(fields | changes))

    def page(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        assert what
        assert mend
        self.pages.append((name, symbol, what))

    @property
    def paged(self) -> list[AlertName]:
        return [name for name, _, _ in self.pages]

    async def sleep(self, seconds: float) -> None:
        # Real time passes at the devnet, and but little of it: the clock of the comparison is its own.
        self.clock.advance(int(seconds * 1e9))
        await asyncio.sleep(0)

    async def looks(self, count: int) -> None:
        """Compare so often, five seconds apart."""
        for _ in range(count):
            await self.sleep(5)
            await self.reconciler.orders.look_in_flight()
            await self.reconciler.orders.look_at_orders()
            await self.reconciler.money.look_at_account()

    async def begin(self) -> None:
        """Deposit what the account holds, as a first boot does."""
        account = await self.venue.survey.account(Purpose.PROTECT)
        now = self.gateway.time.ms()
        # What a test moves next may move within the same millisecond.
        self.venue.survey.counted_ms = now - 1
        await self.line.deliver([Deposit(ts_event=from_ms(now), id="opening", amount=account.equity)])

    async def enter(self, size: str = "0.01", coin: str = "BTC") -> str:
        """Enter long with a stop and a target, and hear of it; return the id of the signal."""
        self.signals += 1
        price, name = self.price(coin), f"cross-{coin}-{self.signals}"
        wish = signal(name, symbol=coin, close=price, stop=str(price * D("0.9")), target=str(price * D("1.1")))
        self.line.run(approved(wish, size))
        await self.carry()
        await self.hear()
        return name

    async def carry(self) -> None:
        """Let what the line sent go to the venue, and deliver its answers."""
        while self.line.sent:
            message = self.line.sent.pop(0)
            if isinstance(message, SubmitOrders):
                await self.line.deliver(await self.venue.submit(message))
            else:
                await self.line.deliver(await self.venue.cancel(message))

    async def hear(self) -> None:
        """Catch up, as after a reconnect."""
        orders = self.line.orders.save().orders.items()
        names = [name for name, order in orders if not order.state.is_terminal]
        await self.line.deliver(await self.venue.catch_up(self.gateway.time.ms(), names))

    def price(self, coin: str = "BTC") -> Decimal:
        return self.net.exchange.markets[coin].mark

    def freeze(self, symbol: str, reason: str) -> None:
        """Leave a symbol frozen, as the last run may have."""
        arguments = {"symbol": symbol, "reason": reason}
        self.line.run(Command(id="boot", ts_event=Nanos(0), verb=Verb.FREEZE, arguments=arguments))

    def fault(self, name: str, **options: Any) -> None:
        self.net.server.admin.inject(Rule(name, **options))

    def resting(self) -> list[int]:
        return [oid for desk in self.net.exchange.desks.values() for oid in desk.account.open]

    def book(self) -> dict[str, Decimal]:
        return {symbol: position.qty for symbol, position in self.line.risk.save().positions.items()}


@contextlib.asynccontextmanager
async def bench(
    *, tag: bytes = b"test", coins: tuple[str, ...] = ("BTC", "ETH"), policy: Policy | None = None
) -> AsyncIterator[Bench]:
    clock = LoopClock()
    options = DevnetOptions(
        coins=coins, timeframe=parse_timeframe("1m"), port=0, speed=None, history=50, is_unlimited=True
    )
    net = Devnet(options, Generated(options.coins, options.timeframe, Nanos(0), 1), clock)
    await net.start()
    resilience = Resilience(
        policy or Policy(base_s=0.01, cap_s=0.02, limited_base_s=0.02, limited_cap_s=0.02, weight_per_minute=10**6),
        clock,
        asyncio.sleep,
        1,
    )
    try:
        async with RestClient(net.url, resilience, timeout_s=0.5) as rest:
            yield await at(net, rest, resilience, clock, tag)
    finally:
        await net.stop()


async def at(net: Devnet, rest: RestClient, resilience: Resilience, clock: Clock, tag: bytes) -> Bench:
    """Return a bench at ``net``; another ``tag`` is another state directory."""

    async def record(_entry: Intent | Settled) -> None:
        pass

    key = SigningKey(net.key.secret)
    gateway = Gateway(rest, ActionSigner(key, is_mainnet=False), net.user, clock, record, QUICK)
    submitter = Submitter(gateway, QUICK)
    link, cloids = Link(net.url, rest, resilience), Cloids(tag, b"k" * 32, ("cross",))
    venue = HyperliquidVenue(link, gateway, submitter, cloids, TradingRules(leverage=5))
    await venue.open()
    instruments = {symbol: asset.instrument() for symbol, asset in venue.assets.items()}
    return Bench(net, venue, gateway, submitter, resilience, BareLine(instruments), VirtualClock(0))
