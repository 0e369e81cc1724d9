import contextlib
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_settings import BaseSettings

from tradebot.model.errors import ConfigError
from tradebot.settings.errors import BadSettings, Problem
from tradebot.settings.files import profile_path
from tradebot.settings.load import Loaded, LoadOptions, effective_toml, load_settings
from tradebot.settings.model import GeneratedFeedSettings, ReplayFeedSettings, Settings

SMALL = """\
[bot]
symbols = ["BTC"]

[feed]
kind = "generated"

[[strategy]]
kind = "sma_cross"
fast = 10
slow = 30
"""


def load(folder: Path, text: str = SMALL, environ: dict[str, str] | None = None, **overrides: object) -> Loaded:
    file = folder / "bot.toml"
    file.write_text(text)
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_settings(home=folder / "home", config_files=[file], environ=environ or {}, overrides=dotted)


def problems(
    folder: Path, text: str = SMALL, environ: dict[str, str] | None = None, **overrides: object
) -> list[Problem]:
    with pytest.raises(BadSettings) as caught:
        load(folder, text, environ, **overrides)
    assert caught.value.exit_code == 78
    return list(caught.value.problems)


def test_a_small_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path).settings
    assert settings.venue.starting_cash == Decimal(10000)
    assert settings.venue.taker_bps == Decimal("4.5")
    strategy = settings.strategy[0]
    assert (strategy.name, strategy.symbols, strategy.direction) == ("sma_cross", ("BTC",), "both")
    assert strategy.parameters == {"fast": 10, "slow": 30}
    assert strategy.stop is not None
    assert strategy.target is None


def test_a_file_strategy_is_named_after_its_class_and_found_beside_its_configuration(tmp_path: Path) -> None:
    settings = load(tmp_path, SMALL.replace('"sma_cross"', '"mine/own.py:Mine"')).settings
    assert settings.strategy[0].name == "Mine"
    assert settings.strategy[0].kind == f"{tmp_path}/mine/own.py:Mine"


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    text = SMALL.replace('kind = "generated"', 'kind = "replay"\ndata = ["BTC:5m=data/btc.csv"]')
    feed = load(tmp_path, text + '[venue]\nfunding = ["BTC=f.csv"]\n').settings.feed
    assert isinstance(feed, ReplayFeedSettings)
    assert feed.series[0].path == tmp_path / "data" / "btc.csv"


def test_layers_lie_over_each_other_in_order(tmp_path: Path) -> None:
    second = tmp_path / "second.toml"
    second.write_text('[log]\nlevel = "warning"\nkeep = 3\n[venue]\nleverage = 7\n')
    first = tmp_path / "first.toml"
    first.write_text(SMALL + '[log]\nlevel = "debug"\nrotate_mb = 5\n')
    loaded = load_settings(
        home=tmp_path,
        config_files=[first, second],
        profile="demo",
        environ={"TRADEBOT__VENUE__LEVERAGE": "9", "TRADEBOT__STRATEGY__0__FAST": "4"},
        overrides={"bot.name": "mine", "venue": {"latency_ms": 5}},
    )
    settings = loaded.settings
    assert (settings.log.level, settings.log.rotate_mb, settings.log.keep) == ("warning", 5, 3)
    assert (settings.venue.leverage, settings.venue.latency_ms, settings.bot.name) == (9, 5, "mine")
    # The demo has two strategies; an array is replaced.
    assert [item.parameters["fast"] for item in settings.strategy] == [4]
    assert loaded.where("venue", "leverage") == "environment TRADEBOT__VENUE__LEVERAGE"
    assert loaded.where("log", "keep") == f"{second}:3"
    assert loaded.where("strategy", 0, "slow") == f"{first}:10"
    assert loaded.where("bot", "name") == "option for bot.name"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("7", "7"),
        ("0.5", "0.5"),
        ("-2", "-2"),
        ("true", "true"),
        ("[1, 2.5]", "[1,2.5]"),
        ("ema", '"ema"'),
        ('"7"', '"7"'),
        ("2024-01-01", '"2024-01-01"'),
        ("1\nx = 2", '"1\\nx = 2"'),
        ("nan", '"nan"'),
    ],
)
def test_a_variable_means_what_it_says(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "bot.toml").write_text(SMALL)
    environ = {"TRADEBOT__STRATEGY__0__EXTRA": text, "TRADEBOT__STRATEGY__0__TABLE__DEEP": text}
    settings = load_settings(home=tmp_path, config_files=[tmp_path / "bot.toml"], environ=environ).settings
    document = settings.model_dump_json()
    assert f'"extra":{shown}' in document
    assert f'"deep":{shown}' in document


