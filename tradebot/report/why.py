"""What became of each signal: the pattern it was made of, the gate that stopped it, or its orders and their ends."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import ClassVar, TypeVar, cast

from tradebot.model.failure import LineFailed
from tradebot.model.market import Message
from tradebot.model.money import ZERO, mean_price, plain
from tradebot.model.order import Fill, OrderDone, OrderRequest, OrderRole, OrderState, SubmitOrders
from tradebot.model.signal import Action, Approved, Refused, Signal
from tradebot.model.time import to_ms
from tradebot.pipeline.risk.breakers.sequence import BREAKERS
from tradebot.pipeline.risk.scaling import Scaling
from tradebot.report.set_aside import set_aside_row
from tradebot.report.shapes import Document
from tradebot.report.trades import optional

_M = TypeVar("_M", bound=Message)
_RATIO_GATES = frozenset({"max_leverage", "share_leverage", "confidence", "duplicate_zone", *Scaling.NAMES})
_RATIO_GATES |= {breaker.name for breaker in BREAKERS}


class WhyFold:
    """Explains the newest ``limit`` decisions on a symbol, or the one with a signal's or order's id.

    Give it the line's outputs in order of ``seq``, from the first; ``about`` ``None`` takes all.
    """

    KINDS: ClassVar[tuple[str, ...]] = (
        Approved.kind,
        Refused.kind,
        SubmitOrders.kind,
        Fill.kind,
        OrderDone.kind,
        LineFailed.kind,
    )

    def __init__(self, about: str | None = None, limit: int = 50) -> None:
        self._about = about
        self._limit = limit
        self._decisions: OrderedDict[str, _Decision | LineFailed] = OrderedDict()
        self._handlers: Mapping[type[Message], Callable[[Message], None]] = {
            Approved: _typed(self._approved),
            Refused: _typed(self._refused),
            SubmitOrders: _typed(self._submitted),
            Fill: _typed(self._filled),
            OrderDone: _typed(self._done),
            LineFailed: _typed(self._failed),
        }

    def add(self, message: Message) -> None:
        """Take one output; those that explain nothing are passed over."""
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)

    def rows(self) -> list[Document]:
        """Return one object a decision, newest first, with the keys of ``why``.

        Inputs that were set aside stand among them, with the outcome ``set_aside``.
        """
        told = reversed(self._decisions.values())
        return [_failed_row(one) if isinstance(one, LineFailed) else one.row() for one in told]

    def signals(self) -> list[Document]:
        """Return one object a signal, newest first, with the keys of ``signals``."""
        told = reversed(self._decisions.values())
        return [one.signal_row() for one in told if isinstance(one, _Decision)]

    def _approved(self, message: Approved) -> None:
        self._decide(message.signal, message)

    def _refused(self, message: Refused) -> None:
        self._decide(message.signal, message)

    def _decide(self, signal: Signal, answer: Approved | Refused) -> None:
        if self._is_about(signal):
            self._keep(signal.id, _Decision(signal, answer))

    def _failed(self, failed: LineFailed) -> None:
        about = self._about
        told = (failed.symbol, *failed.about.split())
        if failed.first and (about is None or any(id_ == about or id_.startswith(f"{about}-") for id_ in told)):
            self._keep(f"row {failed.first}", failed)

    def _keep(self, key: str, told: "_Decision | LineFailed") -> None:
        self._decisions[key] = told
        if len(self._decisions) > self._limit:
            self._decisions.popitem(last=False)

    def _submitted(self, message: SubmitOrders) -> None:
        for request in message.orders:
            decision = self._decision(request.signal_id)
            if decision is not None:
                decision.orders[request.client_order_id] = _OrderStory(request)

    def _filled(self, fill: Fill) -> None:
        story = self._story(fill.signal_id, fill.client_order_id)
        if story is not None:
            story.filled += fill.qty
            story.cost += fill.qty * fill.price
            story.fees += fill.fee

    def _done(self, done: OrderDone) -> None:
        story = self._story(done.signal_id, done.client_order_id)
        if story is not None:
            story.state = done.state
            story.end = done.reason
            story.is_wanted = done.is_wanted

    def _story(self, signal_id: str, client_order_id: str) -> "_OrderStory | None":
        decision = self._decision(signal_id)
        return None if decision is None else decision.orders.get(client_order_id)

    def _decision(self, signal_id: str) -> "_Decision | None":
        found = self._decisions.get(signal_id)
        return found if isinstance(found, _Decision) else None

    def _is_about(self, signal: Signal) -> bool:
        about = self._about
        return about is None or about in (signal.symbol, signal.id) or about.startswith(f"{signal.id}-")


class _OrderStory:
    """One order of a decision, and how far it came."""

    __slots__ = ("cost", "end", "fees", "filled", "is_wanted", "request", "state")

    def __init__(self, request: OrderRequest) -> None:
        self.request = request
        self.filled: Decimal = ZERO
        self.cost: Decimal = ZERO
        self.fees: Decimal = ZERO
        self.state: OrderState | None = None
        self.end = ""
        self.is_wanted = False

    def word(self) -> str:
        """Return its state; before the end that is ``working`` or ``partially_filled``."""
        if self.state is not None:
            return str(self.state)
        return str(OrderState.PARTIALLY_FILLED) if self.filled else "working"

    def row(self) -> Document:
        request = self.request
        return {
            "id": request.client_order_id,
            "role": str(request.role),
            "side": str(request.side),
            "type": str(request.type),
            "qty": plain(request.qty),
            "price": optional(request.price),
            "trigger": optional(request.trigger),
            "moved_by": request.moved_by or None,
            "state": self.word(),
            "filled_qty": plain(self.filled),
            "fill_price": plain(mean_price(self.cost, self.filled)) if self.filled else None,
            "fees": plain(self.fees),
            "reason": self.end or request.reason,
        }


class _Decision:
    """A signal, risk's answer, and the orders that came of it."""

    __slots__ = ("answer", "orders", "signal")

    def __init__(self, signal: Signal, answer: Approved | Refused) -> None:
        self.signal = signal
        self.answer = answer
        self.orders: dict[str, _OrderStory] = {}

    def outcome(self) -> str:
        """Return ordered, refused, waiting (nothing filled yet) or expired (it ended unfilled, and is not retried)."""
        if isinstance(self.answer, Refused):
            return "refused"
        if self.signal.action is Action.MOVE_STOP:
            # Its stop goes by the name of the entry, whose story it belongs to.
            return "ordered"
        leading = [story for story in self.orders.values() if story.request.role in (OrderRole.ENTRY, OrderRole.EXIT)]
        if any(story.filled for story in leading):
            return "ordered"
        if leading and all(story.state is not None for story in leading) and not leading[-1].is_wanted:
            return "expired"
        return "waiting"

    def gate(self) -> Document:
        """Return the gate that stopped the signal or, of those that made it smaller, the tightest."""
        if isinstance(self.answer, Refused):
            return _gate(self.answer.gate, self.answer.limit, self.answer.value, self.answer.detail)
        if not self.answer.cuts:
            return _gate(None, None, None, "")
        # Each cut starts from what the one before it gave, so the last one decided the size.
        cut = self.answer.cuts[-1]
        return _gate(cut.gate, cut.limit, cut.value, "")

    def row(self) -> Document:
        signal = self.signal
        approved = self.answer if isinstance(self.answer, Approved) else None
        return {
            "ts": to_ms(self.answer.ts_event),
            "symbol": signal.symbol,
            "strategy": signal.strategy,
            "signal_id": signal.id,
            "action": str(signal.action),
            "side": str(signal.side),
            "confidence": signal.confidence,
            "outcome": self.outcome(),
            **self.gate(),
            "qty": None if approved is None else plain(approved.qty),
            "cuts": [] if approved is None else [_gate(cut.gate, cut.limit, cut.value) for cut in approved.cuts],
            "orders": [story.row() for story in self.orders.values()],
            "factors": dict(signal.factors),
            **_prices(signal),
            "pattern": signal.pattern or None,
            "levels": {name: plain(price) for name, price in signal.levels.items()},
        }

    def signal_row(self) -> Document:
        signal = self.signal
        return {
            "ts": to_ms(signal.ts_event),
            "symbol": signal.symbol,
            "strategy": signal.strategy,
            "signal_id": signal.id,
            "action": str(signal.action),
            "side": str(signal.side),
            **_prices(signal),
            "reason": signal.reason,
            "pattern": signal.pattern or None,
            "confidence": signal.confidence,
            "factors": dict(signal.factors),
            "outcome": self.outcome(),
            "gate": self.gate()["gate"],
        }


