"""The frames of the socket, each as one small value; what we did not ask for is ``Ignored``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tradebot.model.position import FundingPaid
from tradebot.model.venue import Formed, MarketContext, OrderBook, Printed, Quoted
from tradebot.venues.hyperliquid.account import (
    OrderRecord,
    VenueFill,
    fills,
    funding_paid,
    order_records,
)
from tradebot.venues.hyperliquid.market import asset_context, book, candle, prints, quote
from tradebot.venues.hyperliquid.reading import Node, parse


@dataclass(frozen=True, slots=True)
class Pong:
    """The socket lives; of the data it says nothing."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The venue took a subscription, or ended one; ``key`` names it as ``subscription_key`` does."""

    key: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class SocketError:
    """The venue did not like a frame of ours."""

    text: str


@dataclass(frozen=True, slots=True)
class OrdersUpdated:
    """Orders of ours changed."""

    records: tuple[OrderRecord, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """Fills of ours; a snapshot repeats old ones."""

    fills: tuple[VenueFill, ...]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class Funded:
    """Funding of ours; a snapshot repeats old payments."""

    payments: tuple[FundingPaid, ...]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class Liquidated:
    """The venue took over positions of ``user``: ours or one we met."""

    user: str


@dataclass(frozen=True, slots=True)
class CanceledByVenue:
    """Orders (symbol, venue order id) that the venue took away by itself."""

    orders: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame of a channel we do not read."""

    channel: str


Frame = (
    Pong
    | Subscribed
    | SocketError
    | Quoted
    | OrderBook
    | Printed
    | Formed
    | MarketContext
    | OrdersUpdated
    | Filled
    | Funded
    | Liquidated
    | CanceledByVenue
    | Ignored
)

_KEY_PARTS = ("coin", "interval", "user")


def subscription_key(subscription: Mapping[str, object]) -> str:
    """Return the name of a subscription: its type, then coin, interval and user where it has them.

    >>> subscription_key({"type": "candle", "coin": "BTC", "interval": "1m"})
    'candle:BTC:1m'
    """
    parts = (subscription.get(part) for part in _KEY_PARTS)
    return ":".join([str(subscription["type"]), *(str(part) for part in parts if part is not None)])


def _subscribed(data: Node) -> Frame:
    method, subscription = data.at("method").text(), data.at("subscription")
    subscription.at("type").text()
    return Subscribed(
        subscription_key({key: node.value for key, node in subscription.members()}), method == "subscribe"
    )


def _is_snapshot(data: Node) -> bool:
    flag = data.get("isSnapshot")
    return flag is not None and flag.flag()


def _user_event(data: Node) -> Frame:
    if data.get("fills") is not None:
        return Filled(fills(data.at("fills")), is_snapshot=False)
    if data.get("funding") is not None:
        return Funded((funding_paid(data.at("funding")),), is_snapshot=False)
    if data.get("liquidation") is not None:
        return Liquidated(data.at("liquidation").at("liquidated_user").address())
    if data.get("nonUserCancel") is not None:
        rows = data.at("nonUserCancel").rows()
        return CanceledByVenue(tuple((row.at("coin").text(), row.at("oid").integer()) for row in rows))
    return Ignored("user")


_READERS: Mapping[str, Callable[[Node], Frame]] = {
    "subscriptionResponse": _subscribed,
    "error": lambda data: SocketError(data.text()),
    "bbo": lambda data: Quoted(data.at("coin").text(), quote(data)),
    "l2Book": book,
    "trades": lambda data: Printed(prints(data)),
    "candle": lambda data: Formed(candle(data)),
    "activeAssetCtx": lambda data: asset_context(data.at("coin").text(), data.at("ctx")),
    "orderUpdates": lambda data: OrdersUpdated(order_records(data)),
    "userFills": lambda data: Filled(fills(data.at("fills")), _is_snapshot(data)),
    "userFundings": lambda data: Funded(
        tuple(funding_paid(row) for row in data.at("fundings").rows()), _is_snapshot(data)
    ),
    "user": _user_event,
}


def frame(text: bytes) -> Frame:
    """Return what one frame of the socket says. Raises ``Unreadable`` when a channel we read is not as it should be."""
    root = parse(text, "frame")
    channel = root.at("channel").text()
    if channel == "pong":
        return Pong()
    read = _READERS.get(channel)
    return Ignored(channel) if read is None else read(root.at("data"))
