"""What ``/exchange`` answers: one outcome for an action, or one for each of its orders."""

from dataclasses import dataclass
from typing import ClassVar

from tradebot.model.money import Price, Qty
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.statuses import Verdict, verdict_of


@dataclass(frozen=True, slots=True)
class Resting:
    """The order rests under ``oid``."""

    kind: ClassVar[str] = "resting"
    oid: int


@dataclass(frozen=True, slots=True)
class FilledNow:
    """The order met the market at once: ``qty`` at ``price`` on average. The rest, if any, is gone."""

    kind: ClassVar[str] = "filled"
    oid: int
    qty: Qty
    price: Price


@dataclass(frozen=True, slots=True)
class Waiting:
    """The order waits for its entry or its trigger; it has no id of the venue yet."""

    kind: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True)
class Success:
    """The cancel, or an action without orders, was done."""

    kind: ClassVar[str] = "success"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The venue said no; ``verdict`` is what its ``text`` proves."""

    kind: ClassVar[str] = "refusal"
    text: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Unclear:
    """A status we cannot read: nothing is proven."""

    kind: ClassVar[str] = "unclear"
    text: str


LegOutcome = Resting | FilledNow | Waiting | Success | Refusal | Unclear


@dataclass(frozen=True, slots=True)
class ActionReply:
    """The answer to one action. ``refusal``: it was refused whole; else ``legs`` are its outcomes in order."""

    legs: tuple[LegOutcome, ...] = ()
    refusal: Refusal | None = None


def action_reply(reply: Node, legs: int = 0) -> ActionReply:
    """Return the answer to an action of ``legs`` orders or cancels, 0 for an action without.

    A check of the whole batch answers with one error for all; that one counts for each. Any other number of
    statuses than ``legs`` fails, for then nobody can say whose they are.
    """
    status = reply.at("status").one_of("ok", "err")
    response = reply.at("response")
    if status == "err":
        text = response.text()
        return ActionReply(refusal=Refusal(text, verdict_of(text)))
    kind = response.at("type").text()
    if legs == 0:
        return ActionReply((Success(),))
    if kind == "default":
        return ActionReply((Success(),) * legs)
    statuses = response.at("data").at("statuses")
    outcomes = tuple(_leg(row) for row in statuses.rows())
    if len(outcomes) == 1 and legs > 1 and isinstance(outcomes[0], Refusal):
        return ActionReply(outcomes * legs)
    if len(outcomes) != legs:
        statuses.fail(f"has {len(outcomes)} statuses for {legs}")
    return ActionReply(outcomes)


def _leg(row: Node) -> LegOutcome:
    match row.value:
        case "success":
            return Success()
        case "waitingForFill" | "waitingForTrigger":
            return Waiting()
        case {"resting": _}:
            return Resting(row.at("resting").at("oid").integer())
        case {"filled": _}:
            filled = row.at("filled")
            return FilledNow(
                filled.at("oid").integer(), filled.at("totalSz").positive_qty(), filled.at("avgPx").price()
            )
        case {"error": _}:
            text = row.at("error").text()
            return Refusal(text, verdict_of(text))
        case other:
            return Unclear(str(other))
