"""The desk: whether a signal may become an order now, and of what size."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import assert_never

from tradebot.model.command import TradingState
from tradebot.model.instrument import Instrument, Listing
from tradebot.model.market import PricesSeen, SymbolPrices
from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, rounded
from tradebot.model.order import Fill, OrderDone, OrderFound, OrderRole, OrderSide, PositionSide
from tradebot.model.signal import WISH_GATES, Action, Approved, Cut, Refused, Signal
from tradebot.model.time import Nanos
from tradebot.pipeline.instruments import Instruments
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Changes
from tradebot.pipeline.risk.breakers.sequence import REDUCED, Breakers
from tradebot.pipeline.risk.gates.base import Stopped
from tradebot.pipeline.risk.gates.listing import NOT_TRADED
from tradebot.pipeline.risk.gates.sequence import Gates
from tradebot.pipeline.risk.gates.zone import GATE as ZONE
from tradebot.pipeline.risk.holdings import Exposed, Exposures, WorkingEntry
from tradebot.pipeline.risk.ledger import Ledger
from tradebot.pipeline.risk.limits import Limits
from tradebot.pipeline.risk.measures.measuring import Measures
from tradebot.pipeline.risk.order_gates.sequence import OrderGates
from tradebot.pipeline.risk.recent import Recent
from tradebot.pipeline.risk.sizing import Sized, Sizing, checked_price, fit
from tradebot.pipeline.risk.trip import Trip

MANUAL = "manual"
# More than an operator closes by hand between two backups.
_MANUAL_GAP = 1_000


class Desk:
    """Decides on signals by the trading state, the positions, the entries at work and the limits."""

    __slots__ = (
        "_counted",
        "_is_deciding",
        "_worth",
        "asked",
        "breakers",
        "entries",
        "flattens_own",
        "found_ids",
        "frozen",
        "gates",
        "instruments",
        "is_flattening",
        "is_lowered",
        "ledger",
        "limits",
        "manual",
        "measures",
        "order_gates",
        "refused",
        "seen",
        "seen_ts",
        "signals",
        "sizing",
        "state_reason",
        "stops",
        "trading_state",
    )

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        ledger: Ledger,
        sizing: Sizing,
        gates: Gates,
        limits: Limits,
        breakers: Breakers,
        measures: Measures,
    ) -> None:
        self.instruments = Instruments(instruments)
        self.ledger = ledger
        self.sizing = sizing
        self.gates = gates
        self.measures = measures
        self.order_gates = OrderGates()
        # While an entry is decided on nothing changes, and most gates ask for the same.
        self._is_deciding = False
        self._counted: Exposures | None = None
        self._worth: Cash | None = None
        self.limits: Mapping[str, Decimal] = limits
        self.breakers = breakers
        # What breakers said of the entry that was decided on last.
        self.asked: Changes = NO_CHANGE
        self.is_lowered = False
        self.trading_state = TradingState.RUNNING
        self.state_reason = ""
        self.is_flattening = self.flattens_own = False
        self.entries: dict[str, WorkingEntry] = {}
        self.manual: dict[str, int] = {}
        self.stops: dict[str, Price] = {}
        self.frozen: dict[str, tuple[str, ...]] = {}
        self.found_ids = Recent()
        self.seen: Mapping[str, SymbolPrices] | None = None
        self.seen_ts = Nanos(0)
        self.signals = 0
        self.refused = 0

    def load(self, state: RiskState) -> None:
        """Take over what ``state`` says of decisions."""
        self.trading_state = state.trading_state
        self.state_reason = state.state_reason
        self.is_flattening = state.is_flattening
        self.flattens_own = state.flattens_own
        self.entries = dict(state.entries)
        self.gates.load({ZONE: state.zones, **state.gates})
        self.order_gates.load(state.gates)
        self.instruments.seen = dict(state.instruments)
        self.manual = dict(state.manual)
        self.stops = dict(state.stops)
        self.frozen = dict(state.frozen)
        self.found_ids = Recent(state.found_ids)
        if state.seen is not None:
            self.see(state.seen)
        self.signals = state.signals
        self.refused = state.refused
        self.breakers.load(state.breakers)
        self.is_lowered = state.is_lowered

    def decide(self, signal: Signal) -> Approved | Refused:
        """Return ``signal`` approved with its size, or refused with the gate that stopped it."""
        self.signals += 1
        decided = self._judge(signal)
        if isinstance(decided, Sized):
            approved = Approved(ts_event=signal.ts_event, signal=signal, qty=decided.qty, cuts=decided.cuts)
            if signal.action is Action.ENTER:
                self.gates.hear(approved)
            return approved
        self.refused += 1
        return Refused(
            ts_event=signal.ts_event,
            signal=signal,
            gate=decided.gate,
            limit=decided.limit,
            value=decided.value,
            detail=decided.detail,
        )

    def on_refused(self, refused: Refused) -> None:
        """Count a wish that was stopped before it came here."""
        if refused.gate in WISH_GATES:
            self.signals += 1
            self.refused += 1

    def close(self, trip: Trip, ts: Nanos, fraction: Decimal = ONE) -> Approved | Stopped:
        """Return the exit that an operator asked for, as approved; the trading state has no say in it."""
        if trip.closing_id and not _gives_way(trip, fraction):
            return _closing(trip)
        number = self.manual.get(trip.symbol, 0) + 1
        signal = Signal(
            id=f"{MANUAL}-{trip.symbol}-{number}",
            ts_event=ts,
            strategy=trip.strategy,
            symbol=trip.symbol,
            action=Action.EXIT,
            side=trip.side,
            close=self.ledger.marks[trip.symbol],
            fraction=fraction,
            reason=MANUAL,
        )
        decided = self._close(trip, signal)
        if isinstance(decided, Stopped):
            return decided
        self.manual[trip.symbol] = number
        return Approved(ts_event=ts, signal=signal, qty=decided.qty)

    def number_on(self) -> None:
        """Go on behind the numbers of exits by hand that a lost journal may have given out."""
        symbols = {*self.instruments, *self.ledger.trips, *self.manual}
        self.manual = {symbol: self.manual.get(symbol, 0) + _MANUAL_GAP for symbol in sorted(symbols)}

    def to_flatten(self) -> list[Trip]:
        """Return the positions that flattening closes: all, or only those that this bot opened."""
        trips = self.ledger.trips.values()
        return [trip for trip in trips if trip.is_own or not self.flattens_own]

    def exposure(self) -> Cash:
        """Return the notional of what is open and of the entries at work."""
        if self._counted is None:
            # Where nothing more is asked for, to list it all would cost several times as much.
            return Cash(self.ledger.exposure() + sum((e.qty * e.price for e in self.entries.values()), ZERO))
        return self._counted.total

    def own_exposure(self, strategy: str) -> Cash:
        """Return the part of the exposure that is of ``strategy``."""
        return Cash(self.exposed().by_strategy.get(strategy, ZERO))

    def exposed(self) -> Exposures:
        """Return what the exposure is the sum of."""
        if not self._is_deciding:
            return Exposures(self._exposed())
        if self._counted is None:
            self._counted = Exposures(self._exposed())
        return self._counted

    def _exposed(self) -> Iterator[Exposed]:
        marks = self.ledger.marks
        for trip in self.ledger.trips.values():
            if not trip.is_closing:
                notional = abs(trip.qty) * marks[trip.symbol]
                yield Exposed(trip.symbol, trip.strategy, trip.side, notional, True)
        for entry in self.entries.values():
            yield Exposed(entry.symbol, entry.strategy, entry.side, entry.qty * entry.price, False)

    def equity(self) -> Cash:
        """Return cash and open P&L at the marks."""
        if not self._is_deciding:
            return self.ledger.equity()
        if self._worth is None:
            self._worth = self.ledger.equity()
        return self._worth

    @property
    def trips(self) -> Mapping[str, Trip]:
        """The open positions, by symbol."""
        return self.ledger.trips

    @property
    def marks(self) -> Mapping[str, Price]:
        """The last price of each symbol."""
        return self.ledger.marks

    def on_fill(self, fill: Fill) -> Decimal:
        """Take what filled of an entry off those at work and return its scale; call before the fill is booked."""
        self.gates.hear(fill)
        entry = self.entries.get(fill.signal_id)
        if entry is None or fill.role is not OrderRole.ENTRY:
            return ONE
        trip = self.ledger.trips.get(fill.symbol)
        # A further part of the same entry must not make a stop that was moved forget it.
        if trip is None or trip.qty * fill.side.sign < 0:
            self.stops.pop(fill.symbol, None)
            if entry.stop is not None:
                self.stops[fill.symbol] = entry.stop
        left = entry.qty - fill.qty
        if left > 0:
            self.entries[fill.signal_id] = _working(entry, left)
        else:
            del self.entries[fill.signal_id]
        return entry.scale

    def see(self, seen: PricesSeen) -> None:
        """Take what a live market is like now."""
        self.seen = {one.symbol: one for one in seen.prices}
        self.seen_ts = seen.ts_event

    @property
    def last_seen(self) -> PricesSeen | None:
        """What was taken last."""
        return None if self.seen is None else PricesSeen(ts_event=self.seen_ts, prices=tuple(self.seen.values()))

    def on_done(self, done: OrderDone) -> None:
        """Free what an order held that ended: the room of an entry, a position, the price of a stop."""
        self.gates.hear(done)
        self.order_gates.hear(done, self)
        if done.role is OrderRole.ENTRY:
            self.entries.pop(done.signal_id, None)
        elif done.role is OrderRole.EXIT and (trip := self.ledger.trips.get(done.symbol)) is not None:
            trip.on_exit_done(done)
        elif done.stop_price is not None:
            # A stop that was to be moved and was refused: it may be moved to any price beyond the one in force.
            self.stops[done.symbol] = done.stop_price

    def on_found(self, found: OrderFound) -> None:
        """Count an order of ours that was found at the venue: what it may fill, and where the stop is."""
        order = found.order
        if order.client_order_id in self.found_ids:
            return
        self.found_ids.add(order.client_order_id)
        self.order_gates.hear(found, self)
        limit = order.price if order.price is not None else order.trigger
        if order.role is OrderRole.STOP and order.trigger is not None:
            self.stops.setdefault(order.symbol, order.trigger)
        elif order.role is OrderRole.ENTRY and limit is not None:
            self.entries[order.signal_id] = WorkingEntry(
                signal_id=order.signal_id,
                symbol=order.symbol,
                strategy=order.strategy,
                qty=order.qty,
                price=limit,
                side=PositionSide.LONG if order.side is OrderSide.BUY else PositionSide.SHORT,
            )

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of ``symbol`` as they hold now."""
        return self.instruments.of(symbol)

    def listing(self, symbol: str) -> Listing:
        """Return whether the venue trades ``symbol``."""
        return self.instruments.listing(symbol)

    def _untraded(self, symbol: str) -> Stopped | None:
        """Return what stops an order for ``symbol`` that the venue does not trade any more."""
        listing = self.instruments.listing(symbol)
        if not listing.has_ended:
            return None
        return Stopped(NOT_TRADED, detail=f"{symbol} is {listing} at the venue, which ends its positions by itself")

    @property
    def waiting(self) -> int:
        """How many entries at work have not begun to fill."""
        trips = self.ledger.trips
        return sum(
            (trip := trips.get(entry.symbol)) is None or trip.closing_id != "" for entry in self.entries.values()
        )

    def _stopped(self, signal: Signal) -> Stopped | None:
        stopped = self.breakers.check(signal) or self.gates.check(signal, self)
        if stopped is not None:
            return stopped
        self.asked = self.breakers.on_ask(signal, self)
        return self.breakers.check(signal) if self.asked else None

    def _reduced(self, sized: Sized, signal: Signal, instrument: Instrument) -> Sized | Stopped:
        """Return what a breaker leaves of an entry."""
        breaker = self.breakers.reducing()
        if breaker is None:
            return sized
        qty = instrument.qty_down(sized.qty * REDUCED)
        if instrument.below_minimum(qty, signal.close):
            what = "what the breaker leaves is below the smallest order"
            return Stopped(breaker.name, breaker.threshold, rounded(breaker.value, 8), what)
        cut = Cut(gate=breaker.name, limit=breaker.threshold, value=rounded(breaker.value, 8))
        return Sized(qty, (*sized.cuts, cut), sized.asked)

    def _enter(self, signal: Signal) -> Sized | Stopped:
        self._is_deciding = True
        sized = self._sized(signal)
        self._is_deciding, self._counted, self._worth = False, None, None
        if isinstance(sized, Sized):
            self.entries[signal.id] = WorkingEntry(
                signal_id=signal.id,
                symbol=signal.symbol,
                strategy=signal.strategy,
                qty=sized.qty,
                price=checked_price(signal),
                stop=signal.stop,
                expected=signal.entry_price,
                side=signal.side,
                scale=sized.scale,
            )
        return sized

    def _sized(self, signal: Signal) -> Sized | Stopped:
        stopped = self._stopped(signal)
        if stopped is not None:
            return stopped
        instrument = self.instruments.of(signal.symbol)
        sized = self.sizing.size(signal, instrument, self.equity(), self.gates.bounds(signal, self))
        if isinstance(sized, Sized):
            sized = self._fit(signal, sized, instrument)
        return self._reduced(sized, signal, instrument) if isinstance(sized, Sized) else sized

    def _fit(self, signal: Signal, sized: Sized, instrument: Instrument) -> Sized | Stopped:
        """Return what the gates that look at a size leave of it."""
        price = checked_price(signal)
        for gate in self.gates.rooms(self):
            room = gate.room(signal, sized.qty, price, self)
            if room is None:
                continue
            fitted = fit(sized, room, instrument, price)
            if isinstance(fitted, Stopped):
                return fitted
            sized = fitted
        return sized

    def _judge(self, signal: Signal) -> Sized | Stopped:
        match signal.action:
            case Action.ENTER:
                return self._enter(signal)
            case Action.EXIT:
                return self._exit(signal)
            case Action.MOVE_STOP:
                return self._move_stop(signal)
            case _ as never:  # pragma: no cover - mypy shows that it cannot be
                assert_never(never)

    def _move_stop(self, signal: Signal) -> Sized | Stopped:
        # Allowed in every state: a stop is what is left when nothing else may be sent.
        trip = self.ledger.trips.get(signal.symbol)
        if trip is None or trip.strategy != signal.strategy or trip.side is not signal.side:
            return _no_position(signal)
        if (stopped := self._untraded(signal.symbol)) is not None:
            return stopped
        before, after = self.stops.get(signal.symbol), signal.stop
        if before is None or after is None:
            return Stopped("no_stop", detail="the position has no stop that could be moved")
        if (after - before) * signal.side.sign <= 0:
            return Stopped("stop_not_better", before, after, "a stop is only ever moved in favour of the position")
        if (signal.close - after) * signal.side.sign <= 0:
            return Stopped("bad_stop", signal.close, after, "the stop is not on the losing side of the close")
        self.stops[signal.symbol] = after
        return Sized(Qty(abs(trip.qty)))

    def _exit(self, signal: Signal) -> Sized | Stopped:
        if self.trading_state is TradingState.HALTED:
            return Stopped(TradingState.HALTED.value, detail=self.state_reason)
        trip = self.ledger.trips.get(signal.symbol)
        if trip is None or trip.strategy != signal.strategy or trip.side is not signal.side:
            return _no_position(signal)
        return (
            _closing(trip) if trip.closing_id and not _is_larger(trip, signal.fraction) else self._close(trip, signal)
        )

    def _close(self, trip: Trip, signal: Signal) -> Sized | Stopped:
        if (stopped := self._untraded(trip.symbol)) is not None:
            return stopped
        instrument = self.instruments.of(trip.symbol)
        held = abs(trip.qty)
        qty = held if signal.fraction >= 1 else instrument.qty_down(held * max(ZERO, signal.fraction))
        # Every order but one that closes all of a position must be large enough, and so must what it leaves.
        if qty < held and instrument.below_minimum(Qty(held - qty), signal.close):
            qty = held
        elif qty < held and instrument.below_minimum(Qty(qty), signal.close):
            return Stopped("below_minimum", max(instrument.lot, instrument.min_notional / signal.close), qty)
        trip.close(signal.id, Qty(qty))
        return Sized(Qty(qty))


