"""The risk stage: the only writer of the book. Signals become approved or refused, fills become positions."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from tradebot.model.command import Command, Heartbeat, Tick, TradingState
from tradebot.model.instrument import Instrument, InstrumentSeen, Listing
from tradebot.model.market import BarsClosed, Message, PricesSeen, Quote, SymbolPrices, Trade
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import (
    ActionsLeft,
    CancelOrder,
    Fill,
    FillDisputed,
    OrderDone,
    OrderFound,
    OrderRole,
    SubmitOrders,
)
from tradebot.model.position import Deposit, EquityMark, FundingPaid, ResidualSeen, RoundTrip
from tradebot.model.signal import Refused, Signal
from tradebot.pipeline.instruments import untraded
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, BreakerView, Tiers
from tradebot.pipeline.risk.breakers.sequence import Breakers
from tradebot.pipeline.risk.commands import Operator
from tradebot.pipeline.risk.curve import EquityCurve
from tradebot.pipeline.risk.desk import Desk
from tradebot.pipeline.risk.gates.allowance import AllowanceGate
from tradebot.pipeline.risk.gates.base import MAINTENANCE, Cooldown, GateConfig, Stopped
from tradebot.pipeline.risk.gates.entry_rate import GATE as THROTTLE
from tradebot.pipeline.risk.gates.entry_rate import halted
from tradebot.pipeline.risk.gates.sequence import Gates
from tradebot.pipeline.risk.holdings import NO_CASH
from tradebot.pipeline.risk.ledger import Ledger
from tradebot.pipeline.risk.limits import Limits, LimitUse, SizeRule
from tradebot.pipeline.risk.listing import what_changed
from tradebot.pipeline.risk.marking import Marking
from tradebot.pipeline.risk.measures.measuring import DEFAULT_MEASURES, MeasureRule, Measures
from tradebot.pipeline.risk.order_gates.fresh import fresh
from tradebot.pipeline.risk.scaling import Scaling
from tradebot.pipeline.risk.sizing import Sizing


class RiskStage:
    """Portfolio and risk in one: no race between checking a limit and booking what it was checked for."""

    STATE = RiskState

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        starting_cash: Cash,
        size: SizeRule,
        limits: Limits,
        require_stop: bool = False,
        cooldowns: Mapping[str, Cooldown] | None = None,
        breakers: Mapping[str, Tiers] | None = None,
        measured: MeasureRule = DEFAULT_MEASURES,
        maintenance: Decimal = MAINTENANCE,
        flattens_own: bool = False,
    ) -> None:
        self._ledger = Ledger(starting_cash)
        self._curve = EquityCurve(self._ledger)
        gates = Gates(
            GateConfig(rule=size, require_stop=require_stop, cooldowns=cooldowns or {}, maintenance=maintenance)
        )
        self._breakers = Breakers(breakers or {})
        self._measures = Measures(measured)
        self._scaling = Scaling(size, self._measures, self._curve)
        sizing = Sizing(size, self._scaling)
        self._desk = Desk(instruments, self._ledger, sizing, gates, limits, self._breakers, self._measures)
        self._operator = Operator(self._desk, flattens_own)
        self.marking = Marking(self._desk, self._curve)
        self._residual = NO_CASH
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {
            BarsClosed: self._on_bars,
            Trade: self._on_trade,
            Quote: self._on_quote,
            PricesSeen: self._on_prices,
            Signal: self._on_signal,
            Refused: self._on_refused,
            Fill: self._on_fill,
            FillDisputed: self._operator.on_disputed,
            FundingPaid: self._on_funding,
            OrderDone: self._on_done,
            Command: self._operator.on_command,
            Deposit: self._on_deposit,
            ResidualSeen: self._on_residual,
            Tick: self._on_tick,
            OrderFound: self._on_found,
            ActionsLeft: self._on_actions_left,
            InstrumentSeen: self._on_seen,
            Heartbeat: _nothing,
        }

    def handle(self, message: Message) -> Sequence[Message]:
        """Return what follows from ``message``."""
        return self.handlers[type(message)](message)

    def save(self) -> RiskState:
        """Return the book and all that decisions depend on."""
        ledger, desk, marking = self._ledger, self._desk, self.marking
        return RiskState(
            starting_cash=ledger.starting_cash,
            cash=ledger.cash,
            realized=ledger.realized,
            fees=ledger.fees,
            funding=ledger.funding,
            funding_estimates=ledger.funding_estimates,
            trading_state=desk.trading_state,
            state_reason=desk.state_reason,
            is_flattening=desk.is_flattening,
            flattens_own=desk.flattens_own,
            market_ts=marking.market_ts,
            marks=dict(ledger.marks),
            positions={symbol: trip.freeze() for symbol, trip in ledger.trips.items()},
            entries=dict(desk.entries),
            pending_equity=self._curve.pending(),
            pending_shift=self._curve.shift,
            max_drawdown=self._curve.drawdown(),
            peak_equity=self._curve.peak,
            signals=desk.signals,
            refused=desk.refused,
            manual=dict(desk.manual),
            stops=dict(desk.stops),
            deposits=ledger.deposits,
            frozen=dict(desk.frozen),
            funded=dict(ledger.funded),
            deposit_ids=tuple(ledger.deposit_ids),
            found_ids=tuple(desk.found_ids),
            gates={**desk.gates.save(), **desk.order_gates.save()},
            instruments=dict(desk.instruments.seen),
            breakers=desk.breakers.save(),
            is_lowered=desk.is_lowered,
            marked=dict(marking.marked),
            looked_ts=marking.looked_ts,
            daily=self._measures.daily.save(),
            results=dict(self._scaling.results),
            residual=self._residual,
            seen=desk.last_seen,
        )

    def load(self, state: RiskState) -> None:
        """Become what ``save`` saw."""
        self._ledger.load(state)
        self._curve.load(state)
        self._desk.load(state)
        self._measures.daily.load(state.daily)
        self._scaling.load(state.results)
        self.marking.load(state)
        self._residual = state.residual

    def stopped(self, submit: SubmitOrders) -> Mapping[str, Stopped]:
        """Return by id the orders that may not go to the venue, and why; those that may are remembered."""
        return self._desk.order_gates.stopped(submit, self._desk)

    def note_cancel(self, cancel: CancelOrder) -> None:
        """Remember a cancel on its way to the venue."""
        self._desk.order_gates.hear(cancel, self._desk)

    def set_limits(self, limits: Limits) -> None:
        """Hold all later signals against ``limits``."""
        self._desk.limits = limits

    @property
    def trading_state(self) -> TradingState:
        """What may be sent now."""
        return self._desk.trading_state

    @property
    def state_reason(self) -> str:
        """Why less than everything may be sent; empty where nothing was said."""
        return self._desk.state_reason

    @property
    def cash(self) -> Cash:
        """The money of the account, without what its positions are worth."""
        return self._ledger.cash

    @property
    def equity(self) -> Cash:
        """Cash and open P&L at the last marks, exact."""
        return self._ledger.equity()

    @property
    def pending_equity(self) -> EquityMark | None:
        """The point of the equity curve whose closing time may not be over."""
        return self._curve.pending()

    @property
    def marks(self) -> Mapping[str, Price]:
        """The last price of each symbol seen."""
        return dict(self._ledger.marks)

    @property
    def positions(self) -> Mapping[str, Qty]:
        """The open quantities by symbol, short < 0."""
        return {symbol: trip.qty for symbol, trip in self._ledger.trips.items()}

    @property
    def untraded(self) -> Mapping[str, Listing]:
        """The symbols that the venue does not trade, and why."""
        return untraded(self._desk.instruments.seen)

    @property
    def frozen(self) -> Mapping[str, tuple[str, ...]]:
        """Why a symbol, or all by the empty name, may not be entered."""
        return dict(self._desk.frozen)

    @property
    def is_flattening(self) -> bool:
        """Whether everything is being closed, and ticks must come until it is."""
        return self._desk.is_flattening

    def listing(self, symbol: str) -> Listing:
        """Return whether the venue trades ``symbol``."""
        return self._desk.listing(symbol)

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of ``symbol`` as they hold now."""
        return self._desk.instruments.of(symbol)

    @property
    def actions_left(self) -> int | None:
        """How many actions the account may still send, as decisions count them; ``None`` where nothing does."""
        return self._desk.gates.one(AllowanceGate).left

    @property
    def own_only(self) -> bool:
        """Whether the last flattening left what others opened."""
        return self._desk.flattens_own

    def is_own(self, symbol: str) -> bool:
        """Return whether this bot opened the position in ``symbol``."""
        return any(trip.symbol == symbol and trip.is_own for trip in self._ledger.trips.values())

    def is_news(self, message: Message) -> bool:
        """Return whether the venue's ``message`` would change anything here; what it says again would not."""
        if isinstance(message, FundingPaid):
            return self._ledger.is_due(message)
        if isinstance(message, InstrumentSeen):
            return self._desk.instruments.is_news(message)
        if isinstance(message, ResidualSeen):
            return message.amount != self._residual
        return not isinstance(message, Deposit) or message.id not in self._ledger.deposit_ids

    def acts_at(self, prices: Sequence[SymbolPrices]) -> bool:
        """Return whether a breaker would act at ``prices``, or on what fills have cost, between two closing times."""
        marks = {one.symbol: one.mark for one in fresh(prices, self._desk.limits)}
        return self._breakers.acts_at(self._ledger.equity_at(marks))

    @property
    def is_flat(self) -> bool:
        """Whether no position is open and no entry is at work."""
        return not self._ledger.trips and not self._desk.entries

    @property
    def measured(self) -> MeasureRule:
        """By what rule correlations and tails are measured."""
        return self._measures.rule

    def sizing_view(self) -> Mapping[str, Decimal]:
        """Return what scales entries now, in percent."""
        return self._scaling.standing(self._ledger.equity(), sorted(self._ledger.marks))

    def limits_view(self) -> tuple[LimitUse, ...]:
        """Return how much of each configured limit is used now."""
        return self._desk.gates.uses(self._desk)

    def breakers_view(self) -> tuple[BreakerView, ...]:
        """Return each breaker that is set, as it stands now."""
        return self._breakers.view(self.marking.market_ts)

    def _on_bars(self, closed: BarsClosed) -> Sequence[Message]:
        point, changes = self.marking.take(closed)
        is_flattening = self._desk.is_flattening
        if is_flattening or changes:
            exits = self._operator.flatten_next(closed.symbol, closed.ts_event) if is_flattening else ()
            exits = (*exits, *self._operator.on_changes(changes))
            return exits if point is None else (point, *exits)
        return () if point is None else (point,)

    def _on_trade(self, trade: Trade) -> Sequence[Message]:
        self._curve.settle()
        self._ledger.marks[trade.symbol] = trade.price
        return ()

    def _on_quote(self, quote: Quote) -> Sequence[Message]:
        self._curve.settle()
        self._ledger.marks[quote.symbol] = Price((quote.bid + quote.ask) / 2)
        return ()

    def _on_prices(self, seen: PricesSeen) -> Sequence[Message]:
        # The marks stay those of closes, and with them sizes and the curve: they are as in a backtest.
        self._desk.see(seen)
        prices = {one.symbol: one.mark for one in fresh(seen.prices, self._desk.limits)}
        changes = self._breakers.on_prices(seen.ts_event, self._ledger.equity_at(prices))
        return self._operator.on_changes(changes)

    def _on_signal(self, signal: Signal) -> Sequence[Message]:
        desk = self._desk
        decided = desk.decide(signal)
        if not desk.asked:
            if isinstance(decided, Refused) and decided.gate == THROTTLE:
                return (decided, *halted(decided))
            return (decided,)
        changes, desk.asked = desk.asked, NO_CHANGE
        return (*self._operator.on_changes(changes), decided)

    def _on_refused(self, refused: Refused) -> Sequence[Message]:
        self._desk.on_refused(refused)
        return ()

    def _on_fill(self, fill: Fill) -> Sequence[Message]:
        self._curve.settle()
        breakers, trips, symbol = self._breakers, self._ledger.trips, fill.symbol
        changes, before = breakers.on_fill(fill, self._desk), trips.get(symbol)
        booked = self._ledger.fill(fill, self._desk.on_fill(fill))
        if isinstance(booked[0], RoundTrip) and before is not None:
            self._scaling.on_round_trip(booked[0], before.enlarged)
        is_opened = fill.role is OrderRole.ENTRY and trips.get(symbol) not in (None, before)
        changes = [*changes, *breakers.on_booked(fill, booked, is_opened=is_opened)]
        return (*booked, *self._operator.on_changes(changes)) if changes else booked

    def _on_funding(self, paid: FundingPaid) -> Sequence[Message]:
        if self._ledger.is_due(paid):
            self._curve.settle()
            self._ledger.fund(paid)
        return ()

    def _on_deposit(self, deposit: Deposit) -> Sequence[Message]:
        if deposit.id not in self._ledger.deposit_ids:
            self._curve.settle()
            before = self._ledger.equity()
            self._ledger.deposit(deposit)
            self._curve.deposit(deposit.amount)
            self._breakers.on_deposit(before, self._ledger.equity())
        return ()

    def _on_residual(self, seen: ResidualSeen) -> Sequence[Message]:
        self._residual = seen.amount
        return self._operator.on_changes(self._breakers.on_residual(seen))

    def _on_tick(self, tick: Tick) -> Sequence[Message]:
        return self._operator.flatten_more(tick.ts_event) if self._desk.is_flattening else ()

    def _on_found(self, found: OrderFound) -> Sequence[Message]:
        self._desk.on_found(found)
        return ()

    def _on_actions_left(self, told: ActionsLeft) -> Sequence[Message]:
        self._desk.gates.hear(told)
        return ()

    def _on_seen(self, seen: InstrumentSeen) -> Sequence[Message]:
        known = self._desk.instruments
        before, was = known.of(seen.symbol), known.listing(seen.symbol)
        known.learn(seen)
        return what_changed(seen, before, was, self._ledger.trips.get(seen.symbol))

    def _on_done(self, done: OrderDone) -> Sequence[Message]:
        self._desk.on_done(done)
        return self._operator.on_changes(self._breakers.on_done(done))


def _nothing(message: Message) -> Sequence[Message]:
    del message
    return ()