def test_text_that_looks_like_a_number_stays_text_where_text_is_meant(tmp_path: Path) -> None:
    (tmp_path / "bot.toml").write_text(SMALL)
    environ = {"TRADEBOT__BOT__NAME": "7", "TRADEBOT__LOG__KEEP": "7"}
    settings = load_settings(home=tmp_path, config_files=[tmp_path / "bot.toml"], environ=environ).settings
    assert (settings.bot.name, settings.log.keep) == ("7", 7)


def test_the_values_come_from_our_layers_through_one_source_of_pydantic_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A variable that pydantic-settings would read by itself, were its own sources not left out.
    monkeypatch.setenv("LOG", '{"keep": 9}')
    assert issubclass(Settings, BaseSettings)
    assert load(tmp_path, SMALL).settings.log.keep == 10


def test_a_feed_of_another_kind_replaces_the_whole_table(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        SMALL + '[risk]\nsize = { kind = "qty", qty = "1" }\n',
        feed={"kind": "replay", "data": ["BTC:5m=x.csv"]},
    )
    assert isinstance(loaded.settings.feed, ReplayFeedSettings)
    assert loaded.settings.feed.series[0].path == Path.cwd() / "x.csv"


def test_which_file_is_read(tmp_path: Path) -> None:
    nothing = load_settings(home=tmp_path, environ={})
    assert nothing.settings.bot.name == "demo"
    assert "demo" in nothing.notes[0]
    (tmp_path / "tradebot.toml").write_text(SMALL.replace("[bot]", '[bot]\nname = "home"'))
    assert load_settings(home=tmp_path, environ={}).settings.bot.name == "home"
    other = tmp_path / "other.toml"
    other.write_text(SMALL.replace("[bot]", '[bot]\nname = "variable"'))
    environ = {"TRADEBOT_CONFIG": str(other)}
    assert load_settings(home=tmp_path, environ=environ).settings.bot.name == "variable"
    assert LoadOptions(profile="demo", config_files=(other,)).load(tmp_path, {}).settings.bot.name == "variable"
    assert load_settings(home=tmp_path, environ={"TRADEBOT_CONFIG": ""}).settings.bot.name == "home"


def test_a_symbol_with_a_slash_is_one(tmp_path: Path) -> None:
    assert load(tmp_path, bot__symbols=["BTC/USDT"]).settings.bot.symbols == ("BTC/USDT",)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("TRADEBOT_HOEM", "did you mean TRADEBOT_HOME?"),
        ("TRADEBOT_LOG__LEVEL", "did you mean TRADEBOT__LOG__LEVEL?"),
        ("TRADEBOT_MOON", "known: TRADEBOT_HOME, TRADEBOT_CONFIG, and TRADEBOT__SECTION__KEY"),
    ],
)
def test_a_variable_that_nobody_reads_is_said(tmp_path: Path, name: str, hint: str) -> None:
    ours = {"TRADEBOT_HOME": "/x", "TRADEBOT__LOG__LEVEL": "info", "HOME": "/x"}
    loaded = load_settings(home=tmp_path, environ={**ours, name: "x"}, profile="demo")
    assert loaded.notes == (f"environment {name} is not read: {hint}",)


