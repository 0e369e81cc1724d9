"""What a gate is: it stops an entry, or bounds its size, and says by what number."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, NamedTuple, Protocol

from tradebot.model.command import TradingState
from tradebot.model.instrument import Instrument, Listing
from tradebot.model.market import Message, SymbolPrices
from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, rounded
from tradebot.model.signal import Signal
from tradebot.model.time import Nanos, Timeframe
from tradebot.pipeline.risk.holdings import Exposures, WorkingEntry
from tradebot.pipeline.risk.limits import ACCOUNT, LimitUse, SizeRule
from tradebot.pipeline.risk.measures.measuring import Measures
from tradebot.pipeline.risk.trip import Trip


@dataclass(frozen=True, slots=True)
class Stopped:
    """The gate that let nothing through, with its numbers where it has any."""

    gate: str
    limit: Decimal | None = None
    value: Decimal | None = None
    detail: str = ""


class Bound(NamedTuple):
    """Of what is open and asked together, in cash, at most ``limit`` x ``unit``."""

    gate: str
    limit: Decimal
    open_notional: Decimal
    unit: Decimal


NOTHING_LEFT = "what the limit leaves is below the smallest order"


class Room(NamedTuple):
    """Of an entry at most ``qty`` may be, in lots: what was asked came to ``value``, and ``limit`` is where it ends.

    ``detail`` is said where that is too small.
    """

    gate: str
    limit: Decimal
    value: Decimal
    qty: Qty
    detail: str = NOTHING_LEFT


class Cooldown(NamedTuple):
    """How long a strategy keeps off a zone: so many of its own bars."""

    bars: int
    timeframe: Timeframe


class Book(Protocol):
    """What a gate may look at."""

    trading_state: TradingState
    state_reason: str
    is_flattening: bool
    frozen: dict[str, tuple[str, ...]]
    stops: dict[str, Price]
    entries: dict[str, WorkingEntry]
    limits: Mapping[str, Decimal]
    measures: Measures
    seen: Mapping[str, SymbolPrices] | None
    """What a live market told of each symbol at ``seen_ts``; ``None`` in a market of bars alone."""
    seen_ts: Nanos

    @property
    def trips(self) -> Mapping[str, Trip]:
        """The open positions, by symbol."""
        ...

    @property
    def marks(self) -> Mapping[str, Price]:
        """The last price of each symbol."""
        ...

    def listing(self, symbol: str) -> Listing:
        """Return whether the venue trades ``symbol``."""
        ...

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of ``symbol`` as they hold now."""
        ...

    def equity(self) -> Cash:
        """Return cash and open P&L at the marks."""
        ...

    def exposure(self) -> Cash:
        """Return the notional of what is open and of the entries at work."""
        ...

    def own_exposure(self, strategy: str) -> Cash:
        """Return the part of the exposure that is of ``strategy``."""
        ...

    def exposed(self) -> Exposures:
        """Return what the exposure is the sum of."""
        ...


# As Hyperliquid has it.
MAINTENANCE = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """What gates are made of besides the limits, which may change while they stand.

    ``maintenance`` is the maintenance margin as a fraction of the initial one at the highest leverage.
    """

    rule: SizeRule
    require_stop: bool = False
    maintenance: Decimal = MAINTENANCE
    cooldowns: Mapping[str, Cooldown] = field(default_factory=dict)


class Gate:
    """One rule. ``names`` says of each name by which it refuses when it does; the reference lists them.

    ``hear`` is told what is of the types in ``hears``, of approved entries, fills, ended orders and what the venue says
    of the account. What a gate remembers it gives as a value from ``save``.
    """

    names: ClassVar[Mapping[str, str]]
    hears: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, config: GateConfig) -> None:
        del config

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return why ``signal`` may not enter."""
        del signal, book
        return None

    def bound(self, signal: Signal, book: Book) -> Bound | None:
        """Return how large the entry of ``signal`` may be."""
        del signal, book
        return None

    def room(self, signal: Signal, qty: Qty, price: Price, book: Book) -> Room | None:
        """Return how much of an entry of ``qty`` at ``price`` may be made; ``None`` where all of it may.

        It is asked behind all bounds, of what they leave.
        """
        del signal, qty, price, book
        return None

    def use(self, book: Book) -> LimitUse | None:
        """Return how much of it is used now; ``None`` where it bounds nothing."""
        del book
        return None

    def hear(self, message: Message) -> None:
        """Remember what matters of ``message``."""

    def save(self) -> object | None:
        """Return what is remembered."""
        return None

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""


class Used(NamedTuple):
    """What is used of a limit, in its unit, and by what: ``LimitUse`` says what a scope is."""

    value: Decimal
    scope: str = ACCOUNT


class Limit(Gate, ABC):
    """A gate that bounds notionals by a key of ``[risk]``, whose name it bears.

    ``is_money``: it is in cash. ``is_needed_live``: nothing trades real money without it. ``is_live_only``: it is for
    real money alone.
    """

    setting: ClassVar[str]
    is_money: ClassVar[bool] = True
    is_needed_live: ClassVar[bool] = False
    is_live_only: ClassVar[bool] = False

    def bound(self, signal: Signal, book: Book) -> Bound | None:
        """Return the limit, and what counts towards it already."""
        limit = book.limits.get(self.setting)
        return None if limit is None else Bound(self.setting, limit, self.counted(signal, book), self.unit(book))

    def use(self, book: Book) -> LimitUse | None:
        """Return how much of the limit is used, in percent."""
        limit = book.limits.get(self.setting)
        if limit is None:
            return None
        value, scope = self.used(book)
        pct_used = rounded(value / limit * 100, 4) if limit > 0 else ZERO
        return LimitUse(limit=self.setting, value=value, max=limit, pct_used=pct_used, scope=scope)

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return what is open and counts, besides the entry that is asked, in cash."""
        del signal, book
        return ZERO

    def unit(self, book: Book) -> Decimal:
        """Return of what the limit is a multiple, in cash."""
        del book
        return ONE

    @abstractmethod
    def used(self, book: Book) -> Used:
        """Return what is used of the limit now."""


def largest_entry(book: Book) -> Used:
    """Return the notional of the largest entry at work, and its symbol."""
    entries = book.entries.values()
    return max((Used(entry.qty * entry.price, entry.symbol) for entry in entries), default=Used(ZERO))


def largest_sum(parts: Iterable[tuple[str, Decimal]]) -> Used:
    """Return the largest sum of those ``parts`` that bear one name, and the name."""
    sums: dict[str, Decimal] = {}
    for name, part in parts:
        sums[name] = sums.get(name, ZERO) + part
    return max((Used(total, name) for name, total in sums.items()), default=Used(ZERO))
