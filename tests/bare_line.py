"""A line of real stages without a daemon around it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradebot.model.command import Command, CommandDone, Verb
from tradebot.model.instrument import Instrument
from tradebot.model.market import Message
from tradebot.model.money import Cash
from tradebot.model.order import CancelOrder, FillReport, SubmitOrders
from tradebot.model.time import Nanos
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.outbox import Outbox
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.strategy.stage import StrategyStage

D = Decimal


class BareLine:
    """The stages, pumped at once; ``delivered`` is what was news, ``commands`` what was asked for.

    ``set_aside`` are trades that never reach it.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self.instruments = instruments
        self.orders = OrdersStage(instruments)
        self.risk = RiskStage(instruments, Cash(D(0)), SizeRule(SizeKind.QTY, D(1)), Limits())
        self.outbox = Outbox()
        self.sent: list[SubmitOrders | CancelOrder] = []
        self.outbox.send = self.sent.append
        self.commands: list[tuple[Verb, Mapping[str, str]]] = []
        self.delivered: list[Message] = []
        self.set_aside: set[str] = set()
        strategies = StrategyStage([], instruments)
        self.line = Line(
            {
                StageName.BARS: BarsStage({}, {}),
                StageName.VENUE: self.outbox,
                StageName.ORDERS: self.orders,
                StageName.RISK: self.risk,
                StageName.STRATEGY: strategies,
            }
        )

    def run(self, message: Message) -> None:
        self.line.pump(message)
        self.outbox.release()

    async def deliver(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if self._is_news(message):
                self.delivered.append(message)
                self.run(message)

    def _is_news(self, message: Message) -> bool:
        if isinstance(message, FillReport) and message.trade_id in self.set_aside:
            return False
        return self.orders.is_news(message) and self.risk.is_news(message)

    @property
    def frozen(self) -> Mapping[str, tuple[str, ...]]:
        return self.risk.save().frozen

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        self.commands.append((verb, dict(arguments)))
        command = Command(id=f"c{len(self.commands)}", ts_event=Nanos(0), verb=verb, arguments=dict(arguments))
        self.run(command)
        return CommandDone(id=command.id, ts_event=Nanos(0), detail="")

    def reborn(self) -> "BareLine":
        """Return a line that a journal of all inputs would give; what this one had not sent is lost."""
        line = type(self)(self.instruments)
        line.orders.load(self.orders.save())
        line.risk.load(self.risk.save())
        return line
