"""A known key travels through every path of a bot that trades by it, and is found on none of them."""

import base64
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("eth_keyfile", reason="the extra secrets is not installed")

from tests.cli.test_cli_secrets import PASSPHRASE, Vaulted, home
from tests.waiting import wait_until
from tradebot.control import client
from tradebot.control.protocol import VIEWS, find_socket
from tradebot.model.errors import TradebotError

__all__ = ["home"]

CANARY = "c0ffee" * 10 + "1dea"
NEXT = "decade" * 10 + "cafe"


def forms(key: str) -> list[bytes]:
    """Return the ways in which a key could be written: of each one no part may be seen anywhere."""
    raw = bytes.fromhex(key)
    number = str(int(key, 16))
    encoded = [base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(key.encode())]
    texts = [key, key.upper(), number, repr(raw)[2:-1], str(list(raw))[1:-1], raw[::-1].hex()]
    return [raw, raw[::-1], *(one.rstrip(b"=")[:40] for one in encoded), *(text.encode() for text in texts)]


NEEDLES = [*forms(CANARY), *forms(NEXT), PASSPHRASE.encode(), base64.b64encode(PASSPHRASE.encode()).rstrip(b"=")[:-1]]


def assert_clean(where: str, body: bytes) -> None:
    found = [needle for needle in NEEDLES if needle in body]
    assert not found, f"{where} holds {found[0]!r}"


class Hook:
    """A webhook that keeps what it is told."""

    def __init__(self) -> None:
        bodies: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.bodies = bodies
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hooks/x"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


def commands(home: Vaulted) -> list[tuple[str, bytes]]:
    """Return what each command that could show something says, and what the socket answers."""
    options, said = home.desk.options, []
    with_passphrase = [("doctor", *options), ("--debug", "doctor", "--json", *options)]
    words = [("config", "show", *options), ("--json", "config", "show", *options), ("config", "check", *options)]
    words += [("--help",), ("secrets", "--help"), ("secrets", "set", "--help"), ("status",), ("--json", "status")]
    words += [("logs", "-n", "1000"), ("secrets", "list", *options), ("state", "backup"), ("ps",)]
    for one in with_passphrase:
        done = home.run(*one)
        said.append((" ".join(one), (done.stdout + done.stderr).encode()))
    for one in words:
        done = home.desk.run(*one)
        said.append((" ".join(one), (done.stdout + done.stderr).encode()))
    socket = find_socket(home.desk.home, home.desk.environ)
    for view in VIEWS:
        try:
            said.append((f"GET {view}", client.read(socket, view)))
        except TradebotError as error:
            said.append((f"GET {view}", str(error).encode()))
    return said


def assert_process_is_clean(pid: int) -> None:
    process = Path(f"/proc/{pid}")
    for name in ("cmdline", "environ", "limits", "status"):
        assert_clean(f"/proc/PID/{name}", (process / name).read_bytes())
    limits = (process / "limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[-3:-1] == ["0", "0"]
    # What may not be dumped belongs to root, so only a test of another user sees it; the kernel says it here.
    for task in (process / "task").iterdir():
        for child in (task / "children").read_text().split():
            assert_clean("a child", Path(f"/proc/{child}/cmdline").read_bytes())


def assert_home_is_clean(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert_clean(str(path), path.read_bytes())


def test_a_known_key_is_found_on_no_path(home: Vaulted, hook: Hook) -> None:
    desk, options = home.desk, home.desk.options
    config = desk.folder / "mine.toml"
    config.write_text(config.read_text() + f'[alerts]\nurl = "{hook.url}"\n[log]\nlevel = "debug"\n')
    home.approve(CANARY, "one")
    home.ask("secrets", "set", "agent-1", *options, value=f"0x{CANARY}\n")
    home.ask("start", "--live", *options)
    pid = int(str(desk.status()["pid"]))
    assert_process_is_clean(pid)
    said: list[tuple[str, bytes]] = []
    # Refused in the middle of everything, with its traceback; then the venue ends the key, which pages.
    done = home.run("--debug", "secrets", "rotate", "agent-1", *options, value=NEXT)
    assert done.returncode == 77
    assert "Traceback" in done.stderr
    said.append(("rotate", (done.stdout + done.stderr).encode()))
    home.approve(NEXT, "two")
    said.append(("rotate", home.ask("secrets", "rotate", "agent-1", *options, value=NEXT).encode()))
    desk.run("halt", "--reason", "a page, please")
    desk.by_hand("expire-agents", user=desk.account)
    desk.run("close", "BTC")
    said += commands(home)
    assert_process_is_clean(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())
    for where, body in said:
        assert_clean(where, body)
    assert hook.bodies
    for body in hook.bodies:
        assert_clean("an alert", body)
    assert_home_is_clean(desk.home)
    assert json.loads(desk.ask("--json", "secrets", "list", *options))
