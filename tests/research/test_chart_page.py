"""The chart is a page of its own that a browser opens and draws."""

from array import array
from html.parser import HTMLParser

import pytest

from tests.browser import opened
from tests.patterns.series import MINUTE_MS, walk
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.research.chart_page import MOST_BARS, chart_page
from tradebot.research.history import History, events_of


def page(length, title="walk", **given):
    params = PatternParams(**given)
    columns = list(zip(*walk(3, length), strict=True)) if length else [()] * 5
    history = History(array("q", range(0, length * MINUTE_MS, MINUTE_MS)), *(array("d", column) for column in columns))
    return chart_page(history, list(events_of(history, params)), params.zone_max_age, title=title)


def drawn(tmp_path, text, view=""):
    return {name: int(value) for name, value in opened(tmp_path, text, view)[0].items()}


def test_a_browser_draws_the_newest_bars_and_their_zones(tmp_path):
    found = drawn(tmp_path, page(600))
    assert found["bars"] == 250
    assert found["zones"] > 10
    assert (found["from"], found["to"]) == (350, 600)


def test_a_link_names_a_view_and_zooming_out_ends_at_the_data(tmp_path):
    assert drawn(tmp_path, page(600), "#from=100&to=140")["bars"] == 40
    assert drawn(tmp_path, page(600), "#from=-9000&to=9000")["bars"] == 600


@pytest.mark.parametrize("length", [0, 1, 3])
def test_short_histories_are_drawn_too(tmp_path, length):
    assert drawn(tmp_path, page(length))["bars"] == length


def test_the_page_needs_nothing_from_elsewhere():
    class Links(HTMLParser):
        found: tuple[str, ...] = ()

        def handle_starttag(self, tag, attrs):
            self.found += tuple(value or "" for name, value in attrs if name in {"src", "href"})

    text = page(300, title="</script><b>&")
    links = Links()
    links.feed(text)
    assert links.found == ()
    assert "default-src 'none'" in text
    assert "Copyright (c) 2026 TradingView" in text
    assert "<b>" not in text


def test_a_long_history_is_shown_from_its_end():
    text = page(MOST_BARS + 50)
    assert '"first":50,' in text
    assert len(text) < 5_000_000
