"""An invented market, the same for the same seed: correlated symbols, trends, ranges and bursts of volatility.

Chance is a function of seed and counter (splitmix64), and only exactly rounded arithmetic follows it: a run
that is cut and resumed anywhere, on any machine, gives the same bars.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from math import sqrt

from tradebot.model.errors import ConfigError
from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.time import NANOS_PER_S, Nanos, Timeframe, floor_to, timeframe_name

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
# Four 16-bit uniforms added up: nearly normal, and free of libm, whose last digits differ between machines.
_SUM_MEAN = 4 * 65_535 / 2
_SUM_DEVIATION = sqrt(4 * (65_536 * 65_536 - 1) / 12)
_VOLATILITY_1M = 0.0008
_CASH_PER_MINUTE = 600_000
_PULL_HOME = 6.0
_MAX_MOVE = 0.2
_LEVELS = {
    "BTC": "60000",
    "ETH": "3000",
    "SOL": "150",
    "BNB": "600",
    "XRP": "0.6",
    "DOGE": "0.12",
    "AVAX": "30",
    "LINK": "15",
}


class WalkRegime(StrEnum):
    """How a walk behaves for a while."""

    TREND = "trend"
    RANGE = "range"
    BURST = "burst"


@dataclass(frozen=True, slots=True)
class WalkState:
    """A walk between two steps; ``left`` steps of its regime are to come. Units are standard deviations."""

    regime: WalkRegime
    left: int
    drift: float
    scale: float
    level: float
    anchor: float


@dataclass(frozen=True, slots=True)
class SymbolState:
    """The price, in ticks and not yet rounded, and the walk of one symbol's own moves."""

    price: float
    walk: WalkState


@dataclass(frozen=True, slots=True)
class GeneratedState:
    """``steps`` bars of each symbol were begun, of the last one those before symbol number ``symbol`` given out."""

    steps: int
    symbol: int
    common_move: float
    common: WalkState
    symbols: tuple[SymbolState, ...]


class Generated:
    """Bars of several symbols that close together, in byte order of the symbols; endless without ``bars``.

    ``start`` is when the first bar opens, floored to the timeframe; ``bars`` counts those of each symbol. Prices
    have five significant digits at their starting level. Raises ``ConfigError`` on parameters that make no market.
    """

    STATE = GeneratedState

    def __init__(
        self, symbols: Sequence[str], timeframe: Timeframe, start: Nanos, seed: int, bars: int | None = None
    ) -> None:
        if not symbols or len(set(symbols)) != len(symbols):
            raise ConfigError("a generated market needs at least one symbol, each once", where="[feed]")
        if timeframe <= 0 or (bars is not None and bars < 1):
            raise ConfigError("timeframe and bars of a generated market must be above 0", where="[feed]")
        self._timeframe = timeframe
        self._start = floor_to(start, timeframe)
        self._seed = seed
        self._bars = bars
        self._common = _Walk(_key(seed, "common factor"))
        self._markets = [_Market(symbol, timeframe, seed) for symbol in sorted(symbols)]
        self._steps = 0
        self._symbol = 0
        self._common_move = 0.0

    def __iter__(self) -> Iterator[Bar]:
        return self

    def __next__(self) -> Bar:
        if self._symbol == 0:
            if self._steps == self._bars:
                raise StopIteration
            self._common_move = self._common.step(self._steps)
            self._steps += 1
        market = self._markets[self._symbol]
        self._symbol = (self._symbol + 1) % len(self._markets)
        close = Nanos(self._start + self._steps * self._timeframe)
        return market.step(self._steps - 1, close, self._common_move, self._common.scale)

    def describe(self) -> str:
        """Return the parameters, from which all bars follow."""
        symbols = ",".join(market.symbol for market in self._markets)
        return f"generated 1 {symbols} {timeframe_name(self._timeframe)} start={self._start} seed={self._seed}"

    def save(self) -> GeneratedState:
        """Return where the market stands."""
        symbols = tuple(SymbolState(market.price, market.walk.save()) for market in self._markets)
        return GeneratedState(self._steps, self._symbol, self._common_move, self._common.save(), symbols)

    def load(self, state: GeneratedState) -> None:
        """Go on from ``state``. Raises ``ConfigError`` when it has another number of symbols."""
        if len(state.symbols) != len(self._markets):
            raise ConfigError(
                f"the generated market had {len(state.symbols)} symbols, the configuration has {len(self._markets)}",
                mend="restore [feed] symbols, or begin anew with `tradebot state reset`",
            )
        self._steps, self._symbol, self._common_move = state.steps, state.symbol, state.common_move
        self._common.load(state.common)
        for market, symbol in zip(self._markets, state.symbols, strict=True):
            market.price = symbol.price
            market.walk.load(symbol.walk)


