"""The equity curve in as many points as a screen shows: of each stretch its lowest and highest, none invented."""

from collections.abc import Sequence

from tradebot.model.time import NANOS_PER_S
from tradebot.report.curve import Curve
from tradebot.report.metrics import time_weighted
from tradebot.report.shapes import Document, Json

_STRETCHES = 1_000
_UNIT = 10**8


def drawn_curve(curve: Curve) -> Document:
    """Return ``equity`` and ``underwater`` (percent below the peak, <= 0) as ``[epoch seconds, value]``.

    ``points`` is how many the curve has. Extremes stay where they were; what is left out lies between its neighbours.
    """
    values = time_weighted(curve.units, curve.deposits)
    below = _below_peak(values)
    size = max(1, -(-len(curve) // _STRETCHES))
    equity: dict[int, Json] = {}
    underwater: dict[int, Json] = {}
    for first in range(0, len(curve), size):
        places = range(first, min(first + size, len(curve)))
        for place in sorted(
            {first, min(places, key=curve.units.__getitem__), max(places, key=curve.units.__getitem__)}
        ):
            equity[curve.ts[place] // NANOS_PER_S] = curve.units[place] / _UNIT
        deepest = min(places, key=below.__getitem__)
        underwater[curve.ts[deepest] // NANOS_PER_S] = below[deepest]
    if curve:
        last = curve.ts[-1] // NANOS_PER_S
        equity[last], underwater[last] = curve.units[-1] / _UNIT, below[-1]
    return {
        "points": len(curve),
        "equity": [[ts, value] for ts, value in equity.items()],
        "underwater": [[ts, value] for ts, value in underwater.items()],
    }


def _below_peak(values: Sequence[float]) -> list[float]:
    peak = 0.0
    below = []
    for value in values:
        if value > peak:
            peak = value
        below.append((value / peak - 1) * 100 if peak > 0 else 0.0)
    return below
