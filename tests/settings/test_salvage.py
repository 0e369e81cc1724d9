"""What is read of ``[venue]`` when the rest of a configuration is broken."""

from pathlib import Path

import pytest

from tradebot.settings.salvage import salvage_venue

SOUND = """
[bot]
name = "a"
[venue]
kind = "hyperliquid"
network = "testnet"
account = "0xabc"   # the master's
key_file = 'agent.key'
slippage = 0.02
leverage = 3
"""


def read(folder: Path, *texts: str, profile: str | None = None, environ: dict[str, str] | None = None):
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"{number}.toml")
        files[-1].write_text(text)
    return salvage_venue(folder / "home", files, profile, environ or {})


@pytest.mark.parametrize("broken", ["", "[risk\n", "[risk]\nx = = 1\n", 'x = "\n'])
def test_a_file_is_read_line_by_line_where_it_is_no_toml(tmp_path: Path, broken: str) -> None:
    found = read(tmp_path, broken + SOUND + "[strategy]\nkind = 'other'\n")
    expected = {
        "kind": "hyperliquid",
        "network": "testnet",
        "account": "0xabc",
        "key_file": str(tmp_path / "agent.key"),
    }
    assert {key: found.venue[key] for key in expected} == expected
    assert bool(found.notes) == bool(broken)
    assert found.venue.get("slippage", "0.02") == "0.02"


def test_later_ones_win_and_another_kind_begins_anew(tmp_path: Path) -> None:
    assert read(tmp_path, SOUND, '[venue]\naccount = "0xdef"').venue["account"] == "0xdef"
    other = read(tmp_path, SOUND, '[venue]\nkind = "simulated"').venue
    assert other == {"kind": "simulated"}
    environ = {"TRADEBOT__VENUE__ACCOUNT": "0x123", "TRADEBOT__VENUE__KEY_FILE": "/keys/a", "TRADEBOT__LOG__LEVEL": "x"}
    found = read(tmp_path, SOUND, environ=environ).venue
    assert (found["account"], found["key_file"], found["network"]) == ("0x123", "/keys/a", "testnet")


def test_what_is_missing_takes_nothing_from_the_rest(tmp_path: Path) -> None:
    (tmp_path / "0.toml").write_text(SOUND)
    files = [tmp_path / "gone.toml", tmp_path, tmp_path / "0.toml"]
    found = salvage_venue(tmp_path / "home", files, "nobody", {})
    assert found.venue["network"] == "testnet"
    assert len(found.notes) == 3


@pytest.mark.parametrize("venue", ["venue = 3", "[venue]\nkind = true\nkey_file = '~nobody-here/x'"])
def test_nonsense_is_nothing(tmp_path: Path, venue: str) -> None:
    found = read(tmp_path, venue).venue
    assert set(found) <= {"key_file"}


def test_without_files_it_is_the_home_or_the_demo(tmp_path: Path) -> None:
    assert salvage_venue(tmp_path, [], None, {}).venue["kind"] == "simulated"
    (tmp_path / "tradebot.toml").write_text(SOUND)
    assert salvage_venue(tmp_path, [], None, {}).venue["kind"] == "hyperliquid"
