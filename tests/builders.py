"""Messages with sensible defaults: a test names only what it is about."""

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from tradebot.model.command import Command, Verb
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import (
    Fill,
    FillReport,
    Liquidity,
    OrderCanceled,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderType,
    PositionSide,
)
from tradebot.model.position import FundingPaid
from tradebot.model.signal import Action, Approved, Signal
from tradebot.model.time import Nanos, Timeframe, parse_timeframe

T = TypeVar("T")
MINUTE: Timeframe = parse_timeframe("1m")


def replace(value: T, **changes: object) -> T:
    """``value`` with some fields changed, whether it is a dataclass or a struct."""
    return (dataclasses if dataclasses.is_dataclass(value) else msgspec.structs).replace(value, **changes)


def price(text: str | int | Decimal) -> Price:
    """A price from text."""
    return Price(Decimal(text))


def qty(text: str | int | Decimal) -> Qty:
    """A quantity from text."""
    return Qty(Decimal(text))


def cash(text: str | int | Decimal) -> Cash:
    """An amount of cash from text."""
    return Cash(Decimal(text))


def minute(number: int) -> Nanos:
    """The close of the ``number``-th minute bar, from 1."""
    return Nanos(number * MINUTE)


FIRST = minute(1)
ONE_HOUR = minute(60)


def instrument(
    symbol: str = "BTC", *, tick: str = "0.1", lot: str = "0.001", min_notional: str = "10", max_leverage: int = 40
) -> Instrument:
    """A symbol with a coarse grid."""
    return Instrument(
        symbol=symbol,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_notional=Decimal(min_notional),
        max_leverage=max_leverage,
    )


def bar(
    number: int = 1,
    close: str | int | Decimal = "100",
    *,
    symbol: str = "BTC",
    open_: str | int | Decimal | None = None,
    high: str | int | Decimal | None = None,
    low: str | int | Decimal | None = None,
    timeframe: Timeframe = MINUTE,
    volume: str = "1",
) -> Bar:
    """The ``number``-th bar, flat at its close where nothing else is said."""
    opened = Decimal(close if open_ is None else open_)
    top = max(opened, Decimal(close)) if high is None else Decimal(high)
    bottom = min(opened, Decimal(close)) if low is None else Decimal(low)
    ts = Nanos(number * timeframe)
    return Bar(symbol, timeframe, ts, Price(opened), Price(top), Price(bottom), price(close), qty(volume))


def bars_closed(*bars: Bar) -> BarsClosed:
    """What the bars stage says when ``bars``, longest timeframe first, closed."""
    return BarsClosed(bars[-1].symbol, bars[-1].ts_event, bars)


def signal(
    id_: str = "cross-BTC-1",
    action: Action = Action.ENTER,
    side: PositionSide = PositionSide.LONG,
    *,
    symbol: str = "BTC",
    strategy: str = "cross",
    close: str | int | Decimal = "100",
    ts_event: Nanos = FIRST,
    entry_type: OrderType = OrderType.MARKET,
    entry_price: str | None = None,
    stop: str | None = None,
    target: str | None = None,
    fraction: str = "1",
    reason: str = "signal",
) -> Signal:
    """A wish to enter at market, without stop and target."""
    return Signal(
        id=id_,
        ts_event=ts_event,
        strategy=strategy,
        symbol=symbol,
        action=action,
        side=side,
        close=price(close),
        entry_type=entry_type,
        entry_price=None if entry_price is None else price(entry_price),
        stop=None if stop is None else price(stop),
        target=None if target is None else price(target),
        fraction=Decimal(fraction),
        reason=reason,
    )


def approved(signal_: Signal, size: str | Decimal = "1") -> Approved:
    """A signal that passed every gate."""
    return Approved(ts_event=signal_.ts_event, signal=signal_, qty=qty(size))


def order_request(
    client_order_id: str = "cross-BTC-1-entry",
    *,
    symbol: str = "BTC",
    role: OrderRole = OrderRole.ENTRY,
    side: OrderSide = OrderSide.BUY,
    type_: OrderType = OrderType.MARKET,
    size: str = "1",
    limit: str | None = None,
    trigger: str | None = None,
) -> OrderRequest:
    """A market order to buy."""
    return OrderRequest(
        client_order_id=client_order_id,
        symbol=symbol,
        strategy="cross",
        signal_id=client_order_id.rsplit("-", 1)[0],
        role=role,
        side=side,
        type=type_,
        qty=qty(size),
        ts_event=FIRST,
        price=None if limit is None else price(limit),
        trigger=None if trigger is None else price(trigger),
        reduce_only=role is not OrderRole.ENTRY,
        reason=role.value,
    )


def fill_report(
    trade_id: str = "t1",
    client_order_id: str | None = "cross-BTC-1-entry",
    *,
    symbol: str = "BTC",
    side: OrderSide = OrderSide.BUY,
    size: str | Decimal = "1",
    at: str | Decimal = "100",
    fee: str = "0",
    ts_event: Nanos = FIRST,
) -> FillReport:
    """A venue's word that an order traded."""
    return FillReport(
        ts_event=ts_event,
        trade_id=trade_id,
        client_order_id=client_order_id,
        symbol=symbol,
        side=side,
        qty=qty(size),
        price=price(at),
        fee=cash(fee),
        liquidity=Liquidity.TAKER,
    )


def fill(
    trade_id: str = "t1",
    side: OrderSide = OrderSide.BUY,
    size: str | int | Decimal = "1",
    at: str | int | Decimal = "100",
    *,
    fee: str | Decimal = "0",
    symbol: str = "BTC",
    strategy: str = "cross",
    signal_id: str = "cross-BTC-1",
    role: OrderRole = OrderRole.ENTRY,
    reason: str = "signal",
    ts_event: Nanos = FIRST,
) -> Fill:
    """A booked fill of an entry."""
    return Fill(
        ts_event=ts_event,
        trade_id=trade_id,
        client_order_id=f"{signal_id}-{role}",
        signal_id=signal_id,
        strategy=strategy,
        symbol=symbol,
        role=role,
        side=side,
        qty=qty(size),
        price=price(at),
        fee=cash(fee),
        liquidity=Liquidity.TAKER,
        reason=reason,
    )


def canceled(client_order_id: str, reason: str = "venue", ts_event: Nanos = FIRST) -> OrderCanceled:
    """A venue's word that it works an order no more."""
    return OrderCanceled(ts_event=ts_event, client_order_id=client_order_id, reason=reason)


def funding(amount: str, *, symbol: str = "BTC", is_estimate: bool = False, ts_event: Nanos = ONE_HOUR) -> FundingPaid:
    """Funding of one hour; > 0 received."""
    return FundingPaid(
        ts_event=ts_event, symbol=symbol, rate=Decimal("0.0001"), amount=cash(amount), is_estimate=is_estimate
    )


def command(verb: Verb, arguments: Mapping[str, str] | None = None, id_: str = "c1") -> Command:
    """An operator's command."""
    return Command(id=id_, ts_event=FIRST, verb=verb, arguments=dict(arguments or {}))
