from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.model.order import PositionSide
from tradebot.model.time import parse_timeframe
from tradebot.pipeline.risk.limits import SizeKind
from tradebot.pipeline.strategy.base import AtrStop, DistanceStop, PercentStop, RTarget, StopRule
from tradebot.runtime.wiring import build_costs
from tradebot.settings.build import build_instruments, build_limits, build_size
from tradebot.settings.check import build_specs, check_settings, find_problems
from tradebot.settings.load import Loaded, load_settings
from tradebot.settings.reload import reload_diff


def load(folder: Path, rest: str = "", *, symbols: str = '"BTC"', data: str = "", **overrides: object) -> Loaded:
    (folder / "bars.csv").touch()
    feed = f'kind = "replay"\ndata = [{data}]' if data else 'kind = "generated"'
    strategy = "" if "[[strategy]]" in rest else '[[strategy]]\nkind = "sma_cross"\n'
    file = folder / "bot.toml"
    file.write_text(f"[bot]\nsymbols = [{symbols}]\n[feed]\n{feed}\n{strategy}{rest}")
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_settings(home=folder, config_files=[file], environ={}, overrides=dotted)


def told(loaded: Loaded) -> list[tuple[str, str]]:
    return [(problem.key, problem.what) for problem in find_problems(loaded)]


@pytest.mark.parametrize("profile", ["demo", "replay", "hyperliquid-paper", "devnet"])
def test_a_shipped_profile_fits_together(profile: str, tmp_path: Path) -> None:
    loaded = load_settings(home=tmp_path, profile=profile, environ={})
    check_settings(loaded, is_live=profile == "devnet")
    assert build_specs(loaded)


