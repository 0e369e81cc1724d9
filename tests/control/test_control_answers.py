"""A client in front of a daemon that answers nonsense, too little or nothing, and places where no socket can be."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tradebot.control.binding import bind, point_to, unbind
from tradebot.control.client import find_peer, read
from tradebot.control.protocol import POINTER_NAME
from tradebot.model.errors import NotPermitted, NotRunning, TimedOut, Unreadable

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[bytes | None], Path]]:
    """Return a function that makes a socket which answers one request with the bytes given; ``None``: never."""
    listener = bind(tmp_path / "control.sock")
    listener.setblocking(True)
    done = threading.Event()
    threads: list[threading.Thread] = []

    def serve(answer: bytes | None) -> None:
        connection, _ = listener.accept()
        # The client hangs up as soon as it has seen enough.
        with closing(connection), suppress(OSError):
            connection.recv(65_536)
            if answer is None:
                done.wait(60)
            else:
                connection.sendall(answer)

    def answer_with(answer: bytes | None) -> Path:
        threads.append(threading.Thread(target=serve, args=(answer,)))
        threads[-1].start()
        return tmp_path / "control.sock"

    yield answer_with
    done.set()
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "hung up before its answer was whole"),
        (OK + b"Content-Length: 10\r\n\r\nshort", "hung up before its answer was whole"),
        (OK + b"\r\nno length", "has no length"),
        (OK + b"X: " + b"x" * 100_000, "has no end of head"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the daemon answered 'SSH-2.0-OpenSSH'"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", "is broken"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "hung up before its answer was whole"),
    ],
)
def test_an_answer_that_is_none_is_named(answering: Callable[[bytes | None], Path], answer: bytes, error: str) -> None:
    with pytest.raises(Unreadable, match=error):
        read(answering(answer), "status")


def test_an_answer_in_pieces_is_put_together(answering: Callable[[bytes | None], Path]) -> None:
    pieces = OK + b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
    assert read(answering(pieces), "status") == b'{"a":1}'


def test_a_daemon_that_says_nothing_is_given_up(answering: Callable[[bytes | None], Path]) -> None:
    with pytest.raises(TimedOut, match=r"did not answer within 0\.1 s"):
        read(answering(None), "status", timeout=0.1)


def test_nobody_listens_on_a_file_or_a_name_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "control.sock", tmp_path / ("x" * 200)):
        with pytest.raises(NotRunning):
            read(path, "status")
        assert find_peer(path) is None


def test_a_socket_is_bound_only_where_nobody_else_can_put_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    places = {
        tmp_path / "missing" / "s": "no directory",
        tmp_path / "file" / "s": "is not ours|no directory",
        tmp_path / "open" / "s": "others may write",
        tmp_path / "file": "something that is not our socket",
        tmp_path / ("d" * 100) / "s": "too long",
    }
    (tmp_path / ("d" * 100)).mkdir(mode=0o700)
    for path, what in places.items():
        with pytest.raises(NotPermitted, match=what):
            bind(path)


def test_only_the_socket_that_was_bound_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bind(path).close()
    inode = path.lstat().st_ino
    unbind(path, inode + 1)
    assert path.exists()
    unbind(path, inode)
    assert not path.exists()
    unbind(path, inode)


def test_a_home_says_where_its_socket_is_unless_it_is_in_it(tmp_path: Path) -> None:
    point_to(tmp_path, tmp_path / "elsewhere" / "s")
    assert (tmp_path / POINTER_NAME).read_text() == str(tmp_path / "elsewhere" / "s")
    point_to(tmp_path, tmp_path / "control.sock")
    assert not (tmp_path / POINTER_NAME).exists()