def test_the_shipped_profiles_load_and_a_wrong_name_is_guessed() -> None:
    assert isinstance(
        load_settings(home=Path("/nowhere"), profile="demo", environ={}).settings.feed, GeneratedFeedSettings
    )
    assert isinstance(
        load_settings(home=Path("/nowhere"), profile="replay", environ={}).settings.feed, ReplayFeedSettings
    )
    with pytest.raises(ConfigError, match="did you mean demo") as caught:
        profile_path("deno")
    assert caught.value.exit_code == 78
    with pytest.raises(ConfigError):
        profile_path("../pyproject")


def test_effective_toml_loads_to_the_same_settings(tmp_path: Path) -> None:
    text = (
        SMALL
        + 'weight = 2.0\nlabel = "a\\"b\\u007f\\n"\nstop = "none"\n[risk]\nsize = { kind = "qty", qty = "0.10" }\n'
    )
    first = load(tmp_path, text)
    again = load(tmp_path, effective_toml(first.settings))
    assert again.config_hash == first.config_hash
    assert again.settings.strategy[0].stop is None
    assert effective_toml(again.settings) == effective_toml(first.settings)


def test_the_hash_depends_on_what_is_set_and_not_on_how(tmp_path: Path) -> None:
    base = load(tmp_path).config_hash
    assert load(tmp_path, SMALL + "[venue]\ntaker_bps = 4.50\n").config_hash == base
    assert load(tmp_path, environ={"TRADEBOT__STRATEGY__0__FAST": "10"}).config_hash == base
    assert load(tmp_path, environ={"TRADEBOT__STRATEGY__0__FAST": "11"}).config_hash != base


