"""The wired line of a live bot, an honest venue beside it, and words of that venue changed on their way.

What makes the line raise is set aside as the daemon does it: its row stays, and all that came before runs again.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.builders import MINUTE, replace
from tests.live.rehearsal import STRATEGY
from tests.mutation.mutants import Known, Mutator
from tradebot.model.command import Command, Tick, Verb
from tradebot.model.errors import InvariantError
from tradebot.model.instrument import Instrument, InstrumentSeen, Listing
from tradebot.model.market import Bar, Message, check_bar
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import (
    ActionsLeft,
    CancelOrder,
    FillReport,
    FillSettled,
    Liquidity,
    OrderAccepted,
    OrderCanceled,
    OrderFound,
    OrderRejected,
    OrderRequest,
    OrderRole,
    StopFault,
    StopFaulted,
    SubmitOrders,
    TradingPermitted,
)
from tradebot.model.position import Deposit, FundingPaid
from tradebot.model.time import Nanos
from tradebot.pipeline.line import Line
from tradebot.pipeline.outbox import Outbox
from tradebot.runtime.engine import _OF_ORDERS
from tradebot.runtime.recording import Recorder
from tradebot.runtime.wiring import Wired, wire
from tradebot.settings.build import build_instruments
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.store.codec import decode, decode_message, encode, encode_message

D = Decimal
COINS = ("BTC", "ETH")
_CONFIG = """
[bot]
mode = "live"
symbols = ["BTC", "ETH"]
[feed]
kind = "hyperliquid"
[venue]
kind = "hyperliquid"
network = "devnet"
url = "http://127.0.0.1:1"
key_file = "devnet.key"
account = "0xabababababababababababababababababababab"
[[strategy]]
kind = "script.py:Script"
name = "script"
timeframe = "1m"
stop = { kind = "atr", n = 5, mult = 1.5 }
[risk]
size = { kind = "notional", notional = "1000" }
max_order_notional = "2000"
max_position_notional = "2000"
max_exposure_notional = "4000"
live_cap_notional = "2000"
"""
_INSTRUMENT = """
[[instrument]]
symbol = "%s"
tick = "0.1"
lot = "0.00001"
min_notional = "10"
max_leverage = 40
"""
_START = Nanos(1_750_000_000 * 10**9 // MINUTE * MINUTE)
_WORDS = range(1, 11)
_REASONS = ("tick", "minTradeNtl", "badTriggerPx", "reduceOnly", "insufficient margin", "x" * 5_000)
_ARGUMENTS = ("", "BTC", "ETH", "DOGE", "0.5", "1", "0", "-1", "NaN", "1e400", "Infinity", "abc", "true", "mismatch")


def configured(folder: Path) -> Loaded:
    """Return the configuration of a live bot; nothing is connected."""
    (folder / "script.py").write_text(STRATEGY)
    path = folder / "bot.toml"
    path.write_text(_CONFIG + "".join(_INSTRUMENT % coin for coin in COINS))
    return LoadOptions(config_files=(path,)).load(folder / "home", {})


class Booted:
    """One life of the line."""

    def __init__(self, loaded: Loaded) -> None:
        self.wired: Wired = wire(loaded)
        outbox = self.wired.venue
        assert isinstance(outbox, Outbox)
        self.outbox = outbox
        self.sent: list[SubmitOrders | CancelOrder] = []
        self.said: list[bytes] = []
        self.line = Line(self.wired.stages, Recorder(self._say).sinks())

    def _say(self, kind: str, ts_event: int, payload: bytes) -> int:
        self.said.append(b"%s %d %s" % (kind.encode(), ts_event, payload))
        return 0

    def run(self, message: Message, *, is_live: bool) -> list[SubmitOrders | CancelOrder]:
        """Run a turn; return what leaves at its end."""
        self.outbox.send = self.sent.append if is_live else None
        self.line.pump(message)
        self.outbox.release()
        sent, self.sent = self.sent, []
        return sent

    def is_news(self, message: Message) -> bool:
        """Return whether the engine would run it."""
        if isinstance(message, FundingPaid | Deposit | InstrumentSeen):
            return self.wired.risk.is_news(message)
        return not isinstance(message, _OF_ORDERS) or self.wired.orders.is_news(message)

    def state(self) -> dict[str, bytes]:
        """Return the state of each stage, by way of a snapshot."""
        saved = {name.value: encode(stage.save()) for name, stage in self.wired.stages.items()}
        for name, stage in self.wired.stages.items():
            stage.load(decode(stage.STATE, saved[name.value]))
        return saved


@dataclass
class LineLab:
    """A bot, its venue and the chance between them; ``wrong`` is what must not be."""

    loaded: Loaded
    seed: int
    is_wild: bool = False
    rows: list[tuple[str, bytes]] = field(default_factory=list)
    set_aside: set[int] = field(default_factory=set)
    raised: list[str] = field(default_factory=list)
    refused: int = 0
    mutants: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.mutator = Mutator(self.chance, is_wild=self.is_wild)
        self.bot = Booted(self.loaded)
        self.prices = dict.fromkeys(COINS, D(50_000))
        self.now = int(_START)
        self.open: dict[str, OrderRequest] = {}
        self.late: list[Message] = []
        self.trades: list[str] = []
        self.names: list[str] = []
        self.count = 0
        self.take(Deposit(ts_event=Nanos(self.now), id="opening", amount=Cash(D(100_000))))

    @property
    def known(self) -> Known:
        """The names that are ours."""
        return Known(COINS, self.names[-30:], self.trades[-30:])

    def go(self, steps: int) -> None:
        """Let so many things happen."""
        for _ in range(steps):
            for message in self._next():
                self._deliver(message)

    def _deliver(self, message: Message) -> None:
        chance = self.chance.random()
        if chance < 0.03:
            return
        if chance < 0.09:
            self.late.append(message)
            return
        if chance < 0.30:
            self.mutants += 1
            lie = self.mutator.mutated(message, self.known)
            if isinstance(lie, Bar) and not self.is_wild and not self._is_readable(lie):
                return
            self.take(lie)
            if self.chance.random() < 0.5:
                self.take(message)
            return
        self.take(message)
        if chance > 0.93:
            self.take(message)

    def take(self, message: Message) -> None:
        """Let the line have a message, as the engine would."""
        try:
            if not self.bot.is_news(message):
                return
            payload = encode_message(message)
        except InvariantError:
            # It is no message at all: nothing of it is recorded.
            self.refused += 1
            return
        except Exception as error:
            self.raised.append(f"news {error!r}: {message}"[:1000])
            return
        self.rows.append((message.kind, payload))
        try:
            sent = self.bot.run(decode_message(message.kind, payload), is_live=True)
        except Exception as error:
            self.raised.append(f"{error!r}: {message}"[:1000])
            self.set_aside.add(len(self.rows) - 1)
            self.bot = self.replayed()
            return
        for each in sent:
            self._sent(each)

    def _is_readable(self, bar: Bar) -> bool:
        """Return whether the feed lets a bar through: whole, of a series that was asked for, and of about now."""
        prices = (bar.open, bar.high, bar.low, bar.close)
        is_whole = min(prices) > 0 and max(prices) < 10**12 and check_bar(*prices, bar.volume) is None
        return is_whole and bar.symbol in COINS and bar.timeframe == MINUTE and abs(bar.ts_event - self.now) <= MINUTE

    def replayed(self) -> Booted:
        """Return a line that has run the rows again. Raises what a boot would."""
        bot = Booted(self.loaded)
        for number, (kind, payload) in enumerate(self.rows):
            if number not in self.set_aside:
                bot.run(decode_message(kind, payload), is_live=False)
        return bot

    # The venue -------------------------------------------------------------------------------------

    def _sent(self, message: SubmitOrders | CancelOrder) -> None:
        ts = Nanos(self.now)
        if isinstance(message, CancelOrder):
            if self.open.pop(message.client_order_id, None) is not None:
                self.late.append(OrderCanceled(ts_event=ts, client_order_id=message.client_order_id, reason="canceled"))
            return
        for order in message.orders:
            self.names.append(order.client_order_id)
            if self.chance.random() < 0.1:
                reason = self.chance.choice(_REASONS)
                self.late.append(OrderRejected(ts_event=ts, client_order_id=order.client_order_id, reason=reason))
                continue
            self.count += 1
            self.open[order.client_order_id] = order
            accepted = OrderAccepted(ts_event=ts, client_order_id=order.client_order_id, venue_order_id=str(self.count))
            self.late.append(accepted)
            if order.role in (OrderRole.ENTRY, OrderRole.EXIT):
                self.late += self._fill(order)

    def _fill(self, order: OrderRequest) -> Iterator[Message]:
        parts = self.chance.choice((1, 1, 2))
        self.open.pop(order.client_order_id, None)
        for _ in range(parts):
            self.count += 1
            self.trades.append(f"{self.count}-1")
            yield FillReport(
                ts_event=Nanos(self.now),
                trade_id=self.trades[-1],
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                side=order.side,
                qty=Qty(order.qty / parts),
                price=Price(self.prices.get(order.symbol, D(1))),
                fee=Cash(D("0.1")),
                liquidity=Liquidity.TAKER,
            )

    def _next(self) -> Sequence[Message]:
        chance = self.chance
        if self.late and chance.random() < 0.7:
            return [self.late.pop(chance.randrange(min(len(self.late), 4)))]
        doubtful = self._in_doubt()
        if doubtful and chance.random() < 0.3:
            return [chance.choice(doubtful)]
        pick = chance.random()
        if pick < 0.55:
            return [self._bar()]
        if pick < 0.65:
            return [Tick(ts_event=Nanos(self.now))]
        if pick < 0.75 and self.open:
            return list(self._fill(chance.choice(list(self.open.values()))))
        return [self._other()]

    def _in_doubt(self) -> list[Message]:
        """Return what looking at the venue settles in the end."""
        ts, disputed = Nanos(self.now), self.bot.wired.orders.disputed
        settled = [FillSettled(ts_event=ts, trade_id=one, is_believed=self.chance.random() < 0.5) for one in disputed]
        frozen = self.bot.wired.risk.save().frozen
        doubts = [{"symbol": symbol, "reason": reason} for symbol, reasons in frozen.items() for reason in reasons]
        thawed = [Command(id="thaw", ts_event=ts, verb=Verb.THAW, arguments=doubt) for doubt in doubts]
        return [*settled, *thawed]

    def _bar(self) -> Bar:
        coin, chance = self.chance.choice(COINS), self.chance
        self.now += MINUTE if chance.random() < 0.98 else MINUTE * chance.randrange(2, 5_000)
        old = self.prices[coin]
        new = (old * D(str(round(chance.uniform(0.97, 1.03), 4)))).quantize(D("0.1"))
        if chance.random() < 0.01:
            new = D(chance.choice(("0.1", "999999999999", "50000", "1000")))
        self.prices[coin] = new
        word = chance.choice(_WORDS) if chance.random() < 0.4 else 1
        ts, high, low = Nanos(self.now), Price(max(old, new)), Price(min(old, new))
        return Bar(coin, MINUTE, ts, Price(old), high, low, Price(new), Qty(D(word)))

    def _other(self) -> Message:
        chance, ts = self.chance, Nanos(self.now)
        self.count += 1
        made: list[Message] = [
            FundingPaid(
                ts_event=ts, symbol=chance.choice(COINS), rate=D("0.0001"), amount=Cash(D(-1)), is_estimate=False
            ),
            Deposit(ts_event=ts, id=f"d{self.count}", amount=Cash(D(chance.randrange(-10, 10)))),
            FillSettled(
                ts_event=ts,
                trade_id=chance.choice([*self.bot.wired.orders.disputed, "unknown"]),
                is_believed=chance.random() < 0.5,
            ),
            ActionsLeft(ts_event=ts, left=chance.choice((0, 499, 10_000, 10_000, 10_000)), reserve=500),
            TradingPermitted(ts_event=ts),
            InstrumentSeen(
                ts_event=ts,
                instrument=replace(
                    self.loaded_instrument(chance.choice(COINS)),
                    tick=D(chance.choice(("0.1", "1", "0.00001", "10"))),
                    lot=D(chance.choice(("0.00001", "1", "0.1"))),
                ),
                listing=chance.choice([*Listing, Listing.TRADED, Listing.TRADED, Listing.TRADED]),
            ),
            self._command(),
            self._command(),
        ]
        if self.names:
            order = self.bot.wired.orders.find(chance.choice(self.names))
            if order is not None:
                fault, at = chance.choice(list(StopFault)), chance.choice((None, Price(D("0.1")), Price(D(50_000))))
                name = order.request.client_order_id
                made.append(StopFaulted(ts_event=ts, client_order_id=name, fault=fault, trigger=at))
                found = replace(order.request, client_order_id=f"script-BTC-{self.count}-stop")
                made.append(OrderFound(ts_event=ts, order=found, venue_order_id=str(self.count)))
        return chance.choice(made)

    def loaded_instrument(self, coin: str) -> Instrument:
        """Return the rules of ``coin`` as they were at first."""
        return build_instruments(self.loaded.settings)[coin]

    def _command(self) -> Command:
        chance = self.chance
        verb = chance.choice([*Verb, Verb.RESUME, Verb.RESUME, Verb.RESUME])
        names = [*_ARGUMENTS, *self.names[-5:]]
        arguments: dict[str, str] = {
            key: chance.choice(names)
            for key in ("symbol", "fraction", "id", "all", "reason", "flatten")
            if chance.random() < 0.4
        }
        if verb is Verb.FREEZE:
            self.late.append(Command(id="thaw", ts_event=Nanos(self.now), verb=Verb.THAW, arguments=arguments))
        elif verb is not Verb.RESUME:
            self.late.append(Command(id="resume", ts_event=Nanos(self.now), verb=Verb.RESUME))
        return Command(id=f"c{self.count}", ts_event=Nanos(self.now), verb=verb, arguments=arguments)


def check(lab: LineLab) -> list[str]:
    """Return what is wrong: what escaped a stage, a past that does not repeat, a state that no snapshot takes."""
    wrong: list[str] = []
    try:
        again: Any = lab.replayed()
        wrong += [] if again.state() == lab.bot.state() else ["the past does not repeat"]
    except Exception as error:
        wrong.append(f"no boot: {error!r}")
    return wrong
