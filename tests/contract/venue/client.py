"""A client of the exchange of these tests: an ``Execution`` and a ``Market`` over its requests and its streams."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from tests.builders import replace
from tests.contract.venue.exchange import LEVERAGE, Exchange, Record, View
from tests.contract.venue.loop import pause
from tests.contract.venue.world import Home
from tradebot.live.intents import IntentLog
from tradebot.model.errors import InvariantError, VenueError
from tradebot.model.market import Bar, Message
from tradebot.model.money import Cash, Price
from tradebot.model.order import CancelOrder, FillReport, OrderCanceled, OrderRole, RefusalClass, SubmitOrders
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos, Timeframe, from_ms, to_ms
from tradebot.model.venue import (
    FOREIGN,
    AccountEvent,
    AccountState,
    ActionAllowance,
    Capabilities,
    Down,
    FilledNow,
    Formed,
    Intent,
    LeverageChoice,
    Listed,
    MarketEvent,
    Meaning,
    OwnOrder,
    Past,
    Purpose,
    Remains,
    RestingOrder,
    Settled,
    Sighting,
    Told,
    Up,
    VenueOrder,
)
from tradebot.store.codec import decode, encode
from tradebot.venues.outcomes import Endings, Outcomes
from tradebot.venues.submit import ActionReply, Rules, Submitter, VenueLook

OUTCOMES = Outcomes(lambda words: RefusalClass.PASSING, lambda word: word)
_OVERLAP_MS = 60_000


class Names:
    """Client order ids as the exchange is told them: the tag of the state directory, then our own."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag.hex()
        self._adopted: dict[str, str] = {}
        self._named: dict[str, str] = {}

    def cloid(self, client_order_id: str) -> str:
        return self._adopted.get(client_order_id, f"{self._tag}.{client_order_id}")

    def is_of_another(self, cloid: str) -> bool:
        return not cloid.startswith(f"{self._tag}.")

    def adopt(self, client_order_id: str, cloid: str) -> None:
        self._adopted[client_order_id] = cloid

    def owner(self, cloid: str | None) -> OwnOrder | None:
        if cloid is None:
            return None
        tag, _, name = cloid.partition(".")
        return OwnOrder(name, tag == self._tag)


class Pipe:
    """What is told without being asked, while the connection stands."""

    def __init__(self, hung_up: list[Callable[[], None]]) -> None:
        self._events: asyncio.Queue[AccountEvent | Bar | Record | FillReport] = asyncio.Queue()
        self._hung_up = hung_up
        self._is_up = self._is_closed = False
        hung_up.append(self._on_hung_up)

    @property
    def is_up(self) -> bool:
        return self._is_up

    def hear(self, one: Bar | Record | FillReport) -> None:
        if self._is_up:
            self._events.put_nowait(one)

    def _on_hung_up(self) -> None:
        if self._is_up:
            self._is_up = False
            self._events.put_nowait(Down("hung up"))

    async def take(self) -> AccountEvent | Bar | Record | FillReport:
        if not self._is_up and self._events.empty():
            is_first = not self._is_closed
            self._is_closed = True
            if not is_first:
                await pause(1.0)
            self._is_up = True
            return Up(None if is_first else 1.0)
        return await self._events.get()

    async def close(self) -> None:
        self._is_up = False
        with contextlib.suppress(ValueError):
            self._hung_up.remove(self._on_hung_up)


class AccountPipe(Pipe):
    """The stream of an account."""

    def __init__(self, exchange: Exchange, said: Callable[[Record | FillReport], Sequence[Message]]) -> None:
        super().__init__(exchange.hung_up)
        self._exchange, self._said = exchange, said
        exchange.told.append(self.hear)

    async def next(self) -> AccountEvent:
        while True:
            event = await self.take()
            if isinstance(event, Record | FillReport):
                return Told(self._said(event))
            assert not isinstance(event, Bar)
            return event

    async def close(self) -> None:
        await super().close()
        self._exchange.told.remove(self.hear)


class MarketPipe(Pipe):
    """The stream of a market."""

    def __init__(self, exchange: Exchange, symbols: Collection[str]) -> None:
        super().__init__(exchange.hung_up)
        self._exchange, self._symbols = exchange, frozenset(symbols)
        exchange.barred.append(self.hear)

    async def next(self) -> MarketEvent:
        while True:
            match await self.take():
                case Bar() as bar:
                    if bar.symbol in self._symbols:
                        return Formed(bar)
                case Up() | Down() as event:
                    return event
                case _:
                    pass

    async def want(self, symbols: Mapping[str, Timeframe]) -> None:
        self._symbols = frozenset(symbols)

    async def close(self) -> None:
        await super().close()
        self._exchange.barred.remove(self.hear)


