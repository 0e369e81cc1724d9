"""Closed bars from a venue that only ever shows bars as they form.

A bar is closed by a later bar of its symbol, or by venue time two seconds past its end. What the socket
missed is asked for over REST and taken in the same way, so that no bar comes twice and none out of order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tradebot.model.market import Bar
from tradebot.model.time import NANOS_PER_S, Nanos, Timeframe, timeframe_name, to_ms
from tradebot.venues.hyperliquid.market import candles
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.resilience import Purpose

GRACE = 2 * NANOS_PER_S
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class LiveBarsState:
    """The close of the newest bar given out, by symbol."""

    last: dict[str, int] = field(default_factory=dict)


class LiveBars:
    """Turns bars that form into bars that are closed. One timeframe; pure."""

    STATE: ClassVar[type[LiveBarsState]] = LiveBarsState
    __slots__ = ("_forming", "_last", "_timeframe")

    def __init__(self, timeframe: Timeframe) -> None:
        self._timeframe = timeframe
        self._forming: dict[str, Bar] = {}
        self._last: dict[str, Nanos] = {}

    def last(self, symbol: str) -> Nanos | None:
        """Return the close of the newest bar given out, ``None`` before the first."""
        return self._last.get(symbol)

    def on_bar(self, bar: Bar) -> Sequence[Bar]:
        """Take a bar as it stands; return the one that it closes."""
        if bar.timeframe != self._timeframe or bar.ts_event <= self._last.get(bar.symbol, 0):
            return ()
        forming = self._forming.get(bar.symbol)
        if forming is not None and bar.ts_event < forming.ts_event:
            # A frame of an earlier bar overtaken by the next one: that one was closed by it.
            return ()
        self._forming[bar.symbol] = bar
        return () if forming is None or forming.ts_event == bar.ts_event else (self._close(forming),)

    def on_time(self, now: Nanos) -> Sequence[Bar]:
        """Take venue time; return the bars that it closes, by closing time and symbol."""
        due = [bar for bar in self._forming.values() if now > bar.ts_event + GRACE]
        for bar in due:
            del self._forming[bar.symbol]
        return [self._close(bar) for bar in sorted(due, key=_order)]

    def on_history(self, bars: Iterable[Bar]) -> Sequence[Bar]:
        """Take closed bars of REST; return those that were not given out, by closing time and symbol.

        They say more than a forming bar of the same time, which may have lost its last frames.
        """
        closed: list[Bar] = []
        for bar in sorted(bars, key=_order):
            if bar.timeframe != self._timeframe or bar.ts_event <= self._last.get(bar.symbol, 0):
                continue
            forming = self._forming.get(bar.symbol)
            if forming is not None and forming.ts_event <= bar.ts_event:
                del self._forming[bar.symbol]
            closed.append(self._close(bar))
        return closed

    def _close(self, bar: Bar) -> Bar:
        self._last[bar.symbol] = bar.ts_event
        return bar

    def save(self) -> LiveBarsState:
        """Return where it stands. Bars that form are not kept: REST gives them whole."""
        return LiveBarsState(dict(self._last))

    def load(self, state: LiveBarsState) -> None:
        """Go on after the bars of ``state``."""
        self._last = {symbol: Nanos(ts) for symbol, ts in state.last.items()}
        self._forming.clear()


def _order(bar: Bar) -> tuple[int, str]:
    return bar.ts_event, bar.symbol


async def read_bars(
    rest: RestClient,
    symbol: str,
    timeframe: Timeframe,
    span: tuple[Nanos, Nanos],
    purpose: Purpose = Purpose.HISTORY,
) -> Sequence[Bar]:
    """Return the closed bars that open from ``span[0]`` on, up to venue time ``span[1]``, oldest first.

    The venue keeps the newest 5,000; older ones are not to be had and are left out without a word.
    """
    start, now = span
    found: dict[Nanos, Bar] = {}
    while start < now:
        request: Mapping[str, object] = {
            "coin": symbol,
            "interval": timeframe_name(timeframe),
            "startTime": to_ms(start),
            "endTime": to_ms(now),
        }
        page = candles(await rest.info({"type": "candleSnapshot", "req": request}, purpose), now)
        found |= {bar.ts_event: bar for bar in page}
        if len(page) < _PAGE - 1 or page[-1].ts_event <= start:
            break
        start = page[-1].ts_event
    return list(found.values())
