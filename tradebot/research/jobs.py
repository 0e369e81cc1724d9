"""Many jobs over the processes of one machine: what one of them does to its process, the others do not feel."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from tradebot.model.errors import ConfigError, InvariantError

Task = TypeVar("Task")
Result = TypeVar("Result")

# So long a worker waits for the next job: those of a run that was killed are gone soon.
_IDLE_S = 10


class Done(NamedTuple, Generic[Result]):
    """A job that came to an end: its number and result; ``None`` when its process died of it."""

    number: int
    result: Result | None


def run_jobs(work: Callable[[Task], Result], tasks: Mapping[int, Task], workers: int) -> Iterator[Done[Result]]:
    """Give what ``work`` makes of each task, by its number, as they are done; in order with one worker.

    ``work`` and all tasks can be pickled; what ``work`` raises ends all. One worker is this process. Raises
    ``ConfigError`` where several are asked for without the extra ``research``, and ``InvariantError`` where their
    processes cannot begin.
    """
    if workers == 1:
        yield from (Done(number, work(task)) for number, task in tasks.items())
        return
    left = dict(tasks)
    with tempfile.TemporaryDirectory(prefix="tradebot-jobs-") as name:
        folder = Path(name)
        while left:
            before = len(left)
            for done in _until_one_dies(work, left, workers, folder):
                del left[done.number]
                yield done
            for number in _under_way(folder):
                alone = _until_one_dies(work, {number: left.pop(number)}, workers, folder)
                yield next(alone, Done(number, None))
            if len(left) == before:
                mend = "memory may be short: say --workers 1"
                raise InvariantError("the worker processes die before they begin", where="--workers", mend=mend)


def _until_one_dies(
    work: Callable[[Task], Result], tasks: Mapping[int, Task], workers: int, folder: Path
) -> Iterator[Done[Result]]:
    """Run ``tasks``; when a process dies, what was under way keeps its mark in ``folder``, and no more is given."""
    try:
        from joblib import Parallel, delayed  # type: ignore[import-untyped]
        from joblib.externals.loky.process_executor import BrokenProcessPool  # type: ignore[import-untyped]
    except ImportError:
        mend = "install tradebot[research], or say --workers 1"
        raise ConfigError("several workers need the package joblib", where="--workers", mend=mend) from None
    for number in _under_way(folder):
        _mark(folder, number).unlink()
    calls = [delayed(_marked)(work, number, task, folder) for number, task in tasks.items()]
    try:
        yield from Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered", idle_worker_timeout=_IDLE_S)(
            calls
        )
    except BrokenProcessPool:
        return


def _marked(work: Callable[[Task], Result], number: int, task: Task, folder: Path) -> Done[Result]:
    mark = _mark(folder, number)
    mark.touch()
    result = work(task)
    mark.unlink()
    return Done(number, result)


def _mark(folder: Path, number: int) -> Path:
    return folder / str(number)


def _under_way(folder: Path) -> list[int]:
    return sorted(int(name) for name in os.listdir(folder))
