"""Read-outs beside the events: ranges, displacement, periods, sessions, bias."""

from enum import IntFlag

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.patterns.series import MINUTE_MS, scanned, walk, walks
from tradebot.pipeline.patterns.calendar import MS_PER_DAY, MS_PER_HOUR, sessions_at
from tradebot.pipeline.patterns.events import PatternKind
from tradebot.pipeline.patterns.params import BadParameter, PatternParams, params_of, parse_params
from tradebot.pipeline.patterns.scanner import Scanner


class Session(IntFlag):
    """The sessions that are open, as the bits of ``sessions_at``."""

    ASIA = 1
    LONDON = 2
    NEW_YORK = 4


@given(walks())
def test_the_dealing_range_is_that_of_the_latest_swings(bars):
    scanner = Scanner(PatternParams(L=2))
    levels = {}
    for t, bar in enumerate(bars):
        for event in scanner.take(t * MINUTE_MS, *bar):
            if event.kind in (PatternKind.SWING_HIGH, PatternKind.SWING_LOW):
                levels[event.side] = event.level
        found = scanner.dealing_range
        high, low = levels.get(1), levels.get(-1)
        if high is None or low is None or high <= low:
            assert found is None
        else:
            assert (found.high, found.low, found.position) == (high, low, (bar[3] - low) / (high - low))


@given(walks(), st.integers(1, 20))
def test_displacement_is_the_body_in_ranges(bars, n):
    scanner = Scanner(PatternParams(atr_n=n))
    for t, (o, h, lo, c, v) in enumerate(bars):
        scanner.take(t * MINUTE_MS, o, h, lo, c, v)
        assert (scanner.atr is None) == (t < n)
        if not scanner.atr:
            assert scanner.displacement is None
        else:
            assert scanner.displacement == abs(c - o) / scanner.atr <= n * 1.000001


def test_a_market_that_stands_still_has_no_displacement():
    scanner = Scanner()
    scanned([(1.0, 1.0, 1.0, 1.0, 0.0)] * 50, scanner)
    assert scanner.atr == 0.0
    assert scanner.displacement is None


@given(walks(), st.lists(st.integers(1, 3 * MS_PER_DAY), min_size=120, max_size=120))
def test_the_previous_day_and_week_are_the_latest_that_have_a_bar(bars, steps):
    scanner = Scanner()
    ts, seen = 0, []
    for (o, h, lo, c, v), step in zip(bars, steps, strict=False):
        ts += step
        scanner.take(ts, o, h, lo, c, v)
        seen.append((ts, h, lo))
        assert scanner.previous_day == _extremes(seen, lambda at: at // MS_PER_DAY)
        # The epoch was a Thursday.
        assert scanner.previous_week == _extremes(seen, lambda at: (at + 3 * MS_PER_DAY) // (7 * MS_PER_DAY))


def _extremes(seen, period):
    earlier = [period(ts) for ts, _, _ in seen if period(ts) < period(seen[-1][0])]
    if not earlier:
        return None
    bars = [(h, lo) for ts, h, lo in seen if period(ts) == max(earlier)]
    return max(h for h, _ in bars), min(lo for _, lo in bars)


@pytest.mark.parametrize(
    ("hour", "sessions"),
    [
        (0, Session.ASIA),
        (7, Session.ASIA | Session.LONDON),
        (8, Session.LONDON),
        (13, Session.LONDON | Session.NEW_YORK),
        (16, Session.NEW_YORK),
        (22, Session(0)),
    ],
)
def test_sessions_begin_inclusive_and_end_exclusive(hour, sessions):
    for day in (0, 20_000):
        start = day * MS_PER_DAY + hour * MS_PER_HOUR
        assert Session(sessions_at(start)) == sessions
        if hour:
            assert Session(sessions_at(start - 1)) != sessions


def test_the_trend_is_that_of_the_last_break():
    scanner = Scanner(PatternParams(L=2))
    trend = 0
    for t, bar in enumerate(walk(4, 800)):
        assert scanner.bars == t
        for event in scanner.take(t * MINUTE_MS, *bar):
            if event.kind in (PatternKind.BOS, PatternKind.CHOCH):
                assert event.kind == (PatternKind.CHOCH if trend == -event.side else PatternKind.BOS)
                trend = event.side
        assert scanner.trend == trend


def test_a_state_of_other_parameters_is_refused():
    with pytest.raises(ValueError, match="the saved state is that of"):
        Scanner(PatternParams(L=3)).load(Scanner().save())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("L=0", "from 1"),
        ("L=true", "not a number"),
        ("atr_n=1.5", "whole"),
        ("pool_atr=inf", "from 0"),
        ("x=1", "no pattern"),
    ],
)
def test_bad_parameters_say_what_is_wrong(text, why):
    with pytest.raises(BadParameter, match=why):
        parse_params([text])


def test_later_parameters_win():
    assert parse_params(["L=3", "pool_atr=0", "L=7"]) == params_of({"L": 7, "pool_atr": 0})
