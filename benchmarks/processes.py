"""Real daemons as processes, on homes that the caller throws away."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_DEADLINE_S = 60
_POLL_S = 0.002


class Daemon(NamedTuple):
    """A daemon that runs: ready ``whole_s`` after its process was begun, ``boot_s`` after it had its configuration."""

    process: "subprocess.Popen[bytes]"
    whole_s: float
    boot_s: float


def environ(*settings: str) -> dict[str, str]:
    """Return this environment without what would configure a bot, and with ``settings``."""
    # Where compiled files may not be kept, every process would compile all of its imports.
    left_out = ("TRADEBOT", "NOTIFY", "PYTHONDONTWRITEBYTECODE")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return ours | dict(setting.split("=", 1) for setting in settings)


def tradebot(*words: str | Path) -> str:
    """Run a command to its end and return what it printed."""
    line = [sys.executable, "-m", "tradebot", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=_DEADLINE_S, env=environ(), check=False)
    if done.returncode:
        raise RuntimeError(f"{words}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def daemon(home: Path, config: Path | None = None, *settings: str) -> Iterator[Daemon]:
    """Give a daemon in the foreground that is ready; it is stopped at the end."""
    words = ["--config", str(config)] if config is not None else ["--profile", "demo"]
    line = [sys.executable, "-m", "tradebot", "--home", str(home), *words, "start", "--foreground"]
    log = home / "logs" / "tradebot.jsonl"
    before = len(_ready_lines(log))
    begin = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ(*settings))
    try:
        while len(ready := _ready_lines(log)) == before:
            if process.poll() is not None or time.perf_counter() - begin > _DEADLINE_S:
                raise RuntimeError(f"the daemon was not ready within {_DEADLINE_S} s, or ended: {' '.join(line)}")
            time.sleep(_POLL_S)
        whole_s = time.perf_counter() - begin
        yield Daemon(process, whole_s, (ready[-1] - _lines(log, "config.loaded")[-1]) / 1e3)
    finally:
        process.terminate()
        process.wait(timeout=_DEADLINE_S)


def _ready_lines(log: Path) -> list[int]:
    return _lines(log, "daemon.ready")


def _lines(log: Path, event: str) -> list[int]:
    # The last line may be half written; it has its newline when it is whole.
    text = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return [json.loads(line)["ts"] for line in text.splitlines() if f'"{event}"' in line]


def memory_mb(pid: int, key: str = "VmRSS") -> float:
    """Return the resident memory of a process; ``VmHWM`` is the most that it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no {key}")
