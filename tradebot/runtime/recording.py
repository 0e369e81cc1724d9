"""What the journal keeps of a turn: its input, and those outputs that are facts or decisions."""

from collections.abc import Callable, Mapping

from tradebot.model.command import Command, CommandDone, StateChanged
from tradebot.model.market import Bar, Disorder, Gap, Message, Quote, Trade
from tradebot.model.order import CancelOrder, Fill, OrderDone, OrderRejected, SubmitOrders
from tradebot.model.position import EquityMark, FundingPaid, RoundTrip
from tradebot.model.signal import Approved, Refused, StrategyDisabled
from tradebot.model.time import Nanos
from tradebot.store.codec import encode_message

JOURNALED_INPUTS: tuple[type[Message], ...] = (Bar, Trade, Quote, Command)
RECORDED: tuple[type[Message], ...] = (
    Gap,
    Disorder,
    Approved,
    Refused,
    StrategyDisabled,
    SubmitOrders,
    CancelOrder,
    OrderRejected,
    OrderDone,
    Fill,
    FundingPaid,
    RoundTrip,
    EquityMark,
    StateChanged,
    CommandDone,
)
INPUT_KINDS = frozenset(message_type.kind for message_type in JOURNALED_INPUTS)
RECORDED_KINDS = frozenset(message_type.kind for message_type in RECORDED)

Append = Callable[[str, Nanos, bytes], int]
Listener = Callable[[Message], None]


def ts_of(message: Message) -> Nanos:
    """Return the market time of a journaled message."""
    if isinstance(message, RoundTrip):
        return message.exit_ts
    if isinstance(message, Gap):
        return message.ts_to
    return Nanos(getattr(message, "ts_event"))  # noqa: B009 - the base class has no such field


class Recorder:
    """Writes rows through ``append``, and shows each recorded output to those who listen."""

    def __init__(self, append: Append) -> None:
        self.append = append
        self.listeners: list[Listener] = []

    def record(self, message: Message) -> int:
        """Write one message and return its ``seq``."""
        return self.append(message.kind, ts_of(message), encode_message(message))

    def sinks(self) -> Mapping[type[Message], Listener]:
        """Return the sinks for ``Line``: one for each recorded type."""
        return dict.fromkeys(RECORDED, self._output)

    def _output(self, message: Message) -> None:
        self.record(message)
        for listener in self.listeners:
            listener(message)
