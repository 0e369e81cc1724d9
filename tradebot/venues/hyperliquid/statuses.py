"""The venue's words: what an order status or an error text proves. A word not known here proves nothing."""

import re
from enum import StrEnum


class Phase(StrEnum):
    """What a status word says of an order. ``UNKNOWN``: a word we cannot read; the order may be live."""

    LIVE = "live"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether the venue works the order no more."""
        return self in {Phase.FILLED, Phase.CANCELED, Phase.REJECTED}


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


class Verdict(StrEnum):
    """What an error text of ``/exchange`` means for the action that met it."""

    REJECTED = "rejected"
    """The rules of trading said no; sending the same again is pointless."""
    GONE = "gone"
    """A cancel found nothing to cancel: filled, cancelled or never there. Ask."""
    DUPLICATE = "duplicate"
    """The nonce was used: an earlier sending of these bytes, or a fence, has landed. Ask."""
    EXPIRED = "expired"
    """This sending came too late."""
    NOT_PERMITTED = "not_permitted"
    """Key, agent, account or network are wrong: halt, an operator must look."""
    BUDGET = "budget"
    """The address budget is used up: refused whole, may be sent again later."""
    BUSY = "busy"
    """The venue takes no such action now."""
    UNKNOWN = "unknown"
    """A text we do not know: nothing is proven."""


_TEXTS: tuple[tuple[str, Verdict], ...] = (
    (r"Invalid nonce: duplicate nonce", Verdict.DUPLICATE),
    (r"Action already expired", Verdict.EXPIRED),
    (r"(L1 error: )?User or API Wallet 0x[0-9a-f]+ does not exist", Verdict.NOT_PERMITTED),
    (r"Must deposit before performing actions", Verdict.NOT_PERMITTED),
    (r"Unable to recover signer", Verdict.NOT_PERMITTED),
    (r"Vault not registered", Verdict.NOT_PERMITTED),
    (r"Invalid nonce: nonce too (low|high)", Verdict.NOT_PERMITTED),
    (r"Agent valid_until already expired", Verdict.NOT_PERMITTED),
    (r"Action disabled when unified account is active", Verdict.NOT_PERMITTED),
    (r"Builder fee has not been approved", Verdict.NOT_PERMITTED),
    (r"Too many cumulative requests sent", Verdict.BUDGET),
    (r"Too many scheduled cancels", Verdict.REJECTED),
    (r"Cannot set scheduled cancel time until enough volume traded", Verdict.REJECTED),
    (r"Only post-only orders allowed immediately after network upgrade", Verdict.BUSY),
    (r"Order was never placed, already canceled, or filled", Verdict.GONE),
    (r"Cannot modify canceled or filled order", Verdict.GONE),
    (r"Orders are empty", Verdict.REJECTED),
    (r"Signed action over weight limit", Verdict.REJECTED),
    (r"Order has (invalid|zero) (price|size)", Verdict.REJECTED),
    (r"Price must be divisible by tick size", Verdict.REJECTED),
    (r"Order must have minimum value of", Verdict.REJECTED),
    (r"Order price cannot be more than \d+% away from the reference price", Verdict.REJECTED),
    (r"Order value too large", Verdict.REJECTED),
    (r"Insufficient margin to place order", Verdict.REJECTED),
    (r"Reduce only order would increase position", Verdict.REJECTED),
    (r"Post only order would have immediately matched", Verdict.REJECTED),
    (r"Order could not immediately match against any resting orders", Verdict.REJECTED),
    (r"Invalid TP/SL price", Verdict.REJECTED),
    (r"No liquidity available for market order", Verdict.REJECTED),
    (r"Order would increase open interest", Verdict.REJECTED),
    (r"Order rejected due to price more aggressive than oracle", Verdict.REJECTED),
    (r"Insufficient spot balance", Verdict.REJECTED),
    (r"(Order p|P)rice too far from oracle", Verdict.REJECTED),
    (r"Order would cause position to exceed margin tier limit", Verdict.REJECTED),
    (r"Placing trigger orders is not enabled", Verdict.REJECTED),
    (r"Main order cannot be trigger order", Verdict.REJECTED),
    (r"Unexpected number of trigger orders", Verdict.REJECTED),
    (r"Trigger order (is not reduce only|has unexpected side)", Verdict.REJECTED),
    (r"Cannot switch leverage type with open position", Verdict.REJECTED),
    (r"Invalid leverage value", Verdict.REJECTED),
    (r"Cross margin is not allowed for this asset", Verdict.REJECTED),
    (r"Isolated position does not have sufficient margin", Verdict.REJECTED),
    (r"Position does not use isolated margin", Verdict.REJECTED),
    (r"Cannot update margin for empty position", Verdict.REJECTED),
)
_VERDICTS = tuple((re.compile(pattern), verdict) for pattern, verdict in _TEXTS)


def verdict_of(text: str) -> Verdict:
    """Return what the error ``text`` proves; ``UNKNOWN`` for one that is not in the book."""
    return next((verdict for pattern, verdict in _VERDICTS if pattern.match(text)), Verdict.UNKNOWN)
