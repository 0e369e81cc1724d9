"""No sequence of signals, prices, commands, restarts and faults takes an order past a limit, or books a fill twice.

The real stages with the last gate and the simulated venue; between the two its words are lost for a while, come in any
order and again, and orders are refused that never reached it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.builders import bar, bars_closed, cash, command, instrument, minute, price, qty
from tests.risk.test_trading_line import COSTS, Nothing, Scripted
from tradebot.model.command import Alert, AlertName, Tick, TradingState, Verb
from tradebot.model.market import Message, PricesSeen, SymbolPrices
from tradebot.model.message import KINDS
from tradebot.model.order import (
    Fill,
    FillReport,
    OrderRejected,
    OrderRole,
    OrderType,
    PositionSide,
    RefusalClass,
    SubmitOrders,
)
from tradebot.model.position import FundingPaid
from tradebot.model.signal import Action, Approved, Signal
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.breakers.base import Tiers
from tradebot.pipeline.risk.last_gate import LastGate
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.store.codec import decode, encode
from tradebot.venues.simulated.venue import SimulatedVenue, VenueState

SYMBOLS = ("BTC", "ETH", "SOL")
STRATEGIES = ("cross", "break")
LIMITS = Limits(
    max_order_notional=cash(3000),
    max_position_notional=cash(2500),
    max_exposure_notional=cash(6000),
    max_leverage=Decimal(3),
    max_concentration_pct=Decimal(24),
    max_net_notional=cash(3500),
    max_long_notional=cash(4500),
    max_short_notional=cash(4000),
    max_strategy_notional=cash(5000),
    max_volume_pct=Decimal(50),
    max_entries_per_hour=Decimal(20),
    liquidation_stops=Decimal(2),
    duplicate_window_s=Decimal(2),
    price_collar_pct=Decimal(2),
    max_orders_per_min=Decimal(30),
    min_headroom_pct=Decimal(60),
    max_book_pct=Decimal(40),
    max_price_age_s=Decimal(10),
)
VERBS = (*[Verb.RESUME, Verb.THAW] * 5, Verb.PAUSE, Verb.REDUCE_ONLY, Verb.HALT, Verb.FREEZE)
RISES = frozenset({"liquidation_stops", "min_headroom_pct"})
"""Limits that are kept by staying above them."""


class Faulty:
    """The simulated venue as it is heard over a bad line."""

    STATE = Nothing

    def __init__(self, venue: SimulatedVenue) -> None:
        self.venue = venue
        self.taken: list[SubmitOrders] = []
        self.late: list[Message] = []
        self.told: list[Message] = []
        self.moods: list[str] = []
        self.lost: list[str] = []
        self.is_fresh = True

    def handle(self, message: Message) -> Sequence[Message]:
        mood = self.moods.pop() if self.moods else ""
        if isinstance(message, SubmitOrders):
            assert self.is_fresh or message.orders[0].reduce_only
            if mood == "lost":
                self.lost += [order.client_order_id for order in message.orders]
                return ()
            if mood == "refuse":
                ids = [order.client_order_id for order in message.orders]
                return [
                    OrderRejected(ts_event=message.ts_event, client_order_id=id_, reason="x", refusal=refusal)
                    for id_, refusal in zip(ids, (RefusalClass.PASSING, *RefusalClass), strict=False)
                ]
            self.taken.append(message)
        said = list(self.venue.handle(message))
        if mood == "late":
            self.late += said
            return ()
        self.told += said
        return said * 2 if mood == "twice" else said

    def save(self) -> Nothing:
        return Nothing()

    def load(self, state: Any) -> None:
        del state


class GatedLine(RuleBasedStateMachine):
    """A line on two strategies and three symbols, and everything that may happen to it.

    ``limits`` and ``breakers`` are those that it has; its bars close from minute ``began`` on.
    """

    limits: ClassVar[Limits] = LIMITS
    breakers: ClassVar[Mapping[str, Tiers]] = {}
    began: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.now = self.began
        self.count = 0
        self.prices = dict.fromkeys(SYMBOLS, Decimal(100))
        self.heard: list[Message] = []
        self.approved: dict[str, Approved] = {}
        self.before: dict[str, Decimal] = {}
        self.instruments = {symbol: instrument(symbol) for symbol in SYMBOLS}
        self.venue = Faulty(SimulatedVenue(self.instruments, COSTS, cash(10_000)))
        self.build()
        self.begin()
        for symbol in SYMBOLS:
            self.line.pump(bars_closed(bar(self.now, symbol=symbol, volume="100")))

    def begin(self) -> None:
        """Let be what was before the first bar."""

    def build(self) -> None:
        size = SizeRule(SizeKind.QTY, Decimal(23))
        self.risk = RiskStage(self.instruments, cash(10_000), size, self.limits, breakers=self.breakers)
        self.orders = OrdersStage(self.instruments)
        self.gate = LastGate(self.venue, self.risk)
        self.strategy = Scripted({})
        sinks: dict[type[Message], Callable[[Message], None]] = dict.fromkeys(KINDS.values(), self.heard.append)
        sinks |= {Signal: self._on_signal, Approved: self._on_approved}
        stages = {
            StageName.BARS: Scripted({}),
            StageName.VENUE: self.gate,
            StageName.ORDERS: self.orders,
            StageName.RISK: self.risk,
            StageName.STRATEGY: self.strategy,
        }
        self.line = Line(stages, sinks)

    def uses(self) -> dict[str, Decimal]:
        return {use.limit: use.value for use in self.risk.limits_view()}

    def most(self, name: str) -> Decimal:
        """Return the limit of that name; one that each symbol has is the same for all."""
        return self.limits.get(name) or self.limits[f"{name}.{SYMBOLS[0]}"]

    def _on_signal(self, message: Message) -> None:
        del message
        self.before = self.uses()

    def _on_approved(self, message: Message) -> None:
        assert isinstance(message, Approved)
        if message.signal.action is not Action.ENTER:
            return
        self.approved[message.signal.id] = message
        event("entered" if not message.cuts else f"cut by {message.cuts[-1].gate}")
        assert self.risk.trading_state is TradingState.RUNNING
        for name, value in self.uses().items():
            # What prices did is not undone; but no entry makes it worse.
            if name not in RISES:
                assert value <= max(self.most(name), self.before[name]), name

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        moves=st.tuples(st.integers(-6, 6), st.integers(-6, 6), st.integers(0, 4)),
    )
    def close_bar(self, symbol: str, moves: tuple[int, int, int]) -> None:
        opened = self.prices[symbol] + moves[0]
        close = max(Decimal(20), opened + moves[1])
        opened = max(Decimal(20), opened)
        high, low = max(opened, close) + moves[2], max(Decimal(10), min(opened, close) - moves[2])
        self.prices[symbol] = close
        self.now += 1
        self.line.pump(bars_closed(bar(self.now, close, symbol=symbol, open_=opened, high=high, low=low, volume="100")))

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        strategy=st.sampled_from(STRATEGIES),
        action=st.sampled_from([Action.ENTER] * 5 + [Action.EXIT, Action.MOVE_STOP]),
        side=st.sampled_from(PositionSide),
        kind=st.sampled_from([OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET]),
        shift=st.integers(-4, 8),
        distance=st.sampled_from([None, 2, 5, 9, 30]),
        fraction=st.sampled_from(["1", "0.5"]),
        age_s=st.sampled_from([None, 0, 0, 0, 10, 11]),
    )
    def signal(  # the fields of a wish
        self,
        symbol: str,
        strategy: str,
        action: Action,
        side: PositionSide,
        kind: OrderType,
        shift: int,
        distance: int | None,
        fraction: str,
        age_s: int | None = 0,
    ) -> None:
        self.count += 1
        self._tell(age_s)
        close = self.prices[symbol]
        entry = None if kind is OrderType.MARKET else price(close - side.sign * shift)
        base = close if entry is None else entry
        wish = Signal(
            id=f"{strategy}-{symbol}-{self.count}",
            ts_event=minute(self.now),
            strategy=strategy,
            symbol=symbol,
            action=action,
            side=side,
            close=price(close),
            entry_type=kind,
            entry_price=entry,
            stop=None if distance is None else price(max(Decimal(1), base - side.sign * distance)),
            target=None if distance is None else price(max(Decimal(1), base + side.sign * distance)),
            fraction=Decimal(fraction),
        )
        self._on_signal(wish)
        self.line.pump(wish)

    def _tell(self, age_s: int | None) -> None:
        """Say what a live market is like; a line that was never told trades bars alone."""
        seen, now = self.risk.save().seen, minute(self.now)
        if age_s is None:
            self.venue.is_fresh = seen is None or (seen.ts_event == now and self.venue.is_fresh)
            return
        self.venue.is_fresh = age_s <= 10
        self.line.pump(
            PricesSeen(
                ts_event=now,
                prices=tuple(
                    SymbolPrices(
                        symbol=one, age_ms=age_s * 1000, mark=price(at), mid=price(at), bid_qty=qty(50), ask_qty=qty(40)
                    )
                    for one, at in self.prices.items()
                ),
            )
        )

    @rule(moods=st.lists(st.sampled_from(["", "late", "twice", "refuse"]), min_size=1, max_size=4))
    def spoil(self, moods: list[str]) -> None:
        self.venue.moods = moods

    @rule(number=st.integers(0, 20), again=st.booleans())
    def hear_late(self, number: int, again: bool) -> None:
        if self.venue.late:
            message = self.venue.late.pop(number % len(self.venue.late))
            self.venue.told.append(message)
            self._deliver(message)
        elif again and self.venue.told:
            self._deliver(self.venue.told[number % len(self.venue.told)])

    def _deliver(self, message: Message) -> None:
        is_news = self.risk.is_news(message) if isinstance(message, FundingPaid) else self.orders.is_news(message)
        if is_news:
            self.line.pump(message)

    @rule(
        verb=st.sampled_from(VERBS),
        symbol=st.sampled_from(SYMBOLS),
    )
    def command(self, verb: Verb, symbol: str) -> None:
        arguments = {"symbol": symbol, "reason": "test"} if verb in (Verb.FREEZE, Verb.THAW) else {}
        self.line.pump(command(verb, arguments))

    @rule()
    def tick(self) -> None:
        self.line.pump(Tick(ts_event=minute(self.now)))

    @rule()
    def restart(self) -> None:
        kept = decode(RiskState, encode(self.risk.save())), decode(OrdersState, encode(self.orders.save()))
        venue = self.venue.venue.save()
        self.build()
        self.risk.load(kept[0])
        self.orders.load(kept[1])
        self.venue.venue.load(decode(VenueState, encode(venue)))
        assert (self.risk.save(), self.orders.save()) == kept

    @invariant()
    def what_opens_was_approved_once_and_for_no_more(self) -> None:
        openings = Counter[str]()
        for submit in self.venue.taken:
            first = submit.orders[0]
            if first.reduce_only:
                assert all(order.reduce_only for order in submit.orders)
                continue
            openings[first.signal_id] += 1
            asked = self.approved[first.signal_id]
            assert (first.symbol, first.side) == (asked.signal.symbol, asked.signal.side.entry)
            assert first.qty <= asked.qty
        assert all(count == 1 for count in openings.values())

    @invariant()
    def every_trade_is_booked_once(self) -> None:
        booked = [message for message in self.heard if isinstance(message, Fill)]
        assert len({fill.trade_id for fill in booked}) == len(booked)
        told = {one.trade_id: one.qty * one.side.sign for one in self.venue.told if isinstance(one, FillReport)}
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for fill in booked:
            assert told[fill.trade_id] == fill.qty * fill.side.sign
            sums[fill.symbol] += fill.qty * fill.side.sign
        positions = {symbol: position.qty for symbol, position in self.risk.save().positions.items()}
        assert {symbol: total for symbol, total in sums.items() if total} == positions

    @invariant()
    def the_last_gate_found_no_fault(self) -> None:
        stopped = [one for one in self.heard if isinstance(one, Alert) and one.name is AlertName.ORDER_STOPPED]
        assert stopped == []

    @invariant()
    def room_is_kept_for_what_may_still_come(self) -> None:
        # Whatever the venue still has of our entries is spoken for, with at least so much.
        entries = self.risk.save().entries
        for resting in self.venue.venue.orders():
            request = resting.request
            if request.role is OrderRole.ENTRY and not self._has_late(request.client_order_id):
                assert entries[request.signal_id].qty >= request.qty - resting.filled

    def _has_late(self, client_order_id: str) -> bool:
        return any(getattr(one, "client_order_id", "") == client_order_id for one in self.venue.late)

    def teardown(self) -> None:
        self.venue.moods = []
        while self.venue.late:
            message = self.venue.late.pop(0)
            self.venue.told.append(message)
            self._deliver(message)
        held = {symbol: qty for symbol in SYMBOLS if (qty := self.venue.venue.position(symbol))}
        assert {symbol: position.qty for symbol, position in self.risk.save().positions.items()} == held


TestGatedLine = GatedLine.TestCase
TestGatedLine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
