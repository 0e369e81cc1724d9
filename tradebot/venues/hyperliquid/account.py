"""What the venue says of our account, as ours: orders, fills, positions and money."""

from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.money import ZERO, Cash, Price, Qty, book, book_fee
from tradebot.model.order import FillReport, Liquidity, OrderSide
from tradebot.model.position import FundingPaid
from tradebot.model.time import Nanos
from tradebot.model.venue import AccountState, Phase, VenueOrder, VenuePosition
from tradebot.venues.hyperliquid.market import is_buy
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.statuses import phase_of

_MAX_CASH = Decimal(10**15)
COLLATERAL = "USDC"
_UNIFIED = frozenset({"unifiedAccount", "portfolioMargin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order with its status: ``word`` is the venue's, ``phase`` what it proves."""

    order: VenueOrder
    word: str
    phase: Phase
    ts_event: Nanos


_SETTLEMENT = "Settlement"
_WOKEN = "Triggered"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFill:
    """A fill of ours. ``trade_id`` is that of the trade: a trade with ourselves has it on both sides.

    ``liquidated_user`` is who lost a position by it: the account itself, or whom it traded with. ``is_settlement``:
    the venue closed the position of a symbol that it delists.
    """

    trade_id: int
    oid: str
    cloid: str | None
    symbol: str
    side: OrderSide
    qty: Qty
    price: Price
    fee: Cash
    ts_event: Nanos
    liquidity: Liquidity
    start_position: Qty
    closed_pnl: Cash
    liquidated_user: str | None
    is_settlement: bool = False

    def report(self, client_order_id: str | None) -> FillReport:
        """Return it as the line takes it; ``None`` when the venue acted by itself."""
        return FillReport(
            ts_event=self.ts_event,
            trade_id=f"{self.trade_id}-{self.oid}",
            client_order_id=client_order_id,
            symbol=self.symbol,
            side=self.side,
            qty=self.qty,
            price=self.price,
            fee=self.fee,
            liquidity=self.liquidity,
        )


@dataclass(frozen=True, slots=True)
class AddressBudget:
    """Actions sent and allowed over the life of the address."""

    used: int
    cap: int


def _side(row: Node) -> OrderSide:
    return OrderSide.BUY if is_buy(row.at("side")) else OrderSide.SELL


def _cash(row: Node) -> Cash:
    return Cash(row.decimal(_MAX_CASH))


def venue_order(row: Node) -> VenueOrder:
    """Return an order in any of its shapes: ``openOrders``, ``frontendOpenOrders`` or ``orderUpdates``."""
    cloid, reduce_only, original = row.get("cloid"), row.get("reduceOnly"), row.get("origSz")
    is_trigger, condition = row.get("isTrigger"), row.get("triggerCondition")
    qty = row.at("sz").qty()
    return VenueOrder(
        oid=str(row.at("oid").integer()),
        cloid=None if cloid is None else cloid.cloid(),
        symbol=row.at("coin").text(),
        side=_side(row),
        price=row.at("limitPx").price(),
        qty=qty,
        original_qty=qty if original is None else original.qty(),
        ts_event=row.at("timestamp").time(),
        reduce_only=reduce_only is not None and reduce_only.flag(),
        trigger=row.at("triggerPx").price() if is_trigger is not None and is_trigger.flag() else None,
        is_triggered=condition is not None and condition.value == _WOKEN,
    )


def open_orders(reply: Node) -> tuple[VenueOrder, ...]:
    """Return all that rests, triggers with it; each order once, though a parent may list its children too."""
    return tuple({order.oid: order for order in (venue_order(row) for row in reply.rows())}.values())


def order_record(row: Node) -> OrderRecord:
    """Return an order with its status, as in ``historicalOrders`` and ``orderUpdates``."""
    word = row.at("status").text()
    return OrderRecord(
        order=venue_order(row.at("order")),
        word=word,
        phase=phase_of(word),
        ts_event=row.at("statusTimestamp").time(),
    )


def order_records(reply: Node) -> tuple[OrderRecord, ...]:
    """Return the rows of ``historicalOrders`` or ``orderUpdates``; one order may occur more than once."""
    return tuple(order_record(row) for row in reply.rows())


def order_status(reply: Node) -> OrderRecord | None:
    """Return ``orderStatus``; ``None`` for an id unknown there and then, which proves nothing."""
    if reply.at("status").one_of("order", "unknownOid") == "unknownOid":
        return None
    return order_record(reply.at("order"))


def fill(row: Node) -> VenueFill:
    """Return one fill. A fee in anything but the collateral fails: it cannot be booked as cash."""
    cloid, token, liquidation = row.get("cloid"), row.get("feeToken"), row.get("liquidation")
    direction = row.get("dir")
    if token is not None and token.text() != COLLATERAL:
        token.fail(f"is not {COLLATERAL}")
    return VenueFill(
        trade_id=row.at("tid").integer(),
        oid=str(row.at("oid").integer()),
        cloid=None if cloid is None else cloid.cloid(),
        symbol=row.at("coin").text(),
        side=_side(row),
        qty=row.at("sz").positive_qty(),
        price=row.at("px").price(),
        fee=book_fee(_cash(row.at("fee"))),
        ts_event=row.at("time").time(),
        liquidity=Liquidity.TAKER if row.at("crossed").flag() else Liquidity.MAKER,
        start_position=Qty(row.at("startPosition").decimal()),
        closed_pnl=_cash(row.at("closedPnl")),
        liquidated_user=None if liquidation is None else liquidation.at("liquidatedUser").address(),
        is_settlement=direction is not None and direction.text() == _SETTLEMENT,
    )


def fills(reply: Node) -> tuple[VenueFill, ...]:
    """Return ``userFills`` or ``userFillsByTime``, in the order given."""
    return tuple(fill(row) for row in reply.rows())


def account_state(reply: Node) -> AccountState:
    """Return ``clearinghouseState``."""
    summary, stamp = reply.at("marginSummary"), reply.get("time")
    return AccountState(
        equity=_cash(summary.at("accountValue")),
        cash=_cash(summary.at("totalRawUsd")),
        margin_used=_cash(summary.at("totalMarginUsed")),
        withdrawable=_cash(reply.at("withdrawable")),
        positions=tuple(_position(row.at("position")) for row in reply.at("assetPositions").rows()),
        ts_event=None if stamp is None else stamp.time(),
    )


def _position(row: Node) -> VenuePosition:
    leverage, liquidation, funding = row.at("leverage"), row.get("liquidationPx"), row.get("cumFunding")
    return VenuePosition(
        symbol=row.at("coin").text(),
        qty=Qty(row.at("szi").decimal()),
        entry_price=row.at("entryPx").price(),
        unrealized_pnl=_cash(row.at("unrealizedPnl")),
        margin_used=_cash(row.at("marginUsed")),
        leverage=leverage.at("value").integer(1, 1001),
        is_cross=leverage.at("type").one_of("cross", "isolated") == "cross",
        liquidation_price=None if liquidation is None else liquidation.price(),
        # The venue counts what was paid.
        funding=Cash(ZERO if funding is None else -_cash(funding.at("sinceOpen"))),
    )


def is_unified(mode: Node) -> bool:
    """Return whether an account whose ``userAbstraction`` is ``mode`` keeps its collateral among the spot balances."""
    return mode.text() in _UNIFIED


def spot_collateral(reply: Node) -> Cash:
    """Return the collateral in ``spotClearinghouseState``: where a unified account keeps all of it."""
    rows = (row for row in reply.at("balances").rows() if row.at("coin").value == COLLATERAL)
    return Cash(sum((_cash(row.at("total")) for row in rows), ZERO))


def funding_paid(row: Node) -> FundingPaid:
    """Return one payment, from ``userFunding`` (within ``delta``) or from a stream (flat)."""
    delta = row.get("delta") or row
    return FundingPaid(
        ts_event=row.at("time").time(),
        symbol=delta.at("coin").text(),
        rate=delta.at("fundingRate").decimal(Decimal(1)),
        amount=book(_cash(delta.at("usdc"))),
        is_estimate=False,
    )


def fundings(reply: Node) -> tuple[FundingPaid, ...]:
    """Return the payments of ``userFunding``, oldest first."""
    return tuple(funding_paid(row) for row in reply.rows())


def address_budget(reply: Node) -> AddressBudget:
    """Return ``userRateLimit``."""
    return AddressBudget(reply.at("nRequestsUsed").integer(), reply.at("nRequestsCap").integer())
