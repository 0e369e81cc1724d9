"""The first look at an account: what is there already, as the line takes it. What moves it later comes on top."""

from collections.abc import Collection, Iterable, Sequence

from tradebot.model.market import Message
from tradebot.model.money import ZERO, Cash, Qty
from tradebot.model.order import FillReport, Liquidity, OrderRole, OrderSide
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos, from_ms
from tradebot.model.venue import FOREIGN, Purpose, VenuePosition
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.ports import Survey
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import Row

OPENING = "opening"
FIRST_DEPOSIT = Query(kinds=(Deposit.kind,), limit=1)
"""Asks for the row of the opening; a journal without it is of a home that never traded."""


async def opened(journal: SqliteJournal) -> Row | None:
    """Return the row with which the account was opened, ``None`` before."""
    rows = await journal.rows(FIRST_DEPOSIT)
    return rows[0] if rows else None


async def opening(survey: Survey, orders: Collection[Order], symbols: Collection[str]) -> Sequence[Message]:
    """Return the positions in ``symbols`` and the money without open profit, as of one look. Raises ``VenueError``."""
    account = await survey.account(Purpose.PROTECT)
    cash = await survey.cash(account, Purpose.PROTECT)
    ts = account.ts_event or from_ms(survey.now_ms())
    ours = [one for one in account.positions if one.symbol in symbols]
    # The deposit comes last: without it all is booked anew, and what was booked is no news.
    return [*(opening_fill(one, orders, ts) for one in ours), Deposit(ts_event=ts, id=OPENING, amount=cash)]


def opening_fill(position: VenuePosition, orders: Iterable[Order], ts: Nanos) -> FillReport:
    """Return ``position`` as one fill at its entry price, free of fees: those are in the money that is counted.

    It is of the signal whose exits are among the adopted ``orders``, else somebody's by hand.
    """
    side = OrderSide.BUY if position.qty > 0 else OrderSide.SELL
    names = [
        f"{order.request.signal_id}-{OrderRole.ENTRY}"
        for order in orders
        if order.request.symbol == position.symbol and order.request.role is not OrderRole.ENTRY
        if order.request.side is not side and not order.state.is_terminal
    ]
    return FillReport(
        ts_event=ts,
        trade_id=f"{OPENING}-{position.symbol}",
        client_order_id=names[0] if names else f"{FOREIGN}{OPENING}-{position.symbol}",
        symbol=position.symbol,
        side=side,
        qty=Qty(abs(position.qty)),
        price=position.entry_price,
        fee=Cash(ZERO),
        liquidity=Liquidity.TAKER,
    )
