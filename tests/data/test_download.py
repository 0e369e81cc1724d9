"""History of an exchange, from a devnet over HTTP."""

from collections.abc import Iterator

import pytest

from tests.data.shelf import Shelf
from tests.devnet.conftest import Running
from tradebot.model.errors import DataError, UsageError
from tradebot.runtime import download as module
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.download import Downloaded, Wanted, download
from tradebot.settings.dataspec import StoredSeries, parse_stored

SERIES = parse_stored("devnet:BTC:1m")


@pytest.fixture
def net() -> Iterator[Running]:
    running = Running(history=2300)
    yield running
    running.stop()


def fetch(shelf: Shelf, net: Running, series: StoredSeries = SERIES, **wanted: object) -> Downloaded:
    given = Wanted(series=series, url=net.url, **wanted)  # type: ignore[arg-type]
    return download(shelf.store, given, SystemClock(), lambda _done, _total: None)


def test_all_that_the_exchange_has_is_fetched_in_pages_and_then_no_more(shelf: Shelf, net: Running) -> None:
    told: list[tuple[int, int]] = []
    wanted = Wanted(series=SERIES, url=net.url)
    done = download(shelf.store, wanted, SystemClock(), lambda *progress: told.append(progress))
    assert done.added == done.total >= 2299
    held = shelf.store.held(SERIES)
    assert (held.gaps, held.origins[0].action) == (0, "download")
    assert told[-1][0] == told[-1][1]
    again = fetch(shelf, net)
    assert (again.added, again.lost, again.rows) == (0, 0, 1)


def test_a_fetch_that_broke_off_goes_on_where_it_was(shelf: Shelf, net: Running) -> None:
    def stop_on_the_way(done: int, _total: int) -> None:
        if done >= 4000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(shelf.store, Wanted(series=SERIES, url=net.url), SystemClock(), stop_on_the_way)
    kept = shelf.rows(SERIES)
    assert kept
    done = fetch(shelf, net)
    assert done.total >= 2299
    assert shelf.rows(SERIES)[: len(kept)] == kept
    assert shelf.store.held(SERIES).gaps == 0


def test_what_the_exchange_no_longer_has_is_said(shelf: Shelf, net: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(shelf, net)
    whole = shelf.store.read(SERIES)
    with shelf.store.writing(SERIES):
        shelf.store.write(SERIES, whole.between(None, whole.ts[300]), ())
    monkeypatch.setattr(module, "DEPTH", 1500)
    done = fetch(shelf, net)
    assert done.lost == shelf.store.held(SERIES).missing > 0


def test_bars_of_another_market_are_not_mixed_with_what_is_there(shelf: Shelf, net: Running) -> None:
    fetch(shelf, net)
    last = shelf.rows(SERIES)[-1]
    with shelf.store.writing(SERIES):
        bars = shelf.store.read(SERIES)
        bars.columns[1][-1] += 1
        shelf.store.write(SERIES, bars, ())
    with pytest.raises(DataError, match="differs from what the store has"):
        fetch(shelf, net)
    fetch(shelf, net, keep="new")
    assert shelf.rows(SERIES)[-1] == last


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("devnet:NOPE:1m", "no bars of NOPE"),
        ("binance:BTC:1m", "nothing can be fetched"),
        ("devnet:BTC:7m", "no bars of 7m"),
    ],
)
def test_what_cannot_be_fetched_is_said(shelf: Shelf, net: Running, name: str, what: str) -> None:
    with pytest.raises((DataError, UsageError), match=what) as caught:
        fetch(shelf, net, parse_stored(name))
    assert caught.value.mend
