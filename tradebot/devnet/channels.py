"""The channels of the socket: what a subscription may say, and the frames it gives.

A frame is ``{"channel": C, "data": D}``. Subscribing is acknowledged first, then a snapshot comes where there is one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tradebot.devnet.account import FUNDING_RATE, Unserved, UserAccount
from tradebot.devnet.candles import INTERVALS
from tradebot.devnet.exchange import Exchange
from tradebot.devnet.info import BadBook, Info, book_of
from tradebot.devnet.market import CoinMarket
from tradebot.devnet.wire import Json, Malformed, read_address, read_str

_FAST_LEVELS = 5
_SNAPSHOT_FILLS = 2_000


class UnknownCoin(Exception):
    """A subscription to a coin that is not there: the exchange breaks the connection."""


class Channel(NamedTuple):
    """What a subscription type needs, and what it sends when it begins and when the market has moved."""

    needs: tuple[str, ...] = ()
    on_begin: Callable[["Channels", Json], Json | None] | None = None
    on_tick: Callable[["Channels", Json], Json | None] | None = None


def frame(channel: str, data: object) -> Json:
    """Return a frame."""
    return {"channel": channel, "data": data}


class Channels:
    """The frames of one exchange."""

    def __init__(self, exchange: Exchange, info: Info) -> None:
        self.exchange = exchange
        self.info = info

    def read(self, raw: Json) -> Json:
        """Return a subscription with its defaults. Raises ``Malformed`` and ``UnknownCoin``."""
        kind = read_str(raw.get("type"))
        channel = CHANNELS.get(kind)
        if channel is None:
            raise Malformed(f"unknown subscription {kind}")
        read: Json = {"type": kind}
        for need in channel.needs:
            read[need] = read_str(raw.get(need))
        if "user" in read:
            read["user"] = read_address(read["user"])
        if "coin" in read and read["coin"] not in self.exchange.coins:
            raise UnknownCoin
        if "interval" in read and read["interval"] not in INTERVALS:
            raise Malformed(f"unknown interval {read['interval']}")
        return read | self._defaults(kind, raw)

    def begin(self, subscription: Json) -> Json | None:
        """Return the snapshot of a new subscription."""
        on_begin = CHANNELS[str(subscription["type"])].on_begin
        return None if on_begin is None else on_begin(self, subscription)

    def tick(self, subscription: Json) -> Json | None:
        """Return what a subscription says after the market has moved."""
        on_tick = CHANNELS[str(subscription["type"])].on_tick
        return None if on_tick is None else on_tick(self, subscription)

    def account_frames(self, subscription: Json, account: UserAccount, outbox: Unserved) -> Iterator[Json]:
        """Give what a subscription says after something has happened to ``account``."""
        kind, user = subscription["type"], account.user
        if kind == "orderUpdates" and outbox.order_updates:
            yield frame("orderUpdates", outbox.order_updates)
        elif kind == "userFills" and outbox.fills:
            yield frame("userFills", {"user": user, "fills": outbox.fills})
        elif kind == "userEvents":
            yield from (frame("user", event) for event in outbox.events)
        elif kind == "userFundings" and outbox.fundings:
            yield frame("userFundings", {"user": user, "fundings": outbox.fundings})
        elif kind == "userNonFundingLedgerUpdates" and outbox.ledger:
            yield frame(kind, {"user": user, "nonFundingLedgerUpdates": outbox.ledger})
        elif kind == "notification":
            yield from (frame("notification", {"notification": note}) for note in outbox.notes)
        elif kind in _STATES:
            state = self.begin(subscription)
            if state is not None:
                yield state

    def market(self, subscription: Json) -> CoinMarket:
        """Return the market of a subscription."""
        return self.exchange.markets[str(subscription["coin"])]

    def account(self, subscription: Json) -> UserAccount:
        """Return the account of a subscription, an empty one when there is none."""
        return self.info.users.find(str(subscription["user"]))

    def _defaults(self, kind: str, raw: Json) -> Json:
        if kind == "l2Book":
            extra: Json = {"nSigFigs": raw.get("nSigFigs"), "mantissa": raw.get("mantissa")}
            try:
                book_of(self.exchange.markets[str(raw["coin"])], extra["nSigFigs"], extra["mantissa"])
            except BadBook:
                raise UnknownCoin from None
            return extra | {"fast": raw.get("fast") is True}
        if kind == "userFills" and "aggregateByTime" in raw:
            return {"aggregateByTime": raw["aggregateByTime"] is True}
        return {"dex": raw["dex"]} if isinstance(raw.get("dex"), str) else {}


def _book(channels: Channels, subscription: Json) -> Json:
    is_fast = subscription["fast"] is True
    levels = _FAST_LEVELS if is_fast else 20
    book = book_of(channels.market(subscription), subscription["nSigFigs"], subscription["mantissa"], levels)
    return frame("l2Book", book | ({"fast": True} if is_fast else {}))


def _bbo(channels: Channels, subscription: Json) -> Json:
    market = channels.market(subscription)
    best = [side[0].row() if side else None for side in market.sides]
    return frame("bbo", {"coin": market.coin.name, "time": market.ts // 1_000_000, "bbo": best})


def _all_mids(channels: Channels, _subscription: Json) -> Json:
    return frame("allMids", {"mids": channels.info.all_mids()})


def _recent_trades(channels: Channels, subscription: Json) -> Json | None:
    prints = list(channels.market(subscription).prints)[-20:]
    return frame("trades", prints) if prints else None


def _fresh_trades(channels: Channels, subscription: Json) -> Json | None:
    fresh = channels.market(subscription).fresh
    return frame("trades", list(fresh)) if fresh else None


def _candle(channels: Channels, subscription: Json) -> Json | None:
    candle = channels.market(subscription).candles.newest(str(subscription["interval"]))
    return None if candle is None else frame("candle", candle.row())


def _context(channels: Channels, subscription: Json) -> Json:
    market = channels.market(subscription)
    return frame("activeAssetCtx", {"coin": market.coin.name, "ctx": market.context(FUNDING_RATE)})


def _asset_data(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    return frame("activeAssetData", channels.info.users.asset_data(account, str(subscription["coin"])))


def _fills(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    rows = channels.info.users.fills(account)[::-1][:_SNAPSHOT_FILLS]
    return frame("userFills", {"isSnapshot": True, "user": account.user, "fills": rows})


def _fundings(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    return frame("userFundings", {"isSnapshot": True, "user": account.user, "fundings": list(account.fundings)})


def _history(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    rows = channels.info.users.history(account)
    return frame("userHistoricalOrders", {"isSnapshot": True, "user": account.user, "orderHistory": rows})


def _ledger(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    body = {"isSnapshot": True, "user": account.user, "nonFundingLedgerUpdates": list(account.ledger)}
    return frame("userNonFundingLedgerUpdates", body)


def _slices(channels: Channels, subscription: Json) -> Json:
    body = {"isSnapshot": True, "user": subscription["user"], "twapSliceFills": []}
    return frame("userTwapSliceFills", body)


def _twaps(channels: Channels, subscription: Json) -> Json:
    return frame("userTwapHistory", {"isSnapshot": True, "user": subscription["user"], "history": []})


def _state(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    state = channels.info.users.state(account)
    return frame("clearinghouseState", {"dex": "", "user": account.user, "clearinghouseState": state})


def _orders(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    rows = channels.info.users.full_orders(account)
    return frame("openOrders", {"dex": "", "user": account.user, "orders": rows})


def _spot(channels: Channels, subscription: Json) -> Json:
    account = channels.account(subscription)
    return frame("spotState", {"user": account.user, "spotState": channels.info.users.spot_state(account)})


def _twap_states(channels: Channels, subscription: Json) -> Json:
    return frame("twapStates", {"dex": "", "user": subscription["user"], "states": []})


def _web_data(channels: Channels, subscription: Json) -> Json:
    data = channels.info.users.web_data(channels.account(subscription))
    return frame("webData2", data | {"assetCtxs": channels.info.contexts()})


_USER, _COIN = ("user",), ("coin",)
CHANNELS: Mapping[str, Channel] = {
    "allMids": Channel((), _all_mids, _all_mids),
    "l2Book": Channel(_COIN, _book, _book),
    "bbo": Channel(_COIN, _bbo, _bbo),
    "trades": Channel(_COIN, _recent_trades, _fresh_trades),
    "candle": Channel(("coin", "interval"), _candle, _candle),
    "activeAssetCtx": Channel(_COIN, _context, _context),
    "activeAssetData": Channel(("user", "coin"), _asset_data, _asset_data),
    "orderUpdates": Channel(_USER),
    "userEvents": Channel(_USER),
    "userFills": Channel(_USER, _fills),
    "userFundings": Channel(_USER, _fundings),
    "userNonFundingLedgerUpdates": Channel(_USER, _ledger),
    "userHistoricalOrders": Channel(_USER, _history),
    "userTwapSliceFills": Channel(_USER, _slices),
    "userTwapHistory": Channel(_USER, _twaps),
    "clearinghouseState": Channel(_USER, _state, _state),
    "openOrders": Channel(_USER, _orders),
    "spotState": Channel(_USER, _spot),
    "twapStates": Channel(_USER, _twap_states),
    "webData2": Channel(_USER, _web_data, _web_data),
    "notification": Channel(_USER),
}
_STATES = frozenset({"clearinghouseState", "openOrders", "spotState", "activeAssetData", "webData2"})
