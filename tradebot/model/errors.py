"""What can go wrong, and who must do what.

TradebotError
+ UsageError             operator: mend the command                     exit 2
+ ConfigError            operator: fix the file                         exit 78
+ DataError              operator: mend or repair the data file         exit 1
+ NotRunning             operator: start the daemon                     exit 3
+ TimedOut               operator: look at status and logs              exit 4
+ RefusedByRule          operator: a risk or safety rule said no        exit 5
+ LockHeld               operator: another daemon runs                  exit 75
+ StorageFailed          operator: journal or disk                      exit 74
+ NotPermitted           operator: keys, owner, agent                   exit 77
+ VenueError             transient or definite, see the subclasses      exit 1
| + Unavailable          transient: retry with backoff, then halt
| + Rejected             the venue said no: never resend the same request
| + Unreadable           body quoted; the order stays SUBMITTED; reconcile
+ StrategyError          that strategy is disabled; others go on        exit 1
+ InvariantError         a bug: halt trading, keep the journal          exit 70
"""

from typing import ClassVar


class TradebotError(Exception):
    """An error an operator can act on: what is wrong, where, and the mend."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        mend = f"\n  mend: {self.mend}" if self.mend else ""
        return f"{where}{self.what}{mend}"


class UsageError(TradebotError):
    """A command or option that does not exist or does not fit."""

    exit_code = 2


class ConfigError(TradebotError):
    """A configuration that cannot be used."""

    exit_code = 78


class DataError(TradebotError):
    """A data file that cannot be read as bars."""


class NotRunning(TradebotError):
    """No daemon answers for this home."""

    exit_code = 3


class TimedOut(TradebotError):
    """The daemon did not answer or did not get there in time."""

    exit_code = 4


class RefusedByRule(TradebotError):
    """A risk or safety rule refused the command."""

    exit_code = 5


class LockHeld(TradebotError):
    """Another daemon holds the home directory, or the account: the process ``pid``, 0 when nobody can say."""

    exit_code = 75

    def __init__(self, what: str, *, where: str = "", mend: str = "", pid: int = 0) -> None:
        super().__init__(what, where=where, mend=mend)
        self.pid = pid


class StorageFailed(TradebotError):
    """The journal or the disk under it failed."""

    exit_code = 74


class NotPermitted(TradebotError):
    """Keys, owner or agent do not allow this."""

    exit_code = 77


class VenueError(TradebotError):
    """The venue did not do what was asked."""


class Unavailable(VenueError):
    """The venue cannot be reached now."""


class Rejected(VenueError):
    """The venue refused the request."""


class Unreadable(VenueError):
    """The venue's reply makes no sense."""


class StrategyError(TradebotError):
    """A strategy raised, blocked or spoke nonsense."""


class InvariantError(TradebotError):
    """Something that must never happen did."""

    exit_code = 70
