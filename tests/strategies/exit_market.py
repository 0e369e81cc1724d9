"""A market for one strategy that wishes by plan: its bars, its stop after each of them, and how its trades end."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Message
from tradebot.model.money import MONEY_CONTEXT, Cash, Price, Qty
from tradebot.model.order import Fill, OrderDone, PositionSide, SubmitOrders
from tradebot.model.position import Position, RoundTrip
from tradebot.model.signal import Approved, Refused
from tradebot.model.time import Nanos, Timeframe, parse_timeframe
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.orders.register import PROMPT
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.strategy.base import Enter, ExitRules, StrategySpec
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.report.why import WhyFold
from tradebot.store.codec import decode, encode
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.venue import SimulatedVenue

D = Decimal
M1 = parse_timeframe("1m")
Row = tuple[str, str, str, str]
"""Open, high, low, close."""
_MIRROR = D(200)


class Planned:
    """Wishes what ``plan``, kept in its class, has for the number of the bar, counted from 1."""

    plan: Mapping[int, Sequence[Any]] = {}

    def __init__(self) -> None:
        self.bars = 0

    def on_bar(self, bar: Bar, position: Position | None) -> Any:
        self.bars += 1
        wishes = self.plan.get(self.bars, ())
        if isinstance(wishes, Exception):
            raise wishes
        return wishes


def factory(plan: Mapping[int, Any]) -> Any:
    return type("Planned", (Planned,), {"plan": plan})


def mirrored(price: Decimal) -> Decimal:
    """Where the market of a short is when that of a long is at ``price``."""
    return _MIRROR - price


def row_of(row: Row, side: PositionSide) -> tuple[Decimal, ...]:
    open_, high, low, close = map(D, row)
    if side is PositionSide.LONG:
        return open_, high, low, close
    return mirrored(open_), mirrored(low), mirrored(high), mirrored(close)


class ExitMarket:
    """The real stages and the simulated venue on bars of one symbol, without costs where none are given."""

    def __init__(
        self,
        plan: Mapping[int, Any],
        exits: ExitRules | None,
        *,
        stop: Any = None,
        timeframe: Timeframe = M1,
        costs: Costs | None = None,
        venue_trails: bool = True,
    ) -> None:
        btc = {"BTC": Instrument(symbol="BTC", tick=D("0.1"), lot=D("0.01"), max_leverage=50)}
        spec = StrategySpec("s", ("BTC",), timeframe, factory(plan), stop=stop, exits=exits)
        self.orders = OrdersStage(btc, PROMPT, venue_trails=venue_trails)
        self.risk = RiskStage(btc, Cash(D(10_000)), SizeRule(SizeKind.QTY, D(1)), Limits())
        self.stages: Mapping[StageName, Any] = {
            StageName.BARS: BarsStage({"BTC": (M1,)}, {"BTC": frozenset({timeframe})}),
            StageName.VENUE: SimulatedVenue(btc, costs or Costs(leverage=10), Cash(D(10_000))),
            StageName.ORDERS: self.orders,
            StageName.RISK: self.risk,
            StageName.STRATEGY: StrategyStage([spec], btc),
        }
        self.trips: list[tuple[int, Decimal, str]] = []
        self.net: list[Decimal] = []
        self.answers: list[Approved | Refused] = []
        self.why = WhyFold()
        self._bar = 0
        told = dict.fromkeys((SubmitOrders, Fill, OrderDone), self.why.add)
        self._line = Line(
            self.stages, {**told, RoundTrip: self._ended, Approved: self._answered, Refused: self._answered}
        )

    def _ended(self, trip: Message) -> None:
        assert isinstance(trip, RoundTrip)
        self.trips.append((self._bar, trip.exit_price, trip.exit_reason))
        self.net.append(trip.net_pnl)

    def _answered(self, answer: Message) -> None:
        assert isinstance(answer, Approved | Refused)
        self.answers.append(answer)
        self.why.add(answer)

    def bar(self, number: int, prices: Iterable[Decimal]) -> Decimal | None:
        """Run the ``number``-th minute; return where the stop is after it."""
        self._bar = number
        self.tell(Bar("BTC", M1, Nanos(number * M1), *map(Price, prices), Qty(D(1))))
        return self.stop[0]

    def tell(self, message: Message) -> None:
        """Let the line hear ``message``."""
        with localcontext(MONEY_CONTEXT):
            self._line.pump(message)

    @property
    def stop(self) -> tuple[Decimal | None, str]:
        """Where the stop is, and what moved it there."""
        covered = self.orders.protection()
        if not covered:
            return None, ""
        assert covered[0].is_full or covered[0].stop_price is None
        return covered[0].stop_price, covered[0].moved_by

    def restored(self, make: "ExitMarket") -> "ExitMarket":
        """Give all that was saved here to ``make``, a fresh market, and return it."""
        for name, stage in self.stages.items():
            make.stages[name].load(decode(stage.STATE, encode(stage.save())))
        return make


def entering(side: PositionSide, stop: str, **fields: Any) -> Enter:
    """An entry of ``side`` with prices given as those of a long."""
    names = {"stop": stop, **fields}
    prices = {name: D(value) for name, value in names.items() if isinstance(value, str) and value[0].isdigit()}
    if side is PositionSide.SHORT:
        prices = {name: mirrored(price) for name, price in prices.items()}
    return Enter(side, **{**names, **prices})