class _Walk:
    """Moves of about one standard deviation, under regimes that follow one another."""

    __slots__ = ("_anchor", "_drift", "_key", "_left", "_level", "_regime", "scale")

    def __init__(self, key: int) -> None:
        self._key = key
        self.load(WalkState(WalkRegime.RANGE, 0, 0.0, 1.0, 0.0, 0.0))

    def step(self, n: int) -> float:
        """Return move number ``n``."""
        if self._left == 0:
            self._change(_draw(self._key, 2 * n + 1))
        self._left -= 1
        bits = _draw(self._key, 2 * n)
        noise = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48) - _SUM_MEAN
        move = self._drift + self.scale * noise / _SUM_DEVIATION
        if self._regime is WalkRegime.RANGE:
            move -= 0.04 * (self._level - self._anchor)
        self._level += move
        return move

    def save(self) -> WalkState:
        return WalkState(self._regime, self._left, self._drift, self.scale, self._level, self._anchor)

    def load(self, state: WalkState) -> None:
        self._regime, self._left = state.regime, state.left
        self._drift, self.scale = state.drift, state.scale
        self._level, self._anchor = state.level, state.anchor

    def _change(self, bits: int) -> None:
        chance, length, size, sign = bits & 0xFF, bits >> 8 & 0xFFFF, (bits >> 24 & 0xFFFF) / 65_536, bits >> 40 & 1
        self._anchor = self._level
        self._drift = 0.0
        if chance < 90:
            self._regime, self._left, self.scale = WalkRegime.TREND, 40 + length % 160, 0.9
            self._drift = (0.08 + 0.16 * size) * (1 if sign else -1)
        elif chance < 205:
            self._regime, self._left, self.scale = WalkRegime.RANGE, 60 + length % 240, 0.7
        else:
            self._regime, self._left, self.scale = WalkRegime.BURST, 10 + length % 40, 2.2 + 1.8 * size


class _Market:
    """One symbol: the common move and its own, as a price on its grid of ticks."""

    __slots__ = ("_beta", "_home", "_key", "_lot", "_own", "_tick", "_timeframe", "_volatility", "_volume",
                 "price", "symbol", "walk")  # fmt: skip

    def __init__(self, symbol: str, timeframe: Timeframe, seed: int) -> None:
        nature = _key(0, symbol)
        level = Decimal(_LEVELS.get(symbol) or _hashed_level(nature))
        minutes = timeframe / (60 * NANOS_PER_S)
        volume = Decimal(_CASH_PER_MINUTE) * timeframe / (60 * NANOS_PER_S) / level
        self.symbol = symbol
        self._timeframe = timeframe
        self._key = _key(seed, f"shape of {symbol}")
        self.walk = _Walk(_key(seed, f"walk of {symbol}"))
        self._tick = _power_of_ten(level.adjusted() - 4)
        self._lot = _power_of_ten(volume.adjusted() - 3)
        self._home = self.price = float(level / self._tick)
        self._volume = float(volume / self._lot)
        self._volatility = min(0.03, _VOLATILITY_1M * sqrt(minutes))
        self._beta = 0.85 + 0.35 * (nature & 0xFF) / 255
        self._own = 0.45 + 0.3 * (nature >> 8 & 0xFF) / 255

    def step(self, n: int, ts_event: Nanos, common_move: float, common_scale: float) -> Bar:
        """Return bar number ``n``, which closes at ``ts_event``."""
        before, walk, volatility = self.price, self.walk, self._volatility
        move = volatility * (self._beta * common_move + self._own * walk.step(n))
        # A weak pull to the level of the start: an endless walk would leave every sensible price.
        move -= _PULL_HOME * volatility * volatility * (before / self._home - 1.0)
        price = self.price = max(1.0, before * (1.0 + max(-_MAX_MOVE, min(_MAX_MOVE, move))))
        bits = _draw(self._key, n)
        above, below, share = (bits & 0xFFFFF) / 2**20, (bits >> 20 & 0xFFFFF) / 2**20, (bits >> 40) / 2**24
        activity = self._beta * common_scale + self._own * walk.scale
        reach = 1.2 * volatility * activity * before
        open_, close = round(before), round(price)
        high = max(open_, close) + round(reach * above * above)
        low = max(1, min(open_, close) - round(reach * below * below))
        volume = max(1, round(self._volume * activity * (0.2 + share + 30 * abs(move))))
        tick = self._tick
        return Bar(
            self.symbol,
            self._timeframe,
            ts_event,
            Price(open_ * tick),
            Price(high * tick),
            Price(low * tick),
            Price(close * tick),
            Qty(volume * self._lot),
        )


def _key(seed: int, name: str) -> int:
    return int.from_bytes(blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "little")


def _draw(key: int, counter: int) -> int:
    # splitmix64: 64 bits from any two integers, without a state of its own.
    bits = (key + counter * _GOLDEN) & _MASK
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & _MASK
    return bits ^ bits >> 31


def _hashed_level(nature: int) -> str:
    return f"{100 + nature % 900}E{nature // 900 % 4 - 3}"


def _power_of_ten(exponent: int) -> Decimal:
    return Decimal(format(Decimal(1).scaleb(exponent), "f"))
