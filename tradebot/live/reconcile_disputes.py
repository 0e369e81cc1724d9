"""Words of the venue that contradict the book: believed or dropped by looking, and never by themselves.

A fill that the venue repeats when it is asked, and that its own position confirms, is booked. One that it does not
repeat never was. What is different after that, while trading is halted, is taken over as the venue has it: a position
that the book does not know has no stop and no end.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from tradebot.live.freezer import Freezer, FreezeReason
from tradebot.live.reconcile_rules import Persistence
from tradebot.live.sides import Sides
from tradebot.model.command import TradingState
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.order import FillReport, FillSettled, Liquidity, OrderRole, OrderSide
from tradebot.model.time import Nanos, from_ms, to_ms
from tradebot.model.venue import SETTLED, AccountState, Purpose
from tradebot.pipeline.orders.lifecycle import Order

_LOOKS = 2
# So far back the venue is asked for a fill, however absurd the time it was told with.
_LONGEST_MS = 24 * 3_600_000
_MARGIN_MS = 60_000
ADOPTED = "venue-adopted"


class DisputeSettling:
    """Settles the disputed fills of the line, and takes positions over that nothing explains."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._verdicts: Persistence[str] = Persistence(_LOOKS)
        self._freezer = Freezer(sides.line, FreezeReason.DOUBT)

    @property
    def is_open(self) -> bool:
        """Whether something is disputed."""
        return bool(self._sides.line.orders.disputed)

    async def look(self, account: AccountState, purpose: Purpose) -> None:
        """Ask for the disputed fills again, and settle those of which the answer stays the same."""
        disputed = dict(self._sides.line.orders.disputed)
        if disputed:
            told = await self._told(disputed.values(), purpose)
            verdicts = _verdicts(disputed, told, self._sides.held(), account)
            for trade_id in self._verdicts.look(verdicts, self._sides.now_s()):
                await self._settle(trade_id, is_believed=verdicts[trade_id])
                again = told.get(trade_id)
                if again is not None and again != disputed[trade_id]:
                    # The venue knows the trade, and tells it otherwise.
                    await self._sides.deliver([again])
        await self._freezer.hold(self._in_doubt(account))

    async def adopt(self, differences: Mapping[str, Decimal], account: AccountState) -> None:
        """Book what the venue holds more than the book, by symbol; while trading is halted, or of what has ended."""
        line = self._sides.line
        if line.risk.trading_state is not TradingState.HALTED:
            differences = {one: delta for one, delta in differences.items() if line.risk.listing(one).has_ended}
        for trade_id, report in list(line.orders.disputed.items()):
            if report.symbol in differences:
                await self._settle(trade_id, is_believed=False)
        entries = {position.symbol: position.entry_price for position in account.positions}
        prices = {**entries, **line.risk.marks}
        now, book = self._now(), line.orders.orders.values()
        await self._sides.deliver(
            [
                _adopted(symbol, delta, prices[symbol], now, self._explaining(symbol, delta, book))
                for symbol, delta in differences.items()
                if symbol in prices
            ]
        )

    async def _told(self, reports: Iterable[FillReport], purpose: Purpose) -> Mapping[str, FillReport]:
        now_ms = self._sides.venue.survey.now_ms()
        first_ms = min(to_ms(report.ts_event) for report in reports) - _MARGIN_MS
        start_ms = max(min(first_ms, now_ms - _MARGIN_MS), now_ms - _LONGEST_MS)
        return {report.trade_id: report for report in await self._sides.venue.fills_again(start_ms, purpose)}

    async def _settle(self, trade_id: str, *, is_believed: bool) -> None:
        await self._sides.deliver([FillSettled(ts_event=self._now(), trade_id=trade_id, is_believed=is_believed)])

    def _explaining(self, symbol: str, delta: Decimal, book: Collection[Order]) -> str:
        if self._sides.line.risk.listing(symbol).has_ended:
            # The venue did it: it settles what it trades no more.
            return f"{SETTLED}{symbol}"
        return _explaining(symbol, _side(delta), abs(delta), book)

    def _in_doubt(self, account: AccountState) -> frozenset[str]:
        disputed = {report.symbol for report in self._sides.line.orders.disputed.values()}
        held, theirs = self._sides.held(), account.held
        return frozenset(
            disputed | {one for one in self._freezer.frozen if held.get(one, ZERO) != theirs.get(one, ZERO)}
        )

    def _now(self) -> Nanos:
        return from_ms(self._sides.venue.survey.now_ms())


def _verdicts(
    disputed: Mapping[str, FillReport],
    told: Mapping[str, FillReport],
    held: Mapping[str, Decimal],
    account: AccountState,
) -> Mapping[str, bool]:
    """Return which are to be believed and which not; those are left out of which the venue's words do not agree."""
    repeated = [report for trade_id, report in disputed.items() if told.get(trade_id) == report]
    verdicts = {trade_id: False for trade_id, report in disputed.items() if report not in repeated}
    for report in repeated:
        ours, theirs = held.get(report.symbol, ZERO), account.held.get(report.symbol, ZERO)
        changed = sum((one.qty * one.side.sign for one in repeated if one.symbol == report.symbol), ZERO)
        if theirs in (ours, ours + changed):
            verdicts[report.trade_id] = theirs == ours + changed
    return verdicts


def _adopted(symbol: str, delta: Decimal, price: Price, now: Nanos, client_order_id: str) -> FillReport:
    return FillReport(
        ts_event=now,
        trade_id=f"adopted-{symbol}-{to_ms(now)}",
        client_order_id=client_order_id,
        symbol=symbol,
        side=_side(delta),
        qty=Qty(abs(delta)),
        price=price,
        fee=Cash(ZERO),
        liquidity=Liquidity.TAKER,
    )


def _side(delta: Decimal) -> OrderSide:
    return OrderSide.BUY if delta > 0 else OrderSide.SELL


def _explaining(symbol: str, side: OrderSide, qty: Decimal, book: Iterable[Order]) -> str:
    """Return the order of ours that most likely did it: its exits then guard what it opened."""
    able = [
        order.request
        for order in book
        if (order.request.symbol, order.request.side) == (symbol, side) and order.request.qty - order.filled_qty >= qty
    ]
    entries = [request for request in able if request.role is OrderRole.ENTRY]
    return (entries or able)[-1].client_order_id if able else ADOPTED