@pytest.mark.parametrize(("profile", "network"), [("hyperliquid-testnet", "testnet"), ("hyperliquid-live", "mainnet")])
def test_a_profile_of_the_real_exchange_lacks_its_key_and_nothing_else(
    profile: str, network: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("")
    loaded = load_settings(home=tmp_path, config_files=[mine], profile=profile, environ={})
    assert [problem.key for problem in find_problems(loaded, is_live=True)] == ["venue.key_file"]
    assert loaded.settings.risk.live_cap_notional is not None
    mine.write_text('[venue]\nkey_file = "agent.key"\n')
    loaded = load_settings(home=tmp_path, config_files=[mine], profile=profile, environ={})
    check_settings(loaded, is_live=True)
    assert loaded.settings.venue.model_dump()["network"] == network


def test_a_symbol_without_data_is_refused(tmp_path: Path) -> None:
    loaded = load(tmp_path, symbols='"BTC", "ETH"', data='"BTC:5m=bars.csv"', strategy__0__symbols=["BTC"])
    assert told(loaded) == [("bot.symbols", "ETH has no data")]
    assert find_problems(loaded)[0].where.endswith("bot.toml:2")


def test_files_must_be_there_and_once_for_each_series(tmp_path: Path) -> None:
    data = '"BTC:5m=bars.csv", "BTC:5m=bars.csv", "BTC:1h=none.csv", "BTC:1d=."'
    assert told(load(tmp_path, data=data)) == [
        ("feed.data.1", "BTC:5m is given twice"),
        ("feed.data.2", f"{tmp_path}/none.csv: no such file"),
        ("feed.data.3", f"{tmp_path}: is not a regular file"),
    ]


def test_funding_is_for_known_symbols_and_once(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[venue]\nfunding = ["BTC=bars.csv", "DOGE=bars.csv", "BTC=bars.csv"]\n')
    assert told(loaded) == [
        ("venue.funding.1", "DOGE is not in bot.symbols"),
        ("venue.funding.2", "BTC is given twice"),
    ]


def test_names_symbols_and_instruments_are_unique_or_known(tmp_path: Path) -> None:
    strategy = '[[strategy]]\nkind = "sma_cross"\n'
    rest = f'{strategy}{strategy}symbols = ["ETC"]\n' + '[[instrument]]\nsymbol = "BTC"\n' * 2
    assert told(load(tmp_path, rest, symbols='"BTC", "ETH"')) == [
        ("strategy.1.symbols", "ETC is not in bot.symbols"),
        ("strategy.1.name", 'a second strategy is named "sma_cross"'),
        ("instrument.1.symbol", "a second instrument is for BTC"),
    ]


def test_a_symbol_in_other_letters_is_guessed(tmp_path: Path) -> None:
    rest = '[[instrument]]\nsymbol = "btc"\n[[instrument]]\nsymbol = "SOL"\n[venue]\nfunding = ["btc=bars.csv"]\n'
    data = '"BTC:5m=bars.csv", "doge:5m=bars.csv"'
    loaded = load(tmp_path, rest, symbols='"BTC", "DOGE"', data=data, strategy__0__symbols=["btc"])
    mends = {problem.key: problem.mend for problem in find_problems(loaded)}
    assert mends["bot.symbols"].endswith("did you mean doge?")
    for key in ("strategy.0.symbols", "venue.funding.0", "instrument.0.symbol"):
        assert mends.pop(key) == "did you mean BTC?"
    # A file of instruments may know more symbols than are traded.
    assert set(mends) == {"bot.symbols"}


@pytest.mark.parametrize(
    ("data", "timeframe", "expected"),
    [
        ('"BTC:5m=bars.csv"', None, "5m"),
        ('"BTC:1h=bars.csv", "BTC:5m=bars.csv"', None, "5m"),
        ('"BTC:5m=bars.csv"', "1h", "1h"),
        ('"BTC:1d=bars.csv"', "1w", "1w"),
    ],
)
def test_a_timeframe_is_the_finest_unless_named(
    tmp_path: Path, data: str, timeframe: str | None, expected: str
) -> None:
    overrides = {} if timeframe is None else {"strategy__0__timeframe": timeframe}
    loaded = load(tmp_path, data=data, **overrides)
    assert build_specs(loaded)[0].timeframe == parse_timeframe(expected)
    assert told(loaded) == []


def test_the_default_timeframe_fits_all_symbols(tmp_path: Path) -> None:
    data = '"BTC:1m=bars.csv", "BTC:5m=bars.csv", "ETH:5m=bars.csv"'
    loaded = load(tmp_path, symbols='"BTC", "ETH"', data=data)
    assert build_specs(loaded)[0].timeframe == parse_timeframe("5m")


@pytest.mark.parametrize("timeframe", ["7m", "1m"])
def test_a_timeframe_that_cannot_be_built_is_refused(tmp_path: Path, timeframe: str) -> None:
    loaded = load(tmp_path, data='"BTC:5m=bars.csv"', strategy__0__timeframe=timeframe)
    assert told(loaded) == [("strategy.0.timeframe", f"bars of {timeframe} cannot be built for BTC from 5m")]


def test_no_common_timeframe_is_said(tmp_path: Path) -> None:
    loaded = load(tmp_path, symbols='"BTC", "ETH"', data='"BTC:3m=bars.csv", "ETH:5m=bars.csv"')
    assert told(loaded) == [("strategy.0.timeframe", "no timeframe fits all of BTC, ETH")]


def test_risk_fraction_needs_a_stop_and_other_sizes_do_not(tmp_path: Path) -> None:
    loaded = load(tmp_path, strategy__0__stop="none")
    assert [key for key, _ in told(loaded)] == ["strategy.0.stop"]
    size = {"kind": "notional", "notional": 5}
    assert told(load(tmp_path, strategy__0__stop="none", risk__size=size)) == []


def test_parameters_of_a_strategy_are_checked_with_their_lines(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[[strategy]]\nkind = "sma_cross"\nfast = 0\nslwo = 3\ndirectoin = "long"\n')
    found = {problem.key: problem for problem in find_problems(loaded)}
    assert found["strategy.0.fast"].where.endswith("bot.toml:7")
    assert found["strategy.0.slwo"].mend == "did you mean slow?"
    assert found["strategy.0.directoin"].mend == "did you mean direction?"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "Mine"),
        ("def broken(:\n", "own.py:1"),
        ("raise RuntimeError('no')\n", "no"),
    ],
)
def test_a_strategy_file_that_cannot_be_used_is_a_problem_of_its_key(tmp_path: Path, body: str, text: str) -> None:
    (tmp_path / "own.py").write_text(body)
    loaded = load(tmp_path, '[[strategy]]\nkind = "own.py:Mine"\n')
    (problem,) = find_problems(loaded)
    assert problem.key == "strategy.0.kind"
    assert text in problem.what
    assert problem.where.endswith("bot.toml:6")


