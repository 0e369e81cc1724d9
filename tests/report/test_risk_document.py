"""What ``risk`` says: exposure by every cut, clusters, and what a bad day would cost."""

from decimal import Decimal
from typing import Any

import empyrical
import numpy as np
import orjson
import pytest

from tests.builders import cash, price, qty
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.holdings import OpenPosition
from tradebot.pipeline.risk.limits import LimitUse
from tradebot.pipeline.risk.measures.daily import DailyState
from tradebot.report.document import document
from tradebot.report.risk import RiskFacts, risk_document

DAYS = 61


def closes(seed: int, common: float = 0.0) -> tuple[Decimal, ...]:
    market, own = np.random.default_rng(0).normal(0, 0.03, DAYS), np.random.default_rng(seed).normal(0, 0.01, DAYS)
    path = 100 * np.cumprod(1 + common * market + own)
    return tuple(Decimal(repr(round(float(one), 4))) for one in path)


CLOSES = {"BTC": closes(1, 1.0), "ETH": closes(2, 1.0), "XRP": closes(3)}


def held(symbol: str, size: str, strategy: str = "cross") -> OpenPosition:
    return OpenPosition(
        symbol=symbol, strategy=strategy, qty=qty(size), cost=cash(Decimal(size) * 100), entry_ts=Nanos(0),
        entry_qty=qty(size).copy_abs(), entry_notional=cash(Decimal(size) * 100),
        low=price(100), high=price(100),
    )  # fmt: skip


def facts(
    *positions: OpenPosition, limits: tuple[LimitUse, ...] = (), known: tuple[str, ...] = tuple(CLOSES)
) -> RiskFacts:
    state = RiskState(
        starting_cash=cash(10_000), cash=cash(10_000), peak_equity=cash(10_000),
        marks={symbol: price(100) for symbol in (*CLOSES, "NEW")},
        positions={one.symbol: one for one in positions},
        daily=DailyState(day=DAYS, days=tuple(range(DAYS)), closes={name: CLOSES[name] for name in known}),
    )  # fmt: skip
    return RiskFacts(risk=state, limits=limits)


def read(books: RiskFacts) -> Any:
    return orjson.loads(document(risk_document(books)))


def test_exposure_is_cut_by_symbol_side_strategy_and_cluster() -> None:
    found = read(facts(held("BTC", "5"), held("ETH", "-2", "donchian"), held("XRP", "1")))
    assert found["exposure"] == {
        "gross": "800",
        "net": "400",
        "leverage": 0.08,
        "by_symbol": {"BTC": "500", "ETH": "-200", "XRP": "100"},
        "by_side": {"long": "600", "short": "200"},
        "by_strategy": {"cross": "600", "donchian": "200"},
        "by_cluster": {"BTC+ETH": "700", "XRP": "100"},
    }
    assert [one["symbols"] for one in found["clusters"]] == [["BTC", "ETH"], ["XRP"]]
    assert found["clusters"][0]["correlation"] > 0.7


def test_tails_are_those_of_the_returns_times_present_notionals() -> None:
    found = read(facts(held("BTC", "5"), held("XRP", "-3")))
    paths = {name: np.array(CLOSES[name], dtype=float) for name in CLOSES}
    returns = {name: path[1:] / path[:-1] - 1 for name, path in paths.items()}
    pnl = 500 * returns["BTC"] - 300 * returns["XRP"]
    assert [(row["method"], row["level"]) for row in found["var"]] == [
        (method, level) for method in ("historical", "parametric", "cornish_fisher") for level in (0.95, 0.99)
    ]
    assert {row["horizon_d"] for row in found["var"] + found["cvar"]} == {1}
    assert float(found["var"][0]["value"]) == pytest.approx(-np.percentile(pnl, 5), abs=1e-8)
    assert float(found["cvar"][0]["value"]) == pytest.approx(-empyrical.conditional_value_at_risk(pnl), abs=1e-8)
    assert found["var"][0]["pct"] == pytest.approx(-np.percentile(pnl, 5) / 100, abs=1e-4)
    assert found["measured"] == {"days": 60, "window_days": 90, "unmeasured": []}


def test_components_sum_and_a_hedge_takes_from_the_whole() -> None:
    found = read(facts(held("BTC", "5"), held("ETH", "-4"), held("XRP", "1")))
    by_symbol = {row["symbol"]: row for row in found["components"]}
    total = sum(float(row["var95"]) for row in by_symbol.values())
    assert total == pytest.approx(float(found["var"][2]["value"]), abs=1e-6)
    assert float(by_symbol["ETH"]["saved95"]) < 0


def test_a_book_with_a_symbol_that_is_not_known_long_enough_has_no_tails() -> None:
    found = read(facts(held("BTC", "5"), held("NEW", "1")))
    assert {row["value"] for row in found["var"] + found["cvar"]} == {None}
    assert found["measured"]["unmeasured"] == ["NEW"]
    assert found["components"] == []
    assert [one["symbols"] for one in found["clusters"]] == [["BTC"], ["NEW"]]


def test_an_empty_book_risks_nothing() -> None:
    found = read(facts())
    assert {row["value"] for row in found["var"] + found["cvar"]} == {"0"}
    assert found["exposure"]["gross"] == "0"
    assert found["clusters"] == []
