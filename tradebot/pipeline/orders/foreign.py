"""Whose a fill is that no order in the register explains: ours from before, a liquidation, or somebody's by hand."""

import re
from typing import NamedTuple

from tradebot.model.command import Alert, AlertName
from tradebot.model.money import plain
from tradebot.model.order import Fill, FillReport, OrderRole
from tradebot.pipeline.orders.state import Held

LIQUIDATION = "liquidation"
MANUAL = "manual"
SETTLEMENT = "settlement"
"""The venue closed the position of a symbol that it delists; so begin the ids of such fills."""
_OWN = re.compile(
    r"(?P<signal_id>(?P<strategy>.+)-(?P<symbol>[^-]+)-[0-9]+)-(?P<word>entry|stop|target|exit|rung)[0-9]*"
)
_ROLES = {role.value: role for role in OrderRole} | {"rung": OrderRole.TARGET}


class Owner(NamedTuple):
    """Whose a fill is: the names it is booked under."""

    client_order_id: str
    signal_id: str
    strategy: str
    role: OrderRole
    reason: str


def owner_of(report: FillReport, held: Held | None) -> Owner:
    """Return the owner of a fill of no known order, while ``held`` is open in its symbol."""
    name = report.client_order_id
    own = None if name is None else _OWN.fullmatch(name)
    if own is not None and name is not None and own["symbol"] == report.symbol:
        role = _ROLES[own["word"]]
        if role is OrderRole.ENTRY or held is None:
            return Owner(name, own["signal_id"], own["strategy"], role, role.value)
        return Owner(name, held.signal_id, held.strategy, role, role.value)
    reason = _stranger(name)
    client_order_id = name or f"{LIQUIDATION}-{report.trade_id}"
    # What goes past flat opens a position that is not ours.
    if held is None or _goes_past_flat(report, held):
        return Owner(client_order_id, "", reason, OrderRole.EXIT, reason)
    return Owner(client_order_id, held.signal_id, held.strategy, OrderRole.EXIT, reason)


def _stranger(name: str | None) -> str:
    if name is None:
        return LIQUIDATION
    return SETTLEMENT if name.startswith(f"{SETTLEMENT}-") else MANUAL


def is_opened_by_others(owner: Owner, held: Held | None) -> bool:
    """Return whether a fill of ``owner`` opened a position where ``held`` was open before."""
    return owner.strategy == MANUAL and not owner.signal_id and (held is None or held.signal_id != "")


def foreign_alert(made: Fill) -> Alert:
    """Return the page that somebody else trades on our account."""
    return Alert(
        ts_event=made.ts_event,
        name=AlertName.FOREIGN_ORDER,
        symbol=made.symbol,
        about=made.trade_id,
        what=f"an order that is not ours opened a position: {made.side} {plain(made.qty)} {made.symbol}",
        mend="the bot places no stop for it; trade by hand on another account",
    )


def _goes_past_flat(report: FillReport, held: Held) -> bool:
    return (held.qty + report.qty * report.side.sign) * held.qty < 0