def test_specs_carry_what_was_configured(tmp_path: Path) -> None:
    rest = (
        '[[strategy]]\nkind = "sma_cross"\nfast = 3\nslow = 9\ndirection = "long"\n'
        'stop = { kind = "atr", n = 5, mult = 1.5 }\ntarget = { kind = "r", r = 3 }\n'
    )
    (spec,) = build_specs(load(tmp_path, rest))
    assert spec.stop == AtrStop(5, Decimal("1.5"))
    assert spec.target == RTarget(Decimal(3))
    assert not spec.direction.allows(PositionSide.SHORT)
    assert spec.factory() is not spec.factory()


@pytest.mark.parametrize(
    ("stop", "rule"),
    [
        ('{ kind = "atr", trail = true }', AtrStop(14, Decimal("2.0"), trails=True)),
        ('{ kind = "percent", percent = 2.5 }', PercentStop(Decimal("2.5"))),
        ('{ kind = "percent", percent = "3", trail = true }', PercentStop(Decimal(3), trails=True)),
        ('{ kind = "distance", distance = "150.5", trail = true }', DistanceStop(Decimal("150.5"), trails=True)),
    ],
)
def test_a_stop_is_what_was_configured(tmp_path: Path, stop: str, rule: StopRule) -> None:
    (spec,) = build_specs(load(tmp_path, f'[[strategy]]\nkind = "sma_cross"\nstop = {stop}\n'))
    assert spec.stop == rule


def test_sizes_limits_costs_and_instruments_are_built_from_settings(tmp_path: Path) -> None:
    rest = (
        '[risk]\nmax_leverage = 3\nsize = { kind = "qty", qty = "0.5" }\n'
        '[venue]\nlatency_ms = 2\n[[instrument]]\nsymbol = "BTC"\ntick = "0.1"\n'
    )
    settings = load(tmp_path, rest, symbols='"BTC", "ETH"').settings
    assert (build_size(settings.risk).kind, build_size(settings.risk).value) == (SizeKind.QTY, Decimal("0.5"))
    assert build_limits(settings.risk) == {"max_leverage": 3, "duplicate_window_s": 2, "max_price_age_s": 10}
    assert build_costs(settings.venue).latency == 2_000_000
    assert build_instruments(settings)["BTC"].tick == Decimal("0.1")
    assert build_instruments(settings)["ETH"].tick is None


def test_a_reload_applies_logs_and_tighter_limits_and_refuses_the_rest(tmp_path: Path) -> None:
    old = load(tmp_path, risk__max_leverage=3).settings
    new = load(
        tmp_path, risk__max_leverage=2, risk__max_order_notional=5, log__level="debug", venue__leverage=9
    ).settings
    diff = reload_diff(old, new)
    assert diff.applicable == ("log.level", "risk.max_leverage", "risk.max_order_notional")
    assert diff.refused == {"venue.leverage": "needs a restart"}
    assert reload_diff(new, old).refused.keys() == {"risk.max_leverage", "risk.max_order_notional", "venue.leverage"}
    assert "risk.max_leverage" in reload_diff(new, old, is_halted=True).applicable
    assert reload_diff(old, old) == ((), {})


def test_a_largest_quantity_is_of_a_symbol_and_is_tightened_at_any_time(tmp_path: Path) -> None:
    settings = [
        load(tmp_path, f"[risk]\nmax_order_qty = {{ {quantities} }}").settings
        for quantities in ('BTC = "2"', 'BTC = "1.5"', "")
    ]
    assert build_limits(settings[0].risk)["max_order_qty.BTC"] == 2
    assert reload_diff(*settings[:2]).applicable == ("risk.max_order_qty.BTC",)
    for looser in (settings[0], settings[2]):
        refused = reload_diff(settings[1], looser).refused
        assert refused["risk.max_order_qty.BTC"] == "limits are loosened only while halted"
    strange = load(tmp_path, '[risk]\nmax_order_qty = { ETH = "2" }')
    assert [where for where, _ in told(strange)] == ["risk.max_order_qty.ETH"]
