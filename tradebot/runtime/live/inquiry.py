"""One run of preflight: asks the venue, and takes down what is found. What cannot be asked is a finding too."""

from collections.abc import Awaitable, Callable

from tradebot.model.errors import TradebotError
from tradebot.ports import Clock
from tradebot.runtime.findings import Finding, Grade
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.resilience import Purpose


class Inquiry:
    """Asks ``rest``, which reaches the venue at ``url``. ``findings`` are those so far."""

    def __init__(self, rest: RestClient, url: str, clock: Clock) -> None:
        self.rest, self.url, self.clock = rest, url, clock
        self.findings: list[Finding] = []

    def add(self, check: str, grade: Grade, what: str, mend: str = "") -> None:
        """Take down a finding."""
        self.findings.append(Finding(check, grade, what, mend))

    async def ask(self, kind: str, **fields: object) -> Node:
        """Return what the venue answers to an ``info`` request. Raises ``VenueError``."""
        # As urgent as an entry: what merely watches would be held to a quarter of the budget.
        return await self.rest.info({"type": kind, **fields}, Purpose.TRADE)

    async def guarded(self, check: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``; what it raises is a finding of ``check``."""
        try:
            await work()
        except TradebotError as error:
            mend = error.mend or "check the network, then try again"
            self.add(check, Grade.FAIL, f"{error.where}: {error.what}" if error.where else error.what, mend)
