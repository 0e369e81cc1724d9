"""Buying and holding what was traded, beside the run: what the market alone would have brought.

The starting equity is split evenly over the symbols; each part buys at its symbol's first open and is held, without
fees or funding. Days are those of the report. Alpha and beta as empyrical-reloaded has them, to 1e-9.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

from tradebot.model.market import Bar
from tradebot.model.time import DAY, NANOS_PER_MS
from tradebot.report.metrics import PERIODS, daily_returns, max_drawdown, sharpe
from tradebot.report.shapes import Document, Json


class Closes:
    """The first open of each symbol, and its last close at or before each UTC midnight and at the end.

    With ``symbols`` given it looks no further once it has seen them all.
    """

    def __init__(self, symbols: Collection[str] | None = None) -> None:
        self._wanted = symbols
        self._opens: dict[str, float] = {}
        self._now: dict[str, float] = {}
        self._midnight = 0
        self._midnights: list[tuple[int, Mapping[str, float]]] = []

    def take(self, bars: Sequence[Bar]) -> None:
        """Take bars in order of their closing times."""
        if not self._midnight and bars:
            self._midnight = _next_midnight(bars[0].ts_open)
        if self._wanted is None or len(self._opens) < len(self._wanted):
            for bar in bars:
                if bar.symbol not in self._opens:
                    self._opens[bar.symbol] = float(bar.open)
        while bars and bars[-1].ts_event >= self._midnight:
            # A bar that closes at midnight belongs to the day before.
            first_later = bisect_left(bars, self._midnight + 1, key=_closing)
            self._note(bars[:first_later])
            bars = bars[first_later:]
            self._midnights.append((self._midnight, self._now.copy()))
            self._midnight += DAY
        self._note(bars)

    @property
    def symbols(self) -> list[str]:
        """What is held: the symbols that have bars."""
        return sorted(self._opens)

    def worths(self) -> list[tuple[int, float]]:
        """Return what one unit of money is worth at each midnight, in nanoseconds."""
        return [(ts, self._worth(closes)) for ts, closes in self._midnights]

    def worth(self) -> float:
        """Return what one unit of money is worth at the end."""
        return self._worth(self._now)

    def _worth(self, closes: Mapping[str, float]) -> float:
        # What has no bar yet is still cash.
        parts = [closes[symbol] / opened if symbol in closes else 1.0 for symbol, opened in self._opens.items()]
        return math.fsum(parts) / len(parts) if parts else 1.0

    def _note(self, bars: Sequence[Bar]) -> None:
        seen: dict[str, float] = {}
        # The newest bars first: of a single series one look is enough.
        for bar in reversed(bars):
            if bar.symbol not in seen:
                seen[bar.symbol] = float(bar.close)
                if len(seen) == len(self._opens):
                    break
        self._now |= seen


def benchmark(closes: Closes, daily: Sequence[tuple[int, float]]) -> Document:
    """Return how the run, whose ``daily`` returns are ``(midnight in ms, return)``, stands beside holding."""
    worths = closes.worths()
    held = [1.0, *(worth for _, worth in worths)]
    by_day = dict(zip((ts // NANOS_PER_MS for ts, _ in worths), daily_returns(held) or (), strict=False))
    pairs = [(own, by_day[ts]) for ts, own in daily if ts in by_day]
    fall = max_drawdown([*held, closes.worth()])
    return {
        "symbols": closes.symbols,
        "return_pct": (closes.worth() - 1) * 100,
        "max_drawdown_pct": None if fall is None else fall * 100,
        "sharpe": sharpe(list(by_day.values())),
        **alpha_beta(pairs),
        "days": len(pairs),
        "daily": [[ts // NANOS_PER_MS, worth] for ts, worth in worths],
    }


def alpha_beta(pairs: Sequence[tuple[float, float]]) -> Mapping[str, Json]:
    """Return ``alpha`` (a year), ``beta`` and ``correlation`` of pairs of own and market returns."""
    nothing: Document = {"alpha": None, "beta": None, "correlation": None}
    if len(pairs) < 2:
        return nothing
    own_mean = math.fsum(own for own, _ in pairs) / len(pairs)
    mean = math.fsum(market for _, market in pairs) / len(pairs)
    together = math.fsum((own - own_mean) * (market - mean) for own, market in pairs)
    spread = math.fsum((market - mean) ** 2 for _, market in pairs)
    own_spread = math.fsum((own - own_mean) ** 2 for own, _ in pairs)
    if not spread:
        return nothing
    beta = together / spread
    mean_alpha = math.fsum(own - beta * market for own, market in pairs) / len(pairs)
    return {
        "alpha": math.expm1(PERIODS * math.log1p(mean_alpha)) if mean_alpha > -1 else None,
        "beta": beta,
        "correlation": together / math.sqrt(spread * own_spread) if own_spread else None,
    }


def _next_midnight(ts: int) -> int:
    return ts - ts % DAY + DAY


def _closing(bar: Bar) -> int:
    return bar.ts_event
