"""What an operator may ask of the risk stage, and the answers."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import assert_never

from tradebot.model.breaker import Act, BreakerChanged
from tradebot.model.command import Alert, AlertName, Command, CommandDone, StateChanged, TradingState, Verb
from tradebot.model.market import Message
from tradebot.model.money import plain, rounded
from tradebot.model.near import did_you_mean
from tradebot.model.order import FillDisputed
from tradebot.model.signal import Approved
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.breakers.base import Breaker
from tradebot.pipeline.risk.desk import Desk
from tradebot.pipeline.risk.gates.entry_rate import EntryRateGate
from tradebot.pipeline.risk.gates.listing import NOT_TRADED

DOUBT = "doubt"
"""Why a symbol is frozen of which the venue said what cannot be, until book and venue agree."""
_TARGETS = {
    Verb.PAUSE: TradingState.PAUSED,
    Verb.RESUME: TradingState.RUNNING,
    Verb.REDUCE_ONLY: TradingState.REDUCE_ONLY,
    Verb.HALT: TradingState.HALTED,
}


_PAGE_MEND = "look what lost and why before it goes on; {way_back}"
_DOES = {
    Act.REDUCE_SIZE: "entries are made half as large",
    Act.REDUCE_ONLY: "nothing adds to a position",
    Act.HALT: "every position is closed, and trading is halted",
}


class Operator:
    """Carries out on a desk what an operator commands, or a breaker. A halt is lifted by nothing but ``resume``.

    ``flattens_own``: a breaker that closes every position leaves those that others opened.
    """

    __slots__ = ("_flattens_own", "desk")

    def __init__(self, desk: Desk, flattens_own: bool) -> None:
        self.desk, self._flattens_own = desk, flattens_own

    def on_command(self, command: Command) -> Sequence[Message]:
        """Return what ``command`` leads to, its answer last. ``cancel`` is answered by the orders stage."""
        match command.verb:
            case Verb.CANCEL:
                return ()
            case Verb.CLOSE:
                return self._close(command)
            case Verb.STOP:
                closing = self._flatten(command.ts_event, own=_is_own(command)) if _wants_flat(command) else []
                return (*closing, _done(command, f"stopping{_closing(closing)}"))
            case Verb.FREEZE | Verb.THAW:
                done = self._freeze(command)
                frozen = self.desk.breakers.on_frozen(command.ts_event, self.desk.frozen)
                return (*self.on_changes(frozen), done)
            case Verb.RENUMBER:
                self.desk.number_on()
                return (_done(command, "signals are numbered on"),)
            case _:
                return self._change(command, _TARGETS[command.verb])

    def on_disputed(self, disputed: FillDisputed) -> Sequence[Message]:
        """Return the halt that follows from a word of the venue that contradicts the book; its symbol is in doubt."""
        desk = self.desk
        reasons = desk.frozen.get(disputed.symbol, ())
        if DOUBT not in reasons:
            desk.frozen[disputed.symbol] = (*reasons, DOUBT)
        if desk.trading_state is TradingState.HALTED:
            return ()
        desk.trading_state, desk.state_reason = TradingState.HALTED, disputed.what
        return (StateChanged(ts_event=disputed.ts_event, state=TradingState.HALTED, reason=disputed.what),)

    def on_changes(self, changes: Sequence[BreakerChanged]) -> Sequence[Message]:
        """Return ``changes`` of breakers, and what they lead to: pages, another trading state, the end of positions."""
        outputs: list[Message] = []
        for changed in changes:
            outputs.append(changed)
            if changed.act is not None:
                outputs += [self._page(changed, changed.act), *self._trip(changed, changed.act)]
            else:
                outputs += self._relent(changed)
        return outputs

    @staticmethod
    def _page(changed: BreakerChanged, act: Act) -> Alert:
        return Alert(
            ts_event=changed.ts_event,
            name=AlertName.BREAKER,
            what=f"{_told(changed)}: {_DOES[act]}",
            mend=_PAGE_MEND.format(way_back=changed.way_back),
            about=f"{changed.name} {changed.tier}",
        )

    def _trip(self, changed: BreakerChanged, act: Act) -> Sequence[Message]:
        match act:
            case Act.REDUCE_SIZE:
                return ()
            case Act.REDUCE_ONLY:
                return self._lower(changed)
            case Act.HALT:
                return self._halt(changed)
            case _ as never:  # pragma: no cover - mypy shows that it cannot be
                assert_never(never)

    def _lower(self, changed: BreakerChanged) -> Sequence[Message]:
        desk = self.desk
        if desk.trading_state is not TradingState.RUNNING:
            return ()
        desk.is_lowered = True
        return (self._set(changed.ts_event, TradingState.REDUCE_ONLY, _told(changed)),)

    def _halt(self, changed: BreakerChanged) -> Sequence[Message]:
        desk, outputs = self.desk, list[Message]()
        desk.is_lowered = False
        if desk.trading_state is not TradingState.HALTED:
            outputs.append(self._set(changed.ts_event, TradingState.HALTED, _told(changed)))
        return [*outputs, *self._flatten(changed.ts_event, own=self._flattens_own)]

    def _relent(self, changed: BreakerChanged) -> Sequence[Message]:
        desk = self.desk
        if not desk.is_lowered or desk.breakers.has(Act.REDUCE_ONLY, Act.HALT):
            return ()
        desk.is_lowered = False
        return (self._set(changed.ts_event, TradingState.RUNNING, f"{changed.name}: {changed.reason}"),)

    def _set(self, ts: Nanos, state: TradingState, reason: str) -> StateChanged:
        self.desk.trading_state, self.desk.state_reason = state, reason
        return StateChanged(ts_event=ts, state=state, reason=reason)

    def flatten_more(self, ts: Nanos) -> Sequence[Message]:
        """Return the exits still missing, among them those that the venue refused, and end the flattening once flat."""
        desk = self.desk
        if not desk.to_flatten() and not desk.entries:
            desk.is_flattening = False
        return self._exits(ts)

    def flatten_next(self, symbol: str, ts: Nanos) -> Sequence[Message]:
        """Return the exit still missing in ``symbol``, if any, and end the flattening once all is flat."""
        desk = self.desk
        left = desk.to_flatten()
        trip = next((trip for trip in left if trip.symbol == symbol), None)
        if trip is not None:
            closed = desk.close(trip, ts)
            return (closed,) if isinstance(closed, Approved) else ()
        if not left and not desk.entries:
            desk.is_flattening = False
        return ()

    def _change(self, command: Command, target: TradingState) -> Sequence[Message]:
        desk = self.desk
        if desk.trading_state is TradingState.HALTED and target in (TradingState.PAUSED, TradingState.REDUCE_ONLY):
            return (_done(command, "", "trading is halted, which is stricter; mend: resume first"),)
        changed: list[Message] = []
        reason = command.arguments.get("reason", "")
        if target is TradingState.RUNNING and (tripped := desk.breakers.tripped):
            if refused := self._unmended(tripped, reason):
                return (_done(command, "", refused),)
            changed += desk.breakers.rearm(command.ts_event, f"operator: {reason}")
        # What an operator asks for is not taken back by a breaker.
        desk.is_lowered = False
        if target is not desk.trading_state:
            changed.append(self._set(command.ts_event, target, reason or f"operator: {command.verb}"))
        detail = target.value if changed else f"already {target.value}"
        closing: list[Message] = []
        if target is TradingState.RUNNING:
            desk.is_flattening = False
            desk.gates.one(EntryRateGate).release()
        elif _wants_flat(command):
            closing = self._flatten(command.ts_event, own=_is_own(command))
        return (*changed, *closing, _done(command, detail + _closing(closing)))

    def _unmended(self, tripped: Sequence[Breaker], reason: str) -> str:
        """Return what stands in the way of going on after breakers tripped; empty if nothing does."""
        first = tripped[0]
        if not reason.strip():
            what = f"{first.name} is tripped: {plain(rounded(first.value, 2))} of {plain(first.threshold)}"
            return f"{what}; mend: say why it may go on: tradebot resume --reason TEXT"
        still = next((one for one in tripped if one.in_the_way), None)
        if still is not None:
            return f"{still.name}: {still.in_the_way}; mend: compare tradebot balance with the venue"
        desk = self.desk
        left = {trip.symbol for trip in desk.to_flatten() if not desk.listing(trip.symbol).has_ended}
        left |= {entry.symbol for entry in desk.entries.values()}
        if left and any(one.act is Act.HALT for one in tripped):
            what = f"{first.name} closes every position, and is not done with {', '.join(sorted(left))}"
            return f"{what}; mend: wait until tradebot positions shows none"
        return ""

    def _flatten(self, ts: Nanos, *, own: bool) -> list[Message]:
        desk = self.desk
        desk.flattens_own = own
        desk.is_flattening = bool(desk.to_flatten() or desk.entries)
        return self._exits(ts)

    def _exits(self, ts: Nanos) -> list[Message]:
        exits = (self.desk.close(trip, ts) for trip in self.desk.to_flatten())
        return [approved for approved in exits if isinstance(approved, Approved)]

    def _freeze(self, command: Command) -> CommandDone:
        symbol, reason = command.arguments.get("symbol", ""), command.arguments.get("reason", "")
        name, frozen = symbol or "all", self.desk.frozen
        reasons = frozen.get(symbol, ())
        if (command.verb is Verb.FREEZE) is (reason in reasons):
            return _done(command, f"{name} was so before")
        left = (*reasons, reason) if command.verb is Verb.FREEZE else tuple(one for one in reasons if one != reason)
        frozen.pop(symbol, None)
        if left:
            frozen[symbol] = left
        return _done(
            command, f"no entries in {name}: {', '.join(left)}" if left else f"entries in {name} are free again"
        )

    def _close(self, command: Command) -> Sequence[Message]:
        desk = self.desk
        symbol = command.arguments.get("symbol", "")
        if desk.trading_state is TradingState.HALTED:
            return (_done(command, "", "trading is halted; mend: resume, or halt --flatten to close everything"),)
        if symbol not in desk.instruments and symbol not in desk.ledger.trips:
            mend = did_you_mean(symbol, {*desk.instruments, *desk.ledger.trips})
            return (_done(command, "", f"unknown symbol {symbol!r}; mend: {mend}"),)
        trip = desk.ledger.trips.get(symbol)
        if trip is None:
            return (_done(command, "", f"no position in {symbol}; mend: positions lists what is open"),)
        fraction = _fraction(command.arguments.get("fraction", "1"))
        if fraction is None:
            return (_done(command, "", "fraction is not a number above 0 and up to 1; mend: such as 0.5"),)
        closed = desk.close(trip, command.ts_event, fraction)
        if isinstance(closed, Approved):
            held = f"{trip.side} {plain(abs(trip.qty))} {symbol}"
            return (closed, _done(command, f"closing {plain(closed.qty)} of {held} at market"))
        if closed.gate == "already_closing":
            return (_done(command, "", f"{closed.detail} already; mend: wait for its fill, orders shows it"),)
        if closed.gate == NOT_TRADED:
            return (_done(command, "", f"{closed.detail}; mend: wait for its settlement, positions shows it"),)
        return (_done(command, "", f"that part of {symbol} is below the smallest order; mend: a larger fraction"),)


def _wants_flat(command: Command) -> bool:
    return command.arguments.get("flatten") == "true"


def _is_own(command: Command) -> bool:
    return command.arguments.get("own") == "true"


def _told(changed: BreakerChanged) -> str:
    return f"{changed.name} is {plain(rounded(changed.value, 2))}, tier {changed.tier} is {plain(changed.threshold)}"


def _fraction(text: str) -> Decimal | None:
    try:
        fraction = Decimal(text)
    except InvalidOperation:
        return None
    # A NaN raises on order comparisons, so it is asked for first.
    return fraction if fraction.is_finite() and 0 < fraction <= 1 else None


def _closing(exits: Sequence[Message]) -> str:
    return f", closing {len(exits)} position{'s' if len(exits) > 1 else ''}" if exits else ""


def _done(command: Command, detail: str, error: str = "") -> CommandDone:
    return CommandDone(id=command.id, ts_event=command.ts_event, detail=detail, error=error)
