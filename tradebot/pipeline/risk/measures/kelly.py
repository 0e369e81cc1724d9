"""Kelly's bet, from results."""

from collections.abc import Sequence
from math import fsum


def kelly(results: Sequence[float]) -> float | None:
    """Return ``W - (1 - W) / (average win / average loss)``: the part of equity to risk, < 0 where the odds are bad.

    ``W`` is the part of ``results`` that won; one of 0 lost nothing and did not win. ``None`` where none won or none
    lost.
    """
    wins, losses = [one for one in results if one > 0], [one for one in results if one < 0]
    if not wins or not losses:
        return None
    won = len(wins) / len(results)
    ratio = (fsum(wins) / len(wins)) / -(fsum(losses) / len(losses))
    return won - (1 - won) / ratio
