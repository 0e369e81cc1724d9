"""The commands without a daemon: history, diff and rollback of a stopped one, migrate and schema."""

import json
from pathlib import Path

import pytest

from tests.recovery.lab import Running, run, write_config
from tradebot.cli.main import run as cli
from tradebot.settings.migrate import SCHEMA_LINE
from tradebot.settings.schema import SCHEMA_NAME, json_schema


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, Path]:
    """Return a home in which two configurations were in force, and the file of the second."""
    home = tmp_path / "home"

    async def once(daemon: Running) -> None:
        await daemon.turns(10)
        await daemon.act("stop")

    for limit in (5000, 900):
        config = write_config(tmp_path, bars=None, risk=f'max_order_notional = "{limit}" # mine')
        assert run(home, config, once) == 0
    return home, config


def ask(home: Path, config: Path, words: str, capsys: pytest.CaptureFixture[str], expect: int = 0) -> str:
    capsys.readouterr()
    code = cli(["--home", str(home), "--config", str(config), *words.split()], {"HOME": str(home.parent)})
    said = capsys.readouterr()
    assert code == expect, said.err
    return said.out if code == 0 else said.err


def test_a_stopped_daemon_has_a_history_a_diff_and_a_way_back(
    stopped: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home, config = stopped
    history = json.loads(ask(home, config, "config history --json", capsys))
    assert [(row["how"], row["changed"]) for row in history] == [("start", ["risk.max_order_notional"]), ("start", [])]
    assert history[1]["hash"][:12] in ask(home, config, "config history", capsys)
    assert json.loads(ask(home, config, "config diff --json", capsys)) == []
    assert ask(home, config, "config diff", capsys) == "nothing differs\n"

    answer = json.loads(ask(home, config, "config rollback --json", capsys))
    assert (answer["hash"], answer["file"]) == (history[1]["hash"], str(config))
    assert 'max_order_notional = "5000" # mine' in config.read_text()
    (row,) = json.loads(ask(home, config, "config diff --json", capsys))
    assert (row["key"], row["file"], row["running"]) == ("risk.max_order_notional", "5000", "900")
    assert "risk.max_order_notional" in ask(home, config, "config diff", capsys)
    assert "the next start takes it" in ask(home, config, f"config rollback {history[0]['hash'][:8]}", capsys)
    assert '"900"' in config.read_text()

    wrong = ask(home, config, "config rollback feedfeed", capsys, expect=2)
    assert "was ever in force here" in wrong
    assert history[0]["hash"] in wrong or "config history" in wrong
    assert "too short" in ask(home, config, "config rollback ab", capsys, expect=2)


def test_where_no_daemon_ever_ran_there_is_nothing_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    for words in ("config history", "config diff", "config rollback"):
        assert "none ever did" in ask(tmp_path / "none", config, words, capsys, expect=3)


def test_a_file_is_brought_into_the_form_of_this_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    assert cli(["--home", str(home), "init", "--hyperliquid", "--yes"], {}) == 0
    config = home / "tradebot.toml"
    assert config.read_text().startswith(SCHEMA_LINE + "\n")
    assert json.loads((home / SCHEMA_NAME).read_text()) == json_schema()
    assert "nothing to change" in ask(home, config, "config migrate", capsys)

    lines = [line for line in config.read_text().splitlines() if not line.startswith(("#:schema", "flatten"))]
    old = "\n".join(lines) + "\n"
    config.write_text(old)
    (home / SCHEMA_NAME).unlink()
    shown = ask(home, config, "config migrate --dry-run", capsys)
    assert "+#:schema" in shown
    assert '+flatten = "all"' in shown
    assert config.read_text() == old
    answer = json.loads(ask(home, config, "config migrate --json", capsys))
    assert answer["written"] is True
    assert len(answer["files"][0]["changes"]) == 2
    assert (Path(answer["kept"]) / "tradebot.toml").read_text() == old
    assert 'flatten = "all"' in config.read_text()
    assert (home / SCHEMA_NAME).is_file()
    assert json.loads(ask(home, config, "config migrate --json", capsys)) == {
        "files": [],
        "written": False,
        "kept": None,
    }

    config.write_text("risk = [\n")
    assert "+#:schema" in ask(home, config, "config migrate --dry-run", capsys)
    config.write_bytes(b"\xff")
    assert "cannot be read" in ask(home, config, "config migrate", capsys, expect=78)


def test_the_schema_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(ask(tmp_path, tmp_path / "none.toml", "config schema", capsys)) == json_schema()
