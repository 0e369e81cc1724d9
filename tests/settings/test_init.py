import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import ConfigError, StorageFailed, TradebotError, UsageError
from tradebot.settings.check import check_settings
from tradebot.settings.init import Kind, init_text, next_steps, questions, write_init
from tradebot.settings.load import load_settings


def test_the_default_text_is_a_good_configuration(tmp_path: Path) -> None:
    write_init(tmp_path / "home" / "tradebot.toml", init_text(Kind.PAPER, {}))
    loaded = load_settings(home=tmp_path / "home", environ={})
    check_settings(loaded)
    assert loaded.settings.bot.symbols == ("BTC", "ETH", "SOL")
    assert all(len(questions(kind)) <= 3 for kind in Kind)


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


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Kind.HYPERLIQUID, {"network": "devnet"}),
        (Kind.HYPERLIQUID, {"account": "0x12"}),
        (Kind.HYPERLIQUID, {"account": "me"}),
        (Kind.DEVNET, {"notional": "10"}),
    ],
)
def test_an_answer_about_a_venue_that_does_not_fit_is_refused(kind: Kind, answer: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        init_text(kind, answer)


@given(st.sampled_from([(kind, item.key) for kind in Kind for item in questions(kind)]), st.text(max_size=20))
def test_any_answer_gives_good_toml_or_is_refused(asked: tuple[Kind, str], answer: str) -> None:
    kind, key = asked
    try:
        text = init_text(kind, {key: answer})
    except TradebotError:
        return
    tomllib.loads(text)


@pytest.mark.parametrize("kind", [Kind.DEVNET, Kind.HYPERLIQUID])
def test_a_live_text_is_good_and_small_as_it_stands(kind: Kind, tmp_path: Path) -> None:
    write_init(tmp_path / "tradebot.toml", init_text(kind, {}))
    loaded = load_settings(home=tmp_path, environ={})
    check_settings(loaded, is_live=True)
    settings = loaded.settings
    assert settings.bot.symbols == ("BTC", "ETH")
    assert settings.venue.model_dump()["network"] == {Kind.DEVNET: "devnet", Kind.HYPERLIQUID: "testnet"}[kind]
    if kind is Kind.HYPERLIQUID:
        assert settings.risk.live_cap_notional == 200
        assert settings.venue.model_dump()["key_file"] == tmp_path / "agent.key"


def test_the_answers_about_a_real_venue_are_written(tmp_path: Path) -> None:
    address = "0x0A5D0ea7f1b832185a8a7ff6fd4f1e64124e9539"
    answers = {"symbols": "sol", "network": "Mainnet", "account": address}
    write_init(tmp_path / "tradebot.toml", init_text(Kind.HYPERLIQUID, answers))
    venue = load_settings(home=tmp_path, environ={}).settings.venue.model_dump()
    assert (venue["network"], venue["account"]) == ("mainnet", address.lower())
    assert load_settings(home=tmp_path, environ={}).settings.risk.live_cap_notional == 25
    text = init_text(Kind.DEVNET, {"symbols": "sol", "notional": "80"})
    assert 'max_exposure_notional = "160"' in text


def test_a_key_given_as_the_account_is_refused_and_not_repeated() -> None:
    secret = "ab" * 32
    with pytest.raises(UsageError) as caught:
        init_text(Kind.HYPERLIQUID, {"account": secret})
    assert secret not in str(caught.value)


def test_the_way_on_tells_where_the_key_goes(tmp_path: Path) -> None:
    told = "\n".join(next_steps(Kind.HYPERLIQUID, tmp_path / "tradebot.toml"))
    assert f"install -m 600 /dev/null {tmp_path}/agent.key" in told
    assert "--live" in "\n".join(next_steps(Kind.DEVNET, tmp_path / "tradebot.toml"))


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
