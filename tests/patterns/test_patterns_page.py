"""The page on patterns names all there is."""

from pathlib import Path

from tradebot.pipeline.patterns.events import KINDS
from tradebot.pipeline.patterns.indicator import INDICATORS
from tradebot.pipeline.patterns.params import PARAM_NAMES, PatternParams

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "patterns.md").read_text()


def test_every_kind_is_described():
    assert [kind for kind in KINDS if f"`{kind}`" not in PAGE] == []


def test_every_parameter_stands_with_its_default():
    rows = {
        row.split("|")[1].strip(" `"): row.split("|")[2].strip() for row in PAGE.splitlines() if row.startswith("| `")
    }
    assert {name: float(rows[name]) for name in PARAM_NAMES} == {n: getattr(PatternParams(), n) for n in PARAM_NAMES}


def test_every_indicator_stands_with_its_parameters_and_outputs():
    for name, spec in INDICATORS.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{key}` {value:g}" in row for key, value in spec.defaults.items()), name
        assert all(f"`{output}`" in row for output in spec.outputs), name
