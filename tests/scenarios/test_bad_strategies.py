"""A user's own strategy that fails in any way is disabled and named; the others trade as if alone."""

import json
import shutil
from decimal import ROUND_HALF_EVEN, getcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.lab import Running, facts_of, logged, recovered_state, rows_of, run, write_config
from tradebot.model.errors import InvariantError
from tradebot.report.result_text import report_text
from tradebot.report.text import status_text
from tradebot.runtime.backtest import BacktestResult, run_backtest
from tradebot.runtime.guard import StrategyGuard, watching
from tradebot.settings.load import LoadOptions

# Long enough for a busy machine to give an innocent strategy its turn within it.
LIMIT_S = 0.3
CROSS = """
[[strategy]]
kind = "sma_cross"
symbols = ["AAA"]
fast = 3
slow = 8
"""
OWN = (
    CROSS
    + """
[[strategy]]
kind = "own.py:Own"
symbols = ["BBB"]
"""
)
FILE = """
from decimal import Decimal
from tradebot.pipeline.strategy.base import Bar, Enter, Exit, OrderType, Params, Position, PositionSide

class Own:
    count = 0

    class Params(Params):
        pass

    def __init__(self, params):
        self.n = 0

    def on_bar(self, bar, position):
        self.n += 1
        if self.n < 20:
            return ()
{body}
"""
LONG = "PositionSide.LONG"
FAULTS = {
    "raise ValueError('boom')": "raised ValueError: boom at own.py:18",
    "raise ValueError('\\udcff')": "raised ValueError: ? at own.py:18",
    "raise ValueError('x' * 10**6)": "raised ValueError: " + "x" * 281,
    "raise GeneratorExit": "raised GeneratorExit at own.py:18",
    "import asyncio; raise asyncio.CancelledError": "raised CancelledError at own.py:18",
    "import sys; sys.exit(3)": "raised SystemExit: 3 at own.py:18",
    "import nothing_of_that_name": ("raised ModuleNotFoundError: No module named 'nothing_of_that_name' at own.py:18"),
    "return self.on_bar(bar, position)": "raised RecursionError: maximum recursion depth exceeded",
    "while True: yield Enter(PositionSide.LONG)": "nonsense: on_bar returned more than one Enter",
    "return 'buy'": "nonsense: on_bar returned str in its list, not Enter, Exit or MoveStop",
    f"return [Enter({LONG})] * 10_000": "nonsense: on_bar returned more than one Enter",
    f"return [Enter({LONG}, stop=Decimal('nan'))]": "nonsense: Enter.stop is Decimal('NaN'), not a Decimal above 0",
    f"return [Enter({LONG}, stop=1.5)]": "nonsense: Enter.stop is 1.5, not a Decimal above 0",
    f"return [Enter({LONG}, target=Decimal('9' * 5000))]": "nonsense: Enter.target is above 1000000000000",
    f"return [Enter({LONG}, factors={{'\\udcff': 1.0}})]": (
        "nonsense: Enter.factors has the name '\\udcff', not one of at most 64 characters"
    ),
    f"return [Enter({LONG}, factors={{str(n): 1.0 for n in range(100_000)}})]": (
        "nonsense: Enter.factors has 100000 names, more than 64"
    ),
    "import decimal; decimal.getcontext().prec = 3": (
        "changed the decimal context, by which all money is reckoned; use decimal.localcontext()"
    ),
    "import decimal; decimal.getcontext().rounding = decimal.ROUND_DOWN": (
        "changed the decimal context, by which all money is reckoned; use decimal.localcontext()"
    ),
    "self.f = lambda: 1": ("strategy Own keeps field 'f' of type function, which cannot be saved"),
    "type(self).count += 1": "changed Own.count, which is not saved; keep it in a field: self.count",
    "global seen; seen = self.n": "changed global seen, which is not saved; keep it in a field: self.seen",
}
BLOCKS = (
    "while True: pass",
    "import time; time.sleep(60)",
    """while True:
            try:
                time.sleep(60)
            except BaseException:
                pass""",
    """while True:
            try:
                while True: pass
            except BaseException:
                continue""",
)


