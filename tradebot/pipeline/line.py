"""The line: which stage handles which message, and the two ways to run it.

A message goes to its stages in the order of ``ROUTES``. What a stage answers is run to its end, depth
first, before the next stage sees the message: so fills are booked before the bar that caused them reaches
the strategies. ``pump`` does this in one call; a ``Turn`` does the same a step at a time, so that tasks
can hand it on from one to the next. Both visit the same stages in the same order.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from tradebot.model.breaker import BreakerChanged
from tradebot.model.command import Alert, Command, CommandDone, Heartbeat, StateChanged, Tick
from tradebot.model.instrument import InstrumentSeen
from tradebot.model.market import Bar, BarsClosed, Disorder, Gap, Message, PricesSeen, Quote, Trade
from tradebot.model.order import (
    ActionsLeft,
    CancelOrder,
    Fill,
    FillDisputed,
    FillReport,
    FillSettled,
    OrderAccepted,
    OrderCanceled,
    OrderDone,
    OrderFound,
    OrderRejected,
    StopFaulted,
    SubmitOrders,
    TradingPermitted,
)
from tradebot.model.position import Deposit, EquityMark, FundingPaid, PositionChanged, ResidualSeen, RoundTrip
from tradebot.model.signal import Approved, Refused, Signal, StrategyDisabled
from tradebot.ports import Stage


class StageName(StrEnum):
    """The stages of the line. The venue is the simulated one, or the way out to a real one."""

    # It is a key of hot tables, and the hash of an Enum is computed by Python code.
    __hash__ = str.__hash__

    BARS = "bars"
    VENUE = "venue"
    ORDERS = "orders"
    RISK = "risk"
    STRATEGY = "strategy"


Handler = Callable[[Message], Sequence[Message]]
# A stage and its handler, or no stage and a sink; and what it is to handle.
_Step = tuple["StageName | None", Callable[[Message], Sequence[Message] | None], Message]
S = StageName
ROUTES: Mapping[type[Message], tuple[StageName, ...]] = {
    Bar: (S.BARS,),
    Trade: (S.VENUE, S.RISK, S.BARS),
    Quote: (S.VENUE, S.RISK),
    PricesSeen: (S.RISK,),
    Command: (S.RISK, S.ORDERS, S.STRATEGY),
    Heartbeat: tuple(StageName),
    # What is overdue: flattening goes on, and positions are looked at for their stops.
    Tick: (S.RISK, S.ORDERS),
    Deposit: (S.RISK,),
    ResidualSeen: (S.RISK,),
    OrderFound: (S.RISK, S.ORDERS),
    FillSettled: (S.ORDERS,),
    StopFaulted: (S.ORDERS,),
    ActionsLeft: (S.RISK,),
    TradingPermitted: (S.ORDERS,),
    # Risk says what it means before orders and strategies act on it.
    InstrumentSeen: (S.RISK, S.ORDERS, S.STRATEGY),
    # The venue matches, entries that waited too long go, risk marks, and only then the strategies are asked.
    BarsClosed: (S.VENUE, S.ORDERS, S.RISK, S.STRATEGY),
    Gap: (),
    Disorder: (),
    Signal: (S.RISK,),
    Approved: (S.ORDERS,),
    # What is refused or ends frees its strategy to ask again; the refusals of regimes are counted with the others.
    Refused: (S.RISK, S.STRATEGY),
    # One that a limit stops is not asked again either.
    StrategyDisabled: (S.STRATEGY,),
    SubmitOrders: (S.VENUE,),
    CancelOrder: (S.VENUE,),
    OrderAccepted: (S.ORDERS,),
    OrderRejected: (S.ORDERS,),
    OrderCanceled: (S.ORDERS,),
    FillReport: (S.ORDERS,),
    FundingPaid: (S.RISK,),
    Fill: (S.RISK,),
    FillDisputed: (S.RISK,),
    OrderDone: (S.RISK, S.STRATEGY),
    PositionChanged: (S.STRATEGY,),
    RoundTrip: (),
    EquityMark: (),
    BreakerChanged: (),
    StateChanged: (S.ORDERS,),
    CommandDone: (),
    Alert: (),
}


class Line:
    """The stages, joined by ``ROUTES``. ``sinks`` see each output of their type as it comes up."""

    def __init__(
        self,
        stages: Mapping[StageName, Stage],
        sinks: Mapping[type[Message], Callable[[Message], None]] | None = None,
    ) -> None:
        self.stages = stages
        self.sinks = dict(sinks or {})
        self._handlers = {
            message_type: tuple(_handler(stages[name], message_type) for name in route)
            for message_type, route in ROUTES.items()
        }
        self.steps = {
            message_type: tuple(zip(route, self._handlers[message_type], strict=True))[::-1]
            for message_type, route in ROUTES.items()
        }
        """For each type its stages and their handlers, the last one first: as a turn stacks them."""

    def pump(self, message: Message) -> None:
        """Run ``message`` and all that follows from it, to the end."""
        handlers, sinks = self._handlers, self.sinks
        for handle in handlers[type(message)]:
            for output in handle(message):
                kind = type(output)
                if kind in sinks:
                    sinks[kind](output)
                # Most outputs go nowhere else: a call for each would cost more than all the rest.
                if handlers[kind]:
                    self.pump(output)

    def follow(self, output: Message) -> None:
        """Run what a stage gave as it was asked beside the line, as if it had come up here."""
        sink = self.sinks.get(type(output))
        if sink is not None:
            sink(output)
        self.pump(output)

    def turn(self, message: Message) -> "Turn":
        """Return the turn of ``message``, not yet begun."""
        return Turn(self, message)


def _handler(stage: Stage, message_type: type[Message]) -> Handler:
    # A stage that dispatches by a table is asked once, and not again for each message.
    table: Mapping[type[Message], Handler] = getattr(stage, "handlers", {})
    return table.get(message_type, stage.handle)


class Turn:
    """One input on its way through the line: a stack of what is to be done, the next on top."""

    __slots__ = ("_line", "_stack")

    def __init__(self, line: Line, message: Message) -> None:
        self._line = line
        self._stack: list[_Step] = [(name, handle, message) for name, handle in line.steps[type(message)]]

    @property
    def due(self) -> type[Message]:
        """The type of the message that the owner gets; only while there is an owner."""
        return type(self._stack[-1][2])

    def owner(self) -> StageName | None:
        """Return the stage that comes next, or ``None`` when the turn is over."""
        stack = self._stack
        while stack:
            name, sink, message = stack[-1]
            if name is not None:
                return name
            stack.pop()
            sink(message)
        return None

    def step(self) -> None:
        """Let the stage that ``owner`` named handle its message. Call ``owner`` again before the next."""
        stack = self._stack
        _, handle, message = stack.pop()
        outputs = handle(message)
        if not outputs:
            return
        line = self._line
        for output in reversed(outputs):
            kind = type(output)
            for name, handle in line.steps[kind]:
                stack.append((name, handle, output))
            if kind in line.sinks:
                stack.append((None, line.sinks[kind], output))
