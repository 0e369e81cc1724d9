"""The laws of trading, on random markets and signals: risk, orders and the simulated venue on one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import bar, bars_closed, cash, command, instrument, minute, price
from tests.search import examples
from tradebot.model.command import Alert, AlertName, TradingState, Verb
from tradebot.model.market import BarsClosed, Message
from tradebot.model.message import KINDS
from tradebot.model.money import ZERO
from tradebot.model.order import Fill, OrderRejected, OrderRole, OrderSide, OrderType, PositionSide, SubmitOrders
from tradebot.model.position import EquityMark, FundingPaid, RoundTrip
from tradebot.model.signal import Action, Approved, Refused, Rung, Signal
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.last_gate import LastGate
from tradebot.pipeline.risk.limits import DrawdownRule, KellyRule, Limits, ScaleRule, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.ports import Stage
from tradebot.store.codec import decode, encode
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.venue import SimulatedVenue

SYMBOLS = ("BTC", "ETH")
LIMITS = Limits(
    max_order_notional=cash(3000),
    max_position_notional=cash(2500),
    max_exposure_notional=cash(4000),
    max_leverage=Decimal(3),
    duplicate_window_s=Decimal(2),
)
COSTS = Costs(
    taker_bps=Decimal("4.5"),
    maker_bps=Decimal("1.5"),
    slippage_bps=Decimal(1),
    leverage=5,
    funding_rate=Decimal("0.0001"),
)


@dataclass(frozen=True)
class Nothing:
    """The state of a stage that has none."""


class Scripted:
    """Stands where strategies stand: at each bar it says what the script has for it."""

    STATE = Nothing

    def __init__(self, script: dict[int, list[Signal]]) -> None:
        self.script = script
        self.turn = 0

    def handle(self, message: Message) -> Sequence[Message]:
        return self.script.get(self.turn, []) if isinstance(message, BarsClosed) else ()

    def save(self) -> Nothing:
        return Nothing()

    def load(self, state: Any) -> None:
        del state


@dataclass
class Market:
    """What happens: bars and commands in order, and the signals at each."""

    turns: list[Message]
    script: dict[int, list[Signal]]
    size: SizeRule


@dataclass
class Run:
    """A line on a market, and all that came out of it."""

    market: Market
    heard: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> None:
        self.instruments = {symbol: instrument(symbol) for symbol in SYMBOLS}
        self.risk = RiskStage(self.instruments, cash(10_000), self.market.size, LIMITS)
        self.orders = OrdersStage(self.instruments)
        self.venue = SimulatedVenue(self.instruments, COSTS, cash(10_000))
        self.strategy = Scripted(self.market.script)
        nothing = Scripted({})
        stages: dict[StageName, Stage] = {
            StageName.BARS: nothing,
            StageName.VENUE: LastGate(self.venue, self.risk),
            StageName.ORDERS: self.orders,
            StageName.RISK: self.risk,
            StageName.STRATEGY: self.strategy,
        }
        self.line = Line(stages, dict.fromkeys(KINDS.values(), self.heard.append))

    def turn(self, number: int) -> None:
        self.strategy.turn = number
        self.line.pump(self.market.turns[number])

    def restart(self) -> None:
        """Go on in a new process, so to say."""
        saved = self.risk.save(), self.orders.save(), self.venue.save()
        kept = decode(RiskState, encode(saved[0])), decode(OrdersState, encode(saved[1]))
        assert kept == saved[:2]
        self.build()
        self.risk.load(kept[0])
        self.orders.load(kept[1])
        self.venue.load(saved[2])
        assert (self.risk.save(), self.orders.save()) == saved[:2]

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if type(message) is kind]


SCALES = ScaleRule(
    volatility=Decimal("0.5"),
    regime=True,
    kelly=KellyRule(fraction=Decimal("0.5"), most=Decimal("0.05"), min_trades=2, least=Decimal("0.1")),
    risk_parity=True,
    min_trades=2,
    drawdown=DrawdownRule(from_pct=Decimal(1), to_pct=Decimal(10), least=Decimal("0.2")),
)

SIZES = st.sampled_from(
    [
        SizeRule(SizeKind.QTY, Decimal("7.5")),
        SizeRule(SizeKind.NOTIONAL, Decimal(2000)),
        SizeRule(SizeKind.EQUITY_FRACTION, Decimal("0.2")),
        SizeRule(SizeKind.RISK_FRACTION, Decimal("0.01")),
        SizeRule(SizeKind.RISK_FRACTION, Decimal("0.3")),
        SizeRule(SizeKind.RISK_FRACTION, Decimal("0.3"), scales=SCALES),
    ]
)
COMMANDS = st.sampled_from(
    [
        command(Verb.CLOSE, {"symbol": "BTC", "fraction": "0.5"}),
        command(Verb.CLOSE, {"symbol": "ETH"}),
        command(Verb.PAUSE),
        command(Verb.RESUME),
        command(Verb.RESUME),
        command(Verb.HALT, {"flatten": "true"}),
        command(Verb.STOP, {"flatten": "true"}),
        command(Verb.CANCEL, {"all": "true"}),
    ]
)

LADDERS = st.sampled_from(
    [
        (),
        ((3, Decimal("0.5")), (6, Decimal("0.5"))),
        ((2, Decimal("0.333")), (3, Decimal("0.333")), (5, Decimal("0.2"))),
        ((4, Decimal("0.0001")), (5, Decimal("0.9999"))),
        ((4, Decimal(1)),),
    ]
)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Two symbols on a random walk of jumps, with random signals, mostly sensible, and a few commands."""
    closes = {"BTC": Decimal(100), "ETH": Decimal(50)}
    turns: list[Message] = []
    script: dict[int, list[Signal]] = {}
    counts = dict.fromkeys(SYMBOLS, 0)
    for number in range(1, draw(st.integers(5, 40))):
        if draw(st.integers(0, 9)) == 0:
            turns.append(draw(COMMANDS))
        for symbol in SYMBOLS:
            opened = closes[symbol] + draw(st.integers(-2, 2))
            close = max(Decimal(5), opened + draw(st.integers(-8, 8)))
            high = max(opened, close) + draw(st.integers(0, 3))
            low = min(opened, close) - draw(st.integers(0, 3))
            closes[symbol] = close
            turns.append(
                bars_closed(
                    bar(number * 20, close, symbol=symbol, open_=max(opened, 1), high=high, low=max(low, Decimal(1)))
                )
            )
            said = []
            for _ in range(draw(st.integers(0, 2))):
                counts[symbol] += 1
                said.append(draw(signals(symbol, counts[symbol], close, number)))
            script[len(turns) - 1] = said
    return Market(turns, script, draw(SIZES))


