"""The commands against something that answers on a real socket; it remembers what it was asked."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tradebot.cli.main import run
from tradebot.control.protocol import Peer
from tradebot.control.server import ControlServer
from tradebot.model.errors import RefusedByRule, UsageError

STATUS = {
    "bot": "fake",
    "state": "running",
    "mode": "paper",
    "pid": 1,
    "uptime_s": 3.5,
    "version": "0",
    "config_hash": "c",
    "venue": {"kind": "simulated", "network": None, "connected": True, "last_message_age_s": 0.1, "budget": None},
    "feed": {"kind": "replay", "state": "running", "last_ts": 0},
    "account": {"equity": "10000", "cash": "10000"},
    "positions": [],
    "protected": {"protected": 0, "total": 0},
    "orders": {"open": 0, "unknown": 0},
    "tasks": [],
    "risk": [],
    "errors_last_hour": 0,
    "last_signal": None,
    "last_trade": None,
}
TRADE = {"exit_ts": 1, "symbol": "BTC", "strategy": "cross", "side": "long", "qty": "1", "net_pnl": "5"}
ANSWERS: Mapping[str, object] = {
    "status": STATUS,
    "health": {"well": False, "checks": [{"check": "feed", "ok": False, "detail": "silent"}]},
    "positions": {"positions": []},
    "balance": {"equity": "10000"},
    "risk": {"risk": []},
    "flatness": {"flat": True, "positions": [], "orders": [], "others": [], "stuck": "", "over": False},
    "page": {"report": {"trades": 1}, "trades": [], "deals": [], "series": [], "curve": {}},
    "report": {"trades": 1, "net_pnl": "5", "equity_curve": [[0, "10000"], [60000, "10005"]]},
}
SIGNAL = {"ts": 1, "symbol": "BTC", "signal_id": "cross-BTC-1", "outcome": "refused", "gate": "max_leverage"}


class Fake:
    """A ``ControlApi`` with fixed answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def read(self, view: str, query: Mapping[str, str]) -> bytes | AsyncIterator[bytes]:
        self.asked.append((view, dict(query)))
        if view in ANSWERS:
            return json.dumps(ANSWERS[view]).encode() + b"\n"
        row = TRADE if view == "trades" else SIGNAL
        return b"" if view == "orders" or query.get("of") == "NOPE" else json.dumps(row).encode() + b"\n"

    async def act(self, verb: str, arguments: Mapping[str, str], peer: Peer) -> bytes:
        self.asked.append((verb, dict(arguments)))
        if verb == "resume":
            raise RefusedByRule("the loss limit holds", where="resume", mend="wait")
        if arguments.get("symbol") == "NOPE":
            raise UsageError("no position in NOPE")
        return b'{"detail":"as you wish"}\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(runtime), "TRADEBOT_HOME": str(tmp_path / "home")}


@pytest.fixture
async def fake(home: Path, environ: dict[str, str]) -> AsyncIterator[Fake]:
    api = Fake()
    server = ControlServer(api, home, environ)
    await server.start()
    yield api
    await server.stop(0.1)


async def cli(environ: Mapping[str, str], *words: str) -> int:
    return await asyncio.to_thread(run, words, environ)


@pytest.mark.parametrize("view", ["status", "positions", "balance", "risk", "orders", "trades", "report"])
async def test_json_is_what_the_daemon_said(fake: Fake, environ: dict[str, str], capsysbinary, view: str) -> None:
    assert await cli(environ, view, "--json") == 0
    expected = await fake.read(view, {})
    assert capsysbinary.readouterr().out == expected


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("status", "running"),
        ("positions", "no open position"),
        ("balance", "10,000"),
        ("risk", "no limit"),
        ("orders", "no open order"),
        ("trades", "BTC"),
        ("report", "Net P&L"),
        ("signals", "max_leverage"),
        ("why BTC", "cross-BTC-1"),
        ("pause", "as you wish"),
        ("ps", "fake"),
    ],
)
async def test_a_person_gets_text_without_colour_codes_off_a_terminal(
    fake: Fake, environ: dict[str, str], capsys: pytest.CaptureFixture[str], words: str, shown: str
) -> None:
    assert await cli(environ, *words.split()) == 0
    out = capsys.readouterr().out
    assert shown in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("pause", ("pause", {})),
        ("reduce-only", ("reduce-only", {})),
        ("halt", ("halt", {})),
        ("halt --flatten", ("halt", {"flatten": "true"})),
        ("halt --reason odd", ("halt", {"reason": "odd"})),
        ("halt --flatten --reason odd", ("halt", {"flatten": "true", "reason": "odd"})),
        ("close BTC --fraction 0.5", ("close", {"symbol": "BTC", "fraction": "0.5"})),
        ("cancel --all", ("cancel", {"all": "true"})),
        ("cancel cross-BTC-1-entry", ("cancel", {"id": "cross-BTC-1-entry"})),
        ("reload", ("reload", {})),
        ("why BTC -n 3 --json", ("why", {"of": "BTC", "limit": "3"})),
        ("report --since 7d --by day --json", ("report", {"since": "7d", "by": "day"})),
    ],
)
async def test_words_become_a_request(
    fake: Fake, environ: dict[str, str], words: str, asked: tuple[str, dict[str, str]]
) -> None:
    assert await cli(environ, *words.split()) == 0
    assert fake.asked[0] == asked


