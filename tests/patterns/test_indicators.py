"""The indicators equal TA-Lib's and talipp's where those define them, and are finite everywhere."""

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.patterns.series import MINUTE_MS, read_bars, real_files, walk, walks
from tradebot.model.errors import UsageError
from tradebot.pipeline.patterns.indicator import INDICATORS, Indicator
from tradebot.store.codec import decode, encode

# In TA-Lib's terms, with the columns it takes; o, h, l, c, v.
TALIB = {
    "sma": ("SMA", "c", {"timeperiod": 20}),
    "ema": ("EMA", "c", {"timeperiod": 20}),
    "macd": ("MACD", "c", {}),
    "rsi": ("RSI", "c", {"timeperiod": 14}),
    "stochastic": ("STOCH", "hlc", {}),
    "atr": ("ATR", "hlc", {"timeperiod": 14}),
    "bollinger": ("BBANDS", "c", {"timeperiod": 20}),
    "adx": ("ADX", "hlc", {"timeperiod": 14}),
}


def outputs(name, bars, **params):
    indicator = Indicator(name, **params)
    return [indicator.take(t * MINUTE_MS, *bar) for t, bar in enumerate(bars)]


def compare_with_talib(name, bars):
    talib, numpy = pytest.importorskip("talib"), pytest.importorskip("numpy")
    function, wanted, params = TALIB[name]
    columns = dict(zip("ohlcv", (numpy.array(column) for column in zip(*bars, strict=True)), strict=True))
    theirs = getattr(talib, function)(*(columns[key] for key in wanted), **params)
    if name == "adx":
        theirs = (
            theirs,
            *(getattr(talib, f)(*(columns[key] for key in wanted), **params) for f in ("PLUS_DI", "MINUS_DI")),
        )
    theirs = theirs if isinstance(theirs, (tuple, list)) else (theirs,)
    assert len(theirs) == len(INDICATORS[name].outputs)
    ours = outputs(name, bars)
    price = max(abs(bar[3]) for bar in bars)
    for t, mine in enumerate(ours):
        if mine is None:
            assert math.isnan(theirs[0][t]), (name, t)
            continue
        for value, series in zip(mine, theirs, strict=True):
            # What is a difference of prices or averages is as exact as those.
            scale = price if name in {"macd", "bollinger"} else 0.0
            assert value == pytest.approx(series[t], rel=1e-9, abs=1e-11 + scale * 1e-9), (name, t)


@pytest.mark.parametrize("name", TALIB)
def test_indicators_equal_talib_on_random_walks(name):
    for seed, grid in ((1, 0.0), (2, 1.0), (3, 0.5)):
        compare_with_talib(name, walk(seed, 400, grid))


@pytest.mark.parametrize("name", TALIB)
def test_indicators_equal_talib_on_real_bars(name):
    for path in real_files():
        if path.name.startswith(("hl_BTC_1h", "hl_DOGE_4h", "btpy_GOOG", "ft_ETH", "fx_USDJPY")):
            compare_with_talib(name, read_bars(path, 3000))


def vectors():
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA names no folder with talipp's vectors")
    return json.loads((Path(folder) / "vectors" / "talipp_expected.json").read_text())


# talipp begins its MACD with the first close and its ATR with the first bar's range, TA-Lib and we do not.
TALIPP = {
    "SMA(20, self.input_values)": ("sma", {"n": 20}, {"": 0}),
    "EMA(20, self.input_values)": ("ema", {"n": 20}, {"": 0}),
    "RSI(20, self.input_values)": ("rsi", {"n": 20}, {"": 0}),
    "BB(5, 2, self.input_values)": ("bollinger", {"n": 5}, {".ub": 0, ".cb": 1, ".lb": 2}),
    "DonchianChannels(5, self.input_values)": ("donchian", {"n": 5}, {".ub": 0, ".cb": 1, ".lb": 2}),
    "Stoch(14, 3, self.input_values)": ("stochastic", {"fastk": 14, "slowk": 1, "slowd": 3}, {".k": 0, ".d": 1}),
    "VWAP(self.input_values)": ("vwap", {}, {"": 0}),
}


