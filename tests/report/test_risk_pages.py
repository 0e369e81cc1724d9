"""``risk`` as text in 80 columns and as a page of its own."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.report.test_risk_document import facts, held, read
from tradebot.pipeline.risk.limits import LimitUse
from tradebot.report.risk_html import risk_html
from tradebot.report.risk_text import risk_text


def use(limit: str, value: str, most: str, scope: str = "account") -> LimitUse:
    pct_used = Decimal(value) / Decimal(most) * 100
    return LimitUse(limit=limit, value=Decimal(value), max=Decimal(most), pct_used=pct_used, scope=scope)


@pytest.fixture
def document() -> dict[str, Any]:
    limits = (
        use("max_order_notional", "0", "5000"),
        use("max_leverage", "3.6", "4"),
        use("max_one", "9", "9", "BTC+ETH"),
    )
    books = facts(held("BTC", "250"), held("ETH", "-20", "donchian"), held("XRP", "90"), limits=limits)
    found = read(replace(books, max_leverage={"BTC": 40, "ETH": 25, "XRP": 20}))
    tripped = {"state": "tripped", "tier": 1, "value": 21.5, "threshold": 20, "since": 0, "way_back": "resume --reason"}
    found["breakers"] = [
        {"name": "drawdown_pct", **tripped},
        {"name": "daily_loss_pct", "state": "ok", "value": 0, "threshold": 5},
    ]
    found["sizing"] = {"drawdown_scale": 0.5, "kelly:cross": 0.02}
    return found


def test_the_text_fits_a_terminal_and_tells_what_is_nearest_its_limit_first(document: dict[str, Any]) -> None:
    lines = risk_text(document).splitlines()
    assert max(map(len, lines)) <= 80
    at = lines.index("Limits")
    assert [line.split()[0] for line in lines[at + 2 : at + 5]] == ["max_one", "max_leverage", "max_order_notional"]
    text = "\n".join(lines)
    for part in (
        "TRIPPED  drawdown_pct",
        "way back: resume --reason",
        "LIQUIDATED",
        "BTC ETH: 27,000.00 together",
        "the fall of 2021-05-19",
        "cornish-fisher 99 %",
        "of 60 daily returns",
        "drawdown scale  x 0.5",
        "kelly:cross     0.02 of equity at most",
    ):
        assert part in text


def test_many_positions_go_on_in_further_lines(document: dict[str, Any]) -> None:
    document["exposure"]["by_symbol"] = {f"COIN{number}": "12345.6" for number in range(12)}
    lines = risk_text(document).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("COIN" in line for line in lines) == 4


def test_colours_change_no_word(document: dict[str, Any]) -> None:
    painted = risk_text(document, colour=True)
    for code in ("31", "32", "33", "1", "0"):
        painted = painted.replace(f"\x1b[{code}m", "")
    assert painted == risk_text(document)


def test_the_page_needs_nothing_else_and_shows_every_part(document: dict[str, Any]) -> None:
    page = risk_html(document)
    for part in ("Limits", "Breakers", "Exposure", "One bad day", "Of which position", "What moves together", "Stress"):
        assert f"<h2>{part}" in page
    assert "http://" not in page
    assert "https://" not in page
    assert '<i class=bad style="width:90.0%">' in page


def test_many_symbols_that_move_together_fit_a_terminal_and_one_alone_is_no_cluster(document: dict[str, Any]) -> None:
    many = [f"COIN{number}" for number in range(20)]
    document["clusters"] = [{"symbols": many, "correlation": 0.81}, {"symbols": ["LONE"], "correlation": 1.0}]
    document["exposure"]["by_cluster"] = {"+".join(many): "5000"}
    lines = risk_text(document).splitlines()
    assert max(map(len, lines)) <= 80
    at = lines.index("Moves together")
    assert (
        " ".join(line.strip() for line in lines[at + 1 : at + 5]).strip()
        == f"0.81  {' '.join(many)}: 5,000.00 together"
    )
    page = risk_html(document)
    assert "COIN19" in page
    assert "LONE" not in page


def test_names_are_text_on_the_page(document: dict[str, Any]) -> None:
    document["limits"] = [{"limit": "<script>", "scope": "<b>", "value": "1", "max": "2", "pct_used": 50.0}]
    assert "<script>" not in risk_html(document)
    assert "<b>" not in risk_html(document)


def test_nothing_held_and_nothing_known_say_so() -> None:
    empty, new = risk_text(read(facts())), risk_text(read(facts(held("NEW", "1"))))
    assert "no limit is set" in empty
    assert "Stress" not in empty
    assert "not measured: fewer than 30 daily closes of NEW" in new
    assert "No limit is set." in risk_html({})
