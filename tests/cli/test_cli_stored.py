"""The commands on the home of a daemon that has ended: its journal tells, and its state is looked after."""

import asyncio
import json
import os
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.recovery.lab import run as run_daemon
from tests.recovery.lab import write_config
from tradebot.cli.main import run
from tradebot.cli.stored import read_stored
from tradebot.model.money import Cash
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos
from tradebot.report.document import document
from tradebot.report.page_document import page_document
from tradebot.report.tape import Tape
from tradebot.report.uncertainty import with_uncertainty
from tradebot.runtime.assumptions import recorded_assumptions
from tradebot.runtime.backtest import run_backtest
from tradebot.runtime.clock import SystemClock
from tradebot.settings.load import load_settings
from tradebot.store.codec import encode_message
from tradebot.store.journal import SqliteJournal
from tradebot.store.lock import HomeLock
from tradebot.store.snapshot import peek_snapshots, write_snapshot


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ended")
    assert run_daemon(folder / "home", write_config(folder)) == 0
    return folder / "home"


@pytest.fixture
def home(ended: Path, tmp_path: Path) -> Path:
    shutil.copytree(ended, tmp_path / "home", ignore=shutil.ignore_patterns("*.sock"))
    return tmp_path / "home"


def cli(home: Path, *words: str, expect: int = 0) -> None:
    assert run(["--home", str(home), *words], {}) == expect


