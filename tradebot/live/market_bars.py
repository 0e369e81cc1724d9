"""Closed bars from a venue that only ever shows bars as they form.

A bar is closed by the next one of its symbol, or by market time a grace past its end. Each frame tells of its bar
from the beginning, so that after frames were lost the next one makes its bar whole again. REST is asked for what no
frame made whole: a bar that closed while we did not hear, or that was not spoken of since. It is taken from there
alone. So no bar comes twice, none out of order, and none with less than happened in it.
"""

from collections.abc import Iterable, Sequence

from tradebot.model.market import Bar
from tradebot.model.time import NANOS_PER_S, Nanos, Timeframe, floor_to

# The marks of a symbol come every few seconds: so long it may be silent after the end of a bar.
_PATIENCE = 5 * NANOS_PER_S
# So many frames that nobody took are given up: the venue keeps the bars.
_MOST_FRAMES = 256
# So often a bar that the socket told of and REST does not know is asked for again.
_MOST_DOUBTS = 5
# How far ahead of the market's own time a frame may open before it is nonsense.
_AHEAD = 60 * NANOS_PER_S


class LiveBars:
    """The bars of one symbol in one timeframe, from frames of the socket and from REST; pure.

    ``grace`` is how long after its end a bar may still change at the venue. ``last`` is the close of the newest bar
    that was given out. Nothing is given while it ``needs_history``, until
    ``on_history``.
    """

    __slots__ = (
        "_doubts",
        "_frames",
        "_grace",
        "_is_asking",
        "_is_ignorant",
        "_known_until",
        "_last",
        "_lost_at",
        "_torn",
        "needs_history",
        "timeframe",
    )

    def __init__(self, timeframe: Timeframe, grace: Nanos, last: Nanos | None = None) -> None:
        self.timeframe = timeframe
        self._grace = grace
        self.needs_history = False
        self._last = last
        self._frames: dict[Nanos, Bar] = {}
        # The closes of frames that later ones of their bar may have been lost of.
        self._torn: set[Nanos] = set()
        self._is_asking = False
        # Of a symbol that was never seen all is unknown.
        self._is_ignorant = last is None
        # Frames up to this market time may be lost; ``None``: whenever it is asked, for nothing was heard yet.
        self._lost_at: Nanos | None = None
        # What REST did not have of the time before, there is not.
        self._known_until = Nanos(0)
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
        """Take note that frames may be lost from here on, until ``regained``."""
        self._lost_at = None
        self._torn.update(self._frames)

    def regained(self, now: Nanos) -> None:
        """Take note that from market time ``now`` on no frame is lost."""
        if self._lost_at is None:
            self._lost_at = now

    def look(self, now: Nanos) -> bool:
        """Return whether REST is to be asked, ``now`` being market time."""
        if not (self.needs_history or self._is_asking):
            self.needs_history = self._is_ignorant or self._may_lack(now)
        return self.needs_history

    def _may_lack(self, now: Nanos) -> bool:
        """Return whether a bar has closed that frames were lost of, and that no frame has made whole since."""
        first = self._first_unknown
        is_over = now > first + self._grace or any(close > first for close in self._frames)
        if not is_over or (first in self._frames and first not in self._torn):
            return False
        # Without a trade there is no bar, and none is asked for; unless we may not have heard of it.
        return self._lost_at is None or first - self.timeframe <= self._lost_at + self._grace

    @property
    def _first_unknown(self) -> Nanos:
        """The earliest close of which REST has not said whether there is such a bar."""
        known = max(self._last or 0, self._known_until - self._grace)
        return Nanos(floor_to(Nanos(known), self.timeframe) + self.timeframe)

    def on_bar(self, bar: Bar) -> bool:
        """Take a bar as it stands; return whether it is the first frame of a bar."""
        if bar.timeframe != self.timeframe or bar.ts_event <= (self._last or 0):
            return False
        known = self._frames.get(bar.ts_event)
        # Within a bar volume only grows: a frame with less of it was overtaken.
        if known is None or bar.volume >= known.volume:
            self._frames[bar.ts_event] = bar
            self._torn.discard(bar.ts_event)
        if self._lost_at is None:
            # It may be what a new subscription tells at once, and the last for long.
            self._torn.add(bar.ts_event)
        if len(self._frames) > _MOST_FRAMES:
            self._frames, self._torn = {bar.ts_event: bar}, {bar.ts_event}
            self.needs_history = True
        return known is None

    def closed(self, now: Nanos, heard: Nanos) -> Sequence[Bar]:
        """Return the bars that are closed at market time ``now`` and known to be whole, oldest first.

        ``heard``: the market time at which the socket last told anything of the symbol.
        """
        out: list[Bar] = []
        while not (self.look(now) or self._is_asking) and self._frames:
            bar, following = self._oldest()
            # Silence may be ours alone: time closes a bar only when the socket has spoken since its end.
            is_heard = heard > bar.ts_event
            if following is None and now <= bar.ts_event + (self._grace if is_heard else self._grace + _PATIENCE):
                break
            may_miss = self._may_miss(bar, following, is_heard=is_heard)
            if (bar.ts_event in self._torn or may_miss) and self._is_doubted(bar):
                self.needs_history = True
                self._torn.update(self._frames if may_miss else ())
            else:
                self._give(bar, out)
        return out

    def ask(self) -> None:
        """Take note that REST is being asked."""
        self.needs_history, self._is_asking = False, True

    def unanswered(self) -> None:
        """Take note that no answer came."""
        self.needs_history, self._is_asking = True, False

    def on_history(self, bars: Iterable[Bar], now: Nanos) -> Sequence[Bar]:
        """Take the closed bars that REST had at market time ``now``; return those not given out, oldest first."""
        out: list[Bar] = []
        for bar in sorted(bars, key=lambda each: each.ts_event):
            if bar.timeframe == self.timeframe and bar.ts_event > (self._last or 0):
                self._give(bar, out)
        self._known_until, self._is_asking, self._is_ignorant = max(now, self._known_until), False, False
        ahead = now + self.timeframe + _AHEAD
        for close in [close for close, bar in self._frames.items() if bar.ts_open > ahead]:
            # Nonsense most likely; or the answer took so long that the market is there by now.
            del self._frames[close]
            self.needs_history = True
        for close in [close for close in self._frames if close <= (self._last or 0)]:
            del self._frames[close]
        self._torn &= self._frames.keys()
        return out

    def _oldest(self) -> tuple[Bar, Nanos | None]:
        first, *others = sorted(self._frames)
        return self._frames[first], self._frames[others[0]].ts_open if others else None

    def _may_miss(self, bar: Bar, following: Nanos | None, *, is_heard: bool) -> bool:
        """Return whether something between the bar and its neighbours may not have reached us."""
        is_behind_hole = self._last is not None and bar.ts_open > max(self._last, self._known_until)
        if following is None:
            return is_behind_hole or not is_heard
        return is_behind_hole or following > max(bar.ts_event, self._known_until)

    def _is_doubted(self, bar: Bar) -> bool:
        """Return whether to ask REST for the bar once more; what it never has, the socket is believed."""
        times = self._doubts[1] + 1 if self._doubts[0] == bar.ts_event else 1
        self._doubts = bar.ts_event, times
        return times <= _MOST_DOUBTS

    def _give(self, bar: Bar, out: list[Bar]) -> None:
        self._last = bar.ts_event
        self._frames.pop(bar.ts_event, None)
        self._torn.discard(bar.ts_event)
        out.append(bar)
