"""Whether the files still say what is in force: looked for every few seconds, and told once.

Environment and options are those the daemon was started with, on both sides. The files of strategies count by their
content. Nothing is read while no file has another stamp than at the last look.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tradebot.log import log
from tradebot.model.command import AlertName
from tradebot.model.errors import TradebotError
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock
from tradebot.report.views import DriftFacts
from tradebot.settings.difference import Difference, differences
from tradebot.settings.load import Loaded
from tradebot.settings.model import Settings

_PERIOD_S = 5.0
# Who edits a file and reloads at once is not to be paged.
_TELL_AFTER_S = 20.0
_MOST_NAMED = 8
_MEND = "tradebot config diff shows it; tradebot reload, restart or config rollback ends it"
_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where the configuration comes from: which files there are, and what all layers make together.

    ``files`` raises ``ConfigError`` as ``load`` does.
    """

    files: Callable[[], Sequence[Path]]
    load: Callable[[], Loaded]


class DriftWatch:
    """Holds the files against ``running``, the configuration in force, and pages by ``page`` what stays different."""

    def __init__(
        self,
        source: ConfigSource,
        running: Callable[[], Settings],
        clock: Clock,
        page: Callable[[AlertName, str, str], None],
    ) -> None:
        self._source, self._running, self._clock, self._page = source, running, clock, page
        self._contents: Mapping[str, str] = {}
        self._seen: object = None
        self._since_s: float | None = None
        self._is_told = False
        self.facts = DriftFacts()

    def settle(self) -> None:
        """Take the files of the strategies as they are for those that run: the line was just built of them."""
        self._contents = _contents(self._running())
        self._seen = None

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        while True:
            await self.look()
            await asyncio.sleep(_PERIOD_S)

    async def look(self) -> None:
        """Look once; what files say is read where a stamp changed, or what is in force did."""
        running = self._running()
        seen = (id(running), await asyncio.to_thread(self._stamps, running))
        if seen != self._seen:
            keys, error = await asyncio.to_thread(self._found)
            self._seen = seen
            self._note(keys, error)
        self._tell()

    def differences(self) -> tuple[Difference, ...]:
        """Return what the files say otherwise than what is in force. Raises ``ConfigError``."""
        running = self._running()
        changed = [
            Difference(f"strategy.{index}.kind", f"{kind} ({now})", f"{kind} ({then})", kind.rpartition(":")[0])
            for index, kind in _kinds(running)
            if (now := _content(kind)) != (then := self._contents.get(kind, now))
        ]
        return (*differences(self._source.load(), running), *changed)

    def _found(self) -> tuple[tuple[str, ...], str]:
        try:
            return tuple(dict.fromkeys(one.key for one in self.differences())), ""
        except TradebotError as error:
            return (), f"{error.where}: {error.what}" if error.where else error.what

    def _note(self, keys: tuple[str, ...], error: str) -> None:
        if not keys and not error:
            self._since_s, self._is_told, self.facts = None, False, DriftFacts()
            return
        since = self.facts.since
        if since is None:
            since, self._since_s = self._clock.now(), self._clock.monotonic()
        self.facts = DriftFacts(since=since, keys=keys, error=error)

    def _tell(self) -> None:
        since, facts = self._since_s, self.facts
        if self._is_told or since is None or self._clock.monotonic() - since < _TELL_AFTER_S:
            return
        self._is_told = True
        log(LogEvent.CONFIG_DRIFTED, level="warning", keys=list(facts.keys), error=facts.error)
        more = f" and {len(facts.keys) - _MOST_NAMED} more" if len(facts.keys) > _MOST_NAMED else ""
        said = f"{', '.join(facts.keys[:_MOST_NAMED])}{more}"
        what = f"cannot be used: {facts.error}" if facts.error else f"differ from what is in force: {said}"
        self._page(AlertName.CONFIG_DRIFT, f"the files of the configuration {what}", _MEND)

    def _stamps(self, running: Settings) -> tuple[tuple[Path, _Stamp], ...]:
        try:
            files = list(self._source.files())
        except TradebotError:
            files = []
        files += [Path(kind.rpartition(":")[0]) for _, kind in _kinds(running)]
        return tuple((path, _stamp(path)) for path in files)


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _kinds(settings: Settings) -> list[tuple[int, str]]:
    return [(index, one.kind) for index, one in enumerate(settings.strategy) if ".py:" in one.kind]


def _contents(settings: Settings) -> Mapping[str, str]:
    return {kind: _content(kind) for _, kind in _kinds(settings)}


def _content(kind: str) -> str:
    try:
        body = Path(kind.rpartition(":")[0]).read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return f"content {blake2b(body, digest_size=6).hexdigest()}"
