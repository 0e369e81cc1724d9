"""Lines for systemd's journal: entries with a priority and fields, over a datagram socket in the place of its own."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradebot.runtime import journald, logline, logs
from tradebot.runtime.journald import JournaldSink, goes_to_journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.settimeout(10)
        yield listening


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "stream").open("w+") as opened:
        yield opened


def entry(journal: socket.socket) -> dict[str, str]:
    lines = journal.recv(1 << 20).decode().removesuffix("\n").split("\n")
    found = dict(line.split("=", 1) for line in lines)
    assert len(found) == len(lines), "no field twice"
    return found


@pytest.mark.parametrize(("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3")])
def test_an_entry_has_its_priority_and_its_fields(
    level: str, priority: str, journal: socket.socket, stream: IO[str], tmp_path: Path
) -> None:
    write = JournaldSink(stream, str(tmp_path / "socket"))
    write(5, level, "order.filled", {"symbol": "BTC", "files": ["a", "b"], "is_ok": True, "n": 2, "none": None})
    found = entry(journal)
    message = json.loads(found.pop("MESSAGE"))
    assert (message["ts"], message["level"], message["event"], message["symbol"]) == (5, level, "order.filled", "BTC")
    assert found == {
        "PRIORITY": priority, "SYSLOG_IDENTIFIER": "tradebot", "TRADEBOT_EVENT": "order.filled",
        "TRADEBOT_SYMBOL": "BTC", "TRADEBOT_FILES": '["a", "b"]', "TRADEBOT_IS_OK": "True", "TRADEBOT_N": "2",
    }  # fmt: skip
    assert stream.tell() == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.text(max_size=80), st.text() | st.integers(), max_size=4))
def test_nothing_in_a_field_can_make_another(
    fields: dict[str, object], journal: socket.socket, stream: IO[str], tmp_path: Path
) -> None:
    JournaldSink(stream, str(tmp_path / "socket"))(1, "info", "a.b", fields)
    found = entry(journal)
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == ("6", "tradebot")
    assert all(name.isascii() and len(name) <= 64 for name in found)
    assert set(found) - {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"} == {
        name for name in found if name.startswith("TRADEBOT_")
    }


def test_secrets_are_in_no_field(journal: socket.socket, stream: IO[str], tmp_path: Path) -> None:
    logs.register_secret("hunter2-hunter2")
    try:
        JournaldSink(stream, str(tmp_path / "socket"))(
            1, "error", "a.b", {"error": "hunter2-hunter2", "k": "0x" + "a" * 64}
        )
    finally:
        logline._SECRETS.clear()
    found = entry(journal)
    assert (found["TRADEBOT_ERROR"], found["TRADEBOT_K"]) == ("***", "***")
    assert "hunter2" not in str(found)


def test_what_the_socket_does_not_take_goes_to_the_stream_with_its_priority(
    journal: socket.socket, stream: IO[str], tmp_path: Path
) -> None:
    JournaldSink(stream, str(tmp_path / "none"))(1, "warning", "a.b", {"x": "y"})
    JournaldSink(stream, str(tmp_path / "socket"))(2, "error", "a.b", {"x": ["y" * 3000] * 1000})
    stream.seek(0)
    first, second = stream.read().splitlines()
    assert first == '<4>{"ts": 1, "level": "warning", "event": "a.b", "x": "y"}'
    assert second.startswith("<3>{")


def test_a_journal_that_does_not_keep_up_holds_nobody(journal: socket.socket, stream: IO[str], tmp_path: Path) -> None:
    write = JournaldSink(stream, str(tmp_path / "socket"))

    def flood() -> None:
        for _ in range(100_000):
            write(1, "info", "a.b", {})

    with pytest.raises(BlockingIOError):
        flood()
    assert stream.tell() == 0


def test_the_connection_that_systemd_made_is_known_by_device_and_inode(stream: IO[str], tmp_path: Path) -> None:
    status = os.fstat(stream.fileno())
    assert goes_to_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    assert not goes_to_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
    assert not goes_to_journal(stream, {})


def test_a_daemon_whose_output_is_the_journals_speaks_its_protocol(
    journal: socket.socket, stream: IO[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loguru import logger

    from tradebot.log import STATE, log
    from tradebot.model.logevent import LogEvent
    from tradebot.settings.model import LogSettings

    monkeypatch.setattr(journald, "_SOCKET", str(tmp_path / "socket"))
    status = os.fstat(stream.fileno())
    environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}", "INVOCATION_ID": "x"}
    try:
        logs.configure(tmp_path, LogSettings(), environ, stdout=stream, stderr=stream)
        log(LogEvent.ORDER_FILLED, symbol="BTC")
        assert entry(journal)["TRADEBOT_SYMBOL"] == "BTC"
        assert stream.tell() == 0
    finally:
        logger.remove()
        STATE.__init__()  # type: ignore[misc]
