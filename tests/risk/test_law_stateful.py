"""The law: no sequence of signals, fills, prices, time and faults breaks a limit, leaves a position without its stop
beyond the stated time, moves a stop back, or books a fill twice.

Every gate and every breaker is on. Time passes by the second, with the ticks that the watch over a real venue sends.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from tests.builders import bars_closed, command, minute, price, replace
from tests.orders.ratchet import Ratchet
from tests.risk.test_gates_stateful import LIMITS, STRATEGIES, SYMBOLS, VERBS, GatedLine
from tests.risk.test_tail_limits import DAYS, closes, day_bar
from tests.search import examples
from tradebot.model.command import Alert, AlertName, Tick, Verb
from tradebot.model.market import Message
from tradebot.model.money import ZERO
from tradebot.model.order import (
    CancelOrder,
    OrderCanceled,
    OrderRejected,
    OrderRole,
    OrderType,
    PositionSide,
    StopFault,
    StopFaulted,
    SubmitOrders,
    TradingPermitted,
)
from tradebot.model.signal import Action
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.line import Line
from tradebot.pipeline.orders.brackets import closing_side
from tradebot.pipeline.orders.witness import Witness
from tradebot.pipeline.risk.breakers.base import Tiers
from tradebot.pipeline.risk.limits import Limits

D = Decimal
NAKED_S, ANSWER_S, PAGED_S = 2, 7, 61
"""How long a position may be without its stop: with nothing on its way, with an order that nobody answers; how often a
human is told while nothing helps."""
MOODS = ("", "late", "twice", "refuse", "lost")


class LawfulLine(GatedLine):
    """The line of the gates with all that there is, in seconds."""

    limits: ClassVar[Limits] = Limits(
        LIMITS,
        max_cluster_notional=D(5000),
        max_var95=D(700),
        max_cvar95=D(1200),
        max_var99=D(1200),
        max_cvar99=D(1500),
        min_confidence=D("0.1"),
        **{f"max_order_qty.{symbol}": D(40) for symbol in SYMBOLS},
    )
    breakers: ClassVar[Mapping[str, Tiers]] = {
        "drawdown_pct": (D(8), D(15), D(25)),
        "daily_loss_pct": (D(5), D(10), D(20)),
        "max_consecutive_losses": (D(3), D(5), D(8)),
        "max_trades_per_day": (D(30), D(60)),
        "loss_cooldown_min": (D(1), D(5)),
        "max_slippage_bps": (D(300), D(900), D(3000)),
        "max_rejects_per_min": (D(12),),
    }
    began: ClassVar[int] = DAYS * 1440 + 1

    def __init__(self) -> None:
        self.second = 0
        self.ratchet = Ratchet()
        self.naked: dict[str, int] = {}
        self.silent: dict[str, int] = {}
        self.paged: dict[str, int] = {}
        super().__init__()

    def begin(self) -> None:
        for day in range(DAYS):
            for symbol in SYMBOLS:
                self.line.pump(bars_closed(day_bar(symbol, day + 1, closes(symbol)[day])))

    def build(self) -> None:
        super().build()
        sinks = self.line.sinks | {
            SubmitOrders: self._on_sent,
            CancelOrder: self._on_sent,
            Alert: self._on_alert,
        }
        self.line = Line(self.line.stages, sinks)

    def _on_sent(self, message: Message) -> None:
        self.heard.append(message)
        assert isinstance(message, SubmitOrders | CancelOrder)
        self.ratchet.check(self.orders, message)

    def _on_alert(self, message: Message) -> None:
        self.heard.append(message)
        assert isinstance(message, Alert)
        if message.name in (AlertName.UNPROTECTED, AlertName.EXIT_FAILED):
            self.paged[message.symbol] = self.seconds

    @property
    def seconds(self) -> int:
        return self.now * 60 + self.second

    @property
    def time(self) -> Nanos:
        return Nanos(self.seconds * NANOS_PER_S)

    # Time.

    @rule(seconds=st.integers(1, 12))
    def tick(self, seconds: int = 1) -> None:
        for _ in range(min(seconds, 59 - self.second)):
            self.second += 1
            self._tick()

    def _tick(self) -> None:
        if self.orders.is_overdue or self.risk.is_flattening:
            self.line.pump(Tick(ts_event=self.time))
        self.ratchet.note(self.orders)
        self.look_for_the_naked()

    @rule(symbol=st.sampled_from(SYMBOLS), moves=st.tuples(st.integers(-6, 6), st.integers(-6, 6), st.integers(0, 4)))
    def close_bar(self, symbol: str, moves: tuple[int, int, int]) -> None:
        self.tick(60)
        self.second = 0
        super().close_bar(symbol, moves)
        self._tick()

    # What else may happen.

    @initialize(sides=st.lists(st.sampled_from(PositionSide), min_size=2, max_size=2))
    def open_two(self, sides: list[PositionSide]) -> None:
        for symbol, side in zip(SYMBOLS, sides, strict=False):
            self.open(symbol, side, 9)

    @rule(symbol=st.sampled_from(SYMBOLS), side=st.sampled_from(PositionSide), distance=st.sampled_from([5, 9, 12]))
    def open(self, symbol: str, side: PositionSide, distance: int) -> None:
        """Enter at market with a stop, and let the next bar fill it."""
        self.signal(symbol, STRATEGIES[0], Action.ENTER, side, OrderType.MARKET, 0, distance, "1")
        self.close_bar(symbol, (0, 0, 0))
        if self.venue.venue.position(symbol):
            event("opened")

    @rule(moods=st.lists(st.sampled_from(MOODS), min_size=1, max_size=4))
    def spoil(self, moods: list[str]) -> None:
        self.venue.moods = moods

    @rule()
    def prove_lost(self) -> None:
        """What never arrived is proven to be nowhere."""
        for name in self.venue.lost:
            self._deliver(OrderRejected(ts_event=self.time, client_order_id=name, reason="never accepted"))
        self.venue.lost = []

    @rule(verb=st.sampled_from(VERBS), symbol=st.sampled_from(SYMBOLS))
    def command(self, verb: Verb, symbol: str) -> None:
        arguments = {"reason": "looked"} | ({"symbol": symbol} if verb in (Verb.FREEZE, Verb.THAW) else {})
        self.line.pump(replace(command(verb, arguments), ts_event=minute(self.now)))

    @rule()
    def permit(self) -> None:
        self._deliver(TradingPermitted(ts_event=self.time))

    def stops(self, symbol: str) -> list[Any]:
        """Return the stops that the venue works on, as it keeps them."""
        book = self.venue.venue._books.get(symbol)
        found = [] if book is None else book.orders
        return [one for one in found if one.request.role is OrderRole.STOP and one.armed]

    @rule(symbol=st.sampled_from(SYMBOLS), is_late=st.booleans(), moods=st.lists(st.sampled_from(MOODS), max_size=3))
    def lose_stop(self, symbol: str, is_late: bool, moods: list[str]) -> None:
        """What the line does about it meets ``moods``."""
        for stop in self.stops(symbol)[-1:]:
            self.venue.moods = moods
            event("stop lost")
            gone = [
                one
                for one in self.venue.venue.cancel(symbol, stop.request.client_order_id, self.time)
                if isinstance(one, OrderCanceled)
            ]
            for one in gone:
                self.venue.late.append(one) if is_late else self._hear(one)

    @rule(symbol=st.sampled_from(SYMBOLS), moods=st.lists(st.sampled_from(MOODS), max_size=3))
    def cut_stop(self, symbol: str, moods: list[str]) -> None:
        for stop in self.stops(symbol)[-1:]:
            self.venue.moods = moods
            event("stop cut")
            stop.armed = self.instruments[symbol].qty_up(stop.armed / 2)
        # Until it was looked for nobody can know.
        self.compare()

    @rule(number=st.integers(0, 20), again=st.booleans())
    def hear_late(self, number: int, again: bool) -> None:
        super().hear_late(number, again)
        # What was cut before it was heard of is found by the next look.
        self.compare()

    @rule()
    def compare(self) -> None:
        """Compare the stops as the watch over a real venue does."""
        witness = Witness(self.orders.orders, self.orders.held)
        for faulted in witness.differing(self.venue.venue.resting(), self.time).values():
            if not self._has_late(faulted.client_order_id):
                self._deliver(faulted)

    @rule(symbol=st.sampled_from(SYMBOLS), shift=st.integers(-12, 12))
    def bring_the_liquidation_near(self, symbol: str, shift: int) -> None:
        at = price(max(D(1), self.prices[symbol] + shift))
        for faulted in Witness(self.orders.orders, self.orders.held).beyond({symbol: at}, self.time):
            event("liquidation near")
            self._deliver(faulted)

    @rule(symbol=st.sampled_from(SYMBOLS))
    def stick(self, symbol: str) -> None:
        for name in sorted(Witness(self.orders.orders, self.orders.held).passed({symbol: price(self.prices[symbol])})):
            event("stop stuck")
            self._deliver(StopFaulted(ts_event=self.time, client_order_id=name, fault=StopFault.UNFILLED))

    def _hear(self, message: Message) -> None:
        self.venue.told.append(message)
        self._deliver(message)

    # The law.

    @invariant()
    def look_for_the_naked(self) -> None:
        self.ratchet.note(self.orders)
        now = self.seconds
        for symbol in SYMBOLS:
            if not self._is_naked(symbol):
                self.naked.pop(symbol, None)
                self.silent.pop(symbol, None)
                continue
            event("without its stop")
            if self._is_on_its_way(symbol):
                self.naked.pop(symbol, None)
                since = self.silent.setdefault(symbol, now)
                assert now - since <= ANSWER_S, f"{symbol} waits for an answer since {now - since} s"
            else:
                since = self.naked.setdefault(symbol, now)
                assert now - since <= NAKED_S, f"{symbol} is naked since {now - since} s"

    def _is_naked(self, symbol: str) -> bool:
        held = self.venue.venue.position(symbol)
        ours = self.orders.held.get(symbol)
        if not held or ours is None or ours.qty != held or self._is_unheard(symbol):
            # Of what nobody was told yet, nobody can know.
            return False
        asked = self.approved.get(ours.signal_id)
        if asked is not None and asked.signal.stop is None:
            return False
        side = closing_side(held)
        covered = sum((one.open_qty for one in self.stops(symbol) if one.request.side is side), ZERO)
        is_told = self.seconds - self.paged.get(symbol, -PAGED_S) < PAGED_S
        return covered < abs(held) and symbol not in self.orders.save().wanted and not is_told

    def _is_unheard(self, symbol: str) -> bool:
        names = {getattr(one, "client_order_id", None) for one in self.venue.late}
        known = (self.orders.find(name) for name in names)
        return None in names or any(one is not None and one.request.symbol == symbol for one in known)

    def _is_on_its_way(self, symbol: str) -> bool:
        orders = [one for one in self.orders.orders.values() if one.request.symbol == symbol]
        return any(one.is_unknown and one.request.role in (OrderRole.STOP, OrderRole.EXIT) for one in orders)

    def teardown(self) -> None:
        super().teardown()
        self.prove_lost()
        self.compare()
        for _ in range(2 * PAGED_S):
            self.second += 1
            self._tick()
        assert all(use.pct_used is not None for use in self.risk.limits_view())


@pytest.mark.hypothesis
def test_nothing_breaks_the_law() -> None:
    width = settings(max_examples=examples(25), stateful_step_count=50, deadline=None)
    run_state_machine_as_test(LawfulLine, settings=width)
