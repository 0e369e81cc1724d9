"""Kill -9 to ready, of a live daemon as a process on a devnet as another."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import environ

_TRADES_S = 1.5
_DEADLINE_S = 60.0
_CONFIG = """
[bot]
mode = "live"
symbols = ["BTC", "ETH"]
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
kind = "sma_cross"
timeframe = "1m"
fast = 2
slow = 3
stop = {{ kind = "atr", n = 5, mult = 2 }}
target = {{ kind = "r", r = 1 }}
[risk]
size = {{ kind = "notional", notional = "1000" }}
max_order_notional = "2000"
max_position_notional = "2000"
max_exposure_notional = "4000"
live_cap_notional = "2000"
"""


def recoveries(kills: int) -> list[float]:
    """Return the seconds from each of ``kills`` to the daemon that is ready again."""
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        words = ["--home", folder / "net", "--json", "devnet", "--port", "0", "--speed", "60", "--history", "60"]
        net = _process(*words, "--key", folder / "devnet.key")
        try:
            assert net.stdout is not None
            url = json.loads(net.stdout.readline())["url"]
            # A boot costs hundreds of the 1200 weight of a minute; so many boots within one must not wait for more.
            limits = urllib.request.Request(f"{url}/admin/limits", b'{"counted": false}')
            urllib.request.urlopen(limits, timeout=10).close()
            config = folder / "bot.toml"
            config.write_text(_CONFIG.format(url=url))
            return _kill_and_wait(folder / "home", config, kills)
        finally:
            net.send_signal(signal.SIGINT)
            net.communicate()


def _kill_and_wait(home: Path, config: Path, kills: int) -> list[float]:
    times = []
    daemon = _start(home, config)
    for _ in range(kills):
        time.sleep(_TRADES_S)
        begin = time.perf_counter()
        daemon.kill()
        daemon.communicate()
        daemon = _start(home, config)
        times.append(time.perf_counter() - begin)
    daemon.terminate()
    daemon.communicate()
    return times


def _start(home: Path, config: Path) -> "subprocess.Popen[str]":
    daemon = _process("--home", home, "--config", config, "start", "--foreground", "--live")
    assert daemon.stdout is not None
    until = time.monotonic() + _DEADLINE_S
    for line in daemon.stdout:
        if '"daemon.ready"' in line:
            return daemon
        if time.monotonic() > until:
            break
    daemon.kill()
    _, errors = daemon.communicate()
    raise RuntimeError(f"the daemon was not ready within {_DEADLINE_S:.0f} s: {errors[-2000:]}")


def _process(*words: str | Path) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "tradebot", *map(str, words)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ())
