"""What the journal keeps of a turn: its input, and those outputs that are facts or decisions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tradebot.model.breaker import BreakerChanged
from tradebot.model.command import Alert, Command, CommandDone, StateChanged, Tick
from tradebot.model.instrument import InstrumentSeen
from tradebot.model.market import Bar, Disorder, Gap, Message, PricesSeen, Quote, Trade
from tradebot.model.message import VENUE_REPORTS
from tradebot.model.order import (
    ActionsLeft,
    CancelOrder,
    Fill,
    FillDisputed,
    FillSettled,
    OrderDone,
    OrderFound,
    OrderRejected,
    StopFaulted,
    SubmitOrders,
    TradingPermitted,
)
from tradebot.model.position import Deposit, EquityMark, FundingPaid, ResidualSeen, RoundTrip
from tradebot.model.signal import Approved, Refused, StrategyDisabled
from tradebot.model.time import Nanos
from tradebot.store.codec import encode_message

_INPUTS: tuple[type[Message], ...] = (
    Bar,
    Trade,
    Quote,
    PricesSeen,
    Command,
    Tick,
    Deposit,
    ResidualSeen,
    OrderFound,
    FillSettled,
    StopFaulted,
    ActionsLeft,
    TradingPermitted,
    InstrumentSeen,
)
_OUTPUTS: tuple[type[Message], ...] = (
    Gap,
    Disorder,
    Approved,
    Refused,
    StrategyDisabled,
    SubmitOrders,
    CancelOrder,
    OrderDone,
    Fill,
    FillDisputed,
    RoundTrip,
    EquityMark,
    BreakerChanged,
    StateChanged,
    CommandDone,
    Alert,
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a journal keeps: the inputs of turns, and the outputs that are recorded behind them."""

    inputs: frozenset[str]
    outputs: tuple[type[Message], ...]
    output_kinds: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_kinds", frozenset(message_type.kind for message_type in self.outputs))


def _kinds(*types: type[Message]) -> frozenset[str]:
    return frozenset(message_type.kind for message_type in types)


SIMULATED = Vocabulary(_kinds(*_INPUTS), (*_OUTPUTS, OrderRejected, FundingPaid))
"""The simulated venue is part of the line: its word is an output, recomputed at boot."""
REAL = Vocabulary(_kinds(*_INPUTS, *VENUE_REPORTS), _OUTPUTS)
"""The word of a real venue is an input: it is the truth, and comes but once."""

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

    def __init__(self, append: Append, vocabulary: Vocabulary = SIMULATED) -> None:
        self.append = append
        self.vocabulary = vocabulary
        self.listeners: list[Listener] = []

    def record(self, message: Message) -> int:
        """Write one message and return its ``seq``."""
        return self.append(message.kind, ts_of(message), encode_message(message))

    def sinks(self) -> Mapping[type[Message], Listener]:
        """Return the sinks for ``Line``: one for each recorded type."""
        return dict.fromkeys(self.vocabulary.outputs, self._output)

    def _output(self, message: Message) -> None:
        self.record(message)
        for listener in self.listeners:
            listener(message)
