"""What a benchmark gives: figures. And how it measures: the median of several runs."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

RUNS = 3
NOT_INSTALLED = "not installed"
# Peers want older packages than we do: they have an environment of their own.
PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table. ``value`` is ``None`` where ``note`` says why there is none.

    ``aim`` is what the project wants; ``is_least``: at least that much, else at most.
    """

    what: str
    value: float | None
    unit: str
    aim: float | None = None
    is_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is reached; ``None`` without an aim or a value."""
        if self.aim is None or self.value is None:
            return None
        return self.value >= self.aim if self.is_least else self.value <= self.aim


def median_s(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median wall time of ``work`` in seconds."""
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def installed(package: str) -> str | None:
    """Return the version of ``package``, or ``None``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed_peer(package: str) -> str | None:
    """Return the version of ``package`` in the environment of the peers, or ``None``."""
    folders = [str(folder) for folder in PEERS_PYTHON.parent.parent.glob("lib/python*/site-packages")]
    return next((found.version for found in distributions(name=package, path=folders)), None)


def in_fresh_process(module: str, *arguments: str, timeout_s: float = 120, python: str | Path = sys.executable) -> str:
    """Run ``python -m module`` and return what it printed: memory and caches of this process do not count."""
    done = subprocess.run(
        [python, "-m", module, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout
