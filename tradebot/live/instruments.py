"""The rules and the listing of what we trade, read again: what was true at boot is not true for months.

They are asked for each hour, and at once when a word of the venue hints that they are not what we think. What changed
is an input of the line: orders are formed by it from there on, and a past that is run again forms them the same way.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from tradebot.live.line import LiveLine
from tradebot.log import log
from tradebot.model.errors import Unavailable, VenueError
from tradebot.model.instrument import Instrument, InstrumentSeen, Listing
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Message
from tradebot.model.order import FillReport, OrderCanceled, OrderRejected, RefusalClass
from tradebot.model.time import from_ms
from tradebot.model.venue import SETTLED, Listed
from tradebot.ports import Clock

PERIOD_S = 3600.0
# A venue that refuses again and again is not asked for its rules each time.
_LEAST_S = 10.0
_HALT_S = 300.0
_OF_RULES = frozenset({RefusalClass.OFF_GRID, RefusalClass.OFF_TICK, RefusalClass.TOO_SMALL, RefusalClass.NOT_TRADED})
_DELISTED = "delisted"


def hint_of(message: Message, line: LiveLine) -> tuple[str, str] | None:
    """Return of which symbol the venue's word hints that its rules have changed, and the words; else ``None``."""
    match message:
        case FillReport(client_order_id=str(name), symbol=symbol) if name.startswith(SETTLED):
            return symbol, ""
        case OrderRejected(client_order_id=name, reason=words, refusal=refusal) if refusal in _OF_RULES:
            pass
        case OrderCanceled(client_order_id=name, reason=words) if _DELISTED in words:
            pass
        case _:
            return None
    order = line.orders.find(name)
    return None if order is None else (order.request.symbol, words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where rules come from. ``read`` asks the venue and raises ``VenueError``; ``venue_ms`` is its time.

    ``is_halt``: whether words of the venue say that a symbol is not traded now, though it may be listed.
    ``is_simulated``: orders go to a simulated venue, which keeps the rules that it was made with.
    """

    read: Callable[[], Awaitable[Mapping[str, Listed]]]
    venue_ms: Callable[[], int]
    symbols: tuple[str, ...]
    is_halt: Callable[[str], bool] = lambda words: False
    is_simulated: bool = False


class InstrumentWatch:
    """Looks, and tells the line. ``changed`` hears after each look which symbols are traded."""

    def __init__(
        self,
        source: Source,
        line: LiveLine,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source, self._line, self._clock, self._sleep = source, line, clock, sleep
        self._hinted = asyncio.Event()
        self._looked_at = 0.0
        self._halted: dict[str, tuple[str, float]] = {}
        self.changed: Callable[[Collection[str]], Awaitable[None]] = _unheard

    def doubt(self, symbol: str, words: str = "") -> None:
        """Have looked soon: ``words`` of the venue about ``symbol`` do not fit what we think of it."""
        if self._source.is_halt(words):
            self._halted[symbol] = words, self._clock.monotonic() + _HALT_S
        self._hinted.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        self._looked_at = self._clock.monotonic()
        while True:
            await self._wait()
            # The venue cannot be asked now, or the daemon is stopping: this look is none.
            with contextlib.suppress(VenueError, Unavailable):
                await self.look()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HALT_S if self._halted else PERIOD_S):
                await self._hinted.wait()
        await self._sleep(max(0.0, self._looked_at + _LEAST_S - self._clock.monotonic()))

    async def look(self) -> None:
        """Ask once. Raises ``VenueError``."""
        self._hinted.clear()
        self._looked_at = self._clock.monotonic()
        await self.take(await self._source.read())

    async def take(self, listed: Mapping[str, Listed]) -> None:
        """Tell the line what holds by ``listed``, as far as that is news."""
        now = self._clock.monotonic()
        # Whether a halt is over shows when the next order is taken.
        self._halted = {symbol: halt for symbol, halt in self._halted.items() if halt[1] > now}
        symbols = sorted({*self._source.symbols, *self._line.risk.positions})
        seen = [self._seen(symbol, listed.get(symbol)) for symbol in symbols]
        for one in seen:
            if self._line.risk.is_news(one):
                _log(one)
        await self._line.deliver(seen)
        await self.changed([one.symbol for one in seen if not one.listing.has_ended])

    def _seen(self, symbol: str, asset: Listed | None) -> InstrumentSeen:
        listing, words = _listing(asset), ""
        if listing is Listing.TRADED and symbol in self._halted:
            listing, words = Listing.HALTED, self._halted[symbol][0]
        known = self._line.risk.instrument(symbol)
        instrument = known if asset is None or self._source.is_simulated else asset.instrument
        ts = from_ms(self._source.venue_ms())
        return InstrumentSeen(ts_event=ts, instrument=instrument, listing=listing, words=words)


def _listing(asset: Listed | None) -> Listing:
    if asset is None:
        return Listing.UNLISTED
    return Listing.DELISTED if asset.is_delisted else Listing.TRADED


def _log(seen: InstrumentSeen) -> None:
    rules: Instrument = seen.instrument
    log(
        LogEvent.INSTRUMENT_CHANGED,
        level="info" if seen.listing is Listing.TRADED else "warning",
        symbol=seen.symbol,
        listing=seen.listing.value,
        tick=rules.tick,
        lot=rules.lot,
        min_notional=rules.min_notional,
        max_leverage=rules.max_leverage,
    )


async def _unheard(symbols: Collection[str]) -> None:
    del symbols
