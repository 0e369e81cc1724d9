"""What a result rests on that no bar says: costs, latency and funding, from the configuration in force."""

import tomllib
from decimal import Decimal

import orjson

from tradebot.report.shapes import Document
from tradebot.settings.model import Settings, SimulatedVenueSettings


def assumptions(settings: Settings) -> Document:
    """Return the ``assumptions`` of a report. At a real venue nothing is assumed: costs are those it booked."""
    venue = settings.venue
    if not isinstance(venue, SimulatedVenueSettings):
        return {"venue": venue.kind, "network": venue.network, "is_simulated": False}
    return {
        "venue": venue.kind,
        "network": None,
        "is_simulated": True,
        "taker_bps": float(venue.taker_bps),
        "maker_bps": float(venue.maker_bps),
        "slippage_bps": float(venue.slippage_bps),
        "latency_ms": venue.latency_ms,
        "volume_share": None if venue.volume_share is None else float(venue.volume_share),
        "leverage": venue.leverage,
        "maintenance": float(venue.maintenance),
        "funding_rate": float(venue.funding_rate),
        "funding": {file.symbol: file.path.name for file in venue.funding_files},
    }


def recorded_assumptions(payload: bytes) -> Document | None:
    """Return those of a configuration as the journal has it; ``None`` for one of another version."""
    try:
        tables = tomllib.loads(orjson.loads(payload)["settings"], parse_float=Decimal)
        return assumptions(Settings.model_validate(tables))
    except ValueError:
        return None