@pytest.mark.parametrize(
    ("line", "key", "what", "mend"),
    [
        ("[bot]\nnmae = 'x'", "bot.nmae", "unknown key", "did you mean name?"),
        ("[vanue]\nleverage = 1", "vanue", "unknown key", "did you mean venue?"),
        ("[venue]\nleverage = 0", "venue.leverage", ">= 1, <= 1000", "leverage"),
        ("[venue]\nleverage = 'x'", "venue.leverage", "integer", "leverage"),
        ("[venue]\nleverage = true", "venue.leverage", "not true or false", ""),
        ("[venue]\ntaker_bps = nan", "venue.taker_bps", "finite", ""),
        ("[venue]\ntaker_bps = -inf", "venue.taker_bps", "finite", ""),
        ("[venue]\nstarting_cash = 0", "venue.starting_cash", "> 0", ""),
        ("[venue]\nstarting_cash = [1]", "venue.starting_cash", "", ""),
        ("[venue]\nkind = 'simulatd'", "venue.kind", "none of simulated", "did you mean simulated?"),
        ("[venue]\nfunding = 'BTC=x'", "venue.funding", "array", ""),
        ("[venue]\nfunding = ['BTC']", "venue.funding.0", "SYMBOL=FILE", ""),
        ("[feed]\nkind = 'generatd'", "feed.kind", "none of generated, replay", "did you mean generated?"),
        ("[feed]\nkind = 'ccxt'", "feed.kind", "not built yet", "hyperliquid"),
        ("[feed]\nkind = 'hyperliquid'\nhistory_bars = 5001", "feed.history_bars", "<= 5000", ""),
        ("[venue]\nkind = 'hyperliquid'\naccount = '0x12'", "venue.account", "not an address", "master"),
        ("[venue]\nkind = 'hyperliquid'\nurl = 'ftp://x'", "venue.url", "not a URL", ""),
        ("[venue]\nkind = 'hyperliquid'\nnetwork = 'moonnet'", "venue.network", "none of mainnet", ""),
        ("[venue]\nkind = 'hyperliquid'\nstarting_cash = 5", "venue.starting_cash", "unknown key", ""),
        ("[alerts]\nurl = 'hooks.example.org'", "alerts.url", "not a URL", "webhook"),
        ("[risk]\nlive_cap_notional = 0", "risk.live_cap_notional", "> 0", ""),
        ("[venue]\nkind = 'ccxt'\nurl = 'x'", "venue.kind", "not built yet", "simulated"),
        ("[bot]\nmode = 'papr'", "bot.mode", "none of paper, live", "did you mean paper?"),
        ("[dashboard]\nport = 1", "dashboard", "not built yet", "remove"),
        ("[bot]\nsymbols = []", "bot.symbols", "must not be empty", ""),
        ("[bot]\nsymbols = ['BTC', 'BTC']", "bot.symbols", "BTC stands there twice", ""),
        ("[bot]\nsymbols = ['B TC']", "bot.symbols.0", "'B TC' is not a symbol of letters, digits and -_./ up", ""),
        ("[bot]\nsymbols = ['BTC/USDT:USDT']", "bot.symbols.0", "no colon", ""),
        ("[bot]\nname = 'a/b'", "bot.name", "without a slash", ""),
        ("[feed]\nspeed = 0", "feed.speed", "max", ""),
        ("[feed]\nspeed = 'fast'", "feed.speed", "max", ""),
        ("[feed]\ntimeframe = '7x'", "feed.timeframe", "not a number and a unit", ""),
        ("[feed]\ntimeframe = '5min'", "feed.timeframe", "did you mean 5m?", ""),
        ("[feed]\nstart = 'soon'", "feed.start", "2025-01-01", ""),
        ("[feed]\nbars = 0", "feed.bars", ">= 1", ""),
        (
            "[risk]\nsize = { kind = 'risk_fracton', fraction = 1 }",
            "risk.size.kind",
            "none of",
            "did you mean risk_fraction?",
        ),
        ("[risk]\nsize = { fraction = 1 }", "risk.size", "has no kind", "risk_fraction"),
        ("[risk]\nsize = { kind = 'qty' }", "risk.size.qty", "is missing", "add qty"),
        ("[risk]\nsize = { kind = 'qty', qty = 1, fraction = 2 }", "risk.size.fraction", "unknown key", ""),
        ("[risk]\nmax_order_notional = -5", "risk.max_order_notional", "> 0", ""),
        ("[risk]\nsize = 5", "risk.size", "must be a table", ""),
        ("[[instrument]]\ntick = 1", "instrument.0.symbol", "is missing", ""),
        ("[log]\nlevel = 'warn'", "log.level", "none of", "did you mean warning?"),
        ("[store]\nsnapshot_turns = 5001", "store.snapshot_turns", "<= 5000", ""),
        ("[control]\nport = 1", "control.port", "unknown key", ""),
    ],
)
def test_a_bad_key_is_named_with_its_line_and_its_mend(
    tmp_path: Path, line: str, key: str, what: str, mend: str
) -> None:
    base = tmp_path / "base.toml"
    base.write_text(SMALL)
    bad = tmp_path / "bad.toml"
    bad.write_text("# a comment\n" + line)
    with pytest.raises(BadSettings) as caught:
        load_settings(home=tmp_path, config_files=[base, bad], environ={})
    (problem,) = caught.value.problems
    assert problem.key == key
    assert what in problem.what
    assert mend in problem.mend
    wanted = next((number for number, text in enumerate(line.splitlines(), 2) if key.split(".")[-1] in text), 3)
    if problem.what not in ("is missing", "has no kind"):
        assert problem.where in (f"{bad}:{wanted}", f"{bad}:3")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("fast = 10", 'direction = "lng"\ntarget = "non"') + "[venue]\nleverage = 0\nfoo = 1\n"
    assert {problem.key for problem in problems(tmp_path, text)} == {
        "strategy.0.direction",
        "strategy.0.target",
        "venue.leverage",
        "venue.foo",
    }


def test_missing_sections_are_named(tmp_path: Path) -> None:
    assert {problem.key for problem in problems(tmp_path, "")} == {"bot", "feed", "strategy"}


