"""The playbooks, rehearsed: each line of the page is done, in the night it was written for."""

import io
import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from coincurve import PrivateKey

from tests.cli.desk import Desk
from tests.waiting import wait_until
from tradebot.cli.main import run
from tradebot.devnet.devnet import write_key
from tradebot.devnet.recover import address_of

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "playbooks.md"
Meanwhile = Callable[[], object]


class Line(NamedTuple):
    """A command of the page, and the exit code that it is to have."""

    words: tuple[str, ...]
    code: int


def lines_of(title: str) -> list[Line]:
    """Return the commands of a playbook, in order."""
    section = PAGE.read_text().split(f"\n## {title}\n")[1].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    found = []
    for line in "".join(blocks).splitlines():
        text, _, comment = line.partition("#")
        code = re.match(r" exit (\d+)", comment)
        found.append(Line(tuple(shlex.split(text))[1:], int(code[1]) if code else 0))
    return found


def rehearse(desk: Desk, title: str, home: Path | None = None, before: Mapping[int, Meanwhile] | None = None) -> None:
    """Do the lines of a playbook; ``before`` gives what happens before the line of that number."""
    happens = dict(before or {})
    for number, line in enumerate(lines_of(title)):
        happens.pop(number, lambda: None)()
        options = desk.options if line.words[0] in ("start", "doctor", "halt", "restart") else []
        code, told = said(desk, home or desk.home, [*line.words, *options])
        assert code == line.code, f"{line.words}: exit {code}\n{told}"
    assert not happens


def said(desk: Desk, home: Path, words: list[str]) -> tuple[int, str]:
    """Return the exit code and the words of a command, as a process where it leaves one behind, else in this one."""
    if words[0] in ("start", "restart"):
        done = desk.run(*words, home=home)
        return done.returncode, done.stdout + done.stderr
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with mock.patch.dict(os.environ, desk.environ, clear=True), redirect_stdout(out), redirect_stderr(out):
        code = run(["--home", str(home), *words], os.environ)
    out.seek(0)
    return code, out.read()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("playbooks"))
    made.ask("start", "--live", *made.options)
    yield made
    made.close()


def is_well(desk: Desk) -> bool:
    return said(desk, desk.home, ["health"])[0] == 0


def answer(desk: Desk) -> None:
    desk.by_hand("clear")
    wait_until(lambda: is_well(desk), pause_s=0.3)


def kill(desk: Desk) -> None:
    """Kill the daemon, and return when the kernel has taken it away."""
    os.kill(int(str(desk.status()["pid"])), signal.SIGKILL)
    wait_until(lambda: said(desk, desk.home, ["status"])[0] == 3)


# The order matters: one bot lives through all of it.


def test_the_exchange_is_down(desk: Desk) -> None:
    desk.by_hand("fault", name="maintenance", value=600)
    desk.by_hand("fault", name="drop")
    wait_until(lambda: not is_well(desk), pause_s=0.3)
    rehearse(desk, "The exchange is down", before={3: lambda: answer(desk)})


def test_a_position_is_wrong(desk: Desk) -> None:
    desk.by_hand("trade", coin="SOL", size="-1")
    rehearse(desk, "A position is wrong")
    (account,) = desk.by_hand("accounts")
    assert account["positions"] == {}


def test_the_money_does_not_add_up(desk: Desk) -> None:
    desk.by_hand("deposit", amount="250")
    rehearse(desk, "The money does not add up")
    assert json.loads(desk.ask("balance", "--json"))["residual"] == "0"


def test_a_key_leaked(desk: Desk) -> None:
    def replace_key() -> None:
        key = PrivateKey(b"\x09" * 32)
        desk.by_hand("approve-agent", address=address_of(key.public_key), name="new")
        write_key(desk.folder / "new.key", key)
        mine = desk.folder / "mine.toml"
        text = re.sub(r'key_file = ".*"', f'key_file = "new.key"\naccount = "{desk.account}"', mine.read_text())
        mine.write_text(text)

    rehearse(desk, "A key leaked", before={2: replace_key})


def test_the_machine_is_lost(desk: Desk) -> None:
    kill(desk)
    rehearse(desk, "The machine is lost", home=desk.folder / "other")
    desk.run("stop", home=desk.folder / "other")


PAPER = """
[bot]
symbols = ["BTC"]
[feed]
kind = "generated"
speed = 600
[[strategy]]
kind = "sma_cross"
fast = 3
slow = 8
[store]
min_free_mb = {free}
reserve_mb = 1
"""


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[Desk]:
    """A bot on a simulated exchange; only the command of the desk is used."""
    made = Desk.__new__(Desk)
    made.folder, made.home, made.options = tmp_path, tmp_path / "home", []
    made.home.mkdir(mode=0o700)
    write_paper(made)
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEBOT")}
    made.environ = kept | {"XDG_RUNTIME_DIR": str(runtime)}
    made.ask("start")
    yield made
    made.run("stop")


def write_paper(desk: Desk, free: int = 1) -> None:
    (desk.home / "tradebot.toml").write_text(PAPER.format(free=free))


def test_the_journal_is_corrupt(paper: Desk) -> None:
    paper.ask("stop")
    journal = paper.home / "journal.db"
    content = bytearray(journal.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    journal.write_bytes(content)
    rehearse(paper, "The journal is corrupt")


def test_a_strategy_runs_away(paper: Desk) -> None:
    wait_until(lambda: said(paper, paper.home, ["signals", "--json"])[1], pause_s=0.3)
    rehearse(paper, "A strategy runs away")


def test_the_disk_is_full(paper: Desk) -> None:
    kill(paper)
    write_paper(paper, free=10**6)
    rehearse(paper, "The disk is full", before={2: lambda: write_paper(paper)})
