"""A configuration of the past, put back into the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tradebot.log import log
from tradebot.model.errors import RefusedByRule, StorageFailed
from tradebot.model.logevent import LogEvent
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.settings.load import LoadOptions
from tradebot.settings.model import Settings
from tradebot.settings.reload import ReloadDiff
from tradebot.settings.rewriting import Rewrite, keep_copy, plan_rewrite, write_config


@dataclass(frozen=True, slots=True)
class PutBack:
    """A file that says the past again. ``before`` is what it said, ``None`` where there was none."""

    rewrite: Rewrite
    before: str | None
    kept: Path | None

    def undo(self) -> None:
        """Let the file say again what it said."""
        if self.before is None:
            self.rewrite.path.unlink(missing_ok=True)
        else:
            write_config(self.rewrite.path, self.before)

    @property
    def text(self) -> str:
        """What was done, in words."""
        comments = ", all of it, for what was there could not be edited" if self.rewrite.is_whole else ""
        kept = "" if self.kept is None else f"; what was there is kept in {self.kept}"
        return f"wrote {self.rewrite.path}{comments}{kept}"


def put_back(
    home: Path,
    options: LoadOptions,
    environ: Mapping[str, str],
    target: Settings,
    running: Settings | None,
    now: Nanos,
) -> PutBack:
    """Rewrite the file of the configuration so that ``target`` comes of all layers; a copy of it is kept.

    Raises what ``plan_rewrite``, ``keep_copy`` and ``write_config`` raise; the file is as it was then.
    """
    rewrite = plan_rewrite(options, home, environ, target, running)
    before = rewrite.path.read_text(encoding="utf-8", errors="surrogateescape") if rewrite.path.exists() else None
    kept = keep_copy(home, [rewrite.path], stamp(now))
    if before != rewrite.text:
        write_config(rewrite.path, rewrite.text)
        log(LogEvent.CONFIG_REWRITTEN, file=str(rewrite.path))
    return PutBack(rewrite, before, kept)


def refuse_loosened(diff: ReloadDiff, wanted: Sequence[str] = ()) -> None:
    """Raise ``RefusedByRule`` where limits would be loosened while trading is not halted."""
    if diff.loosened:
        keys = ", ".join(diff.loosened)
        raise RefusedByRule(
            f"it would loosen {keys}: limits are loosened only while halted; nothing was written",
            where=" ".join(("config rollback", *wanted)),
            mend="tradebot halt, then repeat it; or go back to one that is not looser",
        )


def keep_config(home: Path, files: Sequence[Path], now: Nanos) -> None:
    """Keep a copy of the files that came into force; a full disk is no reason not to trade."""
    try:
        keep_copy(home, files, stamp(now))
    except StorageFailed as error:
        log(LogEvent.CONFIG_UNKEPT, level="warning", error=str(error))


def stamp(now: Nanos) -> str:
    """Return a time as it names a folder, such as ``20250101T000000Z``."""
    return f"{datetime.fromtimestamp(now // NANOS_PER_S, UTC):%Y%m%dT%H%M%SZ}"
