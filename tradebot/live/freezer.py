"""Symbols without entries for one reason: given as what should be, made so by commands."""

from collections.abc import Collection
from enum import StrEnum

from tradebot.live.line import LiveLine
from tradebot.model.command import Verb
from tradebot.pipeline.risk.breakers.health import STALE, UNANSWERED
from tradebot.pipeline.risk.commands import DOUBT


class FreezeReason(StrEnum):
    """Why a symbol gets no entries, as ``why`` shows it."""

    HISTORY = "history"
    """Bars that closed long ago go through the line."""
    STALE = STALE
    """The market is too long silent."""
    UNKNOWN_ORDER = UNANSWERED
    """An order was sent, and nobody knows what became of it."""
    DOUBT = DOUBT
    """The venue said what cannot be."""
    MISMATCH = "mismatch"
    """The venue holds another position than the book."""
    KEY = "key"
    """The key is being changed."""


class Freezer:
    """Freezes and thaws symbols for ``reason``. What the last run froze is known from the line, and thawed too."""

    def __init__(self, line: LiveLine, reason: FreezeReason) -> None:
        self._line, self._reason = line, reason

    @property
    def frozen(self) -> frozenset[str]:
        """The symbols frozen for this reason."""
        frozen = self._line.risk.frozen
        return frozenset(symbol for symbol, reasons in frozen.items() if self._reason in reasons)

    async def hold(self, symbols: Collection[str]) -> None:
        """Let exactly ``symbols`` be frozen for this reason."""
        frozen = self.frozen
        for symbol in sorted(set(symbols) - frozen):
            await self._line.command(Verb.FREEZE, {"symbol": symbol, "reason": self._reason.value})
        for symbol in sorted(frozen - set(symbols)):
            await self._line.command(Verb.THAW, {"symbol": symbol, "reason": self._reason.value})
