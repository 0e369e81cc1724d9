"""What is wrong with secrets, as far as what may be told of them shows: ended, ending, missing."""

from collections.abc import Iterator, Mapping, Sequence

from tradebot.model.finding import Finding, Grade
from tradebot.model.time import DAY, HOUR, Nanos
from tradebot.secret.store import SecretFacts

WARN_DAYS = (1, 7, 14)


def secret_findings(facts: Sequence[SecretFacts], used: Mapping[str, Sequence[str]], now: Nanos) -> Iterator[Finding]:
    """Yield a finding for each secret that a setting of ``used`` names, and for each that ends within 14 days."""
    known = {one.name: one for one in facts}
    for name, users in sorted(used.items()):
        if name not in known:
            what = f"there is no secret {name!r}, which {', '.join(users)} names"
            yield Finding("secrets", Grade.FAIL, what, f"tradebot secrets set {name}")
    for one in facts:
        left = None if one.expires is None else one.expires - now
        mend = f"tradebot secrets rotate {one.name}"
        if one.flaw:
            yield Finding("secrets", Grade.FAIL, one.flaw, f"tradebot secrets set {one.name}, or revoke it")
        elif left is not None and left <= 0:
            yield Finding("secrets", Grade.FAIL, f"{one.name} has expired", mend)
        elif left is not None and left <= max(WARN_DAYS) * DAY:
            yield Finding("secrets", Grade.WARN, f"{one.name} expires in {left_words(left)}", mend)
        elif one.name in used:
            yield Finding("secrets", Grade.OK, f"{one.name}, {one.kind} {one.fingerprint}, in the {one.backend}")


def left_words(left: int) -> str:
    """Return the time that is left, nanoseconds > 0, as a person says it."""
    return f"{left // DAY} days" if left > 2 * DAY else f"{left // HOUR} hours"
