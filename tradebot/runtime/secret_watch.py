"""Whether a secret that the configuration uses ends soon: looked at each hour, told of once a stage."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tradebot.log import log
from tradebot.model.command import AlertName
from tradebot.model.errors import TradebotError
from tradebot.model.logevent import LogEvent
from tradebot.model.time import DAY, Nanos
from tradebot.ports import Clock
from tradebot.report.views import SecretFact
from tradebot.secret.checks import WARN_DAYS, left_words
from tradebot.secret.store import SecretFacts

_PERIOD_S = 3600.0


class SecretWatch:
    """Reads by ``facts`` what may be told of the secrets that are ``used``, by name, and pages by ``page``.

    A store that does not answer is asked again the next hour: what was read of it lives on.
    """

    def __init__(
        self,
        facts: Callable[[], Sequence[SecretFacts]],
        used: Callable[[], Mapping[str, Sequence[str]]],
        clock: Clock,
        page: Callable[[AlertName, str, str], None],
    ) -> None:
        self._read, self._used, self._clock, self._page = facts, used, clock, page
        self._told: dict[str, int] = {}
        self.ending: Sequence[SecretFact] = ()
        """Those that are used and end some day, the first to end first."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        while True:
            await self.look()
            await asyncio.sleep(_PERIOD_S)

    async def look(self) -> None:
        """Look once."""
        used = self._used()
        if not used:
            self.ending = ()
            return
        try:
            facts = await asyncio.to_thread(self._read)
        except TradebotError as error:
            log(LogEvent.SECRETS_UNREAD, level="warning", error=str(error))
            return
        found = [
            (one.kind, SecretFact(name=one.name, expires=one.expires, used_by=tuple(used[one.name])))
            for one in facts
            if one.expires is not None and one.name in used
        ]
        self.ending = sorted((one for _, one in found), key=lambda one: one.expires)
        for kind, one in found:
            # Of an agent the venue says until when it may trade, and that is told as key_expires.
            if kind != "agent-key":
                self._tell(one)

    def _tell(self, one: SecretFact) -> None:
        left = one.expires - self._clock.now()
        days = next((days for days in (0, *WARN_DAYS) if left <= days * DAY), None)
        told = self._told.get(one.name)
        if days is None:
            # It was rotated: its next end is another one.
            self._told.pop(one.name, None)
        elif told is None or days < told:
            self._told[one.name] = days
            ends = "has expired" if left <= 0 else f"expires in {left_words(Nanos(left))}"
            what = f"the secret {one.name}, used by {', '.join(one.used_by)}, {ends}"
            self._page(AlertName.SECRET_EXPIRES, what, f"tradebot secrets rotate {one.name}")
