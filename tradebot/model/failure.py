"""What the journal keeps of a failure of the program itself."""

from typing import ClassVar

from tradebot.model.market import Message
from tradebot.model.time import Nanos


class LineFailed(Message, frozen=True, kw_only=True):
    """The line failed, and the inputs from row ``first`` to row ``last`` are set aside: every boot leaves them out.

    Both are 0 where no input failed, but a task beside the line. ``until`` is the row of the input that ran after
    them all the same, 0 where there was none. ``input`` is the kind of the first one, ``symbol`` and ``about`` say
    what it was about (ids of an order, a trade, a deposit), and ``why`` is the error. ``ts_event`` is the input's.
    """

    kind: ClassVar[str] = "failed_turn"
    ts_event: Nanos
    first: int
    last: int
    until: int = 0
    input: str = ""
    symbol: str = ""
    about: str = ""
    why: str = ""

    def text(self) -> str:
        """Return it in one sentence."""
        if not self.first:
            return f"a task beside the line failed: {self.why}"
        rows = f"row {self.first}" if self.first == self.last else f"rows {self.first} to {self.last}"
        what = " ".join(part for part in (self.input, self.about or self.symbol) if part)
        return f"an input ({what or 'unknown'}, journal {rows}) made the program fail and was set aside: {self.why}"