@pytest.mark.parametrize(
    "body",
    [
        b"[bot",
        b"a = 1\na = 2",
        b"[bot]\nname = 'x",
        b"\xff\xfe",
        b"a = 1\r\nb = \x00",
        b"x = " + b"[" * 5000,
        b"[a]\n[a]\n",
    ],
)
def test_a_file_that_is_not_toml_is_refused_with_a_line(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(body)
    with pytest.raises(ConfigError) as caught:
        load_settings(home=tmp_path, config_files=[file], environ={})
    assert str(file) in caught.value.where


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    large = tmp_path / "large"
    large.write_bytes(b"#" * 1_000_001)
    for path in (tmp_path, fifo, large, tmp_path / "none.toml", Path("a\0b"), tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError):
            load_settings(home=tmp_path, config_files=[path], environ={})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRADEBOT__", "1"),
        ("TRADEBOT____", "1"),
        ("TRADEBOT__BOT__", "1"),
        ("TRADEBOT__BOT", "1"),
        ("TRADEBOT__BOT__NAME__X", "1"),
        ("TRADEBOT__BOT__SYMBOLS", "[BTC"),
        ("TRADEBOT__BOT__SYMBOLS", "BTC"),
        ("TRADEBOT__BOT__SYMBOLS", '["BTC"]\nx = 1'),
        ("TRADEBOT__BOT__NAME", "a\udcffb"),
        ("TRADEBOT__STRATEGY__2__FAST", "1"),
        ("TRADEBOT__STRATEGY__99999999999__FAST", "1"),
        ("TRADEBOT__STRATEGY__-1__FAST", "1"),
        ("TRADEBOT__STRATEGY__FAST", "1"),
        ("TRADEBOT__A__B__C__D__E__F__G__H__I__J", "1"),
        ("TRADEBOT__LOG__LEVEL", "loud"),
        ("TRADEBOT__LOG__KEEP", "1e99"),
        ("TRADEBOT__VENUE__LEVERAGE", ""),
    ],
)
def test_a_hostile_environment_is_refused_by_the_name_of_the_variable(tmp_path: Path, name: str, value: str) -> None:
    found = problems(tmp_path, environ={name: value})
    assert any(name in problem.where for problem in found)


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, log__level="loud")
    assert problem.where == "option for log.level"


@pytest.mark.parametrize(
    "line",
    [
        "private_key = 'hello'",
        "key = 0x" + "ab" * 32,
        "account = '0x" + "Ab" * 32 + "'",
        "account = '" + "12" * 32 + "'",
        "mnemonic = 'x'",
        "account = 'abandon ability able about above absent absorb abstract absurd abuse access accident'",
        "secret = ['x']",
    ],
)
def test_a_secret_is_refused_and_never_repeated(tmp_path: Path, line: str) -> None:
    found = problems(tmp_path, SMALL + f"[venue]\n{line}\n")
    value = line.split(" = ")[1].strip("'[]")
    assert found[0].where.endswith("bot.toml:12")
    assert value not in str(BadSettings(found)) or len(value) == 1


def test_a_secret_in_the_environment_is_not_repeated_either(tmp_path: Path) -> None:
    secret = "0x" + "cd" * 32
    found = problems(tmp_path, environ={"TRADEBOT__VENUE__ACCOUNT": secret})
    assert secret not in str(BadSettings(found))
    assert secret[2:] not in str(BadSettings(problems(tmp_path, f"{SMALL}\n{secret[2:]} = 1")))


@given(
    st.dictionaries(st.text(max_size=12).map(lambda text: "TRADEBOT__" + text.replace("\0", "")), st.text(max_size=20))
)
def test_any_environment_is_loaded_or_refused_and_never_a_crash(environ: dict[str, str]) -> None:
    with contextlib.suppress(ConfigError):
        load_settings(home=Path("/nowhere"), environ=environ)


@given(st.text(max_size=60))
def test_any_text_is_loaded_or_refused_and_never_a_crash(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(ConfigError):
        load_settings(home=Path("/nowhere"), config_files=[file], environ={})


def test_the_settings_import_nothing_heavy() -> None:
    code = "import sys, tradebot.settings.load; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "typer", "rich", "numpy", "loguru"} & set(modules)
