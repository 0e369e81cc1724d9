"""No sequence of signals, prices, fills, faults, deposits, commands and restarts gets past a breaker.

The stages and the simulated venue run twice: one line is saved and loaded at random, the other never, and both must say
the same. What they say is held against a plain reading of the rules.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.builders import MINUTE, bar, bars_closed, cash, instrument, price
from tests.search import examples
from tradebot.model.breaker import Act, BreakerChanged
from tradebot.model.command import Alert, AlertName, Command, CommandDone, Tick, TradingState, Verb
from tradebot.model.market import BarsClosed, Message
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
from tradebot.model.position import Deposit, RoundTrip
from tradebot.model.signal import Action, Approved, Signal
from tradebot.model.time import DAY, Nanos
from tradebot.pipeline.line import Line, StageName
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.ports import Stage
from tradebot.store.codec import decode, encode
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.venue import SimulatedVenue

D = Decimal
SYMBOLS = ("BTC", "ETH")
COSTS = Costs(taker_bps=D("4.5"), maker_bps=D("1.5"), slippage_bps=D(1), leverage=5, funding_rate=D("0.0001"))
SIZE = SizeRule(SizeKind.EQUITY_FRACTION, D("0.9"))
COOLDOWN_MIN = (D(3), D(30))
CHOICES = {
    "drawdown_pct": [(D(5), D(10), D(20)), (D(10), D(20)), (D(20),), ()],
    "daily_loss_pct": [(D(2), D(4), D(8)), (D(6),), ()],
    "max_consecutive_losses": [(D(2), D(3), D(4)), (D(3),), ()],
    "max_trades_per_day": [(D(2), D(4)), (D(3),), ()],
    "loss_cooldown_min": [COOLDOWN_MIN, ()],
    "max_slippage_bps": [(D(50), D(200), D(500)), ()],
    "max_rejects_per_min": [(D(2),), ()],
}
NO_ENTRIES = (Act.REDUCE_ONLY, Act.HALT)


@dataclass(frozen=True)
class Nothing:
    """The state of a stage that has none."""


class Script:
    """Stands where strategies stand, and says at a symbol's bar what was put there for it."""

    STATE = Nothing

    def __init__(self) -> None:
        self.wishes: dict[str, list[Signal]] = {}

    def handle(self, message: Message) -> Sequence[Message]:
        return self.wishes.pop(message.symbol, []) if isinstance(message, BarsClosed) else ()

    def save(self) -> Nothing:
        return Nothing()

    def load(self, state: Any) -> None:
        del state


class Bot:
    """A line, and all that it said."""

    def __init__(self, breakers: dict[str, tuple[Decimal, ...]]) -> None:
        self.breakers = breakers
        self.heard: list[Message] = []
        self.script = Script()
        self.build()

    def build(self) -> None:
        instruments = {symbol: instrument(symbol) for symbol in SYMBOLS}
        self.risk = RiskStage(instruments, cash(10_000), SIZE, Limits(), breakers=self.breakers)
        self.orders = OrdersStage(instruments)
        self.venue = SimulatedVenue(instruments, COSTS, cash(10_000))
        stages: dict[StageName, Stage] = {
            StageName.BARS: Script(),
            StageName.VENUE: self.venue,
            StageName.ORDERS: self.orders,
            StageName.RISK: self.risk,
            StageName.STRATEGY: self.script,
        }
        self.line = Line(stages, dict.fromkeys(KINDS.values(), self.heard.append))

    def restart(self) -> None:
        saved = self.risk.save(), self.orders.save(), self.venue.save()
        kept = decode(RiskState, encode(saved[0])), decode(OrdersState, encode(saved[1]))
        self.build()
        self.risk.load(kept[0])
        self.orders.load(kept[1])
        self.venue.load(saved[2])
        assert (self.risk.save(), self.orders.save()) == saved[:2]


