"""A backtest that looks at quiet bars together gives what one gives that visits each bar, to the last digit."""

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal, localcontext
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.model.market import Bar, Message
from tradebot.model.money import MONEY_CONTEXT
from tradebot.model.order import Fill
from tradebot.model.position import FundingPaid, RoundTrip
from tradebot.model.signal import Approved, Refused, StrategyDisabled
from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.line import Line
from tradebot.pipeline.market import ColumnMarket
from tradebot.report.fold import ReportFold
from tradebot.runtime.backtest import pumped
from tradebot.runtime.compiled import KERNELS, compiled
from tradebot.runtime.wiring import Wired, wire
from tradebot.settings.load import Loaded, LoadOptions

OWN = '''
from decimal import Decimal
from tradebot.pipeline.strategy.base import Enter, Exit, MoveStop, OrderType, Params, PositionSide


class Own:
    """All that a strategy may wish, at bars that seem chosen by chance; at last it raises."""

    class Params(Params):
        last: int = 10_000

    def __init__(self, params):
        self.last = params.last
        self.bars = 0
        self.is_waiting = False

    def on_bar(self, bar, position):
        self.bars += 1
        if self.bars == self.last:
            raise ValueError("enough")
        turn = (self.bars * 7919) % 23
        if position is None:
            if self.is_waiting or turn not in (0, 5, 9, 14):
                return ()
            side = PositionSide.LONG if turn < 6 else PositionSide.SHORT
            away = bar.close / 100 * side.sign
            if turn in (0, 9):
                return (Enter(side, stop=bar.close - away, target=bar.close + 2 * away),)
            limit = bar.close - away / 2
            wait = 4 if turn == 5 else None
            return (Enter(side, stop=limit - away, entry_type=OrderType.LIMIT, entry_price=limit, wait_bars=wait),)
        if turn == 3:
            return (Exit(reason="time"),)
        return (MoveStop(bar.close - bar.close / 50 * position.side.sign),) if turn == 7 else []
'''
STRATEGIES: Mapping[str, str] = {
    "own": 'kind = "own.py:Own"\nlast = 1500',
    "idle": 'kind = "own.py:Own"\nlast = 1',
    "cross": 'kind = "sma_cross"\nfast = 3\nslow = 8',
    "stops": 'kind = "sma_cross"\nfast = 2\nslow = 5\ndirection = "long"\nstop = { kind = "atr", n = 5, mult = 1 }\n'
    'target = { kind = "r", r = 1.5 }',
    "trails": 'kind = "own.py:Own"\nstop = { kind = "percent", percent = 1, trail = true }',
    "structure": 'kind = "own.py:Own"\nstop = { kind = "percent", percent = 1, '
    'trail = { kind = "structure", swing = 2 }, break_even = { at_r = 0.5 } }',
    "even": 'kind = "donchian_breakout"\nentry = 5\nexit = 4\nstop = { kind = "atr", n = 5, mult = 2, '
    "break_even = { at_r = 0.7 } }\nmax_hold = { bars = 9, unless_r = 1 }",
    "ranges": 'kind = "own.py:Own"\nstop = { kind = "percent", percent = 1, '
    'trail = { kind = "atr", n = 3, mult = 2 } }',
    "held": 'kind = "sma_cross"\nfast = 3\nslow = 8\nmax_hold = { time = "6m" }',
    "limited": 'kind = "sma_cross"\nfast = 5\nslow = 21\nstop = { kind = "atr", n = 5, mult = 2, '
    "break_even = { at_r = 0.5, offset_bps = 5 } }\nmax_hold = { bars = 8, unless_r = 0.25 }",
    "orphan": 'kind = "own.py:Own"\nlast = 120\nstop = { kind = "percent", percent = 2, '
    "break_even = { at_atr = 1, n = 5 } }\nmax_hold = { bars = 30 }",
    "gaps": 'kind = "fvg_fill"\nswing = 2\natr_n = 3\nbias_near = 2\nbias_far = 5\nmin_gap = 0.0\nwait_bars = 9\n'
    "time_stop = 12\nmemory = 3\ntrail_atr = 1.5\nfirst_r = 0.5",
    "sweeps": 'kind = "liquidity_sweep"\nswing = 1\natr_n = 2\nbias_near = 3\nbias_far = 7\nfirst_r = 0.4\n'
    'time_stop = 40\nmin_close = 0.1\ntrail_atr = 0\nregimes = ["range", "trend_up", "trend_down"]',
    "blocks": 'kind = "bos_orderblock"\nswing = 1\natr_n = 2\nbias_near = 2\nbias_far = 3\nmax_block = 20\n'
    "first_r = 0.5\nmax_hold = { bars = 20 }",
    "channel": 'kind = "donchian_breakout"\nentry = 8\nexit = 4',
}
RISKS: Mapping[str, str] = {
    "defaults": "",
    "counted": "max_trades_per_day = [1, 2, 3]\nmax_consecutive_losses = [2, 3, 4]",
    "bound": "drawdown_pct = [0.2, 0.5, 1]\ndaily_loss_pct = [0.1, 0.2]",
    "limits": "max_volume_pct = 10\nmax_entries_per_hour = 20\nliquidation_stops = 2\nmax_concentration_pct = 80",
    "free": "drawdown_pct = []\ndaily_loss_pct = []",
}
VENUES = (
    "",
    "funding_rate = 0\ntaker_bps = 0\nslippage_bps = 0",
    "volume_share = 0.8",
    "leverage = 40",
    "latency_ms = 90000",
)


