import asyncio
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tradebot.control import client
from tradebot.control.binding import bind
from tradebot.control.ending import Ending
from tradebot.control.holder import find_holder
from tradebot.control.protocol import URGENT, VERBS, VIEWS, Peer
from tradebot.control.registry import find_running
from tradebot.control.server import ControlServer
from tradebot.model.errors import InvariantError, NotPermitted, NotRunning, RefusedByRule, TimedOut

in_thread = asyncio.to_thread


async def test_a_view_is_read_with_its_query(server: ControlServer, asked) -> None:
    body = await in_thread(client.read, server.path, "why", {"of": "BTC & Co", "limit": "3"})
    assert json.loads(body) == {"state": "running"}
    assert asked.reads == [("why", {"of": "BTC & Co", "limit": "3"})]


async def test_every_view_and_verb_of_the_table_is_routed(server: ControlServer, asked) -> None:
    for view in VIEWS.keys() - {"balance", "report", "logs"}:
        await in_thread(client.read, server.path, view)
    for verb in VERBS.keys() - {"resume"}:
        await in_thread(client.act, server.path, verb)
    assert {view for view, _ in asked.reads} == VIEWS.keys() - {"balance", "report", "logs"}
    assert {verb for verb, _, _ in asked.acts} == VERBS.keys() - {"resume"}


async def test_lines_come_whole_and_in_order(server: ControlServer) -> None:
    assert await in_thread(client.read, server.path, "trades") == b'{"n":0}\n{"n":1}\n{"n":2}\n'


async def test_a_verb_knows_its_peer_and_its_arguments(server: ControlServer, asked) -> None:
    await in_thread(client.act, server.path, "close", {"symbol": "BTC", "fraction": "0.5"})
    verb, arguments, peer = asked.acts[0]
    assert (verb, arguments) == ("close", {"symbol": "BTC", "fraction": "0.5"})
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())


async def test_numbers_and_flags_of_a_body_become_text(server: ControlServer, asked) -> None:
    body = b'{"symbol": "BTC", "fraction": 0.5}'
    assert (await in_thread(client.request, server.path, "POST", "/v1/close", body, 2.0))[0] == 200
    await in_thread(client.request, server.path, "POST", "/v1/halt", b'{"flatten": true}', 2.0)
    await in_thread(client.request, server.path, "POST", "/v1/halt", b'{"flatten": false}', 2.0)
    assert [arguments for _, arguments, _ in asked.acts] == [
        {"symbol": "BTC", "fraction": "0.5"},
        {"flatten": "true"},
        {},
    ]


async def test_a_refusal_keeps_its_class_and_words(server: ControlServer) -> None:
    with pytest.raises(RefusedByRule) as caught:
        await in_thread(client.act, server.path, "resume", {"reason": "please"})
    assert str(caught.value) == "resume: the daily loss limit holds\n  mend: wait for tomorrow"


async def test_a_bug_in_an_answer_is_an_internal_error_and_reported(server: ControlServer, asked) -> None:
    with pytest.raises(InvariantError, match="KeyError"):
        await in_thread(client.read, server.path, "balance")
    assert [type(failure) for failure in asked.failures] == [KeyError]


@pytest.mark.parametrize(
    ("method", "target", "body", "words"),
    [
        ("GET", "/v1/frobnicate", b"", "no such route"),
        ("POST", "/v1/frobnicate", b"", "no such route"),
        ("GET", "/", b"", "no such route"),
        ("GET", "/v1/stop", b"", "wrong method"),
        ("POST", "/v1/status", b"", "wrong method"),
        ("DELETE", "/v1/stop", b"", "method DELETE is not served"),
        ("GET", "/v1/why?off=BTC", b"", "no such argument: 'off'"),
        ("POST", "/v1/close", b'{"symbol": ["BTC"]}', "neither a text"),
        ("POST", "/v1/halt", b'{"flatten": "yes"}', "flatten is true or false"),
        ("POST", "/v1/close", b'["BTC"]', "not a JSON object"),
        ("POST", "/v1/close", b"symbol=BTC", "not JSON"),
        ("POST", "/v1/close", b"\xff\xfe\x00", "not JSON"),
        ("POST", "/v1/close", b"[" * 50_000, "not JSON"),
        ("POST", "/v1/close", b'{"a":' * 10_000, "not JSON"),
        ("POST", "/v1/close", b'{"symbol": "B\\u0007TC"}', "not plain text"),
        ("POST", "/v1/close", b'{"symbol": "' + b"B" * 2000 + b'"}', "too long"),
    ],
)
async def test_a_request_that_makes_no_sense_is_told_what_is_wrong(
    server: ControlServer, asked, method: str, target: str, body: bytes, words: str
) -> None:
    status, answer = await in_thread(client.request, server.path, method, target, body, 2.0)
    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (400, "usage")
    assert words in error["what"]
    assert asked.acts == []
    assert asked.refusals


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_speaks_to_the_socket(server: ControlServer) -> None:
    command = ["curl", "-sS", "--unix-socket", str(server.path), "http://tradebot/v1/status"]
    done = await in_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.stdout == b'{"state":"running"}\n'
    command = [*command[:-1], "http://tradebot/v1/close", "-d", '{"symbol":"BTC"}']
    done = await in_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.stdout == b'{"done":true}\n'


