import shutil
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradebot.model.errors import StorageFailed
from tradebot.store.snapshot import NAMES, load_snapshots, peek_snapshots, write_snapshot

EACH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def body(number: int) -> bytes:
    return orjson.dumps({"cash": f"{number}.5", "text": 'a "quoted" line\n'})


def written(home: Path, *numbers: int) -> Path:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for number in numbers:
        write_snapshot(home, number, "cafe", body(number))
    return home


def test_the_newest_three_are_kept_newest_first(tmp_path: Path) -> None:
    home = written(tmp_path / "h", 1, 2, 3, 4, 5)
    found = load_snapshots(home)
    assert [(one.seq, one.config_hash, one.body) for one in found.valid] == [(n, "cafe", body(n)) for n in (5, 4, 3)]
    assert sorted(path.name for path in home.iterdir()) == sorted(NAMES)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in home.iterdir())


def test_an_empty_home_has_none(tmp_path: Path) -> None:
    assert load_snapshots(tmp_path).valid == []


@EACH
@given(st.data())
def test_a_snapshot_torn_at_any_byte_leaves_the_older_one(tmp_path: Path, data: st.DataObject) -> None:
    home = written(tmp_path / "h", 1, 2)
    raw = (home / NAMES[0]).read_bytes()
    (home / NAMES[0]).write_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])
    found = load_snapshots(home)
    assert [one.seq for one in found.valid] == [1]
    assert [one.path.name for one in found.rejected] == ["state.json.bad"]
    assert load_snapshots(home).rejected == []


@EACH
@given(st.data())
def test_a_snapshot_with_any_byte_changed_is_never_taken_for_another_state(tmp_path: Path, data: st.DataObject) -> None:
    home = written(tmp_path / "h", 1, 2)
    raw = bytearray((home / NAMES[0]).read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (home / NAMES[0]).write_bytes(raw)
    for one in load_snapshots(home).valid:
        assert one.body == body(one.seq)


@pytest.mark.parametrize(
    "raw", [b"[]", b"{}", b'{"schema":1}', b'{"schema":1,"seq":"1","config_hash":1,"sha256":1,"body":1}']
)
def test_json_that_is_no_snapshot_is_put_aside(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / NAMES[1]).write_bytes(raw)
    assert peek_snapshots(tmp_path).rejected[0].path.name == "state.json.1"
    assert load_snapshots(tmp_path).rejected[0].path.name == "state.json.1.bad"
    assert not (tmp_path / NAMES[1]).exists()


def test_a_newer_schema_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    home = written(tmp_path / "h", 1, 2)
    envelope = orjson.loads((home / NAMES[0]).read_bytes()) | {"schema": 7}
    (home / NAMES[0]).write_bytes(orjson.dumps(envelope))
    found = load_snapshots(home)
    assert found.rejected[0].reason == "it has schema 7; this program knows up to 1"
    assert (home / NAMES[0]).exists()
    assert [one.seq for one in found.valid] == [1]


def test_a_snapshot_beyond_the_journal_is_put_aside(tmp_path: Path) -> None:
    home = written(tmp_path / "h", 10, 20)
    found = load_snapshots(home, newest_seq=15)
    assert [one.seq for one in found.valid] == [10]
    assert "the journal ends at 15" in found.rejected[0].reason


def test_what_a_kill_left_half_written_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".state-abc").write_bytes(b"half")
    load_snapshots(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_leaves_the_older_ones(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot write the snapshot"):
        write_snapshot(tmp_path / "none", 1, "cafe", body(1))
    home = written(tmp_path / "h", 1)
    (home / NAMES[1]).mkdir()
    (home / NAMES[1] / "full").touch()
    (home / NAMES[2]).write_text("x")
    with pytest.raises(StorageFailed):
        write_snapshot(home, 2, "cafe", body(2))
    assert (home / NAMES[0]).exists()


def test_a_snapshot_that_cannot_be_read_is_a_failed_disk(tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).mkdir()
    with pytest.raises(StorageFailed, match="cannot read"):
        load_snapshots(tmp_path)


def test_a_bad_snapshot_that_cannot_be_put_aside_is_a_failed_disk(tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_text("bad")
    (tmp_path / "state.json.bad").mkdir()
    with pytest.raises(StorageFailed, match="cannot put aside"):
        load_snapshots(tmp_path)