@pytest.mark.parametrize("text", TALIPP)
def test_indicators_equal_talipp(text):
    name, params, fields = TALIPP[text]
    known = vectors()
    closes = known["series"]["CLOSE_TMPL"]
    columns = known["series"]["OHLCV_TMPL"]
    of_bars = name in {"donchian", "stochastic", "vwap"}
    bars = (
        list(zip(*(columns[key] for key in ("open", "high", "low", "close", "volume")), strict=True))
        if of_bars
        else [(c, c, c, c, 1.0) for c in closes]
    )
    found = outputs(name, bars, **params)
    checks = [check for check in known["checks"] if check["indicator"] == text and check["test"] == "test_init"]
    assert checks
    for check in checks:
        place, field = check["at"].removeprefix("ind[").split("]")
        mine = found[int(place)]
        assert mine is not None
        assert mine[fields[field]] == pytest.approx(check["expected"], abs=1.5 * 10 ** -check["places"])


@pytest.mark.parametrize("name", INDICATORS)
@given(bars=walks(), data=st.data())
def test_a_restored_indicator_goes_on_as_if_nothing_happened(name, bars, data):
    params = {"slow": 10, "n": 4} if name == "regime" else {}
    cut = data.draw(st.integers(0, len(bars)))
    first = Indicator(name, **params)
    before = [first.take(t * MINUTE_MS, *bar) for t, bar in enumerate(bars[:cut])]
    second = Indicator(name, **params)
    second.load(decode(type(first.save()), encode(first.save())))
    after = [second.take(t * MINUTE_MS, *bar) for t, bar in enumerate(bars[cut:], cut)]
    assert before + after == outputs(name, bars, **params)


@pytest.mark.parametrize("name", INDICATORS)
@given(price=st.sampled_from((1e-8, 1.0, 1e8)), length=st.integers(0, 150), bars=walks(40))
def test_flat_bars_without_volume_give_finite_numbers(name, price, length, bars):
    flat = [(price, price, price, price, 0.0)] * length
    for found in outputs(name, [*flat, *bars, *flat]):
        assert found is None or all(map(math.isfinite, found))


def test_a_mean_forgets_a_price_that_has_left():
    bars = [(x, x, x, x, 1.0) for x in (1e8, 1e-8, 1e-8, 2e-8, 3e-8)]
    means = [found[0] for found in outputs("sma", bars, n=2)[2:]]
    assert means == pytest.approx([1e-8, 1.5e-8, 2.5e-8], rel=1e-15)


def test_the_day_of_a_vwap_begins_at_midnight():
    vwap = Indicator("vwap")
    assert vwap.take(86_399_999, 1.0, 1.0, 1.0, 1.0, 5.0) == (1.0,)
    assert vwap.take(86_400_000, 3.0, 3.0, 3.0, 3.0, 0.0) is None
    assert vwap.take(86_400_001, 3.0, 3.0, 3.0, 3.0, 1.0) == (3.0,)


def test_a_rise_is_a_trend_and_a_burst_is_wild():
    rise = [(x, x + 1.0, x - 1.0, x + 0.5, 1.0) for x in map(float, range(100, 300))]
    assert outputs("regime", rise)[-1][:2] == (1.0, 0.0)
    fall = [
        (o, h, lo, c, v) for o, h, lo, c, v in ((400 - o, 400 - lo, 400 - h, 400 - c, v) for o, h, lo, c, v in rise)
    ]
    assert outputs("regime", fall)[-1][:2] == (-1.0, 0.0)
    burst = [(300.0, 310.0, 290.0, 300.0, 1.0)] * 10
    assert outputs("regime", rise + burst)[-1][1] == 1.0
    assert outputs("regime", rise + [(300.0, 300.1, 299.9, 300.0, 1.0)] * 30)[-1][1] == -1.0


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("sma", {"n": 0}),
        ("sma", {"m": 3}),
        ("macd", {"fast": 30}),
        ("adx", {"n": 1}),
        ("nothing", {}),
        ("sma", {"n": 2.5}),
    ],
)
def test_bad_parameters_are_refused(name, params):
    with pytest.raises(UsageError):
        Indicator(name, **params)
    with pytest.raises(ValueError, match=r"."):
        Indicator(name, **params)
