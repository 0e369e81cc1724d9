"""A whole live line on a devnet in this process: boot, broker, account, watch, reconciler; only its bars are by hand.

A bar's volume says what the strategy is to wish at its close, so that the past repeats when it is run again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.builders import MINUTE
from tests.virtual import LoopClock
from tradebot.devnet.devnet import Devnet, DevnetOptions, write_key
from tradebot.devnet.faults import Rule
from tradebot.devnet.hand import Hand
from tradebot.feeds.generated import Generated
from tradebot.live.patience import Patience
from tradebot.model.command import AlertName, CommandDone, Verb
from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.order import SubmitOrders
from tradebot.model.time import Nanos, floor_to
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.outbox import Outbox
from tradebot.runtime.assembly import Live
from tradebot.runtime.boot import Booted, boot
from tradebot.runtime.engine import Engine
from tradebot.runtime.supervisor import Supervisor
from tradebot.runtime.take_over import HALT_REASON, admit, number_anew, settle
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.store.codec import decode_message
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.venues.submit import Rules

D = Decimal
QUICK = Rules(ttl_ms=900, margin_ms=200, spacing_ms=100, first_pause_ms=20, longest_pause_ms=100)
QUIET, LONG, SHORT, OUT, LADDER, LIMIT, TURN, FAR, TRAIL, HALF = range(1, 11)
STRATEGY = """
from decimal import Decimal

from tradebot.pipeline.strategy.base import Bar, Enter, Exit, MoveStop, OrderType, Params, Position, PositionSide, Rung

D = Decimal
RUNGS = (("1.02", "0.3"), ("1.04", "0.3"), ("1.06", "0.4"))


class Script:
    class Params(Params):
        pass

    def __init__(self, params):
        pass

    def on_bar(self, bar: Bar, position: Position | None):
        close, word = bar.close, int(bar.volume)
        if word == 2:
            return (Enter(PositionSide.LONG, stop=close * D("0.95"), target=close * D("1.05")),)
        if word == 3:
            return (Enter(PositionSide.SHORT, stop=close * D("1.05"), target=close * D("0.95")),)
        if word == 4:
            return (Exit(),)
        if word == 5:
            rungs = tuple(Rung(price=close * D(up), fraction=D(share)) for up, share in RUNGS)
            return (Enter(PositionSide.LONG, stop=close * D("0.95"), ladder=rungs),)
        if word == 6:
            price = close * D("0.99")
            return (Enter(PositionSide.LONG, stop=close * D("0.95"), target=close * D("1.05"),
                          entry_type=OrderType.LIMIT, entry_price=price),)
        if word == 7:
            return (Exit(), Enter(PositionSide.SHORT, stop=close * D("1.05"), target=close * D("0.95")))
        if word == 8:
            price = close * D("0.98")
            rungs = tuple(Rung(price=close * D(up), fraction=D(share)) for up, share in RUNGS)
            return (Enter(PositionSide.LONG, stop=close * D("0.95"), ladder=rungs,
                          entry_type=OrderType.LIMIT, entry_price=price),)
        if word == 9:
            return (MoveStop(close * D("0.97")),)
        if word == 10:
            return (Exit(fraction=D("0.5")),)
        return ()
