"""What the journal of a stopped daemon tells, through the same readings a running one uses.

The lock is held meanwhile, so that no daemon starts on a file somebody reads.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from tradebot.model.errors import NotRunning
from tradebot.model.failure import LineFailed
from tradebot.model.position import Deposit, EquityMark
from tradebot.model.time import Nanos
from tradebot.pipeline.line import StageName
from tradebot.pipeline.risk.book import RiskState
from tradebot.runtime.assumptions import recorded_assumptions
from tradebot.runtime.config_rows import CONFIG
from tradebot.runtime.quarantine import message_of
from tradebot.runtime.reading import Standing, Voided, reading
from tradebot.runtime.recording import REAL
from tradebot.store.codec import decode
from tradebot.store.lock import HomeLock
from tradebot.store.rows import JournalReader, Query
from tradebot.store.schema import JOURNAL_NAME
from tradebot.store.snapshot import peek_snapshots


def read_stored(home: Path, view: str, query: Mapping[str, str]) -> bytes:
    """Return ``view`` (report, page, trades, why or signals) as the daemon would.

    Raises ``NotRunning`` when nothing was ever recorded, ``LockHeld`` when a daemon is coming up.
    """
    path = home / JOURNAL_NAME
    if not path.exists():
        raise NotRunning(
            "no daemon runs here, and none ever did", where=str(home), mend="start it with: tradebot start"
        )
    with HomeLock(home), JournalReader(path) as journal:
        standing = _standing(home, journal)
        config = next(iter(journal.rows(Query(kinds=(CONFIG,), newest_first=True, limit=1))), None)
        if config is not None:
            standing = replace(standing, assumed=recorded_assumptions(config.payload))
        under_way = reading(view, query, standing.now)
        voided = Voided(journal.rows(Query(kinds=(LineFailed.kind,))))
        for row in journal.rows(Query(kinds=under_way.kinds)):
            if row not in voided:
                under_way.add(message_of(row))
    return under_way.finish(standing)


def _standing(home: Path, journal: JournalReader) -> Standing:
    """Return what the newest snapshot adds to the journal, when nothing happened after it."""
    last = next(iter(journal.rows(Query(newest_first=True, limit=1))), None)
    snapshots = peek_snapshots(home, 0 if last is None else last.seq).valid
    if snapshots:
        later = Query(after_seq=snapshots[0].seq, kinds=REAL.inputs, limit=1)
        if next(iter(journal.rows(later)), None) is None:
            risk = decode(RiskState, orjson.dumps(orjson.loads(snapshots[0].body)[StageName.RISK.value]))
            # The simulated venue is part of the snapshot; only a real one has deposits, and it is not asked here.
            is_real = next(iter(journal.rows(Query(kinds=(Deposit.kind,), limit=1))), None) is not None
            return Standing(
                now=Nanos(risk.market_ts),
                pending=risk.pending_equity,
                marks=risk.marks,
                venue_equity=None if is_real else risk.equity,
            )
    newest = next(iter(journal.rows(Query(kinds=(EquityMark.kind,), newest_first=True, limit=1))), None)
    return Standing(now=Nanos(0) if newest is None else Nanos(newest.ts_event))
