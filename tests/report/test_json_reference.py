"""The page on JSON names every key that the documents have."""

import re
from pathlib import Path

import pytest

from tradebot.report.benchmark import Closes, benchmark
from tradebot.report.fold import ReportFold
from tradebot.report.trades import TRADE_KEYS
from tradebot.report.uncertainty import uncertainty
from tradebot.report.views import BookFacts, RuntimeFacts

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text()
WORDS = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", PAGE))))


LUCK = uncertainty([0.1, -0.1], [1.0, -1.0], 10.0)
BENCHMARK = benchmark(Closes(), [])


@pytest.mark.parametrize(
    "keys",
    [
        ReportFold().result(),
        ReportFold().result()["streaks"],
        ReportFold().result()["excursions"],
        ReportFold().run_counts(1, 1.0),
        LUCK,
        LUCK["uncertainty"],
        LUCK["monte_carlo"],
        BENCHMARK,
        TRADE_KEYS,
    ],
)
def test_every_key_of_a_result_is_documented(keys: object) -> None:
    assert set(keys) <= WORDS  # type: ignore[call-overload]


def test_every_fact_of_a_daemon_is_documented() -> None:
    unspoken = {"journal_error", "progress_age_s", "stops_expected"}  # shown by the checks of health
    assert set(RuntimeFacts.__dataclass_fields__) - unspoken <= WORDS
    assert set(BookFacts.__dataclass_fields__) - {"protection", "liquidations", "limits"} <= WORDS
