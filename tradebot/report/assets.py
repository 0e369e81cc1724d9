"""What pages are made of beside their numbers: styles, scripts, and the chart library, which is shipped with them."""

from functools import cache
from importlib.resources import files

CHARTS = ("lightweight-charts.js", "chart.js")
"""The scripts that every chart needs, in order."""


@cache
def asset(name: str) -> str:
    """Return the text of a file in ``web``."""
    return files("tradebot.report").joinpath("web", name).read_text(encoding="utf-8")


def chart_notice() -> str:
    """Return whose the chart library is: its licence asks that pages say so."""
    name, owner = asset("lightweight-charts.NOTICE").splitlines()[:2]
    return f"{name}, {owner}, Apache-2.0"