class Reading:
    """The rules of the breakers as plainly as they can be written, over what a line said."""

    def __init__(self, breakers: dict[str, tuple[Decimal, ...]]) -> None:
        self.tiers = breakers
        self.tier: dict[str, int] = defaultdict(int)
        self.peak = self.last = self.morning = D(10_000)
        self.day = 0
        self.losses = 0
        self.opened: dict[int, int] = defaultdict(int)
        self.cooling: dict[str, Nanos] = {}
        self.in_a_row: dict[str, int] = defaultdict(int)
        self.pages = 0

    def act(self, name: str) -> Act | None:
        acts = (Act.REDUCE_SIZE, Act.REDUCE_ONLY, Act.HALT)[-len(self.tiers[name]) :] if self.tiers.get(name) else ()
        return acts[self.tier[name] - 1] if self.tier[name] else None

    def is_latched(self, name: str) -> bool:
        return self.tier[name] > 0 and self.tier[name] == len(self.tiers[name])

    @property
    def acts(self) -> set[Act | None]:
        return {self.act(name) for name in self.tiers}

    def hear(self, message: Message) -> None:
        match message:
            case BreakerChanged():
                self.change(message)
            case Alert() if message.name is AlertName.BREAKER:
                self.pages += 1
            case Approved() if message.signal.action is Action.ENTER:
                assert not self.acts & set(NO_ENTRIES)
                assert message.ts_event >= self.cooling.get(message.signal.symbol, 0)
                if Act.REDUCE_SIZE in self.acts:
                    assert message.cuts[-1].gate in {n for n in self.tiers if self.act(n) is Act.REDUCE_SIZE}
                else:
                    assert not message.cuts
            case SubmitOrders():
                if any(order.role is OrderRole.ENTRY for order in message.orders):
                    assert not self.acts & set(NO_ENTRIES)
            case RoundTrip():
                self.trip(message)
            case _:
                pass

    def change(self, changed: BreakerChanged) -> None:
        name = changed.name
        if changed.tier:
            assert changed.tier > self.tier[name]
            assert changed.threshold == self.tiers[name][changed.tier - 1]
            assert changed.value >= changed.threshold
            self.pages -= 1
        else:
            assert self.tier[name]
            assert not self.is_latched(name) or changed.reason == "operator: looked"
            if name == "max_consecutive_losses":
                self.losses = 0
            if changed.reason.startswith("operator"):
                if name == "drawdown_pct":
                    self.peak = self.last
                if name == "daily_loss_pct":
                    self.morning = self.last
                if name == "max_trades_per_day":
                    self.opened.clear()
        self.tier[name] = changed.tier
        assert self.act(name) is changed.act

    def trip(self, trip: RoundTrip) -> None:
        if trip.net_pnl < 0:
            self.losses += 1
            self.in_a_row[trip.symbol] += 1
            if self.tiers.get("loss_cooldown_min"):
                minutes = COOLDOWN_MIN[min(self.in_a_row[trip.symbol], 2) - 1]
                self.cooling[trip.symbol] = Nanos(trip.exit_ts + int(minutes) * MINUTE)
        elif trip.net_pnl > 0:
            self.losses = 0
            self.in_a_row[trip.symbol] = 0
            self.cooling.pop(trip.symbol, None)

    def deposit(self, before: Decimal, after: Decimal) -> None:
        self.peak = self.peak * after / before
        self.morning = self.morning * after / before
        self.last = after

    def look(self, ts: int, equity: Decimal) -> None:
        """At a closing time all tiers that the numbers ask for are reached."""
        day = (ts - 1) // DAY
        if day > self.day and not self.is_latched("daily_loss_pct"):
            self.day, self.morning = day, self.last
        if not self.is_latched("drawdown_pct"):
            self.peak = max(self.peak, equity)
        self.last = equity
        for name, start in (("drawdown_pct", self.peak), ("daily_loss_pct", self.morning)):
            for number, tier in enumerate(self.tiers.get(name, ()), 1):
                # What is reckoned in another order may differ in the last digit.
                if (start - equity) * 100 > (tier + D("1e-9")) * start:
                    assert self.tier[name] >= number, (name, start, equity)
        for number, tier in enumerate(self.tiers.get("max_consecutive_losses", ()), 1):
            if self.losses >= tier:
                assert self.tier["max_consecutive_losses"] >= number


WISHES = st.tuples(
    st.sampled_from(SYMBOLS),
    st.sampled_from([Action.ENTER, Action.ENTER, Action.EXIT]),
    st.sampled_from(PositionSide),
    st.sampled_from([None, D(2), D(6)]),
    st.sampled_from([None, None, D(-3), D(3)]),
)
MOVES = st.sampled_from([*map(D, range(-8, 9)), D("-0.5"), D("-0.2"), D("0.3"), D(-30), D(25)])
TURNS = st.tuples(
    st.sampled_from([1, 1, 1, 2, 30, 700]),
    st.fixed_dictionaries(dict.fromkeys(SYMBOLS, MOVES)),
    st.lists(WISHES, max_size=3),
)