"""
CONFIG = """
[bot]
name = "rehearsal"
mode = "live"
symbols = [{symbols}]
[feed]
kind = "hyperliquid"
weight_per_minute = {weight}
[venue]
kind = "hyperliquid"
network = "devnet"
url = "{url}"
key_file = "{key_file}"
leverage = {leverage}
{account}
[[strategy]]
kind = "script.py:Script"
name = "{strategy}"
timeframe = "1m"
stop = {{ kind = "atr", n = 5, mult = 1.5, trail = {trails}{break_even} }}
{hold}
[risk]
size = {{ kind = "notional", notional = "1000" }}
max_order_notional = "2000"
max_position_notional = "2000"
max_exposure_notional = "4000"
live_cap_notional = "2000"
{risk}
"""


@dataclass
class Stage:
    """The devnet, where a bot of it lives, and what the bot is configured as."""

    net: Devnet
    folder: Path
    symbols: str = '"BTC", "ETH"'
    strategy: str = "script"
    account: str = ""
    key_file: str = "devnet.key"
    leverage: int = 1
    risk: str = ""
    trails: str = "false"
    break_even: str = ""
    hold: str = ""
    weight_per_minute: int = 10**6
    bars: int = 0
    pages: list[tuple[AlertName, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hand = Hand(self.net.exchange)
        self.began = floor_to(LoopClock().now(), MINUTE)
        (self.folder / "script.py").write_text(STRATEGY)
        write_key(self.folder / "devnet.key", self.net.key)

    def price(self, coin: str = "BTC") -> Decimal:
        return self.net.exchange.markets[coin].mark

    def move(self, factor: str, coin: str = "BTC") -> None:
        """Let the market be at ``factor`` times its price."""
        self.net.server.admin.move(coin, self.net.exchange.markets[coin].coin.on_grid(self.price(coin) * D(factor)))

    def fault(self, name: str, **options: Any) -> None:
        self.net.server.admin.inject(Rule(name, **options))

    def clear(self) -> None:
        self.net.server.faults.clear()

    @property
    def desk(self) -> Any:
        return self.hand.desk(self.net.user).account

    def position(self, coin: str = "BTC") -> Decimal:
        return Decimal(self.desk.position(coin))

    @property
    def repeated(self) -> dict[str, list[int]]:
        return {cloid: oids for cloid, oids in self.desk.cloids.items() if len(oids) > 1}

    def resting(self, coin: str = "BTC") -> list[tuple[str, Decimal]]:
        """Return trigger or price, and size, of each order that is awake at the venue, lowest first."""
        rows = [order.full_row() for order in self.desk.open.values() if order.coin.name == coin]
        return sorted(
            (str(row["triggerPx"] if row["isTrigger"] else row["limitPx"]), D(str(row["sz"]))) for row in rows
        )

    def loaded(self) -> Loaded:
        path = self.folder / "bot.toml"
        account = f'account = "{self.account}"' if self.account else ""
        fields = {"url": self.net.url, "symbols": self.symbols, "strategy": self.strategy, "key_file": self.key_file}
        fields |= {"leverage": str(self.leverage), "risk": self.risk}
        fields |= {"trails": self.trails, "break_even": self.break_even, "hold": self.hold}
        fields |= {"weight": str(self.weight_per_minute)}
        path.write_text(CONFIG.format(account=account, **fields))
        return LoadOptions(config_files=(path,)).load(self.folder / "home", {})

    def page(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        del mend, symbol, about
        self.pages.append((name, what))


@dataclass
class Run:
    """One run of the bot."""

    stage: Stage
    live: Live
    engine: Engine
    booted: Booted
    journal: SqliteJournal
    supervisor: Supervisor

    async def bar(self, word: int = QUIET, coin: str = "BTC") -> None:
        """Close a bar at the present price, at which the strategy wishes ``word``."""
        stage = self.stage
        stage.bars += 1
        close = Price(stage.price(coin))
        ts = Nanos(stage.began + stage.bars * MINUTE)
        await self.engine.deliver([Bar(coin, MINUTE, ts, close, close, close, close, Qty(D(word)))])

    async def until(self, is_so: Callable[[], object], seconds: float = 20) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not is_so():
                    assert self.supervisor.failed is None, self.supervisor.failed
                    await asyncio.wait({self.supervisor.failure}, timeout=0.05)
        except TimeoutError:
            raise AssertionError(f"it never was so; {self.describe()}") from None

    async def quiet(self) -> None:
        """Wait until nothing is on its way and the book holds nothing unknown."""
        await self.until(lambda: not self.trading.broker.waiting and not self.unknown())

    @property
    def instruments(self) -> Any:
        return self.live.feed.on_silent.args[0]  # type: ignore[union-attr]

    @property
    def trading(self) -> Any:
        return self.live.trading

    def unknown(self) -> list[str]:
        return [name for name, order in self.orders().items() if order.is_unknown and not self._waits(order)]

    def _waits(self, order: Order) -> bool:
        parent = self.orders().get(order.request.parent_id or "")
        return parent is not None and not parent.is_unknown and not parent.state.is_terminal

    def orders(self) -> dict[str, Order]:
        state = self.engine.orders.save()
        return state.done | state.orders

    def working(self) -> list[str]:
        return sorted(name for name, order in self.orders().items() if not order.state.is_terminal)

    def position(self, coin: str = "BTC") -> Decimal:
        position = self.engine.risk.save().positions.get(coin)
        return D(0) if position is None else D(position.qty)

    def is_protected(self) -> bool:
        return all(one.is_full for one in self.engine.orders.protection())

    def agrees(self) -> bool:
        """Return whether positions, cash and the working orders are those of the venue."""
        desk = self.stage.desk
        positions = all(self.position(coin) == self.stage.position(coin) for coin in ("BTC", "ETH"))
        cash = abs(sum((desk.cash(pool) for pool in desk.pools), D(0)) - self.engine.risk.save().cash) <= D("0.01")
        theirs = {str(order.oid) for order in desk.open.values()}
        ours = {o.venue_order_id for o in self.orders().values() if o.is_resting and not o.state.is_terminal}
        is_canceling = any(one.is_canceling and not one.state.is_terminal for one in self.orders().values())
        return positions and cash and ours == theirs and not (is_canceling or self.unknown())

    async def agreed(self, seconds: float = 20) -> None:
        await self.until(self.agrees, seconds)

    def describe(self) -> str:
        orders = {
            name: (order.state.value, order.venue_order_id, order.reason) for name, order in self.orders().items()
        }
        desk = self.stage.desk
        theirs = [(o.oid, o.coin.name, o.full_row()["orderType"], o.full_row()["sz"]) for o in desk.open.values()]
        held = {coin: (str(self.position(coin)), str(self.stage.position(coin))) for coin in ("BTC", "ETH")}
        cash = sum((desk.cash(pool) for pool in desk.pools), D(0))
        return (
            f"orders {orders}; at the venue {theirs}; positions (ours, theirs) {held}; cash "
            f"{self.engine.risk.save().cash}, {cash}; pages {self.stage.pages}; broker {self.trading.broker.waiting}"
        )

    async def command(self, verb: Verb, **arguments: str) -> CommandDone:
        return await self.engine.command(verb, arguments)

    async def kinds(self) -> list[str]:
        return [row.kind async for row in self.journal.scan(Query())]

    async def submitted(self) -> list[str]:
        """Return the names of all orders that the line ever submitted."""
        rows = await self.journal.rows(Query(kinds=[SubmitOrders.kind]))
        messages = [decode_message(row.kind, row.payload) for row in rows]
        return [order.client_order_id for message in messages for order in getattr(message, "orders", ())]

    def mute(self) -> None:
        """Let nothing leave any more, as if the process had died behind the journal's rows."""
        outbox = self.booted.wired.venue
        assert isinstance(outbox, Outbox)
        outbox.send = None

    async def end(self, grace_s: float = 0.0) -> None:
        """End as suddenly as a process can; with ``grace_s`` in order."""
        if grace_s:
            with contextlib.suppress(Exception):
                await self.engine.command(Verb.STOP, {})
        else:
            self.mute()
        self.engine.end_turns()
        await self.supervisor.stop(grace_s=grace_s, hard_s=2.0)
        await self.live.close()
        await self.journal.close()


