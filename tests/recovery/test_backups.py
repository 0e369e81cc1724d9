"""Backups of a running daemon: each is restored and comes to its state; what fails is told and is in nobody's way."""

import json
import shutil
import sys
from pathlib import Path

from tests.recovery.lab import Running, logged, recovered_state, run, run_beside, write_config
from tradebot.store import upkeep
from tradebot.store.backups import backups, snapshot_in
from tradebot.store.lock import prepare_home


def test_a_restored_backup_has_the_state_that_the_running_bot_had(tmp_path: Path) -> None:
    config, home, other = write_config(tmp_path), tmp_path / "home", tmp_path / "other"
    states: list[bytes] = []

    async def during(daemon: Running) -> None:
        async for _ in daemon.stops(60, 120):
            engine = await daemon.engine()
            states.append(engine.session.save())
            answer = await daemon.act("backup")
            assert Path(answer["file"]) in backups(home)
            status = await daemon.status()
            assert status["backup"]["verified"] is True
            assert status["backup"]["last_ts"] > 0
            found = await daemon.act("verify")
            assert (found["ok"], found["problems"]) == (True, [])
            shutil.copy(answer["file"], tmp_path / f"{len(states)}.db")

    assert run(home, config, during) == 0
    # The last one is made at the end, and begins with the one before.
    assert logged(home, "backup.made")[-1]["file"] == backups(home)[0].name
    assert all(line["rows"] > 0 for line in logged(home, "backup.verified"))
    for number, state in enumerate(states, 1):
        target = other / str(number)
        other.mkdir(exist_ok=True)
        prepare_home(target)
        (target / "journal.db").write_bytes(b"")
        upkeep.restore(target, tmp_path / f"{number}.db")
        kept = snapshot_in(tmp_path / f"{number}.db")
        assert kept is not None
        assert kept.body == state


async def test_a_restored_home_goes_on_from_there(tmp_path: Path) -> None:
    config, home = write_config(tmp_path), tmp_path / "home"

    async def back_up(daemon: Running) -> None:
        async for _ in daemon.stops(100):
            shutil.copy((await daemon.act("backup"))["file"], tmp_path / "kept.db")

    assert await run_beside(home, config, back_up, {}) == 0
    whole = await recovered_state(home, config)
    upkeep.restore(home, tmp_path / "kept.db")
    assert await run_beside(home, config, None, {}) == 0
    again = await recovered_state(home, config)
    # It was stopped once more, by its own end.
    assert {key: again[key] for key in again if key != "driver"} == {
        key: whole[key] for key in whole if key != "driver"
    }


def test_a_backup_that_is_not_copied_is_told_and_changes_nothing(tmp_path: Path) -> None:
    script = tmp_path / "copy.py"
    script.write_text("import shutil, sys\nshutil.copy(sys.argv[1], sys.argv[2])\n")
    words = [sys.executable, str(script), "{file}", str(tmp_path / "elsewhere.db")]
    config = write_config(tmp_path, store=f"backup_command = {json.dumps(words)}")
    home = tmp_path / "home"

    async def during(daemon: Running) -> None:
        async for _ in daemon.stops(20, 40):
            await daemon.act("backup")
            script.unlink(missing_ok=True)

    assert run(home, config, during) == 0
    assert (tmp_path / "elsewhere.db").stat().st_size > 0
    (failed,) = logged(home, "backup.failed")
    assert "ended with 2" in failed["error"]
    assert [line["alert"] for line in logged(home, "alert.raised")] == ["backup_failed"]
