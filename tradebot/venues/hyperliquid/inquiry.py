"""One run of preflight: asks the venue, and takes down what is found. What cannot be asked is a finding too."""

from collections.abc import Awaitable, Callable

from tradebot.model.errors import TradebotError, Unreadable
from tradebot.model.finding import Finding, Grade
from tradebot.model.venue import Purpose
from tradebot.ports import Clock
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.rest import RestClient


class Inquiry:
    """Asks ``rest``, which reaches the venue at ``url``, for ``purpose``. ``findings`` are those so far.

    ``recent_s`` is how old an answer may be that somebody else has got of what is dear to ask.
    """

    def __init__(self, rest: RestClient, url: str, clock: Clock, purpose: Purpose, recent_s: float = 0.0) -> None:
        self.rest, self.url, self.clock, self.purpose, self.recent_s = rest, url, clock, purpose, recent_s
        self.findings: list[Finding] = []

    def add(self, check: str, grade: Grade, what: str, mend: str = "") -> None:
        """Take down a finding."""
        self.findings.append(Finding(check, grade, what, mend))

    async def ask(self, kind: str, *, max_age_s: float = 0.0, **fields: object) -> Node:
        """Return what the venue answers to an ``info`` request, or answered lately. Raises ``VenueError``."""
        return await self.rest.info({"type": kind, **fields}, self.purpose, max_age_s)

    async def guarded(self, check: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``; what it raises is a finding of ``check``."""
        try:
            await work()
        except TradebotError as error:
            self.add(check, Grade.FAIL, f"{error.where}: {error.what}" if error.where else error.what, mend_of(error))


def mend_of(error: TradebotError) -> str:
    """Return what to do about an error of the venue."""
    if isinstance(error, Unreadable):
        return error.mend or "check the url: what answers there does not speak as the venue does; else report it"
    return error.mend or "check the network, then try again"
