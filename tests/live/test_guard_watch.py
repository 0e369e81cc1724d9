"""The watch of the guard, in virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import VirtualClock
from tradebot.live.guard import PERIOD_S, GuardWatch, Pulse

PERIOD_NS = int(PERIOD_S * 1e9)


class World:
    """A daemon of which each look shows what ``pulses`` says, and a venue that is flat after ``tries`` tries."""

    def __init__(self, tries: int = 1) -> None:
        self.clock, self.pulse, self.tries = VirtualClock(0), Pulse.BEATS, tries
        self.acted: list[float] = []
        self.told: list[str] = []
        self.guard = GuardWatch(lambda: self.pulse, self.act, self.told.append, self.clock, 15.0)

    def act(self) -> bool:
        self.acted.append(self.clock.monotonic())
        return len(self.acted) % self.tries == 0

    def pass_s(self, seconds: float, pulse: Pulse) -> None:
        self.pulse = pulse
        for _ in range(int(seconds / PERIOD_S)):
            self.clock.advance(PERIOD_NS)
            self.guard.look()


@pytest.mark.parametrize("pulse", [Pulse.SILENT, Pulse.GONE])
def test_fifteen_seconds_without_a_beat_end_all_once(pulse: Pulse) -> None:
    world = World()
    world.pass_s(100, Pulse.BEATS)
    world.pass_s(14.5, pulse)
    assert world.acted == []
    world.pass_s(300, pulse)
    assert world.acted == [115.0]
    assert [text for text in world.told if "ending" in text] == ["no beat for 15.0 s: ending all that the account has"]


def test_a_daemon_that_an_operator_stopped_is_left_alone() -> None:
    world = World()
    world.pass_s(100, Pulse.AT_REST)
    assert world.acted == []
    # It was started again, and died.
    world.pass_s(16, Pulse.GONE)
    assert len(world.acted) == 1


def test_it_is_tried_until_the_venue_says_flat() -> None:
    world = World(tries=3)
    world.pass_s(30, Pulse.GONE)
    assert world.acted == [15.0, 15.5, 16.0]


def test_a_daemon_that_beats_again_is_guarded_again() -> None:
    world = World()
    world.pass_s(20, Pulse.SILENT)
    world.pass_s(1, Pulse.BEATS)
    world.pass_s(20, Pulse.GONE)
    assert len(world.acted) == 2


@given(st.lists(st.tuples(st.sampled_from(list(Pulse)), st.integers(1, 40)), max_size=12))
def test_it_never_acts_within_15_s_of_a_beat_and_always_after(stretches: list[tuple[Pulse, int]]) -> None:
    world = World()
    well_at, due = 0.0, 0
    for pulse, seconds in stretches:
        before = world.clock.monotonic()
        world.pass_s(seconds, pulse)
        if pulse in (Pulse.BEATS, Pulse.AT_REST):
            well_at = world.clock.monotonic()
            continue
        crossing = well_at + 15.0
        due += before < crossing <= world.clock.monotonic()
    assert len(world.acted) == due


def test_a_line_that_stands_is_counted_from_its_last_beat_not_from_when_it_was_seen() -> None:
    world, ages = World(), [0.0]
    world.guard = GuardWatch(lambda: world.pulse, world.act, world.told.append, world.clock, 15.0, lambda: ages[0])
    world.pass_s(10, Pulse.BEATS)
    # It answers, and its line stands: each look shows an older beat.
    for _ in range(29):
        ages[0] += PERIOD_S
        world.pass_s(PERIOD_S, Pulse.BEATS)
    assert world.acted == []
    world.pass_s(PERIOD_S, Pulse.SILENT)
    assert world.acted == [25.0]


def test_what_a_guard_before_it_began_is_gone_on_with_at_once_unless_the_daemon_beats() -> None:
    for pulse, acted in ((Pulse.GONE, [0.5]), (Pulse.SILENT, [0.5]), (Pulse.BEATS, []), (Pulse.AT_REST, [])):
        world = World()
        world.guard = GuardWatch(
            lambda world=world: world.pulse, world.act, world.told.append, world.clock, 15.0, is_begun=True
        )
        world.pass_s(10, pulse)
        assert world.acted == acted
