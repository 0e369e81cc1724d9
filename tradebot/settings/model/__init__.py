"""The configuration as pydantic models: each key with its type, range, unit and default.

Numbers that become money are ``Decimal``, read from their text. The models know one key at a time; what
must fit together is checked in ``check``.
"""

from tradebot.settings.model.exits import (
    AtrStopSettings,
    AtrTrailSettings,
    BreakEvenSettings,
    DistanceStopSettings,
    DistanceTrailSettings,
    PercentStopSettings,
    Stop,
    StructureTrailSettings,
    Trail,
)
from tradebot.settings.model.feeds import (
    ADDRESS_PATTERN,
    GeneratedFeedSettings,
    HyperliquidFeedSettings,
    LiveFeedSettings,
    ReplayFeedSettings,
)
from tradebot.settings.model.fields import SYMBOL_PATTERN, place_of
from tradebot.settings.model.risk import RiskSettings
from tradebot.settings.model.sizes import EquityFractionSize, NotionalSize, QtySize, RiskFractionSize, ScaleSettings
from tradebot.settings.model.strategies import StrategySettings
from tradebot.settings.model.venues import (
    HyperliquidVenueSettings,
    InstrumentSettings,
    RealVenueSettings,
    SimulatedVenueSettings,
)
from tradebot.settings.model.whole import LogSettings, Settings, StoreSettings, canonical

__all__ = [
    "ADDRESS_PATTERN",
    "SYMBOL_PATTERN",
    "AtrStopSettings",
    "AtrTrailSettings",
    "BreakEvenSettings",
    "DistanceStopSettings",
    "DistanceTrailSettings",
    "EquityFractionSize",
    "GeneratedFeedSettings",
    "HyperliquidFeedSettings",
    "HyperliquidVenueSettings",
    "InstrumentSettings",
    "LiveFeedSettings",
    "LogSettings",
    "NotionalSize",
    "PercentStopSettings",
    "QtySize",
    "RealVenueSettings",
    "ReplayFeedSettings",
    "RiskFractionSize",
    "RiskSettings",
    "ScaleSettings",
    "Settings",
    "SimulatedVenueSettings",
    "Stop",
    "StoreSettings",
    "StrategySettings",
    "StructureTrailSettings",
    "Trail",
    "canonical",
    "place_of",
]
