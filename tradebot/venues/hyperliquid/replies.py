"""What ``/exchange`` answers: one outcome for an action, or one for each of its orders."""

from tradebot.model.venue import FilledNow, LegOutcome, Refusal, Rests, Success, Unclear, Waiting
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.statuses import verdict_of
from tradebot.venues.submit import ActionReply


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
            return Rests(str(row.at("resting").at("oid").integer()))
        case {"filled": _}:
            filled = row.at("filled")
            return FilledNow(
                str(filled.at("oid").integer()), filled.at("totalSz").positive_qty(), filled.at("avgPx").price()
            )
        case {"error": _}:
            text = row.at("error").text()
            return Refusal(text, verdict_of(text))
        case other:
            return Unclear(str(other))