@st.composite
def signals(draw: st.DrawFn, symbol: str, count: int, close: Decimal, number: int) -> Signal:
    side = draw(st.sampled_from(PositionSide))
    action = draw(st.sampled_from([Action.ENTER, Action.ENTER, Action.EXIT, Action.MOVE_STOP]))
    strategy = draw(st.sampled_from(["cross", "cross", "cross", "break"]))
    kind = draw(st.sampled_from([OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET]))
    shift = side.sign * (-2 if kind is OrderType.LIMIT else 2)
    entry = None if kind is OrderType.MARKET else price(close + shift)
    stop = draw(st.sampled_from([None, 4, 4, Decimal("7.3")]))
    target = draw(st.sampled_from([None, 6, Decimal("9.1")]))
    ladder = () if target is not None else draw(LADDERS)
    is_resting = action is Action.ENTER and kind is not OrderType.MARKET
    waits = draw(st.sampled_from([None, 1, 2])) if is_resting else None
    void = draw(st.sampled_from([None, 1, 3])) if is_resting else None
    if action is Action.MOVE_STOP:
        stop = draw(st.sampled_from([1, 2, 4, -1]))
    return Signal(
        id=f"{strategy}-{symbol}-{count}",
        ts_event=minute(number * 20),
        strategy=strategy,
        symbol=symbol,
        action=action,
        side=side,
        close=price(close),
        entry_type=kind,
        entry_price=entry,
        stop=None if stop is None else price(max(close - side.sign * stop, Decimal(1))),
        target=None if target is None else price(max(close + side.sign * target, Decimal(1))),
        ladder=tuple(
            Rung(price=price(max(close + side.sign * reach, Decimal(1))), fraction=part) for reach, part in ladder
        ),
        expires_ts=None if waits is None else minute((number + waits) * 20),
        void_price=None if void is None else price(max(close - side.sign * void, Decimal(1))),
        fraction=draw(st.sampled_from([Decimal(1), Decimal("0.5"), Decimal("0.01")])),
        reason="trail" if action is Action.MOVE_STOP else "signal",
    )


@given(markets())
@settings(max_examples=examples(80))
def test_the_laws_of_trading_hold_on_any_market(market: Market) -> None:
    run = Run(market)
    equity: dict[int, Decimal] = {}
    for number, message in enumerate(market.turns):
        before, seen = run.risk.save(), len(run.heard)
        run.turn(number)
        the_books_agree(run)
        if isinstance(message, BarsClosed):
            equity[message.ts_event] = run.risk.save().equity
            entries_are_within_limits(run, before, run.heard[seen:])
    every_signal_is_decided(run)
    the_last_gate_stops_only_what_the_venue_would(run)
    round_trips_and_positions_add_up(run)
    no_order_fills_past_its_size_and_no_id_is_used_twice(run)
    the_curve_has_one_point_a_closing_time_and_the_last_is_pending(run, equity)


def the_books_agree(run: Run) -> None:
    book, account = run.risk.save(), run.venue.account()
    assert book.equity == account.equity
    assert book.cash == account.cash == book.starting_cash + book.realized - book.fees + book.funding
    held = run.orders.save().held
    assert {s: p.qty for s, p in book.positions.items()} == {s: h.qty for s, h in held.items()}
    asked = {d.signal.id: d.signal for d in run.of(Approved)}
    for position in run.orders.protection():
        has_stop = asked[held[position.symbol].signal_id].stop is not None
        assert position.is_full is has_stop


