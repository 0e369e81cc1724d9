"""The orders of one symbol, and what a bar, a quote or a print does to them.

Within a bar: funding up to its open, then cancels that are due, fills at the open in order of placement,
stops, limits and targets, liquidation at the worst price, and the mark. Cancels that a fill causes are
reported before it, so that nobody cancels what is gone already.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Message, Quote, Trade
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.money import book as booked
from tradebot.model.order import FillReport, Liquidity, OrderCanceled, OrderSide
from tradebot.model.position import FundingPaid
from tradebot.model.time import HOUR, Nanos
from tradebot.venues.simulated.account import Account, Holding
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.matching import Offer, Resting, at_open, at_print, at_quote, limit_within, stop_within


class _Moment(NamedTuple):
    """When fills happen, and from when on the targets that they arm take part."""

    ts: Nanos
    targets_from: int = 0


class Book:
    """The orders and the holding of one symbol.

    ``ts_open`` is the opening of the last bar, ``ts`` its close (with quotes and prints both are the last
    event): nothing can trade before ``ts`` any more. ``is_idle``: no order and no holding.
    """

    __slots__ = (
        "_account",
        "_costs",
        "_funding",
        "_funding_due",
        "_is_settled",
        "_reports",
        "_wake_high",
        "_wake_low",
        "holding",
        "instrument",
        "is_idle",
        "orders",
        "ts",
        "ts_open",
    )

    def __init__(self, instrument: Instrument, costs: Costs, account: Account, funding: FundingRates | None) -> None:
        self.instrument = instrument
        self.holding = Holding(
            instrument.symbol,
            leverage=min(costs.leverage, instrument.max_leverage),
            maintenance_rate=costs.maintenance / instrument.max_leverage,
        )
        self.orders: list[Resting] = []
        self.ts_open = 0
        self.ts = 0
        self.is_idle = True
        self._account = account
        self._costs = costs
        self._funding = funding
        self._reports: list[Message] = []
        # While settled, a bar between the two prices that opens before the next funding changes no order.
        self._is_settled = False
        self._wake_high: Price | None = None
        self._wake_low: Price | None = None
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
            if holding.qty:
                worst = bar.low if holding.qty > 0 else bar.high
                if self._account.is_bankrupt_at(holding, worst):
                    self._reports = []
                    self._liquidate(worst, ts_open)
                    return self._end(bar.close, ts_open, ts_close)
            holding.mark_to(bar.close)
            self.ts_open = ts_open
            self.ts = ts_close
            return ()
        self._begin(ts_open)
        self._match_bar(bar, ts_open)
        self._liquidate_if_bankrupt(bar.low, bar.high, ts_open)
        reports = self._end(bar.close, ts_open, ts_close)
        self._settle()
        return reports

    def on_quote(self, quote: Quote) -> Sequence[Message]:
        """Match a quote: buys at the ask, sells at the bid, each up to the quantity offered there."""
        ts = quote.ts_event
        self._begin(ts)
        left = {OrderSide.BUY: quote.ask_qty, OrderSide.SELL: quote.bid_qty}
        for order in self._eligible(ts):
            side = order.request.side
            offer = at_quote(order, quote.ask if side is OrderSide.BUY else quote.bid)
            if offer is not None:
                available = left[side]
                traded = self._trade(order, offer, _Moment(ts), available)
                left[side] = None if available is None else Qty(available - traded)
        self._liquidate_if_bankrupt(quote.bid, quote.ask, ts)
        return self._end(Price((quote.bid + quote.ask) / 2), ts, ts)

    def on_trade(self, trade: Trade) -> Sequence[Message]:
        """Match a print: limits share its quantity, market orders and stops fill in full at its price."""
        ts = trade.ts_event
        self._begin(ts)
        left = trade.qty
        for order in self._eligible(ts):
            offer = at_print(order, trade.price)
            if offer is not None:
                is_maker = offer.liquidity is Liquidity.MAKER
                traded = self._trade(order, offer, _Moment(ts), left if is_maker else None)
                if is_maker:
                    left = Qty(left - traded)
        self._liquidate_if_bankrupt(trade.price, trade.price, ts)
        return self._end(trade.price, ts, ts)

    def add(self, order: Resting) -> None:
        """Rest an order behind those that are here."""
        self.orders.append(order)
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
        self._reports = []
        self._cancel(order, reason, now)
        return self._swept()

    def _begin(self, ts: Nanos) -> None:
        self._reports = []
        if self.holding.qty and self.ts_open // HOUR != ts // HOUR:
            self._pay_funding(ts)
        for order in self.orders:
            if order.cancel_at is not None and order.cancel_at <= ts:
                self._cancel(order, order.cancel_reason, ts)

    def _end(self, mark: Price, ts_open: int, ts: int) -> Sequence[Message]:
        for order in self.orders:
            if order.active_from <= ts_open and order.armed:
                order.is_seen = True
        self.holding.mark_to(mark)
        self.ts_open = ts_open
        self.ts = ts
        return self._swept()

    def _swept(self) -> Sequence[Message]:
        reports = self._reports
        if reports:
            self.orders = [order for order in self.orders if not order.is_done]
            self.is_idle = not self.orders and not self.holding.qty
            self._is_settled = False
        return reports

    def _settle(self) -> None:
        high: Price | None = None
        low: Price | None = None
        self._is_settled = False
        for order in self.orders:
            if order.cancel_at is not None:
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
        self._funding_due = (self.ts_open // HOUR + 1) * HOUR
        self._is_settled = True

    def _is_woken(self, bar: Bar) -> bool:
        high, low = self._wake_high, self._wake_low
        return (high is not None and bar.high >= high) or (low is not None and bar.low <= low)

    def _pay_funding(self, ts: Nanos) -> None:
        mark, qty, costs = self.holding.mark, self.holding.qty, self._costs
        if mark is None or (self._funding is None and not costs.funding_rate):
            return
        for hour in range((self.ts_open // HOUR + 1) * HOUR, ts + 1, HOUR):
            known = self._funding.at(hour) if self._funding is not None else None
            rate = costs.funding_rate if known is None else known
            amount = booked(-qty * mark * rate)
            self._account.cash = Cash(self._account.cash + amount)
            self._reports.append(
                FundingPaid(
                    ts_event=Nanos(hour),
                    symbol=self.instrument.symbol,
                    rate=rate,
                    amount=amount,
                    is_estimate=known is None,
                )
            )

    def _eligible(self, ts: int) -> Iterator[Resting]:
        # A copy, and each order looked at when its turn comes: a fill arms and ends others on the way.
        for order in tuple(self.orders):
            if not order.is_done and order.active_from <= ts and order.armed > order.filled:
                yield order

    def _match_bar(self, bar: Bar, ts_open: Nanos) -> None:
        at_the_open = _Moment(ts_open)
        for order in self._eligible(ts_open):
            offer = at_open(order, bar.open)
            if offer is not None:
                self._trade(order, offer, at_the_open)
        within = _Moment(ts_open, bar.ts_event)
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

    def _match_stops(self, bar: Bar, within: _Moment) -> None:
        for order in self._eligible(within.ts):
            offer = stop_within(order, bar.low, bar.high, bar.ts_event)
            if offer is not None:
                self._trade(order, offer, within)

    def _trade(self, order: Resting, offer: Offer, moment: _Moment, available: Qty | None = None) -> Qty:
        request, holding = order.request, self.holding
        qty = order.open_qty if available is None else min(order.open_qty, available)
        if qty <= 0:
            return Qty(ZERO)
        sign = request.side.sign
        price = self._price(offer, request.side)
        if request.reduce_only:
            if holding.qty * sign >= 0:
                self._cancel(order, "reduce_only", moment.ts)
                return Qty(ZERO)
            qty = min(qty, Qty(abs(holding.qty)))
        elif not self._account.affords(holding, sign * qty, price):
            self._cancel(order, "insufficient_margin", moment.ts)
            return Qty(ZERO)
        order.filled = Qty(order.filled + qty)
        self._end_others(order, Qty(holding.qty + sign * qty), moment.ts)
        self._report_fill(request.client_order_id, request.side, qty, price, offer.liquidity, moment.ts)
        self._arm(order, moment.targets_from)
        return qty

    def _price(self, offer: Offer, side: OrderSide) -> Price:
        if not offer.slips:
            return Price(offer.price)
        price = self._costs.price_against(offer.price, side, self.instrument)
        if offer.bound is None:
            return price
        return min(price, offer.bound) if side is OrderSide.BUY else max(price, offer.bound)

    def _report_fill(
        self, client_order_id: str | None, side: OrderSide, qty: Qty, price: Price, liquidity: Liquidity, ts: Nanos
    ) -> None:
        fee = self._costs.fee(qty * price, liquidity)
        self._account.trade(self.holding, side.sign * qty, price, fee)
        self._reports.append(
            FillReport(
                ts_event=ts,
                trade_id=self._account.next_trade_id(),
                client_order_id=client_order_id,
                symbol=self.instrument.symbol,
                side=side,
                qty=qty,
                price=price,
                fee=fee,
                liquidity=liquidity,
            )
        )

    def _end_others(self, order: Resting, after: Qty, ts: Nanos) -> None:
        request = order.request
        order.is_done = order.filled == request.qty
        held = self.holding.qty
        closes = held * after <= 0 and bool(held)
        if closes and request.reduce_only and not order.is_done:
            self._cancel(order, "position_closed", ts)
        if request.oco_id is not None and (order.is_done or not order.open_qty):
            for other in self.orders:
                if other.request.oco_id == request.oco_id:
                    self._cancel(other, "sibling_filled", ts)
        if closes:
            for other in self.orders:
                if other is not order and _falls_with_position(other, held, after):
                    self._cancel(other, "position_closed", ts)

    def _arm(self, entry: Resting, targets_from: int) -> None:
        for child in self.orders:
            if child.request.parent_id == entry.request.client_order_id:
                child.armed = min(child.request.qty, entry.filled)
                if not child.is_stop and targets_from > child.active_from:
                    child.active_from = targets_from

    def _cancel(self, order: Resting, reason: str, ts: Nanos) -> None:
        if order.is_done:
            return
        order.is_done = True
        client_order_id = order.request.client_order_id
        self._reports.append(OrderCanceled(ts_event=ts, client_order_id=client_order_id, reason=reason))
        for child in self.orders:
            if child.request.parent_id == client_order_id and not child.armed:
                self._cancel(child, reason, ts)

    def _liquidate_if_bankrupt(self, low: Price, high: Price, ts: Nanos) -> None:
        qty = self.holding.qty
        worst = low if qty > 0 else high
        if qty and self._account.is_bankrupt_at(self.holding, worst):
            self._liquidate(worst, ts)

    def _liquidate(self, worst: Price, ts: Nanos) -> None:
        qty = self.holding.qty
        side = OrderSide.SELL if qty > 0 else OrderSide.BUY
        for order in self.orders:
            self._cancel(order, "position_closed", ts)
        price = self._costs.price_against(worst, side, self.instrument)
        self._report_fill(None, side, Qty(abs(qty)), price, Liquidity.TAKER, ts)


def _falls_with_position(order: Resting, held: Qty, after: Qty) -> bool:
    request = order.request
    if request.reduce_only:
        return bool(order.armed) and after * request.side.sign >= 0
    # The rest of the entry of what has just been closed: it would come back without its stop.
    return order.filled > 0 and held * request.side.sign > 0
