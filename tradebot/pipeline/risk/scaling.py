"""What makes an entry smaller than its size rule says: one factor a rule, each in percent, none above 100.

They multiply, in the order of ``SCALES``. Each is rounded down, so that a measure never enlarges a size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import ClassVar, NamedTuple

from tradebot.model.money import ONE, ZERO, Cash, Price, book, from_float
from tradebot.model.position import RoundTrip
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.curve import EquityCurve
from tradebot.pipeline.risk.limits import ConfidenceScale, ScaleRule, SizeRule
from tradebot.pipeline.risk.measures.kelly import kelly
from tradebot.pipeline.risk.measures.measuring import Measures
from tradebot.pipeline.risk.measures.moments import deviation

ALL = Decimal(100)
RESULTS = 200
"""How many round trips of a strategy are remembered."""
_STEP = Decimal("1e-4")
_DAYS_A_YEAR = 365


class Scale(NamedTuple):
    """One factor: the name by which ``why`` shows it, and what is left of the size, in percent."""

    name: str
    pct: Decimal


@dataclass(frozen=True, slots=True)
class Asked:
    """An entry as its rule sizes it: worth ``notional``, of which ``at_risk`` is lost at its stop; > 0 both."""

    signal: Signal
    notional: Decimal
    at_risk: Decimal
    equity: Cash


class Scaling:
    """The scales of one book, and the results of its strategies that they need."""

    NAMES: ClassVar[Sequence[str]] = (
        "volatility_scale",
        "regime_scale",
        "kelly_scale",
        "risk_parity_scale",
        "drawdown_scale",
        "confidence_scale",
    )

    def __init__(self, rule: SizeRule, measures: Measures, curve: EquityCurve) -> None:
        self._rule: ScaleRule = rule.scales
        self._confidence = rule.scale
        self._measures = measures
        self._curve = curve
        self._results: dict[str, tuple[Cash, ...]] = {}
        # Of each strategy's results: Kelly's bet and their deviation. Asked for at every signal, changed by an exit.
        self._odds: dict[str, tuple[float | None, float]] = {}
        how: Sequence[Callable[[Asked], Decimal | None]] = (
            self._volatility,
            self._regime,
            self._kelly,
            self._risk_parity,
            self._drawdown,
            self._sureness,
        )
        wanted = (
            self._rule.volatility is not None,
            self._rule.regime,
            self._rule.kelly is not None,
            self._rule.risk_parity,
            self._rule.drawdown is not None,
            self._confidence is not ConfidenceScale.NONE,
        )
        self._scales = [(name, one) for name, one, is_on in zip(self.NAMES, how, wanted, strict=True) if is_on]

    def __bool__(self) -> bool:
        return bool(self._scales)

    @property
    def results(self) -> Mapping[str, tuple[Cash, ...]]:
        """What the last round trips of each strategy would have earned at their whole size, the oldest first."""
        return self._results

    def load(self, results: Mapping[str, tuple[Cash, ...]]) -> None:
        """Take over what was remembered."""
        self._results = dict(results)
        self._odds = {name: _odds(earned) for name, earned in results.items()}

    def on_round_trip(self, trip: RoundTrip, enlarged: Decimal) -> None:
        """Remember what ``trip`` would have earned at the size that its rule asked for, ``enlarged`` times its own.

        Else each factor would chase its own work: odds look bad while small wins follow large losses, and results
        spread less only because they were made smaller.
        """
        if self._rule.kelly is not None or self._rule.risk_parity:
            whole = trip.net_pnl if enlarged == ONE else book(trip.net_pnl * enlarged)
            earned = (*self._results.get(trip.strategy, ()), whole)[-RESULTS:]
            self._results[trip.strategy], self._odds[trip.strategy] = earned, _odds(earned)

    def scales(self, asked: Asked) -> Iterator[Scale]:
        """Yield what makes the entry smaller, in order."""
        for name, how in self._scales:
            pct = how(asked)
            if pct is not None and pct < ALL:
                yield Scale(name, max(ZERO, pct))

    def standing(self, equity: Cash, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        """Return the factors that hold now, in percent, by name: of the account, a symbol or a strategy.

        Of ``kelly`` it is what may be risked at a stop, of ``volatility`` what may be held, in percent of equity.
        """
        found: dict[str, Decimal | None] = {}
        if self._rule.drawdown is not None:
            found["drawdown_scale"] = self._lowered(equity)
        for symbol in symbols:
            if self._rule.volatility is not None:
                found[f"volatility:{symbol}"] = self._room(symbol)
            if self._rule.regime:
                found[f"regime_scale:{symbol}"] = self._calm(symbol)
        for strategy in sorted(self._results):
            if self._rule.kelly is not None:
                found[f"kelly:{strategy}"] = self._edge(strategy)
            if self._rule.risk_parity:
                found[f"risk_parity_scale:{strategy}"] = self._evened(strategy)
        return {name: pct for name, pct in found.items() if pct is not None}

    def _volatility(self, asked: Asked) -> Decimal | None:
        room = self._room(asked.signal.symbol)
        return None if room is None else _down(room * asked.equity / asked.notional)

    def _room(self, symbol: str) -> Decimal | None:
        """Return what may be held of ``symbol``, in percent of equity."""
        volatility = self._measures.volatility(symbol)
        if self._rule.volatility is None or volatility is None or volatility <= 0:
            return None
        return _percent(float(self._rule.volatility) / (volatility * _DAYS_A_YEAR**0.5))

    def _regime(self, asked: Asked) -> Decimal | None:
        return self._calm(asked.signal.symbol)

    def _calm(self, symbol: str) -> Decimal | None:
        """Return how calm the window was against the last days."""
        now, usual = self._measures.volatility(symbol), self._measures.usual_volatility(symbol)
        return None if now is None or usual is None or now <= 0 else min(ALL, _percent(usual / now))

    def _kelly(self, asked: Asked) -> Decimal | None:
        most = self._edge(asked.signal.strategy)
        if most is None or self._rule.kelly is None:
            return None
        # A strategy that lost lately goes on small: without results there would be no way back.
        return max(self._rule.kelly.least * ALL, _down(most * asked.equity / asked.at_risk))

    def _edge(self, strategy: str) -> Decimal | None:
        """Return what a fraction of Kelly's bet risks, percent of equity >= 0; ``None`` where it is unknown."""
        rule, results = self._rule.kelly, self._results.get(strategy, ())
        if rule is None or len(results) < rule.min_trades:
            return None
        bet = self._odds[strategy][0]
        if bet is None:
            return ZERO if any(one < 0 for one in results) else None
        return max(ZERO, min(rule.most * ALL, _percent(bet * float(rule.fraction))))

    def _risk_parity(self, asked: Asked) -> Decimal | None:
        return self._evened(asked.signal.strategy)

    def _evened(self, strategy: str) -> Decimal | None:
        """Return the spread of results of the steadiest strategy against this one's."""
        spreads = {
            name: self._odds[name][1]
            for name, results in self._results.items()
            if len(results) >= self._rule.min_trades
        }
        own = spreads.get(strategy, 0.0)
        return None if own <= 0 else _percent(min(spreads.values()) / own)

    def _drawdown(self, asked: Asked) -> Decimal | None:
        return self._lowered(asked.equity)

    def _lowered(self, equity: Cash) -> Decimal | None:
        """Return what the fall below the peak leaves: all up to its beginning, then evenly less."""
        rule, peak = self._rule.drawdown, self._curve.peak
        if rule is None or peak <= 0:
            return None
        fallen = (peak - equity) / peak * ALL
        if fallen <= rule.from_pct:
            return ALL
        way = min(Decimal(1), (fallen - rule.from_pct) / (rule.to_pct - rule.from_pct))
        return _down(ALL * (1 - way * (1 - rule.least)))

    def _sureness(self, asked: Asked) -> Decimal | None:
        confidence = asked.signal.confidence
        return None if confidence is None else from_float(confidence)


def at_risk(signal: Signal, price: Price) -> Decimal:
    """Return what one unit loses at its stop; all of its price where it has none."""
    return price if signal.stop is None else abs(price - signal.stop) or price


def _odds(earned: Sequence[Cash]) -> tuple[float | None, float]:
    amounts = [float(one) for one in earned]
    return kelly(amounts), deviation(amounts)


def _percent(part: float) -> Decimal:
    return from_float(part * 100).quantize(_STEP, ROUND_FLOOR)


def _down(pct: Decimal) -> Decimal:
    return pct.quantize(_STEP, ROUND_FLOOR)
