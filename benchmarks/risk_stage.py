"""What the risk stage costs with 50 positions: a signal with every limit and scale, a bad day, a tick."""

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count, islice
from math import sin

from benchmarks.figures import RUNS, Figure
from tradebot.model.errors import InvariantError
from tradebot.model.instrument import Instrument
from tradebot.model.market import Quote
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import OrderDone, OrderRole, OrderState, PositionSide
from tradebot.model.signal import Action, Approved, Signal
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.holdings import OpenPosition
from tradebot.pipeline.risk.limits import (
    ConfidenceScale,
    DrawdownRule,
    KellyRule,
    Limits,
    ScaleRule,
    SizeKind,
    SizeRule,
)
from tradebot.pipeline.risk.measures.daily import DailyState
from tradebot.pipeline.risk.measures.measuring import DEFAULT_MEASURES, Measures
from tradebot.pipeline.risk.measures.tails import LEVELS, TailMethod, tail
from tradebot.pipeline.risk.stage import RiskStage

SYMBOLS = tuple(f"S{number:02d}" for number in range(50))
DAYS = 91
SIGNALS = 500
TICKS = 5_000
_SCALES = ScaleRule(
    volatility=Decimal("0.9"),
    regime=True,
    kelly=KellyRule(fraction=Decimal("0.25"), most=Decimal("0.02"), min_trades=30, least=Decimal("0.1")),
    risk_parity=True,
    drawdown=DrawdownRule(from_pct=Decimal(5), to_pct=Decimal(20), least=Decimal("0.25")),
)
_LIMITS: Limits = {
    "max_order_notional": Decimal(50_000),
    "max_position_notional": Decimal(50_000),
    "max_exposure_notional": Decimal(900_000),
    "max_leverage": Decimal(9),
}


_TAILS = ("max_var95", "max_cvar95", "max_var99", "max_cvar99")


def run() -> Iterable[Figure]:
    """Yield the figures."""
    yield Figure(what="a signal: every limit, every scale", value=_signal_us(_LIMITS), unit="us", aim=200)
    tailed = _LIMITS | dict.fromkeys(_TAILS, Decimal(1_000_000))
    yield Figure(what="the same with VaR and CVaR limits, all marks new", value=_signal_us(tailed), unit="us", aim=200)
    yield Figure(what="VaR and CVaR of the book with an entry, 90 days", value=_tails_us(), unit="us", aim=200)
    yield Figure(what="a tick: marked, and the equity of all", value=_tick_us(), unit="us")
    yield Figure(what="correlations of all pairs, once a day", value=_daily_ms(), unit="ms")


def _state() -> RiskState:
    closes = {
        symbol: tuple(
            Price(Decimal(repr(round(100 + 5 * sin(day * 1.7 + place) + sin(day * 0.9), 4)))) for day in range(DAYS)
        )
        for place, symbol in enumerate(SYMBOLS)
    }
    return RiskState(
        starting_cash=Cash(Decimal(100_000)),
        cash=Cash(Decimal(100_000)),
        peak_equity=Cash(Decimal(110_000)),
        marks=dict.fromkeys(SYMBOLS, Price(Decimal(100))),
        # The last symbol is entered.
        positions={symbol: _position(symbol, place) for place, symbol in enumerate(SYMBOLS[:-1])},
        daily=DailyState(day=DAYS, days=tuple(range(DAYS)), closes=closes),
        results={
            name: tuple(Cash(Decimal(30 if n % 2 else -20)) for n in range(200)) for name in ("cross", "break", "other")
        },
    )


def _position(symbol: str, place: int) -> OpenPosition:
    size = Decimal(10 if place % 3 else -10)
    cost = Cash(size * 100)
    return OpenPosition(
        symbol=symbol,
        strategy="cross",
        qty=Qty(size),
        cost=cost,
        entry_ts=Nanos(1),
        entry_qty=Qty(abs(size)),
        entry_notional=Cash(abs(cost)),
        low=Price(Decimal(100)),
        high=Price(Decimal(100)),
    )


