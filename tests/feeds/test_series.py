"""Times of a series: however they are cut into batches, the same is found."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.time import parse_timeframe
from tradebot.store.series import MAX_TS_MS, Times

M1 = parse_timeframe("1m")
STEP = 60_000
HOLES = st.lists(st.integers(1, 5), max_size=60)


def batches(data: st.DataObject, ts: list[int]) -> list[list[int]]:
    cuts = sorted({0, len(ts), *data.draw(st.lists(st.integers(0, len(ts)), max_size=5))})
    return [ts[low:high] for low, high in pairwise(cuts) if high > low]


@given(st.integers(0, 20), HOLES, st.data())
def test_gaps_are_the_same_however_the_rows_are_batched(start: int, holes: list[int], data: st.DataObject) -> None:
    ts = [start * STEP]
    for hole in holes:
        ts.append(ts[-1] + hole * STEP)
    times = Times(M1)
    assert all(times.take(batch) for batch in batches(data, ts))
    gaps = [(before + STEP, (after - before) // STEP - 1) for before, after in pairwise(ts) if after - before > STEP]
    assert (times.rows, times.first, times.last) == (len(ts), ts[0], ts[-1])
    assert (times.gaps, times.missing) == (len(gaps), sum(bars for _, bars in gaps))
    assert times.first_gap == (gaps[0] if gaps else None)
    assert times.largest_gap == (max(gaps, key=lambda gap: gap[1]) if gaps else None)


@given(st.lists(st.integers(-2 * STEP, 10 * STEP), min_size=1, max_size=12), st.data())
def test_a_batch_is_refused_where_a_row_of_it_is(steps: list[int], data: st.DataObject) -> None:
    ts, at = [], data.draw(st.sampled_from([0, 0, STEP, 7, -1, MAX_TS_MS - STEP, 1_735_689_600]))
    for step in steps:
        ts.append(at)
        at += data.draw(st.sampled_from([step, STEP, STEP, 0, STEP // 2]))
    for timeframe in (M1, None):
        times, probe = Times(timeframe), Times(timeframe)
        lasts = [None, *ts]
        wrong = next((n for n, (at, last) in enumerate(zip(ts, lasts, strict=False)) if probe.fault(at, last)), None)
        taken = next((n for n, batch in enumerate([[at] for at in ts]) if not times.take(batch)), None)
        assert taken == wrong
        assert Times(timeframe).take(ts) == (wrong is None)
