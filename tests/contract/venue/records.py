"""What venues of our making can do: one for each way in which an order is kept from existing twice."""

from decimal import Decimal

from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.model.venue import Capabilities

REFUSED_ID = Capabilities(
    has_client_ids=True,
    id_memory_s=300.0,
    in_flight_s=30.0,
    lag_s=3.0,
    has_batch=True,
    bracket_targets=1,
    has_reduce_only=True,
    has_resting_stops=True,
    trigger_by=frozenset({"last"}),
    has_private_stream=True,
    history_bars=500,
    bar_grace=Nanos(NANOS_PER_S),
    maker_fee_bps=Decimal(2),
    taker_fee_bps=Decimal(5),
    funding_hours=None,
)
"""Repeated client order ids are refused for five minutes, and a bracket goes as one."""

PROVEN_ABSENCE = Capabilities(
    has_client_ids=True,
    in_flight_s=10.0,
    lag_s=3.0,
    has_reduce_only=True,
    has_resting_stops=True,
    trigger_by=frozenset({"last"}),
    has_private_stream=True,
    history_bars=500,
    bar_grace=Nanos(NANOS_PER_S),
    maker_fee_bps=Decimal(2),
    taker_fee_bps=Decimal(5),
    funding_hours=None,
)
"""A request with an id that was had is a second order, and exits cannot go with their entry."""
