"""What the exchange's words on an order mean, for the line."""

import re
from collections.abc import Sequence

from tradebot.model.market import Message
from tradebot.model.venue import Verdict
from tradebot.venues.hyperliquid.account import OrderRecord
from tradebot.venues.hyperliquid.statuses import refusal_of, verdict_of
from tradebot.venues.outcomes import Outcomes

# The line must know these: a fill that ends the position comes next, nothing needs to be protected anew.
_REASONS = {"siblingFilledCanceled": "sibling_filled", "reduceOnlyCanceled": "reduce_only", "canceled": "canceled"}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def reason_of(word: str) -> str:
    """Return the venue's status word as a reason of ours: ``marginCanceled`` is ``margin_canceled``."""
    return _REASONS.get(word) or _HUMP.sub("_", word).lower()


OUTCOMES = Outcomes(refusal_of, reason_of)


def not_permitted(reason: str) -> bool:
    """Return whether an order was refused because key, agent, account or network are wrong."""
    return verdict_of(reason) is Verdict.NOT_PERMITTED


def of_record(client_order_id: str, record: OrderRecord) -> Sequence[Message]:
    """Return what a status of an order means; nothing for a word we cannot read."""
    return OUTCOMES.seen(client_order_id, record.order.oid, record.phase, record.word, record.ts_event)
