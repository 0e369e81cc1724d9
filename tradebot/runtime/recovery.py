"""Boot is recovery: the newest snapshot, then every input after it once more through the line.

What the line says the second time must be what the journal holds of the first time; a turn whose outputs
were cut off by the end is completed. An input that made the line fail is left out, and the bot boots halted; what
the line said after it, before it was left out, need not repeat.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from tradebot.model.errors import ConfigError, InvariantError, StorageFailed
from tradebot.model.market import Message
from tradebot.model.message import MARKET
from tradebot.model.signal import WISH_GATES, Approved, Refused, Signal, StrategyDisabled
from tradebot.model.time import Nanos
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.runtime.guard import watching
from tradebot.runtime.quarantine import read_failures
from tradebot.runtime.recording import Recorder, Vocabulary
from tradebot.runtime.session import Session
from tradebot.store.codec import decode_message
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import Row

_NOTHING = ("nothing", Nanos(0), b"")
_MOST_SAID = 300


@dataclass(slots=True)
class _JournaledTurn:
    """An input row and the output rows that follow it."""

    row: Row
    outputs: list[Row] = field(default_factory=list)
    is_last: bool = False


class TurnFailed(InvariantError):
    """Running input ``seq`` again raised; it must be left out."""

    def __init__(self, seq: int, error: Exception) -> None:
        super().__init__(f"input {seq} makes the line fail: {error!r}", where="journal.db")
        self.seq = seq


async def replay_tail(
    session: Session,
    recorder: Recorder,
    strategies: StrategyStage,
    journal: SqliteJournal,
    after_seq: int,
    before_seq: int,
    *,
    is_same_code: bool = True,
) -> int:
    """Run all inputs between two rows, compare what they cause with the rows that followed, and return their count.

    Other code than that which wrote them need not decide the same: what the strategies said is taken from the rows,
    what follows from it is not compared.

    Raises ``InvariantError`` where they differ, ``ConfigError`` where the feed gives other data than it
    gave then, and ``TurnFailed`` where an input raises.
    """
    failed = await read_failures(journal)
    produced: deque[tuple[str, Nanos, bytes]] = deque()
    turns = 0

    def collect(kind: str, ts_event: Nanos, payload: bytes) -> int:
        produced.append((kind, ts_event, payload))
        return 0

    append, recorder.append = recorder.append, collect
    try:
        # A strategy that blocked when the end came blocks again.
        with watching(strategies):
            async for turn in _turns(journal, recorder.vocabulary, after_seq, before_seq):
                if produced and is_same_code:
                    raise _difference(turn.row.seq, produced[0], _NOTHING)
                produced.clear()
                message = decode_message(turn.row.kind, turn.row.payload)
                _advance_feed(session, message, turn.row.seq)
                session.note(message)
                turns += 1
                if any(failure.leaves_out(turn.row.seq) for failure in failed):
                    continue
                strategies.force_disable = _blocked(turn.outputs)
                is_cut = turn.is_last and not turn.outputs and before_seq > journal.last_seq
                # What the end cut off before anything was decided is decided now.
                strategies.recorded = None if is_same_code or is_cut else _said_in(turn.outputs)
                _run_again(session, message, turn.row.seq)
                if any(failure.parts(turn.row.seq) for failure in failed):
                    produced.clear()
                elif not is_same_code:
                    for _ in turn.outputs[: len(produced)]:
                        produced.popleft()
                else:
                    _compare(turn.outputs, produced)
    finally:
        recorder.append = append
        strategies.force_disable, strategies.recorded = {}, None
    for kind, ts_event, payload in produced:
        journal.append(kind, ts_event, payload)
    return turns


def _run_again(session: Session, message: Message, seq: int) -> None:
    try:
        session.line.pump(message)
    except (StorageFailed, MemoryError):
        # Not the input's fault: another boot may run it.
        raise
    except Exception as error:
        raise TurnFailed(seq, error) from error


def _advance_feed(session: Session, message: Message, seq: int) -> None:
    if not isinstance(message, MARKET):
        return
    again = session.again(message)
    if again != message:
        raise ConfigError(
            f"the feed now gives {again} where it gave {message}",
            where=f"journal row {seq}",
            mend="put the data back as it was, or start afresh with: tradebot state reset",
        )


def _compare(outputs: Iterable[Row], produced: deque[tuple[str, Nanos, bytes]]) -> None:
    for row in outputs:
        again = produced.popleft() if produced else _NOTHING
        recorded = (row.kind, Nanos(row.ts_event), row.payload)
        if again != recorded and not _is_same_message(again, recorded):
            raise _difference(row.seq, again, recorded)


def _is_same_message(again: tuple[str, Nanos, bytes], recorded: tuple[str, Nanos, bytes]) -> bool:
    # The bytes differ where an older version wrote them, which did not know some field yet.
    is_alike = again[:2] == recorded[:2] and again is not _NOTHING
    return is_alike and decode_message(again[0], again[2]) == decode_message(recorded[0], recorded[2])


def _difference(seq: int, again: tuple[str, Nanos, bytes], recorded: tuple[str, Nanos, bytes]) -> InvariantError:
    suspect = _decider(*recorded) or _decider(*again)
    what = f"run again, the line says {_said(*again)} where it said {_said(*recorded)}"
    if suspect:
        return InvariantError(
            f"strategy {suspect} decided otherwise on the same bars: {what}",
            where=f"journal row {seq}",
            mend="if its file changed, put it back; else it asks a clock, chance or the network: let it decide by bars "
            "and its fields alone. Then start afresh with: tradebot state reset",
        )
    return InvariantError(
        what,
        where=f"journal row {seq}",
        mend="use the version and strategy files that wrote the journal, or start afresh with: tradebot state reset",
    )


def _said(kind: str, _: Nanos, payload: bytes) -> str:
    return f"{kind} {payload.decode(errors='replace')}"[:_MOST_SAID].strip()


def _decider(kind: str, _: Nanos, payload: bytes) -> str:
    """Return the strategy whose decision a message is; empty for all that follows from other causes."""
    if kind not in (Approved.kind, Refused.kind):
        return ""
    message = decode_message(kind, payload)
    if not isinstance(message, Approved | Refused) or message.signal.id.startswith("manual-"):
        return ""
    return message.signal.strategy


def _said_in(outputs: Iterable[Row]) -> Sequence[Signal | Refused]:
    """Return what the strategies said in a turn, by what was recorded of it."""
    messages = [
        decode_message(row.kind, row.payload) for row in outputs if _decider(row.kind, Nanos(row.ts_event), row.payload)
    ]
    return [
        one if isinstance(one, Refused) and one.gate in WISH_GATES else one.signal
        for one in messages
        if isinstance(one, Approved | Refused)
    ]


def _blocked(outputs: Iterable[Row]) -> dict[str, str]:
    # Only the wall clock knew that these strategies did not come back; the journal remembers it. Limits know again.
    messages = (decode_message(row.kind, row.payload) for row in outputs if row.kind == StrategyDisabled.kind)
    return {m.strategy: m.reason for m in messages if isinstance(m, StrategyDisabled) and not m.by_limit}


async def _turns(
    journal: SqliteJournal, vocabulary: Vocabulary, after_seq: int, before_seq: int
) -> AsyncIterator[_JournaledTurn]:
    current: _JournaledTurn | None = None
    async for row in journal.scan(Query(after_seq=after_seq, before_seq=before_seq)):
        if row.kind in vocabulary.inputs:
            if current is not None:
                yield current
            current = _JournaledTurn(row)
        elif current is not None and row.kind in vocabulary.output_kinds:
            current.outputs.append(row)
    if current is not None:
        current.is_last = True
        yield current
