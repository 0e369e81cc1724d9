"""What was meant by a name that does not exist, and by a timeframe as others write it."""

import pytest

from tradebot.model.near import did_you_mean, nearest
from tradebot.model.time import parse_timeframe


@pytest.mark.parametrize(
    ("wrong", "known", "near"),
    [
        ("doge", ["BTC", "DOGE"], "DOGE"),
        ("DOGEE", ["BTC", "DOGE"], "DOGE"),
        ("PEPE", ["BTC", "kPEPE"], "kPEPE"),
        ("BTCUSDT", ["BTC", "ETH"], "BTC"),
        ("new", ["news", "new-strategy", "stop"], "news"),
        ("new", ["new-strategy", "stop"], "new-strategy"),
        ("s", ["start", "stop"], None),
        ("", ["start"], None),
        ("XRP", ["BTC"], None),
        ("btc" * 10_000, ["BTC"], None),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case(wrong: str, known: list[str], near: str | None) -> None:
    assert nearest(wrong, known) == near


def test_without_a_near_name_a_bounded_list_is_given() -> None:
    assert did_you_mean("x", ["b", "a"]) == "known: a, b"
    many = did_you_mean("!", [f"coin{n:03}" for n in range(200)])
    assert many.startswith("known: coin000, coin001")
    assert many.endswith("coin039 and 160 more")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("5min", "5m"),
        ("15 minutes", "15m"),
        ("1hour", "1h"),
        ("4H", "4h"),
        ("1D", "1d"),
        ("30sec", "30s"),
        ("M5", "5m"),
    ],
)
def test_a_timeframe_as_others_write_it_is_guessed(text: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"did you mean {near}\?"):
        parse_timeframe(text)


@pytest.mark.parametrize("text", ["1M", "MN1", "60", "0m", "", "5 m x"])
def test_what_may_be_something_else_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 5m, 1h or 1d$"):
        parse_timeframe(text)
