"""What the tasks around a real venue ask of the line that trades there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from tradebot.model.command import CommandDone, Verb
from tradebot.model.market import Message

if TYPE_CHECKING:
    # What ends an account without a daemon must not wait for the whole line to be read in.
    from tradebot.pipeline.orders.stage import OrdersStage
    from tradebot.pipeline.risk.stage import RiskStage


class LiveLine(Protocol):
    """The line under way. The stages are for reading: their only writers are turns."""

    orders: "OrdersStage"
    risk: "RiskStage"

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Run a turn for each message that is news, in order; the rest is passed over without a row."""
        ...

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        """Run a command as a turn and return its answer once it is durable."""
        ...
