"""What a reload may change while the daemon runs, and what needs a restart."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tradebot.pipeline.risk.gates.order_qty import limit_of
from tradebot.pipeline.risk.gates.sequence import LIMITS
from tradebot.pipeline.risk.order_gates.own_orders import WINDOW
from tradebot.pipeline.risk.order_gates.sequence import MEASURES
from tradebot.settings.difference import flat
from tradebot.settings.model import Settings

_FREE = frozenset(
    {
        "alerts.repeat_s",
        "alerts.url",
        "alerts.url_secret",
        "log.level",
        "log.rotate_mb",
        "log.keep",
        "store.min_free_mb",
        "store.keep_market_days",
        "store.snapshot_turns",
        "store.snapshot_s",
    }
)
# A longer window is stricter, and a lower number of all others.
_STRICTER = {*(gate.setting for gate in LIMITS), *MEASURES} - {WINDOW}
_LIMITS = frozenset(f"risk.{setting}" for setting in _STRICTER)
_LOOSENED = "limits are loosened only while halted"
_QUANTITIES = f"risk.{limit_of('')}"


class ReloadDiff(NamedTuple):
    """Dotted keys that changed: those that apply at once, and the others with the reason."""

    applicable: tuple[str, ...]
    refused: Mapping[str, str]

    @property
    def loosened(self) -> tuple[str, ...]:
        """The limits that are refused, for they would be loosened while trading is not halted."""
        return tuple(key for key, why in self.refused.items() if why == _LOOSENED)


def reload_diff(old: Settings, new: Settings, *, is_halted: bool = False) -> ReloadDiff:
    """Return what differs. Limits may be tightened at any time, and loosened only while trading is halted."""
    before, after = flat(old), flat(new)
    applicable: list[str] = []
    refused: dict[str, str] = {}
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) == after.get(key):
            continue
        is_limit = key in _LIMITS or key.startswith(_QUANTITIES)
        if key in _FREE or (is_limit and (is_halted or _is_tighter(before.get(key), after.get(key)))):
            applicable.append(key)
        else:
            refused[key] = _LOOSENED if is_limit else "needs a restart"
    return ReloadDiff(tuple(applicable), refused)


def _is_tighter(before: object, after: object) -> bool:
    if not isinstance(after, Decimal | int):
        return False
    return not isinstance(before, Decimal | int) or after < before
