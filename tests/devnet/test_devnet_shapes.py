"""Answers and frames have the keys and types of recorded ones."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

# What recordings of 2023 have no word for yet, or have no more, by the documented shapes of today.
NEWER = frozenset(
    [
        "cloid",
        "origSz",
        "reduceOnly",
        "tid",
        "feeToken",
        "twapId",
        "builderFee",
        "cumFunding",
        "maxLeverage",
        "time",
        "crossMaintenanceMarginUsed",
        "marginTableId",
        "marginTables",
        "collateralToken",
        "nRequestsSurplus",
    ]
)
OLDER = {"maxTradeSzs"}


def recorded() -> list[dict[str, Any]]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA is not set")
    return list(json.loads((Path(folder) / "vectors" / "hl_info_cassettes.json").read_text()))


def frames() -> list[dict[str, Any]]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA is not set")
    with gzip.open(Path(folder) / "ticks" / "hl_BTC_20250126_ws_raw.jsonl.gz", "rt") as file:
        return [json.loads(line.partition(" ")[2]) for line in file]


@pytest.fixture
def traded(devnet: Any) -> Any:
    """A devnet whose account has a position, a fill and an open order."""
    devnet.do(lambda: _trade(devnet))
    return devnet


def test_answers_have_the_keys_and_types_of_recorded_ones(traded: Any) -> None:
    compared = set()
    for case in recorded():
        request, real = case["request"], case["response"]
        kind = request["type"]
        ours = traded.do(lambda request=request: traded.net.server.info.answer(_ours(request, traded.user)))
        assert real
        assert ours
        compare(kind, json.loads(json.dumps(ours)), real)
        compared.add(kind)
    assert compared == {
        *(
            "allMids",
            "meta",
            "candleSnapshot",
            "l2Book",
            "openOrders",
            "userFills",
            "clearinghouseState",
            "userRateLimit",
        )
    }


def test_frames_have_the_keys_and_types_of_recorded_ones(traded: Any) -> None:
    real = {frame["channel"]: frame for frame in frames()}
    channels = traded.net.server.hub._channels
    for kind in ("l2Book", "trades"):
        subscription = channels.read({"type": kind, "coin": "BTC"})
        traded.do(traded.net.step)
        compare(kind, json.loads(json.dumps(channels.begin(subscription))), real[kind])


def compare(where: str, ours: Any, real: Any) -> None:
    """Fail unless ``ours`` is of the shape of ``real``."""
    if ours is None or real is None:
        return
    assert type(ours) is type(real), where
    if isinstance(real, list):
        if real and ours:
            for row in ours[:3]:
                compare(f"{where}[]", row, real[0])
    elif isinstance(real, dict):
        if where == "allMids":
            assert all(isinstance(value, str) for value in ours.values())
            return
        assert set(real) - OLDER <= set(ours), where
        assert set(ours) - set(real) <= NEWER, where
        for key in set(real) - OLDER:
            compare(f"{where}.{key}", ours[key], real[key])
    elif isinstance(real, str):
        assert _is_number(ours) == _is_number(real), where
        if _is_number(real):
            assert ("." in ours) == ("." in real), f"{where}: {ours} {real}"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit()


def _ours(request: dict[str, Any], user: str) -> dict[str, Any]:
    changed = dict(request)
    if "user" in changed:
        changed["user"] = user
    if "coin" in changed:
        changed["coin"] = "BTC"
    if "req" in changed:
        changed["req"] = changed["req"] | {"coin": "BTC", "interval": "1h", "startTime": 0, "endTime": 1 << 60}
    return changed


def _trade(devnet: Any) -> None:
    from decimal import Decimal

    from tradebot.devnet.schema import OrderSpec

    desk = devnet.net.exchange.desks[devnet.user]
    mark = devnet.mark("BTC")
    size = Decimal("0.01")
    for px, tif in ((mark + 500, "Ioc"), (mark - 5000, "Gtc")):
        desk.place([OrderSpec(asset=0, is_buy=True, px=px, sz=size, reduce_only=False, tif=tif)], "na")
