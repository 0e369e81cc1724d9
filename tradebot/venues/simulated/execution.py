"""What a match does to the account and to the other orders of its symbol.

Cancels that a fill causes are reported before it, so that nobody cancels what is gone already.
"""

from typing import NamedTuple

from tradebot.model.instrument import Instrument
from tradebot.model.market import Message
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.money import book as booked
from tradebot.model.order import FillReport, Liquidity, OrderCanceled, OrderSide
from tradebot.model.position import FundingPaid
from tradebot.model.time import HOUR, Nanos
from tradebot.venues.simulated.account import SimulatedAccount, SimulatedHolding
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.matching import Offer, Resting


class FillMoment(NamedTuple):
    """When fills happen, and from when on the targets that they arm take part."""

    ts: Nanos
    targets_from: int = 0


class SymbolOrders:
    """The orders of one symbol in order of placement, what is held of it, and the reports not yet given out."""

    __slots__ = ("_account", "_costs", "_funding", "holding", "instrument", "orders", "reports")

    def __init__(
        self, instrument: Instrument, costs: Costs, account: SimulatedAccount, funding: FundingRates | None
    ) -> None:
        self.instrument = instrument
        self.holding = SimulatedHolding(
            instrument.symbol,
            leverage=min(costs.leverage, instrument.max_leverage),
            maintenance_rate=costs.maintenance / instrument.max_leverage,
        )
        self.orders: list[Resting] = []
        self.reports: list[Message] = []
        self._account = account
        self._costs = costs
        self._funding = funding

    @property
    def pays_funding(self) -> bool:
        """Whether there is a rate to pay."""
        return self._funding is not None or bool(self._costs.funding_rate)

    def pay_funding(self, ts_last: int, ts: Nanos) -> None:
        """Pay every whole hour after ``ts_last`` up to ``ts``, on the mark."""
        mark, qty, costs = self.holding.mark, self.holding.qty, self._costs
        if mark is None or not self.pays_funding:
            return
        for hour in range((ts_last // HOUR + 1) * HOUR, ts + 1, HOUR):
            known = self._funding.at(hour) if self._funding is not None else None
            rate = costs.funding_rate if known is None else known
            amount = booked(-qty * mark * rate)
            self._account.cash = Cash(self._account.cash + amount)
            self.reports.append(
                FundingPaid(
                    ts_event=Nanos(hour),
                    symbol=self.instrument.symbol,
                    rate=rate,
                    amount=amount,
                    is_estimate=known is None,
                )
            )

    def trade(self, order: Resting, offer: Offer, moment: FillMoment, available: Qty | None = None) -> Qty:
        """Fill ``order`` as offered, up to ``available``, and return how much: none when it is cancelled instead."""
        request, holding = order.request, self.holding
        qty = order.open_qty if available is None else min(order.open_qty, available)
        if qty <= 0:
            return Qty(ZERO)
        sign = request.side.sign
        price = self._price(offer, request.side)
        if request.reduce_only:
            if holding.qty * sign >= 0:
                self.cancel(order, "reduce_only", moment.ts)
                return Qty(ZERO)
            qty = min(qty, Qty(abs(holding.qty)))
        elif not self._account.affords(holding, sign * qty, price):
            self.cancel(order, "insufficient_margin", moment.ts)
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
        self.reports.append(
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
            self.cancel(order, "position_closed", ts)
        if request.oco_id is not None and (order.is_done or not order.open_qty):
            for other in self.orders:
                if other.request.oco_id == request.oco_id:
                    self.cancel(other, "sibling_filled", ts)
        if closes:
            for other in self.orders:
                if other is not order and _falls_with_position(other, held, after):
                    self.cancel(other, "position_closed", ts)

    def _arm(self, entry: Resting, targets_from: int) -> None:
        for child in self.orders:
            if child.request.parent_id == entry.request.client_order_id:
                child.armed = min(child.request.qty, entry.filled)
                if not child.is_stop and targets_from > child.active_from:
                    child.active_from = targets_from

    def cancel(self, order: Resting, reason: str, ts: Nanos) -> None:
        """End ``order`` and, when it is an entry without a fill, its bracket."""
        if order.is_done:
            return
        order.is_done = True
        client_order_id = order.request.client_order_id
        self.reports.append(OrderCanceled(ts_event=ts, client_order_id=client_order_id, reason=reason))
        for child in self.orders:
            if child.request.parent_id == client_order_id and not child.armed:
                self.cancel(child, reason, ts)

    def liquidate_if_bankrupt(self, low: Price, high: Price, ts: Nanos) -> None:
        """Close all at the worst of two prices when the account does not stand there."""
        holding = self.holding
        qty = holding.qty
        if not qty:
            return
        worst = low if qty > 0 else high
        if not self._account.is_bankrupt_at(holding, worst):
            return
        side = OrderSide.SELL if qty > 0 else OrderSide.BUY
        for order in self.orders:
            self.cancel(order, "position_closed", ts)
        price = self._costs.price_against(worst, side, self.instrument)
        self._report_fill(None, side, Qty(abs(qty)), price, Liquidity.TAKER, ts)


def _falls_with_position(order: Resting, held: Qty, after: Qty) -> bool:
    request = order.request
    if request.reduce_only:
        return bool(order.armed) and after * request.side.sign >= 0
    # The rest of the entry of what has just been closed: it would come back without its stop.
    return order.filled > 0 and held * request.side.sign > 0
