import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tradebot.settings.layers import Layer, lay_over
from tradebot.settings.toml import KeyPath, Locator, to_toml

keys = st.sampled_from(["a", "b", "c", "kind", "feed", "a b", "é.x"])
scalars = st.one_of(
    st.integers(-(10**6), 10**6),
    st.booleans(),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.decimals(-100, 100, places=3),
)
inline = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
trees = st.dictionaries(keys, st.dictionaries(keys, inline, max_size=3) | inline, max_size=4)


def paths(value: object, path: KeyPath = ()) -> list[KeyPath]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    if isinstance(value, list):
        items = list(enumerate(value))
    return [(*path, key) for key, _ in items] + [found for key, item in items for found in paths(item, (*path, key))]


def merge(lower: Mapping[str, object], upper: Mapping[str, object]) -> Mapping[str, object]:
    """Return the tree of ``upper`` over ``lower``."""
    return lay_over(Layer(lower), Layer(upper)).tree


@given(trees)
def test_nothing_over_a_tree_and_a_tree_over_nothing_are_the_tree(tree: dict[str, object]) -> None:
    assert merge(tree, {}) == tree
    assert merge({}, tree) == tree


@given(trees, trees)
def test_a_layer_laid_twice_is_laid_once(lower: dict[str, object], upper: dict[str, object]) -> None:
    once = merge(lower, upper)
    assert merge(once, upper) == once


@given(trees, trees)
def test_what_the_upper_layer_says_holds_and_the_lower_keeps_the_rest(
    lower: dict[str, object], upper: dict[str, object]
) -> None:
    merged = merge(lower, upper)
    assert set(merged) == set(lower) | set(upper)
    for key, value in merged.items():
        if key not in upper:
            assert value == lower[key]
        elif not isinstance(upper[key], dict):
            assert value == upper[key]


@given(trees, trees)
def test_origins_name_only_what_is_left_of_each_layer(lower: dict[str, object], upper: dict[str, object]) -> None:
    layers = [Layer(tree, dict.fromkeys(paths(tree), name)) for tree, name in ((lower, "lower"), (upper, "upper"))]
    merged = lay_over(*layers)
    assert set(merged.origins) == set(paths(merged.tree))


def test_digits_reach_into_an_array_and_may_append_one() -> None:
    assert merge({"s": [{"x": 1}]}, {"s": {"0": {"y": 2}, "1": {"z": 3}}}) == {"s": [{"x": 1, "y": 2}, {"z": 3}]}
    assert merge({}, {"data": {"0": "x"}}) == {"data": ["x"]}


@given(trees)
def test_toml_text_reads_back_to_the_tree(tree: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(tree), parse_float=Decimal) == tree


@given(trees)
def test_the_locator_finds_every_path(tree: dict[str, object]) -> None:
    text = to_toml(tree)
    found = Locator(text).lines()
    assert set(paths(tomllib.loads(text, parse_float=Decimal))) == set(found)


def test_the_locator_finds_the_line_of_everything() -> None:
    text = '''# head
top = """a
[not.a.table]
""" # tail
"quoted.key".sub = 1
[bot] # comment
symbols = [
  "BTC", # one
  'ETH',
]
[[strategy]]
kind = 'a'
stop = { kind = "atr", n = 3 }
[strategy.extra]
deep = [{ x = 1 }, { y = [
  2,
] }]
[[strategy]]
kind = "b"
'''
    tree = tomllib.loads(text)
    lines = Locator(text).lines()
    assert set(lines) == set(paths(tree))
    assert lines["top",] == 2
    assert lines["quoted.key", "sub"] == 5
    assert lines["bot", "symbols", 1] == 9
    assert lines["strategy", 0, "stop", "n"] == 13
    assert lines["strategy", 0, "extra", "deep", 1, "y", 0] == 16
    assert lines["strategy", 1] == 18
    assert lines["strategy", 1, "kind"] == 19
