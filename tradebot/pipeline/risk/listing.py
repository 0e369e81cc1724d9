"""What it means for the book that the venue changed the rules of a symbol, or trades it no more."""

from collections.abc import Sequence
from decimal import Decimal

from tradebot.model.command import Alert, AlertName
from tradebot.model.instrument import Instrument, InstrumentSeen, Listing
from tradebot.model.market import Message
from tradebot.model.money import plain
from tradebot.pipeline.risk.trip import Trip

_RULES = ("tick", "lot", "min_notional", "max_leverage")
_MENDS = {
    Listing.HALTED: "stops may rest there; entries are off, exits wait, and it is tried again every few minutes",
    Listing.DELISTED: "the venue settles a position by itself, and that is booked; take the symbol out of bot.symbols",
    Listing.UNLISTED: "correct bot.symbols, they are case-sensitive: BTC, kPEPE; or take it out",
}


def what_changed(seen: InstrumentSeen, before: Instrument, was: Listing, trip: Trip | None) -> Sequence[Message]:
    """Return the pages that follow from ``seen``, when ``before`` and ``was`` held until then."""
    alerts = []
    if seen.listing not in (was, Listing.TRADED):
        alerts.append(_alert(seen, AlertName.SYMBOL_ENDED, _ended(seen, trip), _MENDS[seen.listing]))
    changes = [
        f"{rule} {_plain(getattr(before, rule))} -> {_plain(getattr(seen.instrument, rule))}"
        for rule in _RULES
        if getattr(before, rule) != getattr(seen.instrument, rule)
    ]
    if changes:
        what = f"the venue changed the rules of {seen.symbol}: {', '.join(changes)}"
        mend = "orders are made by the new rules from here on; look whether sizes and stops still suit you"
        alerts.append(_alert(seen, AlertName.RULES_CHANGED, what, mend))
    return alerts


def _plain(rule: Decimal | None) -> str:
    return "assumed" if rule is None else plain(rule)


def _ended(seen: InstrumentSeen, trip: Trip | None) -> str:
    held = f"; {trip.side} {plain(abs(trip.qty))} is held" if trip is not None else ""
    said = f"; the venue says: {seen.words}" if seen.words else ""
    return f"{seen.symbol} is {seen.listing} at the venue: no orders of it are taken{held}{said}"


def _alert(seen: InstrumentSeen, name: AlertName, what: str, mend: str) -> Alert:
    return Alert(ts_event=seen.ts_event, name=name, symbol=seen.symbol, what=what, mend=mend)
