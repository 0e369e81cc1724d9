"""An operator at the socket of a daemon that recovers, runs short of disk, or has lost its journal."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.lab import Running, facts_of, logged, rows_of, run, until, write_config, write_journal
from tradebot.log import log
from tradebot.model.command import CommandDone, Verb
from tradebot.model.errors import StorageFailed, TradebotError, Unavailable
from tradebot.model.failure import LineFailed
from tradebot.model.logevent import LogEvent
from tradebot.model.time import Nanos
from tradebot.runtime import marks, probes
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.config_rows import Author
from tradebot.runtime.facts import RecentFacts
from tradebot.store import journal as journal_module
from tradebot.store.journal import SqliteJournal
from tradebot.store.lock import prepare_home
from tradebot.store.mark import Mark, read_mark, write_mark
from tradebot.store.schema import JOURNAL_NAME


def cut_to(home: Path, other: Path, seq: int) -> Path:
    asyncio.run(write_journal(other, rows_of(home)[:seq]))
    return other


def test_a_halt_during_recovery_holds_before_the_first_bar(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert run(tmp_path / "whole", config) == 0
    home = cut_to(tmp_path / "whole", tmp_path / "home", 300)

    async def halt(daemon: Running) -> None:
        await until(lambda: daemon.daemon.host is not None)
        assert daemon.daemon.host is not None
        operations = daemon.daemon.host.operations
        if operations.books() is None:
            with pytest.raises(Unavailable):
                await operations.reload(Author(0, "reload"))
        operations.halt_at_boot({"reason": "the moon is full"})

    assert run(home, config, halt) == 0
    after = [row for row in rows_of(home) if row.seq > 300]
    first_bar = next(row.seq for row in after if row.kind == "bar")
    (halted,) = [row for row in after if row.kind == "state_changed"]
    assert halted.seq < first_bar
    assert b"the moon is full" in halted.payload
    assert not [row for row in after if row.kind == "submit" and row.seq > halted.seq]


def test_a_halt_that_flattens_during_recovery_closes_what_is_open(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert run(tmp_path / "whole", config) == 0
    entered = next(
        row.seq for row in rows_of(tmp_path / "whole") if row.kind == "fill" and b'"role":"entry"' in row.payload
    )
    home = cut_to(tmp_path / "whole", tmp_path / "home", entered)

    async def halt(daemon: Running) -> None:
        await until(lambda: daemon.daemon.host is not None)
        assert daemon.daemon.host is not None
        operations = daemon.daemon.host.operations
        with pytest.raises(Unavailable, match="cannot close anything yet"):
            await operations.stop(flatten=True)
        operations.halt_at_boot({"flatten": "true"})
        assert not operations.flat_facts().is_flat
        operations.halt_at_boot({"reason": "asked again, without"})

    assert run(home, config, halt) == 0
    after = [row for row in rows_of(home) if row.seq > entered]
    halted = next(row for row in after if row.kind == "state_changed")
    assert b"asked again" in halted.payload
    (closed,) = [row for row in after if row.kind == "round_trip"]
    assert b"manual" in closed.payload


@pytest.mark.parametrize("is_over", [True, False])
def test_a_mark_of_an_emergency_exit_halts_the_boot_and_goes(tmp_path: Path, is_over: bool) -> None:
    config, home = write_config(tmp_path, bars=None, speed="6000"), tmp_path / "home"
    home.mkdir(mode=0o700)
    write_mark(home, Mark(what="it found 1 BTC", is_over=is_over))

    async def see(daemon: Running) -> None:
        status = await daemon.up()
        assert status["state"] == "halted"
        assert read_mark(home) is None
        assert (await daemon.act("resume"))["state"] == "running"
        # Left beside a daemon that only seemed dead, it is found as well.
        write_mark(home, Mark(what="it hung", is_over=is_over))
        await daemon.until(lambda found: found["state"] == "halted")
        await daemon.act("stop")

    assert run(home, config, see) == 0
    halts = [row.payload for row in rows_of(home) if row.kind == "command" and b'"halt"' in row.payload]
    assert [b"it found 1 BTC" in halts[0], b"it hung" in halts[1]] == [True, True]
    assert all((b'"own"' in halt) is is_over for halt in halts)
    assert len(logged(home, "emergency.found")) == 2


async def test_a_mark_that_cannot_be_removed_halts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mark(tmp_path, Mark(what="it found 1 BTC", is_over=True))

    def refuse(_home: Path) -> None:
        raise StorageFailed("read-only")

    halts: list[str] = []

    async def command(verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        halts.append(arguments["reason"])
        return CommandDone(id="c1", ts_event=Nanos(0), detail=verb.value)

    monkeypatch.setattr(marks, "remove_mark", refuse)
    made = marks.Marks(tmp_path, command)
    await made.look()
    await made.look()
    assert len(halts) == 1


def test_a_disk_below_the_limit_stops_new_positions_until_resume(tmp_path: Path) -> None:
    home = tmp_path / "home"
    config = write_config(tmp_path, bars=None, speed="6000")
    config.write_text(config.read_text().replace("min_free_mb = 1", "min_free_mb = 1000000"))

    async def see(daemon: Running) -> None:
        status = await daemon.until(lambda status: status.get("state") == "reduce_only")
        assert not status["positions"]
        assert (await daemon.act("resume"))["state"] == "running"
        await daemon.act("backup")
        await daemon.act("stop")

    assert run(home, config, see) == 0
    assert logged(home, "disk.low")
    (made,) = logged(home, "backup.made")
    assert (home / "backups" / made["file"]).exists()
    assert not (home / "reserve.bin").exists()


def test_a_journal_that_fails_ends_it_with_74_and_the_next_boot_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, config = tmp_path / "home", write_config(tmp_path)
    healthy, commits = journal_module._insert, 0

    def insert(*arguments: object, **named: object) -> object:
        nonlocal commits
        commits += 1
        if commits == 60:
            raise sqlite3.OperationalError("disk I/O error")
        return healthy(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_insert", insert)
        assert run(home, config) == 74
    assert logged(home, "journal.failed")
    assert not rows_of(home, "failed_turn")
    assert run(home, config) == 0
    assert run(tmp_path / "whole", config) == 0
    assert facts_of(home) == facts_of(tmp_path / "whole")


def test_half_a_turn_is_never_kept(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay")

    async def keep(daemon: Running) -> None:
        await daemon.feed_finished()
        engine = daemon.daemon.engine
        assert engine is not None
        await engine.keeper.keep()
        before = (home / "state.json").read_bytes()
        engine.session.turn_seq = 7
        await engine.keeper.keep()
        assert (home / "state.json").read_bytes() == before
        engine.session.turn_seq = 0
        await daemon.act("stop")

    assert run(home, config, keep) == 0


def test_views_of_the_journal_are_the_same_running_and_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tradebot.cli.main import run as cli

    home, config = tmp_path / "home", write_config(tmp_path, bars=250, at_end="stay")
    live: dict[str, bytes] = {}

    async def read(daemon: Running) -> None:
        await daemon.feed_finished()
        for view in ("report", "trades", "signals", "why"):
            live[view] = await daemon.read(view)
        await daemon.act("stop")

    assert run(home, config, read) == 0
    for view in ("report", "trades", "signals"):
        assert cli(["--home", str(home), view, "--json"], {}) == 0
        assert capsys.readouterr().out.encode() == live[view]
    assert json.loads(live["why"].splitlines()[0])["outcome"]


# What is of one process, not of the bot.
OF_THE_RUN = {"pid", "uptime_s", "tasks", "venue", "backup"}


def test_all_that_is_shown_is_the_same_after_a_restart(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=250, at_end="stay")
    shown: list[dict[str, Any]] = []

    async def look(daemon: Running) -> None:
        await daemon.up()
        await daemon.feed_finished()
        views = {view: json.loads(await daemon.read(view)) for view in ("status", "risk", "positions", "balance")}
        views["status"] = {key: value for key, value in views["status"].items() if key not in OF_THE_RUN}
        shown.append(views)
        if len(shown) == 1:
            log(LogEvent.TASK_FAILED, level="error", task="test")
        await daemon.act("stop")

    assert run(home, config, look) == 0
    assert run(home, config, look) == 0
    before, after = shown
    assert before["status"]["last_signal"]["signal_id"]
    assert before["status"]["last_trade"]["net_pnl"]
    assert before["status"].pop("errors_last_hour") == 0
    assert after["status"].pop("errors_last_hour") == 1
    assert after == before


def test_what_a_failed_turn_said_is_not_the_last_signal(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path)
    assert run(home, config) == 0
    *_, last_but_one, last = rows_of(home, "approved", "refused")

    async def recalled() -> str:
        journal = await SqliteJournal.open(home / JOURNAL_NAME, SystemClock())
        journal.append(LineFailed.kind, Nanos(0), str(last.seq - 1).encode())
        facts = RecentFacts()
        await facts.recall(journal)
        await journal.close()
        assert facts.last_signal is not None
        return facts.last_signal.signal.id

    assert json.loads(last_but_one.payload)["signal"]["id"] == asyncio.run(recalled())


def test_market_data_that_does_not_repeat_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert run(tmp_path / "whole", config) == 0
    rows = rows_of(tmp_path / "whole")[:60]
    bars = [row for row in rows if row.kind == "bar"]
    swapped = [row._replace(payload=bars[3].payload) if row.seq == bars[5].seq else row for row in rows]
    asyncio.run(write_journal(tmp_path / "home", swapped))
    assert run(tmp_path / "home", config) == 78
    assert f"journal row {bars[5].seq}" in logged(tmp_path / "home", "daemon.failed")[0]["error"]


def test_an_output_nobody_gives_again_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert run(tmp_path / "whole", config) == 0
    rows = rows_of(tmp_path / "whole")
    fill = next(row for row in rows if row.kind == "fill")
    doctored = [row._replace(payload=row.payload.replace(b'"t1"', b'"t7"')) for row in rows[: fill.seq + 40]]
    asyncio.run(write_journal(tmp_path / "home", doctored))
    assert run(tmp_path / "home", config) == 70
    assert "start afresh" in logged(tmp_path / "home", "daemon.failed")[0]["error"]
    # One output less, in the middle.
    missing = [row for row in rows[: fill.seq + 40] if row.seq != fill.seq]
    shorter = [row._replace(seq=number) for number, row in enumerate(missing, 1)]
    asyncio.run(write_journal(tmp_path / "other", shorter))
    assert run(tmp_path / "other", config) == 70


def test_a_task_beside_the_line_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay")
    healthy, looks = probes.disk_free_mb, 0

    def look(folder: Path) -> int:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise OSError("not now")
        return healthy(folder)

    monkeypatch.setattr(probes, "disk_free_mb", look)

    async def see(daemon: Running) -> None:
        await until(lambda: len(logged(home, "task.restarted")) == 1)
        (disk,) = [task for task in (await daemon.status())["tasks"] if task["name"] == "disk"]
        assert (disk["restarts"], disk["state"]) == (1, "running")
        await daemon.act("stop")

    assert run(home, config, see) == 0


def test_status_says_of_each_queue_what_follows_when_it_can_take_no_more(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay")

    async def see(daemon: Running) -> None:
        tasks = {task["name"]: task for task in (await daemon.up())["tasks"]}
        await daemon.act("stop")
        queues = {name: task["when_full"] for name, task in tasks.items() if task["when_full"] != "none"}
        assert queues == {
            "journal": "the feed waits",
            "signal": "the next turn waits",
            "risk": "the next turn waits",
            "orders": "the next turn waits",
            "feed": "reads on when line and journal have room",
            "pager": "an older alert is given up",
        }
        assert all(tasks[name]["queue"] <= 1 for name in ("signal", "risk", "orders"))
        assert all(task["queue"] == 0 for name, task in tasks.items() if name not in queues)

    assert run(home, config, see) == 0


def test_a_short_task_that_fails_ends_it(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay")

    async def fail() -> None:
        raise StorageFailed("as asked")

    async def see(daemon: Running) -> None:
        await daemon.up()
        daemon.daemon._supervisor.run_once("short", fail)

    assert run(home, config, see) == 74


def test_a_boot_that_fails_at_a_task_is_tried_again_and_answers_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay")
    healthy, beats = probes.Heart.run, 0

    async def broken(heart: probes.Heart, ready: Callable[[], None]) -> None:
        nonlocal beats
        beats += 1
        if beats < 3:
            raise RuntimeError("no heart")
        await healthy(heart, ready)

    monkeypatch.setattr(probes.Heart, "run", broken)

    async def see(daemon: Running) -> None:
        status = await daemon.up()
        assert (status["state"], "no heart" in status["reason"]) == ("halted", True)
        with pytest.raises(TradebotError):
            await daemon.act("close", symbol="AAA")
        await daemon.act("stop")

    assert run(home, config, see) == 0


def test_log_lines_that_cannot_be_written_are_counted_by_status(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_home(home)
    (home / "logs").write_text("a file in the way")

    async def look(daemon: Running) -> None:
        await daemon.until(lambda status: int(status.get("log_failures", 0)) > 0)

    assert run(home, write_config(tmp_path), look) == 0
