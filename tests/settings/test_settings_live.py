"""What must stand in a configuration before it may trade for real."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradebot.runtime.backtest import with_feed
from tradebot.settings.build import build_limits, key_path
from tradebot.settings.check import find_problems
from tradebot.settings.live import on_paper
from tradebot.settings.load import Loaded, config_hash, effective_toml, load_settings, shown_toml
from tradebot.settings.model import HyperliquidVenueSettings, Settings, SimulatedVenueSettings
from tradebot.settings.reload import reload_diff

LIVE = """\
[bot]
mode = "live"
symbols = ["BTC", "ETH"]

[feed]
kind = "hyperliquid"

[venue]
kind = "hyperliquid"
network = "testnet"
account = "0x0a5d0ea7f1b832185a8a7ff6fd4f1e64124e9539"
key_file = "keys/agent.key"

[[strategy]]
kind = "sma_cross"
timeframe = "5m"

[risk]
max_order_notional = "100"
max_position_notional = "100"
max_exposure_notional = "200"
live_cap_notional = "20"
"""
ADDRESS = "https://hooks.example.org/services/T0/B0/hushed"


def load(folder: Path, text: str = LIVE, **overrides: object) -> Loaded:
    file = folder / "bot.toml"
    file.write_text(text)
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_settings(home=folder, config_files=[file], environ={}, overrides=dotted)


def without(*lines: str) -> str:
    kept = [line for line in LIVE.splitlines() if not any(line.startswith(f"{one} =") for one in lines)]
    return "\n".join(kept) + "\n"


def keys(loaded: Loaded, *, is_live: bool = True) -> list[str]:
    return [problem.key for problem in find_problems(loaded, is_live=is_live)]


def test_a_whole_live_configuration_is_good(tmp_path: Path) -> None:
    assert keys(load(tmp_path)) == []


def test_one_consent_alone_is_refused(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    (problem,) = find_problems(loaded, is_live=False)
    assert (problem.key, problem.mend) == ("bot.mode", "give both, or neither")
    assert problem.where.endswith("bot.toml:2")
    assert "bot.mode" in keys(load(tmp_path, bot__mode="paper"), is_live=True)


def test_live_needs_a_real_venue_and_a_real_venue_needs_live(tmp_path: Path) -> None:
    assert keys(load(tmp_path, venue={"kind": "simulated"})) == ["venue.kind"]
    assert keys(load(tmp_path, bot__mode="paper"), is_live=False) == ["venue.kind"]


def test_paper_on_the_live_market_is_good(tmp_path: Path) -> None:
    loaded = load(tmp_path, bot__mode="paper", venue={"kind": "simulated"})
    assert keys(loaded, is_live=False) == []


def test_live_needs_a_stop_and_money_limits(tmp_path: Path) -> None:
    text = without("max_order_notional", "max_position_notional", "max_exposure_notional")
    loaded = load(tmp_path, text, strategy__0__stop="none", risk__size={"kind": "qty", "qty": 1})
    assert keys(loaded) == [
        "strategy.0.stop",
        "risk.max_order_notional",
        "risk.max_position_notional",
        "risk.max_exposure_notional",
    ]


def test_a_key_is_needed_but_on_a_devnet(tmp_path: Path) -> None:
    text = without("account", "key_file")
    (problem,) = find_problems(load(tmp_path, text), is_live=True)
    assert problem.key == "venue.key_file"
    assert "0600" in problem.mend
    loaded = load(tmp_path, text, venue__network="devnet")
    assert keys(loaded) == []
    assert isinstance(loaded.settings.venue, HyperliquidVenueSettings)
    assert key_path(loaded.settings.venue, tmp_path) == tmp_path / "devnet.key"


def test_a_key_file_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    venue = load(tmp_path).settings.venue
    assert isinstance(venue, HyperliquidVenueSettings)
    assert key_path(venue, tmp_path / "home") == tmp_path / "keys" / "agent.key"


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        ({"venue__network": "mainnet", "venue__url": "https://api.example.org"}, ["venue.url", "feed.url"]),
        ({"venue__network": "mainnet", "venue__url": "https://api.hyperliquid.xyz/"}, []),
        ({"venue__network": "devnet", "venue__url": "https://api.hyperliquid.xyz"}, ["venue.url", "feed.url"]),
        ({"venue__network": "devnet", "venue__url": "https://api.hyperliquid-testnet.xyz"}, ["venue.url", "feed.url"]),
        ({"venue__network": "testnet", "venue__url": "https://api.hyperliquid.xyz"}, ["venue.url", "feed.url"]),
        ({"venue__network": "devnet", "venue__url": "http://10.0.0.7:3001"}, []),
        ({"feed__network": "mainnet"}, ["feed.network"]),
        ({"feed__url": "https://proxy.example.org"}, ["feed.url"]),
        ({"feed": {"kind": "generated"}}, ["feed.kind"]),
    ],
)
def test_network_and_place_must_agree(tmp_path: Path, overrides: dict[str, Any], wanted: list[str]) -> None:
    assert keys(load(tmp_path, **overrides)) == wanted


def test_a_paper_feed_of_another_place_must_name_its_network(tmp_path: Path) -> None:
    paper: dict[str, Any] = {"bot__mode": "paper", "venue": {"kind": "simulated"}, "feed__url": "http://127.0.0.1:3001"}
    assert keys(load(tmp_path, **paper), is_live=False) == ["feed.url"]
    assert keys(load(tmp_path, **paper, feed__network="devnet"), is_live=False) == []


@pytest.mark.parametrize("timeframe", ["30s", "90s", "7m", "45m", "1w"])
def test_a_timeframe_is_one_that_the_live_market_can_make(tmp_path: Path, timeframe: str) -> None:
    wanted = ["strategy.0.timeframe"] * 2 if timeframe.endswith("s") else []
    assert keys(load(tmp_path, strategy__0__timeframe=timeframe)) == wanted


def test_the_cap_is_for_live_alone(tmp_path: Path) -> None:
    risk = load(tmp_path).settings.risk
    assert build_limits(risk, "live")["live_cap_notional"] == Decimal(20)
    assert "live_cap_notional" not in build_limits(risk, "paper")
    assert "live_cap_notional" not in build_limits(risk)


def test_a_backtest_of_a_live_file_runs_on_the_simulated_exchange(tmp_path: Path) -> None:
    loaded = load(tmp_path, venue__leverage=3)
    settings = with_feed(loaded.settings, ["BTC:5m=bars.csv"], None)
    assert (settings.bot.mode, settings.feed.kind) == ("paper", "replay")
    assert settings.venue == SimulatedVenueSettings(leverage=3)
    assert on_paper(settings) is settings


def test_effective_settings_read_back_the_same_but_for_secrets(tmp_path: Path) -> None:
    settings = load(tmp_path, alerts__url=ADDRESS).settings
    text = effective_toml(settings)
    again = Settings.model_validate(tomllib.loads(text, parse_float=Decimal))
    assert again == load(tmp_path).settings
    assert config_hash(again) == config_hash(settings)
    assert isinstance(again.venue, HyperliquidVenueSettings)
    assert isinstance(again.venue.key_file, Path)
    assert (again.venue.url, again.feed.model_dump()["network"]) == (None, None)


def test_of_a_webhook_only_the_host_is_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, alerts__url=ADDRESS).settings
    assert settings.alerts.webhook == ADDRESS
    assert 'url = "https://hooks.example.org/..."' in shown_toml(settings)
    assert '"url":"https://hooks.example.org/..."' in settings.model_dump_json()
    for text in (shown_toml(settings), settings.model_dump_json(), effective_toml(settings), repr(settings)):
        assert "hushed" not in text
    assert load(tmp_path).settings.alerts.webhook is None


def test_the_environment_sets_the_webhook(tmp_path: Path) -> None:
    (tmp_path / "bot.toml").write_text(LIVE)
    environ = {"TRADEBOT__ALERTS__URL": "http://127.0.0.1:8080/hook?room=1"}
    loaded = load_settings(home=tmp_path, config_files=[tmp_path / "bot.toml"], environ=environ)
    assert loaded.settings.alerts.webhook == "http://127.0.0.1:8080/hook?room=1"


def test_a_reload_changes_alerts_at_once_and_lifts_the_cap_only_while_halted(tmp_path: Path) -> None:
    old = load(tmp_path).settings
    tighter = load(tmp_path, risk__live_cap_notional=15, alerts__url=ADDRESS, alerts__repeat_s=60).settings
    assert reload_diff(old, tighter) == (("alerts.repeat_s", "alerts.url", "risk.live_cap_notional"), {})
    free = load(tmp_path, without("live_cap_notional")).settings
    assert reload_diff(old, free).refused == {"risk.live_cap_notional": "limits are loosened only while halted"}
    assert reload_diff(old, free, is_halted=True).applicable == ("risk.live_cap_notional",)
    elsewhere = load(tmp_path, venue__network="mainnet").settings
    assert reload_diff(old, elsewhere).refused == {"venue.network": "needs a restart"}
