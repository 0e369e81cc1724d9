"""What an operator asks of the line, and its answer."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from msgspec import field

from tradebot.model.market import Message
from tradebot.model.time import Nanos


class Verb(StrEnum):
    """The commands that change what the line does.

    The last three are the daemon's own. Freeze and thaw: no entries in the ``symbol`` named, or in all when it is
    empty, for ``reason``, until the same reason is taken back. Renumber: signals are numbered on behind all that may
    have been given out in ``gap_s`` seconds that the journal does not know.
    """

    PAUSE = "pause"
    RESUME = "resume"
    REDUCE_ONLY = "reduce_only"
    HALT = "halt"
    CLOSE = "close"
    CANCEL = "cancel"
    STOP = "stop"
    FREEZE = "freeze"
    THAW = "thaw"
    RENUMBER = "renumber"


class TradingState(StrEnum):
    """What may be sent. Paused: no entries. Reduce-only: nothing that adds. Halted: cancels and stops."""

    RUNNING = "running"
    PAUSED = "paused"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"


class Command(Message, frozen=True, kw_only=True):
    """An input from an operator. ``ts_event`` is the line's market time when it came."""

    kind: ClassVar[str] = "command"
    id: str
    ts_event: Nanos
    verb: Verb
    arguments: Mapping[str, str] = field(default_factory=dict)


class CommandDone(Message, frozen=True, kw_only=True):
    """The answer to a command; ``error`` says what was wrong, else it is empty."""

    kind: ClassVar[str] = "command_done"
    id: str
    ts_event: Nanos
    detail: str
    error: str = ""


class StateChanged(Message, frozen=True, kw_only=True):
    """The trading state changed, and why."""

    kind: ClassVar[str] = "state_changed"
    ts_event: Nanos
    state: TradingState
    reason: str


class Heartbeat(Message, frozen=True, kw_only=True):
    """Passes every stage and changes nothing: the proof that the line makes progress."""

    kind: ClassVar[str] = "heartbeat"
    ts_event: Nanos


class Tick(Message, frozen=True, kw_only=True):
    """Time passed at a real venue: what is overdue is done now. ``ts_event`` is venue time."""

    kind: ClassVar[str] = "tick"
    ts_event: Nanos


class AlertName(StrEnum):
    """What a human is paged for."""

    HALTED = "halted"
    UNPROTECTED = "unprotected"
    EXIT_FAILED = "exit_failed"
    UNKNOWN_ORDER = "unknown_order"
    MISMATCH = "mismatch"
    FOREIGN_ORDER = "foreign_order"
    CONTRADICTION = "contradiction"
    POISONED = "poisoned"
    KEY_EXPIRES = "key_expires"
    KEY_REFUSED = "key_refused"
    VENUE_LOST = "venue_lost"
    ACTIONS_LOW = "actions_low"
    SYMBOL_SILENT = "symbol_silent"
    SYMBOL_ENDED = "symbol_ended"
    RULES_CHANGED = "rules_changed"
    BREAKER = "breaker"
    ORDER_STOPPED = "order_stopped"
    GUARD = "guard"
    CONFIG_DRIFT = "config_drift"
    BACKUP_FAILED = "backup_failed"
    SECRET_EXPIRES = "secret_expires"  # noqa: S105  # it names an alert  # nosec B105


class Alert(Message, frozen=True, kw_only=True):
    """Somebody must look: ``what`` happened, and how to ``mend`` it.

    ``about`` tells alerts of one name and symbol apart: the id of the order, trade or signal that it is of.
    """

    kind: ClassVar[str] = "alert"
    ts_event: Nanos
    name: AlertName
    what: str
    symbol: str = ""
    mend: str = ""
    about: str = ""
