"""The JSON Schema says what the models say: it accepts what loads, and refuses what they refuse, where it can."""

import copy
import json
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.recovery.lab import write_config
from tradebot.model.errors import ConfigError
from tradebot.settings.build import build_limits
from tradebot.settings.check import check_settings
from tradebot.settings.init import Kind, init_text
from tradebot.settings.load import LoadOptions
from tradebot.settings.schema import json_schema
from tradebot.settings.toml import KeyPath, to_toml

CONFIG = Path(__file__).parents[2] / "config"
PROFILES = sorted(CONFIG.glob("*.toml"))
VALIDATOR = jsonschema.Draft7Validator(json_schema())
FULL = """
[bot]
symbols = ["BTC"]
[feed]
kind = "generated"
speed = 60
start = 2025-01-01T00:00:00Z
[venue]
starting_cash = "1e4"
volume_share = 0.5
[[strategy]]
kind = "sma_cross"
fast = 3
slow = 9
stop = { kind = "percent", percent = 1, trail = { kind = "atr", mult = 2 }, break_even = { at_r = 1 } }
target = { kind = "r", r = 2 }
max_hold = { bars = 5 }
regimes = ["range"]
[[strategy]]
kind = "bos_orderblock"
stop = { kind = "atr", trail = true }
target = "none"
[risk]
size = { kind = "risk_fraction", fraction = 0.01 }
drawdown_pct = [5, 10, 20]
daily_loss_pct = 5
max_trades_per_day = "off"
max_order_qty = { BTC = "2" }
[risk.scale]
volatility_pct = 10
kelly = { fraction = 0.5 }
[[instrument]]
symbol = "BTC"
lot = "1e-3"
[alerts]
url = "https://example.org/hook"
"""


def as_json(text: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(json.dumps(tomllib.loads(text), default=lambda one: datetime.isoformat(one)))
    return tree


def is_accepted(tree: dict[str, Any]) -> bool:
    return VALIDATOR.is_valid(tree)


def loads(folder: Path, tree: dict[str, Any]) -> bool:
    file = folder / "mutated.toml"
    file.write_text(to_toml(tree))
    try:
        loaded = LoadOptions((file,)).load(folder, {})
        check_settings(loaded)
        build_limits(loaded.settings.risk, loaded.settings.bot.mode)
    except ConfigError:
        return False
    return True


def test_it_is_a_schema_and_the_shipped_file_is_fresh() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())
    assert json.loads((CONFIG / "tradebot.schema.json").read_text()) == json_schema()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_it_accepts_every_shipped_profile(profile: Path) -> None:
    assert list(VALIDATOR.iter_errors(as_json(profile.read_text()))) == []


@pytest.mark.parametrize("kind", Kind)
def test_it_accepts_what_init_writes_which_names_it(kind: Kind) -> None:
    text = init_text(kind, {})
    assert text.startswith("#:schema ./tradebot.schema.json\n")
    assert list(VALIDATOR.iter_errors(as_json(text))) == []


def test_it_accepts_every_form_a_key_may_have(tmp_path: Path) -> None:
    assert list(VALIDATOR.iter_errors(as_json(FULL))) == []
    assert loads(tmp_path, tomllib.loads(FULL))
    assert is_accepted(as_json(write_config(tmp_path).read_text()))
    mine = as_json(FULL)
    mine["strategy"] = [{"kind": "mine.py:Mine", "anything": 3}]
    assert is_accepted(mine)


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def put(tree: Any, path: KeyPath, value: object) -> Any:
    tree = copy.deepcopy(tree)
    inner = tree
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return tree


def mutations(tree: dict[str, Any]) -> Iterator[tuple[KeyPath, object, dict[str, Any]]]:
    for path in paths(tree):
        node: Any = tree
        for part in path:
            node = node[part]
        if isinstance(node, dict) and path[-1:] != ("max_order_qty",):
            yield (*path, "unknwon"), 1, put(tree, (*path, "unknwon"), 1)
        if not path:
            continue
        wrong: list[object] = [{"a": [1]}]
        if path[0] != "strategy":
            # A strategy that takes a number takes true for 1.
            wrong.append(True)
        if isinstance(node, int | float) and not isinstance(node, bool):
            wrong += [-(10.0**30), 10.0**30, "three"]
        elif isinstance(node, str):
            wrong += [[3]]
        for value in wrong:
            yield path, value, put(tree, path, value)


def test_it_refuses_unknown_keys_wrong_types_and_ranges_as_the_models_do(tmp_path: Path) -> None:
    tree = as_json(FULL)
    tree["risk"].pop("drawdown_pct")
    differ = [
        (path, value)
        for path, value, mutated in mutations(tree)
        if is_accepted(mutated) is not loads(tmp_path, mutated)
    ]
    assert differ == []
