"""The commands before there is a daemon: what they write, check and say, in this process."""

import io
import json
import sys
from pathlib import Path

import pytest

from tradebot.cli.main import run


class Terminal(io.StringIO):
    """A person who typed the lines of the answers beforehand."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def cli(home: Path, words: str, expect: int = 0) -> None:
    assert run(["--home", str(home), *words.split()], {"HOME": str(home.parent)}) == expect


def bars(rows: int = 3, close: str = "100") -> str:
    head = "ts_ms,open,high,low,close,volume\n"
    return head + "".join(f"{n * 60_000},100,101,99,{close if n == 1 else 100},1\n" for n in range(rows))


def replay(folder: Path, file: str = "bars.csv", venue: str = "") -> str:
    (folder / "bot.toml").write_text(
        f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "replay"\ndata = ["BTC:1m={file}"]\n'
        f'[venue]\nkind = "simulated"\n{venue}\n[[strategy]]\nkind = "sma_cross"\n'
    )
    return "--config bot.toml"


def test_init_asks_three_things_of_a_person_and_writes_the_answers(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("doge sol\n2500\n0.5%\n"))
    cli(home, "init")
    assert capsys.readouterr().out.endswith(f"wrote {home}/tradebot.toml\nnext: tradebot start\n")
    cli(home, "config show --json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["bot"]["symbols"] == ["DOGE", "SOL"]
    assert (shown["venue"]["starting_cash"], shown["risk"]["size"]["fraction"]) == ("2500", "0.005")


def test_init_asks_nothing_when_told_so_or_when_nobody_is_there(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    cli(home, "init --yes --json")
    assert json.loads(capsys.readouterr().out) == {"path": f"{home}/tradebot.toml"}
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    cli(home, "init --config other.toml")
    assert (home.parent / "other.toml").read_text() == (home / "tradebot.toml").read_text()


def test_init_never_writes_over_a_file_nor_half_of_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("BTC BTC\n\n\n"))
    cli(home, "init", expect=2)
    assert not (home / "tradebot.toml").exists()
    cli(home, "init --yes")
    cli(home, "init", expect=78)
    cli(home, "init --paper --devnet", expect=2)
    assert "--paper and --devnet exclude each other" in capsys.readouterr().err


def test_init_of_a_real_venue_asks_no_secret_and_tells_where_it_goes(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("\n\n\n"))
    cli(home, "init --hyperliquid")
    out = capsys.readouterr().out
    assert f"{home}/agent.key" in out
    assert 'network = "testnet"' in (home / "tradebot.toml").read_text()
    cli(home, "config check")
    cli(home, "init --devnet --yes --config devnet.toml")
    cli(home, "config check --config devnet.toml")


def test_config_show_keeps_the_webhook_to_its_host(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home.parent / "alerts.toml").write_text('[alerts]\nurl = "https://hooks.example.org/T0/hushed"\n')
    for words in ("", " --json"):
        cli(home, f"config show --profile demo --config alerts.toml{words}")
        out = capsys.readouterr().out
        assert "https://hooks.example.org/..." in out
        assert "hushed" not in out


def test_a_live_file_is_backtested_on_the_simulated_exchange(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home.parent / "bars.csv").write_text(bars(rows=40))
    cli(home, "backtest --profile devnet --data BTC:1m=bars.csv --data ETH:1m=bars.csv --json")
    assert json.loads(capsys.readouterr().out)["starting_equity"] == "10000"
    cli(home, "lookahead --profile devnet --data BTC:1m=bars.csv --data ETH:1m=bars.csv --json")
    assert json.loads(capsys.readouterr().out)["clean"] is True
    cli(home, "backtest --profile devnet", expect=2)
    assert "--data" in capsys.readouterr().err


def test_live_does_not_start_without_both_consents_and_a_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli(home, "start --profile devnet", expect=78)
    assert "both mode" in capsys.readouterr().err
    cli(home, "start --profile demo --live", expect=78)
    assert "both mode" in capsys.readouterr().err
    for words in ("start", "start --foreground"):
        cli(home, f"{words} --profile hyperliquid-live --live", expect=78)
        err = capsys.readouterr().err
        assert "venue.key_file" in err
        assert "0600" in err


def test_doctor_names_each_check_and_exits_1_when_one_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir(mode=0o700)
    (home.parent / "bars.csv").write_text(bars(close="NaN"))
    words = replay(home.parent)
    cli(home, f"{words} doctor", expect=1)
    shown = capsys.readouterr().out
    assert "sqlite" in shown
    assert "bars.csv:3" in shown
    cli(home, f"{words} doctor --json", expect=1)
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert "data" in [check["check"] for check in checks if check["result"] == "fail"]


def test_a_configuration_is_good_with_its_hash(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home.parent / "bars.csv").write_text(bars())
    words = replay(home.parent)
    cli(home, f"{words} config check --json")
    checked = json.loads(capsys.readouterr().out)
    assert checked["ok"] is True
    assert checked["files"] == [str(home.parent / "bot.toml")]
    cli(home, f"{words} config check")
    assert f"(hash {checked['config_hash']})" in capsys.readouterr().out
    cli(home, f"{words} config show")
    assert 'kind = "replay"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "line"), [(bars(close="NaN"), 3), (bars(close="-1"), 3), (bars(0), 1), ("no bars", 1)]
)
def test_a_configuration_with_bad_bars_is_not_good(
    home: Path, capsys: pytest.CaptureFixture[str], content: str, line: int
) -> None:
    (home.parent / "bars.csv").write_text(content)
    cli(home, f"{replay(home.parent)} config check", expect=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"bars.csv:{line}" in err


def test_a_configuration_with_bad_funding_is_not_good(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home.parent / "bars.csv").write_text(bars())
    (home.parent / "rates.csv").write_text("ts_ms,rate\n0,0.0001\n3600000,7\n")
    words = replay(home.parent, venue='funding = ["BTC=rates.csv"]')
    cli(home, f"{words} config check", expect=1)
    assert "rates.csv:3" in capsys.readouterr().err


def test_strategies_are_listed_with_their_parameters(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli(home, "strategies --json")
    listed = {row["kind"]: row for row in json.loads(capsys.readouterr().out)}
    assert {row["name"] for row in listed["sma_cross"]["parameters"]} >= {"fast", "slow"}
    cli(home, "strategies")
    shown = capsys.readouterr().out
    assert all(f"{kind}: {row['description']}" in shown for kind, row in listed.items())
    assert shown.endswith("your own: tradebot new-strategy FILE\n")


def test_a_new_strategy_runs_and_is_named_after_its_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli(home, "new-strategy 2-cool_ideas.py")
    assert "class MyStrategy" in (home.parent / "2-cool_ideas.py").read_text()
    cli(home, "new-strategy cool-ideas.py --json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"path": str(home.parent / "cool-ideas.py")}
    assert "class CoolIdeas" in (home.parent / "cool-ideas.py").read_text()
    for words, what in (
        ("idea.txt", "a strategy is a Python file"),
        ("cool-ideas.py", "the file is there already"),
        ("nowhere/idea.py", "cannot write: No such file or directory"),
    ):
        cli(home, f"new-strategy {words}", expect=2)
        assert what in capsys.readouterr().err
