"""What kind of market this is: trending or not, quiet or wild, each by its own recent past."""

from typing import NamedTuple

from tradebot.pipeline.patterns import atr
from tradebot.pipeline.patterns.arrays import Floats, floats
from tradebot.pipeline.patterns.atr import step as step_atr
from tradebot.pipeline.patterns.averages import MEAN, Mean, new_mean, push_mean
from tradebot.pipeline.patterns.directional import new_adx, step_adx

# Floats: the limits.
TREND_AT, WILD_AT, QUIET_AT = 0, 1, 2


class RegimePattern(NamedTuple):
    """The limits, and the kernels below; ``found`` is where those put what they find."""

    floats: Floats
    found: Floats
    adx: Floats
    ranges: Floats
    usual: Mean


def new_regime(n: int, slow: int, trend_at: float, wild_at: float, quiet_at: float) -> RegimePattern:
    """Return the state before the first bar. Raises ``ValueError`` unless ``quiet_at`` < ``wild_at``."""
    if quiet_at >= wild_at:
        raise ValueError(f"quiet_at is {quiet_at}, but must be below wild_at, {wild_at}")
    limits = floats(trend_at, wild_at, quiet_at)
    return RegimePattern(limits, floats(zeros=3), new_adx(n), atr.new_state(n), new_mean(slow))


def step_regime(state: RegimePattern, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give trend, volatility, the ADX, and the ATR in units of its own mean over ``slow`` bars.

    Trend is 1 or -1, by the greater of +DI and -DI, where the ADX is at least ``trend_at``, else 0. Volatility
    is 1 (wild) from ``wild_at`` on, -1 (quiet) up to ``quiet_at``, else 0; where nothing moves it is 0.
    """
    has_usual = 0
    if step_atr(state.ranges, state.found, o, h, lo, c, v):
        atr_now = state.found[0]
        has_usual = push_mean(state.usual, atr_now)
        usual = state.usual.floats[MEAN]
        out[3] = atr_now / usual if has_usual and usual > 0.0 else 1.0
    if not step_adx(state.adx, state.found, ts, o, h, lo, c, v) or not has_usual:
        return 0
    out[0] = 0.0
    if state.found[0] >= state.floats[TREND_AT]:
        out[0] = 1.0 if state.found[1] >= state.found[2] else -1.0
    out[1] = 0.0
    if out[3] >= state.floats[WILD_AT]:
        out[1] = 1.0
    elif out[3] <= state.floats[QUIET_AT]:
        out[1] = -1.0
    out[2] = state.found[0]
    return 1
