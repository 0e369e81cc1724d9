"""Bar and funding files as they are named."""

from pathlib import Path

import pytest

from tradebot.model.errors import UsageError
from tradebot.model.time import parse_timeframe
from tradebot.settings.dataspec import given_series, parse_series, parse_symbol_file

M5 = parse_timeframe("5m")


def test_a_data_spec_names_symbol_timeframe_and_file() -> None:
    assert parse_series("BTC:5m=a=b.csv") == ("BTC", M5, Path("a=b.csv"))
    assert parse_series("BTC/USDT:USDT:5m=/x.csv") == ("BTC/USDT:USDT", M5, Path("/x.csv"))
    assert parse_symbol_file("BTC=a=b.csv") == ("BTC", Path("a=b.csv"))


def test_a_path_that_an_option_names_is_of_the_working_directory() -> None:
    assert given_series("BTC:5m=a.csv").path == Path("a.csv").absolute()


@pytest.mark.parametrize(
    "spec", ["", "BTC", "BTC=x.csv", "BTC:5m=", ":5m=x.csv", "BTC:5x=x.csv", "BTC:0m=x", "B C:5m=x"]
)
def test_a_data_spec_that_says_too_little_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"SYMBOL:TIMEFRAME=FILE|timeframe"):
        parse_series(spec)
    with pytest.raises(UsageError) as caught:
        given_series(spec)
    assert caught.value.where == "--data"


@pytest.mark.parametrize("spec", ["", "BTC", "BTC=", "=x.csv"])
def test_a_funding_spec_that_says_too_little_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="SYMBOL=FILE"):
        parse_symbol_file(spec)
