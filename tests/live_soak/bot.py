"""A devnet and a live daemon on it, each a process, and the words between them and the test."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

SPEED = 60
COINS = ("BTC", "ETH")
_DEADLINE_S = 60.0
STRATEGY = '''
from tradebot.pipeline.strategy.base import Bar, Enter, Exit, Params, Position, PositionSide


class Busy:
    """In at every third bar, long and short in turn; what neither stop nor target ended goes at the fourth bar."""

    class Params(Params):
        """None."""

    def __init__(self, params):
        self.bars = 0
        self.bars_in = 0

    def on_bar(self, bar: Bar, position: Position | None):
        self.bars += 1
        if position is not None:
            self.bars_in += 1
            return (Exit("time"),) if self.bars_in >= 4 else ()
        self.bars_in = 0
        if self.bars % 3:
            return ()
        return (Enter(PositionSide.LONG if self.bars % 2 else PositionSide.SHORT),)
'''
CONFIG = """
[bot]
name = "soak"
mode = "live"
symbols = {coins}
[feed]
kind = "hyperliquid"
weight_per_minute = 1000000
history_bars = 30
[venue]
kind = "hyperliquid"
network = "devnet"
url = "{url}"
key_file = "devnet.key"
[[strategy]]
kind = "busy.py:Busy"
name = "busy"
timeframe = "1m"
stop = {{ kind = "atr", n = 5, mult = 1.5 }}
target = {{ kind = "r", r = 1.0 }}
[risk]
size = {{ kind = "notional", notional = "1000" }}
max_order_notional = "2000"
max_position_notional = "2000"
max_exposure_notional = "4000"
live_cap_notional = "2000"
"""


def command(*words: str | Path) -> list[str]:
    """Return the command line of ``tradebot`` with ``words``."""
    return [sys.executable, "-m", "tradebot", *map(str, words)]


def clean_environ() -> dict[str, str]:
    """Return the environment without anything that would configure a bot."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TRADEBOT", "NOTIFY"))}


def now_ms() -> int:
    """Return the time of the machine, which is that of the devnet."""
    return time.time_ns() // 1_000_000


class Exchange:
    """``tradebot devnet`` as a process."""

    def __init__(self, folder: Path, seed: int, speed: int = SPEED) -> None:
        words = ["--home", folder / "net", "--json", "devnet", "--port", "0", "--key", folder / "devnet.key"]
        words += ["--speed", str(speed), "--seed", str(seed), "--history", "60"]
        self._process = subprocess.Popen(
            command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environ()
        )
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.url, self.user = said["url"], said["account"]
        # So many boots in so short a time would spend all weight of a minute; ``rate_limit`` refuses often enough.
        self.admin("limits", counted=False)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer to a request: GET without a body, else POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_DEADLINE_S) as answer:
            return json.loads(answer.read())

    def admin(self, name: str, /, **body: Any) -> Any:
        """Do an admin request."""
        return self.ask(f"/admin/{name}", body)

    def truth(self) -> dict[str, Any]:
        """Return the account as it is."""
        (account,) = self.ask("/admin/accounts")
        assert isinstance(account, dict)
        return account

    def wait_fills(self, count: int) -> None:
        """Return when the account has so many fills."""
        wait_until(lambda: len(self.truth()["fills"]) >= count, _DEADLINE_S, pause_s=0.05)

    def unprotected(self) -> list[dict[str, Any]]:
        """Return when positions stood without a full stop."""
        rows = self.ask("/admin/unprotected")
        assert isinstance(rows, list)
        return rows

    def stop(self) -> None:
        """End the process."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=_DEADLINE_S)


class Bot:
    """``tradebot start --live`` as a process that may be killed and started again, with what it logged."""

    def __init__(self, folder: Path, url: str) -> None:
        self.home = folder / "home"
        self.log: list[dict[str, Any]] = []
        self.ready_ms: list[int] = []
        self.down: list[tuple[int, int | None]] = []
        # From a death to the moment in which the next life knows what it held, or is ready without having held any.
        self.unaware: list[tuple[int, int | None]] = []
        (folder / "busy.py").write_text(STRATEGY)
        self._config = folder / "bot.toml"
        self._config.write_text(CONFIG.format(url=url, coins=json.dumps(list(COINS))))
        self._errors = ""
        self._process: subprocess.Popen[str] | None = None
        self._is_ready = threading.Event()
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    def start(self, *switches: str) -> None:
        """Start the daemon and return at once."""
        self._is_ready.clear()
        words = ["--home", self.home, "--config", self._config, "start", "--foreground", "--live", *switches]
        self._process = subprocess.Popen(
            command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environ()
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                said = {"event": line.strip()}
            self.log.append(said | {"at": now_ms(), "pid": process.pid})
            if said.get("event") in ("daemon.recovered", "daemon.ready"):
                _end(self.unaware, now_ms())
            if said.get("event") == "daemon.ready":
                at = now_ms()
                self.ready_ms.append(at)
                _end(self.down, at)
                self._is_ready.set()
        self._errors = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        self._is_ready.set()

    def wait_ready(self, timeout_s: float = _DEADLINE_S) -> bool:
        """Return whether the daemon is ready within ``timeout_s``."""
        return self._is_ready.wait(timeout_s) and self.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        assert self._process is not None
        for spans in (self.down, self.unaware):
            if number == signal.SIGKILL or not spans or spans[-1][1] is not None:
                spans.append((now_ms(), None))
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end of the process and return its exit code."""
        assert self._process is not None
        assert self._reader is not None
        code = self._process.wait(_DEADLINE_S)
        self._reader.join(_DEADLINE_S)
        for spans in (self.down, self.unaware):
            if not spans or spans[-1][1] is not None:
                spans.append((now_ms(), None))
        return code

    @property
    def errors(self) -> str:
        """What the last process that ended wrote to stderr."""
        return self._errors

    def ask(self, *words: str) -> Any:
        """Return the JSON of a command, lines as a list; ``None`` when it failed."""
        done = subprocess.run(
            command("--home", self.home, *words, "--json"),
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            env=clean_environ(),
            check=False,
        )
        if done.returncode:
            return None
        if words[0] in ("trades", "signals", "orders", "why", "logs"):
            return [json.loads(line) for line in done.stdout.splitlines()]
        return json.loads(done.stdout)


def _end(spans: list[tuple[int, int | None]], at: int) -> None:
    # A life that was killed before it came so far left its span open as well.
    spans[:] = [(since, at if until is None else until) for since, until in spans]


def names(rows: Sequence[dict[str, Any]], key: str) -> list[Any]:
    """Return one field of all rows."""
    return [row[key] for row in rows]
