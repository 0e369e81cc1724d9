"""How much may be open in symbols that move together."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Limit, Used, largest_sum
from tradebot.pipeline.risk.measures.clusters import Cluster


class ClusterNotionalGate(Limit):
    """Bounds what is open and at work in each cluster of correlated symbols, long and short together, in cash.

    A symbol with too few daily returns stands alone.
    """

    setting = "max_cluster_notional"
    names: ClassVar = {
        setting: "what moves with the symbol leaves less of `max_cluster_notional` than the smallest order"
    }

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return what is open and at work in the cluster of the symbol."""
        own = next(group for group in _clusters(book, signal.symbol) if signal.symbol in group.symbols)
        by_symbol = book.exposed().by_symbol
        return sum((by_symbol[symbol] for symbol in own.symbols if symbol in by_symbol), ZERO)

    def used(self, book: Book) -> Used:
        """Return the cluster with most."""
        names = {symbol: "+".join(group.symbols) for group in _clusters(book) for symbol in group.symbols}
        return largest_sum((names[one.symbol], one.notional) for one in book.exposed())


def _clusters(book: Book, *more: str) -> tuple[Cluster, ...]:
    return book.measures.clusters(frozenset((*book.exposed().by_symbol, *more)))
