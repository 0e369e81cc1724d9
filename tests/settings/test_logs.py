import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from tests.clock import VirtualClock
from tradebot.log import LEVELS, STATE, log
from tradebot.model.logevent import LogEvent
from tradebot.model.time import Nanos
from tradebot.runtime import logline, logs, logtail
from tradebot.runtime.clock import SystemClock
from tradebot.settings.model import LogSettings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    handlers = list(logging.getLogger().handlers)
    yield
    logger.remove()
    logging.getLogger().handlers[:] = handlers
    STATE.__init__()  # type: ignore[misc]
    logline._SECRETS.clear()


def start(home: Path, environ: dict[str, str] | None = None, **settings: object) -> tuple[io.StringIO, io.StringIO]:
    stdout, stderr = io.StringIO(), Terminal()
    clock = VirtualClock(1_700_000_000_123_000_000)
    logs.configure(home, LogSettings.model_validate(settings), environ or {}, clock, stdout=stdout, stderr=stderr)
    return stdout, stderr


def lines(home: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in logs.log_file(home).read_bytes().splitlines()]


def test_a_line_is_one_json_object_with_plain_numbers(tmp_path: Path) -> None:
    start(tmp_path)
    log(LogEvent.ORDER_FILLED, qty=Decimal("1E+2"), price=Decimal("0.50"), n=3, lag=0.5, none=None, ok=True)
    assert lines(tmp_path) == [
        {
            "ts": 1_700_000_000_123,
            "level": "info",
            "event": "order.filled",
            "qty": "100",
            "price": "0.5",
            "n": 3,
            "lag": 0.5,
            "none": None,
            "ok": True,
        }
    ]
    assert logs.log_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_lists_and_tables_stay_what_they_are(tmp_path: Path) -> None:
    _, stderr = start(tmp_path)
    key = "0x" + "aB" * 32
    fields = {"files": ["a.toml", Path("b.toml")], "arguments": {key: (Decimal("1.50"), None)}, "none": []}
    log(LogEvent.CONFIG_LOADED, **fields)
    (line,) = lines(tmp_path)
    assert {name: line[name] for name in fields} == {
        "files": ["a.toml", "b.toml"],
        "arguments": {"***": ["1.5", None]},
        "none": [],
    }
    assert "files=a.toml,b.toml" in stderr.getvalue()


def test_a_person_is_not_told_what_is_absent(tmp_path: Path) -> None:
    _, stderr = start(tmp_path, {"NO_COLOR": "1"})
    log(LogEvent.ORDERS_SUBMITTED, qty=Decimal(1), price=None, trigger=Decimal("9.50"), ok=False)
    assert stderr.getvalue() == "22:13:20.123 info    orders.submitted qty=1 trigger=9.5 ok=False\n"


def test_a_list_that_holds_itself_is_counted_and_never_raised(tmp_path: Path) -> None:
    start(tmp_path)
    files: list[object] = []
    files.append(files)
    log(LogEvent.CONFIG_LOADED, files=files)
    assert logs.failures() > 0


@given(st.dictionaries(st.text(max_size=5), st.text() | st.floats() | st.binary(max_size=5), max_size=4))
def test_whatever_the_fields_hold_a_line_stays_one_printable_line(fields: dict[str, object]) -> None:
    line = logline.json_line(1, "info", "a.b", fields)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == "a.b"
    for is_coloured in (False, True):
        human = logline.human_line(1, "info", "a.b", {"x": str(fields)}, is_coloured=is_coloured)
        assert "\n" not in human
        assert human.count("\x1b") == (2 if is_coloured else 0)


def test_secrets_never_reach_a_line(tmp_path: Path) -> None:
    stdout, stderr = start(tmp_path, {"JOURNAL_STREAM": "1:2"})
    key = "0x" + "aB" * 32
    logs.register_secret("hunter2-hunter2")
    log(LogEvent.TASK_FAILED, level="error", error=ValueError(f"{key} and hunter2-hunter2"), list=[key])
    written = logs.log_file(tmp_path).read_text() + stdout.getvalue() + stderr.getvalue()
    assert key not in written
    assert "hunter2" not in written
    assert written.count("***") == 6


