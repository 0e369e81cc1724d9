"""Closed bars from a venue that only ever shows bars as they form.

A bar is closed by the next one of its symbol, or by market time two seconds past its end. Whatever the socket may
have missed a part of is asked for over REST, and taken from there alone: a bar that was forming meanwhile, too.
So no bar comes twice, none out of order, and none with less than happened in it.
"""

from collections.abc import Iterable, Mapping, Sequence

from tradebot.model.market import Bar
from tradebot.model.time import NANOS_PER_S, Nanos, Timeframe, timeframe_name, to_ms
from tradebot.venues.hyperliquid.market import GRACE, book, candles
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.resilience import Purpose

_PAGE = 5000
# So many frames that nobody took are given up: the venue keeps the bars.
_MOST_FRAMES = 256
# So often a bar that the socket told of and REST does not know is asked for again.
_MOST_DOUBTS = 5
# How far ahead of the market's own time a frame may open before it is nonsense.
_AHEAD = 60 * NANOS_PER_S


class LiveBars:
    """The bars of one symbol in one timeframe, from frames of the socket and from REST; pure.

    At first, and whenever a frame may be lost, it ``needs_history`` and gives nothing until ``on_history``.
    """

    __slots__ = (
        "_doubts",
        "_frames",
        "_has_lost",
        "_is_asking",
        "_known_until",
        "_last",
        "_torn_until",
        "_was_lost",
        "needs_history",
        "timeframe",
    )

    def __init__(self, timeframe: Timeframe, last: Nanos | None = None) -> None:
        self.timeframe = timeframe
        self.needs_history = True
        self._last = last
        self._frames: dict[Nanos, Bar] = {}
        self._is_asking = False
        self._has_lost = self._was_lost = True
        # Bars that opened by then may be torn in our frames.
        self._torn_until = 0
        # What REST did not have of the time before, there is not.
        self._known_until = 0
        self._doubts: tuple[Nanos, int] = (Nanos(0), 0)

    @property
    def last(self) -> Nanos | None:
        """The close of the newest bar given out, ``None`` before the first."""
        return self._last

    @property
    def next_close(self) -> Nanos | None:
        """The earliest close that a further bar can have, ``None`` when nothing is known yet."""
        return None if self._last is None else Nanos(self._last + self.timeframe)

    def lost(self) -> None:
        """Take note that frames up to now may be lost."""
        self.needs_history = self._has_lost = True

    def on_bar(self, bar: Bar) -> bool:
        """Take a bar as it stands; return whether it is the first frame of a bar."""
        if bar.timeframe != self.timeframe or bar.ts_event <= (self._last or 0):
            return False
        known = self._frames.get(bar.ts_event)
        # Within a bar volume only grows: a frame with less of it was overtaken.
        if known is None or bar.volume >= known.volume:
            self._frames[bar.ts_event] = bar
        if len(self._frames) > _MOST_FRAMES:
            self._frames = {bar.ts_event: bar}
            self.lost()
        return known is None

    def closed(self, now: Nanos, heard: Nanos) -> Sequence[Bar]:
        """Return the bars that are closed at market time ``now`` and known to be whole, oldest first.

        ``heard``: the market time at which the socket last told anything.
        """
        out: list[Bar] = []
        while not (self.needs_history or self._is_asking) and self._frames:
            bar, following = self._oldest()
            if following is None and now <= bar.ts_event + GRACE:
                break
            if self._may_miss(bar, following, heard) and self._is_doubted(bar):
                self.lost()
            elif bar.ts_open <= self._torn_until and self._is_doubted(bar):
                self.needs_history = True
            else:
                self._give(bar, out)
        return out

    def ask(self) -> None:
        """Take note that REST is being asked; what is lost from here on needs another answer."""
        self.needs_history, self._is_asking = False, True
        self._was_lost, self._has_lost = self._has_lost, False

    def unanswered(self) -> None:
        """Take note that no answer came."""
        self.lost()
        self._is_asking = False

    def on_history(self, bars: Iterable[Bar], now: Nanos) -> Sequence[Bar]:
        """Take the closed bars that REST had at market time ``now``; return those not given out, oldest first."""
        out: list[Bar] = []
        for bar in sorted(bars, key=lambda each: each.ts_event):
            if bar.timeframe == self.timeframe and bar.ts_event > (self._last or 0):
                self._give(bar, out)
        self._known_until, self._is_asking = now, False
        self._torn_until = now if self._was_lost else self._torn_until
        self._frames = {close: bar for close, bar in self._frames.items() if close > (self._last or 0)}
        ahead = [close for close, bar in self._frames.items() if bar.ts_open > now + self.timeframe + _AHEAD]
        for close in ahead:
            del self._frames[close]
        if ahead:
            # Nonsense most likely; or the answer took so long that the market is there by now.
            self.lost()
        return out

    def _oldest(self) -> tuple[Bar, Nanos | None]:
        first, *others = sorted(self._frames)
        return self._frames[first], self._frames[others[0]].ts_open if others else None

    def _may_miss(self, bar: Bar, following: Nanos | None, heard: Nanos) -> bool:
        """Return whether something between the bar and its neighbours may not have reached us."""
        is_behind_hole = self._last is not None and bar.ts_open > max(self._last, self._known_until)
        if following is None:
            # Silence may be ours alone: time closes a bar only when the socket has spoken since its end.
            return is_behind_hole or heard <= bar.ts_event
        return is_behind_hole or following > max(bar.ts_event, self._known_until)

    def _is_doubted(self, bar: Bar) -> bool:
        """Return whether to ask REST for the bar once more; what it never has, the socket is believed."""
        times = self._doubts[1] + 1 if self._doubts[0] == bar.ts_event else 1
        self._doubts = bar.ts_event, times
        return times <= _MOST_DOUBTS

    def _give(self, bar: Bar, out: list[Bar]) -> None:
        self._last = bar.ts_event
        self._frames.pop(bar.ts_event, None)
        out.append(bar)


async def market_time(rest: RestClient, symbol: str, purpose: Purpose = Purpose.TRADE) -> Nanos:
    """Return the stamp of the newest book: on a devnet the market may run apart from the venue's clock."""
    return book(await rest.info({"type": "l2Book", "coin": symbol}, purpose)).ts_event


async def read_bars(
    rest: RestClient,
    symbol: str,
    timeframe: Timeframe,
    span: tuple[Nanos, Nanos],
    purpose: Purpose = Purpose.HISTORY,
) -> Sequence[Bar]:
    """Return the closed bars that open from ``span[0]`` on, up to market time ``span[1]``, oldest first.

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
        # A bar that only touches the start, or another's: not what was asked for.
        found |= {bar.ts_event: bar for bar in page if bar.symbol == symbol and bar.ts_open >= start}
        if len(page) < _PAGE - 1 or page[-1].ts_event <= start:
            break
        start = page[-1].ts_event
    return list(found.values())
