"""All gates, in the order in which an entry is held against them."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from tradebot.model.market import Message
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.allowance import AllowanceGate, AllowanceState
from tradebot.pipeline.risk.gates.base import Book, Bound, Gate, GateConfig, Limit, Stopped
from tradebot.pipeline.risk.gates.book_share import BookShareGate
from tradebot.pipeline.risk.gates.cluster_notional import ClusterNotionalGate
from tradebot.pipeline.risk.gates.concentration import ConcentrationGate
from tradebot.pipeline.risk.gates.confidence import SETTING as MIN_CONFIDENCE
from tradebot.pipeline.risk.gates.confidence import ConfidenceGate
from tradebot.pipeline.risk.gates.entry_rate import SETTING as MAX_ENTRIES
from tradebot.pipeline.risk.gates.entry_rate import EntryRateGate, EntryRateState
from tradebot.pipeline.risk.gates.equity import EquityGate
from tradebot.pipeline.risk.gates.exposure_notional import ExposureNotionalGate
from tradebot.pipeline.risk.gates.headroom import SETTING as MIN_HEADROOM
from tradebot.pipeline.risk.gates.headroom import HeadroomGate
from tradebot.pipeline.risk.gates.leverage import LeverageGate
from tradebot.pipeline.risk.gates.liquidation import SETTING as LIQUIDATION_STOPS
from tradebot.pipeline.risk.gates.liquidation import LiquidationGate
from tradebot.pipeline.risk.gates.listing import ListingGate
from tradebot.pipeline.risk.gates.live_cap import LiveCapGate
from tradebot.pipeline.risk.gates.net_notional import NetNotionalGate
from tradebot.pipeline.risk.gates.order_notional import OrderNotionalGate
from tradebot.pipeline.risk.gates.order_qty import OrderQtyGate
from tradebot.pipeline.risk.gates.owner import OwnerGate
from tradebot.pipeline.risk.gates.position_notional import PositionNotionalGate
from tradebot.pipeline.risk.gates.share import ShareExposureGate, ShareLeverageGate
from tradebot.pipeline.risk.gates.side_notional import LongNotionalGate, ShortNotionalGate
from tradebot.pipeline.risk.gates.stop import StopGate
from tradebot.pipeline.risk.gates.strategy_notional import StrategyNotionalGate
from tradebot.pipeline.risk.gates.tail import Cvar95Gate, Cvar99Gate, Var95Gate, Var99Gate
from tradebot.pipeline.risk.gates.trading_state import TradingStateGate
from tradebot.pipeline.risk.gates.volume import VolumeGate, VolumeState
from tradebot.pipeline.risk.gates.zone import ZoneGate, ZoneState
from tradebot.pipeline.risk.limits import LimitUse

GATES: tuple[type[Gate], ...] = (
    TradingStateGate,
    ListingGate,
    OwnerGate,
    ZoneGate,
    AllowanceGate,
    EntryRateGate,
    ConfidenceGate,
    StopGate,
    EquityGate,
    OrderQtyGate,
    OrderNotionalGate,
    LiveCapGate,
    VolumeGate,
    BookShareGate,
    PositionNotionalGate,
    ConcentrationGate,
    ExposureNotionalGate,
    LeverageGate,
    NetNotionalGate,
    LongNotionalGate,
    ShortNotionalGate,
    StrategyNotionalGate,
    ClusterNotionalGate,
    ShareExposureGate,
    ShareLeverageGate,
    LiquidationGate,
    HeadroomGate,
    Var95Gate,
    Cvar95Gate,
    Var99Gate,
    Cvar99Gate,
)
"""Those that stop come before those that bound: a size is only reckoned for what may enter."""

LIMITS: tuple[type[Limit], ...] = tuple(gate for gate in GATES if issubclass(gate, Limit))
"""Those that are set by a key of ``[risk]`` of their name."""

OTHER_SETTINGS = (MIN_CONFIDENCE, MAX_ENTRIES, LIQUIDATION_STOPS, MIN_HEADROOM)
"""The keys of ``[risk]`` by which others go."""

GateState = ZoneState | AllowanceState | EntryRateState | VolumeState
"""What gates remember."""

G = TypeVar("G", bound=Gate)


class Gates:
    """The gates of one book."""

    def __init__(self, config: GateConfig) -> None:
        self._gates = [gate(config) for gate in GATES]
        self._stopping = [gate for gate in self._gates if type(gate).check is not Gate.check]
        self._bounding = [gate for gate in self._gates if type(gate).bound is not Gate.bound]
        self._fitting = [gate for gate in self._gates if type(gate).room is not Gate.room]
        # Most limits are not set, and a call for each at every entry would cost more than those that are.
        self._limits: Mapping[str, Decimal] | None = None
        self._bounds: list[Gate] = []
        self._rooms: list[Gate] = []
        kinds = {kind for gate in self._gates for kind in gate.hears}
        self._hearing = {kind: [gate for gate in self._gates if kind in gate.hears] for kind in kinds}

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return what stops ``signal``, by the first gate that does."""
        for gate in self._stopping:
            stopped = gate.check(signal, book)
            if stopped is not None:
                return stopped
        return None

    def bounds(self, signal: Signal, book: Book) -> Iterator[Bound]:
        """Yield how large the entry of ``signal`` may be."""
        self._look_at(book)
        for gate in self._bounds:
            bound = gate.bound(signal, book)
            if bound is not None:
                yield bound

    def rooms(self, book: Book) -> Sequence[Gate]:
        """Return those that look at the size that is left."""
        self._look_at(book)
        return self._rooms

    def _look_at(self, book: Book) -> None:
        if book.limits is not self._limits:
            self._limits = book.limits
            self._bounds = [gate for gate in self._bounding if _may_bound(gate, book)]
            self._rooms = [gate for gate in self._fitting if _may_bound(gate, book)]

    def uses(self, book: Book) -> tuple[LimitUse, ...]:
        """Return how much of each limit is used now."""
        return tuple(use for gate in self._gates if (use := gate.use(book)) is not None)

    def hear(self, message: Message) -> None:
        """Let each gate remember what matters to it of ``message``."""
        for gate in self._hearing.get(type(message), ()):
            gate.hear(message)

    def one(self, cls: type[G]) -> G:
        """Return the gate of class ``cls``."""
        return next(gate for gate in self._gates if isinstance(gate, cls))

    def save(self) -> dict[str, GateState]:
        """Return what each gate remembers."""
        return {_name(gate): state for gate in self._gates if isinstance(state := gate.save(), GateState)}

    def load(self, states: Mapping[str, object]) -> None:
        """Become what ``save`` saw; a gate of which nothing is known begins anew."""
        for gate in self._gates:
            state = states.get(_name(gate))
            if state is not None:
                gate.load(state)


def _may_bound(gate: Gate, book: Book) -> bool:
    return not isinstance(gate, Limit) or gate.setting in book.limits


def _name(gate: Gate) -> str:
    return next(iter(gate.names))
