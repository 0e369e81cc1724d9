"""Closed bars from a venue that only ever shows bars as they form.

A bar is closed by the next one of its symbol, or by market time two seconds past its end. Each frame tells of its bar
from the beginning, so that after frames were lost the next one makes its bar whole again. REST is asked for what no
frame made whole: a bar that closed while we did not hear, or that was not spoken of since. It is taken from there
alone. So no bar comes twice, none out of order, and none with less than happened in it.
"""

from collections.abc import Mapping, Sequence

from tradebot.model.market import Bar
from tradebot.model.time import Nanos, Timeframe, timeframe_name, to_ms
from tradebot.model.venue import Purpose
from tradebot.venues.hyperliquid.market import book, candles
from tradebot.venues.hyperliquid.rest import RestClient

_PAGE = 5000


async def market_time(rest: RestClient, symbol: str, purpose: Purpose) -> Nanos:
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