def _failed_row(failed: LineFailed) -> Document:
    return {
        **set_aside_row(failed),
        "strategy": "",
        "signal_id": "",
        "action": "",
        "side": "",
        "confidence": None,
        "outcome": "set_aside",
        **_gate(None, None, None, failed.why),
        "orders": [],
        "factors": {},
    }


def _prices(signal: Signal) -> Document:
    return {
        "close": plain(signal.close),
        "entry_type": str(signal.entry_type),
        "entry_price": optional(signal.entry_price),
        "stop": optional(signal.stop),
        "target": optional(signal.target),
        "ladder": [{"price": plain(rung.price), "fraction": float(rung.fraction)} for rung in signal.ladder],
        "void_price": optional(signal.void_price),
        "expires_ts": None if signal.expires_ts is None else to_ms(signal.expires_ts),
    }


def number(gate: str | None, value: Decimal | None) -> str | float | None:
    """Return a number of a gate as JSON: of leverage and confidence a number, else money, a price or a quantity."""
    if value is None:
        return None
    is_number = gate is not None and (gate in _RATIO_GATES or gate.endswith("_pct"))
    return float(value) if is_number else plain(value)


def _gate(gate: str | None, limit: Decimal | None, value: Decimal | None, detail: str | None = None) -> Document:
    row: Document = {"gate": gate, "limit": number(gate, limit), "value": number(gate, value)}
    if detail is not None:
        row["detail"] = detail
    return row


def _typed(handler: Callable[[_M], None]) -> Callable[[Message], None]:
    # The table's key is the handler's type: add() looks it up by it.
    return cast("Callable[[Message], None]", handler)
