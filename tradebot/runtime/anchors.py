"""Where recovery can begin: at a snapshot, or at the first row of a journal that still has them all."""

from pathlib import Path

from tradebot.log import log
from tradebot.model.errors import StorageFailed
from tradebot.model.logevent import LogEvent
from tradebot.store.journal import SqliteJournal
from tradebot.store.pruning import anchored
from tradebot.store.snapshot import Snapshot, load_snapshots


class UnusableSnapshot(StorageFailed):
    """A sound snapshot that this program cannot load, because another version of it wrote it."""


class Anchors:
    """The places to begin at, best first. ``None`` stands for the beginning of the journal."""

    def __init__(self, home: Path, anchors: list[Snapshot | None], pruned_seq: int) -> None:
        self._home, self._anchors, self._pruned_seq = home, anchors, pruned_seq

    @classmethod
    async def find(cls, home: Path, journal: SqliteJournal) -> "Anchors":
        """Look into ``home`` and its journal; what is of no use is put aside and said."""
        found = load_snapshots(home, journal.last_seq)
        for rejected in found.rejected:
            _say(rejected.path.name, rejected.reason)
        pruned_seq, kept = await anchored(journal)
        anchors: list[Snapshot | None] = [snapshot for snapshot in found.valid if snapshot.seq >= pruned_seq]
        if pruned_seq == 0:
            anchors.append(None)
        elif kept is not None and all(anchor is None or anchor.seq != kept.seq for anchor in anchors):
            anchors.append(kept)
        return cls(home, anchors, pruned_seq)

    @property
    def best(self) -> Snapshot | None:
        """The best place left. Raises ``StorageFailed`` when there is none."""
        if not self._anchors:
            raise StorageFailed(
                f"no snapshot can be used, and the market rows up to row {self._pruned_seq} were pruned",
                where=str(self._home),
                mend="run the version that wrote them, put a backup in place with `tradebot state restore FILE`, "
                "or start afresh with `tradebot state reset`",
            )
        return self._anchors[0]

    def reject(self, reason: str) -> None:
        """Go on to the next best place."""
        rejected = self._anchors.pop(0)
        _say("snapshot" if rejected is None else f"snapshot of row {rejected.seq}", reason)


def _say(file: str, reason: str) -> None:
    log(LogEvent.SNAPSHOT_REJECTED, level="warning", file=file, reason=reason)
