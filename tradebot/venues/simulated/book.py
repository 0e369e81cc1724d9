"""The orders of one symbol, and what a bar, a quote or a print does to them.

Within a bar: funding up to its open, then cancels that are due, fills at the open in order of placement,
stops, limits and targets, liquidation at the worst price, what trails follows, and the mark.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Message, Quote, Trade
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.order import Liquidity, OrderSide
from tradebot.model.time import HOUR, Nanos
from tradebot.pipeline.runs import Run
from tradebot.venues.simulated.account import SimulatedAccount
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.execution import FillMoment, SymbolOrders
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.matching import (
    Offer,
    Resting,
    at_close,
    at_open,
    at_print,
    at_quote,
    limit_within,
    stop_within,
)

_NEVER = 2**63 - 1


class SymbolBook:
    """The orders and the holding of one symbol.

    ``ts_open`` is the opening of the last bar, ``ts`` its close (with quotes and prints both are the last
    event): nothing can trade before ``ts`` any more. ``is_idle``: no order and no holding.
    """

    __slots__ = (
        "_account",
        "_costs",
        "_execution",
        "_funding_due",
        "_has_trailing",
        "_is_settled",
        "_left",
        "_solvent_cash",
        "_wake_high",
        "_wake_low",
        "holding",
        "instrument",
        "is_idle",
        "orders",
        "ts",
        "ts_open",
    )

    def __init__(
        self, instrument: Instrument, costs: Costs, account: SimulatedAccount, funding: FundingRates | None
    ) -> None:
        execution = SymbolOrders(instrument, costs, account, funding)
        self.instrument = instrument
        self.holding = execution.holding
        self.orders = execution.orders
        self.ts_open = 0
        self.ts = 0
        self.is_idle = True
        self._account = account
        self._costs = costs
        # What our orders may still trade in this bar; None: any quantity.
        self._left: Qty | None = None
        self._execution = execution
        # Whether any order here ever trailed: most books never see one.
        self._has_trailing = False
        # While settled, a bar between the two prices that opens before the next funding changes no order.
        self._is_settled = False
        self._wake_high: Decimal | None = None
        self._wake_low: Decimal | None = None
        # With this very cash the account stands at any price that does not wake the book; None: that is not known.
        self._solvent_cash: Cash | None = None
        self._funding_due = 0

    def on_bar(self, bar: Bar) -> Sequence[Message]:
        """Match a closed bar and return what happened."""
        ts_close = bar.ts_event
        ts_open = Nanos(ts_close - bar.timeframe)
        holding = self.holding
        if self.is_idle:
            holding.mark = bar.close
            self.ts_open = ts_open
            self.ts = ts_close
            return ()
        if self._is_settled and ts_open < self._funding_due and not self._is_woken(bar):
            if self._account.cash is not self._solvent_cash:
                self._execution.liquidate_if_bankrupt(bar.low, bar.high, ts_open)
                if self._execution.reports:
                    return self._end(bar.close, ts_open, ts_close)
            holding.mark_to(bar.close)
            self.ts_open = ts_open
            self.ts = ts_close
            return ()
        self._begin(ts_open)
        trailing = self._match_bar(bar, ts_open)
        self._execution.liquidate_if_bankrupt(bar.low, bar.high, ts_open)
        self._trail(trailing, bar)
        reports = self._end(bar.close, ts_open, ts_close)
        self._settle()
        return reports

    def quiet(self, run: Run, at: int, until: int) -> int:
        """Return up to which of the bars from ``at`` on ``on_bar`` would only move the mark."""
        if self.holding.qty and self._account.cash is not self._solvent_cash:
            return at
        return self.untouched(run, at, until)

    def untouched(self, run: Run, at: int, until: int) -> int:
        """Return the same for an account that stands at all of these bars."""
        if self.is_idle:
            return until
        if not self._is_settled:
            return at
        if self._funding_due < _NEVER:
            until = run.find(self._funding_due + run.timeframe, at, until)
        return run.touch(at, until, self._wake_low, self._wake_high)

    def pass_over(self, run: Run, until: int) -> None:
        """Take quiet bars, the last before ``until``."""
        ts_close = run.time(until - 1)
        self.holding.mark_to(run.close(until - 1))
        self.ts_open = ts_close - run.timeframe
        self.ts = ts_close

    def on_quote(self, quote: Quote) -> Sequence[Message]:
        """Match a quote: buys at the asks, sells at the bids, level by level, each up to the quantity offered there."""
        ts = quote.ts_event
        self._begin(ts)
        left: dict[OrderSide, list[tuple[Price, Qty | None]]] = {
            OrderSide.BUY: [(quote.ask, quote.ask_qty), *((level.price, level.qty) for level in quote.asks)],
            OrderSide.SELL: [(quote.bid, quote.bid_qty), *((level.price, level.qty) for level in quote.bids)],
        }
        for order in self._eligible(ts):
            self._take(order, left[order.request.side], FillMoment(ts))
        for order in self._trailing(ts):
            order.follow(quote.ask if order.request.side is OrderSide.BUY else quote.bid, self.instrument)
        self._execution.liquidate_if_bankrupt(quote.bid, quote.ask, ts)
        return self._end(Price((quote.bid + quote.ask) / 2), ts, ts)

    def _take(self, order: Resting, levels: list[tuple[Price, Qty | None]], moment: FillMoment) -> None:
        """Fill ``order`` from ``levels``, and take off them what it took."""
        while levels and order.armed > order.filled and not order.is_done:
            price, available = levels[0]
            offer = at_quote(order, price)
            traded = Qty(ZERO) if offer is None else self._execution.trade(order, offer, moment, available)
            if not traded or available is None:
                return
            if traded < available:
                levels[0] = price, Qty(available - traded)
            else:
                del levels[0]

    def on_trade(self, trade: Trade) -> Sequence[Message]:
        """Match a print: limits share its quantity, market orders and stops fill in full at its price."""
        ts = trade.ts_event
        self._begin(ts)
        left = trade.qty
        for order in self._eligible(ts):
            offer = at_print(order, trade.price)
            if offer is not None:
                is_maker = offer.liquidity is Liquidity.MAKER
                traded = self._execution.trade(order, offer, FillMoment(ts), left if is_maker else None)
                if is_maker:
                    left = Qty(left - traded)
        for order in self._trailing(ts):
            order.follow(trade.price, self.instrument)
        self._execution.liquidate_if_bankrupt(trade.price, trade.price, ts)
        return self._end(trade.price, ts, ts)

    def add(self, order: Resting) -> None:
        """Rest an order behind those that are here."""
        self.orders.append(order)
        self._has_trailing = self._has_trailing or order.request.trail is not None
        self.is_idle = False
        self._is_settled = False

    def find(self, client_order_id: str | None) -> Resting | None:
        """Return the working order of that id."""
        for order in self.orders:
            if order.request.client_order_id == client_order_id:
                return order
        return None

    def cancel(self, order: Resting, effective: int, reason: str, now: Nanos) -> Sequence[Message]:
        """Cancel ``order`` from ``effective`` on: at once when nothing can trade before it, else when it comes."""
        if effective > self.ts:
            # A second request cannot put off the first.
            self._is_settled = False
            if order.cancel_at is None:
                order.cancel_at = effective
                order.cancel_reason = reason
            return ()
        self._execution.cancel(order, reason, now)
        return self._swept()

    def _begin(self, ts: Nanos) -> None:
        if self.holding.qty and self.ts_open // HOUR != ts // HOUR:
            self._execution.pay_funding(self.ts_open, ts)
        for order in self.orders:
            if order.cancel_at is not None and order.cancel_at <= ts:
                self._execution.cancel(order, order.cancel_reason, ts)

    def _end(self, mark: Price, ts_open: int, ts: int) -> Sequence[Message]:
        for order in self.orders:
            if order.active_from <= ts_open and order.armed:
                order.is_seen = True
        self.holding.mark_to(mark)
        self.ts_open = ts_open
        self.ts = ts
        return self._swept()

    def _swept(self) -> Sequence[Message]:
        reports = self._execution.reports
        if not reports:
            return ()
        self._execution.reports = []
        self.orders[:] = [order for order in self.orders if not order.is_done]
        self.is_idle = not self.orders and not self.holding.qty
        self._is_settled = False
        return reports

    def _settle(self) -> None:
        high: Decimal | None = None
        low: Decimal | None = None
        self._is_settled = False
        for order in self.orders:
            if order.cancel_at is not None or order.trails:
                return
            if not order.armed:
                continue
            level = order.level
            if level is None or not order.is_seen or order.active_from > self.ts:
                return
            if order.by_high:
                high = level if high is None or level < high else high
            else:
                low = level if low is None or level > low else low
        self._wake_high = high
        self._wake_low = low
        self._solvent_cash = None
        if self.holding.qty and len(self._account.held) == 1:
            self._wake_before_bankrupt()
        pays = self.holding.qty and self._execution.pays_funding
        self._funding_due = (self.ts_open // HOUR + 1) * HOUR if pays else _NEVER
        self._is_settled = True

    def _wake_before_bankrupt(self) -> None:
        # Whatever else changes the account, changes its cash. The quotient is rounded: one digit more is enough.
        price = self.holding.bankrupt_at(self._account.cash)
        if price is None:
            return
        if self.holding.qty > 0:
            price = price.next_plus()
            self._wake_low = price if self._wake_low is None else max(self._wake_low, price)
        else:
            price = price.next_minus()
            self._wake_high = price if self._wake_high is None else min(self._wake_high, price)
        self._solvent_cash = self._account.cash

    def _is_woken(self, bar: Bar) -> bool:
        high, low = self._wake_high, self._wake_low
        return (high is not None and bar.high >= high) or (low is not None and bar.low <= low)

    def _eligible(self, ts: int) -> Iterator[Resting]:
        # A copy, and each order looked at when its turn comes: a fill arms and ends others on the way.
        for order in tuple(self.orders):
            if not order.is_done and order.active_from <= ts and order.armed > order.filled:
                yield order

    def _match_bar(self, bar: Bar, ts_open: Nanos) -> Sequence[Resting]:
        """Match ``bar`` and return the orders that trailed from its open on."""
        self._left = self._costs.available(bar.volume, self.instrument)
        at_the_open = FillMoment(ts_open)
        for order in self._eligible(ts_open):
            offer = at_open(order, bar.open)
            if offer is not None:
                self._trade(order, offer, at_the_open)
        if all(order.is_done for order in self.orders):
            # Mostly there was an order at market, and nothing beside it.
            return ()
        trailing = self._trailing(ts_open)
        within = FillMoment(ts_open, bar.ts_event)
        asleep = [order for order in self._placed_by(ts_open) if not order.armed]
        self._match_stops(bar, within)
        has_filled = False
        for order in self._eligible(ts_open):
            offer = limit_within(order, bar.low, bar.high)
            if offer is not None:
                self._trade(order, offer, within)
                has_filled = True
        if has_filled:
            # The stops of entries that have just filled: they may be reached in the entry's bar.
            self._match_stops(bar, within)
        self._match_woken(asleep, bar.close, within)
        return trailing

    def _trade(self, order: Resting, offer: Offer, moment: FillMoment) -> None:
        traded = self._execution.trade(order, offer, moment, self._left)
        if self._left is not None:
            self._left = Qty(self._left - traded)

    def _trailing(self, ts: int) -> Sequence[Resting]:
        return [order for order in self._placed_by(ts) if order.trails] if self._has_trailing else ()

    def _trail(self, since_open: Sequence[Resting], bar: Bar) -> None:
        for order in self._trailing(bar.ts_event - bar.timeframe):
            # Of one whose entry filled within the bar only the close is known to have come later.
            best = (bar.low if order.by_high else bar.high) if order in since_open else bar.close
            order.follow(best, self.instrument)

    def _placed_by(self, ts: int) -> Iterator[Resting]:
        return (order for order in self.orders if not order.is_done and order.active_from <= ts)

    def _match_woken(self, asleep: Sequence[Resting], close: Price, within: FillMoment) -> None:
        """Fill the targets of entries that filled within the bar, where its close is at or beyond them."""
        for order in asleep:
            if order.armed > order.filled and not order.is_done:
                offer = at_close(order, close)
                if offer is not None:
                    self._trade(order, offer, within)

    def _match_stops(self, bar: Bar, within: FillMoment) -> None:
        for order in self._eligible(within.ts):
            offer = stop_within(order, bar.low, bar.high, bar.ts_event)
            if offer is not None:
                self._trade(order, offer, within)