def test_only_the_level_and_above_is_written_and_errors_are_counted(tmp_path: Path) -> None:
    log(LogEvent.DAEMON_STARTED)
    start(tmp_path, level="warning")
    for level in LEVELS:
        log(LogEvent.TASK_FAILED, level=level)
    assert [line["level"] for line in lines(tmp_path)] == ["warning", "error"]
    assert logs.errors_since(Nanos(0)) == 1
    assert logs.errors_since(Nanos(2_000_000_000 * 10**9)) == 0


def test_a_terminal_is_told_in_colour_unless_it_asks_for_none(tmp_path: Path) -> None:
    _, stderr = start(tmp_path)
    log(LogEvent.ORDER_FILLED, symbol="BTC")
    assert stderr.getvalue() == "22:13:20.123 \x1b[32minfo   \x1b[0m order.filled symbol=BTC\n"
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, stderr = start(tmp_path, environ)
        log(LogEvent.ORDER_FILLED, symbol="BTC")
        assert "\x1b" not in stderr.getvalue()


def test_under_systemd_stdout_gets_json(tmp_path: Path) -> None:
    stdout, stderr = start(tmp_path, {"INVOCATION_ID": "x"})
    log(LogEvent.ORDER_FILLED, symbol="BTC")
    assert json.loads(stdout.getvalue())["symbol"] == "BTC"
    assert not stderr.getvalue()


def test_a_pipe_gets_json_and_a_file_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe, os.fdopen(reader) as read, (tmp_path / "out").open("w+") as out:
        for stream in (pipe, out):
            logs.configure(tmp_path, LogSettings(), {}, VirtualClock(), stdout=stream, stderr=io.StringIO())
            log(LogEvent.ORDER_FILLED)
        assert json.loads(read.readline())["event"] == "order.filled"
        assert out.tell() == 0


def test_the_file_is_rotated_by_size_and_old_ones_end(tmp_path: Path) -> None:
    start(tmp_path, rotate_mb=1, keep=2)
    for number in range(300):
        log(LogEvent.ORDER_FILLED, number=number, **{f"f{field}": "x" * 3999 for field in range(4)})
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == ["tradebot.jsonl", "tradebot.jsonl.1", "tradebot.jsonl.2"]
    assert all(path.stat().st_size <= 1_000_000 for path in (tmp_path / "logs").iterdir())
    assert [line["number"] for line in logs.read_log(logs.log_file(tmp_path), 100)] == list(range(200, 300))
    start(tmp_path, rotate_mb=1, keep=1)
    for number in range(70):
        log(LogEvent.ORDER_FILLED, number=number, **{f"f{field}": "x" * 3999 for field in range(4)})
    assert len(list((tmp_path / "logs").iterdir())) == 2