class SimulatedMarket:
    """The market of the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.listed: Mapping[str, Listed] = {}

    @property
    def capabilities(self) -> Capabilities:
        return self._exchange.can

    async def refresh(self) -> None:
        await self._exchange.ask()
        self.listed = {symbol: Listed(one) for symbol, one in self._exchange.instruments.items()}

    def now_ms(self) -> int:
        return self._exchange.now_ms()

    async def market_time(self, symbol: str, purpose: Purpose) -> Nanos:
        await self._exchange.ask()
        return self._exchange.market_now()

    async def bars(
        self, symbol: str, timeframe: Timeframe, span: tuple[Nanos, Nanos], purpose: Purpose
    ) -> Sequence[Bar]:
        await self._exchange.ask()
        kept = self._exchange.bars[symbol][-self._exchange.can.history_bars :]
        return [bar for bar in kept if bar.ts_event - timeframe >= span[0] and bar.ts_event <= span[1]]

    def stream(self, symbols: Mapping[str, Timeframe]) -> MarketPipe:
        return MarketPipe(self._exchange, symbols)

    def budget_left(self) -> int:
        return 1_000


class SimulatedSurvey:
    """Looks at the account."""

    def __init__(self, exchange: Exchange, names: Names) -> None:
        self._exchange, self._names = exchange, names
        self.counted_ms: int | None = None

    def now_ms(self) -> int:
        return self._exchange.now_ms()

    async def resting(self, purpose: Purpose) -> Sequence[RestingOrder]:
        view = await self._exchange.ask()
        return [RestingOrder(one.order(), self._names.owner(one.cloid)) for one in view.resting()]

    async def account(self, purpose: Purpose) -> AccountState:
        return (await self._exchange.ask()).account

    async def cash(self, account: AccountState, purpose: Purpose) -> Cash:
        return account.cash

    async def transfers(self, purpose: Purpose) -> Sequence[Deposit]:
        view = await self._exchange.ask()
        return [one for one in view.deposits if to_ms(one.ts_event) > (self.counted_ms or 0)]

    async def leverage(self, symbol: str, purpose: Purpose) -> LeverageChoice:
        return LeverageChoice(LEVERAGE, is_cross=True)

    def counted(self, ms: int) -> None:
        self.counted_ms = ms


class SimulatedSweep:
    """Ends what the account has."""

    def __init__(self, exchange: Exchange, survey: SimulatedSurvey) -> None:
        self._exchange, self._survey = exchange, survey

    def now_ms(self) -> int:
        return self._exchange.now_ms()

    async def look(self) -> Remains:
        orders = await self._survey.resting(Purpose.PROTECT)
        account = await self._survey.account(Purpose.PROTECT)
        return Remains(account.held, orders, account.ts_event)

    async def cancel(self, orders: Sequence[RestingOrder]) -> Mapping[str, str]:
        oids = [found.order.oid for found in orders]
        try:
            done = await self._exchange.act(lambda: self._exchange.cancel(oids))
        except VenueError as error:
            return dict.fromkeys(oids, str(error))
        return {oid: "it is gone" for oid, was_there in zip(oids, done, strict=True) if not was_there}

    async def close(self, positions: Mapping[str, Decimal]) -> Mapping[str, str]:
        refused: dict[str, str] = {}
        for symbol, qty in positions.items():
            try:
                why = await self._exchange.act(lambda s=symbol, q=qty: self._exchange.close_position(s, q))
            except VenueError as error:
                why = str(error)
            if why:
                refused[symbol] = why
        return refused


class SimulatedExecution:
    """One account at the exchange, by whatever way of once its record allows."""

    def __init__(self, exchange: Exchange, home: Home) -> None:
        self._exchange = exchange
        self._record = IntentLog(home.journal).record  # type: ignore[arg-type]  # what it needs of a journal
        self._names = Names(home.tag)
        self._rules = Rules.of(exchange.can)
        self._submitter = Submitter(self, self._rules)
        self._nonce = 0
        self._endings = Endings()
        self._told: set[str] = set()
        self._filled_until_ms = exchange.now_ms()
        self.survey = SimulatedSurvey(exchange, self._names)
        self.sweep = SimulatedSweep(exchange, self.survey)
        self.account = "the account"
        self.on_forbidden: Callable[[str], Awaitable[None]] = _unheard

    @property
    def capabilities(self) -> Capabilities:
        return self._exchange.can

    def stream(self) -> AccountPipe:
        return AccountPipe(self._exchange, self._said)

    # The ports of the submit protocol.

    def local_ms(self) -> int:
        return self._exchange.now_ms()

    async def record(self, entry: Intent | Settled) -> None:
        await self._record(entry)

    async def send(self, intent: Intent) -> ActionReply | None:
        orders = decode(SubmitOrders, intent.body.encode()).orders
        try:
            return await self._exchange.act(lambda: self._exchange.place(orders, intent.cloids))
        except VenueError:
            return None

    async def fence(self, nonce: int) -> ActionReply | None:
        raise AssertionError("nothing fences a nonce here")

    async def look(self, intent: Intent) -> VenueLook | None:
        try:
            view = await self._exchange.ask()
        except VenueError:
            return None
        found = {cloid: one for cloid in intent.cloids if (one := view.of(cloid)) is not None}
        seen = {cloid: Sighting(one.oid if one.is_awake else "", one.phase) for cloid, one in found.items()}
        return VenueLook(to_ms(view.at), seen)

    async def sleep(self, ms: int) -> None:
        await pause(ms / 1000)

    # Orders.

    async def submit(self, submit: SubmitOrders) -> Sequence[Message]:
        orders = submit.orders
        self._nonce = max(self._nonce + 1, self.local_ms())
        intent = Intent(
            nonce=self._nonce,
            cloids=tuple(self._names.cloid(order.client_order_id) for order in orders),
            expires_ms=self.local_ms() + self._rules.ttl_ms,
            body=encode(submit).decode(),
            is_urgent=orders[0].role is not OrderRole.ENTRY,
        )
        return self.outcome(intent, await self._submitter.place(intent), orders[0].symbol)

    async def resume(self, intent: Intent, symbol: str) -> Sequence[Message]:
        return self.outcome(intent, await self._submitter.resume(intent), symbol)

    def outcome(self, intent: Intent, settled: Settled, symbol: str) -> Sequence[Message]:
        ts, messages = from_ms(self.local_ms()), list[Message]()
        orders = decode(SubmitOrders, intent.body.encode()).orders
        for name, order, leg in zip(self.names_of(intent, symbol), orders, settled.legs, strict=True):
            messages += OUTCOMES.leg(name, leg, ts, settled.refusal)
            if isinstance(leg, FilledNow) and leg.qty < order.qty:
                gone = OrderCanceled(ts_event=ts, client_order_id=name, reason="ioc_canceled")
                messages += self._endings.ended(leg.oid, leg.qty, gone)
        return messages

    async def cancel(self, *cancels: CancelOrder) -> Sequence[Message]:
        cloids = [self._names.cloid(one.client_order_id) for one in cancels]
        done = await self._exchange.act(lambda: self._exchange.cancel([self._exchange.newest(one) for one in cloids]))
        messages: list[Message] = []
        for cancel, was_there in zip(cancels, done, strict=True):
            messages += () if was_there else await self.status(cancel.client_order_id)
            if was_there:
                end = OrderCanceled(
                    ts_event=from_ms(self.local_ms()), client_order_id=cancel.client_order_id, reason=cancel.reason
                )
                messages.append(end)
        return messages

    async def cancel_resting(self, order: VenueOrder) -> bool | None:
        return (await self._exchange.act(lambda: self._exchange.cancel([order.oid])))[0]

    async def status(self, client_order_id: str, purpose: Purpose = Purpose.PROTECT) -> Sequence[Message]:
        view = await self._exchange.ask()
        record = view.of(self._names.cloid(client_order_id))
        return () if record is None else self._asked(record, view)

    def _asked(self, record: Record, view: View) -> Sequence[Message]:
        # An end comes behind its fills.
        fills = [fill for fill in view.fills if fill.client_order_id == record.oid]
        return [*map(self._report, fills), *self._status(record)]

    def _status(self, record: Record) -> Sequence[Message]:
        owner = self._names.owner(record.cloid)
        if owner is None:
            return ()
        oid = record.oid if record.is_awake else ""
        return OUTCOMES.seen(owner.client_order_id, oid, record.phase, record.word, record.changed)

    def _said(self, one: Record | FillReport) -> Sequence[Message]:
        if isinstance(one, FillReport):
            return self._fills([one])
        messages = self._status(one)
        ends = [message for message in messages if isinstance(message, OrderCanceled)]
        if ends:
            return self._endings.ended(one.oid, one.filled, ends[0])
        return messages

    def _fills(self, fills: Iterable[FillReport], *, again: bool = False) -> Sequence[Message]:
        messages: list[Message] = []
        for fill in fills:
            if to_ms(fill.ts_event) <= (self.survey.counted_ms or 0):
                continue
            is_new = fill.trade_id not in self._told
            self._told.add(fill.trade_id)
            self._filled_until_ms = max(self._filled_until_ms, to_ms(fill.ts_event))
            if is_new or again:
                messages.append(self._report(fill))
            if is_new:
                messages += self._endings.filled(fill.client_order_id or "", fill.qty)
        return messages

    def _report(self, fill: FillReport) -> FillReport:
        oid = fill.client_order_id
        record = None if oid is None else self._exchange.records[oid]
        owner = None if record is None else self._names.owner(record.cloid)
        name = f"{FOREIGN}{oid}" if owner is None and oid is not None else None
        return replace(fill, client_order_id=name if owner is None else owner.client_order_id)

    async def turn(self) -> None:
        pass

    def unsettled(self) -> Mapping[int, tuple[Intent, int]]:
        return self._submitter.unsettled()

    def mark(self, symbol: str, price: Price) -> None:
        pass

    async def catch_up(
        self, since_ms: int, open_ids: Iterable[str], purpose: Purpose = Purpose.PROTECT, *, again: bool = False
    ) -> Sequence[Message]:
        start_ms = min(since_ms, self._filled_until_ms) - _OVERLAP_MS
        view = await self._exchange.ask()
        fills = [fill for fill in view.fills if to_ms(fill.ts_event) >= start_ms]
        resting = {one.cloid for one in view.resting()}
        asked = [view.of(cloid) for name in open_ids if (cloid := self._names.cloid(name)) not in resting]
        told = self._fills(fills, again=again)
        return [*told, *(message for one in asked if one is not None for message in self._asked(one, view))]

    async def late_fills(self) -> Sequence[FillReport]:
        return await self.fills_again(self._filled_until_ms - _OVERLAP_MS, Purpose.PROTECT)

    async def fills_again(self, since_ms: int, purpose: Purpose) -> Sequence[FillReport]:
        view = await self._exchange.ask()
        since_ms = max(since_ms, (self.survey.counted_ms or 0) + 1)
        return [self._report(fill) for fill in view.fills if to_ms(fill.ts_event) >= since_ms]

    # Whose an order is.

    def recall(self, past: Past) -> None:
        self._nonce = max(self._nonce, past.last_nonce)
        for intent in past.intents:
            for cloid in filter(self._names.is_of_another, intent.cloids):
                owner = self._names.owner(cloid)
                if owner is not None:
                    self._names.adopt(owner.client_order_id, cloid)

    def cloid(self, client_order_id: str) -> str:
        return self._names.cloid(client_order_id)

    def is_of_another(self, cloid: str) -> bool:
        return self._names.is_of_another(cloid)

    def adopt(self, client_order_id: str, order: VenueOrder) -> None:
        self._names.adopt(client_order_id, order.cloid or "")

    def names_of(self, intent: Intent, symbol: str) -> tuple[str, ...]:
        if self.symbol_of(intent) != symbol:
            raise InvariantError(f"intent {intent.nonce} is not of {symbol}")
        return tuple(order.client_order_id for order in decode(SubmitOrders, intent.body.encode()).orders)

    def symbol_of(self, intent: Intent) -> str | None:
        return decode(SubmitOrders, intent.body.encode()).orders[0].symbol

    # Permission, time, leverage.

    def meaning_of(self, words: str) -> Meaning:
        return Meaning(RefusalClass.PASSING, is_forbidden=False, is_halt=False)

    def reopen(self) -> None:
        pass

    async def key_expiry(self) -> Nanos | None:
        return None

    def allowance(self) -> ActionAllowance | None:
        return None

    async def learn_allowance(self, purpose: Purpose, *, may_be_recent: bool = False) -> None:
        raise AssertionError("nothing limits the actions here")

    async def learn_time(self) -> None:
        await self._exchange.ask()

    def wanted_leverage(self, symbol: str) -> LeverageChoice | None:
        return LeverageChoice(LEVERAGE, is_cross=True)

    def set_leverage_anew(self, symbol: str) -> None:
        pass


async def _unheard(reason: str) -> None:
    del reason
