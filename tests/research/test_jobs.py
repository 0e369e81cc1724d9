"""Jobs over processes: none is lost by what another does."""

import os
import signal

import pytest

from tradebot.model.errors import InvariantError
from tradebot.research.jobs import run_jobs

pytest.importorskip("joblib", reason="the extra research is not installed")


def square(task: int) -> int:
    if task < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task


@pytest.mark.parametrize("workers", [1, 2])
def test_each_job_gives_its_result_by_its_number(workers):
    tasks = {number: number + 1 for number in (7, 3, 5)}
    assert sorted(run_jobs(square, tasks, workers)) == [(3, 16), (5, 36), (7, 64)]


def test_a_job_that_kills_its_process_ends_alone():
    tasks = dict(enumerate([1, 2, -1, 4, 5, -2, 7, 8]))
    results = {done.number: done.result for done in run_jobs(square, tasks, 2)}
    assert results == {0: 1, 1: 4, 2: None, 3: 16, 4: 25, 5: None, 6: 49, 7: 64}


class Deadly:
    """Kills the process that only unpacks it."""

    def __reduce__(self):
        return os._exit, (9,)


def test_workers_that_die_before_they_begin_are_said_and_not_waited_for():
    with pytest.raises(InvariantError, match="die before they begin"):
        list(run_jobs(str, {0: Deadly(), 1: Deadly()}, 2))


def test_no_job_is_no_process():
    assert list(run_jobs(square, {}, 2)) == []
