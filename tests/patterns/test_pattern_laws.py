"""The patterns say what their definitions say, and never change it."""

import json
import sys

from hypothesis import given
from hypothesis import strategies as st

from tests.patterns.naive import Naive
from tests.patterns.series import params, scanned, walk, walks
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.scanner import Scanner, ScannerState
from tradebot.store.codec import decode, encode


@given(walks(), params())
def test_the_kernels_say_what_the_definitions_say(bars, given_params):
    assert scanned(bars, **given_params) == Naive(bars, **given_params).events


def test_long_walks_agree_with_the_definitions_too():
    for seed, grid in ((1, 0.0), (2, 1.0), (3, 0.5)):
        bars = walk(seed, 500, grid)
        assert scanned(bars) == Naive(bars).events


@given(walks(), params())
def test_later_bars_never_change_what_was_said(bars, given_params):
    everything = scanned(bars, **given_params)
    for n in range(len(bars) + 1):
        assert scanned(bars[:n], **given_params) == [event for event in everything if event[3] < n]


@given(walks(), params(), st.data())
def test_a_restored_scanner_goes_on_as_if_nothing_happened(bars, given_params, data):
    everything = scanned(bars, **given_params)
    cut = data.draw(st.integers(0, len(bars)))
    first = Scanner(PatternParams(**given_params))
    before = scanned(bars[:cut], first)
    saved = decode(ScannerState, encode(first.save()))
    assert saved == first.save()
    second = Scanner(PatternParams(**given_params))
    second.load(saved)
    assert before + _go_on(second, bars[cut:], cut) == everything
    assert second.save() == _uninterrupted(bars, given_params).save()


@given(walks(), params())
def test_all_numbers_are_finite(bars, given_params):
    scanner = _uninterrupted(bars, given_params)
    json.dumps([list(map(str, scanned(bars, **given_params)))], allow_nan=False)
    for numbers in scanner.save().arrays.floats:
        json.dumps(numbers, allow_nan=False)


def test_a_bar_costs_no_more_late_than_early():
    bars = walk(12, 5000)
    early, late = _lines(bars[:1000]) / 1000, _lines(bars) / 5000
    assert late < 1.1 * early


def test_memory_is_bounded_by_the_caps():
    # A staircase leaves a gap at every bar and fills none.
    stairs = [(x, x + 0.4, x - 0.4, x + 0.3, 1.0) for x in map(float, range(10, 3010))]
    for max_age in (0, 10, 100):
        for length in (500, 3000):
            scanner = Scanner(PatternParams(zone_max_age=max_age))
            scanned(stairs[:length], scanner)
            assert sum(map(len, scanner.save().arrays.floats)) < 200 + 2 * (max_age + 1)
    quiet = Scanner()
    scanned(walk(13, 1000), quiet)
    sizes = [sum(map(len, quiet.save().arrays.floats))]
    for seed in range(3):
        scanned(walk(seed, 1500), quiet)
        sizes.append(sum(map(len, quiet.save().arrays.floats)))
    assert max(sizes) < 1500


def test_levels_beyond_the_first_room_are_kept():
    # A falling zigzag: no high is ever taken.
    falling = [(1000.0 - t, 1002.0 - t + 3 * (t % 2), 999.0 - t, 1000.5 - t, 1.0) for t in range(400)]
    given_params = {"L": 1, "max_levels": 10**9, "pool_atr": 0.0}
    rise = [(600.0, 1010.0, 599.0, 1009.0, 1.0)]
    found = scanned([*falling, *rise], **given_params)
    assert found == Naive([*falling, *rise], **given_params).events
    assert sum(event[0] == "run" and event[1] == 1 for event in found) > 150


def _lines(bars):
    """Count the lines that the kernels run: a clock that no other process can disturb."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    scanner = Scanner()
    sys.settrace(trace)
    try:
        scanned(bars, scanner)
    finally:
        sys.settrace(before)
    return count


def _uninterrupted(bars, given_params):
    scanner = Scanner(PatternParams(**given_params))
    scanned(bars, scanner)
    return scanner


def _go_on(scanner, bars, start):
    found = []
    for t, bar in enumerate(bars, start):
        for e in scanner.take(t * 60_000, *bar):
            prices = (e.level,) if e.level is not None else (e.top, e.bottom)
            found.append((e.kind.value, e.side, e.index, e.confirmed, prices, e.count))
    return found
