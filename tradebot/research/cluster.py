"""Many jobs over the machines of a Ray cluster. Needs the extra ``cluster``, here and on each machine of it."""

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tradebot.model.errors import ConfigError, Unavailable, UsageError
from tradebot.research.bundle import Bundle
from tradebot.research.jobs import Done, Result, Task
from tradebot.research.sets import Pool, SetJob, run_set
from tradebot.settings.model import Settings

_WHERE = "--cluster"
_KNOCK_S = 10
# So many jobs for each processor are under way or wait at the cluster: enough to keep it busy, no memory to speak of.
_AHEAD = 3


def cluster_pool(address: str, settings: Settings) -> Pool:
    """Return the pool of the Ray cluster whose head is at ``address``; all that ``settings`` name is sent there."""

    def run(jobs: Mapping[int, SetJob]) -> Iterator[Done[bytes]]:
        if not jobs:
            return
        with tempfile.TemporaryDirectory(prefix="tradebot-bundle-") as name:
            bundle = Bundle(Path(name), settings, next(iter(jobs.values())))
            packed = {number: bundle.packed(job) for number, job in jobs.items()}
            yield from _run_at(address, Path(name), run_set, packed)

    return run


def _run_at(
    address: str, folder: Path, work: Callable[[Task], Result], tasks: Mapping[int, Task]
) -> Iterator[Done[Result]]:
    """Run ``tasks`` at the cluster, with ``folder`` as the working directory of each machine."""
    # Ray would ask, or tell its makers how it is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        mend = "install tradebot[cluster]"
        raise ConfigError("a cluster needs the package ray", where=_WHERE, mend=mend) from None
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        raise UsageError(f"{address!r} is no HOST:PORT", where=_WHERE, mend="name the head of the cluster")
    try:
        # Ray itself would knock for minutes.
        socket.create_connection((host, int(port)), _KNOCK_S).close()
        ray.init(address, runtime_env={"working_dir": str(folder)}, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        mend = "start it: ray start --head --port 6379, and on each other machine ray start --address HOST:6379"
        raise Unavailable(f"no cluster answers: {error}", where=f"{_WHERE} {address}", mend=mend) from error
    try:
        yield from _run(ray, work, tasks)
    finally:
        ray.shutdown()


def _run(ray: Any, work: Callable[[Task], Result], tasks: Mapping[int, Task]) -> Iterator[Done[Result]]:
    remote = ray.remote(max_retries=1)(work)
    most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    under_way: dict[Any, int] = {}
    left = iter(tasks.items())
    while True:
        while len(under_way) < most and (item := next(left, None)) is not None:
            under_way[remote.remote(item[1])] = item[0]
        if not under_way:
            return
        (reference,), _ = ray.wait(list(under_way), num_returns=1)
        number = under_way.pop(reference)
        try:
            yield Done(number, ray.get(reference))
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RuntimeEnvSetupError as error:
            raise Unavailable(f"a machine of the cluster cannot run jobs: {error}", where=_WHERE) from error
        except ray.exceptions.RayError:
            yield Done(number, None)
