"""Symbols without entries for one reason: given as what should be, made so by commands."""

from collections.abc import Callable, Collection, Mapping

from tradebot.model.command import Verb
from tradebot.runtime.live.line import LiveLine

Frozen = Callable[[], Mapping[str, Collection[str]]]


class Freezer:
    """Freezes and thaws symbols for ``reason``.

    ``frozen`` returns why each symbol is frozen now; so what the last run froze is thawed too.
    """

    def __init__(self, line: LiveLine, frozen: Frozen, reason: str) -> None:
        self._line, self._frozen, self._reason = line, frozen, reason

    @property
    def frozen(self) -> frozenset[str]:
        """The symbols frozen for this reason."""
        return frozenset(symbol for symbol, reasons in self._frozen().items() if self._reason in reasons)

    async def hold(self, symbols: Collection[str]) -> None:
        """Let exactly ``symbols`` be frozen for this reason."""
        frozen = self.frozen
        for symbol in sorted(set(symbols) - frozen):
            await self._line.command(Verb.FREEZE, {"symbol": symbol, "reason": self._reason})
        for symbol in sorted(frozen - set(symbols)):
            await self._line.command(Verb.THAW, {"symbol": symbol, "reason": self._reason})