async def test_the_daemons_refusal_keeps_its_exit_code_and_words(
    fake: Fake, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await cli(environ, "resume", "--reason", "please") == 5
    assert capsys.readouterr().err == "error: the loss limit holds\n  where: resume\n  mend: wait\n"
    assert await cli(environ, "close", "NOPE") == 2


async def test_why_of_something_unknown_names_the_symbols_that_have_decisions(
    fake: Fake, environ: dict[str, str], capsysbinary
) -> None:
    assert await cli(environ, "why", "NOPE") == 0
    assert capsysbinary.readouterr().out == (
        b"no decision on NOPE: not a symbol with decisions, nor the id of one; there are some on BTC\n"
    )
    assert await cli(environ, "why", "NOPE", "--json") == 0
    assert capsysbinary.readouterr().out == b""


async def test_an_answer_without_words_is_said_to_be_done(
    fake: Fake, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await cli(environ, "pause", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"detail": "as you wish"}
    assert await cli(environ, "cancel") == 2
    assert "name one order, or say --all" in capsys.readouterr().err


async def test_health_tells_by_its_exit_code(fake: Fake, environ: dict[str, str]) -> None:
    assert await cli(environ, "health") == 1


async def test_a_second_daemon_is_refused_by_pid(
    fake: Fake, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await cli(environ, "start") == 75
    assert str(os.getpid()) in capsys.readouterr().err


@pytest.mark.parametrize("words", ["state reset", "state restore x.db"])
async def test_the_state_of_a_running_daemon_is_left_alone(
    fake: Fake, environ: dict[str, str], home: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "journal.db").touch()
    (home / "x.db").touch()
    monkeypatch.chdir(home)
    assert await cli(environ, *words.split()) == 75


async def test_a_report_is_written_as_tables_and_as_a_page(fake: Fake, environ: dict[str, str], tmp_path: Path) -> None:
    folder, page = tmp_path / "csv", tmp_path / "report.html"
    assert await cli(environ, "report", "--csv", str(folder), "--html", str(page)) == 0
    assert (folder / "equity.csv").read_text() == "ts_ms,equity\n0,10000\n60000,10005\n"
    assert (folder / "trades.csv").read_text().splitlines()[0].startswith("symbol,strategy,side")
    assert (folder / "report.csv").read_text() == "trades,net_pnl\n1,5\n"
    assert (folder / "daily.csv").read_text() == "ts_ms,return\n"
    assert (folder / "monthly.csv").read_text() == "month,return\n"
    assert page.read_text().startswith("<!doctype html>")


STOPPING = """
import asyncio, os, sys
from pathlib import Path
from tradebot.control.server import ControlServer

class Api:
    async def read(self, view, query):
        return b"{}"
    async def act(self, verb, arguments, peer):
        asyncio.get_running_loop().call_later(0.1, ended.set)
        return b"{}"

async def main():
    global ended
    ended = asyncio.Event()
    server = ControlServer(Api(), Path(sys.argv[1]), os.environ)
    await server.start()
    print("ready", flush=True)
    await ended.wait()
    if sys.argv[2] == "ends":
        await server.stop(0.1)
    else:
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(("kind", "code"), [("ends", 0), ("hangs", 4)])
def test_stop_waits_until_the_process_is_gone(
    home: Path, environ: dict[str, str], kind: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", STOPPING, str(home), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | environ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            assert run(["stop", "--timeout", "5" if code == 0 else "0.3"], environ) == code
            if code == 4:
                assert f"kill {child.pid}" in capsys.readouterr().err
        finally:
            child.kill()
