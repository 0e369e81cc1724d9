"""Every message, by its kind. Inputs are the truth; all others are recomputed from them."""

from collections.abc import Mapping

from tradebot.model.breaker import BreakerChanged
from tradebot.model.command import Alert, Command, CommandDone, Heartbeat, StateChanged, Tick
from tradebot.model.instrument import InstrumentSeen
from tradebot.model.market import Bar, BarsClosed, Disorder, Gap, Message, PricesSeen, Quote, Trade
from tradebot.model.order import (
    ActionsLeft,
    CancelOrder,
    Fill,
    FillDisputed,
    FillReport,
    FillSettled,
    OrderAccepted,
    OrderCanceled,
    OrderDone,
    OrderFound,
    OrderRejected,
    StopFaulted,
    SubmitOrders,
    TradingPermitted,
)
from tradebot.model.position import Deposit, EquityMark, FundingPaid, PositionChanged, ResidualSeen, RoundTrip
from tradebot.model.signal import Approved, Refused, Signal, StrategyDisabled

MARKET: tuple[type[Message], ...] = (Bar, Trade, Quote)
INPUTS: tuple[type[Message], ...] = (
    *MARKET,
    PricesSeen,
    Command,
    Heartbeat,
    Tick,
    Deposit,
    ResidualSeen,
    OrderFound,
    FillSettled,
    StopFaulted,
    ActionsLeft,
    TradingPermitted,
    InstrumentSeen,
)
VENUE_REPORTS: tuple[type[Message], ...] = (OrderAccepted, OrderRejected, OrderCanceled, FillReport, FundingPaid)
"""Outputs of the simulated venue, inputs from a real one."""

OUTPUTS: tuple[type[Message], ...] = (
    Gap,
    Disorder,
    BarsClosed,
    Signal,
    Approved,
    Refused,
    StrategyDisabled,
    SubmitOrders,
    CancelOrder,
    Fill,
    FillDisputed,
    OrderDone,
    PositionChanged,
    RoundTrip,
    EquityMark,
    BreakerChanged,
    StateChanged,
    CommandDone,
    Alert,
)
KINDS: Mapping[str, type[Message]] = {cls.kind: cls for cls in (*INPUTS, *VENUE_REPORTS, *OUTPUTS)}
