"""Recorded time spread over real time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.feeds.pacing import Pace
from tradebot.model.time import NANOS_PER_S, Nanos


def at(seconds: float) -> Nanos:
    return Nanos(int(seconds * NANOS_PER_S))


def test_the_first_message_is_due_at_once_and_others_by_speed() -> None:
    pace = Pace(60)
    assert pace.wait_s(at(1_000), 5.0) == 0
    assert pace.wait_s(at(1_060), 5.0) == 1.0
    assert pace.wait_s(at(1_120), 5.25) == 1.75


def test_as_fast_as_possible_never_waits() -> None:
    pace = Pace(None)
    assert [pace.wait_s(at(n), 0.0) for n in range(3)] == [0, 0, 0]


@given(st.lists(st.floats(0, 0.9), min_size=1, max_size=200))
def test_late_wake_ups_do_not_add_up(delays: list[float]) -> None:
    pace, now = Pace(1), 0.0
    for n, delay in enumerate([0.0, *delays]):
        now += pace.wait_s(at(n), now)
        assert now == pytest.approx(n, abs=1e-6)
        now += delay


def test_a_short_delay_is_caught_up_and_a_long_halt_is_not() -> None:
    pace = Pace(1)
    pace.wait_s(at(0), 0.0)
    assert pace.wait_s(at(1), 3.0) == 0
    assert pace.wait_s(at(4), 3.0) == 1.0
    assert pace.wait_s(at(5), 1_000.0) == 0
    assert pace.wait_s(at(6), 1_000.0) == 1.0


def test_after_a_reset_the_next_message_is_due_at_once() -> None:
    pace = Pace(1)
    pace.wait_s(at(0), 0.0)
    pace.reset()
    assert pace.wait_s(at(50), 1.0) == 0
    assert pace.wait_s(at(51), 1.0) == 1.0


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_speed_that_is_not_above_zero_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        Pace(speed)