def _closing(trip: Trip) -> Stopped:
    return Stopped("already_closing", value=trip.closing_qty, detail=f"the exit of {trip.closing_id} is at work")


def _gives_way(trip: Trip, fraction: Decimal) -> bool:
    """Return whether the exit of ``trip`` was refused, and is not an operator's that closes as much as ``fraction``."""
    is_as_good = trip.closing_id.startswith(f"{MANUAL}-") and trip.closing_qty >= abs(trip.qty) * fraction
    return trip.closing_failed and not is_as_good


def _is_larger(trip: Trip, fraction: Decimal) -> bool:
    """Return whether an exit of ``fraction`` closes more than the one of ``trip`` that the venue refused."""
    return trip.closing_failed and abs(trip.qty) * min(ONE, fraction) > trip.closing_qty


def _no_position(signal: Signal) -> Stopped:
    return Stopped("no_position", detail=f"{signal.strategy} has no {signal.side} position in {signal.symbol}")


def _working(entry: WorkingEntry, qty: Decimal) -> WorkingEntry:
    return WorkingEntry(
        signal_id=entry.signal_id,
        symbol=entry.symbol,
        strategy=entry.strategy,
        qty=Qty(qty),
        price=entry.price,
        stop=entry.stop,
        expected=entry.expected,
        side=entry.side,
        scale=entry.scale,
    )
