"""What the venue says of the market, as ours: assets, prices, books, prints and bars."""

from decimal import Decimal
from itertools import pairwise

from tradebot.model.market import Bar, Level, Quote, Trade, check_bar
from tradebot.model.time import NANOS_PER_MS, NANOS_PER_S, Nanos, Timeframe, parse_timeframe
from tradebot.model.venue import MarketContext, OrderBook, Print
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.wire import Asset

_MAX_SIZE_DECIMALS = 7
_MAX_LEVERAGE = 1_001
GRACE = 2 * NANOS_PER_S
"""How long after its end a bar may still change."""


def assets(meta: Node) -> tuple[Asset, ...]:
    """Return the perpetuals of ``meta`` in the order of their ids, delisted ones with them."""
    universe = meta.at("universe")
    found = tuple(_asset(index, row) for index, row in enumerate(universe.rows()))
    if len({asset.symbol for asset in found}) != len(found):
        # The place is the id: of a name that stands at two, nobody can say which coin an order would buy.
        universe.fail("names an asset twice")
    return found


def _asset(index: int, row: Node) -> Asset:
    delisted, isolated = row.get("isDelisted"), row.get("onlyIsolated")
    mode = row.get("marginMode")
    return Asset(
        symbol=row.at("name").text(),
        id=index,
        size_decimals=row.at("szDecimals").integer(0, _MAX_SIZE_DECIMALS),
        max_leverage=row.at("maxLeverage").integer(1, _MAX_LEVERAGE),
        is_delisted=delisted is not None and delisted.flag(),
        only_isolated=(isolated is not None and isolated.flag()) or (mode is not None and mode.text() != "cross"),
    )


def asset_contexts(reply: Node) -> tuple[tuple[Asset, ...], tuple[MarketContext | None, ...]]:
    """Return ``metaAndAssetCtxs``: the assets, and by the same places what is known of each.

    A delisted asset may have no prices any more; its context is ``None``.
    """
    meta, contexts = reply.pair()
    known = assets(meta)
    rows = tuple(contexts.rows())
    if len(rows) != len(known):
        contexts.fail(f"has {len(rows)} contexts for {len(known)} assets")
    return known, tuple(
        None if asset.is_delisted else asset_context(asset.symbol, row) for asset, row in zip(known, rows, strict=True)
    )


def asset_context(symbol: str, row: Node) -> MarketContext:
    """Return the context of ``symbol``."""
    mid = row.get("midPx")
    return MarketContext(
        symbol=symbol,
        mark=row.at("markPx").price(),
        oracle=row.at("oraclePx").price(),
        mid=None if mid is None else mid.price(),
        funding=row.at("funding").decimal(Decimal(1)),
    )


def book(reply: Node) -> OrderBook:
    """Return an ``l2Book``. A crossed or unordered book fails."""
    bids, asks = (tuple(_level(row) for row in side.rows()) for side in reply.at("levels").pair())
    if _is_unordered(bids, -1) or _is_unordered(asks, 1) or (bids and asks and bids[0].price >= asks[0].price):
        reply.fail("is crossed or out of order")
    return OrderBook(reply.at("coin").text(), reply.at("time").time(), bids, asks)


def _is_unordered(levels: tuple[Level, ...], sign: int) -> bool:
    return any((b.price - a.price) * sign <= 0 for a, b in pairwise(levels))


def _level(row: Node) -> Level:
    return Level(row.at("px").price(), row.at("sz").positive_qty())


def quote(reply: Node) -> Quote | None:
    """Return a ``bbo``; ``None`` when a side is empty. Crossed prices fail."""
    bid, ask = reply.at("bbo").pair()
    symbol, ts_event = reply.at("coin").text(), reply.at("time").time()
    if bid.is_null or ask.is_null:
        return None
    best_bid, best_ask = _level(bid), _level(ask)
    if best_bid.price >= best_ask.price:
        reply.fail("is crossed")
    return _quote(symbol, ts_event, best_bid, best_ask)


def _quote(symbol: str, ts_event: Nanos, bid: Level, ask: Level) -> Quote:
    return Quote(symbol=symbol, ts_event=ts_event, bid=bid.price, ask=ask.price, bid_qty=bid.qty, ask_qty=ask.qty)


def prints(reply: Node) -> tuple[Print, ...]:
    """Return ``trades`` or ``recentTrades``, in the order given."""
    return tuple(_print(row) for row in reply.rows())


def _print(row: Node) -> Print:
    trade = Trade(
        symbol=row.at("coin").text(),
        ts_event=row.at("time").time(),
        price=row.at("px").price(),
        qty=row.at("sz").positive_qty(),
        is_buy=is_buy(row.at("side")),
    )
    return Print(row.at("tid").integer(), trade)


def is_buy(side: Node) -> bool:
    """Return whether the side is ``B``; anything but ``A`` and ``B`` fails."""
    return side.one_of("A", "B") == "B"


def candle(row: Node) -> Bar:
    """Return a candle as a bar; nothing in it says whether it is closed."""
    timeframe = _timeframe(row.at("i"))
    opened = row.at("t").time()
    closed = Nanos(opened + timeframe)
    if row.at("T").time() + NANOS_PER_MS != closed:
        row.fail(f"does not last {row.at('i').value}")
    open_, high, low, close = (row.at(key).price() for key in "ohlc")
    volume = row.at("v").qty()
    wrong = check_bar(open_, high, low, close, volume)
    if wrong is not None:
        row.fail(f"is no bar: {wrong}")
    return Bar(row.at("s").text(), timeframe, closed, open_, high, low, close, volume)


def _timeframe(interval: Node) -> Timeframe:
    try:
        return parse_timeframe(interval.text())
    except ValueError:
        interval.fail("is no interval of a bar")


def candles(reply: Node, now: Nanos) -> tuple[Bar, ...]:
    """Return the closed bars of ``candleSnapshot``, oldest first; ``now`` is market time.

    A row is closed by a later one; the last may still form until two seconds past its end. Rows out of order fail.
    """
    bars = tuple(candle(row) for row in reply.rows())
    if any(later.ts_event <= earlier.ts_event for earlier, later in pairwise(bars)):
        reply.fail("is out of order")
    is_last_closed = bool(bars) and bars[-1].ts_event + GRACE <= now
    return bars if is_last_closed else bars[:-1]


def venue_time(reply: Node) -> Nanos:
    """Return the venue's clock from ``exchangeStatus``, a book or an account state."""
    return reply.at("time").time()
