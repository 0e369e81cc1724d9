"""What a bad disk does to the journal: the damaged part is put aside and said, and the market comes again."""

import random
import shutil
from pathlib import Path

import pytest

from tests.recovery.lab import Running, facts_of, logged, rows_of, run, write_config
from tradebot.cli.main import run as cli
from tradebot.store.snapshot import NAMES

SEEDS = range(6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that nothing interrupted, and what a kill at 250 turns left behind."""
    folder = tmp_path_factory.mktemp("whole")
    config = write_config(folder, store="snapshot_turns = 40")

    async def leave(daemon: Running) -> None:
        await daemon.turns(250)
        await daemon.image(folder / "killed")

    assert run(folder / "home", config, leave) == 0
    return folder


def broken(whole: Path, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(whole / "killed", home)
    return home


def assert_mended(home: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, whole / "bot.toml") == 0
    assert facts_of(home) == facts_of(whole / "home")
    assert cli(["--home", str(home), "state", "verify"], {}) == 0, capsys.readouterr().err


@pytest.mark.parametrize("seed", SEEDS)
def test_flipped_bytes_in_the_journal_are_put_aside(
    whole: Path, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    home, chance = broken(whole, tmp_path), random.Random(seed)
    for path in (home / "journal.db", home / "journal.db-wal"):
        if path.exists() and path.stat().st_size:
            body = bytearray(path.read_bytes())
            for _ in range(4):
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            path.write_bytes(body)
    assert_mended(home, whole, capsys)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
def test_a_journal_cut_short_goes_on_from_what_is_left(
    whole: Path, tmp_path: Path, name: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    home = broken(whole, tmp_path)
    path = home / name
    if not path.exists():
        pytest.skip(f"this run left no {name}")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(random.Random(seed).randrange(size + 1))
    assert_mended(home, whole, capsys)


def test_a_journal_that_is_gone_while_the_snapshots_are_there_begins_afresh_and_says_so(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = broken(whole, tmp_path)
    for name in ("journal.db", "journal.db-wal"):
        (home / name).unlink(missing_ok=True)
    assert_mended(home, whole, capsys)
    assert len(logged(home, "snapshot.rejected")) == len([name for name in NAMES if (home / f"{name}.bad").exists()])


def test_damage_is_said_and_kept(whole: Path, tmp_path: Path) -> None:
    home = broken(whole, tmp_path)
    shutil.rmtree(home / "backups", ignore_errors=True)
    (home / "journal.db").write_bytes(b"not a journal at all" * 200)
    (home / "journal.db-wal").unlink(missing_ok=True)
    assert run(home, whole / "bot.toml") == 0
    (line,) = logged(home, "journal.quarantined")
    assert "quarantine-1" in line["damage"]
    assert (home / "backups" / "quarantine-1" / "journal.db").read_bytes().startswith(b"not a journal")
    assert rows_of(home, "boot")