@contextlib.asynccontextmanager
async def stage(folder: Path, **options: Any) -> AsyncIterator[Stage]:
    fields: dict[str, Any] = {"speed": None, "history": 50, "is_unlimited": True, "port": 0, "coins": ("BTC", "ETH")}
    made = DevnetOptions(timeframe=MINUTE, **(fields | options))
    net = Devnet(made, Generated(made.coins, made.timeframe, Nanos(0), 1), LoopClock())
    await net.start()
    try:
        yield Stage(net, folder)
    finally:
        await net.stop()


@contextlib.asynccontextmanager
async def run(stage: Stage, grace_s: float = 0.0) -> AsyncIterator[Run]:
    """Run the bot of ``stage`` until the block ends; then kill it, or with ``grace_s`` stop it."""
    made = await begin(stage)
    try:
        yield made
        if grace_s == 0:
            assert made.supervisor.failed is None, made.supervisor.failed
    finally:
        await made.end(grace_s)


async def begin(stage: Stage, *, take_over: bool = False) -> Run:
    clock, home, loaded = LoopClock(), stage.folder / "home", stage.loaded()
    home.mkdir(exist_ok=True)
    journal = await SqliteJournal.open(home / "journal.db", clock)
    live: Live | None = None
    supervisor = Supervisor()
    try:
        patience = Patience(clock, stage.page, lambda: None)
        is_taken_over = await admit(journal, home, clock, take_over=take_over)
        live = await Live.connect(loaded, home, journal, clock, patience, stage.page)
        live.is_taken_over = is_taken_over
        loaded = live.overrule(loaded)
        booted = await boot(home, loaded, journal, lambda: None)
        engine = Engine(home, loaded, booted, journal, clock, lambda line: live.market_feed(loaded, booted, line))
        for spec in engine.tasks():
            await supervisor.start(spec)
        engine.live = live
        await number_anew(engine, journal)
        if is_taken_over:
            await engine.command(Verb.HALT, {"reason": HALT_REASON})
        async with asyncio.timeout(30):
            await live.trade(supervisor, engine, journal)
        await settle(journal, home)
    except BaseException:
        await supervisor.stop(grace_s=0, hard_s=1.0)
        if live is not None:
            await live.close()
        await journal.close()
        raise
    return Run(stage, live, engine, booted, journal, supervisor)