def test_a_log_that_cannot_be_written_is_counted_and_never_raised(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the way")
    start(tmp_path)
    log(LogEvent.ORDER_FILLED)
    assert logs.failures() == 1


@pytest.mark.parametrize("trap", ["fifo", "link", "folder"])
def test_a_log_that_is_no_plain_file_is_left_alone(tmp_path: Path, trap: str) -> None:
    (tmp_path / "logs").mkdir()
    path = logs.log_file(tmp_path)
    if trap == "fifo":
        os.mkfifo(path)
    elif trap == "link":
        path.symlink_to(tmp_path / "target")
    else:
        path.mkdir()
    start(tmp_path)
    log(LogEvent.ORDER_FILLED)
    assert logs.failures() == 1
    assert not (tmp_path / "target").exists()


def test_warnings_of_libraries_come_into_the_log(tmp_path: Path) -> None:
    start(tmp_path)
    logging.getLogger("some.library").error("failed: %s", "why", exc_info=ValueError("bad\nthing"))
    broken = logging.LogRecord("some.library", logging.WARNING, "file", 1, "%d", ("not a number",), None)
    logs._LibraryHandler().emit(broken)
    first, second = lines(tmp_path)
    assert (first["event"], first["library"], first["text"]) == ("library.warned", "some.library", "failed: why")
    assert second["text"] == "%d"


def test_reading_filters_by_level_and_event_and_skips_garbage(tmp_path: Path) -> None:
    start(tmp_path)
    log(LogEvent.ORDER_FILLED)
    log(LogEvent.ORDER_REJECTED, level="warning")
    log(LogEvent.GAP_FOUND, level="warning")
    path = logs.log_file(tmp_path)
    path.write_bytes(b"garbage\n[1]\n\xff\n" + path.read_bytes() + b'{"cut')
    events = [line["event"] for line in logs.read_log(path, 10, "warning")]
    assert events == ["order.rejected", "gap.found"]
    assert [line["event"] for line in logs.read_log(path, 10, event="order")] == ["order.filled", "order.rejected"]
    assert [line["event"] for line in logs.read_log(path, 1)] == ["gap.found"]
    assert list(logs.read_log(path, 0)) == []
    assert list(logs.read_log(tmp_path / "none")) == []
    with pytest.raises(ValueError, match="loud"):
        list(logs.read_log(path, 1, "loud"))


def test_following_goes_over_a_rotation_without_a_loss(tmp_path: Path) -> None:
    start(tmp_path, rotate_mb=1)
    log(LogEvent.ORDER_FILLED, number=-1)
    numbers = iter(range(400))

    def write_more(_: float) -> None:
        for number in [next(numbers) for _ in range(20)]:
            log(LogEvent.ORDER_FILLED, number=number, **{f"f{field}": "x" * 3999 for field in range(4)})

    followed = logs.read_log(logs.log_file(tmp_path), 5, follow=True, wait=write_more)
    assert [next(followed)["number"] for _ in range(300)] == list(range(-1, 299))
    followed.close()


def test_the_clock_of_the_machine_moves() -> None:
    clock = SystemClock()
    assert clock.now() > 1_700_000_000 * 10**9
    before = clock.monotonic()
    assert clock.monotonic() >= before


def test_logging_from_threads_keeps_lines_whole(tmp_path: Path) -> None:
    start(tmp_path)
    threads = [
        threading.Thread(target=lambda: [log(LogEvent.ORDER_FILLED, x="y" * 500) for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(tmp_path)) == 200


def test_errors_of_the_last_hour_are_known_after_a_restart(tmp_path: Path) -> None:
    start(tmp_path)
    hour_ms, now_ms = 3_600_000, 1_700_000_000_123
    path = logs.log_file(tmp_path)
    path.parent.mkdir()

    def line(ts: object, level: str) -> str:
        return json.dumps({"ts": ts, "level": level, "event": "task.failed", "error": "an error"}) + "\n"

    older, newer = line(now_ms - hour_ms - 1, "error"), line(now_ms - hour_ms, "error")
    path.with_name(f"{path.name}.1").write_text(older + newer)
    path.write_text(line(now_ms, "warning") + line(now_ms, "error") + line("then", "error") + '{"error')
    logs.recall_errors(tmp_path)
    logs.recall_errors(tmp_path)
    assert logs.errors_since(Nanos(0)) == 2
    assert logs.errors_since(Nanos(now_ms * 1_000_000)) == 1


def test_of_a_long_log_only_the_end_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"ts": n, "level": "error", "event": "task.failed"}) + "\n" for n in range(10, 100)]
    (tmp_path / "log").write_text("".join(lines))
    monkeypatch.setattr(logtail, "_MOST_LOOKED_AT", len(lines[0]) * 10 + 5)
    assert logtail.errors_in(tmp_path / "log", 0) == list(range(90, 100))
    assert logtail.errors_in(tmp_path / "none", 0) == []
