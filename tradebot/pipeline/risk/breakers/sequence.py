"""All breakers, and those of one book: what each is told, and what they let through together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from tradebot.model.breaker import Act, BreakerChanged
from tradebot.model.market import Message
from tradebot.model.money import Cash
from tradebot.model.order import Fill, OrderDone
from tradebot.model.position import ResidualSeen, RoundTrip
from tradebot.model.signal import Signal
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.breakers.base import (
    NO_CHANGE,
    Breaker,
    BreakerState,
    BreakerView,
    Changes,
    Holding,
    Tiers,
)
from tradebot.pipeline.risk.breakers.cooldown import CooldownBreaker
from tradebot.pipeline.risk.breakers.daily_loss import DailyLossBreaker
from tradebot.pipeline.risk.breakers.drawdown import DrawdownBreaker
from tradebot.pipeline.risk.breakers.falls import FallBreaker
from tradebot.pipeline.risk.breakers.health import FeedHealthBreaker, VenueHealthBreaker
from tradebot.pipeline.risk.breakers.losses import ConsecutiveLossesBreaker
from tradebot.pipeline.risk.breakers.rejects import RejectsBreaker
from tradebot.pipeline.risk.breakers.residual import ResidualBreaker
from tradebot.pipeline.risk.breakers.slippage import SlippageBreaker
from tradebot.pipeline.risk.breakers.trades import TradesBreaker
from tradebot.pipeline.risk.gates.base import Stopped
from tradebot.pipeline.risk.trip import OF_OTHERS

BREAKERS: tuple[type[Breaker], ...] = (
    DrawdownBreaker,
    DailyLossBreaker,
    ConsecutiveLossesBreaker,
    TradesBreaker,
    CooldownBreaker,
    SlippageBreaker,
    RejectsBreaker,
    FeedHealthBreaker,
    VenueHealthBreaker,
    ResidualBreaker,
)
"""In the order in which they are shown, and in which the first that stops an entry is the one that is named."""

REDUCED = Decimal("0.5")
"""What the first of three tiers leaves of an entry."""


class Breakers:
    """The breakers that are set, by their names in ``tiers``."""

    def __init__(self, tiers: Mapping[str, Tiers]) -> None:
        self._all = [breaker(tiers[breaker.name]) for breaker in BREAKERS if tiers.get(breaker.name)]
        looking = [one for one in self._all if type(one).on_equity is not Breaker.on_equity]
        self._on_equity = looking
        self.counts_days = any(one.counts_days for one in looking)
        """Whether one that looks at the equity does so differently on another day."""
        self.on_equity: Callable[[Nanos, Cash], Changes] = looking[0].on_equity if len(looking) == 1 else self._look
        """Look at the equity at a closing time. It is done at most bars, so one breaker is asked without a detour."""
        self._falls = [one for one in self._all if isinstance(one, FallBreaker)]
        self._on_ask = [one for one in self._all if type(one).on_ask is not Breaker.on_ask]
        self._on_fill = [one for one in self._all if type(one).on_fill is not Breaker.on_fill]
        self._on_opened = [one for one in self._all if type(one).on_opened is not Breaker.on_opened]
        self._on_trip = [one for one in self._all if type(one).on_trip is not Breaker.on_trip]
        self._on_done = [one for one in self._all if type(one).on_done is not Breaker.on_done]

    @property
    def tripped(self) -> list[Breaker]:
        """Those that are."""
        return [one for one in self._all if one.tier]

    def has(self, *acts: Act) -> bool:
        """Return whether a tier is reached that does one of ``acts``."""
        return any(one.act in acts for one in self._all)

    def reducing(self) -> Breaker | None:
        """Return a breaker that makes entries smaller; one is enough, and none makes them smaller still."""
        return next((one for one in self._all if one.act is Act.REDUCE_SIZE), None)

    def check(self, signal: Signal) -> Stopped | None:
        """Return what stops an entry, by the first breaker that does."""
        for one in self._all:
            stopped = one.check(signal)
            if stopped is not None:
                return stopped
        return None

    def _look(self, ts: Nanos, equity: Cash) -> Changes:
        changes = NO_CHANGE
        for one in self._on_equity:
            changed = one.on_equity(ts, equity)
            if changed:
                changes = (*changes, *changed)
        return changes

    def on_prices(self, ts: Nanos, equity: Cash) -> Changes:
        """Look at the equity at live prices, between two closing times."""
        return [changed for one in self._falls for changed in one.on_prices(ts, equity)]

    def acts_at(self, equity: Cash) -> bool:
        """Return whether one would act on ``equity`` between two closing times."""
        return any(equity <= one.silence(equity)[0] for one in self._falls)

    @property
    def looks(self) -> bool:
        """Whether one looks at the equity."""
        return bool(self._on_equity)

    def silence(self, highest: Cash) -> tuple[Cash, Cash]:
        """Return between which equities, the first left out, none has anything to say on this day up to ``highest``."""
        bounds = [one.silence(highest) for one in self._on_equity]
        return max(low for low, _ in bounds), min(high for _, high in bounds)

    def on_deposit(self, before: Cash, after: Cash) -> None:
        """Learn that money from outside made the equity ``after`` of ``before``."""
        for one in self._all:
            one.on_deposit(before, after)

    def on_ask(self, signal: Signal, book: Holding) -> Changes:
        """Look at an entry that every gate would let through."""
        return [changed for one in self._on_ask for changed in one.on_ask(signal, book)]

    def on_fill(self, fill: Fill, book: Holding) -> Changes:
        """Look at a fill before it is booked."""
        return [changed for one in self._on_fill for changed in one.on_fill(fill, book)]

    def on_booked(self, fill: Fill, booked: Iterable[Message], *, is_opened: bool) -> Changes:
        """Look at what was ``booked`` of a fill, and whether a position of ours was opened by it."""
        changes: list[BreakerChanged] = []
        if is_opened:
            changes += [changed for one in self._on_opened for changed in one.on_opened(fill)]
        for message in booked if self._on_trip else ():
            if isinstance(message, RoundTrip) and message.strategy not in OF_OTHERS:
                changes += [changed for one in self._on_trip for changed in one.on_trip(message)]
        return changes

    def on_done(self, done: OrderDone) -> Changes:
        """Look at an order that ended."""
        return [changed for one in self._on_done for changed in one.on_done(done)]

    def on_residual(self, seen: ResidualSeen) -> Changes:
        """Look at what venue and book differ by."""
        return [changed for one in self._all for changed in one.on_residual(seen)]

    def on_frozen(self, ts: Nanos, frozen: Mapping[str, Sequence[str]]) -> Changes:
        """Look at the symbols that are frozen, and why."""
        return [changed for one in self._all for changed in one.on_frozen(ts, frozen)]

    def rearm(self, ts: Nanos, reason: str) -> Changes:
        """Arm those that are tripped again."""
        return [one.rearm(ts, reason) for one in self.tripped]

    def view(self, now: Nanos) -> tuple[BreakerView, ...]:
        """Return each as it is shown at the market time ``now``."""
        return tuple(one.view(now) for one in self._all)

    def save(self) -> dict[str, BreakerState]:
        """Return each as it is kept."""
        return {one.name: one.save() for one in self._all}

    def load(self, states: Mapping[str, BreakerState]) -> None:
        """Become what ``save`` saw; one of which nothing is known begins anew."""
        for one in self._all:
            state = states.get(one.name)
            if state is not None:
                one.load(state)
