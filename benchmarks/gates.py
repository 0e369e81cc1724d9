"""What a decision costs: an entry against every gate, its orders against every order gate, beside a full book.

Ten positions and as many entries at work, limits set and none of them reached; no mark moves between two.
"""

import statistics
import time
from collections.abc import Iterable
from decimal import Decimal, localcontext

from benchmarks.figures import RUNS, Figure
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed
from tradebot.model.money import MONEY_CONTEXT, Cash, Price, Qty
from tradebot.model.order import (
    Fill,
    Liquidity,
    OrderDone,
    OrderRole,
    OrderSide,
    OrderState,
    PositionSide,
    SubmitOrders,
)
from tradebot.model.signal import Action, Approved, Signal
from tradebot.model.time import DAY, Nanos, Timeframe, parse_timeframe
from tradebot.pipeline.orders.brackets import bracket
from tradebot.pipeline.risk.gates.headroom import SETTING as HEADROOM
from tradebot.pipeline.risk.gates.sequence import LIMITS, OTHER_SETTINGS
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.order_gates.sequence import MEASURES
from tradebot.pipeline.risk.stage import RiskStage

HELD = 10
AIM_US = 20.0
_COUNT = 2_000
_MINUTE = parse_timeframe("1m")
_DAYS = 45
_NOW = _DAYS * DAY
_ONE = Price(Decimal(100))
_FREE = {
    "min_confidence": Decimal(1),
    "min_headroom_pct": Decimal(1),
    "liquidation_stops": Decimal(1),
    "duplicate_window_s": Decimal(2),
}


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with localcontext(MONEY_CONTEXT):
        # Headroom after stress is a sum over the book in each scenario: told by itself.
        stress = Limits({HEADROOM: Decimal(1)})
        for what, limits in (
            ("no limit", Limits()),
            ("every other limit", _every()),
            ("headroom after stress", stress),
        ):
            entry_us, order_us = _medians_us(limits)
            yield Figure(what=f"an entry against the gates, {what}", value=entry_us, unit="us", aim=AIM_US)
            yield Figure(what=f"its bracket against the order gates, {what}", value=order_us, unit="us", aim=AIM_US)


def _every() -> Limits:
    keys = (*(gate.setting for gate in LIMITS), *OTHER_SETTINGS, *MEASURES)
    return Limits({key: _FREE.get(key, Decimal(1_000_000)) for key in keys if key != HEADROOM})


def _medians_us(limits: Limits) -> tuple[float, float]:
    risk = _book(limits)
    entries, orders = [], []
    for number in range(RUNS * _COUNT):
        wish = _signal("NEW", f"new-{number}", Nanos(_NOW + (number + 10) * _MINUTE))
        begin = time.perf_counter()
        (decision,) = risk.handle(wish)
        entries.append(time.perf_counter() - begin)
        if not isinstance(decision, Approved):
            raise TypeError(f"refused: {decision}")
        submit = SubmitOrders(ts_event=wish.ts_event, orders=bracket(decision, risk.instrument("NEW")))
        begin = time.perf_counter()
        stopped = risk.stopped(submit)
        orders.append(time.perf_counter() - begin)
        if stopped:
            raise ValueError(f"stopped: {stopped}")
        risk.handle(_done(wish))
    return statistics.median(entries) * 1e6, statistics.median(orders) * 1e6


def _book(limits: Limits) -> RiskStage:
    symbols = ["NEW", *(f"HELD{n}" for n in range(HELD)), *(f"WORK{n}" for n in range(HELD))]
    instruments = {symbol: Instrument(symbol=symbol, tick=Decimal("0.1"), lot=Decimal("0.001")) for symbol in symbols}
    risk = RiskStage(instruments, Cash(Decimal(1_000_000)), SizeRule(SizeKind.QTY, Decimal(1)), limits)
    for day in range(1, _DAYS):
        for number, symbol in enumerate(symbols, 1):
            price = Price(_ONE + (day * number) % 4) if day < _DAYS - 1 else _ONE
            bar = Bar(symbol, Timeframe(DAY), Nanos(day * DAY), price, price, price, price, Qty(Decimal(100_000)))
            risk.handle(BarsClosed(symbol, bar.ts_event, (bar,)))
    for number, symbol in enumerate(symbols):
        if symbol == "NEW":
            continue
        wish = _signal(symbol, f"a-{symbol}", Nanos(_NOW + _MINUTE * (number - 200)))
        risk.handle(wish)
        if symbol.startswith("HELD"):
            risk.handle(_fill(wish))
    return risk


def _signal(symbol: str, name: str, ts: Nanos) -> Signal:
    return Signal(
        id=name,
        ts_event=ts,
        strategy="a",
        symbol=symbol,
        action=Action.ENTER,
        side=PositionSide.LONG,
        close=_ONE,
        stop=Price(Decimal(90)),
        target=Price(Decimal(120)),
        confidence=50.0,
    )


def _fill(wish: Signal) -> Fill:
    return Fill(
        ts_event=wish.ts_event,
        trade_id=f"t-{wish.id}",
        client_order_id=f"{wish.id}-entry",
        signal_id=wish.id,
        strategy=wish.strategy,
        symbol=wish.symbol,
        role=OrderRole.ENTRY,
        side=OrderSide.BUY,
        qty=Qty(Decimal(1)),
        price=_ONE,
        fee=Cash(Decimal(0)),
        liquidity=Liquidity.TAKER,
        reason="entry",
    )


def _done(wish: Signal) -> OrderDone:
    return OrderDone(
        ts_event=wish.ts_event,
        client_order_id=f"{wish.id}-entry",
        signal_id=wish.id,
        strategy=wish.strategy,
        symbol=wish.symbol,
        role=OrderRole.ENTRY,
        state=OrderState.CANCELED,
        filled_qty=Qty(Decimal(0)),
        reason="",
    )
