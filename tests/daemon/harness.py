"""Runs the real daemon as a process, kills it, and reads what it left behind."""

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

DEADLINE_S = 120
OWN_STRATEGY = '''
from decimal import Decimal

from tradebot.pipeline.strategy.base import Bar, Enter, Exit, Field, Params, Position, PositionSide


class Pulse:
    """Enters with the third of three rising closes, leaves in two parts when the price falls."""

    class Params(Params):
        run: int = Field(3, ge=2, le=10, description="closes in a row")

    def __init__(self, params):
        self.params = params
        self.closes = []
        self.bars_in = 0

    def on_bar(self, bar: Bar, position: Position | None):
        self.closes = [*self.closes[-self.params.run :], bar.close]
        rising = all(a < b for a, b in zip(self.closes, self.closes[1:]))
        if position is None:
            self.bars_in = 0
            if rising and len(self.closes) > self.params.run:
                yield Enter(PositionSide.LONG)
            return
        self.bars_in += 1
        if self.bars_in == 4:
            yield Exit("time", Decimal("0.5"))
        elif self.bars_in > 4 and self.closes[-1] < self.closes[-2]:
            yield Exit("time")
'''


def command(*words: str | Path) -> list[str]:
    """Return the command line of ``tradebot`` with ``words``."""
    return [sys.executable, "-m", "tradebot", *map(str, words)]


def clean_environ() -> dict[str, str]:
    """Return the environment without anything that would configure a bot."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TRADEBOT", "NOTIFY"))}


def tradebot(*words: str | Path, expect: int = 0) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=DEADLINE_S, env=clean_environ(), check=False
    )
    assert done.returncode == expect, f"{words}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def start(home: Path, config: Path) -> "subprocess.Popen[str]":
    """Start a daemon in the foreground; its log lines come on its stdout."""
    return subprocess.Popen(
        command("--home", home, "--config", config, "start", "--foreground"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environ(),
    )


def kill(pid: int) -> None:
    """Kill a process and return when it is gone, its socket with it: a signal only asks for that."""
    gone = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(gone, signal.SIGKILL)
        assert select.select([gone], [], [], DEADLINE_S)[0], f"{pid} outlives SIGKILL"
    finally:
        os.close(gone)


def run_to_end(home: Path, config: Path) -> None:
    """Run a daemon whose feed ends until it ends by itself."""
    with start(home, config) as daemon:
        _, errors = daemon.communicate(timeout=DEADLINE_S)
    assert daemon.returncode == 0, f"exit {daemon.returncode}: {errors[-3000:]}"


def run_with_kills(home: Path, config: Path, kills: int, chance: random.Random, lines: int) -> int:
    """Run a daemon to its end, killing it ``kills`` times after up to ``lines`` log lines; return the kills done."""
    for done in range(kills):
        with start(home, config) as daemon:
            assert daemon.stdout is not None
            assert daemon.stderr is not None
            for _ in range(chance.randint(0, lines)):
                if not daemon.stdout.readline():
                    break
            daemon.send_signal(signal.SIGKILL)
            daemon.stdout.read()
            errors = daemon.stderr.read()
        if daemon.returncode == 0:
            return done
        assert daemon.returncode == -signal.SIGKILL, f"exit {daemon.returncode}: {errors[-3000:]}"
    run_to_end(home, config)
    return kills


def backtest_trades(config: Path, folder: Path, *extra: str) -> str:
    """Return the trades of a backtest of ``config``, as JSON lines."""
    return backtest_of(config, folder, *extra)[0]


def backtest_of(config: Path, folder: Path, *extra: str) -> tuple[str, dict[str, object]]:
    """Return the trades of a backtest of ``config``, as JSON lines, and its document."""
    path = folder / "backtest.jsonl"
    document = json.loads(tradebot("--config", config, "backtest", "--json", "--trades", path, *extra))
    return path.read_text(), document


def report_of(home: Path) -> dict[str, object]:
    """Return the document of ``report``."""
    document: dict[str, object] = json.loads(tradebot("--home", home, "report", "--json"))
    return document


def trades_of(home: Path) -> str:
    """Return the round trips of a stopped daemon, as JSON lines."""
    return tradebot("--home", home, "trades", "--json")


def replay_config(folder: Path, data: Sequence[str], symbols: Sequence[str]) -> Path:
    """Write a configuration that replays ``data`` with three strategies, one of them a user's own."""
    (folder / "pulse.py").write_text(OWN_STRATEGY)
    third = max(1, len(symbols) // 3)
    shares = [symbols[:third], symbols[third : 2 * third] or symbols[:1], symbols[2 * third :] or symbols[-1:]]
    config = folder / "tradebot.toml"
    config.write_text(_config('kind = "replay"\ndata = ' + json.dumps(list(data)), symbols, shares))
    return config


def generated_config(folder: Path, symbols: Sequence[str], bars: int, seed: int) -> Path:
    """Write a configuration on the generated market."""
    (folder / "pulse.py").write_text(OWN_STRATEGY)
    shares = [symbols[:1], symbols[1:2], symbols[2:]]
    config = folder / "tradebot.toml"
    config.write_text(_config(f'kind = "generated"\nseed = {seed}\nbars = {bars}', symbols, shares))
    return config


def _config(feed: str, symbols: Sequence[str], shares: Sequence[Sequence[str]]) -> str:
    return f"""
[bot]
symbols = {json.dumps(list(symbols))}
[feed]
{feed}
speed = "max"
at_end = "stop"
[venue]
latency_ms = 0
[[strategy]]
kind = "sma_cross"
symbols = {json.dumps(list(shares[0]))}
fast = 5
slow = 15
stop = {{ kind = "atr", trail = {{ kind = "structure", swing = 3 }}, break_even = {{ at_r = 0.7 }} }}
target = {{ kind = "r", r = 2.0 }}
max_hold = {{ bars = 40, unless_r = 0.5 }}
[[strategy]]
kind = "donchian_breakout"
symbols = {json.dumps(list(shares[1]))}
timeframe = "15m"
stop = {{ kind = "atr", mult = 1.5, trail = true }}
[[strategy]]
kind = "pulse.py:Pulse"
symbols = {json.dumps(list(shares[2]))}
[risk]
size = {{ kind = "risk_fraction", fraction = 0.002 }}
max_order_notional = "5000"
max_leverage = 3
"""
