"""A bot without a daemon: the real stages, and all of ``tradebot.live`` between them and an ``Execution``."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

from tests.bare_line import BareLine
from tests.builders import approved, command, signal
from tests.contract.venue.loop import pause
from tests.contract.venue.world import SYMBOLS, Home, World
from tradebot.live.broker import Broker
from tradebot.live.intents import INTENT
from tradebot.live.reconcile import Reconciler
from tradebot.live.sides import Sides
from tradebot.live.trading import Trading
from tradebot.live.watch import LiveWatch, Watched
from tradebot.model.command import Alert, AlertName, Verb
from tradebot.model.instrument import Instrument
from tradebot.model.market import Message
from tradebot.model.order import Fill, OrderType
from tradebot.model.signal import Action, Approved, Signal
from tradebot.model.time import Nanos
from tradebot.model.venue import Intent
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.ports import Execution
from tradebot.store.codec import decode

D = Decimal
STOP, TARGET = D("0.9"), D("1.1")


class JournaledLine(BareLine):
    """A line whose inputs are rows of a journal, as far as anybody reads them there."""

    home: Home
    heard: list[Message]
    alerts: list[AlertName]

    def begin(self, home: Home, alerts: list[AlertName], fills: list[Fill]) -> None:
        """Hear of what the line alerts of and books, and of all that it is told, news or not."""
        self.home, self.alerts, self.heard = home, alerts, []
        self.line.sinks |= {Alert: self._on_alert, Fill: fills.append}  # type: ignore[dict-item]

    def _on_alert(self, message: Message) -> None:
        assert isinstance(message, Alert)
        self.alerts.append(message.name)

    def run(self, message: Message) -> None:
        self.home.journal.append(message.kind, getattr(message, "ts_event", Nanos(0)), b"")
        super().run(message)

    async def deliver(self, messages: Sequence[Message]) -> None:
        self.heard += messages
        await super().deliver(messages)


class Trader:
    """One bot at ``world``. It can be killed between any two steps, and born again."""

    def __init__(self, world: World, tag: bytes = b"test") -> None:
        self.world = world
        self.home = Home(tag)
        self.pages: list[tuple[AlertName, str]] = []
        self.alerts: list[AlertName] = []
        self.fills: list[Fill] = []
        self.wishes: list[Approved] = []
        self.signals = 0
        self._line: JournaledLine | None = None
        self._tasks: asyncio.Task[None] | None = None

    @property
    def line(self) -> JournaledLine:
        assert self._line is not None
        return self._line

    async def begin(self) -> None:
        """Come up, as far as the past is settled with the venue."""
        world, home = self.world, self.home
        self.execution = venue = await world.client(home)
        self._line = await self._new_line() if self._line is None else self._line.reborn()  # type: ignore[assignment]
        line = self.line
        line.begin(home, self.alerts, self.fills)
        self.broker = Broker(venue, line, _durable, world.sleep)
        sides = Sides(
            venue=venue,
            line=line,
            page=self.page,
            clock=world.clock,
            deliver=self.broker.tell,
            in_hands=self.broker.holds,
            symbols=SYMBOLS,
        )
        self.reconciler = Reconciler(sides, world.sleep)
        self.trading = Trading(
            venue,
            line,
            home.journal,
            self.broker,
            self.reconciler,
            SYMBOLS,
            world.clock,
            None,  # type: ignore[arg-type]
        )
        self.watch = LiveWatch(line, self._watched(venue, line), self.page, world.clock, world.sleep)
        self.broker.refused = venue.on_forbidden = self.watch.refused
        await self.trading.begin()
        line.outbox.send = self.broker.send
        self._tasks = asyncio.create_task(self._run())
        await world.until(lambda: self.trading.settled.is_set() or self._has_failed(), self.describe)

    def _watched(self, venue: Execution, line: JournaledLine) -> Watched:
        return Watched(
            unsettled=self.broker.unsettled,
            venue_ms=venue.survey.now_ms,
            symbol_of=self.trading.symbol_of,
            down_since=lambda: self.trading.down_since,
            expiry=venue.key_expiry,
            is_due=lambda: line.orders.is_overdue or line.risk.is_flattening,
        )

    async def _new_line(self) -> JournaledLine:
        market = self.world.market()
        await market.refresh()
        instruments: dict[str, Instrument] = {symbol: market.listed[symbol].instrument for symbol in SYMBOLS}
        return JournaledLine(instruments)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for run in (self.broker.run, self.trading.run, self.watch.run):
                group.create_task(run(lambda: None))
            await self.trading.settled.wait()
            group.create_task(self.reconciler.run(lambda: None))

    def _has_failed(self) -> bool:
        if self._tasks is not None and self._tasks.done():
            self._tasks.result()
        return False

    async def kill(self) -> None:
        """End as suddenly as a process can; what has left the machine goes on."""
        self.line.outbox.send = None
        if self._tasks is not None:
            self._tasks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tasks
            self._tasks = None
        await self.trading.stream.close()

    async def reborn(self) -> None:
        await self.kill()
        await self.begin()

    def page(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        assert what
        assert mend
        self.pages.append((name, what))

    @property
    def paged(self) -> Sequence[AlertName]:
        return [name for name, _ in self.pages]

    # Wishes.

    def enter(self, size: str = "1", symbol: str = "BTC", *, limit: str | None = None, has_target: bool = True) -> str:
        """Wish to enter long with a stop, at the market or at ``limit`` times its price; return the signal's id."""
        self.signals += 1
        rules, price = self.line.instruments[symbol], self.world.price(symbol)
        name = f"cross-{symbol}-{self.signals}"
        wish = signal(
            name,
            symbol=symbol,
            close=price,
            entry_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            entry_price=None if limit is None else str(rules.price_down(price * D(limit))),
            stop=str(rules.price_down(price * STOP)),
            target=str(rules.price_down(price * TARGET)) if has_target else None,
        )
        self._wish(wish, size)
        return name

    def exit(self, size: str = "1", symbol: str = "BTC") -> None:
        self.signals += 1
        wish = signal(f"cross-{symbol}-{self.signals}", Action.EXIT, symbol=symbol, close=self.world.price(symbol))
        self._wish(wish, size)

    def move_stop(self, to: str, symbol: str = "BTC") -> None:
        """Wish the stop at ``to`` times the price, past whatever asks first whether it may move."""
        self.signals += 1
        price = self.world.price(symbol)
        stop = str(self.line.instruments[symbol].price_down(price * D(to)))
        name = f"cross-{symbol}-{self.signals}"
        self._wish(signal(name, Action.MOVE_STOP, symbol=symbol, close=price, stop=stop), str(self.held(symbol)))

    def cancel_all(self) -> None:
        """Wish that nothing that waits to enter waits any longer."""
        self.line.run(command(Verb.CANCEL, {"all": "true"}))

    def _wish(self, wish: Signal, size: str) -> None:
        self.wishes.append(approved(wish, D(size) * self.world.unit))
        self.line.run(self.wishes[-1])

    # What it believes, beside what is.

    def order(self, name: str) -> Order:
        order = self.line.orders.find(name)
        assert order is not None, name
        return order

    def intents(self) -> list[Intent]:
        """Return what was about to be sent, oldest first."""
        return [decode(Intent, row.payload) for row in self.home.journal.kept if row.kind == INTENT]

    def held(self, symbol: str = "BTC") -> Decimal:
        return Decimal(self.line.risk.positions.get(symbol, D(0))) / self.world.unit

    def working(self) -> list[str]:
        return sorted(order.request.client_order_id for order in self.line.orders.open_orders())

    def stop_size(self, symbol: str = "BTC") -> Decimal:
        """Return what is protected at the venue, by its own word."""
        below = self.world.price(symbol)
        stops = [
            order
            for order in self.world.resting()
            if order.symbol == symbol and order.reduce_only and order.trigger is not None and order.trigger < below
        ]
        return sum((order.qty for order in stops), D(0)) / self.world.unit

    def is_protected(self, symbol: str = "BTC") -> bool:
        return self.stop_size(symbol) >= self.world.position(symbol)

    def agrees(self) -> bool:
        """Return whether orders, positions and money are those of the venue, and nothing is on its way."""
        self._has_failed()
        world, orders = self.world, self.line.orders
        ours = {order.venue_order_id for order in orders.open_orders() if order.is_resting}
        return (
            not (self.broker.waiting or self.line.outbox._said)
            and all(self.held(symbol) == world.position(symbol) for symbol in SYMBOLS)
            and abs(world.cash() - self.line.risk.cash) <= D("0.01")
            and ours == {order.oid for order in world.resting()}
            and not any(order.is_canceling or self._is_unknown(order) for order in orders.open_orders())
        )

    def _is_unknown(self, order: Order) -> bool:
        parent = self.line.orders.find(order.request.parent_id or "")
        return order.is_unknown and (parent is None or parent.state.is_terminal)

    async def agreed(self) -> None:
        await self.world.until(self.agrees, self.describe)
        self.is_once()

    def booked(self) -> set[str]:
        """Return the trade ids that were booked in all its lives, each of them once."""
        trades = [one.trade_id for one in self.fills]
        assert len(trades) == len(set(trades))
        return set(trades)

    def is_once(self) -> None:
        """Hold that each intent made one order at most, and each fill was booked once."""
        repeated = {cloid: oids for cloid, oids in self.world.placed().items() if len(oids) > 1}
        assert repeated == {}
        self.booked()

    def describe(self) -> str:
        orders = {
            name: (order.state.value, order.venue_order_id, order.reason)
            for name, order in self.line.orders.book().items()
        }
        held = {symbol: (str(self.held(symbol)), str(self.world.position(symbol))) for symbol in SYMBOLS}
        return (
            f"orders {orders}; resting {[(o.oid, o.cloid, str(o.qty)) for o in self.world.resting()]}; "
            f"positions (ours, theirs) {held}; cash {self.line.risk.cash}, {self.world.cash()}; "
            f"broker {self.broker.waiting}; pages {self.pages}"
        )


class Guarded:
    """Watches whether what is held has its stop at the venue; ``longest_s`` is the longest time it had not."""

    def __init__(self, bot: Trader) -> None:
        self._bot = bot
        self.longest_s = 0.0

    async def run(self) -> None:
        loop, since = asyncio.get_running_loop(), None
        while True:
            now = loop.time()
            if self._bot.is_protected():
                since = None
            else:
                since = now if since is None else since
                self.longest_s = max(self.longest_s, now - since)
            await pause(0.01)


@contextlib.asynccontextmanager
async def guarded(bot: Trader) -> AsyncIterator[Guarded]:
    """Give a watcher that looks as long as the block lasts."""
    watcher = Guarded(bot)
    task = asyncio.create_task(watcher.run())
    try:
        yield watcher
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def trading(world: World, tag: bytes = b"test") -> AsyncIterator[Trader]:
    """Give a bot that is up; it is killed at the end."""
    trader = Trader(world, tag)
    await trader.begin()
    try:
        yield trader
        trader._has_failed()
    finally:
        await trader.kill()


async def _durable() -> None:
    pass