def rows(capsysbinary: pytest.CaptureFixture[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


def test_trades_add_up_to_the_report(home: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    cli(home, "trades", "--json")
    trades = rows(capsysbinary)
    cli(home, "report", "--by", "symbol", "--json")
    (report,) = rows(capsysbinary)
    assert report["trades"] == len(trades) > 5
    assert {trade["symbol"] for trade in trades} == {"AAA", "BBB"}
    cli(home, "report", "--by", "symbol")
    shown = capsysbinary.readouterr().out.decode()
    assert "Net P&L" in shown
    assert "AAA" in shown
    cli(home, "trades", "--until", str(trades[2]["exit_ts"]), "--json")
    assert len(rows(capsysbinary)) == 2


def test_a_stopped_daemon_does_not_speak_for_a_real_venue(
    home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli(home, "report", "--json")
    (simulated,) = rows(capsysbinary)
    asyncio.run(_fund(home))
    cli(home, "report", "--json")
    (real,) = rows(capsysbinary)
    assert (simulated["residual"], real["residual"]) == ("0", None)
    assert simulated["ending_equity"] == real["ending_equity"]


def test_the_page_of_a_journal_is_that_of_the_backtest(home: Path, ended: Path) -> None:
    told = json.loads(read_stored(home, "page", {}))
    loaded = load_settings(home=home, config_files=[ended.parent / "bot.toml"], environ={})
    tape = Tape()
    result = run_backtest(loaded, tape=tape)
    whole = page_document(with_uncertainty(result.document, result.trades), result.trades, tape)
    expected = json.loads(document(whole))
    for key in ("trades", "deals", "series", "curve"):
        assert told[key] == expected[key]
    assert len(told["deals"]) > 5
    assert any(deal["stop"] for deal in told["deals"])
    assert {key: expected["report"][key] for key in told["report"]} == told["report"]
    assert told["report"]["benchmark"]["symbols"] == ["AAA", "BBB"]
    assert told["report"]["assumptions"]["is_simulated"]


def test_a_configuration_of_another_version_assumes_nothing_that_we_know() -> None:
    assert recorded_assumptions(b'{"settings": "[bot]\\nsomething = 1"}') is None


async def _fund(home: Path) -> None:
    """Let the account have had a deposit, as only a real one has."""
    journal = await SqliteJournal.open(home / "journal.db", SystemClock())
    came = Deposit(ts_event=Nanos(0), id="d1", amount=Cash(Decimal(1)))
    seq = journal.append(came.kind, came.ts_event, encode_message(came))
    await journal.close()
    newest = peek_snapshots(home).valid[0]
    write_snapshot(home, seq, newest.config_hash, newest.body)


def test_decisions_are_told_newest_first_and_by_id(home: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    cli(home, "signals", "--json", "-n", "5")
    newest = rows(capsysbinary)
    assert len(newest) == 5
    assert [row["ts"] for row in newest] == sorted((row["ts"] for row in newest), reverse=True)
    cli(home, "why", str(newest[0]["signal_id"]), "--json")
    (decision,) = rows(capsysbinary)
    assert decision["signal_id"] == newest[0]["signal_id"]
    cli(home, "why", str(newest[0]["signal_id"]))
    assert str(newest[0]["symbol"]) in capsysbinary.readouterr().out.decode()
    cli(home, "why", "CCC")
    assert capsysbinary.readouterr().out.endswith(b"there are some on AAA, BBB\n")


def test_a_backup_is_restored_and_what_was_there_is_kept(
    home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli(home, "state", "verify")
    assert capsysbinary.readouterr().out.startswith(b"sound: ")
    cli(home, "state", "backup", "--json")
    (made,) = rows(capsysbinary)
    cli(home, "state", "restore", str(made["file"]), "--json")
    (restored,) = rows(capsysbinary)
    assert restored["done"] == "restored"
    assert Path(str(restored["kept"])).exists()
    cli(home, "state", "verify", "--json")
    (verified,) = rows(capsysbinary)
    assert (verified["ok"], verified["problems"]) == (True, [])
    cli(home, "state", "restore", "nothing.db", expect=2)


def test_a_fresh_account_has_no_past(home: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    cli(home, "state", "reset")
    assert capsysbinary.readouterr().out.startswith(b"reset; kept in ")
    cli(home, "trades", expect=3)
    cli(home, "state", "verify", expect=2)
    assert b"there is no state here" in capsysbinary.readouterr().err


def test_damage_is_named_with_what_to_do(home: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    journal = home / "journal.db"
    content = bytearray(journal.read_bytes())
    content[content.index(b'"t8"') + 1] ^= 0x20
    journal.write_bytes(content)
    cli(home, "state", "verify", "--json", expect=74)
    out, err = capsysbinary.readouterr()
    assert json.loads(out)["ok"] is False
    assert b"state restore FILE" in err


@pytest.mark.parametrize("words", ["report --html nowhere/page.html", "report --csv file/folder"])
def test_a_place_that_cannot_be_written_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    cli(home, *words.split(), expect=2)
    err = capsys.readouterr().err
    assert "error: cannot " in err
    assert f"where: {words.split()[-1]}" in err


def test_a_daemon_that_comes_up_is_told_from_none(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with HomeLock(home):
        cli(home, "status", "--json")
        assert json.loads(capsys.readouterr().out) == {"state": "starting", "pid": os.getpid()}
        cli(home, "status")
        assert capsys.readouterr().out.startswith("starting ")
        cli(home, "stop", "--timeout", "0.1", expect=3)
        cli(home, "trades", expect=75)
    cli(home, "stop", expect=3)
    cli(home, "status", expect=3)
    assert capsys.readouterr().out.startswith("stopped ")


def test_the_error_of_a_command_has_a_traceback_only_on_request(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli(home, "stop", expect=3)
    assert "Traceback" not in capsys.readouterr().err
    cli(home, "stop", "--debug", expect=3)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({"STATE_DIRECTORY": "{tmp}/a:{tmp}/b"}, "{tmp}/a"),
        ({"XDG_STATE_HOME": "{tmp}"}, "{tmp}/tradebot"),
        ({"TRADEBOT_HOME": "{tmp}/c", "STATE_DIRECTORY": "{tmp}/a"}, "{tmp}/c"),
    ],
)
def test_the_home_is_found_in_the_environment(
    tmp_path: Path, environ: dict[str, str], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {name: value.format(tmp=tmp_path) for name, value in environ.items()}
    assert run(["status"], given) == 3
    assert f"home {where.format(tmp=tmp_path)})" in capsys.readouterr().out


def test_an_empty_home_is_refused() -> None:
    assert run(["--home", "", "status"], {}) == 2


def test_risk_of_a_stopped_home_is_that_of_the_last_snapshot(
    home: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    config = str(write_config(tmp_path))
    cli(home, "--config", config, "risk", "--json", "--html", str(tmp_path / "risk.html"))
    (found,) = rows(capsysbinary)
    assert found["state"] == "stopped"
    assert isinstance(found["as_of"], int)
    assert [row["scenario"] for row in found["stress"]][:2] == ["flash_crash", "flash_rally"]  # type: ignore[attr-defined]
    assert "<h2>Stress" in (tmp_path / "risk.html").read_text() or not found["exposure"]["by_symbol"]  # type: ignore[index]
    cli(home, "--config", config, "risk", "--html", str(tmp_path / "risk.html"))
    said = capsysbinary.readouterr()
    assert (said.out, said.err.decode().splitlines()) == (b"", [f"wrote {tmp_path / 'risk.html'}"])
    cli(home, "--config", config, "risk")
    assert "stopped as of 20" in capsysbinary.readouterr().out.decode()


def test_risk_where_nothing_ever_ran_says_so(tmp_path: Path) -> None:
    cli(tmp_path / "none", "risk", expect=3)
    (tmp_path / "empty").mkdir(mode=0o700)
    cli(tmp_path / "empty", "risk", expect=3)
