"""The configurations that were in force: one row of the journal each, with who brought it into force, and how."""

import pwd
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any, cast

import orjson

from tradebot import __version__
from tradebot.model.errors import ConfigError, UsageError
from tradebot.model.near import did_you_mean
from tradebot.model.time import Nanos, to_ms
from tradebot.pipeline.line import StageName
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.report.shapes import Document
from tradebot.runtime.session import Session
from tradebot.settings.difference import changed_keys
from tradebot.settings.load import Loaded, config_hash, effective_toml
from tradebot.settings.model import Settings
from tradebot.settings.strategy_class import source_digest
from tradebot.store.journal import SqliteJournal
from tradebot.store.schema import Row

CONFIG = "config"
_LONGEST_REASON = 400
_SHORTEST_HASH = 4
_ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Author:
    """Who brought a configuration into force, and ``how``: start, reload, signal or rollback."""

    uid: int
    how: str

    @property
    def who(self) -> str:
        """The name of the user, else the number."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)


@dataclass(frozen=True, slots=True)
class Revision:
    """A configuration that was in force. ``payload`` is its row."""

    seq: int
    ts_wall: Nanos
    payload: Mapping[str, Any]
    changed: Sequence[str]

    @property
    def hash(self) -> str:
        """The digest that ``status`` showed."""
        return str(self.payload["hash"])

    @property
    def how(self) -> str:
        """How it came into force."""
        return str(self.payload.get("how", "start"))

    def settings(self) -> Settings:
        """Return what files, environment and options said. Raises ``ConfigError`` for one of another version."""
        return read_settings(str(self.payload.get("configured") or self.payload["settings"]))

    def row(self) -> Document:
        """Return it as ``config history`` lists it."""
        return {
            "hash": self.hash,
            "ts": to_ms(self.ts_wall),
            "who": str(self.payload.get("who", "")),
            "how": self.how,
            "changed": list(self.changed),
        }


def record_config(
    loaded: Loaded, changed: Sequence[str], session: Session, journal: SqliteJournal, author: Author
) -> int:
    """Record the configuration that is in force from here on, and return its row; ``changed`` are dotted keys."""
    document: dict[str, object] = {
        "hash": loaded.config_hash,
        "code": code_digest(session),
        "settings": effective_toml(loaded.settings),
        "feed": session.feed.describe(),
        "who": author.who,
        "uid": author.uid,
        "how": author.how,
        "changed": changed,
    }
    if loaded.configured is not None:
        document["configured"] = effective_toml(loaded.configured)
    return journal.append(CONFIG, session.market_time, orjson.dumps(document, option=orjson.OPT_SORT_KEYS))


def code_digest(session: Session) -> str:
    """Return a digest of the program's version and the strategies' files: of all that decides."""
    stage = cast("StrategyStage", session.line.stages[StageName.STRATEGY])
    files = [f"{name}={source_digest(cls)}" for name, cls in sorted(stage.classes.items())]
    return blake2b("\n".join((__version__, *files)).encode(), digest_size=16).hexdigest()


def read_settings(text: str) -> Settings:
    """Return the settings of a row. Raises ``ConfigError`` for those of another version."""
    try:
        return Settings.model_validate(tomllib.loads(text, parse_float=Decimal))
    except ValueError as error:
        reason = str(error)[:_LONGEST_REASON]
        raise ConfigError(f"the configuration in the journal is not one of this version: {reason}") from error


def restored(payload: bytes) -> Loaded:
    """Return the configuration of a row. Raises ``ConfigError`` for one of another version."""
    settings = read_settings(orjson.loads(payload)["settings"])
    return Loaded(settings, config_hash(settings), (), (), {})


def read_revisions(rows: Iterable[Row]) -> list[Revision]:
    """Return the configurations of ``rows``, the oldest first, as they are."""
    found: list[Revision] = []
    for row in rows:
        payload = orjson.loads(row.payload)
        changed = payload.get("changed")
        if changed is None:
            changed = _compared(found[-1].payload if found else None, payload)
        found.append(Revision(row.seq, Nanos(row.ts_wall), payload, changed))
    return found


def _compared(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Sequence[str]:
    """Return what changed between rows that do not say it themselves; nothing where one cannot be read."""
    if before is None:
        return ()
    try:
        return changed_keys(read_settings(before["settings"]), read_settings(after["settings"]))
    except ConfigError:
        return ()


def find_revision(revisions: Sequence[Revision], wanted: str) -> Revision:
    """Return the newest revision whose hash begins with ``wanted``; without it, the one before the present one.

    A rollback is no step forward: the one before it is the one before what it went back to. Raises ``UsageError``
    where there is none.
    """
    known = list(dict.fromkeys(one.hash for one in reversed(revisions)))
    if not wanted:
        return _one_back(revisions)
    if len(wanted) < _SHORTEST_HASH:
        raise UsageError(f"hash {wanted!r} is too short", mend=f"give at least {_SHORTEST_HASH} of its digits")
    hits = [one for one in known if one.startswith(wanted.lower())]
    if not hits:
        mend = f"{did_you_mean(wanted, known)}; tradebot config history lists them"
        raise UsageError(f"no configuration with the hash {wanted[:64]!r} was ever in force here", mend=mend)
    if len(hits) > 1:
        raise UsageError(f"hash {wanted!r} is not unique: {', '.join(hits)}", mend="give more of its digits")
    return next(one for one in reversed(revisions) if one.hash == hits[0])


def _one_back(revisions: Sequence[Revision]) -> Revision:
    at = len(revisions) - 1
    while at >= 0 and revisions[at].how == _ROLLBACK:
        at = next((n for n in range(at - 1, -1, -1) if revisions[n].hash == revisions[at].hash), -1)
    back = next((n for n in range(at - 1, -1, -1) if revisions[n].hash != revisions[at].hash), None)
    if back is None:
        raise UsageError(
            "there is no configuration before this one", mend="tradebot config history lists those there were"
        )
    return revisions[back]
