"""What a running daemon says about itself: the read handlers that socket, status and dashboard share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tradebot.model.command import TradingState
from tradebot.model.failure import LineFailed
from tradebot.model.instrument import Listing
from tradebot.model.money import Cash, Price, Qty, book, plain, rounded
from tradebot.model.order import PositionSide
from tradebot.model.position import RoundTrip
from tradebot.model.signal import Approved, Refused
from tradebot.model.time import Nanos, to_ms
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.state import Protection
from tradebot.pipeline.orders.witness import is_clear
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.breakers.base import BreakerView
from tradebot.pipeline.risk.holdings import OpenPosition
from tradebot.pipeline.risk.limits import LimitUse
from tradebot.report.breakers import breaker_rows
from tradebot.report.set_aside import set_aside_row
from tradebot.report.shapes import Document, Json
from tradebot.report.trades import optional, trade_row
from tradebot.report.why import number

_MOST_SET_ASIDE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFacts:
    """The venue as the daemon sees it.

    ``budget``: the weight of requests left for this minute, ``actions_left``: the actions left to the account; ``None``
    where nothing counts them.
    """

    kind: str
    network: str
    connected: bool
    last_message_age_s: float | None
    budget: int | None
    actions_left: int | None = None
    margin_used: Cash


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFacts:
    """The feed, and the market time it has come to."""

    kind: str
    state: str
    last_ts: Nanos | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """One supervised task: what waits in its queue, and what follows when that can take no more."""

    name: str
    state: str
    restarts: int
    queue: int
    when_full: str
    lag_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """What book and venue do not agree on, though it was asked again: a position of ``symbol``; empty, it is cash.

    ``mend`` says what ends it.
    """

    symbol: str
    book: Decimal
    venue: Decimal
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFacts:
    """Whether the files say otherwise than what is in force: since when, which dotted keys, or why they cannot be used.

    ``since`` ``None``: they say the same.
    """

    since: Nanos | None = None
    keys: Sequence[str] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """The newest backup: when it was made, ``None`` without one, and whether it was restored and came to our state."""

    last_ts: Nanos | None = None
    is_verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFact:
    """A secret that ends, and the settings that use it."""

    name: str
    expires: Nanos
    used_by: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFacts:
    """What only the daemon knows.

    ``state`` is one of ``status``. ``stops_expected`` names the strategies whose positions must carry a stop.
    ``progress_age_s`` is how long ago a heartbeat had passed every stage and the journal. ``venue_equity`` is what
    a real venue last said the account is worth, ``residual`` by how much its cash differs from ours, ``mismatches`` all
    that differs and was not explained. ``reason`` is why there is no line now,
    ``set_aside`` are the inputs that are left out, the oldest first. ``secrets`` are those in use that end some day.
    """

    bot: str
    state: str
    mode: str
    pid: int
    uptime_s: float
    version: str
    config_hash: str
    venue: VenueFacts
    feed: FeedFacts
    tasks: Sequence[TaskFacts]
    errors_last_hour: int
    log_failures: int = 0
    journal_error: str = ""
    progress_age_s: float | None = None
    stops_expected: frozenset[str] = frozenset()
    last_signal: Approved | Refused | None = None
    last_trade: RoundTrip | None = None
    venue_equity: Cash | None = None
    residual: Cash | None = None
    mismatches: Sequence[Mismatch] = ()
    reason: str = ""
    set_aside: Sequence[LineFailed] = ()
    drift: DriftFacts = DriftFacts()
    backup: BackupFacts = BackupFacts()
    secrets: Sequence[SecretFact] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignOrder:
    """An order of another hand that rests at the venue."""

    venue_order_id: str
    symbol: str
    side: str
    qty: Qty
    original_qty: Qty
    price: Price
    trigger: Price | None
    reduce_only: bool
    ts_event: Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFacts:
    """What the line knows, taken between two turns, and what others have resting at the venue.

    ``orders`` are those the venue may work on, the oldest first; ``unknown`` counts those that were sent and not
    answered. ``liquidations``: where the venue liquidates each position, as far as it says. ``disabled`` gives reasons
    by strategy.
    """

    risk: RiskState
    orders: Sequence[Order]
    unknown: int
    protection: Sequence[Protection]
    liquidations: Mapping[str, Price] = field(default_factory=dict)
    limits: Sequence[LimitUse]
    disabled: Mapping[str, str] = field(default_factory=dict)
    foreign: Sequence[ForeignOrder] = ()
    breakers: Sequence[BreakerView] = ()


def status(facts: RuntimeFacts, books: BookFacts | None) -> Document:
    """Return the document of ``status``. Before the books are recovered its account is null and its lists empty."""
    return {
        "bot": facts.bot,
        "state": facts.state,
        "reason": _reason(facts, books),
        "mode": facts.mode,
        "pid": facts.pid,
        "uptime_s": facts.uptime_s,
        "version": facts.version,
        "config_hash": facts.config_hash,
        "drift": {
            "is_drifted": facts.drift.since is not None,
            "since": None if facts.drift.since is None else to_ms(facts.drift.since),
            "keys": list(facts.drift.keys),
            "error": facts.drift.error,
        },
        "venue": {
            "kind": facts.venue.kind,
            "network": facts.venue.network,
            "connected": facts.venue.connected,
            "last_message_age_s": facts.venue.last_message_age_s,
            "budget": facts.venue.budget,
            "actions_left": facts.venue.actions_left,
        },
        "feed": {
            "kind": facts.feed.kind,
            "state": facts.feed.state,
            "last_ts": None if facts.feed.last_ts is None else to_ms(facts.feed.last_ts),
        },
        "account": None if books is None else balance(facts, books),
        **positions(books),
        "orders": _order_counts(books),
        "tasks": [_task(task) for task in facts.tasks],
        "risk": [] if books is None else limit_rows(books.limits),
        "breakers": [] if books is None else breaker_rows(books.breakers),
        "disabled": [] if books is None else _disabled(books.disabled),
        "untraded": [] if books is None else _untraded(books.risk),
        "mismatches": [_mismatch(one) for one in facts.mismatches],
        "set_aside": [set_aside_row(failed) for failed in facts.set_aside[-_MOST_SET_ASIDE:]],
        "backup": {
            "last_ts": None if facts.backup.last_ts is None else to_ms(facts.backup.last_ts),
            "verified": facts.backup.is_verified,
        },
        "secrets": [
            {"name": one.name, "expires": to_ms(one.expires), "used_by": list(one.used_by)} for one in facts.secrets
        ],
        "errors_last_hour": facts.errors_last_hour,
        "log_failures": facts.log_failures,
        "last_signal": None if facts.last_signal is None else _last_signal(facts.last_signal),
        "last_trade": None if facts.last_trade is None else trade_row(facts.last_trade),
    }


def balance(facts: RuntimeFacts, books: BookFacts) -> Document:
    """Return the document of ``balance``, which is also the account of ``status``."""
    risk = books.risk
    return {
        "equity": plain(book(risk.equity)),
        "cash": plain(risk.cash),
        "realized_pnl": plain(risk.realized),
        "unrealized_pnl": plain(book(risk.unrealized)),
        "fees": plain(risk.fees),
        "funding": plain(risk.funding),
        "drawdown_pct": float(risk.drawdown * 100),
        "margin_used": plain(book(facts.venue.margin_used)),
        "venue_equity": optional(facts.venue_equity),
        "residual": optional(facts.residual),
        "residual_qty": {one.symbol: plain(one.venue - one.book) for one in facts.mismatches if one.symbol},
    }


def positions(books: BookFacts | None) -> Document:
    """Return the document of ``positions``: each one, and how many of them rest on a stop for their full size."""
    if books is None:
        return {"positions": [], "protected": {"protected": 0, "total": 0}}
    stops = {each.symbol: each for each in books.protection}
    listed = [
        _position(position, books.risk, stops.get(symbol), books.liquidations.get(symbol))
        for symbol, position in sorted(books.risk.positions.items())
    ]
    covered = sum(row["protected"] is True for row in listed)
    return {"positions": listed, "protected": {"protected": covered, "total": len(listed)}}


def orders(books: BookFacts) -> list[Document]:
    """Return one object an order the venue may work on, oldest first; those of another hand last."""
    own = [_order(order) for order in books.orders]
    return [*own, *(_foreign(order) for order in books.foreign)]


def _reason(facts: RuntimeFacts, books: BookFacts | None) -> str:
    """Return why trading is not as it should be; empty while it runs."""
    if facts.reason or books is None:
        return facts.reason
    return "" if books.risk.trading_state is TradingState.RUNNING else books.risk.state_reason


def _disabled(disabled: Mapping[str, str]) -> list[Json]:
    return [{"strategy": name, "reason": reason} for name, reason in disabled.items()]


def _mismatch(one: Mismatch) -> Document:
    return {
        "what": "position" if one.symbol else "cash",
        "symbol": one.symbol,
        "book": plain(one.book),
        "venue": plain(one.venue),
        "difference": plain(one.venue - one.book),
        "mend": one.mend,
    }


def _untraded(risk: RiskState) -> list[Json]:
    return [
        {"symbol": symbol, "listing": str(listing), "words": risk.instruments[symbol].words}
        for symbol, listing in risk.untraded.items()
    ]


def _position(position: OpenPosition, risk: RiskState, stop: Protection | None, liquidation: Price | None) -> Document:
    mark, why = risk.marks.get(position.symbol), why_unprotected(position, stop, liquidation)
    stop_price = None if stop is None else stop.stop_price
    return {
        "symbol": position.symbol,
        "strategy": position.strategy,
        "side": str(PositionSide.LONG if position.qty > 0 else PositionSide.SHORT),
        "qty": plain(abs(position.qty)),
        "entry_ts": to_ms(position.entry_ts),
        "entry_price": plain(position.entry_price),
        "mark_price": optional(mark),
        "unrealized_pnl": None if mark is None else plain(book(position.unrealized(mark))),
        "stop_price": optional(stop_price),
        "stop_moved_by": None if stop is None else stop.moved_by or None,
        "stop_distance_pct": _distance_pct(position, mark, stop_price),
        "liquidation_price": optional(liquidation),
        "liquidation_distance_pct": _distance_pct(position, mark, liquidation),
        "protected": not why,
        "why_unprotected": why or None,
        "listing": str(risk.untraded.get(position.symbol, Listing.TRADED)),
    }


def why_unprotected(position: OpenPosition, stop: Protection | None, liquidation: Price | None) -> str:
    """Return why ``position`` has no stop for its full size that wakes before its liquidation; empty when it has."""
    if stop is None:
        return "the book knows no stop of it"
    if not stop.is_full:
        return stop.why or "no stop of it rests at the venue"
    if liquidation is None or stop.stop_price is None or is_clear(stop.stop_price, liquidation, position.qty):
        return ""
    return f"its stop does not lie clearly before the liquidation at {plain(liquidation)}"


def _distance_pct(position: OpenPosition, mark: Decimal | None, price: Decimal | None) -> float | None:
    """Return how far the mark may go against ``position`` to ``price``, in percent of it; < 0 beyond it."""
    if mark is None or price is None:
        return None
    against = mark - price if position.qty > 0 else price - mark
    return float(rounded(against / mark * 100, 4))


def _order(order: Order) -> Document:
    request = order.request
    return {
        "id": request.client_order_id,
        "symbol": request.symbol,
        "strategy": request.strategy,
        "role": str(request.role),
        "side": str(request.side),
        "type": str(request.type),
        "qty": plain(order.qty),
        "filled_qty": plain(order.filled_qty),
        "price": optional(request.price),
        "trigger": optional(request.trigger),
        "reduce_only": request.reduce_only,
        "state": str(order.state),
        "ts": to_ms(request.ts_event),
        "venue_order_id": order.venue_order_id or None,
        "signal_id": request.signal_id,
        "own": True,
    }


def _foreign(order: ForeignOrder) -> Document:
    return {
        "id": order.venue_order_id,
        "symbol": order.symbol,
        "strategy": "",
        "role": "foreign",
        "side": order.side,
        "type": "limit" if order.trigger is None else "trigger",
        "qty": plain(order.original_qty),
        "filled_qty": plain(order.original_qty - order.qty),
        "price": plain(order.price),
        "trigger": optional(order.trigger),
        "reduce_only": order.reduce_only,
        "state": "open",
        "ts": to_ms(order.ts_event),
        "venue_order_id": order.venue_order_id,
        "signal_id": "",
        "own": False,
    }


def _order_counts(books: BookFacts | None) -> Document:
    if books is None:
        return {"open": 0, "unknown": 0}
    return {"open": len(books.orders), "unknown": books.unknown}


def _task(task: TaskFacts) -> Document:
    return {
        "name": task.name,
        "state": task.state,
        "restarts": task.restarts,
        "queue": task.queue,
        "when_full": task.when_full,
        "lag_ms": task.lag_ms,
    }


def limit_rows(limits: Iterable[LimitUse]) -> list[Json]:
    """Return each limit with its use, one object each."""
    return [
        {
            "limit": use.limit,
            "value": number(use.limit, use.value),
            "max": number(use.limit, use.max),
            "pct_used": float(use.pct_used),
            "scope": use.scope,
        }
        for use in limits
    ]


def _last_signal(answer: Approved | Refused) -> Document:
    signal = answer.signal
    return {
        "ts": to_ms(signal.ts_event),
        "symbol": signal.symbol,
        "strategy": signal.strategy,
        "signal_id": signal.id,
        "action": str(signal.action),
        "side": str(signal.side),
        "outcome": "refused" if isinstance(answer, Refused) else "approved",
        "gate": answer.gate if isinstance(answer, Refused) else None,
    }
