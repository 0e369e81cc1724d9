"""What the control socket gets: reads from the live stages and the journal, commands as turns of the line."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import orjson

from tradebot.control.protocol import Peer
from tradebot.log import LEVELS, log
from tradebot.model.command import CommandDone, Verb
from tradebot.model.errors import RefusedByRule, Unavailable, UsageError
from tradebot.model.failure import LineFailed
from tradebot.model.logevent import LogEvent
from tradebot.report import views
from tradebot.report.document import document, line
from tradebot.report.flatness import FlatFacts, flatness
from tradebot.report.health import health
from tradebot.report.risk import RiskFacts, risk_document
from tradebot.report.shapes import Document, Json
from tradebot.report.views import BookFacts, RuntimeFacts
from tradebot.runtime.assumptions import recorded_assumptions
from tradebot.runtime.config_rows import CONFIG, Author
from tradebot.runtime.logs import log_file
from tradebot.runtime.logtail import read_log
from tradebot.runtime.quarantine import message_of
from tradebot.runtime.reading import Standing, Voided, reading
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query

_READ_ROWS = 500
_LOG_LINES = 50
_VERBS = {
    "pause": Verb.PAUSE,
    "resume": Verb.RESUME,
    "reduce-only": Verb.REDUCE_ONLY,
    "halt": Verb.HALT,
    "close": Verb.CLOSE,
    "cancel": Verb.CANCEL,
}


class DaemonPort(Protocol):
    """What the API asks of the daemon. ``books`` is ``None`` until recovery is done."""

    home: Path
    journal: SqliteJournal

    def facts(self) -> RuntimeFacts:
        """Return what only the daemon knows."""
        ...

    def books(self) -> BookFacts | None:
        """Return what the line knows, or ``None`` until it has recovered."""
        ...

    def standing(self) -> Standing:
        """Return what the journal does not hold."""
        ...

    def flat_facts(self) -> FlatFacts:
        """Return what a flattening has left. Raises ``Unavailable`` before recovery is done."""
        ...

    def risk_facts(self) -> RiskFacts:
        """Return what the book and its limits say. Raises ``Unavailable`` before recovery is done."""
        ...

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        """Run a command through the line and return its answer once it is durable."""
        ...

    def scoped(self, arguments: Mapping[str, str]) -> Mapping[str, str]:
        """Return the arguments of a halt or a stop with what a flattening spares. Raises ``UsageError``."""
        ...

    def halt_at_boot(self, arguments: Mapping[str, str]) -> None:
        """Halt with ``arguments`` as soon as recovery is done."""
        ...

    async def stop(self, *, flatten: bool, own: bool) -> None:
        """Begin the end; with ``flatten`` close all positions first."""
        ...

    async def reload(self, author: Author) -> Mapping[str, Json]:
        """Read the configuration again and apply what can be."""
        ...

    async def rollback(self, wanted: str, author: Author) -> Mapping[str, Json]:
        """Put a configuration of the past back into the files, and apply what can be."""
        ...

    async def config_diff(self) -> list[Document]:
        """Return what the files say otherwise than what is in force. Raises ``ConfigError``."""
        ...

    async def config_history(self) -> list[Document]:
        """Return the configurations that were in force, the newest first."""
        ...

    async def backup(self) -> Mapping[str, Json]:
        """Write a verified copy of the journal."""
        ...

    async def rotate(self, secret: str) -> Mapping[str, Json]:
        """Use the next value of a secret in place of the present one."""
        ...

    async def verify(self) -> Mapping[str, Json]:
        """Check all that is on the disk."""
        ...


class DaemonApi:
    """Answers reads at any time, and acts once recovery is done; before that only ``halt`` is heard."""

    def __init__(self, daemon: DaemonPort) -> None:
        self._daemon = daemon
        self._live: Mapping[str, Callable[[RuntimeFacts, BookFacts], Json]] = {
            "status": views.status,
            "health": health,
            "positions": lambda _, books: views.positions(books),
            "balance": views.balance,
        }
        self._acts: Mapping[str, Callable[[Mapping[str, str], Peer], Awaitable[Mapping[str, Json]]]] = {
            "stop": lambda arguments, _: self._stop(arguments),
            "reload": lambda _, peer: daemon.reload(Author(peer.uid, "reload")),
            "rollback": lambda arguments, peer: daemon.rollback(
                arguments.get("hash", ""), Author(peer.uid, "rollback")
            ),
            "backup": lambda *_: daemon.backup(),
            "rotate": lambda arguments, _: daemon.rotate(arguments.get("secret", "")),
            "verify": lambda *_: daemon.verify(),
        }
        self._lists: Mapping[str, Callable[[], Awaitable[list[Document]]]] = {
            "config-diff": daemon.config_diff,
            "config-history": daemon.config_history,
        }

    async def read(self, view: str, query: Mapping[str, str]) -> bytes | AsyncIterator[bytes]:
        """Return the document of a view, or its lines."""
        if view == "logs":
            return await self._logs(query)
        if view in self._lists:
            return document(list(await self._lists[view]()))
        facts, books = self._daemon.facts(), self._daemon.books()
        if books is None:
            if view == "status":
                return document(views.status(facts, None))
            if view == "health":
                return document(health(facts, None))
            raise _not_yet()
        if view == "orders":
            return b"".join(line(order) for order in views.orders(books))
        if view == "flatness":
            return document(flatness(self._daemon.flat_facts()))
        if view == "risk":
            return document(risk_document(self._daemon.risk_facts()))
        if view in self._live:
            return document(self._live[view](facts, books))
        return await self._read_journal(view, query)

    async def act(self, verb: str, arguments: Mapping[str, str], peer: Peer) -> bytes:
        """Carry out a verb and return its answer once it is durable."""
        log(LogEvent.COMMAND_RECEIVED, verb=verb, arguments=dict(arguments), uid=peer.uid, pid=peer.pid)
        if verb in ("halt", "stop"):
            arguments = self._daemon.scoped(arguments)
        if self._daemon.books() is None:
            if verb == "halt":
                self._daemon.halt_at_boot(arguments)
                return document({"state": "starting", "detail": "halts as soon as recovery is done"})
            if verb != "stop":
                raise _not_yet()
        act = self._acts.get(verb)
        answer = await (self._command(verb, arguments) if act is None else act(arguments, peer))
        log(LogEvent.COMMAND_ANSWERED, verb=verb, detail=str(answer.get("detail", "")))
        return document(dict(answer))

    async def _command(self, verb: str, arguments: Mapping[str, str]) -> Mapping[str, Json]:
        if verb not in _VERBS:
            raise UsageError(f"no such verb: {verb}")
        done = await self._daemon.command(_VERBS[verb], arguments)
        if done.error:
            what, _, mend = done.error.partition("; mend: ")
            raise RefusedByRule(what, where=verb, mend=mend)
        return {"id": done.id, "state": self._daemon.facts().state, "detail": done.detail}

    async def _stop(self, arguments: Mapping[str, str]) -> Mapping[str, Json]:
        await self._daemon.stop(flatten=arguments.get("flatten") == "true", own=arguments.get("own") == "true")
        return {"state": "stopping", "detail": "waiting entries are cancelled; resting stops stay at the venue"}

    async def _read_journal(self, view: str, query: Mapping[str, str]) -> bytes:
        config = await self._daemon.journal.rows(Query(kinds=(CONFIG,), newest_first=True, limit=1))
        assumed = recorded_assumptions(config[0].payload) if config else None
        standing = replace(self._daemon.standing(), assumed=assumed)
        under_way = reading(view, query, standing.now)
        newest = self._daemon.journal.last_seq
        await self._daemon.journal.committed(newest)
        voided = Voided([row async for row in self._daemon.journal.scan(Query(kinds=(LineFailed.kind,)))])
        rows = Query(kinds=under_way.kinds, before_seq=newest + 1, limit=_READ_ROWS)
        async for row in self._daemon.journal.scan(rows):
            if row not in voided:
                under_way.add(message_of(row))
        return await asyncio.to_thread(under_way.finish, standing)

    async def _logs(self, query: Mapping[str, str]) -> bytes:
        count, level = query.get("n", str(_LOG_LINES)), query.get("level", "debug")
        if not count.isdigit() or len(count) > 6:
            raise UsageError(f"n {count!r} is not a whole number")
        if level not in LEVELS:
            raise UsageError(f"level {level!r} is none of {', '.join(LEVELS)}")
        path = log_file(self._daemon.home)
        lines = await asyncio.to_thread(lambda: list(read_log(path, int(count), level, query.get("event"))))
        return b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in lines)


def _not_yet() -> Unavailable:
    return Unavailable("the daemon recovers; only status and halt are heard", mend="ask again in a moment")