def entries_are_within_limits(run: Run, before: RiskState, heard: Sequence[Message]) -> None:
    for message in heard:
        if isinstance(message, Approved) and message.signal.action is Action.ENTER:
            assert before.trading_state is TradingState.RUNNING
            assert message.qty * message.signal.close <= 2500
    for use in run.risk.limits_view():
        if use.limit == "max_order_notional":
            assert use.value <= use.max


def every_signal_is_decided(run: Run) -> None:
    book, decided = run.risk.save(), run.of(Approved) + run.of(Refused)
    assert len([d for d in decided if not d.signal.id.startswith("manual")]) == len(run.of(Signal)) == book.signals
    assert len(run.of(Refused)) == book.refused


def the_last_gate_stops_only_what_the_venue_would(run: Run) -> None:
    assert [alert for alert in run.of(Alert) if alert.name is AlertName.ORDER_STOPPED] == []
    reasons = {rejected.reason.partition(":")[0] for rejected in run.of(OrderRejected)}
    assert reasons <= {"order_minimum", "reduce_only", "bracket"}


def round_trips_and_positions_add_up(run: Run) -> None:
    book, trips = run.risk.save(), run.of(RoundTrip)
    positions = list(book.positions.values())
    assert sum((t.gross_pnl for t in trips), ZERO) + sum((p.realized for p in positions), ZERO) == book.realized
    assert sum((t.fees for t in trips), ZERO) + sum((p.fees for p in positions), ZERO) == book.fees
    assert sum((t.funding for t in trips), ZERO) + sum((p.funding for p in positions), ZERO) == book.funding
    assert book.fees == sum((f.fee for f in run.of(Fill)), ZERO)
    assert book.funding == sum((f.amount for f in run.of(FundingPaid)), ZERO)
    for trip in trips:
        assert trip.net_pnl == trip.gross_pnl - trip.fees + trip.funding
        assert trip.mae >= max(ZERO, -trip.gross_pnl)
        assert trip.mfe >= max(ZERO, trip.gross_pnl)


def no_order_fills_past_its_size_and_no_id_is_used_twice(run: Run) -> None:
    requests = [request for submit in run.of(SubmitOrders) for request in submit.orders]
    asked = {request.client_order_id: request for request in requests}
    assert len(asked) == len(requests)
    filled: dict[str, Decimal] = {}
    for fill in run.of(Fill):
        filled[fill.client_order_id] = filled.get(fill.client_order_id, ZERO) + fill.qty
    for name, amount in filled.items():
        assert name.startswith("liquidation") or amount <= asked[name].qty


def the_curve_has_one_point_a_closing_time_and_the_last_is_pending(run: Run, equity: Mapping[int, Decimal]) -> None:
    marks = run.of(EquityMark)
    pending = run.risk.save().pending_equity
    assert pending is not None
    assert [mark.ts_event for mark in [*marks[1:], pending]] == list(equity)
    assert all(abs(mark.equity - equity[mark.ts_event]) <= Decimal("1e-8") for mark in marks[1:])
    assert (marks[0].ts_event, marks[0].equity) == (min(equity) - bar().timeframe, 10_000)


@given(markets(), st.data())
@settings(max_examples=examples(40))
def test_a_run_restarted_anywhere_is_the_run_that_was_not(market: Market, data: st.DataObject) -> None:
    straight, broken = Run(market), Run(market)
    cuts = data.draw(st.sets(st.integers(0, len(market.turns) - 1), max_size=4))
    for number in range(len(market.turns)):
        straight.turn(number)
        if number in cuts:
            broken.restart()
        broken.turn(number)
    assert broken.heard == straight.heard
    assert broken.risk.save() == straight.risk.save()
    assert broken.orders.save() == straight.orders.save()


def test_a_flatten_leaves_nothing_open_and_lets_nothing_in() -> None:
    enter = Signal(
        id="cross-BTC-1",
        ts_event=minute(1),
        strategy="cross",
        symbol="BTC",
        action=Action.ENTER,
        side=PositionSide.LONG,
        close=price(100),
        stop=price(90),
    )
    turns: list[Message] = [bars_closed(bar(n)) for n in range(1, 4)]
    turns.insert(2, command(Verb.HALT, {"flatten": "true"}))
    run = Run(Market(turns, {0: [enter]}, SizeRule(SizeKind.NOTIONAL, Decimal(1000))))
    for number in range(4):
        run.turn(number)
    assert run.risk.is_flat
    (trip,) = run.of(RoundTrip)
    assert trip.exit_reason == "manual"
    assert [f.side for f in run.of(Fill)] == [OrderSide.BUY, OrderSide.SELL]
    assert [f.role for f in run.of(Fill)] == [OrderRole.ENTRY, OrderRole.EXIT]
