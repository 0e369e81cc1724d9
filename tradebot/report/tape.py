"""What a page shows beside the sums of a report: bars, what each round trip was entered on, and the market it was in.

A fold over the line's messages, like the report: a backtest feeds it directly, a daemon from its journal, which keeps
bars for some days only.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import ClassVar

from tradebot.model.market import Bar, Message
from tradebot.model.money import plain
from tradebot.model.order import Fill, OrderRole
from tradebot.model.position import RoundTrip
from tradebot.model.signal import Action, Approved, Signal
from tradebot.model.time import HOUR, NANOS_PER_MS, Nanos, Timeframe, timeframe_name, to_ms
from tradebot.pipeline.patterns.indicator import Indicator
from tradebot.report.benchmark import Closes
from tradebot.report.breakdown import grouped
from tradebot.report.packing import PriceColumns, packed, stretches
from tradebot.report.shapes import Document
from tradebot.report.trades import optional

_HOUR_MS = HOUR // NANOS_PER_MS
_TRENDS = {1.0: "trend_up", 0.0: "range", -1.0: "trend_down"}
_VOLATILITIES = {1.0: "wild", 0.0: "usual", -1.0: "quiet"}
UNKNOWN = "unknown"
_Owner = tuple[str, str]
_Deal = tuple[RoundTrip, Signal | None, Sequence[str]]


class Tape:
    """Gathers bars, and deals: round trips with the signal they were entered on.

    Give it every message of ``HEARD``, and bars by ``take`` or as messages.
    """

    HEARD: ClassVar[tuple[type[Message], ...]] = (Approved, Fill, RoundTrip)
    KINDS: ClassVar[tuple[str, ...]] = (Bar.kind, *(message.kind for message in HEARD))

    def __init__(self, since: Nanos | None = None, until: Nanos | None = None) -> None:
        self._since = since
        self._until = until
        self._series: dict[str, tuple[Timeframe, PriceColumns]] = {}
        self._signals: dict[str, Signal] = {}
        self._entered: dict[_Owner, str] = {}
        self._last: dict[_Owner, Fill] = {}
        self._deals: list[tuple[RoundTrip, Signal | None]] = []
        self._closes = Closes()
        self._regimes: dict[str, _Regimes] | None = None

    def add(self, message: Message) -> None:
        """Take one message; those that tell nothing are passed over."""
        match message:
            case Bar():
                self.take((message,))
            case Approved(signal=signal) if signal.action is Action.ENTER:
                self._signals[signal.id] = signal
            case Fill() if message.role is OrderRole.ENTRY:
                owner = message.symbol, message.strategy
                self._entered.setdefault(owner, message.signal_id)
                self._last[owner] = message
            case RoundTrip():
                self._end(message)

    def take(self, bars: Sequence[Bar]) -> None:
        """Take bars in order of their closing times; of each symbol the finest timeframe is kept."""
        if self._since is not None or self._until is not None:
            bars = [bar for bar in bars if self._has(bar)]
        self._closes.take(bars)
        for bar in bars:
            known = self._series.get(bar.symbol)
            if known is None or bar.timeframe < known[0]:
                known = self._series[bar.symbol] = bar.timeframe, PriceColumns.empty()
            elif bar.timeframe > known[0]:
                continue
            ts, opens, highs, lows, closes = known[1]
            ts.append((bar.ts_event - bar.timeframe) // NANOS_PER_MS)
            opens.append(float(bar.open))
            highs.append(float(bar.high))
            lows.append(float(bar.low))
            closes.append(float(bar.close))

    @property
    def closes(self) -> Closes:
        """What holding the symbols would have been worth."""
        return self._closes

    def by_regime(self) -> Document:
        """Return the sums by the market at the entry: each round trip counts for its trend and for its volatility."""
        return grouped((name, trip) for trip, _, regime in self._sorted() for name in regime or [UNKNOWN])

    def document(self) -> Document:
        """Return the bars of each symbol, and a deal for each round trip, by exit and then as they came."""
        return {
            "series": [
                {"symbol": symbol, "timeframe": timeframe_name(timeframe), **packed(columns, to_ms(timeframe))}
                for symbol, (timeframe, columns) in sorted(self._series.items())
            ],
            "deals": [{**_deal(signal), "regime": list(regime)} for _, signal, regime in self._sorted()],
        }

    def _sorted(self) -> list[_Deal]:
        if self._regimes is None:
            self._regimes = {symbol: _Regimes(*series) for symbol, series in self._series.items()}
        found = [
            (trip, signal, self._regimes[trip.symbol].at(to_ms(trip.entry_ts)) if trip.symbol in self._regimes else [])
            for trip, signal in self._deals
        ]
        return sorted(found, key=lambda deal: deal[0].exit_ts)

    def _end(self, trip: RoundTrip) -> None:
        owner = trip.symbol, trip.strategy
        entered = self._entered.pop(owner, "")
        if (self._since is None or trip.exit_ts >= self._since) and (self._until is None or trip.exit_ts < self._until):
            self._deals.append((trip, self._signals.get(entered)))
        last = self._last.get(owner)
        # A reversal in one fill ends a trip and begins the next.
        if last is not None and last.ts_event == trip.exit_ts and last.signal_id != entered:
            self._entered[owner] = last.signal_id
        self._signals.pop(entered, None)

    def _has(self, bar: Bar) -> bool:
        return (self._since is None or bar.ts_event > self._since) and (
            self._until is None or bar.ts_open < self._until
        )


class _Regimes:
    """The regime at the close of each hour of a history, or of each bar where those are longer."""

    def __init__(self, timeframe: Timeframe, bars: PriceColumns) -> None:
        self._closes: list[int] = []
        self._found: list[list[str]] = []
        kernel = Indicator("regime")
        step = max(_HOUR_MS, to_ms(timeframe))
        for first, last in stretches(bars.ts, step):
            opened = bars.ts[first] // step * step
            high, low = max(bars.high[first:last]), min(bars.low[first:last])
            found = kernel.take(opened, bars.open[first], high, low, bars.close[last - 1], 1.0)
            if found is not None:
                self._closes.append(opened + step)
                self._found.append([_TRENDS[found[0]], _VOLATILITIES[found[1]]])

    def at(self, ts: int) -> Sequence[str]:
        """Return trend and volatility by the hours that were closed at ``ts``; empty where it was not known yet."""
        place = bisect_right(self._closes, ts) - 1
        return self._found[place] if place >= 0 else []


def _deal(signal: Signal | None) -> Document:
    if signal is None:
        return {"stop": None, "targets": [], "pattern": "", "levels": {}}
    targets = [rung.price for rung in signal.ladder] or ([] if signal.target is None else [signal.target])
    return {
        "stop": optional(signal.stop),
        "targets": [plain(price) for price in targets],
        "pattern": signal.pattern,
        "levels": {name: plain(price) for name, price in signal.levels.items()},
    }
