"""Another value for a secret that a running daemon uses: taken from the store, tried, and only then kept."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import orjson

from tradebot.live.rotation import KeyRotation
from tradebot.log import log
from tradebot.model.errors import Unavailable, UsageError
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock
from tradebot.report.shapes import Json
from tradebot.runtime.secret_store import reveal, store_of
from tradebot.secret.secret import Secret
from tradebot.secret.store import SecretStore, next_name
from tradebot.settings.model import RealVenueSettings, Settings
from tradebot.store.journal import SqliteJournal

KEY_ROTATED = "key_rotated"
"""The kind of the rows that tell by which address the account is traded from there on."""


class Rotating:
    """Changes secrets of a daemon with ``settings``."""

    def __init__(self, home: Path, settings: Settings, journal: SqliteJournal, clock: Clock) -> None:
        self._home, self._settings, self._journal, self._clock = home, settings, journal, clock

    async def rotate(self, name: str, rotation: KeyRotation | None) -> Mapping[str, Json]:
        """Use ``NAME.next`` of the store as ``NAME``, and return what was done.

        Raises ``UsageError`` when no setting of this daemon names it, ``NotPermitted`` when the store or the venue does
        not take it; ``rotation`` exchanges the key where an account is traded.
        """
        venue, store = self._settings.venue, store_of(self._settings.secrets.texts, self._home, self._clock)
        if not isinstance(venue, RealVenueSettings) or venue.key_secret != name:
            raise UsageError(
                f"this daemon trades by no key named {name!r}", where="venue.key_secret", mend="tradebot secrets list"
            )
        if rotation is None:
            raise Unavailable("the past is not settled with the venue yet", mend="ask again in a moment")
        began = self._clock.monotonic()
        value = await asyncio.to_thread(reveal, store, next_name(name))
        # Who asked may hang up; what has begun is seen through.
        change = asyncio.ensure_future(rotation.rotate(value, lambda: asyncio.to_thread(_keep, store, name, value)))
        address = await asyncio.shield(change)
        row = orjson.dumps({"secret": name, "address": address})
        await self._journal.committed(self._journal.append(KEY_ROTATED, self._clock.now(), row))
        seconds = round(self._clock.monotonic() - began, 3)
        log(LogEvent.KEY_ROTATED, secret=name, address=address, seconds=seconds)
        detail = f"{address} signs from now on; revoke the old key at the venue"
        return {"detail": detail, "address": address, "seconds": seconds}


def _keep(store: SecretStore, name: str, value: str) -> None:
    coming = next(facts for facts in store.facts() if facts.name == next_name(name))
    store.put(name, Secret(value), kind=coming.kind, expires=coming.expires)
    store.remove(coming.name)
