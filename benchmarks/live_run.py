"""The engine of a live daemon in this process, on an exchange that only stamps what it gets."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine_run import load
from benchmarks.wire_server import CASH
from tradebot.devnet.devnet import devnet_key, write_key
from tradebot.devnet.recover import address_of
from tradebot.live.broker import Broker
from tradebot.live.patience import Patience
from tradebot.model.command import AlertName
from tradebot.model.money import Cash
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos
from tradebot.pipeline.outbox import Outbox
from tradebot.runtime.assembly import Live
from tradebot.runtime.boot import boot
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.engine import Engine
from tradebot.runtime.supervisor import FailurePolicy, Supervisor, TaskSpec
from tradebot.store.journal import SqliteJournal
from tradebot.store.schema import JOURNAL_NAME

SEED = 1
_GRACE_S = 5.0
STRATEGIES = '''
from decimal import Decimal

from tradebot.pipeline.strategy.base import Enter, OrderType, Params, PositionSide


class Every:
    """Wants in at every fiftieth bar."""

    class Params(Params):
        """None."""

    def __init__(self, params):
        self.bars = 0

    def on_bar(self, bar, position):
        self.bars += 1
        if self.bars % 50:
            return ()
        return (Enter(PositionSide.LONG, stop=bar.close * Decimal("0.98"), target=bar.close * Decimal("1.02")),)


class Patient:
    """Waits far below the market from its first bar on."""

    class Params(Params):
        """None."""

    def __init__(self, params):
        self.has_asked = False

    def on_bar(self, bar, position):
        if self.has_asked:
            return ()
        self.has_asked = True
        price = bar.close * Decimal("0.9")
        entry = {"entry_type": OrderType.LIMIT, "entry_price": price}
        return (Enter(PositionSide.LONG, stop=price * Decimal("0.9"), target=price * Decimal("1.2"), **entry),)
'''


class Wire:
    """The exchange as a process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stamps(self) -> list[tuple[int, str, int]]:
        """Return, and forget, the actions that came: nanoseconds of the first byte, kind, legs."""
        with urllib.request.urlopen(f"{self.url}/stamps", timeout=10) as answer:
            return [(at, kind, legs) for at, kind, legs in json.loads(answer.read())]


@contextmanager
def wire(coins: Sequence[str]) -> Iterator[Wire]:
    """Give an exchange that trades ``coins``."""
    user = address_of(devnet_key(SEED).public_key)
    line = [sys.executable, "-m", "benchmarks.wire_server", user, ",".join(coins)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Wire(f"http://127.0.0.1:{process.stdout.readline().strip()}")
    finally:
        process.kill()
        process.communicate()


def write_live_config(folder: Path, url: str, kind: str, coins: Sequence[str]) -> Path:
    """Write the configuration of one of ``STRATEGIES`` on ``coins``."""
    (folder / "own.py").write_text(STRATEGIES)
    write_key(folder / "key", devnet_key(SEED))
    config = folder / f"{kind}.toml"
    config.write_text(f"""
[bot]
mode = "live"
symbols = {json.dumps(list(coins))}
[feed]
kind = "hyperliquid"
weight_per_minute = 1000000
history_bars = 0
[venue]
kind = "hyperliquid"
network = "devnet"
url = "{url}"
key_file = "key"
[[strategy]]
kind = "own.py:{kind}"
name = "own"
timeframe = "1m"
stop = {{ kind = "atr", n = 5, mult = 1.5 }}
[risk]
size = {{ kind = "notional", notional = "1000" }}
max_order_notional = "2000"
max_position_notional = "2000"
max_exposure_notional = "1000000"
live_cap_notional = "2000"
""")
    return config


@asynccontextmanager
async def live_engine(url: str, kind: str, coins: Sequence[str]) -> AsyncIterator[Engine]:
    """Give an engine whose orders leave for ``url``; no socket tells of the account, and no feed runs."""
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        home, clock = Path(name), SystemClock()
        loaded = load(write_live_config(home, url, kind, coins), home)
        journal = await SqliteJournal.open(home / JOURNAL_NAME, clock)
        live = await Live.connect(loaded, home, journal, clock, Patience(clock, _told, lambda: None), _told)
        loaded = live.overrule(loaded)
        engine = Engine(home, loaded, await boot(home, loaded, journal, lambda: None), journal, clock)
        supervisor = Supervisor()
        for spec in engine.tasks():
            await supervisor.start(spec)
        venue, outbox = live.execution, engine.booted.wired.venue
        assert venue is not None
        assert isinstance(outbox, Outbox)
        broker = Broker(venue, engine, engine.durable)
        outbox.send = broker.send
        await supervisor.start(TaskSpec(name="broker", run=broker.run, policy=FailurePolicy.HALT, close=broker.close))
        await engine.deliver([Deposit(ts_event=Nanos(clock.now()), id="bench", amount=Cash(CASH))])
        try:
            yield engine
        finally:
            await supervisor.stop(grace_s=_GRACE_S, hard_s=_GRACE_S)
            await live.close()
            await journal.close()


def _told(name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
    del about
    raise RuntimeError(f"{name} {symbol}: {what}; {mend}")
