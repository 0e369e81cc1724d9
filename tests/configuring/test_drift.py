"""When drift is seen and told, by a clock that a test moves."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clock import VirtualClock
from tests.recovery.lab import write_config
from tradebot.model.command import AlertName
from tradebot.model.time import NANOS_PER_S
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.doctor import run_doctor
from tradebot.runtime.drift import ConfigSource, DriftWatch
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.settings.model import Settings


class Bench:
    """A watch over one file, with what it loaded and paged."""

    def __init__(self, folder: Path, environ: dict[str, str] | None = None) -> None:
        self.folder, self.clock = folder, VirtualClock(1_000 * NANOS_PER_S)
        self.file = self.write(5000)
        self.loads = 0
        self.paged: list[tuple[AlertName, str, str]] = []
        self.options, self.environ = LoadOptions((self.file,)), environ or {}
        self.running: Settings = self.options.load(folder, self.environ).settings
        source = ConfigSource(lambda: self.options.files(folder, self.environ), self.load)
        page: Callable[[AlertName, str, str], None] = lambda *told: self.paged.append(told)  # noqa: E731
        self.watch = DriftWatch(source, lambda: self.running, self.clock, page)
        self.watch.settle()

    def write(self, limit: int) -> Path:
        return write_config(self.folder, risk=f'max_order_notional = "{limit}"')

    def load(self) -> Loaded:
        self.loads += 1
        return self.options.load(self.folder, self.environ)

    async def look(self, after_s: int = 5) -> None:
        self.clock.advance(after_s * NANOS_PER_S)
        await self.watch.look()


async def test_drift_is_seen_at_the_next_look_and_paged_once_after_20_s(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.look()
    assert bench.watch.facts.since is None
    bench.write(4999)
    await bench.look()
    since = bench.watch.facts.since
    assert since == 1_010 * NANOS_PER_S
    assert bench.watch.facts.keys == ("risk.max_order_notional",)
    assert bench.paged == []
    for _ in range(20):
        await bench.look()
    assert [name for name, _, _ in bench.paged] == [AlertName.CONFIG_DRIFT]
    assert "risk.max_order_notional" in bench.paged[0][1]
    assert bench.watch.facts.since == since
    bench.file.write_text("[bot\n")
    await bench.look()
    assert "TOML syntax" in bench.watch.facts.error
    assert bench.watch.facts.since == since
    bench.write(5000)
    await bench.look()
    assert bench.watch.facts.since is None
    bench.file.unlink()
    await bench.look()
    await bench.look(30)
    assert len(bench.paged) == 2
    assert "no such configuration file" in bench.paged[1][1]


async def test_an_edit_that_is_undone_or_applied_soon_is_never_paged(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(4999)
    await bench.look()
    await bench.look(19)
    bench.running = bench.load().settings
    await bench.look()
    await bench.look(100)
    assert (bench.watch.facts.since, bench.paged) == (None, [])


async def test_nothing_is_read_while_no_stamp_changes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(100):
        await bench.look()
    assert bench.loads == 1
    os.utime(bench.file, ns=(1, 1))
    await bench.look()
    assert bench.loads == 2
    assert bench.watch.facts.since is None


async def test_what_the_environment_says_is_no_drift(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"TRADEBOT__RISK__MAX_ORDER_NOTIONAL": "77", "TRADEBOT__LOG__KEEP": "5"})
    await bench.look()
    bench.write(4999)
    await bench.look()
    assert bench.watch.facts.since is None


async def test_a_file_of_the_home_that_appears_is_seen(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.options = LoadOptions()
    bench.running = bench.load().settings
    await bench.look()
    assert bench.watch.facts.since is None
    bench.file.rename(tmp_path / "tradebot.toml")
    await bench.look()
    assert "bot.name" in bench.watch.facts.keys


async def test_a_strategy_file_that_is_gone_is_drift(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    mine = tmp_path / "mine.py"
    mine.write_text("class Mine: ...\n")
    write_config(tmp_path, strategies='[[strategy]]\nkind = "mine.py:Mine"\n')
    bench.running = bench.load().settings
    bench.watch.settle()
    await bench.look()
    assert bench.watch.facts.since is None
    mine.unlink()
    await bench.look()
    assert bench.watch.facts.keys == ("strategy.0.kind",)
    (found,) = bench.watch.differences()
    assert "cannot be read" in str(found.file)


@pytest.mark.parametrize("is_there", [True, False])
def test_doctor_says_nothing_of_drift_where_no_daemon_answers(tmp_path: Path, is_there: bool) -> None:
    home = tmp_path / "home"
    if is_there:
        home.mkdir(mode=0o700)
    config = write_config(tmp_path)
    findings = run_doctor(home, lambda: LoadOptions((config,)).load(home, {}), {}, SystemClock())
    assert [one for one in findings if one.check == "drift"] == []
