"""The venue's words: what an order status or an error text proves, and what a refusal means for the next order.

A word not known here proves nothing, and an order that it refused may be tried again.
"""

import re

from tradebot.model.order import RefusalClass
from tradebot.model.venue import Phase, Verdict

_CANCELED = re.compile(r"canceled|[a-zA-Z]+(?:Canceled|Cancel)")
_REJECTED = re.compile(r"rejected|[a-zA-Z]+Rejected")


def phase_of(word: str) -> Phase:
    """Return what the status ``word`` proves; new words of a known family are read by their ending."""
    if word in {"open", "triggered"}:
        return Phase.LIVE
    if word == "filled":
        return Phase.FILLED
    if _CANCELED.fullmatch(word):
        return Phase.CANCELED
    if _REJECTED.fullmatch(word):
        return Phase.REJECTED
    return Phase.UNKNOWN


_Kind = RefusalClass
_TEXTS: tuple[tuple[str, Verdict, RefusalClass], ...] = (
    (r"Invalid nonce: duplicate nonce", Verdict.DUPLICATE, _Kind.PASSING),
    (r"Action already expired", Verdict.EXPIRED, _Kind.PASSING),
    (r"(L1 error: )?User or API Wallet 0x[0-9a-f]+ does not exist", Verdict.NOT_PERMITTED, _Kind.KEY),
    (r"Must deposit before performing actions", Verdict.NOT_PERMITTED, _Kind.KEY),
    (r"Unable to recover signer", Verdict.NOT_PERMITTED, _Kind.KEY),
    (r"Vault not registered", Verdict.NOT_PERMITTED, _Kind.KEY),
    (r"Agent valid_until already expired", Verdict.NOT_PERMITTED, _Kind.KEY),
    # The next order has a nonce of its own.
    (r"Invalid nonce: nonce too (low|high)", Verdict.NOT_PERMITTED, _Kind.PASSING),
    (r"Action disabled when unified account is active", Verdict.NOT_PERMITTED, _Kind.NOT_TRADED),
    (r"Builder fee has not been approved", Verdict.NOT_PERMITTED, _Kind.NOT_TRADED),
    (r"Too many cumulative requests sent", Verdict.BUDGET, _Kind.PASSING),
    (r"Too many scheduled cancels", Verdict.REJECTED, _Kind.PASSING),
    (r"Cannot set scheduled cancel time until enough volume traded", Verdict.REJECTED, _Kind.PASSING),
    (r"Only post-only orders allowed immediately after network upgrade", Verdict.BUSY, _Kind.PASSING),
    (r"Order was never placed, already canceled, or filled", Verdict.GONE, _Kind.PASSING),
    (r"Cannot modify canceled or filled order", Verdict.GONE, _Kind.PASSING),
    (r"Orders are empty", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Signed action over weight limit", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Order has (invalid|zero) price", Verdict.REJECTED, _Kind.OFF_TICK),
    (r"Order has (invalid|zero) size", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Price must be divisible by tick size", Verdict.REJECTED, _Kind.OFF_TICK),
    (r"Order must have minimum value of", Verdict.REJECTED, _Kind.TOO_SMALL),
    (r"Order price cannot be more than \d+% away from the reference price", Verdict.REJECTED, _Kind.PASSING),
    (r"Order value too large", Verdict.REJECTED, _Kind.TOO_LARGE),
    (r"Insufficient margin to place order", Verdict.REJECTED, _Kind.PASSING),
    (r"Reduce only order would increase position", Verdict.REJECTED, _Kind.PASSING),
    (r"Post only order would have immediately matched", Verdict.REJECTED, _Kind.PASSING),
    (r"Order could not immediately match against any resting orders", Verdict.REJECTED, _Kind.PASSING),
    (r"Invalid TP/SL price", Verdict.REJECTED, _Kind.TRIGGERED),
    (r"No liquidity available for market order", Verdict.REJECTED, _Kind.PASSING),
    (r"Order would increase open interest", Verdict.REJECTED, _Kind.PASSING),
    (r"Order rejected due to price more aggressive than oracle", Verdict.REJECTED, _Kind.PASSING),
    (r"Insufficient spot balance", Verdict.REJECTED, _Kind.PASSING),
    (r"(Order p|P)rice too far from oracle", Verdict.REJECTED, _Kind.PASSING),
    (r"Order would cause position to exceed margin tier limit", Verdict.REJECTED, _Kind.TOO_LARGE),
    (r"Placing trigger orders is not enabled", Verdict.REJECTED, _Kind.NOT_TRADED),
    (r"Main order cannot be trigger order", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Unexpected number of trigger orders", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Trigger order (is not reduce only|has unexpected side)", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Cannot switch leverage type with open position", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Invalid leverage value", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Cross margin is not allowed for this asset", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Isolated position does not have sufficient margin", Verdict.REJECTED, _Kind.PASSING),
    (r"Position does not use isolated margin", Verdict.REJECTED, _Kind.OFF_GRID),
    (r"Cannot update margin for empty position", Verdict.REJECTED, _Kind.PASSING),
    # What the exchange says of a coin that it trades no more, or not now, is not documented.
    (r"(?i).*\b(delisted|halted|suspended)\b", Verdict.REJECTED, _Kind.NOT_TRADED),
)
_VERDICTS = tuple((re.compile(pattern), verdict, kind) for pattern, verdict, kind in _TEXTS)
_WORDS = {
    "tickRejected": _Kind.OFF_TICK,
    "minTradeNtlRejected": _Kind.TOO_SMALL,
    "badTriggerPxRejected": _Kind.TRIGGERED,
    "perpMaxPositionRejected": _Kind.TOO_LARGE,
}


_HALT = re.compile(r"(?i)\b(halted|suspended)\b")


def is_halt(words: str) -> bool:
    """Return whether ``words`` say that a symbol is not traded now, though it may be listed."""
    return _HALT.search(words) is not None


def verdict_of(text: str) -> Verdict:
    """Return what the error ``text`` proves; ``UNKNOWN`` for one that is not in the book."""
    return next((verdict for pattern, verdict, _ in _VERDICTS if pattern.match(text)), Verdict.UNKNOWN)


def refusal_of(words: str) -> RefusalClass:
    """Return what a refusal means for the next order: by an error text, or by the word of an order's status.

    ``PASSING`` for what is not in the book: it is tried again, ever more slowly, and a human is paged.
    """
    if words in _WORDS:
        return _WORDS[words]
    return next((kind for pattern, _, kind in _VERDICTS if pattern.match(words)), RefusalClass.PASSING)