def loaded(folder: Path, data: str, strategy: str, risk: str, timeframe: str = "1m", venue: str = "") -> Loaded:
    (folder / "own.py").write_text(OWN)
    config = folder / "bot.toml"
    config.write_text(
        f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "replay"\ndata = ["BTC:{timeframe}={data}"]\nat_end = "stop"\n'
        f'[venue]\nkind = "simulated"\nstarting_cash = "10000"\n{venue}\n[[strategy]]\n{STRATEGIES[strategy]}\n'
        f'[risk]\nsize = {{ kind = "notional", notional = 9000 }}\n{RISKS[risk]}\n'
    )
    return LoadOptions(config_files=(config,)).load(folder, {})


class Way(Enum):
    """How a backtest comes to its bars."""

    EACH = "each is visited"
    BARS = "those that are quiet are looked at together"
    COLUMNS = "what is quiet is passed over by compiled scans"
    PLAIN = "the same scans, not compiled"


def found(loaded: Loaded, way: Way) -> tuple[dict[str, Any], list[Message], dict[str, object]]:
    """The report, all that was told on the way, and the states at the end."""
    with localcontext(MONEY_CONTEXT):
        wired = wire(loaded)
        report, told = ReportFold(), list[Message]()

        def heard(message: Message) -> None:
            told.append(message)
            report.add(message)

        kinds = (Fill, RoundTrip, Approved, Refused, StrategyDisabled, FundingPaid)
        line = Line(wired.stages, {**report.sinks(), **dict.fromkeys(kinds, heard)})
        if way is Way.EACH:
            for bar in wired.feed:
                line.pump(bar)
        else:
            run = None if way is Way.BARS else columns(wired, way)
            assert sum(bars for bars, _ in pumped(wired, line, report, run)) > 0
        risk = wired.risk.save()
        document = report.result(risk.pending_equity, risk.marks, wired.simulated.account().equity)
        document["equity_curve"] = list(document["equity_curve"])
        return document, told, states(wired)


def columns(wired: Wired, way: Way) -> ColumnRun | ColumnMarket:
    kernels = compiled() if way is Way.COLUMNS else {kernel: kernel for kernel in KERNELS}
    # Text is always read by compiled loops: a byte of numpy's does not grow into a number.
    read = [file.columns(compiled()) for file in wired.files]
    runs = [ColumnRun(one, kernels) for one in read if one is not None]
    assert len(runs) == len(read)
    return runs[0] if len(runs) == 1 else ColumnMarket(runs)


