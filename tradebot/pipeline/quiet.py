"""The line for whoever has the bars beforehand: where nothing can happen, no bar is visited.

The horizon is up to where nothing can: every stage before the strategies says how far it sees nothing coming, and a
strategy that can tell says how far it has nothing to say. Up to there the stages pass over the bars together, and find
themselves as they would, had they seen every bar. A strategy that cannot tell is asked at each bar, and nothing else is
done there.
"""

from collections.abc import Callable, Sequence

from tradebot.model.time import Nanos
from tradebot.pipeline.line import Line
from tradebot.pipeline.risk.marking import Marking
from tradebot.pipeline.runs import Quiet, Run
from tradebot.pipeline.strategy.stage import StrategyStage

Points = Callable[[Sequence[Nanos], Sequence[int], bool], None]
"""Called with points of the equity curve: times, equities in 1e-8, and whether a position was open at them."""


class QuietLine:
    """Pumps the bars of one series. ``stages`` are those before risk; ``points`` gets what is not told one by one."""

    def __init__(
        self, line: Line, stages: Sequence[Quiet], marking: Marking, strategy: StrategyStage, points: Points
    ) -> None:
        self._line = line
        self._quiets = [*(stage.quiet for stage in stages), marking.quiet]
        self._stages = stages
        self._marking = marking
        self._strategy = strategy
        self._points = points

    def pump(self, run: Run, at: int, end: int) -> None:
        """Run the bars from ``at`` on, before ``end``, and all that follows from them, to the end."""
        line, strategy = self._line, self._strategy
        while at < end:
            # The bar at which a strategy may have its say is the last of those that are passed over.
            until = self._quiet(run, at, min(strategy.horizon(run, at, end) + 1, end))
            if until == at:
                strategy.visit(run, at)
                line.pump(run.bar(at))
                at += 1
                continue
            until, outputs = strategy.ask(run, at, until)
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
        mark, times, units, is_exposed = self._marking.pass_over(run, at, until)
        self._line.follow(mark)
        self._points(times, units, is_exposed)
