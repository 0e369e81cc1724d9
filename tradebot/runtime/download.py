"""History of an exchange into the store of bars: what is not there yet, page by page, each kept as it came."""

import asyncio
import hashlib
import os
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal

from tradebot.data.bars import BarColumns
from tradebot.data.barstore import BarStore, Origin
from tradebot.data.importing import Keep, put
from tradebot.data.numbers import compact
from tradebot.model.errors import DataError, Rejected, Unreadable, UsageError
from tradebot.model.market import Bar
from tradebot.model.near import did_you_mean
from tradebot.model.time import Nanos, from_ms, timeframe_name, to_ms
from tradebot.model.venue import Purpose
from tradebot.ports import Clock
from tradebot.runtime.alone import shared_log
from tradebot.settings.check import LIVE_TIMEFRAMES
from tradebot.settings.dataspec import StoredSeries
from tradebot.settings.files import URLS
from tradebot.venues.hyperliquid.bars import market_time, read_bars
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.resilience import Policy, Resilience

DEPTH = 5000
"""So many bars of each length the exchange keeps, the newest."""
_PAGE = 1000
_NETWORKS: Mapping[str, str] = {"hyperliquid": "mainnet", "hyperliquid-testnet": "testnet", "devnet": "devnet"}

Progress = Callable[[int, int], None]
"""Called with the bars done and the bars in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """What came of one series. ``lost`` bars between those that were there and the new ones are not to be had."""

    series: StoredSeries
    url: str
    rows: int
    added: int
    lost: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be fetched: from ``since`` on, in ms, or all that there is; ``url`` is where, if not as usual."""

    series: StoredSeries
    url: str | None = None
    since: int | None = None
    keep: Keep | None = None


def download(store: BarStore, wanted: Wanted, clock: Clock, progress: Progress) -> Downloaded:
    """Fetch what the store lacks of a series. What came before an error stays; the next call goes on there.

    Raises ``UsageError``, ``DataError`` and ``VenueError``.
    """
    return asyncio.run(_download(store, wanted, clock, progress))


async def _download(store: BarStore, wanted: Wanted, clock: Clock, progress: Progress) -> Downloaded:
    series, url = wanted.series, _url_of(wanted)
    # Whatever trades on this machine goes first: history has the lowest purpose of one budget.
    policy = Policy()
    with closing(shared_log(url, policy.span_s)) as sent:
        resilience = Resilience(policy, clock, asyncio.sleep, os.getpid(), log=sent)
        async with RestClient(url, resilience) as rest:
            try:
                now = await market_time(rest, series.symbol, Purpose.HISTORY)
            except (Rejected, Unreadable) as error:
                raise _none(series, url) from error
            return await _pages(store, wanted, url, rest, now, clock, progress)


async def _pages(
    store: BarStore, wanted: Wanted, url: str, rest: RestClient, now: Nanos, clock: Clock, progress: Progress
) -> Downloaded:
    series, step = wanted.series, wanted.series.timeframe
    held = store.held(series) if store.has(series) else None
    oldest = max(0, now // step - DEPTH) * step
    # The newest bar that is there is asked for again: it must be the same.
    begin = oldest if held is None else max(from_ms(held.until), oldest)
    if wanted.since is not None:
        begin = max(oldest, from_ms(wanted.since))
    total = max(0, (now - begin) // step)
    rows = added = 0
    for start in range(begin, now, _PAGE * step):
        end = min(start + _PAGE * step, now)
        # One more than the page: what follows a bar closes it.
        page = await read_bars(rest, series.symbol, step, (Nanos(start), Nanos(min(end + step, now))))
        bars = [bar for bar in page if bar.ts_open < end]
        if bars:
            merged = put(store, series, _columns_of(bars), _origin(bars, url, series, clock), wanted.keep)
            rows, added = rows + len(bars), added + merged.added
        progress((end - begin) // step, total)
    if held is None and not rows:
        raise _none(series, url)
    lost = 0 if held is None or wanted.since is not None else max(0, (begin - from_ms(held.until)) // step - 1)
    return Downloaded(series=series, url=url, rows=rows, added=added, lost=lost, total=store.held(series).rows)


def _none(series: StoredSeries, url: str) -> DataError:
    mend = "look at its spelling: BTC, kPEPE"
    return DataError(f"the exchange has no bars of {series.symbol}", where=url, mend=mend)


def _url_of(wanted: Wanted) -> str:
    network = _NETWORKS.get(wanted.series.venue)
    if network is None:
        mend = f"{did_you_mean(wanted.series.venue, _NETWORKS)}; others' histories are imported from files"
        raise UsageError(f"nothing can be fetched of {wanted.series.venue}", where=str(wanted.series), mend=mend)
    if wanted.series.timeframe not in LIVE_TIMEFRAMES:
        lengths = ", ".join(map(timeframe_name, LIVE_TIMEFRAMES))
        raise UsageError(
            f"the exchange has no bars of {timeframe_name(wanted.series.timeframe)}",
            where=str(wanted.series),
            mend=f"fetch one of {lengths}; `tradebot data resample` makes others",
        )
    return wanted.url or URLS[network]


def _columns_of(bars: Sequence[Bar]) -> BarColumns:
    rows = zip(*((bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars), strict=True)
    columns = [compact([Decimal(number) for number in row]) for row in rows]
    return BarColumns(array("q", (to_ms(bar.ts_open) for bar in bars)), columns)


def _origin(bars: Sequence[Bar], url: str, series: StoredSeries, clock: Clock) -> Origin:
    text = "".join(f"{bar}\n" for bar in bars)
    return Origin(
        at=to_ms(clock.now()),
        action="download",
        source=f"{url} {series}",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        rows=len(bars),
        added=0,
        since=to_ms(bars[0].ts_open),
        until=to_ms(bars[-1].ts_event),
    )
