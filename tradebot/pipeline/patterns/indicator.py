"""Indicators by name: their parameters, what they give, and one bar after the other."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tradebot.pipeline.patterns import atr, averages, bands, directional, oscillators, regime, vwap
from tradebot.pipeline.patterns.arrays import Floats, Ints, SavedArrays, floats, load_arrays, save_arrays
from tradebot.pipeline.patterns.atr import step as step_range
from tradebot.pipeline.patterns.params import BadParameter, Number

_MOST_BARS = 1_000_000


class IndicatorSpec(NamedTuple):
    """An indicator: its kernel, the state before the first bar, what it gives, and its defaults."""

    step: Callable[..., int]
    new_state: Callable[..., object]
    outputs: tuple[str, ...]
    defaults: Mapping[str, Number]


def step_atr(ranges: Floats, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give the average true range."""
    return step_range(ranges, out, o, h, lo, c, v)


def step_indicator(state: object, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Stand where ``run`` calls a kernel; whoever compiles ``run`` puts that kernel here."""
    raise NotImplementedError


def run(
    state: object, out: Floats, found: "list[Floats]", is_defined: Ints, ts: Ints,
    o: Floats, h: Floats, lo: Floats, c: Floats, v: Floats,
) -> None:  # fmt: skip
    """Take in all bars; write what is found for each, a row a bar."""
    for at in range(len(ts)):
        if step_indicator(state, out, ts[at], o[at], h[at], lo[at], c[at], v[at]):
            is_defined[at] = 1
            for place in range(len(out)):
                found[at][place] = out[place]


_BANDS = ("upper", "middle", "lower")
INDICATORS: Mapping[str, IndicatorSpec] = {
    "sma": IndicatorSpec(averages.step_sma, averages.new_mean, ("sma",), {"n": 20}),
    "ema": IndicatorSpec(averages.step_ema, averages.new_ema, ("ema",), {"n": 20}),
    "macd": IndicatorSpec(
        averages.step_macd, averages.new_macd, ("macd", "signal", "histogram"), {"fast": 12, "slow": 26, "signal": 9}
    ),
    "rsi": IndicatorSpec(oscillators.step_rsi, oscillators.new_rsi, ("rsi",), {"n": 14}),
    "stochastic": IndicatorSpec(
        oscillators.step_stochastic, oscillators.new_stochastic, ("k", "d"), {"fastk": 5, "slowk": 3, "slowd": 3}
    ),
    "atr": IndicatorSpec(step_atr, atr.new_state, ("atr",), {"n": 14}),
    "bollinger": IndicatorSpec(bands.step_bollinger, bands.new_bollinger, _BANDS, {"n": 20, "deviations": 2.0}),
    "donchian": IndicatorSpec(bands.step_donchian, bands.new_donchian, _BANDS, {"n": 20}),
    "adx": IndicatorSpec(directional.step_adx, directional.new_adx, ("adx", "plus_di", "minus_di"), {"n": 14}),
    "vwap": IndicatorSpec(vwap.step_vwap, vwap.new_vwap, ("vwap",), {}),
    "regime": IndicatorSpec(
        regime.step_regime,
        regime.new_regime,
        ("trend", "volatility", "adx", "atr_ratio"),
        {"n": 14, "slow": 100, "trend_at": 25.0, "wild_at": 1.5, "quiet_at": 0.67},
    ),
}


class Indicator:
    """An indicator on one series of bars. Raises ``BadParameter``.

    >>> mean = Indicator("sma", n=2)
    >>> [mean.take(0, x, x, x, x, 1.0) for x in (1.0, 2.0, 4.0)]
    [None, (1.5,), (3.0,)]
    """

    def __init__(self, name: str, **params: Number) -> None:
        self.spec = spec_of(name)
        self._state = new_state(name, params)
        self._out = floats(zeros=len(self.spec.outputs))

    def take(self, ts_ms: int, o: float, h: float, lo: float, c: float, v: float) -> tuple[float, ...] | None:
        """Take in the bar that opened at ``ts_ms``; return the values named by ``spec.outputs``, or ``None``."""
        is_defined = self.spec.step(self._state, self._out, ts_ms, o, h, lo, c, v)
        return tuple(self._out) if is_defined else None

    def save(self) -> SavedArrays:
        """Return the state, exactly."""
        return save_arrays(self._state)

    def load(self, state: SavedArrays) -> None:
        """Become what ``save`` saw of an indicator with the same name and parameters."""
        self._state = load_arrays(self._state, state)


def spec_of(name: str) -> IndicatorSpec:
    """Return the indicator of that name. Raises ``BadParameter``."""
    if name not in INDICATORS:
        raise BadParameter(f"there is no indicator {name}", mend=f"one of: {', '.join(INDICATORS)}")
    return INDICATORS[name]


def new_state(name: str, params: Mapping[str, object]) -> object:
    """Return the state of an indicator before the first bar. Raises ``BadParameter``."""
    spec = spec_of(name)
    for key, value in params.items():
        if key not in spec.defaults:
            raise BadParameter(f"{name} has no parameter {key}", mend=f"one of: {', '.join(spec.defaults) or 'none'}")
        _check(key, value, is_whole=isinstance(spec.defaults[key], int))
    try:
        return spec.new_state(**{**spec.defaults, **params})
    except ValueError as error:
        raise BadParameter(str(error)) from error


def _check(key: str, value: object, *, is_whole: bool) -> None:
    if is_whole and (type(value) is not int or not 1 <= value <= _MOST_BARS):
        raise BadParameter(f"{key} is {value}, but must be a whole number from 1 to {_MOST_BARS}")
    if not is_whole and (type(value) not in (int, float) or not 0 <= value <= 1e9):  # type: ignore[operator]
        raise BadParameter(f"{key} is {value}, but must be a number from 0 to 1e9")