@pytest.fixture
def quick_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what blocks on purpose; what is only slow under a debugger or coverage has the ordinary limit."""
    monkeypatch.setattr("tradebot.runtime.engine.StrategyGuard", partial(StrategyGuard, limit_s=LIMIT_S))
    for module in ("recovery", "backtest"):
        monkeypatch.setattr(f"tradebot.runtime.{module}.watching", partial(watching, limit_s=LIMIT_S))


def write(folder: Path, body: str, **changes: Any) -> Path:
    (folder / "own.py").write_text(FILE.format(body=f"        {body}"))
    return write_config(folder, strategies=OWN, **({"bars": 60} | changes))


def backtest(config: Path) -> BacktestResult:
    return run_backtest(LoadOptions((config,)).load(config.parent / "none", {}))


def alone(folder: Path) -> BacktestResult:
    (folder / "alone").mkdir()
    return backtest(write_config(folder / "alone", strategies=CROSS, bars=60))


@pytest.mark.parametrize(("body", "reason"), FAULTS.items())
def test_a_strategy_that_fails_is_named_and_the_others_trade_as_if_alone(
    tmp_path: Path, body: str, reason: str
) -> None:
    result, undisturbed = backtest(write(tmp_path, body)), alone(tmp_path)
    (disabled,) = result.disabled
    assert (disabled.strategy, disabled.reason[: len(reason)]) == ("Own", reason)
    assert result.document["disabled"] == [
        {"ts": disabled.ts_event // 10**6, "strategy": "Own", "symbol": "BBB", "reason": disabled.reason}
    ]
    assert result.trades == undisturbed.trades
    assert result.document["ending_equity"] == undisturbed.document["ending_equity"]
    assert (getcontext().prec, getcontext().rounding) == (28, ROUND_HALF_EVEN)


@pytest.mark.usefixtures("quick_guards")
@pytest.mark.parametrize("body", BLOCKS)
def test_a_strategy_that_does_not_come_back_is_disabled_even_when_it_catches_everything(
    tmp_path: Path, body: str
) -> None:
    result = backtest(write(tmp_path, "import time\n        " + body))
    assert [disabled.reason for disabled in result.disabled] == ["blocked for more than 5 s"]
    assert result.trades == alone(tmp_path).trades


@pytest.mark.usefixtures("quick_guards")
@pytest.mark.parametrize("body", ["raise ValueError('\\udcff')", "while True: pass", "raise KeyboardInterrupt"])
def test_a_daemon_disables_as_a_backtest_does_and_says_so(tmp_path: Path, body: str) -> None:
    config = write(tmp_path, body, at_end="stay")
    seen: dict[str, Any] = {}

    async def during(daemon: Running) -> None:
        seen["status"] = await daemon.feed_finished()
        seen["health"] = json.loads(await daemon.read("health"))
        seen["report"] = json.loads(await daemon.read("report"))
        await daemon.act("stop")

    assert run(tmp_path / "home", config, during) == 0
    (line,) = logged(tmp_path / "home", "strategy.disabled")
    assert (line["strategy"], line["level"]) == ("Own", "error")
    assert seen["status"]["disabled"] == [{"strategy": "Own", "reason": line["reason"]}]
    (reported,) = seen["report"]["disabled"]
    assert (reported["strategy"], reported["reason"]) == ("Own", line["reason"])
    for text in (status_text(seen["status"]), report_text(seen["report"])):
        assert f"Own: {line['reason']}" in text
    assert seen["status"]["errors_last_hour"] >= 1
    (check,) = [check for check in seen["health"]["checks"] if check["check"] == "strategy Own"]
    assert check == {"check": "strategy Own", "ok": False, "detail": f"disabled: {line['reason']}"}
    assert not seen["health"]["well"]
    trades = [row.payload for row in rows_of(tmp_path / "home", "round_trip")]
    assert len(trades) == len(alone(tmp_path).trades)


@pytest.mark.usefixtures("quick_guards")
def test_a_strategy_that_blocks_is_disabled_at_the_same_bar_after_a_kill(tmp_path: Path) -> None:
    config = write(tmp_path, "while True: pass")
    home, killed, cut = tmp_path / "home", tmp_path / "killed", tmp_path / "cut"

    async def during(daemon: Running) -> None:
        await daemon.turns(60)
        await daemon.image(killed)
        await daemon.image(cut)

    assert run(home, config, during) == 0
    for image in (killed, cut):
        shutil.rmtree(image / "logs", ignore_errors=True)
    assert run(killed, config) == 0
    assert facts_of(killed) == facts_of(home)
    (disabled,) = rows_of(killed, "strategy_disabled")
    assert disabled.payload == rows_of(home, "strategy_disabled")[0].payload


def test_a_strategy_that_asks_the_clock_is_named_when_the_past_does_not_repeat(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.touch()
    ask = f"__import__('os').path.exists({str(clock)!r})"
    config = write(tmp_path, f"return [Enter(PositionSide.LONG)] if position is None and {ask} else ()", at_end="stay")
    home, killed = tmp_path / "home", tmp_path / "killed"

    async def during(daemon: Running) -> None:
        await daemon.feed_finished()
        await daemon.image(killed)
        await daemon.act("stop")

    assert run(home, config, during) == 0
    for snapshot in killed.glob("state.json*"):
        snapshot.unlink()
    # What the clock said then, it says no more.
    clock.unlink()

    async def recover() -> None:
        await recovered_state(killed, config)

    import asyncio

    with pytest.raises(InvariantError, match="strategy Own decided otherwise on the same bars") as error:
        asyncio.run(recover())
    assert "clock" in error.value.mend


def test_resume_asks_a_mended_strategy_again(tmp_path: Path) -> None:
    config = write(tmp_path, "raise ValueError('boom')", at_end="stay", bars=None, speed="30000")

    async def fail(daemon: Running) -> None:
        await daemon.until(lambda status: bool(status.get("disabled")))
        await daemon.act("stop")

    assert run(tmp_path / "home", config, fail) == 0
    (tmp_path / "own.py").write_text(FILE.format(body="        return ()"))

    async def mend(daemon: Running) -> None:
        status = await daemon.up()
        assert [row["strategy"] for row in status["disabled"]] == ["Own"]
        await daemon.act("resume")
        status = await daemon.status()
        assert status["disabled"] == []
        await daemon.act("stop")

    assert run(tmp_path / "home", config, mend) == 0


def test_what_a_strategy_prints_is_no_part_of_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tradebot.cli.main import run as cli

    config = write(tmp_path, "print('seen')\n        return ()")
    own = tmp_path / "own.py"
    own.write_text("print('loaded')\n" + own.read_text())
    assert cli(["--config", str(config), "backtest", "--json"], {"HOME": str(tmp_path)}) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["disabled"] == []
    assert "loaded" in err
    assert "seen" in err


def test_a_backtest_warns_of_a_disabled_strategy_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tradebot.cli.main import run as cli

    config = write(tmp_path, "raise ValueError('boom')")
    assert cli(["--config", str(config), "backtest"], {"HOME": str(tmp_path)}) == 0
    out, err = capsys.readouterr()
    assert "warning: strategy Own was disabled at 2025-01-01 00:20:00: raised ValueError: boom at own.py:18" in err
    assert "disabled strategies" in out


def test_a_strategy_that_keeps_very_much_is_told_of_once(tmp_path: Path) -> None:
    config = write(tmp_path, "self.many = [0.12345678901] * 90_000\n        return ()", store="snapshot_s = 0.1")
    assert run(tmp_path / "home", config) == 0
    (line,) = logged(tmp_path / "home", "strategy.swelled")
    assert (line["strategy"], line["level"]) == ("Own", "warning")
    assert line["bytes"] > 10**6
