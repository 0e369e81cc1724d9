"""A file that is written anew comes to what was wanted, keeps its comments, and is whole at any moment."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.model.errors import ConfigError, NotPermitted
from tradebot.settings.load import LoadOptions, config_hash
from tradebot.settings.model import Settings
from tradebot.settings.rewriting import CONFIG_BACKUPS, edited, keep_copy, plan_rewrite, write_config

BASE = """\
# Mine.
[bot]
symbols = ["BTC", "ETH"] # both

[feed]
kind = "generated"

[[strategy]]
kind = "sma_cross"
fast = 3 # quick
slow = 9
stop = { kind = "atr", n = 7 } # near

[risk] # careful
max_order_notional = "5000" # text stays text
max_leverage = 3
# The end.
"""
LINES = (
    "max_leverage = 2",
    'max_order_notional = "100.50"',
    "drawdown_pct = [5, 10]",
    'size = { kind = "qty", qty = "1" }',
    'size = { kind = "risk_fraction", fraction = 0.02 }',
    'max_order_qty = { BTC = "2" }',
    "scale = { volatility_pct = 10 }",
    'flatten = "own"',
    "daily_loss_pct = 5",
)
STRATEGIES = (
    '[[strategy]]\nkind = "sma_cross"\nfast = 3\nslow = 9\n',
    '[[strategy]]\nkind = "sma_cross"\nfast = 4\nslow = 9\nstop = { kind = "percent", percent = 2 }\n',
    '[[strategy]]\nkind = "donchian_breakout"\n[[strategy]]\nkind = "sma_cross"\nname = "second"\n',
    '[[strategy]]\nkind = "sma_cross"\nfast = 3\nslow = 9\ntarget = { kind = "r", r = 3 }\nregimes = ["range"]\n',
)


def load(folder: Path, text: str) -> Settings:
    (folder / "tradebot.toml").write_text(text)
    return LoadOptions().load(folder, {}).settings


@given(st.sets(st.sampled_from(LINES)), st.sampled_from(STRATEGIES))
@settings(max_examples=40)
def test_an_edited_file_loads_to_what_was_wanted(tmp_path_factory: Any, lines: set[str], strategies: str) -> None:
    folder = tmp_path_factory.mktemp("home")
    unique = {line.partition(" = ")[0]: line for line in sorted(lines)}
    wanted = load(
        folder,
        f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "generated"\nseed = 7\n{strategies}[risk]\n'
        + "\n".join(unique.values()),
    )
    present = load(folder, BASE)
    text = edited(BASE, present, wanted)
    assert config_hash(load(folder, text)) == config_hash(wanted)
    for comment in ("# Mine.", "# both", "# careful", "# The end."):
        assert comment in text
    # And back again.
    assert config_hash(load(folder, edited(text, wanted, present))) == config_hash(present)


def test_only_what_differs_is_touched(tmp_path: Path) -> None:
    present = load(tmp_path, BASE)
    wanted = load(tmp_path, BASE.replace("5000", "900").replace("n = 7", "n = 8"))
    assert edited(BASE, present, wanted) == BASE.replace("5000", "900").replace("n = 7", "n = 8")


def test_of_several_files_the_last_is_written_and_a_profile_never(tmp_path: Path) -> None:
    first, last = tmp_path / "first.toml", tmp_path / "last.toml"
    first.write_text(BASE)
    last.write_text("[log]\nkeep = 3\n")
    options = LoadOptions((first, last))
    present = options.load(tmp_path, {}).settings
    wanted = present.model_copy(update={"log": present.log.model_copy(update={"keep": 5, "level": "debug"})})
    rewrite = plan_rewrite(options, tmp_path, {}, wanted, None)
    assert (rewrite.path, rewrite.text) == (last, '[log]\nkeep = 5\nlevel = "debug"\n')
    # What only the first file says can be overruled, and not unset.
    risk = present.risk.model_copy(update={"max_leverage": None})
    with pytest.raises(ConfigError, match=r"risk\.max_leverage .*first\.toml:16"):
        plan_rewrite(options, tmp_path, {}, present.model_copy(update={"risk": risk}), None)
    home = tmp_path / "home"
    home.mkdir()
    demo = LoadOptions().load(home, {}).settings
    made = plan_rewrite(LoadOptions(), home, {}, demo, None)
    assert (made.path, made.is_whole) == (home / "tradebot.toml", True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.toml", "home", "last.toml"]


def test_secrets_are_left_as_the_file_or_the_daemon_has_them(tmp_path: Path) -> None:
    hook = '[alerts]\nurl = "https://example.org/secret"\n'
    running = load(tmp_path, BASE + hook)
    wanted = load(tmp_path, BASE.replace("5000", "900"))
    (tmp_path / "tradebot.toml").write_text(BASE + hook)
    assert "org/secret" in plan_rewrite(LoadOptions(), tmp_path, {}, wanted, None).text
    (tmp_path / "tradebot.toml").write_text("broken [")
    whole = plan_rewrite(LoadOptions(), tmp_path, {}, wanted, running)
    assert whole.is_whole
    assert "org/secret" in whole.text


def test_mode_and_a_link_stay_and_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    real = tmp_path / "real" / "bot.toml"
    real.parent.mkdir()
    real.write_text(BASE)
    real.chmod(0o640)
    link = tmp_path / "tradebot.toml"
    link.symlink_to(real)
    wanted = load(tmp_path, BASE.replace("5000", "900"))
    real.write_text(BASE)
    rewrite = plan_rewrite(LoadOptions(), tmp_path, {}, wanted, None)
    write_config(rewrite.path, rewrite.text)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert '"900" # text stays text' in real.read_text()
    if os.geteuid():
        real.parent.chmod(0o500)
        with pytest.raises(NotPermitted, match="cannot be written"):
            write_config(real, BASE)


def test_copies_are_made_of_what_is_new_and_only_so_many_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "tradebot.toml"
    assert keep_copy(tmp_path, [file], "20250101T000000Z") is None
    for number in range(60):
        file.write_text(f"# {number}\n")
        first = keep_copy(tmp_path, [file], f"20250101T0000{number // 2:02}Z")
        assert first is not None
        assert keep_copy(tmp_path, [file], "20260101T000000Z") == first
    kept = sorted((tmp_path / CONFIG_BACKUPS).iterdir())
    assert len(kept) == 50
    assert (kept[-1] / "tradebot.toml").read_text() == "# 59\n"
    assert kept[-1].stat().st_mode & 0o777 == 0o700
    assert (kept[-1] / "tradebot.toml").stat().st_mode & 0o777 == 0o600


def test_a_kill_in_the_middle_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    file = tmp_path / "bot.toml"
    texts = [f"# {letter}\n" + f"x = '{letter * 50}'\n" * 400 for letter in "ab"]
    file.write_text(texts[0])
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom tradebot.settings.rewriting import write_config\n"
        "texts = json.loads(sys.stdin.readline())\nprint('on', flush=True)\n"
        "while True:\n    for text in texts: write_config(Path(sys.argv[1]), text)\n"
    )
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(json.dumps(texts) + "\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "on\n"
            seen = file.stat().st_ino
            while file.stat().st_ino == seen:
                pass
            writer.send_signal(signal.SIGKILL)
        assert file.read_text() in texts
        assert tomllib.loads(file.read_text().partition("\n")[2].partition("\n")[0])["x"]
