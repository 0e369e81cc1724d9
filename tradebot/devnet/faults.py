"""Faults, so that a client can be rehearsed against what real exchanges do: seeded, and off unless asked for.

A rule has a name, and may say with what ``probability`` it strikes, ``after`` how many seconds, ``for`` how long,
how often at most (``count``), and a ``value`` of its own, such as seconds of lag.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from tradebot.devnet.chance import share
from tradebot.devnet.wire import Json
from tradebot.model.errors import UsageError
from tradebot.model.money import ZERO

FOREVER = Decimal(1_000_000_000)

LASTING: Mapping[str, str] = {
    "lost": "a request to /exchange never arrives; its connection closes",
    "timeout": "an action is done, its reply never comes (value: seconds until the connection closes; 30)",
    "drop_reply": "an action is done, then the connection closes without a reply",
    "error_500": "a request is answered with 500 null and nothing is done",
    "error_502": "an action is done and answered with 502",
    "rate_limit": "a request is answered with 429 null",
    "partial_batch": "the last order of a batch is refused for want of margin",
    "refuse": "every order of an action is refused (text: what the exchange says; coin: of that one alone)",
    "sleeping_stop": "a stop does not wake though the mark is there (coin: of that one alone)",
    "unfilled_stop": "a stop that wakes stays triggered (value: what trades of it before; 0; coin: of that one alone)",
    "half_open": "sockets stay open and say nothing, not even pong",
    "silent_coin": "the channels of a coin say nothing; the others go on (coin)",
    "frozen_feed": "the market stands still; sockets live on",
    "duplicate": "what happens to an account is told twice",
    "reorder": "what happens to an account is told in reversed order",
    "replica_lag": "answers about accounts are old (value: seconds; 3)",
    "maintenance": "nothing is served; afterwards only post-only orders are taken (value: for how many seconds; 5)",
}
AT_ONCE: Mapping[str, str] = {
    "drop": "all sockets break without a close frame",
    "manual_trade": "somebody trades by hand (user, coin; value: signed size)",
    "manual_cancel": "somebody cancels by hand what rests (user; coin: only of that one)",
    "liquidation": "the positions of an account are liquidated (user)",
    "agent_expiry": "the agents of an account run out (user)",
    "jump": "the price of a coin jumps (coin; value: the new price)",
}
_KEYS = frozenset({"probability", "after", "for", "count", "value", "user", "coin", "text"})


@dataclass(slots=True)
class Rule:
    """A fault as asked for; times in seconds."""

    name: str
    probability: Decimal = Decimal(1)
    after: Decimal = ZERO
    lasts: Decimal = FOREVER
    count: int = 1 << 62
    value: Decimal | None = None
    user: str = ""
    coin: str = ""
    text: str = ""

    def row(self) -> Json:
        """Return it for a reader."""
        return {
            "name": self.name,
            "probability": float(self.probability),
            "after": float(self.after),
            "for": float(self.lasts),
            "count": self.count,
            "value": None if self.value is None else f"{self.value:f}",
            "user": self.user,
            "coin": self.coin,
            "text": self.text,
        }


class Faults:
    """The rules in force. The same seed and the same requests give the same faults."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rules: dict[str, tuple[Rule, float]] = {}
        self._draws: dict[str, int] = {}

    def inject(self, rule: Rule, now_s: float) -> None:
        """Put a lasting fault in force, in place of one of its name."""
        self._rules[rule.name] = rule, now_s

    def clear(self) -> None:
        """Let all faults end."""
        self._rules.clear()

    def rows(self) -> list[Json]:
        """Return the rules for a reader."""
        return [rule.row() for rule, _ in self._rules.values()]

    def active(self, name: str, now_s: float) -> Rule | None:
        """Return the rule of that name while its time lasts, whatever chance says."""
        rule, since = self._rules.get(name, (None, 0.0))
        if rule is None or rule.count <= 0:
            return None
        age = Decimal(now_s - since)
        return rule if rule.after <= age < rule.after + rule.lasts else None

    def ended_s(self, name: str, now_s: float) -> float | None:
        """Return for how long the rule of that name has been over, or ``None`` when it is not."""
        rule, since = self._rules.get(name, (None, 0.0))
        if rule is None:
            return None
        over = now_s - since - float(rule.after + rule.lasts)
        return over if over >= 0 else None

    def strikes(self, name: str, now_s: float) -> Rule | None:
        """Return the rule when it is in force and chance says that it strikes now."""
        rule = self.active(name, now_s)
        if rule is None:
            return None
        draws = self._draws[name] = self._draws.get(name, 0) + 1
        if share(self._seed, "fault", name, draws) >= rule.probability:
            return None
        rule.count -= 1
        return rule


def parse_rule(text: str) -> Rule:
    """Return the rule of a command line, such as ``timeout:probability=0.1,after=10``. Raises ``UsageError``."""
    name, _, rest = text.partition(":")
    given: Json = {"name": name}
    for pair in filter(None, rest.split(",")):
        key, _, value = pair.partition("=")
        given[key] = value
    return read_rule(given)


def read_rule(given: Json) -> Rule:
    """Return the rule of a JSON object with ``name`` and its settings. Raises ``UsageError``."""
    name = str(given.get("name"))
    if name not in LASTING and name not in AT_ONCE:
        known = ", ".join((*LASTING, *AT_ONCE))
        raise UsageError(f"there is no fault {name!r}", mend=f"one of {known}")
    unknown = given.keys() - _KEYS - {"name"}
    if unknown:
        raise UsageError(f"a fault has no {sorted(unknown)[0]!r}", mend=f"one of {', '.join(sorted(_KEYS))}")
    rule = Rule(name, user=str(given.get("user", "")).lower(), coin=str(given.get("coin", "")))
    rule.text = str(given.get("text", ""))
    rule.probability = _number(given, "probability", rule.probability)
    rule.after = _number(given, "after", rule.after)
    rule.lasts = _number(given, "for", rule.lasts)
    rule.count = int(_number(given, "count", Decimal(rule.count)))
    rule.value = _number(given, "value", ZERO) if "value" in given else None
    return rule


def _number(given: Json, key: str, default: Decimal) -> Decimal:
    try:
        value = Decimal(str(given.get(key, default)))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or (value < 0 and key != "value"):
        raise UsageError(f"{key} {given.get(key)!r} of a fault is not a number")
    return value
