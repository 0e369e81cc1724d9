"""The document of ``risk``: every limit, what the book is exposed to, and what a bad day would cost it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tradebot.model.money import ZERO, Cash, book, from_float, plain
from tradebot.model.time import to_ms
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.breakers.base import BreakerView
from tradebot.pipeline.risk.limits import LimitUse
from tradebot.pipeline.risk.measures.clusters import Cluster
from tradebot.pipeline.risk.measures.measuring import DEFAULT_MEASURES, MeasureRule, Measures
from tradebot.pipeline.risk.measures.tails import HORIZON_DAYS, LEVELS, Tail, TailMethod, as_loss, marginal, tail
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.risk.stress import AtRisk, stress
from tradebot.report.breakers import breaker_rows
from tradebot.report.shapes import Document, Json
from tradebot.report.views import limit_rows

_ALL = 100
_HISTORICAL = TailMethod.HISTORICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFacts:
    """What the document is made of: the book, and what the stage says of its limits and breakers.

    ``max_leverage`` is what the venue allows of each held symbol.
    """

    risk: RiskState
    limits: Sequence[LimitUse]
    breakers: Sequence[BreakerView] = ()
    measured: MeasureRule = DEFAULT_MEASURES
    max_leverage: Mapping[str, int] = field(default_factory=dict)
    sizing: Mapping[str, Decimal] = field(default_factory=dict)


def risk_facts(stage: RiskStage) -> RiskFacts:
    """Return what ``stage`` knows."""
    return RiskFacts(
        risk=stage.save(),
        limits=stage.limits_view(),
        breakers=stage.breakers_view(),
        measured=stage.measured,
        sizing=stage.sizing_view(),
        max_leverage={symbol: stage.instrument(symbol).max_leverage for symbol in stage.positions},
    )


def risk_document(books: RiskFacts) -> Document:
    """Return what may be sent and why, each limit, and what is held, measured."""
    state = books.risk
    measures = Measures(books.measured)
    measures.daily.load(state.daily)
    notionals = {symbol: p.qty * state.marks[symbol] for symbol, p in sorted(state.positions.items())}
    groups = measures.clusters(frozenset(notionals))
    return {
        "state": str(state.trading_state),
        "reason": state.state_reason,
        "as_of": to_ms(state.market_ts),
        "equity": plain(book(state.equity)),
        "peak_equity": plain(book(state.peak_equity)),
        "drawdown_pct": float(state.drawdown * _ALL),
        "max_drawdown_pct": float(state.max_drawdown * _ALL),
        "limits": limit_rows(books.limits),
        **_tails(measures, notionals, state.equity, books.limits),
        "exposure": _exposure(state, notionals, groups),
        "breakers": breaker_rows(books.breakers),
        "clusters": [{"symbols": list(group.symbols), "correlation": round(group.correlation, 6)} for group in groups],
        "stress": _stress(books, measures, notionals),
        "sizing": {name: float(pct) / _ALL for name, pct in books.sizing.items()},
        "signals": state.signals,
        "refused": state.refused,
        "waiting_entries": _waiting(state),
        # As it stands in ``status``.
        "risk": limit_rows(books.limits),
    }


def _tails(
    measures: Measures, notionals: Mapping[str, Decimal], equity: Cash, limits: Iterable[LimitUse]
) -> Mapping[str, Json]:
    """Return value at risk and expected shortfall; ``None`` each while a held symbol has too few daily returns."""
    panel = measures.panel
    pnl = panel.pnl({symbol: float(notional) for symbol, notional in notionals.items()})
    most = {use.limit: use.max for use in limits}
    var: list[Json] = []
    cvar: list[Json] = []
    for method in TailMethod:
        for level in LEVELS:
            found = None if pnl is None else tail(pnl, method, level) if pnl else Tail(0.0, 0.0)
            row: Document = {"method": str(method), "level": level, "horizon_d": HORIZON_DAYS}
            for name, rows, value in (
                ("var", var, None if found is None else found.var),
                ("cvar", cvar, None if found is None else found.cvar),
            ):
                limit = most.get(f"max_{name}{round(level * _ALL)}")
                rows.append({**row, **_loss(value, equity), "max": None if limit is None else plain(limit)})
    return {
        "var": var,
        "cvar": cvar,
        "components": _components(measures, notionals, pnl),
        "measured": {
            "days": 0 if not pnl else len(pnl),
            "window_days": measures.rule.window_days,
            "unmeasured": [symbol for symbol in notionals if symbol not in panel.returns],
        },
    }


def _loss(value: float | None, equity: Cash) -> Document:
    if value is None:
        return {"value": None, "pct": None}
    return {"value": plain(as_loss(value)), "pct": round(value / float(equity) * _ALL, 4) if equity > 0 else None}


def _components(measures: Measures, notionals: Mapping[str, Decimal], pnl: Sequence[float] | None) -> list[Json]:
    """Return of which symbol how much of the parametric VaR is, a hedge takes from it; and what closing it would save.

    What it would save is of the historical one.
    """
    if not pnl:
        return []
    panel, rows = measures.panel, list[Json]()
    for symbol, notional in notionals.items():
        returns = panel.returns[symbol][-len(pnl) :]
        without = panel.added(pnl, symbol, -float(notional)) or ()
        row: dict[str, Json] = {"symbol": symbol}
        for level in LEVELS:
            name = f"{round(level * _ALL)}"
            saved = tail(pnl, _HISTORICAL, level).var - tail(without, _HISTORICAL, level).var
            row[f"var{name}"] = _signed(marginal(pnl, returns, level) * float(notional))
            row[f"saved{name}"] = _signed(saved)
        rows.append(row)
    return rows


def _signed(amount: float) -> str:
    return plain(book(from_float(amount)))


def _exposure(state: RiskState, notionals: Mapping[str, Decimal], groups: tuple[Cluster, ...]) -> Document:
    gross = sum((abs(one) for one in notionals.values()), ZERO)
    long = sum((one for one in notionals.values() if one > 0), ZERO)
    by_strategy: dict[str, Decimal] = {}
    for symbol, notional in notionals.items():
        strategy = state.positions[symbol].strategy
        by_strategy[strategy] = by_strategy.get(strategy, ZERO) + abs(notional)
    by_cluster = {"+".join(g.symbols): sum((abs(notionals[one]) for one in g.symbols), ZERO) for g in groups}
    return {
        "gross": plain(book(gross)),
        "net": plain(book(2 * long - gross)),
        "leverage": float(round(gross / state.equity, 6)) if state.equity > 0 else None,
        "by_symbol": _amounts(notionals),
        "by_side": _amounts({"long": long, "short": gross - long}),
        "by_strategy": _amounts(by_strategy),
        "by_cluster": _amounts(by_cluster),
    }


def _stress(books: RiskFacts, measures: Measures, notionals: Mapping[str, Decimal]) -> list[Json]:
    state, equity = books.risk, books.risk.equity
    held = [
        AtRisk(
            symbol=symbol,
            notional=notional,
            mark=state.marks[symbol],
            stop=state.stops.get(symbol),
            max_leverage=books.max_leverage.get(symbol, 1),
        )
        for symbol, notional in notionals.items()
    ]
    return [
        {
            "scenario": one.scenario,
            "loss": plain(one.loss),
            "loss_pct": float(round(one.loss / equity * _ALL, 4)) if equity > 0 else None,
            "liquidated": one.liquidated,
            "headroom": plain(one.headroom),
        }
        for one in stress(held, equity, measures.panel)
    ]


def _amounts(amounts: Mapping[str, Decimal]) -> Document:
    return {name: plain(book(amount)) for name, amount in amounts.items()}


def _waiting(state: RiskState) -> list[Json]:
    return [
        {
            "signal_id": entry.signal_id,
            "symbol": entry.symbol,
            "strategy": entry.strategy,
            "qty": plain(entry.qty),
            "price": plain(entry.price),
        }
        for entry in state.entries.values()
    ]
