"""What an operator may ask of the risk stage, and the answers."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from tradebot.model.command import Command, CommandDone, StateChanged, TradingState, Verb
from tradebot.model.market import Message
from tradebot.model.money import plain
from tradebot.model.near import did_you_mean
from tradebot.model.order import FillDisputed
from tradebot.model.signal import Approved
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.desk import Desk
from tradebot.pipeline.risk.gates.listing import NOT_TRADED

DOUBT = "doubt"
"""Why a symbol is frozen of which the venue said what cannot be, until book and venue agree."""
_TARGETS = {
    Verb.PAUSE: TradingState.PAUSED,
    Verb.RESUME: TradingState.RUNNING,
    Verb.REDUCE_ONLY: TradingState.REDUCE_ONLY,
    Verb.HALT: TradingState.HALTED,
}


class Operator:
    """Carries out commands on a desk. A halt is lifted by nothing but ``resume``."""

    __slots__ = ("desk",)

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def on_command(self, command: Command) -> Sequence[Message]:
        """Return what ``command`` leads to, its answer last. ``cancel`` is answered by the orders stage."""
        match command.verb:
            case Verb.CANCEL:
                return ()
            case Verb.CLOSE:
                return self._close(command)
            case Verb.STOP:
                closing = self._flatten(command) if _wants_flat(command) else []
                return (*closing, _done(command, f"stopping{_closing(closing)}"))
            case Verb.FREEZE | Verb.THAW:
                return (self._freeze(command),)
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
        if target is not desk.trading_state:
            reason = command.arguments.get("reason") or f"operator: {command.verb}"
            desk.trading_state, desk.state_reason = target, reason
            changed.append(StateChanged(ts_event=command.ts_event, state=target, reason=reason))
        detail = target.value if changed else f"already {target.value}"
        closing: list[Message] = []
        if target is TradingState.RUNNING:
            desk.is_flattening = False
        elif _wants_flat(command):
            closing = self._flatten(command)
        return (*changed, *closing, _done(command, detail + _closing(closing)))

    def _flatten(self, command: Command) -> list[Message]:
        desk = self.desk
        desk.flattens_own = command.arguments.get("own") == "true"
        desk.is_flattening = bool(desk.to_flatten() or desk.entries)
        return self._exits(command.ts_event)

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
