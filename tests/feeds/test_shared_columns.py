"""Columns that many backtests share are those that each would read."""

import gzip
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the extra research is not installed")

import numpy as np

from tradebot.model.time import parse_timeframe
from tradebot.pipeline.columns import ColumnRun, SeriesColumns
from tradebot.runtime.compiled import compiled
from tradebot.store.candles import BAR_COLUMNS, BarFile
from tradebot.store.shared_columns import SharedColumns

HEADER = ",".join(BAR_COLUMNS) + "\n"
MINUTE = parse_timeframe("1m")


def rows(count: int, price: str = "1.250") -> str:
    return HEADER + "".join(f"{60_000 * number},{price},1.3,1.2,1.25,{number}.5\n" for number in range(count))


def read(path: Path, shared: SharedColumns | None = None) -> tuple[SeriesColumns | None, BarFile]:
    file = BarFile(path, "BTC", MINUTE)
    return (file.columns(compiled()) if shared is None else file.columns(compiled(), shared.read)), file


def bars(columns: SeriesColumns | None) -> str:
    assert columns is not None
    run = ColumnRun(columns, compiled())
    return repr(list(run.bars(0, len(run))))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "btc.csv"
    path.write_text(rows(100))
    return path


def test_what_one_process_read_another_maps_and_both_see_the_same(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    plain, file = read(path)
    first, second = SharedColumns(folder), SharedColumns(folder)
    for shared in (first, first, second, second, SharedColumns()):
        found, seen = read(path, shared)
        assert bars(found) == bars(plain)
        assert seen.summary() == file.summary()
    mapped = second.read(path, BAR_COLUMNS, compiled(), lambda: None)
    assert mapped is not None
    assert isinstance(mapped.numbers[0].base, np.memmap)
    assert len(list(folder.iterdir())) == 1


def test_two_that_read_at_once_leave_one_copy(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    first, second = SharedColumns(folder), SharedColumns(folder)
    found = first.read(path, BAR_COLUMNS, compiled(), lambda: None)
    assert found is not None
    (name,) = (one.name for one in folder.iterdir())
    second._keep(name, found)
    assert [one.name for one in folder.iterdir()] == [name]


def test_where_nothing_can_be_shared_each_reads_for_itself(path: Path, tmp_path: Path) -> None:
    nowhere = SharedColumns(tmp_path / "nowhere")
    assert bars(read(path, nowhere)[0]) == bars(read(path)[0])


def test_a_file_that_was_changed_is_read_again(path: Path) -> None:
    shared = SharedColumns()
    before = bars(read(path, shared)[0])
    path.write_text(rows(100, price="1.2401"))
    assert bars(read(path, shared)[0]) == bars(read(path)[0]) != before


def test_a_file_that_is_not_plain_has_none(path: Path) -> None:
    path.write_text(rows(3) + "x\n")
    assert read(path, SharedColumns())[0] is None


def test_whoever_reads_a_file_that_was_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "btc.csv.gz"
    path.write_bytes(gzip.compress(rows(5000).encode())[:-9])
    shared = SharedColumns()
    notes = [read(path, shared)[1].summary().notes for _ in range(2)]
    assert notes[0] == notes[1] == read(path)[1].summary().notes
