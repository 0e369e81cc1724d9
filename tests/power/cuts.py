"""Cut the power of a recorded run, again and again, and open what is left by the recovery of the daemon."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from tests.kills.paper import write_run_config
from tests.power.disk import Disk, Op, Record, read_records
from tests.power.recorded import Promise
from tests.recovery.lab import recovered_state
from tests.waiting import wait_until
from tradebot.runtime.logs import log_file
from tradebot.runtime.logtail import errors_in
from tradebot.store.backups import backups
from tradebot.store.integrity import verify_all
from tradebot.store.opening import open_checked
from tradebot.store.schema import JOURNAL_NAME, connect_reader
from tradebot.store.snapshot import load_snapshots

SOURCE = Path(__file__).with_name("recorder.c")
_DEADLINE_S = 300.0
# A whole boot costs what fifty openings of a journal do, and to read a backup as much as one.
_BOOT_EACH, _BACKUPS_EACH = 50, 8
_BARS = (24, 90)
# Enough for some orders, with all that follows from them.
_LIVE_FILLS, _LIVE_SPEED = 8, 240


class Cut(NamedTuple):
    """A cut: behind how many records, what is left, and the newest promise of each kind by then."""

    at: int
    left: Mapping[str, bytes]
    promised: Mapping[Promise, int]
    sent: frozenset[int]


def compiler() -> str | None:
    """Return the C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


def build(folder: Path) -> Path:
    """Compile the recorder and return the library."""
    library = folder / "recorder.so"
    words = [compiler() or "cc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"]
    subprocess.run(words, check=True, timeout=_DEADLINE_S)
    return library


def record_run(folder: Path, config: Path, library: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Start a daemon of ``folder / "home"`` whose files are watched."""
    watched = {"POWER_HOME": str(folder / "home"), "POWER_LOG": str(folder / "records"), "LD_PRELOAD": str(library)}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRADEBOT")}
    command = [sys.executable, "-m", "tests.power.recorded", str(folder / "home"), str(config), *words]
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(command, env=environ | watched, stdout=said, stderr=said, cwd=Path(__file__).parents[2])


def cuts(records: Sequence[Record], root: str, count: int, chance: random.Random) -> Iterator[Cut]:
    """Yield ``count`` cuts at random points, in their order."""
    wanted = Counter(chance.randint(0, len(records)) for _ in range(count))
    disk, promised, sent = Disk(root), dict[Promise, int](), set[int]()
    for at in range(len(records) + 1):
        for _ in range(wanted[at]):
            yield Cut(at, disk.cut(chance), dict(promised), frozenset(sent))
        if at == len(records):
            return
        record = records[at]
        if record.op is not Op.MARK:
            disk.see(record)
        elif record.number == Promise.SENT:
            sent.add(record.offset)
        else:
            promised[Promise(record.number)] = record.offset


def lay_out(home: Path, left: Mapping[str, bytes]) -> None:
    """Make ``home`` what a cut left."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700, parents=True)
    for name, content in left.items():
        path = home / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)


def check(home: Path, cut: Cut, *, with_backups: bool = True) -> tuple[list[str], int]:
    """Open what a cut left as the daemon does at its start; return what is wrong, and how much damage it tells of.

    A write that was torn is told of, also where nobody was promised its rows: from the file alone it might have been.
    """
    wrong: list[str] = []
    connection, tip, opened = open_checked(home / JOURNAL_NAME, 0, True)
    with closing(connection):
        durable = cut.promised.get(Promise.DURABLE, 0)
        if tip.seq < durable:
            wrong.append(f"row {durable} was acknowledged, the journal ends at {tip.seq}")
        if cut.sent:
            meant = {
                orjson.loads(payload)["nonce"]
                for (payload,) in connection.execute("SELECT payload FROM rows WHERE kind = 'intent'")
            }
            wrong += [f"order {nonce} may have been sent, and no row meant it" for nonce in cut.sent - meant]
    found = load_snapshots(home, tip.seq)
    kept = cut.promised.get(Promise.SNAPSHOT, 0)
    wrong += [f"{rejected.path.name}: {rejected.reason}" for rejected in found.rejected]
    if kept and (not found.valid or found.valid[0].seq < kept):
        wrong.append(f"the snapshot of row {kept} is gone")
    if with_backups:
        wrong += _check_backups(home, cut.promised.get(Promise.BACKUP, 0))
    # A log may be torn; to read it must not fail.
    errors_in(log_file(home), 0)
    return wrong, len(opened.damage)


def _check_backups(home: Path, promised: int) -> list[str]:
    copies = backups(home)
    if promised and not any(copy.name.endswith(f"-{promised:012d}.db") for copy in copies):
        return [f"the backup of row {promised} is gone"]
    # One that has its name counts, whether or not anybody was told.
    for copy in copies[:1]:
        with closing(connect_reader(copy)) as connection:
            verify_all(connection)
    return []


class Tally(NamedTuple):
    """What came of some cuts: how many, how many of them booted wholly, and of how many a torn write was told."""

    cuts: int
    boots: int
    torn: int
    wrong: list[str]


def cut_run(folder: Path, config: Path | None, count: int, chance: random.Random) -> Tally:
    """Cut the recorded run of ``folder`` ``count`` times; with ``config`` boot what is left now and then."""
    records = list(read_records(folder / "records"))
    home, wrong, boots, torn = folder / "after" / "home", list[str](), 0, 0
    for number, cut in enumerate(cuts(records, str(folder / "home"), count, chance)):
        lay_out(home, cut.left)
        try:
            faults, damage = check(home, cut, with_backups=number % _BACKUPS_EACH == 0)
            torn += bool(damage)
            if config is not None and number % _BOOT_EACH == 0:
                asyncio.run(recovered_state(home, config))
                boots += 1
        except Exception as error:
            faults = [repr(error)]
        wrong += [f"cut behind record {cut.at} of {len(records)}: {fault}" for fault in faults]
    return Tally(count, boots, torn, wrong)


def paper_run(folder: Path, seed: int, count: int, library: Path) -> dict[str, Any]:
    """Record the paper run of ``seed``, cut its power ``count`` times; return the counts, and what is wrong."""
    chance = random.Random(seed)
    config = write_run_config(folder, chance, _BARS)
    code = record_run(folder, config, library).wait(_DEADLINE_S)
    found = cut_run(folder, config, count, chance) if code == 0 else _failed(folder, code)
    return {"kind": "paper", "seed": seed} | found._asdict()


def live_run(folder: Path, seed: int, count: int, library: Path) -> dict[str, Any]:
    """Do the same with a live bot on a devnet: what was to be sent is in the journal before it was."""
    from tests.live_soak.bot import Bot, Exchange

    exchange = Exchange(folder, seed, _LIVE_SPEED)
    try:
        Bot(folder, exchange.url)
        process = record_run(folder, folder / "bot.toml", library, "--live")
        wait_until(lambda: len(exchange.truth()["fills"]) >= _LIVE_FILLS, _DEADLINE_S, pause_s=0.1)
        process.terminate()
        code = process.wait(_DEADLINE_S)
    finally:
        exchange.stop()
    found = cut_run(folder, None, count, random.Random(seed)) if code == 0 else _failed(folder, code)
    return {"kind": "live", "seed": seed} | found._asdict()


def _failed(folder: Path, code: int) -> Tally:
    said = (folder / "said").read_text(errors="replace")[-2000:]
    return Tally(0, 0, 0, [f"the run ended with {code}: {said}"])
