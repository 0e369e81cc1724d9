"""All that is measured of the market for one book, worked out once a day and asked for at any signal."""

from dataclasses import dataclass

from tradebot.pipeline.risk.measures.clusters import THRESHOLD, Cluster, Correlations, clusters, correlations
from tradebot.pipeline.risk.measures.daily import WINDOW_DAYS, DailyCloses, Panel
from tradebot.pipeline.risk.measures.moments import LAMBDA, deviation, weighted_deviation, weights


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRule:
    """Over how many daily returns, with what decay of correlations a day, and from which correlation on one bet."""

    window_days: int = WINDOW_DAYS
    decay: float = LAMBDA
    cluster_correlation: float = THRESHOLD


DEFAULT_MEASURES = MeasureRule()


class Measures:
    """Returns, correlations and clusters of the days that are over."""

    __slots__ = ("_correlations", "_measured", "_of", "_spreads", "_spreads_of", "daily", "rule")

    def __init__(self, rule: MeasureRule) -> None:
        self.rule = rule
        self.daily = DailyCloses(rule.window_days)
        # Of which panel the correlations are, and the last groups asked for with the symbols they are of.
        self._of: Panel | None = None
        self._correlations: Correlations = {}
        self._spreads_of: Panel | None = None
        self._spreads: dict[str, tuple[float, float]] = {}
        self._measured: tuple[frozenset[str], tuple[Cluster, ...]] = (frozenset(), ())

    @property
    def panel(self) -> Panel:
        """The daily returns by symbol."""
        return self.daily.panel()

    @property
    def correlations(self) -> Correlations:
        """The correlation of each pair of symbols that both have returns enough."""
        panel = self.panel
        if panel is not self._of:
            self._of, self._measured = panel, (frozenset(), ())
            self._correlations = correlations(panel.returns, self.rule.decay)
        return self._correlations

    def clusters(self, symbols: frozenset[str]) -> tuple[Cluster, ...]:
        """Return ``symbols`` in groups that move together; one that has too few returns stands alone."""
        pairs = self.correlations
        if self._measured[0] != symbols:
            self._measured = symbols, clusters(symbols, pairs, self.rule.cluster_correlation)
        return self._measured[1]

    def volatility(self, symbol: str) -> float | None:
        """Return the deviation of daily returns lately, weighted as correlations are; ``None`` of too few."""
        spreads = self._spread(symbol)
        return None if spreads is None else spreads[0]

    def usual_volatility(self, symbol: str) -> float | None:
        """Return the deviation of the daily returns of the whole window; ``None`` of too few."""
        spreads = self._spread(symbol)
        return None if spreads is None else spreads[1]

    def _spread(self, symbol: str) -> tuple[float, float] | None:
        panel = self.panel
        if panel is not self._spreads_of:
            self._spreads_of, self._spreads = panel, {}
        found = self._spreads.get(symbol)
        if found is None and symbol in panel.returns:
            returns = panel.returns[symbol]
            lately = weighted_deviation(returns, weights(len(returns), self.rule.decay))
            found = self._spreads[symbol] = lately, deviation(returns)
        return found
