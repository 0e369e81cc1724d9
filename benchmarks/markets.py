"""Invented one-minute bars and the configurations the benchmarks run on them."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

START_MS = 1_600_000_020_000
_MINUTE_MS = 60_000
IDLE = '''
from tradebot.pipeline.strategy.base import Params


class Idle:
    """Is asked at every bar and never wants anything."""

    class Params(Params):
        """None."""

    def __init__(self, params):
        pass

    def on_bar(self, bar, position):
        return ()
'''
FLIP = '''
from tradebot.pipeline.strategy.base import Enter, Exit, Params, PositionSide


class Flip:
    """In or out at every other bar; the bar between fills the order."""

    class Params(Params):
        """None."""

    def __init__(self, params):
        self.bars = 0

    def on_bar(self, bar, position):
        self.bars += 1
        if self.bars % 2 == 0:
            return ()
        return (Enter(PositionSide.LONG),) if position is None else (Exit(),)
'''
OWN = '''
from collections import deque

from tradebot.pipeline.strategy.base import Enter, Exit, Params, PositionSide


class Own:
    """SMA 10/30 as a user writes it: floats, a queue, and no thought of speed."""

    class Params(Params):
        """None."""

    def __init__(self, params):
        self.closes = deque(maxlen=30)
        self.fast = 0.0
        self.slow = 0.0
        self.was_up = False

    def on_bar(self, bar, position):
        close = float(bar.close)
        closes = self.closes
        if len(closes) < 30:
            closes.append(close)
            self.slow += close
            self.fast = sum(list(closes)[-10:])
            return ()
        self.slow += close - closes[0]
        self.fast += close - closes[-10]
        closes.append(close)
        was_up, self.was_up = self.was_up, self.fast * 3 > self.slow
        if self.was_up is was_up:
            return ()
        if self.was_up:
            return (Enter(PositionSide.LONG),)
        return (Exit(),) if position is not None else ()
'''
SMA = {"kind": "sma_cross", "fast": 10, "slow": 30, "direction": "long"}


def write_walk(path: Path, bars: int, seed: int = 7) -> Path:
    """Write a random walk on which SMA 10/30 crosses about every 26 bars."""
    chance = random.Random(seed)
    price = 50_000.0
    with path.open("w") as file:
        file.write("ts_ms,open,high,low,close,volume\n")
        for number in range(bars):
            close = max(10.0, round(price + chance.gauss(0, 4), 1))
            high = round(max(price, close) + abs(chance.gauss(0, 2)), 1)
            low = max(0.1, round(min(price, close) - abs(chance.gauss(0, 2)), 1))
            ts_ms = START_MS + number * _MINUTE_MS
            file.write(f"{ts_ms},{price:.1f},{high},{low},{close:.1f},{chance.randint(1, 999) / 10}\n")
            price = close
    return path


def write_config(folder: Path, data: Path, strategy: dict[str, object]) -> Path:
    """Write the configuration of one strategy, without costs, on one file."""
    (folder / "idle.py").write_text(IDLE)
    (folder / "flip.py").write_text(FLIP)
    (folder / "own.py").write_text(OWN)
    settings = "\n".join(f"{name} = {json.dumps(value)}" for name, value in strategy.items())
    config = folder / f"{data.stem}-{str(strategy['kind']).split(':')[-1]}.toml"
    config.write_text(f"""
[bot]
symbols = ["WALK"]
[feed]
kind = "replay"
data = ["WALK:1m={data}"]
speed = "max"
at_end = "stop"
[venue]
kind = "simulated"
starting_cash = "1000000"
taker_bps = 0
slippage_bps = 0
funding_rate = 0
[[strategy]]
{settings}
stop = "none"
target = "none"
[risk]
size = {{ kind = "qty", qty = "1" }}
""")
    return config


def write_market(folder: Path, files: Mapping[str, Path], kinds: Sequence[str]) -> Path:
    """Write the configuration of several symbols, by their files of one-minute bars, and strategies as they come."""
    config = folder / "market.toml"
    strategies = "\n".join(f'[[strategy]]\nkind = "{kind}"' for kind in kinds)
    config.write_text(f"""
[bot]
symbols = {json.dumps(list(files))}
[feed]
kind = "replay"
data = {json.dumps([f"{symbol}:1m={path}" for symbol, path in files.items()])}
speed = "max"
at_end = "stop"
[venue]
kind = "simulated"
starting_cash = "1000000"
{strategies}
""")
    return config


@contextmanager
def walk(bars: int) -> Iterator[tuple[Path, Path]]:
    """Give a folder and a walk of ``bars`` in it; both go away."""
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        yield folder, write_walk(folder / f"walk{bars}.csv", bars)
