"""A live daemon with positions and orders at a devnet that is told to end it all, whatever hampers it."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kill_net import COINS
from benchmarks.processes import environ

_DEADLINE_S = 60.0
_POLL_S = 0.02
_FOREIGN = 20
_DISK_MB = 48
# It is in each coin, with stop and target, or waits to be; what it does then with a bar, a file of its folder says.
_STRATEGY = """
import itertools
import time
from collections import deque
from decimal import Decimal
from pathlib import Path

from tradebot.pipeline.strategy.base import Enter, OrderType, Params, PositionSide

FOLDER = Path(__file__).parent
SLOW_S = 0.05


def spin():
    while True:
        pass


HANGS = {
    "spin": spin,
    "sleep": lambda: time.sleep(3600),
    "deaf": lambda: deque(itertools.repeat(None), maxlen=0),
}


class Own:
    class Params(Params):
        pass

    def __init__(self, params):
        self.is_waiting = False

    def on_bar(self, bar, position):
        self.be_slow()
        if self.is_waiting or position is not None:
            return ()
        price = bar.close
        entry = {"stop": price * Decimal("0.9"), "target": price * Decimal("1.2")}
        if bar.symbol == "SOL":
            entry = {"stop": price * Decimal("0.7"), "target": price, "entry_type": OrderType.LIMIT}
            entry["entry_price"] = price * Decimal("0.8")
        return (Enter(PositionSide.LONG, **entry),)

    def be_slow(self):
        try:
            how = (FOLDER / "how").read_text()
        except OSError:
            return
        (FOLDER / "begun").touch()
        if how in HANGS:
            HANGS[how]()
        until = time.monotonic() + SLOW_S
        while time.monotonic() < until:
            pass
"""
_CONFIG = """
[bot]
mode = "live"
symbols = {symbols}
[feed]
kind = "hyperliquid"
weight_per_minute = 1000000
history_bars = 30
[venue]
kind = "hyperliquid"
network = "devnet"
url = "{url}"
key_file = "../devnet.key"
[store]
min_free_mb = 1
reserve_mb = 4
[[strategy]]
kind = "own.py:Own"
name = "own"
timeframe = "1m"
stop = {{ kind = "atr", n = 5, mult = 1.5 }}
[risk]
size = {{ kind = "notional", notional = "1000" }}
max_order_notional = "2000"
max_position_notional = "2000"
max_exposure_notional = "8000"
live_cap_notional = "2000"
flatten = "all"
"""


class Net:
    """The exchange as a process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **fields: object) -> Any:
        """Ask for something, or do it past the keys."""
        body = json.dumps(fields).encode() if fields else None
        request = urllib.request.Request(f"{self.url}/{path}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    @property
    def left(self) -> tuple[int, int]:
        """How many positions and orders the account has."""
        (account,) = self.ask("admin/accounts")
        return len(account["positions"]), len(account["open"])

    def crowd(self) -> None:
        """Let another hand place orders, far from the market."""
        price = int(float(self.ask("info", type="allMids")["BTC"]) * 0.8)
        for number in range(_FOREIGN):
            self.ask("admin/trade", coin="BTC", size="0.001", price=str(price - number))

    def settle(self) -> None:
        """Leave nothing of the account to the next run."""
        (account,) = self.ask("admin/accounts")
        self.ask("admin/cancel", coin="")
        for coin, qty in account["positions"].items():
            self.ask("admin/trade", coin=coin, size=str(-float(qty)))


@dataclass(frozen=True)
class Ended:
    """What one end of an account took, in milliseconds from the start of the command's process."""

    last_cancel_ms: float
    flat_ms: float
    answer_ms: float


@contextmanager
def net(folder: Path, speed: float) -> Iterator[Net]:
    """Give an exchange with an account, whose key is in ``folder``."""
    line = [sys.executable, "-m", "benchmarks.kill_net", str(speed), str(folder / "devnet.key")]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Net(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


class Bot:
    """A daemon that holds two positions and lets an entry rest, beside orders of another hand."""

    def __init__(self, net: Net, folder: Path, home: Path | None = None) -> None:
        folder.mkdir()
        self.net, self.folder, self.home = net, folder, home or folder / "home"
        (folder / "own.py").write_text(_STRATEGY)
        self._config = folder / "bot.toml"
        self._config.write_text(_CONFIG.format(url=net.url, symbols=json.dumps(COINS)))
        self.words = ["--home", str(self.home), "--config", str(self._config)]
        self.process = self.tradebot("start", "--foreground", "--live", log="daemon.log")
        until(lambda: net.left >= (2, 5), "the bot has its positions and orders", self.process)
        net.crowd()

    def tradebot(self, *words: str, log: str) -> "subprocess.Popen[bytes]":
        """Begin a command; what it says goes to ``log`` in the folder."""
        with (self.folder / log).open("wb") as said:
            line = [sys.executable, "-m", "tradebot", *self.words, *words]
            return subprocess.Popen(line, stdout=said, stderr=said, env=environ())

    def hamper(self, how: str) -> None:
        """Let the strategy do what ``how`` names with its next bar, and wait until it has begun."""
        (self.folder / "how").write_text(how)
        until((self.folder / "begun").exists, f"the strategy has begun to {how}", self.process)

    def end_all(self, *words: str) -> Ended:
        """Run ``halt --flatten`` and return what it took. Raises ``RuntimeError`` when it did not end it."""
        self.net.ask("stamps")
        begin = time.monotonic_ns()
        command = self.tradebot("halt", "--flatten", *words, log="halt.log")
        code = command.wait(_DEADLINE_S)
        answer_ms = (time.monotonic_ns() - begin) / 1e6
        stamps = self.net.ask("stamps")
        said = (self.folder / "halt.log").read_text()
        if code or self.net.left != (0, 0):
            raise RuntimeError(f"exit {code}, left {self.net.left}: {said[-2000:]}")
        cancels = [at for at, kind, _ in stamps if kind.startswith("cancel")]
        flat = next(at for at, kind, _ in stamps if kind == "flat")
        return Ended((max(cancels) - begin) / 1e6, (flat - begin) / 1e6, answer_ms)

    def kill(self) -> None:
        """Kill the daemon, if it still runs."""
        self.process.kill()
        self.process.wait()


@contextmanager
def bot(net: Net, folder: Path, home: Path | None = None) -> Iterator[Bot]:
    """Give a bot, which is killed at the end."""
    made = Bot(net, folder, home)
    try:
        yield made
    finally:
        made.kill()
        net.settle()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Give a file system of a few MB; ``None`` where we may mount none."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte of ``disk`` free."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def until(is_so: Callable[[], bool], what: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise RuntimeError(f"it never was so: {what}")
        time.sleep(_POLL_S)