async def test_the_socket_is_the_owners_alone(server: ControlServer) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


async def test_another_users_peer_is_turned_away(server: ControlServer, asked) -> None:
    server.allowed_uids = frozenset({os.getuid() + 1})
    with pytest.raises(NotPermitted):
        await in_thread(client.act, server.path, "stop")
    assert asked.acts == []
    assert asked.refusals == ["this daemon is another user's"]


async def test_a_stopped_server_leaves_nothing_and_clients_say_not_running(
    server: ControlServer, home: Path, environ: dict[str, str]
) -> None:
    assert [running.home for running in find_running(environ)] == [home]
    await server.stop(0.1)
    assert not server.path.exists()
    assert find_running(environ) == []
    with pytest.raises(NotRunning):
        client.read(server.path, "status")


def test_a_stale_socket_says_not_running_and_is_replaced(home: Path) -> None:
    path = home / "control.sock"
    bind(path).close()
    assert path.exists()
    with pytest.raises(NotRunning):
        client.read(path, "status")
    listener = bind(path)
    peer = client.find_peer(path)
    assert peer is not None
    assert peer.pid == os.getpid()
    listener.close()


@pytest.mark.parametrize("kind", ["file", "symlink", "fifo", "directory"])
def test_anything_but_our_socket_in_its_place_is_refused(home: Path, tmp_path: Path, kind: str) -> None:
    path = home / "control.sock"
    match kind:
        case "file":
            path.write_text("x")
        case "symlink":
            path.symlink_to(tmp_path / "elsewhere")
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()
    with pytest.raises(NotPermitted, match="not our socket"):
        bind(path)


def test_a_directory_that_others_may_write_is_refused(home: Path) -> None:
    home.chmod(0o770)
    with pytest.raises(NotPermitted, match="others may write"):
        bind(home / "control.sock")


def test_a_silent_daemon_times_out(home: Path) -> None:
    listener = bind(home / "control.sock")
    with pytest.raises(TimedOut):
        client.read(home / "control.sock", "status", timeout=0.1)
    listener.close()


@pytest.mark.parametrize(("verb", "is_urgent"), [("halt", True), ("pause", False)])
def test_who_waits_for_a_halt_urges_the_daemon(home: Path, verb: str, is_urgent: bool) -> None:
    urged: list[int] = []
    before = signal.signal(URGENT, lambda number, _frame: urged.append(number))
    listener = bind(home / "control.sock")
    try:
        with pytest.raises(TimedOut, match="did not answer"):
            client.act(home / "control.sock", verb, timeout=0.1)
    finally:
        listener.close()
        signal.signal(URGENT, before)
    assert (len(urged) > 1) is is_urgent


async def test_a_killed_daemon_is_never_listed(home: Path, environ: dict[str, str], asked) -> None:
    server = ControlServer(asked, home, environ)
    await server.start()
    listing = Path(environ["XDG_RUNTIME_DIR"]) / "tradebot"
    entry = next(listing.glob("*.daemon")).read_bytes()
    await server.stop(0.1)
    bind(server.path).close()
    (listing / "left.daemon").write_bytes(entry)
    (listing / "junk.daemon").write_bytes(b"\xff{")
    assert find_running(environ) == []


def test_the_end_of_a_process_is_seen(home: Path) -> None:
    child = subprocess.Popen(["sleep", "30"])
    try:
        with Ending(home / "control.sock", Peer(child.pid, 0, 0)) as ending:
            assert not ending.wait(0.01)
            child.kill()
            assert ending.wait(5)
    finally:
        child.kill()
        child.wait()


def test_without_a_pid_the_socket_tells_of_the_end(home: Path) -> None:
    listener = bind(home / "control.sock")
    with Ending(home / "control.sock", Peer(0, 0, 0)) as ending:
        assert not ending.wait(0.01)
        listener.close()
        assert ending.wait(1)


def test_the_holder_of_a_lock_is_found_without_trying_the_lock(home: Path) -> None:
    assert find_holder(home) is None
    with (home / "tradebot.lock").open("w") as lock:
        lock.write(f"{os.getpid()} boot\n")
        lock.flush()
        assert find_holder(home) is None
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert find_holder(home) == os.getpid()
    assert find_holder(home) is None


@pytest.mark.parametrize("text", ["", "x y z", "1: FLOCK ADVISORY WRITE"])
def test_a_list_of_locks_that_makes_no_sense_names_nobody(home: Path, tmp_path: Path, text: str) -> None:
    (home / "tradebot.lock").write_text("x\n")
    (tmp_path / "locks").write_text(text)
    assert find_holder(home, tmp_path / "locks") is None
