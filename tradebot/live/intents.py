"""The submit protocol in the journal: what was about to be sent, and what is proven to have become of it."""

from collections.abc import Callable, Mapping

import orjson

from tradebot.model.time import from_ms
from tradebot.model.venue import Intent, Settled
from tradebot.store.codec import decode, encode
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query

INTENT, SETTLED = "intent", "settled"


class IntentLog:
    """The rows of the submit protocol in the journal: an intent before its first byte leaves, its outcome after."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    async def record(self, entry: Intent | Settled) -> None:
        """Return when ``entry`` is durable."""
        kind = INTENT if isinstance(entry, Intent) else SETTLED
        await self._journal.committed(self._journal.append(kind, from_ms(entry.nonce), encode(entry)))

    async def read(self, concerns: Callable[[str], bool]) -> tuple[int, Mapping[int, tuple[Intent, Settled | None]]]:
        """Return the highest nonce, 0 for none, and by their nonces the intents that still matter.

        Those are the ones without an outcome and, with theirs, the ones of an order whose cloid ``concerns`` us: after
        months all the others are too many to keep.
        """
        last = 0
        found: dict[int, tuple[Intent, Settled | None]] = {}
        async for row in self._journal.scan(Query(kinds=[INTENT, SETTLED])):
            if row.kind == INTENT:
                intent = decode(Intent, row.payload)
                found[intent.nonce] = (intent, None)
                last = max(last, intent.nonce)
            else:
                settled = _settled(row.payload)
                intent, _ = found.pop(settled.nonce)
                if any(map(concerns, intent.cloids)):
                    found[settled.nonce] = (intent, settled)
        return last, found


def _settled(payload: bytes) -> Settled:
    """Return an outcome; before ids of orders were text in every row they were numbers."""
    fields = orjson.loads(payload)
    for leg in fields["legs"]:
        if isinstance(leg.get("oid"), int):
            leg["oid"] = str(leg["oid"])
    return decode(Settled, orjson.dumps(fields))
