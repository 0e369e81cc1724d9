"""A series looked at all at once, as whole numbers, has what it has bar by bar."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.shelf import START_MS, Shelf
from tests.data.test_validate import FAULTS, Row, market
from tradebot.model.time import parse_timeframe
from tradebot.store.candles import BAR_COLUMNS, BarFile
from tradebot.store.flaws import Flaw

pytest.importorskip("numba")
FOLDER = os.environ.get("TRADEBOT_TEST_DATA", "")


def both(path: Path, timeframe: str) -> tuple[tuple[Flaw, ...], tuple[Flaw, ...]]:
    from tradebot.runtime.compiled import compiled

    files = [BarFile(path, "X", parse_timeframe(timeframe)) for _ in range(2)]
    for file in files:
        file.inspect()
    assert files[0].columns(compiled()) is not None
    return files[0].summary().flaws, files[1].check().flaws


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(4, 1190)), max_size=4),
    st.sampled_from([130, 131, 257, 258, 259, 600, 1200]),
)
def test_at_once_finds_what_bar_by_bar_finds(
    tmp_path_factory: pytest.TempPathFactory, faults: list[tuple[str, int]], count: int
) -> None:
    rows: list[Row] = market(count)
    for name, place in faults:
        if FAULTS[name][1] in ("outlier", "flat", "gap") and name != "high below low" and place + 2 < len(rows):
            rows = FAULTS[name][0](rows, place)
    shelf = Shelf(tmp_path_factory.mktemp("columns"))
    text = ",".join(BAR_COLUMNS) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    at_once, one_by_one = both(shelf.write(text), "1m")
    assert at_once == one_by_one


def test_a_series_without_volume_has_none_to_miss(shelf: Shelf) -> None:
    rows = [(START_MS + n * 60_000, 1.5, 1.5, 1.5, 1.5, 0) for n in range(300)]
    text = ",".join(BAR_COLUMNS) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    assert both(shelf.write(text), "1m") == ((), ())


@pytest.mark.skipif(not FOLDER, reason="TRADEBOT_TEST_DATA does not name a folder of real data")
@pytest.mark.parametrize(
    "name", ["hl_SOL_4h", "hl_DOGE_4h", "hl_AVAX_5m", "ntl_BTCPERP_1m", "fx_GBPUSD_1h", "btpy_GOOG_1d"]
)
def test_real_series_have_the_same_either_way(name: str) -> None:
    at_once, one_by_one = both(Path(FOLDER) / f"{name}.csv.gz", name.rpartition("_")[2])
    assert at_once == one_by_one
