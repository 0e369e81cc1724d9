import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import ConfigError, StorageFailed, TradebotError, UsageError
from tradebot.runtime.init import QUESTIONS, Kind, init_text, write_init
from tradebot.runtime.settings import check_settings, load_settings


def test_the_default_text_is_a_good_configuration(tmp_path: Path) -> None:
    write_init(tmp_path / "home" / "tradebot.toml", init_text(Kind.PAPER, {}))
    loaded = load_settings(home=tmp_path / "home", environ={})
    check_settings(loaded)
    assert loaded.settings.bot.symbols == ("BTC", "ETH", "SOL")
    assert len(QUESTIONS) <= 3


def test_answers_are_written(tmp_path: Path) -> None:
    text = init_text(Kind.PAPER, {"symbols": " eth,btc ", "cash": "1e3", "risk": "0.5%"})
    write_init(tmp_path / "tradebot.toml", text)
    settings = load_settings(home=tmp_path, environ={}).settings
    assert settings.bot.symbols == ("ETH", "BTC")
    assert settings.venue.starting_cash == 1000
    assert settings.risk.size.model_dump(mode="json") == {"kind": "risk_fraction", "fraction": "0.005"}


@pytest.mark.parametrize(
    "answer",
    [{"symbols": "B$C"}, {"symbols": "BTC BTC"}, {"symbols": ","}, {"cash": "0"}, {"cash": "NaN"}, {"risk": "11"}],
)
def test_an_answer_that_does_not_fit_is_refused(answer: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        init_text(Kind.PAPER, answer)


@given(st.sampled_from([item.key for item in QUESTIONS]), st.text(max_size=20))
def test_any_answer_gives_good_toml_or_is_refused(key: str, answer: str) -> None:
    try:
        text = init_text(Kind.PAPER, {key: answer})
    except TradebotError:
        return
    tomllib.loads(text)


@pytest.mark.parametrize("kind", [Kind.DEVNET, Kind.HYPERLIQUID])
def test_a_venue_that_is_not_built_is_refused(kind: Kind) -> None:
    with pytest.raises(ConfigError, match="not built yet"):
        init_text(kind, {})


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "tradebot.toml"
    write_init(path, "first")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="never overwritten"):
        write_init(path, "second")
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError):
        write_init(link, "third")
    assert path.read_text() == "first"
    assert not (tmp_path / "target").exists()


def test_the_commented_replay_is_good_too(tmp_path: Path) -> None:
    text = init_text(Kind.PAPER, {"symbols": "BTC"})
    (tmp_path / "bars.csv.gz").touch()
    _, _, replay = text.partition("# [feed]\n")
    block = re.match(r"(?:# .*\n)+", replay)
    assert block is not None
    before, _, after = text.partition("[feed]\n")
    feed = "[feed]\n" + re.sub(r"^# ", "", block[0], flags=re.MULTILINE)
    rest = after[after.index("[venue]") :]
    write_init(tmp_path / "tradebot.toml", before + feed + rest)
    check_settings(load_settings(home=tmp_path, environ={}))


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="File name too long"):
        write_init(tmp_path / ("x" * 300), "")
    (tmp_path / "file").touch()
    with pytest.raises(TradebotError):
        write_init(tmp_path / "file" / "tradebot.toml", "")


def test_half_a_configuration_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFailed, match="No space left"):
        write_init(tmp_path / "tradebot.toml", "text")
    assert not list(tmp_path.iterdir())
