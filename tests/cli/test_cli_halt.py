"""``halt --flatten`` at the terminal: what it says while it waits, and when it returns with what."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tradebot.cli.main import run
from tradebot.control.protocol import Peer
from tradebot.control.server import ControlServer
from tradebot.model.errors import Unavailable

FLAT: Mapping[str, object] = {"flat": True, "positions": [], "orders": [], "others": [], "stuck": "", "over": False}
ORDERS = [
    {"id": "7", "symbol": "BTC", "what": "buy 1 at 90", "own": False},
    {"id": "cross-BTC-1-stop", "symbol": "BTC", "what": "sell 1 at 95", "own": True},
]
OPEN = FLAT | {"flat": False, "positions": [{"symbol": "BTC", "qty": "1"}], "orders": ORDERS}


class Slow:
    """A daemon that says one thing after the other of how far it is, the last for ever."""

    def __init__(self) -> None:
        self.says: list[Mapping[str, object] | None] = [FLAT]
        self.reads = 0
        self.read_twice = asyncio.Event()
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    async def read(self, view: str, query: Mapping[str, str]) -> bytes | AsyncIterator[bytes]:
        says = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if says is None:
            raise Unavailable("the daemon recovers")
        self.reads += 1
        if self.reads == 2:
            # Whoever asks again has had its first answer.
            self.read_twice.set()
        return json.dumps(says).encode() + b"\n"

    async def act(self, verb: str, arguments: Mapping[str, str], peer: Peer) -> bytes:
        self.asked.append((verb, dict(arguments)))
        return b'{"state":"halted","detail":"halted"}\n'


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name in ("run", "home"):
        (tmp_path / name).mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "TRADEBOT_HOME": str(tmp_path / "home")}


@pytest.fixture
async def slow(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Slow]:
    api = Slow()
    server = ControlServer(api, tmp_path / "home", environ)
    await server.start()
    yield api
    await server.stop(0.1)


async def cli(environ: Mapping[str, str], *words: str) -> int:
    return await asyncio.to_thread(run, words, environ)


async def test_it_says_what_is_left_until_the_venue_says_flat(
    slow: Slow, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    # It recovers at first, and does not know what there is.
    slow.says = [None, FLAT | {"flat": False}, OPEN, OPEN, FLAT]
    assert await cli(environ, "halt", "--flatten") == 0
    said = capsys.readouterr()
    assert said.out == "halted, flat: no position, no resting order\n"
    left = "left: 1 BTC, order 7 (buy 1 at 90 BTC, not ours), order cross-BTC-1-stop (sell 1 at 95 BTC)"
    assert said.err.count(left) == 1


async def test_what_is_of_others_is_named_and_no_reason_to_wait(
    slow: Slow, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    slow.says = [FLAT | {"others": ["3 SOL", "order 9 (buy 1 at 2 SOL)"]}]
    assert await cli(environ, "halt", "--flatten", "--own") == 0
    assert slow.asked == [("halt", {"flatten": "true", "own": "true"})]
    assert "of others: 3 SOL, order 9 (buy 1 at 2 SOL)" in capsys.readouterr().out


async def test_json_is_written_when_it_is_flat(
    slow: Slow, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await cli(environ, "halt", "--flatten", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["state"], answer["flat"], answer["positions"]) == ("halted", True, [])


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (OPEN | {"stuck": "BTC: no counterparty"}, ["left: 1 BTC, order 7", "(BTC: no counterparty)"]),
        (None, ["left: the venue has not said yet"]),
    ],
)
async def test_after_its_time_it_says_what_is_left(
    slow: Slow,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    says: Mapping[str, object] | None,
    told: list[str],
) -> None:
    slow.says = [says]
    assert await cli(environ, "halt", "--flatten", "--timeout", "0") == 4
    err = capsys.readouterr().err
    assert "not flat within 0 s" in err
    for words in told:
        assert words in err


async def test_what_never_can_be_closed_is_not_waited_for(
    slow: Slow, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    slow.says = [OPEN | {"stuck": "the feed is finished", "over": True}]
    assert await cli(environ, "halt", "--flatten") == 5
    assert "the feed is finished" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["halt --own", "halt --timeout 3", "stop --own"])
async def test_words_that_go_with_flatten_alone_are_refused_without(
    slow: Slow, environ: dict[str, str], capsys: pytest.CaptureFixture[str], words: str
) -> None:
    assert await cli(environ, *words.split()) == 2
    assert "--flatten" in capsys.readouterr().err
    assert slow.asked == []


async def test_a_daemon_that_ends_meanwhile_is_told(
    tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    api = Slow()
    server = ControlServer(api, tmp_path / "home", environ)
    api.says = [OPEN]
    await server.start()
    asking = asyncio.create_task(cli(environ, "halt", "--flatten"))
    await api.read_twice.wait()
    await server.stop(0.1)
    assert await asking == 3
    err = capsys.readouterr().err
    assert "nothing more is known to be closed" in err
    assert "left: 1 BTC" in err
    assert "--emergency" in err
