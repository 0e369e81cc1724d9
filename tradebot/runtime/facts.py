"""What happened lately, kept for ``status`` and told to the log."""

from collections.abc import Callable, Mapping

from tradebot.log import log
from tradebot.model.command import StateChanged
from tradebot.model.failure import LineFailed
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Disorder, Gap, Message
from tradebot.model.money import plain
from tradebot.model.order import CancelOrder, Fill, OrderRejected, SubmitOrders
from tradebot.model.position import RoundTrip
from tradebot.model.signal import Approved, Refused, StrategyDisabled
from tradebot.model.time import to_ms
from tradebot.runtime.reading import Voided
from tradebot.store.codec import decode_message
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query


class RecentFacts:
    """Listens to recorded outputs: the last signal and trade for ``status``, a log line for each fact."""

    def __init__(self) -> None:
        self.last_signal: Approved | Refused | None = None
        self.last_trade: RoundTrip | None = None
        self._tellers: Mapping[type[Message], Callable[..., None]] = {
            Gap: _gap,
            Disorder: _disorder,
            Approved: self._approved,
            Refused: self._refused,
            StrategyDisabled: _disabled,
            SubmitOrders: _submitted,
            CancelOrder: _canceled,
            OrderRejected: _rejected,
            Fill: _filled,
            RoundTrip: self._closed,
            StateChanged: _state,
        }

    async def recall(self, journal: SqliteJournal) -> None:
        """Know the last signal and trade of the runs before. Raises ``StorageFailed``."""
        await journal.committed(journal.last_seq)
        voided = Voided([row async for row in journal.scan(Query(kinds=(LineFailed.kind,)))])
        signal = await _newest(journal, voided, Approved, Refused)
        trade = await _newest(journal, voided, RoundTrip)
        self.last_signal = signal if isinstance(signal, Approved | Refused) else None
        self.last_trade = trade if isinstance(trade, RoundTrip) else None

    def hear(self, message: Message) -> None:
        """Take note of one recorded output."""
        tell = self._tellers.get(type(message))
        if tell is not None:
            tell(message)

    def _approved(self, message: Approved) -> None:
        self.last_signal = message
        signal = message.signal
        log(LogEvent.SIGNAL_APPROVED, signal_id=signal.id, action=signal.action, side=signal.side, qty=message.qty)

    def _refused(self, message: Refused) -> None:
        self.last_signal = message
        log(
            LogEvent.SIGNAL_REFUSED,
            signal_id=message.signal.id,
            gate=message.gate,
            limit=message.limit,
            value=message.value,
        )

    def _closed(self, trip: RoundTrip) -> None:
        self.last_trade = trip
        log(
            LogEvent.POSITION_CLOSED,
            symbol=trip.symbol,
            strategy=trip.strategy,
            side=trip.side,
            net_pnl=plain(trip.net_pnl),
            reason=trip.exit_reason,
        )


async def _newest(journal: SqliteJournal, voided: Voided, *kinds: type[Message]) -> Message | None:
    async for row in journal.scan(Query(kinds=[kind.kind for kind in kinds], newest_first=True, limit=10)):
        if row not in voided:
            return decode_message(row.kind, row.payload)
    return None


def _gap(gap: Gap) -> None:
    log(LogEvent.GAP_FOUND, level="warning", symbol=gap.symbol, missing=gap.missing, since=to_ms(gap.ts_from))


def _disorder(disorder: Disorder) -> None:
    log(LogEvent.DISORDER_FOUND, level="warning", symbol=disorder.symbol, ts=to_ms(disorder.ts_event))


def _disabled(disabled: StrategyDisabled) -> None:
    log(LogEvent.STRATEGY_DISABLED, level="error", strategy=disabled.strategy, reason=disabled.reason)


def _submitted(submitted: SubmitOrders) -> None:
    for order in submitted.orders:
        log(
            LogEvent.ORDERS_SUBMITTED,
            client_order_id=order.client_order_id,
            side=order.side,
            type=order.type,
            qty=order.qty,
            price=order.price,
            trigger=order.trigger,
        )


def _canceled(cancel: CancelOrder) -> None:
    log(LogEvent.ORDER_CANCELED, client_order_id=cancel.client_order_id, reason=cancel.reason)


def _rejected(rejected: OrderRejected) -> None:
    log(LogEvent.ORDER_REJECTED, level="warning", client_order_id=rejected.client_order_id, reason=rejected.reason)


def _filled(fill: Fill) -> None:
    log(LogEvent.ORDER_FILLED, client_order_id=fill.client_order_id, qty=fill.qty, price=fill.price, fee=fill.fee)


def _state(changed: StateChanged) -> None:
    log(LogEvent.STATE_CHANGED, level="warning", state=changed.state, reason=changed.reason)
