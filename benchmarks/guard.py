"""The guard alone: from the death of a live daemon, or its silence, to flat.

A whole daemon with two positions, their stops and targets and orders of another hand is killed, or stopped in its
tracks, beside ``tradebot guard`` with a key of its own. The time begins with the kill, after the last heartbeat.
"""

import os
import signal
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure
from benchmarks.kill_run import Bot, bot, net, until
from tradebot.devnet.devnet import devnet_key, write_key
from tradebot.devnet.recover import address_of

_RUNS = int(os.environ.get("GUARD_RUNS", "2"))
_SPEED, _SEED = 60.0, 77
_WAYS = {"daemon killed": signal.SIGKILL, "daemon alive and silent": signal.SIGSTOP}


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with TemporaryDirectory(prefix="tradebot-bench-") as name, net(Path(name), _SPEED) as exchange:
        folder = Path(name)
        # An agent's key, which is not the bot's.
        key = devnet_key(_SEED)
        write_key(folder / "guard.key", key)
        exchange.ask("admin/approve-agent", address=address_of(key.public_key), name="guard")
        for what, number in _WAYS.items():
            times = []
            for one in range(_RUNS):
                with bot(exchange, folder / f"{number.name}{one}") as made:
                    times.append(_once(made, number, folder / "guard.key"))
            yield Figure(what=f"{what}: flat, p50", value=statistics.median(times), unit="s", aim=20.0)
            yield Figure(what=f"{what}: flat, worst of {len(times)}", value=max(times), unit="s", aim=20.0)


def _once(made: Bot, number: signal.Signals, key_file: Path) -> float:
    guard = made.tradebot("guard", "--key-file", str(key_file), log="guard.log")
    said = made.folder / "guard.log"
    try:
        until(lambda: "the daemon beats" in said.read_text(), "the guard feels the pulse", guard)
        made.net.ask("stamps")
        begin = time.monotonic_ns()
        made.process.send_signal(number)
        until(lambda: made.net.left == (0, 0), "the guard has ended all", guard)
        stamps = made.net.ask("stamps")
        return (next(at for at, kind, _ in stamps if kind == "flat") - begin) / 1e9
    finally:
        guard.terminate()
        guard.wait()
