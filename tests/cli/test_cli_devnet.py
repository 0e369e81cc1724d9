"""``tradebot devnet``: what it serves and tells, and the options it refuses."""

import json
import os
import signal
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from tradebot.cli.main import run

BARS = "ts_ms,open,high,low,close,volume\n" + "".join(f"{n * 60_000},100,101,99,100,1\n" for n in range(20))


def serve(monkeypatch: pytest.MonkeyPatch, home: Path, words: str) -> tuple[str, str]:
    """Run the devnet until it said its first line; return the line and what it answers to ``meta``."""
    read, write = os.pipe()
    said = []

    def ask_and_interrupt() -> None:
        with os.fdopen(read) as lines:
            said.append(lines.readline())
            try:
                if said[0].startswith("{"):
                    body = json.dumps({"type": "meta"}).encode()
                    url = json.loads(said[0])["url"] + "/info"
                    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
                    with urllib.request.urlopen(request, timeout=5) as answer:
                        said.append(answer.read().decode())
            finally:
                if said[0]:
                    os.kill(os.getpid(), signal.SIGINT)

    asking = threading.Thread(target=ask_and_interrupt)
    asking.start()
    with os.fdopen(write, "w", buffering=1) as out:
        monkeypatch.setattr(sys, "stdout", out)
        code = run(["--home", str(home), "devnet", "--port", "0", *words.split()], {"HOME": str(home)})
    asking.join()
    monkeypatch.undo()
    assert code == 0
    return said[0], said[-1]


def test_it_tells_where_it_is_and_lists_its_coins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, meta = serve(monkeypatch, tmp_path, "--json --symbol SOL --history 20 --fault timeout:probability=0")
    told_fields = json.loads(told)
    assert told_fields["account"].startswith("0x")
    assert [coin["name"] for coin in json.loads(meta)["universe"]] == ["SOL"]
    key = Path(told_fields["key_file"])
    assert key == tmp_path / "devnet.key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_it_replays_files_and_writes_the_key_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bars.csv").write_text(BARS)
    words = f"--data DOGE:1m={tmp_path}/bars.csv --history 5 --key {tmp_path}/my.key --latency 1"
    told, _ = serve(monkeypatch, tmp_path, words)
    assert "(DOGE)" in told
    assert f"key in {tmp_path}/my.key; Ctrl-C ends it" in told
    assert (tmp_path / "my.key").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("--speed 0", "--speed is 0"),
        ("--cash none", "--cash 'none' is not an amount above 0"),
        ("--cash -5", "--cash"),
        ("--depth NaN", "--depth 'NaN' is not an amount above 0"),
        ("--timeframe 7x", "7x"),
        ("--data A:1m=bars.csv --data B:5m=bars.csv", "--data names bars of several timeframes"),
        ("--recorded frames --symbol A --symbol B", "--recorded is of one --symbol"),
        ("--fault nonsense", "nonsense"),
    ],
)
def test_what_cannot_be_served_is_refused_before_a_key_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bars.csv").write_text(BARS)
    assert run(["--home", str(tmp_path), "devnet", *words.split()], {}) == 2
    assert what in capsys.readouterr().err
    assert not (tmp_path / "devnet.key").exists()


def test_bars_that_are_broken_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bars.csv").write_text(BARS.replace("101", "98", 1))
    assert run(["--home", str(tmp_path), "devnet", "--data", f"A:1m={tmp_path}/bars.csv"], {}) == 1
    assert "bars.csv:2" in capsys.readouterr().err
