"""What the contract suite asks of an implementation: a world of an exchange, what goes wrong there, and clients of it.

A venue passes the suite when it adds a ``World`` to ``tests.contract.venue.worlds``, and nothing else.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

from tradebot.model.time import Nanos
from tradebot.model.venue import Capabilities, VenueOrder
from tradebot.ports import Clock, Execution, Market
from tradebot.store.rows import Query
from tradebot.store.schema import Row

SYMBOLS = ("BTC", "ETH")


class Fault(StrEnum):
    """What an exchange and the way to it do to a client."""

    LOST = "lost"
    """An action never arrives, and is never answered."""
    UNANSWERED = "unanswered"
    """An action is done, and never answered."""
    LATE = "late"
    """An action is done after its sender gave it up, as late as the venue lets one be."""
    DEAF = "deaf"
    """No question is answered."""
    LAG = "lag"
    """Answers are as old as they may be."""
    DOUBLED = "doubled"
    """What happens is told twice."""
    REORDERED = "reordered"
    """What happens is told in another order."""


class MemoryJournal:
    """A journal that outlives the client that writes to it; each row is durable at once."""

    def __init__(self) -> None:
        self.kept: list[Row] = []

    @property
    def last_seq(self) -> int:
        return len(self.kept)

    def append(self, kind: str, ts_event: Nanos, payload: bytes) -> int:
        self.kept.append(Row(len(self.kept) + 1, kind, ts_event, ts_event, payload))
        return len(self.kept)

    async def committed(self, seq: int) -> None:
        assert seq <= self.last_seq

    async def rows(self, query: Query) -> list[Row]:
        chosen = [row for row in self.kept if query.after_seq < row.seq and _is_of(row, query)]
        return (chosen[::-1] if query.newest_first else chosen)[: query.limit]

    async def scan(self, query: Query) -> AsyncGenerator[Row, None]:
        for row in [row for row in self.kept if _is_of(row, query)]:
            yield row


def _is_of(row: Row, query: Query) -> bool:
    return query.kinds is None or row.kind in query.kinds


Law = Callable[["World"], Awaitable[None]]
"""What holds in a world."""


class Home:
    """A state directory: what a client that was killed leaves to the next one."""

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self.journal = MemoryJournal()


class World(ABC):
    """One exchange with one account of 10,000, and ``SYMBOLS``. All quantities here are in its ``unit``."""

    name: str
    can: Capabilities
    clock: Clock
    """Time as the comparison counts it."""
    unit: Decimal
    """What costs some hundredth of the account, in either symbol."""
    patience_s: float
    """How long, by ``sleep``, anything may take to come right."""

    @classmethod
    @abstractmethod
    def play(cls, law: "Law") -> None:
        """Run ``law`` in a world of its own."""

    @abstractmethod
    async def client(self, home: Home) -> Execution:
        """Return a client of ``home`` that knows nothing but what ``home`` keeps."""

    @abstractmethod
    def market(self) -> Market:
        """Return the market, whoever trades there."""

    # What happens at the exchange.

    @abstractmethod
    def price(self, symbol: str = "BTC") -> Decimal:
        """Return the price."""

    @abstractmethod
    def move(self, factor: str, symbol: str = "BTC") -> None:
        """Let the market be at ``factor`` times its price."""

    @abstractmethod
    def close_bars(self, count: int) -> None:
        """Let so many bars of a minute close."""

    @abstractmethod
    def thin_out(self, qty: str, symbol: str = "BTC") -> None:
        """Let no more than about ``qty`` be offered on either side."""

    @abstractmethod
    def trade_by_hand(self, qty: str, price: Decimal | None = None, symbol: str = "BTC") -> None:
        """Trade ``qty`` on the account, < 0 to sell, at the market or resting at ``price``."""

    @abstractmethod
    def cancel_by_hand(self, symbol: str = "BTC") -> None:
        """Cancel all that rests in ``symbol``."""

    @abstractmethod
    def deposit(self, amount: str) -> None:
        """Let money come to the account."""

    @abstractmethod
    def fault(self, name: Fault, times: int | None = None) -> None:
        """Let ``name`` happen to the next ``times`` requests, or for good."""

    @abstractmethod
    def heal(self) -> None:
        """Let all faults end."""

    @abstractmethod
    def hang_up(self) -> None:
        """Break the streams; they may connect anew at once."""

    # What is true there.

    @abstractmethod
    def placed(self) -> Mapping[str, Sequence[str]]:
        """Return the ids of all orders that ever existed, by the client order id that they were placed with."""

    @abstractmethod
    def resting(self) -> Sequence[VenueOrder]:
        """Return what rests and is awake."""

    @abstractmethod
    def position(self, symbol: str = "BTC") -> Decimal:
        """Return what is held, short < 0."""

    @abstractmethod
    def cash(self) -> Decimal:
        """Return the money without the open profit of positions."""

    @abstractmethod
    def fills(self) -> Sequence[str]:
        """Return the trade ids of the account, oldest first."""

    # Time.

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait, as the comparison does."""

    @abstractmethod
    async def until(self, is_so: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
        """Wait until it ``is_so``; ``what`` describes how it is when it never was."""
