"""The submit protocol in the journal: what was about to be sent, and what is proven to have become of it."""

from collections.abc import Mapping

from tradebot.model.time import from_ms
from tradebot.store.codec import decode, encode
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.venues.hyperliquid.submit import Intent, Settled

INTENT, SETTLED = "intent", "settled"


class IntentLog:
    """The rows of the submit protocol in the journal: an intent before its first byte leaves, its outcome after."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    async def record(self, entry: Intent | Settled) -> None:
        """Return when ``entry`` is durable."""
        kind = INTENT if isinstance(entry, Intent) else SETTLED
        await self._journal.committed(self._journal.append(kind, from_ms(entry.nonce), encode(entry)))

    async def read(self) -> Mapping[int, tuple[Intent, Settled | None]]:
        """Return every intent by its nonce, with its outcome where it has one."""
        found: dict[int, tuple[Intent, Settled | None]] = {}
        async for row in self._journal.scan(Query(kinds=[INTENT, SETTLED])):
            if row.kind == INTENT:
                intent = decode(Intent, row.payload)
                found[intent.nonce] = (intent, None)
            else:
                settled = decode(Settled, row.payload)
                found[settled.nonce] = (found[settled.nonce][0], settled)
        return found
