"""An exchange over the matching of the simulated venue: it keeps client order ids as long as its record says, holds
accounts of what was, and tells, loses, delays and repeats as its faults want it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeVar

from tests.builders import MINUTE, instrument, replace
from tests.contract.venue.loop import pause
from tests.contract.venue.world import SYMBOLS, Fault
from tradebot.model.errors import Unavailable
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Message, Quote
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.order import (
    FillReport,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderType,
)
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos, floor_to, to_ms
from tradebot.model.venue import (
    AccountState,
    Capabilities,
    FilledNow,
    LegOutcome,
    Phase,
    Refusal,
    Rests,
    VenueOrder,
    VenuePosition,
    Verdict,
    Waiting,
)
from tradebot.ports import Clock
from tradebot.venues.simulated.costs import Costs, MatchOn
from tradebot.venues.simulated.venue import SimulatedVenue
from tradebot.venues.submit import ActionReply

T = TypeVar("T")
D = Decimal
LEVERAGE, HISTORY = 5, 60
WAY_S, TIMEOUT_S = 0.02, 4.0
TAKEN = "client order id is taken"


@dataclass(frozen=True, slots=True)
class Record:
    """An order as the exchange keeps it. Not awake: it waits for its entry."""

    oid: str
    cloid: str | None
    request: OrderRequest
    placed: Nanos
    is_awake: bool = False
    filled: Decimal = ZERO
    phase: Phase = Phase.LIVE
    word: str = "live"
    changed: Nanos = Nanos(0)

    def order(self) -> VenueOrder:
        """Return it as a client sees it."""
        request = self.request
        return VenueOrder(
            oid=self.oid,
            cloid=self.cloid,
            symbol=request.symbol,
            side=request.side,
            price=request.price or request.trigger or Price(ZERO),
            qty=Qty(request.qty - self.filled),
            original_qty=request.qty,
            ts_event=self.placed,
            reduce_only=request.reduce_only,
            trigger=request.trigger,
        )


class View(NamedTuple):
    """What there was at ``at``."""

    at: Nanos
    records: Mapping[str, Record]
    fills: tuple[FillReport, ...]
    deposits: tuple[Deposit, ...]
    account: AccountState

    def of(self, cloid: str) -> Record | None:
        """Return the newest order of ``cloid``."""
        return next((one for one in reversed(self.records.values()) if one.cloid == cloid), None)

    def resting(self) -> Sequence[Record]:
        return [one for one in self.records.values() if one.is_awake and one.phase is Phase.LIVE]


class Exchange:
    """The exchange. A ``FillReport`` in here names its order by ``oid``."""

    def __init__(self, can: Capabilities, clock: Clock) -> None:
        self.can, self.clock = can, clock
        self.instruments: Mapping[str, Instrument] = {symbol: instrument(symbol) for symbol in SYMBOLS}
        costs = Costs(taker_bps=can.taker_fee_bps, maker_bps=can.maker_fee_bps, leverage=LEVERAGE)
        self.matching = SimulatedVenue(self.instruments, costs, Cash(D(10_000)), match_on=MatchOn.QUOTE)
        self.prices = {"BTC": D(100), "ETH": D(50)}
        self.depth: dict[str, Qty] = {}
        self.records: dict[str, Record] = {}
        self.fills: list[FillReport] = []
        self.deposits: list[Deposit] = []
        self.bars: dict[str, list[Bar]] = {symbol: [] for symbol in SYMBOLS}
        self.faults: dict[Fault, int] = {}
        self.told: list[Callable[[Record | FillReport], None]] = []
        self.hung_up: list[Callable[[], None]] = []
        self.barred: list[Callable[[Bar], None]] = []
        self._views: list[View] = []
        self._opened = floor_to(clock.now(), MINUTE)
        self._closed = self._last = 0
        for symbol in SYMBOLS:
            self.tick(symbol)
        self.close_bars(HISTORY)

    # The market.

    def tick(self, symbol: str) -> None:
        """Let the price meet what rests."""
        price, depth = Price(self.prices[symbol]), self.depth.get(symbol)
        now = self.clock.now()
        quote = Quote(symbol=symbol, ts_event=now, bid=price, ask=price, bid_qty=depth, ask_qty=depth)
        before = len(self.fills)
        self._take(self.matching.on_quote(quote))
        if depth is not None:
            # What was taken is offered again only when the price moves.
            self.depth[symbol] = Qty(depth - sum((fill.qty for fill in self.fills[before:]), ZERO))

    def market_now(self) -> Nanos:
        """Return the time of the market, which runs by its bars."""
        return Nanos(self._opened + self._closed * MINUTE)

    def close_bars(self, count: int) -> None:
        for _ in range(count):
            self._closed += 1
            for symbol, bars in self.bars.items():
                price = Price(self.prices[symbol] + D(self._closed % 7) / 10)
                bars.append(Bar(symbol, MINUTE, self.market_now(), price, price, price, price, Qty(D(1))))
                for tell in self.barred:
                    tell(bars[-1])

    # Orders.

    def place(self, requests: Sequence[OrderRequest], cloids: Sequence[str | None]) -> ActionReply:
        """Take orders as one request."""
        now = self.clock.now()
        if any(self._is_remembered(cloid, now) for cloid in cloids):
            return ActionReply(refusal=Refusal(TAKEN, Verdict.DUPLICATE))
        oids = {one.client_order_id: str(self._last + number) for number, one in enumerate(requests, start=1)}
        self._last += len(requests)
        named = {oids[one.client_order_id]: cloid for one, cloid in zip(requests, cloids, strict=True)}
        inner = [self._inner(one, oids) for one in requests]
        reports = self.matching.submit(inner, now)
        refused = {one.client_order_id: one.reason for one in reports if isinstance(one, OrderRejected)}
        for one in inner:
            if one.client_order_id not in refused:
                oid = one.client_order_id
                self.records[oid] = Record(oid, named[oid], one, now, changed=now)
        self._take(reports)
        for symbol in dict.fromkeys(one.symbol for one in requests):
            self.tick(symbol)
        for one in inner:
            if one.type is OrderType.MARKET and one.client_order_id not in refused:
                self._take(self.matching.cancel(one.symbol, one.client_order_id, now, "ioc_canceled"))
        return ActionReply(tuple(self._leg(oid, refused) for oid in named))

    def _inner(self, request: OrderRequest, oids: Mapping[str, str]) -> OrderRequest:
        oco = request.oco_id if self.can.bracket_targets is not None else None
        parent = oids.get(request.parent_id or "") if self.can.bracket_targets is not None else None
        return replace(request, client_order_id=oids[request.client_order_id], parent_id=parent, oco_id=oco)

    def _is_remembered(self, cloid: str | None, now: Nanos) -> bool:
        memory = int(self.can.id_memory_s * 1e9)
        return bool(memory) and any(
            one.cloid == cloid and one.placed + memory >= now for one in self.records.values() if cloid is not None
        )

    def _leg(self, oid: str, refused: Mapping[str, str]) -> LegOutcome:
        if oid in refused:
            return Refusal(refused[oid], Verdict.REJECTED)
        record = self.records[oid]
        if record.filled and record.phase is not Phase.LIVE:
            return FilledNow(oid, Qty(record.filled), Price(self.prices[record.request.symbol]))
        return Rests(oid) if record.is_awake or record.phase is not Phase.LIVE else Waiting()

    def cancel(self, oids: Sequence[str], reason: str = "canceled") -> Sequence[bool]:
        """Cancel orders; return for each whether it was there."""
        return [self._cancel(oid, reason) for oid in oids]

    def _cancel(self, oid: str, reason: str) -> bool:
        record = self.records.get(oid)
        if record is None or record.phase is not Phase.LIVE:
            return False
        self._take(self.matching.cancel(record.request.symbol, oid, self.clock.now(), reason))
        self.tick(record.request.symbol)
        return self.records[oid].phase is Phase.CANCELED

    def newest(self, cloid: str) -> str:
        """Return the exchange's id of the newest order of ``cloid``; empty for none."""
        return next((one.oid for one in reversed(self.records.values()) if one.cloid == cloid), "")

    def close_position(self, symbol: str, qty: Decimal) -> str:
        """Close what is held; return why not."""
        leg = self.by_hand(symbol, -qty, None, reduce_only=True)
        return leg.text if isinstance(leg, Refusal) else ""

    def by_hand(self, symbol: str, qty: Decimal, price: Decimal | None, *, reduce_only: bool = False) -> LegOutcome:
        request = OrderRequest(
            client_order_id="hand",
            symbol=symbol,
            strategy="hand",
            signal_id="hand",
            role=OrderRole.EXIT if reduce_only else OrderRole.ENTRY,
            side=OrderSide.BUY if qty > 0 else OrderSide.SELL,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            qty=Qty(abs(qty)),
            ts_event=self.clock.now(),
            price=None if price is None else self.instruments[symbol].price_down(price),
            reduce_only=reduce_only,
        )
        return self.place([request], [None]).legs[0]

    def deposit(self, amount: Decimal) -> None:
        state = self.matching.save()
        self.matching.load(replace(state, cash=Cash(state.cash + amount)))
        self.deposits.append(Deposit(ts_event=self.clock.now(), id=f"d{len(self.deposits)}", amount=Cash(amount)))
        self._keep()

    def _take(self, reports: Sequence[Message]) -> None:
        now = self.clock.now()
        news: list[Record | FillReport] = []
        for report in reports:
            if isinstance(report, FillReport):
                news += self._filled(report, now)
            elif isinstance(report, OrderCanceled):
                news.append(self._ended(report.client_order_id, Phase.CANCELED, report.reason, now))
            else:
                assert isinstance(report, OrderAccepted | OrderRejected)
        for state in self.matching.orders():
            record = self.records[state.request.client_order_id]
            if state.armed and not record.is_awake:
                news.append(self._change(replace(record, is_awake=True, changed=now)))
        if Fault.REORDERED in self.faults:
            news.reverse()
        self._keep()
        for _ in range(2 if Fault.DOUBLED in self.faults else 1):
            for one in news:
                for tell in self.told:
                    tell(one)

    def _filled(self, report: FillReport, now: Nanos) -> Sequence[Record | FillReport]:
        fill = replace(report, ts_event=now)
        self.fills.append(fill)
        if report.client_order_id is None:
            return [fill]
        record = self.records[report.client_order_id]
        filled = record.filled + report.qty
        changed = self._change(replace(record, is_awake=True, filled=filled, changed=now))
        if filled == record.request.qty:
            changed = self._ended(record.oid, Phase.FILLED, "filled", now)
        return [fill, changed]

    def _ended(self, oid: str, phase: Phase, word: str, now: Nanos) -> Record:
        return self._change(replace(self.records[oid], phase=phase, word=word, changed=now))

    def _change(self, record: Record) -> Record:
        self.records[record.oid] = record
        return record

    # What there was.

    def _keep(self) -> None:
        now = self.clock.now()
        view = View(now, dict(self.records), tuple(self.fills), tuple(self.deposits), self._account(now))
        self._views.append(view)

    def _account(self, now: Nanos) -> AccountState:
        state, seen = self.matching.save(), self.matching.account()
        return AccountState(
            equity=seen.equity,
            cash=seen.cash,
            margin_used=seen.margin_used,
            withdrawable=seen.cash,
            positions=tuple(
                VenuePosition(
                    symbol=symbol,
                    qty=held.qty,
                    entry_price=Price(held.cost / held.qty),
                    unrealized_pnl=Cash(held.qty * self.prices[symbol] - held.cost),
                    margin_used=Cash(abs(held.cost) / LEVERAGE),
                    leverage=LEVERAGE,
                    is_cross=True,
                    liquidation_price=None,
                    funding=Cash(ZERO),
                )
                for symbol, held in state.held.items()
            ),
            ts_event=now,
        )

    def seen(self) -> View:
        """Return what a question is answered by, stamped by its time."""
        lag = int(self.can.lag_s * 1e9) - 1 if Fault.LAG in self.faults else 0
        at = Nanos(self.clock.now() - lag)
        view = next((one for one in reversed(self._views) if one.at <= at), self._views[0])
        return view._replace(at=at, account=replace(view.account, ts_event=at))

    def now_ms(self) -> int:
        return to_ms(self.clock.now())

    # The way there.

    def strikes(self, *faults: Fault) -> Fault | None:
        """Return which of ``faults`` happens to the request at hand."""
        for fault in faults:
            if self.faults.get(fault):
                self.faults[fault] -= 1
                return fault
        return None

    async def act(self, deliver: Callable[[], T]) -> T:
        """Carry an action there and its answer back. What has left arrives, whoever is killed meanwhile."""
        loop = asyncio.get_running_loop()
        gate: asyncio.Future[T] = loop.create_future()
        fault = self.strikes(Fault.LOST, Fault.UNANSWERED, Fault.LATE)

        def answer(reply: T) -> None:
            if not gate.done():
                gate.set_result(reply)

        def arrive() -> None:
            reply = deliver()
            if fault is None:
                loop.call_later(WAY_S, answer, reply)

        late_s = (self.can.arrival_s or 0.0) - 0.1
        if fault is not Fault.LOST:
            loop.call_later(late_s if fault is Fault.LATE else WAY_S, arrive)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await gate
        except TimeoutError:
            raise Unavailable("no answer") from None

    async def ask(self) -> View:
        """Answer a question."""
        await pause(WAY_S)
        if self.strikes(Fault.DEAF):
            raise Unavailable("no answer")
        view = self.seen()
        await pause(WAY_S)
        return view
