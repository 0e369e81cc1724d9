"""What becomes of a strategy that fails: the reason that is told, and the arithmetic that is put right again."""

import re
from decimal import getcontext
from types import TracebackType

from tradebot.model.errors import StrategyError
from tradebot.model.money import MONEY_CONTEXT
from tradebot.pipeline.strategy.base import Strategy
from tradebot.pipeline.strategy.nonsense import Nonsense

BLOCKED_AFTER_S = 5
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MOST_SAID = 300


class StrategyBlocked(BaseException):
    """Raised into a strategy's call that took too long; no ``Exception``, so that it is not swallowed.

    Its text says why, if not for the time that every call has.
    """


def why_disabled(error: BaseException, strategy: Strategy) -> str:
    """Say why ``strategy``, which raised ``error`` or caused it, is not asked again."""
    match error:
        case Nonsense():
            return f"nonsense: {error}"
        case StrategyBlocked():
            return str(error) or f"blocked for more than {BLOCKED_AFTER_S} s"
        case StrategyError():
            return error.what
        case _:
            return told(error, strategy)


def told(error: BaseException, strategy: Strategy | None) -> str:
    """Say what was raised and where: in the strategy's own file where it passed there."""
    try:
        words = str(error)
    except Exception:  # it is the strategy's own class, and may fail like the rest of it
        words = ""
    said = f"raised {type(error).__name__}" + (f": {words}" if words else "")
    places = _places(error.__traceback__)
    code = getattr(getattr(type(strategy), "on_bar", None), "__code__", None)
    places = [place for place in places if code is not None and place[0] == code.co_filename] or places
    if not places:
        return said
    file, line = places[-1]
    return f"{said} at {file.rpartition('/')[2]}:{line}"


def _places(trace: TracebackType | None) -> list[tuple[str, int]]:
    places = []
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return places


def plain_reason(reason: str) -> str:
    """Return ``reason`` as it can be written down, and is the same in every run."""
    # Half a character, as of a file name that is no text, could not be written down.
    return _ADDRESS.sub("", reason)[:_MOST_SAID].encode(errors="replace").decode()


def restore_context() -> None:
    """Give the money of all others its arithmetic back: tasks share one context, so it is mended, not replaced."""
    context = getcontext()
    for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"):
        setattr(context, name, getattr(MONEY_CONTEXT, name))
    context.traps.update(MONEY_CONTEXT.traps)
