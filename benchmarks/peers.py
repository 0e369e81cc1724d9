"""One run of one peer: ``python -m benchmarks.peers NAME FILE`` prints ``{"seconds", "trades"}`` as JSON.

SMA 10/30 cross, long or flat, one unit at the next open, without costs. Reading the file is not timed. The signs of
the crosses come from whole ticks, so that rounding cannot make two engines differ.
"""

import asyncio
import csv
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

FAST, SLOW = 10, 30
_TICKS = 10


class Lead:
    """The fast minus the slow average of whole ticks, times a constant."""

    def __init__(self) -> None:
        self.closes: deque[int] = deque(maxlen=SLOW)
        self.lead: int | None = None

    def cross(self, ticks: int) -> int:
        """Return 1 when the fast average crosses above with this close, -1 below, else 0."""
        closes, before = self.closes, self.lead
        if before is None:
            closes.append(ticks)
            if len(closes) == SLOW:
                self.lead = SLOW * sum(list(closes)[-FAST:]) - FAST * sum(closes)
            return 0
        lead = before + (SLOW - FAST) * ticks - SLOW * closes[-FAST] + FAST * closes[0]
        closes.append(ticks)
        self.lead = lead
        if lead > 0 >= before:
            return 1
        return -1 if lead < 0 <= before else 0


def _rows(path: Path) -> list[list[str]]:
    with path.open() as file:
        return list(csv.reader(file))[1:]


def backtesting(path: Path) -> tuple[float, int]:
    """Run backtesting.py, its indicator computed by numpy in advance, as its users do."""
    import numpy
    import pandas
    from backtesting import Backtest, Strategy

    table = pandas.read_csv(path)
    table.index = pandas.to_datetime(table.pop("ts_ms"), unit="ms")
    table.columns = ["Open", "High", "Low", "Close", "Volume"]

    def lead(closes: "numpy.ndarray") -> "numpy.ndarray":
        sums = numpy.concatenate(([0], numpy.cumsum(numpy.rint(closes * _TICKS).astype("int64"))))
        leads = numpy.full(len(closes), numpy.nan)
        fast, slow = sums[SLOW:] - sums[SLOW - FAST : -FAST], sums[SLOW:] - sums[:-SLOW]
        leads[SLOW - 1 :] = SLOW * fast - FAST * slow
        return leads

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.lead = self.I(lead, self.data.Close)

        def next(self) -> None:
            now, before = self.lead[-1], self.lead[-2]
            if now > 0 >= before:
                self.buy(size=1)
            elif now < 0 <= before and self.position:
                self.position.close()

    engine = Backtest(table, Cross, cash=10_000_000, commission=0, finalize_trades=False)
    begin = time.perf_counter()
    stats = engine.run()
    return time.perf_counter() - begin, int(stats["# Trades"])


def basana(path: Path) -> tuple[float, int]:
    """Run basana."""
    import basana
    from basana.backtesting import exchange, liquidity

    pair = basana.Pair("WALK", "USD")
    minute = timedelta(minutes=1)
    events = basana.FifoQueueEventSource()
    for ts_ms, *numbers in _rows(path):
        begin_at = datetime.fromtimestamp(int(ts_ms) / 1000, UTC)
        bar = basana.Bar(begin_at, pair, *map(Decimal, numbers), minute)
        events.push(basana.BarEvent(begin_at + minute, bar))
    dispatcher = basana.backtesting_dispatcher()
    venue = exchange.Exchange(
        dispatcher, {"USD": Decimal(10_000_000)}, liquidity_strategy_factory=liquidity.InfiniteLiquidity
    )
    venue.set_pair_info(pair, basana.PairInfo(8, 2))
    lead = Lead()
    is_long, trades = False, 0

    async def on_bar(event: "basana.BarEvent") -> None:
        nonlocal is_long, trades
        cross = lead.cross(int(event.bar.close * _TICKS))
        if cross > 0 and not is_long:
            await venue.create_market_order(basana.OrderOperation.BUY, pair, Decimal(1))
            is_long = True
        elif cross < 0 and is_long:
            await venue.create_market_order(basana.OrderOperation.SELL, pair, Decimal(1))
            is_long = False
            trades += 1

    venue.add_bar_source(events)
    venue.subscribe_to_bar_events(pair, on_bar)
    begin = time.perf_counter()
    asyncio.run(dispatcher.run())
    return time.perf_counter() - begin, trades


def nautilus_trader(path: Path) -> tuple[float, int]:
    """Run nautilus_trader with a strategy in Python."""
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money, Quantity
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    instrument = TestInstrumentProvider.btcusdt_perp_binance()
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    one = Quantity.from_str("1.000")

    class Cross(Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lead = Lead()
            self.is_long, self.trades = False, 0

        def on_start(self) -> None:
            self.subscribe_bars(bar_type)

        def on_bar(self, bar: Bar) -> None:
            cross = self.lead.cross(round(bar.close.as_double() * _TICKS))
            if cross > 0 and not self.is_long:
                self.is_long = True
                self._send(OrderSide.BUY)
            elif cross < 0 and self.is_long:
                self.is_long = False
                self.trades += 1
                self._send(OrderSide.SELL)

        def _send(self, side: OrderSide) -> None:
            self.submit_order(self.order_factory.market(instrument.id, side, one))

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.MARGIN, [Money(10_000_000, USDT)])
    engine.add_instrument(instrument)
    bars = []
    for ts_ms, *numbers in _rows(path):
        ts_close = (int(ts_ms) + 60_000) * 1_000_000
        prices = [instrument.make_price(Decimal(number)) for number in numbers[:4]]
        bars.append(Bar(bar_type, *prices, instrument.make_qty(Decimal(numbers[4])), ts_close, ts_close))
    engine.add_data(bars)
    strategy = Cross()
    engine.add_strategy(strategy)
    begin = time.perf_counter()
    engine.run()
    return time.perf_counter() - begin, strategy.trades


PEERS: Mapping[str, Callable[[Path], tuple[float, int]]] = {
    "backtesting": backtesting,
    "basana": basana,
    "nautilus_trader": nautilus_trader,
}
"""Each by the name of its package."""

if __name__ == "__main__":
    seconds, trades = PEERS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"seconds": seconds, "trades": trades}))
