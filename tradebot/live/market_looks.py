"""What the market is like right now, put together from the frames of a socket, as the line is told it."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from tradebot.model.market import PricesSeen, Quote, SymbolPrices
from tradebot.model.time import Nanos
from tradebot.model.venue import MarketContext

_MS = 1000


@dataclass(slots=True)
class _Heard:
    """The last context of a symbol, and when it came, in monotonic seconds."""

    context: MarketContext
    at: float


class Looks:
    """Keeps what was told last of each symbol. A mark that is told again is as good as a new one."""

    def __init__(self) -> None:
        self._contexts: dict[str, _Heard] = {}
        self._quotes: dict[str, Quote] = {}

    def context(self, context: MarketContext, now: float) -> None:
        """Take where a symbol stands."""
        self._contexts[context.symbol] = _Heard(context, now)

    def quote(self, symbol: str, quote: Quote | None) -> None:
        """Take the best prices of a symbol; ``None`` when a side is empty."""
        if quote is None:
            self._quotes.pop(symbol, None)
        else:
            self._quotes[symbol] = quote

    def down(self) -> None:
        """Forget what only changes are told of: the socket is gone."""
        self._quotes.clear()

    def prices(self, symbols: Container[str], now: float) -> tuple[SymbolPrices, ...]:
        """Return what was told of ``symbols``, in the order of their names, with its age."""
        return tuple(self._prices(heard, now) for symbol, heard in sorted(self._contexts.items()) if symbol in symbols)

    def _prices(self, heard: _Heard, now: float) -> SymbolPrices:
        context = heard.context
        quote = self._quotes.get(context.symbol)
        return SymbolPrices(
            symbol=context.symbol,
            age_ms=round((now - heard.at) * _MS),
            mark=context.mark,
            mid=context.mid,
            bid_qty=None if quote is None else quote.bid_qty,
            ask_qty=None if quote is None else quote.ask_qty,
        )


def seen(prices: Sequence[SymbolPrices], ts: Nanos) -> list[PricesSeen]:
    """Return the message of ``prices``; none where nothing was told yet."""
    return [PricesSeen(ts_event=ts, prices=tuple(prices))] if prices else []
