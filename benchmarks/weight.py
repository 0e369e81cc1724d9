"""What a live daemon asks of its venue: the weight of its requests in any 60 seconds, and how often it is refused.

A daemon as a process trades many coins on a devnet that counts as the venue does: 1,200 of weight in any 60 seconds.
It boots on a fresh home, is killed three times while it holds a position whose stop is taken away behind its back, and
loses its sockets. Each lost stop is back, or its position closed, so long after the start of the next process.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import Figure
from benchmarks.processes import environ

LIMIT = 1_200
MANY, FEW = 30, 8
_KNOWN = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "AVAX", "LINK")
_KILLS = 3
_MINUTE_S, _DEADLINE_S, _POLL_S = 60.0, 240.0, 0.05
_STRATEGY = """
from tradebot.pipeline.strategy.base import Enter, Params, PositionSide


class First:
    \"\"\"In at every bar that finds it flat.\"\"\"

    class Params(Params):
        \"\"\"None.\"\"\"

    def __init__(self, params):
        pass

    def on_bar(self, bar, position):
        return () if position is not None or bar.symbol != "BTC" else (Enter(PositionSide.LONG),)
"""
_CONFIG = """
[bot]
mode = "live"
symbols = {coins}
[feed]
kind = "hyperliquid"
history_bars = 300
[venue]
kind = "hyperliquid"
network = "devnet"
url = "{url}"
key_file = "devnet.key"
[[strategy]]
kind = "first.py:First"
name = "first"
timeframe = "1m"
stop = {{ kind = "atr", n = 5, mult = 20 }}
[risk]
size = {{ kind = "notional", notional = "1000" }}
max_order_notional = "2000"
max_position_notional = "2000"
max_exposure_notional = "4000"
live_cap_notional = "2000"
"""


@dataclass
class Rehearsal:
    """What was measured; times in seconds."""

    first_minute: int = 0
    most: int = 0
    refused: int = 0
    ready_s: list[float] = field(default_factory=list)
    naked_s: list[float] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)


def run() -> Iterable[Figure]:
    """Yield the figures."""
    few = rehearse(FEW, kills=0)
    what, note = f"weight of the first minute, {FEW} coins", _told(few.asked)
    yield Figure(what=what, value=few.first_minute, unit="", aim=LIMIT, note=note)
    many = rehearse(MANY, kills=_KILLS)
    what = f"{MANY} coins, boot, {_KILLS} kills, a reconnect"
    yield Figure(what=f"{what}: answers 429", value=many.refused, unit="", aim=0, note=_told(many.asked))
    yield Figure(what=f"{what}: most weight in 60 s", value=many.most, unit="", aim=LIMIT)
    yield Figure(what=f"first start to ready, {MANY} coins", value=many.ready_s[0], unit="s")
    note = ", ".join(f"{ready:.1f}" for ready in many.ready_s[1:])
    yield Figure(what="kill -9 to ready, longest", value=max(many.ready_s[1:]), unit="s", note=note)
    note = ", ".join(f"{naked:.1f}" for naked in many.naked_s)
    yield Figure(what="start to the lost stop back, longest", value=max(many.naked_s), unit="s", aim=3, note=note)


def _told(asked: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(asked.items()))


def rehearse(count: int, kills: int) -> Rehearsal:
    """Return what a daemon that trades ``count`` coins asks for."""
    done = Rehearsal()
    coins = [*_KNOWN, *(f"C{number:02}" for number in range(count))][:count]
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        words = ["--home", folder / "net", "--json", "devnet", "--port", "0", "--speed", "1", "--history", "400"]
        for coin in coins:
            words += ["--symbol", coin]
        with _process(*words, "--key", folder / "devnet.key") as net:
            assert net.stdout is not None
            url = json.loads(net.stdout.readline())["url"]
            (folder / "first.py").write_text(_STRATEGY)
            config = folder / "bot.toml"
            config.write_text(_CONFIG.format(url=url, coins=json.dumps(coins)))
            _Run(done, folder / "home", config, url).go(kills)
    return done


class _Run:
    def __init__(self, done: Rehearsal, home: Path, config: Path, url: str) -> None:
        self._done, self._home, self._config, self._url = done, home, config, url

    def go(self, kills: int) -> None:
        begin = time.monotonic()
        with self._daemon() as is_ready:
            _until(is_ready)
            self._done.ready_s.append(time.monotonic() - begin)
            time.sleep(max(0.0, begin + _MINUTE_S - time.monotonic()))
            self._done.first_minute = self._limits()["most"]
            if kills:
                _until(self._is_protected)
        for _ in range(kills):
            self._begin_again()
        if kills:
            self._reconnect()
        limits = self._limits()
        self._done.most, self._done.refused, self._done.asked = limits["most"], limits["refused"], limits["asked"]

    def _begin_again(self) -> None:
        self._ask("cancel", {})
        begin = time.monotonic()
        with self._daemon() as is_ready:
            _until(self._is_safe)
            self._done.naked_s.append(time.monotonic() - begin)
            _until(is_ready)
            self._done.ready_s.append(time.monotonic() - begin)
            # A stop that is lost a second time is not placed anew: the position is closed, and entered again later.
            _until(self._is_protected)

    def _reconnect(self) -> None:
        with self._daemon() as is_ready:
            _until(is_ready)
            self._ask("fault", {"name": "drop"})
            time.sleep(_MINUTE_S)

    @contextmanager
    def _daemon(self) -> Iterator[Callable[[], bool]]:
        """Run a daemon until it is killed at the end; gives whether it is ready."""
        log = self._home / "logs" / "tradebot.jsonl"
        before = _ready(log)
        with _process("--home", self._home, "--config", self._config, "start", "--foreground", "--live") as daemon:

            def is_ready() -> bool:
                if daemon.poll() is not None:
                    raise RuntimeError(f"the daemon ended with {daemon.returncode}: see {log}")
                return _ready(log) > before

            yield is_ready

    def _is_protected(self) -> bool:
        (account,) = self._ask("accounts")
        return bool(account["positions"]) and bool(account["open"])

    def _is_safe(self) -> bool:
        (account,) = self._ask("accounts")
        return not account["positions"] or bool(account["open"])

    def _limits(self) -> Any:
        return self._ask("limits", {})

    def _ask(self, name: str, body: dict[str, object] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self._url}/admin/{name}", data), timeout=10) as answer:
            return json.loads(answer.read())


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + _DEADLINE_S
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError(f"it was not so within {_DEADLINE_S:.0f} s")
        time.sleep(_POLL_S)


def _ready(log: Path) -> int:
    return log.read_text().count('"daemon.ready"') if log.exists() else 0


@contextmanager
def _process(*words: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a command until it is killed at the end."""
    line = [sys.executable, "-m", "tradebot", *map(str, words)]
    # A daemon logs to its home as well; what it prints would fill a pipe that nobody reads.
    quiet = subprocess.PIPE if "devnet" in words else subprocess.DEVNULL
    process = subprocess.Popen(line, stdout=quiet, stderr=subprocess.DEVNULL, text=True, env=environ())
    try:
        yield process
    finally:
        process.kill()
        process.wait()
