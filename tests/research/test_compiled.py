"""The compiled kernels say what the interpreted ones say, to the last bit, and are quick and frugal."""

import math
import os
import resource
import subprocess
import sys
from array import array

import pytest

from tests.patterns.naive import Naive
from tests.patterns.series import MINUTE_MS, interpreted, read_rows, real_files, timed, walk
from tradebot.model.errors import DataError, UsageError
from tradebot.pipeline.patterns.calendar import sessions_at
from tradebot.pipeline.patterns.indicator import INDICATORS, Indicator
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.scanner import Scanner
from tradebot.research import indicator, read_outs, scan
from tradebot.research.history import History, events_of

numpy = pytest.importorskip("numpy", reason="the extra research is not installed")
pytest.importorskip("numba", reason="the extra research is not installed")

pytestmark = pytest.mark.long

PARAMS = (
    {},
    {"L": 1, "atr_n": 3, "pool_atr": 3.0, "max_levels": 2},
    {"L": 2, "zone_max_age": 5, "min_gap_atr": 0.5},
    {"L": 1, "max_levels": 10**9, "pool_atr": 0.0},
)


def columns(rows):
    return [numpy.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("params", PARAMS)
def test_compiled_and_interpreted_agree_on_random_walks(params):
    for seed, grid, scale in ((1, 0.0, 1.0), (2, 1.0, 1.0), (3, 0.5, 1e-8), (4, 0.0, 1e5)):
        rows = timed(walk(seed, 3000, grid, scale))
        assert scan(*columns(rows), **params).tolist() == interpreted(rows, **params)


def test_compiled_and_interpreted_agree_on_real_bars():
    for path in real_files():
        rows = read_rows(path, 2000)
        assert scan(*columns(rows)).tolist() == interpreted(rows), path.name


def test_a_long_history_gives_the_events_of_a_short_one(monkeypatch):
    rows = timed(walk(7, 900, 0.5))
    ts, *prices = zip(*rows, strict=True)
    history = History(array("q", ts), *(array("d", column) for column in prices))
    params = PatternParams(L=2)
    one_by_one = list(events_of(history, params))
    monkeypatch.setattr("tradebot.research.history._WORTH_STARTING", 1)
    monkeypatch.setattr("tradebot.research.history._WORTH_COMPILING", 1)
    assert list(events_of(history, params)) == one_by_one
    assert len({event.kind for event in one_by_one}) > 4


@pytest.mark.parametrize("name", INDICATORS)
def test_compiled_and_interpreted_indicators_agree(name):
    rows = timed(walk(5, 600, 0.5))
    found = indicator(name, *columns(rows))
    one = Indicator(name)
    for record, row in zip(found.tolist(), rows, strict=True):
        mine = one.take(*row)
        assert record == ((False, *[0.0] * (len(record) - 1)) if mine is None else (True, *mine))


@pytest.mark.parametrize("params", PARAMS)
def test_compiled_and_interpreted_read_outs_agree(params):
    rows = [(ts * 97, *rest) for ts, *rest in timed(walk(15, 900, 0.5))]
    scanner = Scanner(PatternParams(**params))
    for record, row in zip(read_outs(*columns(rows), **params), rows, strict=True):
        scanner.take(*row)
        span = scanner.dealing_range
        assert (record["trend"], record["sessions"]) == (scanner.trend, sessions_at(row[0]))
        for names, has, mine in (
            (("atr",), "has_atr", scanner.atr),
            (("displacement",), "has_displacement", scanner.displacement),
            (("range_high", "range_low", "position"), "has_range", span and (span.high, span.low, span.position)),
            (("day_high", "day_low"), "has_day", scanner.previous_day),
            (("week_high", "week_low"), "has_week", scanner.previous_week),
        ):
            theirs = tuple(float(record[name]) for name in names)
            assert bool(record[has]) == (mine is not None)
            assert theirs == ((0.0,) * len(names) if mine is None else mine if isinstance(mine, tuple) else (mine,))


@pytest.mark.parametrize("length", [10_000, pytest.param(None, marks=pytest.mark.soak)])
def test_a_prefix_of_real_bars_gives_a_prefix_of_the_events(length):
    for path in real_files():
        rows = read_rows(path, length)
        everything = scan(*columns(rows))
        for share in (0.11, 0.63, 0.999):
            n = int(len(rows) * share)
            assert (scan(*columns(rows[:n])) == everything[everything["confirmed"] < n]).all(), (path.name, n)


def test_zones_that_never_age_find_room():
    bars = [(x, x + 0.4, x - 0.4, x + 0.3, 1.0) for x in map(float, range(10, 3010))]
    found = scan(*columns(timed(bars)), zone_max_age=10_000)
    assert (found["kind"] == "fvg").sum() == 2998
    assert found.tolist()[-50:] == interpreted(timed(bars), zone_max_age=10_000)[-50:]
    fall = [*bars, (3010.0, 3011.0, 1.0, 2.0, 1.0)]
    assert (scan(*columns(timed(fall)), zone_max_age=10_000)["kind"] == "fvg_filled").sum() == 2998
    assert len(Naive(fall[:200], zone_max_age=500).events) == len(interpreted(timed(fall[:200])))


def test_no_bars_give_no_events():
    empty = numpy.empty(0)
    assert scan(empty.astype("int64"), *[empty] * 5).size == 0
    assert indicator("rsi", empty.astype("int64"), *[empty] * 5).size == 0


def test_times_may_be_datetime64():
    rows = timed(walk(6, 200))
    ts, *rest = columns(rows)
    assert scan(ts.astype("datetime64[ms]"), *rest).tolist() == scan(ts, *rest).tolist()


@pytest.mark.parametrize(
    ("column", "at", "value"),
    [
        (0, 5, 4 * MINUTE_MS),
        (0, 0, -1),
        (1, 3, math.nan),
        (2, 3, math.inf),
        (2, 3, 1.0),
        (3, 4, 0.0),
        (4, 2, 1e9),
        (5, 1, -1.0),
    ],
)
def test_what_is_no_history_is_refused_with_its_bar(column, at, value):
    given = columns(timed(walk(7, 10)))
    given[column][at] = value
    with pytest.raises(DataError, match=f"^bar {at}:") as caught:
        scan(*given)
    assert isinstance(caught.value, ValueError)


def test_columns_of_different_lengths_are_refused():
    given = columns(timed(walk(7, 10)))
    with pytest.raises(ValueError, match="volume has 9 values, but ts has 10"):
        scan(*given[:5], given[5][:9])


@pytest.mark.parametrize("params", [{"L": 0}, {"L": 2.5}, {"zone_max_age": -1}, {"pool_atr": math.nan}, {"length": 3}])
def test_bad_parameters_are_refused(params):
    with pytest.raises(UsageError):
        scan(*columns(timed(walk(7, 10))), **params)


def test_numbers_of_numpy_are_parameters_too():
    rows = columns(timed(walk(8, 100)))
    assert (
        scan(*rows, L=numpy.int64(3), pool_atr=numpy.float64(1.0)).tolist() == scan(*rows, L=3, pool_atr=1.0).tolist()
    )


def test_more_events_than_were_expected_find_room():
    rows = timed(walk(3, 25_000))
    found = scan(*columns(rows), L=1, max_levels=10**9)
    assert len(found) > 2 * len(rows)
    assert found.tolist() == interpreted(rows, L=1, max_levels=10**9)
    assert found.flags.owndata


def test_memory_does_not_grow_with_the_number_of_scans():
    rows = columns(timed(walk(10, 20_000)))
    for _ in range(5):
        scan(*rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        scan(*rows)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_without_the_extra_the_error_says_what_to_install():
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "from tradebot.research import scan\n"
        "try: scan([0], [1], [1], [1], [1], [1])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.startswith("ConfigError")
    assert "tradebot[research]" in done.stdout
