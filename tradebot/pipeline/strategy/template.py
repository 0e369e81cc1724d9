"""The text that ``tradebot new-strategy FILE`` writes: a strategy that runs as it is."""

TEMPLATE = '''\
"""Buys strength: a close above the highest close of the last bars, until it falls back to their mean.

Use it in a configuration:  [[strategy]]
                            kind = "{file}:{name}"
                            length = 20
"""

from collections import deque
from decimal import Decimal

from tradebot.pipeline.strategy.base import Bar, Enter, Exit, Field, Params, Position, PositionSide


class {name}:
    # Each parameter is a key of the [[strategy]] table: with a type, a default, a range, a description.
    class Params(Params):
        length: int = Field(20, ge=2, le=1000, description="bars to look back")

    def __init__(self, params):
        # One object is made for each symbol. Fields hold int, float, str, bool, None, Decimal, list, tuple,
        # dict, deque or array: these are saved and restored, also after a crash.
        self.closes: deque[Decimal] = deque(maxlen=params.length)

    def on_bar(self, bar: Bar, position: Position | None):
        """Called at the close of each bar; returns what to do at the next open."""
        closes = list(self.closes)
        self.closes.append(bar.close)
        if len(closes) < self.closes.maxlen:
            return []
        if position is None and bar.close > max(closes):
            # A stop and a target may be given here; else those of the configuration are used.
            return [Enter(PositionSide.LONG, factors={{"above": float(bar.close / max(closes) - 1)}})]
        if position is not None and bar.close < sum(closes) / len(closes):
            return [Exit()]
        return []
'''


def template(file: str, name: str = "MyStrategy") -> str:
    """Return the text of a strategy class ``name`` for ``file``, which its configuration names."""
    return TEMPLATE.format(file=file, name=name)
