"""A power cut at any point, through every file a daemon writes, loses nothing that was promised.

The counts of longer searches are in ``docs/reference/kills.md``.
"""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kills.paper import write_run_config
from tests.power.cuts import build, check, compiler, cuts, lay_out, record_run
from tests.power.disk import Disk, Op, Record, read_records
from tests.searching import search_words

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler, to record what a process writes")
CUTS = 120
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    folder = tmp_path_factory.mktemp("power")
    config = write_run_config(folder, random.Random(1), (40, 40))
    assert record_run(folder, config, build(folder)).wait(DEADLINE_S) == 0, (folder / "said").read_text()
    return folder, list(read_records(folder / "records"))


def wrong(folder: Path, records: list[Record], count: int) -> list[str]:
    """Return what is wrong behind some cuts."""
    found = []
    for cut in cuts(records, str(folder / "home"), count, random.Random(7)):
        lay_out(folder / "after", cut.left)
        try:
            found += check(folder / "after", cut)[0]
        except Exception as error:
            found.append(repr(error))
    return found


def test_a_cut_anywhere_loses_nothing_that_was_promised(recorded: tuple[Path, list[Record]]) -> None:
    assert wrong(*recorded, CUTS) == []


@pytest.mark.parametrize("of", ["journal.db-wal", ".state-"])
def test_without_the_syncs_of_a_file_the_search_finds_the_loss(recorded: tuple[Path, list[Record]], of: str) -> None:
    folder, records = recorded
    ours = {record.number for record in records if record.op is Op.OPEN and f"/{of}" in record.content.decode()}
    lazy = [record for record in records if record.op is not Op.SYNC or record.number not in ours]
    assert len(lazy) < len(records)
    assert wrong(folder, lazy, CUTS) != []


def test_a_name_may_be_there_before_its_content() -> None:
    disk = Disk("/d")
    for record in (Record(Op.OPEN, 1, 0, b"/d/a"), Record(Op.WRITE, 1, 0, b"x" * 600)):
        disk.see(record)
    left = {tuple(sorted(disk.cut(random.Random(seed)).items())) for seed in range(60)}
    whole, torn = (("a", b"x" * 600),), (("a", bytes(512) + b"x" * 88),)
    assert {(), (("a", b""),), (("a", b"x" * 512),), torn, whole} == left
    for record in (Record(Op.SYNC, 1, 0, b""), Record(Op.OPEN, 2, 0, b"/d"), Record(Op.SYNC, 2, 0, b"")):
        disk.see(record)
    disk.see(Record(Op.RENAME, 0, 0, b"/d/a\0/d/b"))
    assert {tuple(disk.cut(random.Random(seed))) for seed in range(9)} == {("a",), ("b",)}


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["paper", "live"])
def test_cuts_of_run_after_run_lose_nothing(tmp_path: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.power", *search_words(kind, tmp_path / "power.jsonl")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
