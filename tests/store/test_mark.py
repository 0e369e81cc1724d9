"""The mark of an emergency exit: that it is there is enough."""

import os
from pathlib import Path

import pytest

from tradebot.model.errors import StorageFailed
from tradebot.store import mark as module
from tradebot.store.mark import MARK_NAME, Mark, read_mark, remove_mark, write_mark

MARK = Mark(what="it found 1 BTC; the venue said flat", is_over=True)


def test_what_is_written_is_read_until_it_is_removed(tmp_path: Path) -> None:
    assert read_mark(tmp_path) is None
    write_mark(tmp_path, Mark(what="begun", is_over=False))
    write_mark(tmp_path, MARK)
    assert read_mark(tmp_path) == MARK
    assert (tmp_path / MARK_NAME).stat().st_mode & 0o777 == 0o600
    remove_mark(tmp_path)
    assert read_mark(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    remove_mark(tmp_path)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"what": 1}', b"\xff" * 100_000])
def test_a_mark_that_cannot_be_read_is_one_of_which_nothing_is_known(tmp_path: Path, body: bytes) -> None:
    (tmp_path / MARK_NAME).write_bytes(body)
    found = read_mark(tmp_path)
    assert found is not None
    assert not found.is_over


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_counts_too(tmp_path: Path, kind: str) -> None:
    if kind == "link":
        (tmp_path / MARK_NAME).symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / MARK_NAME).mkdir()
    found = read_mark(tmp_path)
    assert found is not None
    assert not found.is_over


def test_a_mark_that_was_written_in_part_is_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "write", lambda _handle, _body: 3)
    write_mark(tmp_path, MARK)
    assert [path.name for path in tmp_path.iterdir()] == [MARK_NAME]
    assert (tmp_path / MARK_NAME).read_bytes() == b""


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageFailed, match="cannot write"):
        write_mark(tmp_path / "gone", MARK)
    write_mark(tmp_path, MARK)

    def refuse(_path: Path, **_: object) -> None:
        raise PermissionError(1, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageFailed, match="Read-only"):
        remove_mark(tmp_path)
    assert os.listdir(tmp_path) == [MARK_NAME]