class Breaking(RuleBasedStateMachine):
    """What may happen, in any order."""

    @initialize(
        choice=st.fixed_dictionaries({name: st.sampled_from(options) for name, options in CHOICES.items()}),
        others=st.sets(st.sampled_from(tuple(CHOICES)), max_size=4),
    )
    def begin(self, choice: dict[str, tuple[Decimal, ...]], others: set[str]) -> None:
        breakers = {name: tiers for name, tiers in choice.items() if tiers and name not in others}
        self.bots = [Bot(breakers), Bot(breakers)]
        self.reading = Reading(breakers)
        self.read = 0
        self.minute = 0
        self.prices = dict.fromkeys(SYMBOLS, D(100))
        self.number = 0
        self.halted_for = 0
        self.bars(1, dict.fromkeys(SYMBOLS, D(0)), [])

    def tell(self, message: Message) -> None:
        for bot in self.bots:
            bot.line.pump(message)
        assert self.bots[0].heard == self.bots[1].heard
        for heard in self.bots[0].heard[self.read :]:
            self.reading.hear(heard)
            if isinstance(heard, Fill) and heard.role is OrderRole.ENTRY:
                self.reading.opened[heard.ts_event // DAY] += 1
        self.read = len(self.bots[0].heard)

    @property
    def book(self) -> RiskState:
        return self.bots[1].risk.save()

    @rule(turns=st.lists(TURNS, min_size=1, max_size=8))
    def market(self, turns: Sequence[tuple[int, dict[str, Decimal], Sequence[tuple[Any, ...]]]]) -> None:
        """Bars of both symbols, one time after the other."""
        for turn in turns:
            self.bars(*turn)
            self.a_halt_closes_everything()

    @rule(turns=st.lists(TURNS, min_size=4, max_size=16))
    def long_market(self, turns: Sequence[tuple[int, dict[str, Decimal], Sequence[tuple[Any, ...]]]]) -> None:
        """More of them."""
        self.market(turns)

    def bars(self, minutes: int, moves: dict[str, Decimal], wishes: Sequence[tuple[Any, ...]]) -> None:
        self.minute += minutes
        was_halted = Act.HALT in self.reading.acts
        for symbol in SYMBOLS:
            before = self.prices[symbol]
            after = self.prices[symbol] = round(before * (1 + moves[symbol] / 100), 1) or D(1)
            closed = bars_closed(bar(self.minute, after, symbol=symbol, open_=before))
            made = [self.wish(after, *wish) for wish in wishes if wish[0] == symbol]
            for bot in self.bots:
                bot.script.wishes = {symbol: list(made)}
            self.tell(closed)
        self.reading.look(closed.ts_event, self.book.equity)
        if self.bots[0].orders.is_overdue or self.bots[0].risk.is_flattening:
            # As the watch over a real venue does, which may refuse what closes too.
            self.tell(Tick(ts_event=closed.ts_event))
        self.halted_for = self.halted_for + 1 if was_halted else 0

    def wish(
        self,
        close: Decimal,
        symbol: str,
        action: Action,
        side: PositionSide,
        stop: Decimal | None,
        away: Decimal | None,
    ) -> Signal:
        self.number += 1
        at = None if away is None or action is Action.EXIT else round(close * (1 + away / 100), 1)
        kind = OrderType.MARKET
        if at is not None and away is not None:
            kind = OrderType.STOP_MARKET if away * side.sign > 0 else OrderType.LIMIT
        start = close if at is None else at
        return Signal(
            id=f"cross-{symbol}-{self.number}",
            ts_event=Nanos(self.minute * MINUTE),
            strategy="cross",
            symbol=symbol,
            action=action,
            side=side,
            close=price(close),
            entry_type=kind,
            entry_price=None if at is None else price(at),
            stop=None if stop is None else price(round(start * (1 - side.sign * stop / 100), 1)),
        )

    @rule(part=st.sampled_from(["-0.5", "-0.1", "0.2", "3"]))
    def deposit(self, part: str) -> None:
        before = self.book.equity
        if before <= 10:
            return
        self.number += 1
        amount = cash(round(before * D(part), 2))
        # Where it leaves more than there is, the simulated account would be closed out.
        if amount < 0 and self.book.positions:
            return
        for bot in self.bots:
            account = bot.venue.save()
            bot.venue.load(replace(account, cash=account.cash + amount))
        self.tell(Deposit(ts_event=Nanos(self.minute * MINUTE), id=f"d{self.number}", amount=amount))
        self.reading.deposit(before, self.book.equity)

    @rule(
        verb=st.sampled_from([Verb.PAUSE, Verb.REDUCE_ONLY, Verb.HALT, *[Verb.RESUME] * 12]),
        reason=st.sampled_from(["", "looked", "looked"]),
    )
    def command(self, verb: Verb, reason: str) -> None:
        self.number += 1
        tripped = {name for name in self.reading.tiers if self.reading.tier[name]}
        is_open = bool(self.book.positions or self.book.entries)
        is_halted = Act.HALT in self.reading.acts
        self.tell(
            Command(id=f"c{self.number}", ts_event=Nanos(self.minute * MINUTE), verb=verb, arguments={"reason": reason})
        )
        if verb is not Verb.RESUME:
            return
        answer = [one for one in self.bots[0].heard if isinstance(one, CommandDone)][-1]
        assert bool(answer.error) is bool(tripped and (not reason or (is_halted and is_open)))
        if not answer.error:
            assert not any(self.reading.tier.values())
            assert self.bots[0].risk.trading_state is TradingState.RUNNING

    @rule(symbol=st.sampled_from(SYMBOLS))
    def refuse(self, symbol: str) -> None:
        """The venue drops an entry that it had taken."""
        # What closes is tried again after a while, which would only blur what is asked here.
        known = self.bots[0].orders.save().orders.values()
        waiting = [one for one in known if one.is_waiting and one.request.role is not OrderRole.EXIT]
        for order in waiting[:1]:
            if order.request.symbol != symbol or order.fills:
                continue
            rejected = OrderRejected(
                ts_event=Nanos(self.minute * MINUTE),
                client_order_id=order.request.client_order_id,
                reason="no",
                refusal=RefusalClass.PASSING,
            )
            for bot in self.bots:
                bot.venue.cancel(symbol, order.request.client_order_id, rejected.ts_event)
            self.tell(rejected)

    @rule(which=st.integers(0, 3))
    def say_again(self, which: int) -> None:
        """The venue tells of a fill a second time."""
        told = [one for one in self.bots[0].heard if isinstance(one, FillReport)]
        if which < len(told):
            self.tell(told[-1 - which])

    @rule()
    def restart(self) -> None:
        self.bots[0].restart()

    @invariant()
    def tiers_stand_as_they_were_told(self) -> None:
        if not hasattr(self, "bots"):
            return
        shown = {
            one.name: one.tier or 0 for one in self.bots[0].risk.breakers_view() if one.name != "loss_cooldown_min"
        }
        assert shown == {name: self.reading.tier[name] for name in shown}
        assert self.reading.pages == 0

    @invariant()
    def a_halt_closes_everything(self) -> None:
        if not hasattr(self, "bots") or Act.HALT not in self.reading.acts:
            return
        assert self.bots[0].risk.trading_state is TradingState.HALTED
        if self.halted_for >= 2:
            assert not self.book.positions
            assert not self.book.entries

    @invariant()
    def a_state_is_as_strict_as_the_breakers_ask(self) -> None:
        if hasattr(self, "bots") and Act.REDUCE_ONLY in self.reading.acts:
            assert self.bots[0].risk.trading_state is not TradingState.RUNNING

    @invariant()
    def no_more_positions_are_opened_in_a_day_than_may_be(self) -> None:
        if hasattr(self, "bots") and (tiers := self.reading.tiers.get("max_trades_per_day")):
            most = tiers[-2] if len(tiers) > 1 else tiers[-1]
            assert all(count <= most for count in self.reading.opened.values())


def test_nothing_gets_past_a_breaker() -> None:
    run_state_machine_as_test(Breaking, settings=settings(max_examples=examples(80), stateful_step_count=25))
