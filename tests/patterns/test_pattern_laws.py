"""The patterns say what their definitions say, and never change it."""

import json

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