def _stage(limits: Limits) -> RiskStage:
    size = SizeRule(SizeKind.RISK_FRACTION, Decimal("0.01"), ConfidenceScale.LINEAR, scales=_SCALES)
    instruments = {symbol: Instrument(symbol=symbol) for symbol in SYMBOLS}
    stage = RiskStage(instruments, Cash(Decimal(100_000)), size, limits)
    stage.load(_state())
    return stage


def _signal(number: int) -> Signal:
    return Signal(
        id=f"cross-{SYMBOLS[-1]}-{number}",
        ts_event=Nanos(DAYS * 86_400 * 10**9),
        strategy="cross",
        symbol=SYMBOLS[-1],
        action=Action.ENTER,
        side=PositionSide.LONG,
        close=Price(Decimal(100)),
        stop=Price(Decimal(95)),
        confidence=80.0,
    )


def _signal_us(limits: Limits) -> float:
    stage = _stage(limits)
    # What is worked out once a day.
    stage.sizing_view()
    numbers = count()

    def once() -> float:
        total = 0.0
        for number in islice(numbers, SIGNALS):
            signal = _signal(number)
            for symbol in SYMBOLS[:-1]:
                stage.handle(_quote(symbol, number))
            begin = time.process_time()
            (decided,) = stage.handle(signal)
            total += time.process_time() - begin
            if not isinstance(decided, Approved):
                raise InvariantError(f"the signal was refused: {decided}")
            stage.handle(_withdrawn(signal))
        return total / SIGNALS

    return _median(once) * 1e6


def _withdrawn(signal: Signal) -> OrderDone:
    return OrderDone(
        ts_event=signal.ts_event,
        client_order_id=f"{signal.id}-entry",
        signal_id=signal.id,
        strategy=signal.strategy,
        symbol=signal.symbol,
        role=OrderRole.ENTRY,
        state=OrderState.CANCELED,
        filled_qty=Qty(Decimal(0)),
        reason="",
    )


def _tails_us() -> float:
    measures = Measures(DEFAULT_MEASURES)
    measures.daily.load(_state().daily)
    panel = measures.panel
    notionals = {symbol: 1000.0 if place % 3 else -1000.0 for place, symbol in enumerate(SYMBOLS[:-1])}

    def once() -> float:
        begin = time.process_time()
        for number in range(SIGNALS):
            # Each time other marks.
            notionals[SYMBOLS[0]] = 900.0 + number
            pnl = panel.added(panel.pnl(notionals) or (), SYMBOLS[-1], 2000.0) or ()
            for level in LEVELS:
                for method in TailMethod:
                    tail(pnl, method, level)
        return (time.process_time() - begin) / SIGNALS

    return _median(once) * 1e6


def _tick_us() -> float:
    stage = _stage(_LIMITS)
    quotes = [_quote(SYMBOLS[number % len(SYMBOLS)], number) for number in range(TICKS)]

    def once() -> float:
        begin = time.process_time()
        for quote in quotes:
            stage.handle(quote)
            _ = stage.equity
        return (time.process_time() - begin) / TICKS

    return _median(once) * 1e6


def _quote(symbol: str, number: int) -> Quote:
    return Quote(
        ts_event=Nanos(DAYS * 86_400 * 10**9 + number),
        symbol=symbol,
        bid=Price(Decimal(99) + number % 7),
        ask=Price(Decimal(100) + number % 7),
        bid_qty=Qty(Decimal(1)),
        ask_qty=Qty(Decimal(1)),
    )


def _daily_ms() -> float:
    daily = _state().daily

    def once() -> float:
        measures = Measures(DEFAULT_MEASURES)
        measures.daily.load(daily)
        begin = time.process_time()
        _ = measures.correlations
        return time.process_time() - begin

    return _median(once) * 1e3


def _median(once: Callable[[], float]) -> float:
    return sorted(once() for _ in range(RUNS))[RUNS // 2]