def in_order(state: object) -> str:
    """The text of a state with all mappings sorted: what is at rest is marked later than what is not."""
    if isinstance(state, Mapping):
        return str(sorted((str(key), in_order(value)) for key, value in state.items()))
    if is_dataclass(state):
        return str([(one.name, in_order(getattr(state, one.name))) for one in fields(state)])
    return repr(state)


def states(wired: Wired) -> dict[str, object]:
    return {name: stage.save() for name, stage in wired.stages.items()}


def assert_same(loaded: Loaded, *ways: Way) -> int:
    each = found(loaded, Way.EACH)
    for way in ways or (Way.BARS, Way.COLUMNS):
        quiet = found(loaded, way)
        assert quiet[1] == each[1]
        for name, value in each[0].items():
            assert json.dumps(quiet[0][name], default=str) == json.dumps(value, default=str), name
        # The text of a Decimal says more than its value does: the exponent too.
        assert in_order(quiet[2]) == in_order(each[2])
    return len(each[1])


@pytest.mark.parametrize("strategy", ["held", "limited"])
def test_few_bars_of_a_position_with_exit_rules_are_visited(tmp_path: Path, strategy: str) -> None:
    rows = [f"{1_600_000_020_000 + 60_000 * n},{p},{p + 1},{p - 1},{p},1" for n, p in enumerate(_waves(2_000))]
    (tmp_path / "btc.csv").write_text("ts_ms,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    with localcontext(MONEY_CONTEXT):
        wired = wire(loaded(tmp_path, "btc.csv", strategy, "free", venue=VENUES[1]))
        report, line = ReportFold(), Line(wired.stages)
        visited, pump = list[Message](), line.pump

        def visit(message: Message) -> None:
            visited.append(message)
            pump(message)

        line.pump = visit  # type: ignore[method-assign]
        run = columns(wired, Way.COLUMNS)
        assert sum(bars for bars, _ in pumped(wired, line, report, run)) == 2_000
    assert 10 < sum(isinstance(message, Bar) for message in visited) < 150


def _waves(count: int) -> list[int]:
    """Prices that go up for 100 bars, then down for as many."""
    return [1_000 + min(number % 200, 200 - number % 200) for number in range(count)]


@st.composite
def markets(draw: st.DrawFn) -> str:
    """Bars on a tick of 0.1, with gaps in price and in time, some long and flat."""
    steps = draw(
        st.lists(st.tuples(st.integers(-30, 30), st.integers(0, 9), st.integers(0, 9)), min_size=30, max_size=300)
    )
    lost = draw(st.sets(st.integers(1, len(steps)), max_size=3))
    calm = draw(st.integers(1, 12))
    rows, price, ts_ms = [], Decimal(1000), 1_600_000_020_000
    for number, (step, up, down) in enumerate(steps):
        close = price + Decimal(step if number % calm == 0 else step // 10) / 10
        high, low = max(price, close) + Decimal(up) / 10, min(price, close) - Decimal(down) / 10
        rows.append(f"{ts_ms},{price},{high},{low},{close},1")
        ts_ms += 60_000 * (7 if number in lost else 1)
        price = close + Decimal(1 if number % 17 == 0 else 0)
    return "ts_ms,open,high,low,close,volume\n" + "\n".join(rows) + "\n"


@settings(max_examples=60)
@given(markets(), st.sampled_from(sorted(STRATEGIES)), st.sampled_from(sorted(RISKS)), st.sampled_from(VENUES))
def test_quiet_bars_change_nothing_on_any_market(market: str, strategy: str, risk: str, venue: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "btc.csv").write_text(market)
        assert_same(loaded(folder, "btc.csv", strategy, risk, venue=venue))


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("risk", sorted(RISKS))
def test_quiet_bars_change_nothing_on_real_bars(tmp_path: Path, strategy: str, risk: str) -> None:
    data = os.environ.get("TRADEBOT_TEST_DATA")
    if not data:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    with gzip.open(Path(data) / "hl_BTC_5m.csv.gz", "rt") as whole:
        (tmp_path / "btc.csv").write_text("".join(line for line, _ in zip(whole, range(2_501), strict=False)))
    told = assert_same(loaded(tmp_path, "btc.csv", strategy, risk, "5m"))
    assert told > (0 if strategy == "idle" else 20)


def loaded_many(folder: Path, data: Mapping[str, str], strategies: Sequence[str], risk: str, venue: str = "") -> Loaded:
    """Several symbols, by their timeframe and file, all of them traded by all strategies."""
    (folder / "own.py").write_text(OWN)
    config = folder / "bot.toml"
    symbols, files = list(data), [f"{symbol}:{file}" for symbol, file in data.items()]
    named = "".join(
        f'[[strategy]]\nname = "s{number}"\n{STRATEGIES[strategy]}\n' for number, strategy in enumerate(strategies)
    )
    config.write_text(
        f'[bot]\nsymbols = {json.dumps(symbols)}\n[feed]\nkind = "replay"\ndata = {json.dumps(files)}\n'
        f'at_end = "stop"\n[venue]\nkind = "simulated"\nstarting_cash = "10000"\n{venue}\n{named}'
        f'[risk]\nsize = {{ kind = "notional", notional = 9000 }}\n{RISKS[risk]}\n'
    )
    return LoadOptions(config_files=(config,)).load(folder, {})


@settings(max_examples=40)
@given(
    st.lists(markets(), min_size=2, max_size=3),
    st.lists(st.sampled_from(sorted(STRATEGIES)), min_size=1, max_size=2),
    st.sampled_from(sorted(RISKS)),
    st.sampled_from(VENUES),
)
def test_quiet_turns_change_nothing_on_any_markets(
    made: list[str], strategies: list[str], risk: str, venue: str
) -> None:
    with TemporaryDirectory() as name:
        folder, data = Path(name), {}
        for symbol, market in zip(("BTC", "ETH", "SOL"), made, strict=False):
            (folder / f"{symbol}.csv").write_text(market)
            data[symbol] = f"1m={symbol}.csv"
        assert_same(loaded_many(folder, data, strategies, risk, venue), Way.COLUMNS)


@pytest.mark.parametrize(
    ("strategies", "risk"),
    [
        (("cross", "channel"), "defaults"),
        (("own", "stops"), "bound"),
        (("cross",), "free"),
        (("trails",), "limits"),
        (("gaps", "sweeps", "blocks"), "free"),
    ],
)
def test_quiet_turns_change_nothing_on_real_bars(tmp_path: Path, strategies: Sequence[str], risk: str) -> None:
    data = os.environ.get("TRADEBOT_TEST_DATA")
    if not data:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    files = {}
    for symbol in ("BTC", "ETH", "SOL"):
        with gzip.open(Path(data) / f"hl_{symbol}_5m.csv.gz", "rt") as whole:
            (tmp_path / f"{symbol}.csv").write_text("".join(line for line, _ in zip(whole, range(1_201), strict=False)))
        files[symbol] = f"5m={symbol}.csv"
    assert assert_same(loaded_many(tmp_path, files, strategies, risk), Way.COLUMNS) > 20


@pytest.mark.soak
@settings(max_examples=200)
@given(
    st.lists(markets(), min_size=1, max_size=4),
    st.lists(st.sampled_from(sorted(STRATEGIES)), min_size=1, max_size=3),
    st.sampled_from(sorted(RISKS)),
    st.sampled_from(VENUES),
)
def test_no_horizon_is_too_far(made: list[str], strategies: list[str], risk: str, venue: str) -> None:
    with TemporaryDirectory() as name:
        folder, data = Path(name), {}
        for symbol, market in zip(("BTC", "ETH", "SOL", "XRP"), made, strict=False):
            (folder / f"{symbol}.csv").write_text(market)
            data[symbol] = f"1m={symbol}.csv"
        assert_same(loaded_many(folder, data, strategies, risk, venue), Way.COLUMNS, Way.PLAIN)
