"""A power cut may leave any beginning of the journal and any older snapshots: the end is always the same."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recovery.lab import facts_of, logged, rows_of, run, write_config, write_journal
from tests.search import examples
from tradebot.runtime import keeper
from tradebot.store.schema import Row
from tradebot.store.snapshot import NAMES, Snapshot, pack


@dataclass(frozen=True)
class Reference:
    """A run that nothing interrupted: its rows, all snapshots it ever took, and what it came to."""

    folder: Path
    config: Path
    rows: Sequence[Row]
    snapshots: Sequence[Snapshot]
    facts: Sequence[tuple[str, int, bytes]]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    config = write_config(folder, bars=150, store="snapshot_turns = 15")
    snapshots: list[Snapshot] = []

    def keep(_home: Path, seq: int, config_hash: str, body: bytes) -> None:
        snapshots.append(Snapshot(seq=seq, config_hash=config_hash, body=body))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "write_snapshot", keep)
        assert run(folder / "home", config) == 0
    facts = facts_of(folder / "home")
    assert sum(kind == "round_trip" for kind, _, _ in facts) > 8
    assert len(snapshots) > 8
    return Reference(folder, config, rows_of(folder / "home"), snapshots, facts)


def left_behind(reference: Reference, last_seq: int, snapshots: Sequence[Snapshot]) -> Path:
    """Return a home that holds the journal up to ``last_seq`` and ``snapshots``, newest first."""
    home = reference.folder / "cut"
    shutil.rmtree(home, ignore_errors=True)
    asyncio.run(write_journal(home, reference.rows[:last_seq]))
    for name, snapshot in zip(NAMES, snapshots, strict=False):
        (home / name).write_bytes(pack(snapshot))
    return home


@settings(max_examples=examples(10), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_cut_of_the_journal_with_any_snapshots_comes_to_the_same_end(
    reference: Reference, data: st.DataObject
) -> None:
    last_seq = data.draw(st.integers(0, len(reference.rows)), label="last row")
    taken = [snapshot for snapshot in reference.snapshots if snapshot.seq <= last_seq]
    kept = data.draw(st.lists(st.sampled_from(taken), max_size=3, unique=True) if taken else st.just([]), label="kept")
    home = left_behind(reference, last_seq, sorted(kept, key=lambda snapshot: -snapshot.seq))
    assert run(home, reference.config) == 0
    assert facts_of(home) == reference.facts
    assert logged(home, "snapshot.rejected") == []


@settings(max_examples=examples(3), suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(0, 10**6), min_size=2, max_size=3))
def test_cuts_after_cuts_come_to_the_same_end(reference: Reference, cuts: list[int]) -> None:
    rows = reference.rows
    for cut in cuts:
        home = left_behind(reference, 0, [])
        shutil.rmtree(home)
        asyncio.run(write_journal(home, rows[: cut % (len(rows) + 1)]))
        assert run(home, reference.config) == 0
        rows = rows_of(home)
    assert facts_of(home) == reference.facts


def test_a_turn_cut_between_its_outputs_is_completed(reference: Reference) -> None:
    cut = next(row.seq for row in reference.rows if row.kind == "round_trip") - 1
    assert reference.rows[cut - 1].kind == "fill"
    home = left_behind(reference, cut, [])
    assert run(home, reference.config) == 0
    resumed = rows_of(home)
    assert [tuple(row)[1:3] for row in resumed[:cut]] == [tuple(row)[1:3] for row in reference.rows[:cut]]
    # The rest of the turn comes first of all, before the row of the new boot.
    assert (resumed[cut].kind, resumed[cut].payload) == ("round_trip", reference.rows[cut].payload)
    assert facts_of(home) == reference.facts


def test_a_snapshot_that_knows_more_than_the_journal_is_put_aside(reference: Reference) -> None:
    late, early = reference.snapshots[-1], reference.snapshots[2]
    home = left_behind(reference, early.seq + 10, [late, early])
    assert run(home, reference.config) == 0
    assert [line["file"] for line in logged(home, "snapshot.rejected")] == ["state.json.bad"]
    assert logged(home, "daemon.recovered")[0]["snapshot_seq"] == early.seq
    assert facts_of(home) == reference.facts


@pytest.mark.parametrize("damaged", [1, 3])
def test_damaged_snapshots_are_passed_over(reference: Reference, damaged: int) -> None:
    kept = reference.snapshots[5:2:-1]
    home = left_behind(reference, kept[0].seq + 7, kept)
    for name in NAMES[:damaged]:
        body = bytearray((home / name).read_bytes())
        body[len(body) // 2] ^= 1
        (home / name).write_bytes(body)
    assert run(home, reference.config) == 0
    assert len(logged(home, "snapshot.rejected")) == damaged
    assert logged(home, "daemon.recovered")[0]["snapshot_seq"] == (kept[damaged].seq if damaged < 3 else 0)
    assert facts_of(home) == reference.facts


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"driver":{', b'"driver":{"unheard_of":1,'),
        (b'"risk":', b'"renamed":'),
        (b'"feed":{', b'"feed":{"unheard_of":1,'),
    ],
)
def test_snapshots_of_another_version_are_passed_over(reference: Reference, old: bytes, new: bytes) -> None:
    kept = [
        Snapshot(seq=kept.seq, config_hash=kept.config_hash, body=kept.body.replace(old, new, 1))
        for kept in reference.snapshots[4:1:-1]
    ]
    assert old in reference.snapshots[4].body
    home = left_behind(reference, kept[0].seq + 7, kept)
    assert run(home, reference.config) == 0
    assert len(logged(home, "snapshot.rejected")) == 3
    assert logged(home, "daemon.recovered")[0]["snapshot_seq"] == 0
    assert facts_of(home) == reference.facts


def test_a_snapshot_of_a_newer_program_is_left_alone(reference: Reference) -> None:
    kept = reference.snapshots[4]
    home = left_behind(reference, kept.seq, [])
    newer = pack(kept).replace(b'"schema":1', b'"schema":2')
    (home / NAMES[1]).write_bytes(newer)
    assert run(home, reference.config) == 0
    assert "schema 2" in logged(home, "snapshot.rejected")[0]["reason"]
    assert facts_of(home) == reference.facts
