"""The line for whoever has the bars beforehand: where nothing can happen, only the strategies are asked.

A bar that every stage before them calls quiet goes to the strategies at once. When one of them has something to say,
the other stages first pass over the bars up to there, that one included; so each finds them as it would, had they seen
every bar.
"""

from collections.abc import Callable, Sequence

from tradebot.model.market import Bar
from tradebot.model.money import Cash
from tradebot.model.time import Nanos
from tradebot.pipeline.line import Line
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.runs import Quiet, Run
from tradebot.pipeline.strategy.stage import StrategyStage

# How many bars are looked at together. A signal among them makes looking at the rest of them vain.
_AHEAD = 64

Points = Callable[[Sequence[Nanos], Sequence[Cash], bool], None]
"""Called with points of the equity curve: times, equities, and whether a position was open at them."""


class QuietLine:
    """Pumps the bars of one series. ``stages`` are those before risk; ``points`` gets what is not told one by one."""

    def __init__(
        self, line: Line, stages: Sequence[Quiet], risk: RiskStage, strategy: StrategyStage, points: Points
    ) -> None:
        self._line = line
        self._quiets = [*(stage.quiet for stage in stages), risk.quiet]
        self._stages = stages
        self._risk = risk
        self._strategy = strategy
        self._points = points

    def pump(self, bars: Sequence[Bar]) -> None:
        """Run ``bars`` and all that follows from them, to the end."""
        run, line = Run(bars), self._line
        at, end = 0, len(bars)
        while at < end:
            until = self._quiet(run, at, min(at + _AHEAD, end))
            if until == at:
                line.pump(bars[at])
                at += 1
                continue
            until, outputs = self._strategy.ask(run, at, until)
            self._pass_over(run, at, until)
            at = until
            for output in outputs:
                line.follow(output)

    def _quiet(self, run: Run, at: int, until: int) -> int:
        for quiet in self._quiets:
            until = quiet(run, at, until)
            if until == at:
                break
        return until

    def _pass_over(self, run: Run, at: int, until: int) -> None:
        for stage in self._stages:
            stage.pass_over(run, at, until)
        mark, equities, is_exposed = self._risk.pass_over(run, at, until)
        self._line.follow(mark)
        self._points(run.times[at : until - 1], equities, is_exposed)
