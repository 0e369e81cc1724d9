"""Old market rows go while the daemon trades; whatever is lost then, the state comes back, or it is said why not."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.recovery.lab import DEADLINE_S, Running, facts_of, logged, recovered_state, rows_of, run, write_config
from tradebot.cli.main import run as cli
from tradebot.runtime import housekeeping
from tradebot.store import backups
from tradebot.store.snapshot import NAMES

# Four days of market.
FEED = 'kind = "generated"\nseed = 5\ntimeframe = "15m"\nbars = 400'
STORE = "keep_market_days = 1\nsnapshot_turns = 40"


class Hours:
    """The sleep of the housekeeper: an hour is over when the test says so."""

    def __init__(self) -> None:
        self._over, self._kept = asyncio.Event(), asyncio.Event()

    async def sleep(self, _: float) -> None:
        self._kept.set()
        await self._over.wait()
        self._over.clear()

    async def one(self) -> None:
        """Let an hour go by, and the housekeeper do what it does then."""
        async with asyncio.timeout(DEADLINE_S):
            await self._kept.wait()
            self._kept.clear()
            self._over.set()
            await self._kept.wait()


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole run, and a kill while a journal pruned at least twice went on."""
    folder = tmp_path_factory.mktemp("pruned")
    with pytest.MonkeyPatch.context() as patch:
        hours = Hours()
        patch.setattr(housekeeping, "asyncio", hours)
        # Of a quarter of an hour only the last would stay.
        patch.setattr(backups, "thin", lambda folder: None)
        config = write_config(folder, feed=FEED, store=STORE)

        async def leave(daemon: Running) -> None:
            keeper = (await daemon.engine()).keeper
            prunings = 0
            async for _ in daemon.stops(300, 400, 500, 600, 620):
                if prunings < 4:
                    # What is pruned stands before the oldest snapshot.
                    for _ in NAMES:
                        await keeper.keep()
                    await hours.one()
                    prunings += 1
                    continue
                assert len(logged(daemon.home, "journal.pruned")) == prunings
                await daemon.image(folder / "killed")
                assert json.loads(await daemon.read("report"))["residual"] == "0"

        assert run(folder / "other", config, leave) == 0
    config = write_config(folder, feed=FEED, store=STORE)
    assert run(folder / "home", config) == 0
    bars = rows_of(folder / "killed", "bar")
    # 620 turns were taken, each with a bar, of two symbols; a day is kept.
    assert len(bars) < 300
    return folder


def copied(pruned: Path, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(pruned / "killed", home)
    return home


def json_of(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> str:
    assert cli(["--home", str(home), *words, "--json"], {}) == 0
    return capsys.readouterr().out


def test_a_kill_after_pruning_changes_nothing(pruned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = copied(pruned, tmp_path)
    assert run(home, pruned / "bot.toml") == 0
    assert facts_of(home) == facts_of(pruned / "home")
    for view in ("report", "trades"):
        assert json_of(capsys, home, view) == json_of(capsys, pruned / "home", view)
    assert cli(["--home", str(home), "state", "verify"], {}) == 0


def test_without_any_snapshot_file_the_one_in_the_journal_is_taken(pruned: Path, tmp_path: Path) -> None:
    home = copied(pruned, tmp_path)
    state = asyncio.run(recovered_state(home, pruned / "bot.toml"))
    for kept in home.glob("state.json*"):
        kept.unlink()
    assert asyncio.run(recovered_state(home, pruned / "bot.toml")) == state
    assert run(home, pruned / "bot.toml") == 0
    assert facts_of(home) == facts_of(pruned / "home")


def test_any_backup_of_a_pruned_journal_can_be_restored(
    pruned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = sorted((pruned / "killed" / "backups").glob("journal-*.db"))
    assert len(made) >= 3
    for number, backup in enumerate(made):
        home = copied(pruned, tmp_path / str(number))
        assert cli(["--home", str(home), "state", "restore", str(backup)], {}) == 0, capsys.readouterr().err
        assert run(home, pruned / "bot.toml") == 0
        assert facts_of(home) == facts_of(pruned / "home")


def test_with_no_snapshot_at_all_a_pruned_journal_is_refused_with_the_mend(pruned: Path, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    home = copied(pruned, tmp_path)
    for kept in home.glob("state.json*"):
        kept.unlink()
    with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'anchor'")
    assert run(home, pruned / "bot.toml") == 74
    error = logged(home, "daemon.failed")[-1]["error"]
    assert "state restore" in error
    assert "state reset" in error


def test_damage_behind_the_pruned_part_leaves_a_journal_that_still_boots(pruned: Path, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    home = copied(pruned, tmp_path)
    with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as connection:
        (last,) = connection.execute("SELECT max(seq) FROM rows").fetchone()
        connection.execute("UPDATE rows SET payload = x'00' WHERE seq = ?", (last - 3,))
    # It may stand at the last row, and what is before the newest one is not verified again.
    (home / NAMES[0]).unlink()
    assert run(home, pruned / "bot.toml") == 0
    assert logged(home, "journal.quarantined")
    assert facts_of(home) == facts_of(pruned / "home")
