"""The simulated venue: a stage of the line, and usable by itself through submit, cancel and the prices."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed, Message, Quote, Trade
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.order import CancelOrder, OrderAccepted, OrderRejected, OrderRequest, SubmitOrders
from tradebot.model.time import Nanos
from tradebot.model.venue import VenueOrder
from tradebot.pipeline.runs import Part, Run
from tradebot.venues.simulated.account import HoldingState, SimulatedAccount, VenueAccount
from tradebot.venues.simulated.admission import bracket_refusals, refusal
from tradebot.venues.simulated.book import SymbolBook
from tradebot.venues.simulated.costs import Costs, MatchOn
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.matching import Resting, RestingState

REMEMBERED_IDS = 1_000
"""How many client order ids are kept to refuse a second order of the same id; those of working orders always."""
_NO_FUNDING: Mapping[str, FundingRates] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class BookState:
    """One symbol at the venue."""

    ts_open: int
    ts: int
    mark: Price | None
    orders: tuple[RestingState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueState:
    """The venue, exactly. ``held`` is in the order in which positions were opened, ``ids`` oldest first."""

    cash: Cash
    last_order: int
    last_trade: int
    books: dict[str, BookState]
    held: dict[str, HoldingState]
    ids: tuple[str, ...]


class SimulatedVenue:
    """Matches orders against bars, quotes or prints, and keeps one cross-margined account.

    A symbol is known by its instrument or by its first price; without an instrument it gets the defaults.
    ``funding`` has the known rates by symbol. A symbol without rates pays ``costs.funding_rate``, reported as
    an estimate, and nothing when that is 0.
    """

    STATE = VenueState

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        costs: Costs,
        starting_cash: Cash,
        funding: Mapping[str, FundingRates] = _NO_FUNDING,
        match_on: MatchOn = MatchOn.BAR,
        remembered_ids: int = REMEMBERED_IDS,
    ) -> None:
        self._instruments = instruments
        self._costs = costs
        self._funding = funding
        self._remembered_ids = remembered_ids
        self._last_order = 0
        self._account = SimulatedAccount(starting_cash)
        self._books: dict[str, SymbolBook] = {}
        # By client order id, oldest first; of one that had ended when the state was loaded only the id is known.
        self._orders: dict[str, Resting | None] = {}
        matched: dict[MatchOn, tuple[type[Message], Callable[..., Sequence[Message]]]] = {
            MatchOn.BAR: (BarsClosed, self._on_bars_closed),
            MatchOn.QUOTE: (Quote, self.on_quote),
            MatchOn.TRADE: (Trade, self.on_trade),
        }
        market_type, on_market = matched[match_on]
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {
            # Where orders do not meet bars, closes are the marks of the account all the same: they are the book's.
            BarsClosed: self._on_close,
            market_type: on_market,
            SubmitOrders: self._on_submit,
            CancelOrder: self._on_cancel,
        }

    def handle(self, message: Message) -> Sequence[Message]:
        """Return the venue's reports on ``message``; market messages it does not match on give none."""
        handler = self.handlers.get(type(message))
        return () if handler is None else handler(message)

    def on_bar(self, bar: Bar) -> Sequence[Message]:
        """Match a closed bar."""
        return self._book_of(bar.symbol).on_bar(bar)

    def on_quote(self, quote: Quote) -> Sequence[Message]:
        """Match the best bid and ask."""
        return self._book_of(quote.symbol).on_quote(quote)

    def on_trade(self, trade: Trade) -> Sequence[Message]:
        """Match a print."""
        return self._book_of(trade.symbol).on_trade(trade)

    def submit(self, orders: Sequence[OrderRequest], ts: Nanos) -> Sequence[Message]:
        """Take or refuse orders decided at ``ts``; they can trade from ``ts`` + latency on."""
        now = self._now(ts)
        refused: dict[str, str] = {}
        seen: set[str] = set()
        for request in orders:
            reason = self._refusal(request, seen)
            seen.add(request.client_order_id)
            if reason:
                refused[request.client_order_id] = reason
        refused = bracket_refusals(orders, refused) if refused else refused
        reports: list[Message] = []
        for request in orders:
            client_order_id = request.client_order_id
            if client_order_id in refused:
                reason = refused[client_order_id]
                reports.append(OrderRejected(ts_event=now, client_order_id=client_order_id, reason=reason))
            else:
                reports.append(self._rest(request, now))
        return reports

    def cancel(self, symbol: str, client_order_id: str, ts: Nanos, reason: str = "canceled") -> Sequence[Message]:
        """Cancel an order from ``ts`` + latency on; of an order that is not working there is nothing to say."""
        book = self._books.get(symbol)
        order = None if book is None else book.find(client_order_id)
        if book is None or order is None:
            return ()
        now = self._now(ts)
        return book.cancel(order, now + self._costs.latency, reason, now)

    def account(self) -> VenueAccount:
        """Return the account at the last prices."""
        return self._account.view()

    def liquidations(self) -> Mapping[str, Price]:
        """Return where each position would be liquidated, the others staying at their marks, if anywhere.

        On the tick that is reached first.
        """
        found: dict[str, Price] = {}
        for symbol, price in self._account.liquidations().items():
            book = self._books[symbol]
            found[symbol] = (book.instrument.price_up if book.holding.qty > 0 else book.instrument.price_down)(price)
        return found

    def position(self, symbol: str) -> Qty:
        """Return what is held of ``symbol``, short < 0."""
        book = self._books.get(symbol)
        return Qty(ZERO) if book is None else book.holding.qty

    def orders(self) -> Sequence[RestingState]:
        """Return the working orders, by symbol, then in the order of placement."""
        return [order.save() for book in self._books.values() for order in book.orders]

    def resting(self) -> Mapping[str, VenueOrder]:
        """Return the orders that can trade, by client order id, as a real venue would list them."""
        return {state.request.client_order_id: _listed(state) for state in self.orders() if state.armed}

    def save(self) -> VenueState:
        """Return the state."""
        return VenueState(
            cash=self._account.cash,
            last_order=self._last_order,
            last_trade=self._account.last_trade,
            books={
                symbol: BookState(
                    ts_open=book.ts_open,
                    ts=book.ts,
                    mark=book.holding.mark,
                    orders=tuple(order.save() for order in book.orders),
                )
                for symbol, book in self._books.items()
            },
            held={
                symbol: HoldingState(qty=holding.qty, cost=holding.cost)
                for symbol, holding in self._account.held.items()
            },
            ids=tuple(self._orders),
        )

    def load(self, state: VenueState) -> None:
        """Become what ``save`` saw."""
        self._last_order = state.last_order
        self._account.last_trade = state.last_trade
        self._account.cash = state.cash
        self._account.held.clear()
        self._orders = dict.fromkeys(state.ids)
        self._books.clear()
        for symbol, saved in state.books.items():
            book = self._open_book(symbol)
            book.ts_open = saved.ts_open
            book.ts = saved.ts
            book.holding.mark = saved.mark
            for order in map(Resting.restore, saved.orders):
                book.add(order)
                self._orders[order.request.client_order_id] = order
        for symbol, held in state.held.items():
            book = self._books[symbol]
            book.holding.become(held.qty, held.cost)
            book.is_idle = False
            self._account.held[symbol] = book.holding

    def _on_bars_closed(self, message: BarsClosed) -> Sequence[Message]:
        book = self._books.get(message.symbol)
        if book is None:
            book = self._open_book(message.symbol)
        return book.on_bar(message.bars[-1])

    def _on_close(self, message: BarsClosed) -> Sequence[Message]:
        self._book_of(message.symbol).holding.mark_to(message.bars[-1].close)
        return ()

    def quiet(self, run: Run, at: int, until: int) -> int:
        """Return up to which bar none touches an order, pays funding or ends the account."""
        book = self._books.get(run.symbol)
        return at if book is None or self.handlers[BarsClosed] == self._on_close else book.quiet(run, at, until)

    def is_idle(self, symbol: str) -> bool:
        """Return whether a symbol has neither an order nor a position."""
        book = self._books.get(symbol)
        return book is None or book.is_idle

    def untouched(self, run: Run, at: int, until: int) -> int:
        """Return up to which bar none touches an order or pays funding; the account may still end before."""
        book = self._books.get(run.symbol)
        return at if book is None or BarsClosed not in self.handlers else book.untouched(run, at, until)

    def stands(self, parts: Iterable[Part]) -> bool:
        """Return whether the account stands wherever prices are in these bars, all of them at their worst at once."""
        total: Decimal = self._account.cash
        held = self._account.held
        cushions = {symbol: holding.cushion for symbol, holding in held.items()}
        for part in parts:
            holding = held.get(part.run.symbol)
            if holding is not None:
                ends = map(holding.cushion_at, part.run.extremes(part.at, part.until))
                cushions[holding.symbol] = min(cushions[holding.symbol], *ends)
        return sum(cushions.values(), total) > 0

    def pass_over(self, run: Run, at: int, until: int) -> None:
        """Take bars that only move the mark."""
        self._books[run.symbol].pass_over(run, until)

    def _on_submit(self, message: SubmitOrders) -> Sequence[Message]:
        return self.submit(message.orders, message.ts_event)

    def _on_cancel(self, message: CancelOrder) -> Sequence[Message]:
        return self.cancel(message.symbol, message.client_order_id, message.ts_event, message.reason)

    def _open_book(self, symbol: str) -> SymbolBook:
        instrument = self._instruments.get(symbol) or Instrument(symbol=symbol)
        book = SymbolBook(instrument, self._costs, self._account, self._funding.get(symbol))
        self._books[symbol] = book
        return book

    def _book_of(self, symbol: str) -> SymbolBook:
        book = self._books.get(symbol)
        return self._open_book(symbol) if book is None else book

    def _now(self, ts: Nanos) -> Nanos:
        # Nothing can be decided before what the venue has shown already.
        return Nanos(max(ts, *(book.ts for book in self._books.values()))) if self._books else ts

    def _refusal(self, request: OrderRequest, seen: set[str]) -> str:
        symbol, client_order_id = request.symbol, request.client_order_id
        book = self._books.get(symbol)
        if book is None:
            if symbol not in self._instruments:
                return f"symbol: {symbol} is unknown"
            book = self._open_book(symbol)
        if client_order_id in seen or client_order_id in self._orders:
            return f"client_order_id: {client_order_id} is taken"
        has_parent = request.parent_id in seen or (
            request.parent_id is not None and book.find(request.parent_id) is not None
        )
        return refusal(request, book.instrument, book.holding.mark, book.holding.qty, has_parent)

    def _rest(self, request: OrderRequest, now: Nanos) -> OrderAccepted:
        book = self._books[request.symbol]
        parent = None if request.parent_id is None else book.find(request.parent_id)
        armed = request.qty if parent is None else min(request.qty, parent.filled)
        self._last_order += 1
        venue_order_id = f"o{self._last_order}"
        order = Resting(request, venue_order_id, now + self._costs.latency, armed=armed)
        book.add(order)
        self._orders[request.client_order_id] = order
        if len(self._orders) > self._remembered_ids:
            self._forget_one()
        return OrderAccepted(ts_event=now, client_order_id=request.client_order_id, venue_order_id=venue_order_id)

    def _forget_one(self) -> None:
        ended = (cid for cid, order in self._orders.items() if order is None or order.is_done)
        self._orders.pop(next(ended, ""), None)


def _listed(state: RestingState) -> VenueOrder:
    request = state.request
    return VenueOrder(
        oid=state.venue_order_id,
        cloid=request.client_order_id,
        symbol=request.symbol,
        side=request.side,
        price=request.price or request.trigger or Price(ZERO),
        qty=Qty(state.armed - state.filled),
        original_qty=request.qty,
        ts_event=request.ts_event,
        reduce_only=request.reduce_only,
        trigger=request.trigger if state.level is None else state.level,
        is_triggered=state.has_triggered,
    )
