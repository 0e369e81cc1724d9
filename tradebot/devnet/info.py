"""What ``/info`` answers about the market, and the table of all its requests."""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tradebot.devnet.account import FUNDING_RATE
from tradebot.devnet.candles import INTERVALS, KEPT
from tradebot.devnet.exchange import Exchange
from tradebot.devnet.info_user import UserInfo
from tradebot.devnet.market import BookLevel, CoinMarket
from tradebot.devnet.wire import Json, Malformed, field, number, read_int, read_object, read_str
from tradebot.model.money import ZERO
from tradebot.model.time import HOUR, NANOS_PER_MS

USDC: Json = {
    "name": "USDC",
    "szDecimals": 8,
    "weiDecimals": 8,
    "index": 0,
    "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
    "isCanonical": True,
    "evmContract": None,
    "fullName": None,
    "deployerTradingFeeShare": "0.0",
}
_FUNDING_ROWS = 500
_MANTISSAS = (1, 2, 5)
Answer = Callable[[Json], object]


class BadBook(Exception):
    """An aggregation that the book does not know: HTTP 500 with ``null``."""


class Info:
    """Answers by request type."""

    def __init__(self, exchange: Exchange) -> None:
        self.users = UserInfo(exchange)
        self._exchange = exchange
        self._answers: Mapping[str, Answer] = {
            "allMids": lambda _body: self.all_mids(),
            "meta": lambda _body: self.meta(),
            "metaAndAssetCtxs": lambda _body: [self.meta(), self.contexts()],
            "allPerpMetas": lambda _body: [self.meta()],
            "perpDexs": lambda _body: [None],
            "spotMeta": lambda _body: {"tokens": [USDC], "universe": []},
            "spotMetaAndAssetCtxs": lambda _body: [{"tokens": [USDC], "universe": []}, []],
            "l2Book": self._l2_book,
            "recentTrades": self._recent_trades,
            "candleSnapshot": self._candles,
            "fundingHistory": self._funding_history,
            "predictedFundings": lambda _body: self._predicted_fundings(),
            "exchangeStatus": lambda _body: {"time": exchange.now_ms, "specialStatuses": self.special_status},
            "perpsAtOpenInterestCap": lambda _body: [],
            "maxMarketOrderNtls": lambda _body: [[number(one.max_value), name] for name, one in exchange.coins.items()],
            **self.users.answers,
        }
        self.special_status: str | None = None

    def answer(self, body: object) -> object:
        """Return the answer to a request. Raises ``Malformed``, or ``BadBook``."""
        request = read_object(body)
        kind = read_str(field(request, "type"))
        answer = self._answers.get(kind)
        if answer is None:
            raise Malformed(f"unknown variant `{kind}`")
        return answer(request)

    def all_mids(self) -> Json:
        """Return the price between bid and ask of every coin."""
        return {name: number(market.mid) for name, market in self._exchange.markets.items()}

    def meta(self) -> Json:
        """Return the universe."""
        coins = self._exchange.coins.values()
        leverages = sorted({coin.max_leverage for coin in coins})
        tables = [[one, {"description": "", "marginTiers": [_tier(one)]}] for one in leverages]
        return {"universe": [coin.meta() for coin in coins], "marginTables": tables, "collateralToken": 0}

    def contexts(self) -> list[Json]:
        """Return the context of every coin, in the order of the universe."""
        return [market.context(FUNDING_RATE) for market in self._exchange.markets.values()]

    def market(self, body: Json) -> CoinMarket | None:
        """Return the market a request is about, or ``None`` of an unknown coin."""
        return self._exchange.markets.get(read_str(field(body, "coin")))

    def _l2_book(self, body: Json) -> object:
        market = self.market(body)
        return None if market is None else book_of(market, body.get("nSigFigs"), body.get("mantissa"))

    def _recent_trades(self, body: Json) -> object:
        market = self.market(body)
        return [] if market is None else list(reversed(market.prints))

    def _candles(self, body: Json) -> object:
        request = read_object(field(body, "req"))
        market, interval = self.market(request), read_str(field(request, "interval"))
        if interval not in INTERVALS:
            raise Malformed(f"unknown variant `{interval}`")
        start, end = read_int(field(request, "startTime")), request.get("endTime")
        until = 1 << 62 if end is None else read_int(end)
        return [] if market is None else [row.row() for row in market.candles.between(interval, start, until)][-KEPT:]

    def _funding_history(self, body: Json) -> object:
        market = self.market(body)
        start, end = read_int(field(body, "startTime")), body.get("endTime")
        if market is None:
            return []
        now = market.ts // NANOS_PER_MS
        until = now if end is None else min(now, read_int(end))
        hour = HOUR // NANOS_PER_MS
        first = max(-(-start // hour) * hour, now - KEPT * hour)
        times = range(first - first % hour, until + 1, hour)[:_FUNDING_ROWS]
        row = {"coin": market.coin.name, "fundingRate": number(FUNDING_RATE), "premium": "0.0"}
        return [row | {"time": time} for time in times if time >= start]

    def _predicted_fundings(self) -> object:
        rows = []
        for name, market in self._exchange.markets.items():
            following = (market.ts // HOUR + 1) * HOUR // NANOS_PER_MS
            venue = {"fundingRate": number(FUNDING_RATE), "nextFundingTime": following, "fundingIntervalHours": 1}
            rows.append([name, [["BinPerp", None], ["HlPerp", venue], ["BybitPerp", None]]])
        return rows


def book_of(market: CoinMarket, figures: object = None, mantissa: object = None, levels: int = 20) -> Json:
    """Return the book of ``market``, aggregated when asked. Raises ``BadBook``."""
    if figures is not None and (isinstance(figures, bool) or figures not in (2, 3, 4, 5)):
        raise BadBook
    if mantissa is not None and (figures != 5 or mantissa not in _MANTISSAS):
        raise BadBook
    bids, asks = market.sides
    if figures is not None:
        step = Decimal(1).scaleb(market.mark.adjusted() + 1 - int(str(figures))) * int(str(mantissa or 1))
        bids, asks = _bucketed(bids, step, up=False), _bucketed(asks, step, up=True)
    rows = [[level.row() for level in side[:levels]] for side in (bids, asks)]
    return {"coin": market.coin.name, "time": market.ts // NANOS_PER_MS, "levels": rows}


def _bucketed(levels: list[BookLevel], step: Decimal, *, up: bool) -> list[BookLevel]:
    buckets: dict[Decimal, BookLevel] = {}
    for level in levels:
        px = (level.px / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step
        bucket = buckets.setdefault(px, BookLevel(px, ZERO, 0))
        bucket.sz += level.sz
        bucket.n += level.n
    return list(buckets.values())


def _tier(leverage: int) -> Json:
    return {"lowerBound": "0.0", "maxLeverage": leverage}
