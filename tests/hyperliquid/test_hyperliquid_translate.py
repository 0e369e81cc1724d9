"""Every recorded reply reads; every mangled one reads too or is a named error that quotes it."""

import contextlib
import copy
import dataclasses
import gzip
import json
import os
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from tradebot.model.errors import Unreadable
from tradebot.model.order import Liquidity, OrderSide, RefusalClass
from tradebot.model.time import from_ms, parse_timeframe
from tradebot.model.venue import FilledNow, OrderBook, Phase, Refusal, Rests, Success, Unclear, Verdict, Waiting
from tradebot.venues.hyperliquid import access, account, market, translate
from tradebot.venues.hyperliquid.reading import Node, parse
from tradebot.venues.hyperliquid.replies import action_reply
from tradebot.venues.hyperliquid.statuses import phase_of, refusal_of, verdict_of
from tradebot.venues.submit import ActionReply

NOW = from_ms(1_737_918_843_000)
USER = "0x" + "ab" * 20
CLOID = "0x" + "01" * 16
OPEN_ROW = {
    "coin": "BTC",
    "side": "A",
    "limitPx": "95000.0",
    "sz": "0.5",
    "oid": 91490942,
    "timestamp": 1724361546645,
    "triggerCondition": "Price above 96000",
    "isTrigger": True,
    "triggerPx": "96000.0",
    "children": [],
    "isPositionTpsl": False,
    "reduceOnly": True,
    "orderType": "Take Profit Limit",
    "origSz": "0.5",
    "tif": None,
    "cloid": None,
}
PLAIN_ROW = {
    "coin": "BTC",
    "side": "B",
    "limitPx": "30000.0",
    "sz": "0.001",
    "oid": 7456484275,
    "timestamp": 1710163596492,
    "origSz": "0.002",
    "cloid": CLOID.upper().replace("0X", "0x"),
}
FILL_ROW = {
    "coin": "AVAX",
    "px": "18.435",
    "sz": "93.53",
    "side": "B",
    "time": 1681222254710,
    "startPosition": "-26.86",
    "dir": "Open Long",
    "closedPnl": "0.0",
    "hash": "0xa166",
    "oid": 90542681,
    "crossed": False,
    "fee": "-0.01",
    "tid": 118906512037719,
    "feeToken": "USDC",
    "twapId": None,
    "cloid": CLOID,
}
FUNDING = {"time": 1681222254710, "coin": "ETH", "usdc": "-3.625312", "szi": "49.1477", "fundingRate": "0.0000417"}
STATE = {
    "marginSummary": {
        "accountValue": "506.000025",
        "totalNtlPos": "1.0",
        "totalRawUsd": "-4.5",
        "totalMarginUsed": "4.9",
    },
    "crossMaintenanceMarginUsed": "0.0",
    "withdrawable": "13104.5",
    "assetPositions": [
        {
            "type": "oneWay",
            "position": {
                "coin": "ETH",
                "szi": "-0.0335",
                "leverage": {"type": "isolated", "value": 20, "rawUsd": "-95.059824"},
                "entryPx": "2986.3",
                "positionValue": "100.02765",
                "unrealizedPnl": "-0.0134",
                "returnOnEquity": "-0.0026789",
                "liquidationPx": None,
                "marginUsed": "4.967826",
                "maxLeverage": 50,
                "cumFunding": {"allTime": "514.08", "sinceOpen": "0.25", "sinceChange": "0.0"},
            },
        }
    ],
    "time": 1708622398623,
}
CANDLE = {
    "t": 1710131820000,
    "T": 1710131879999,
    "s": "BTC",
    "i": "1m",
    "o": "68670.0",
    "c": "68675.0",
    "h": "68680.0",
    "l": "68660.0",
    "v": "12.5",
    "n": 40,
}
CONTEXT = {"funding": "0.0000125", "openInterest": "1.0", "oraclePx": "99.5", "markPx": "100.0", "midPx": None}
META_AND_CONTEXTS = [
    {
        "universe": [
            {"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 56},
            {"szDecimals": 1, "name": "MATIC", "maxLeverage": 20, "isDelisted": True, "marginMode": "noCross"},
        ]
    },
    [CONTEXT, {**CONTEXT, "markPx": None}],
]
INFO: Mapping[str, tuple[Callable[[Node], object], object]] = {
    "openOrders": (account.open_orders, [PLAIN_ROW, OPEN_ROW]),
    "orderStatus": (
        account.order_status,
        {
            "status": "order",
            "order": {"order": OPEN_ROW, "status": "triggered", "statusTimestamp": 1724361546645},
        },
    ),
    "historicalOrders": (
        account.order_records,
        [{"order": PLAIN_ROW, "status": "canceled", "statusTimestamp": 1724361546645}],
    ),
    "userFills": (account.fills, [FILL_ROW]),
    "clearinghouseState": (account.account_state, STATE),
    "spotClearinghouseState": (
        account.spot_collateral,
        {"balances": [{"coin": "USDC", "token": 0, "total": "14.6", "hold": "0.0", "entryNtl": "0.0"}]},
    ),
    "userFunding": (
        account.fundings,
        [{"time": 1681222254710, "hash": "0x0", "delta": {"type": "funding", **FUNDING, "nSamples": None}}],
    ),
    "userRateLimit": (
        account.address_budget,
        {"cumVlm": "2854574.5", "nRequestsUsed": 2890, "nRequestsCap": 2864574, "nRequestsSurplus": 0},
    ),
    "userRole": (access.role, {"role": "agent", "data": {"user": USER}}),
    "extraAgents": (access.agents, [{"name": "bot", "address": USER, "validUntil": 1724361546645}]),
    "metaAndAssetCtxs": (market.asset_contexts, META_AND_CONTEXTS),
    "l2Book": (
        market.book,
        {
            "coin": "BTC",
            "time": 1710131872708,
            "levels": [[{"px": "68674.0", "sz": "0.97139", "n": 4}], [{"px": "68675.0", "sz": "0.04396", "n": 1}]],
        },
    ),
    "candleSnapshot": (lambda reply: market.candles(reply, NOW), [CANDLE]),
    "exchangeStatus": (market.venue_time, {"time": 1681222254710, "specialStatuses": None}),
    "order": (
        lambda reply: action_reply(reply, 4),
        {
            "status": "ok",
            "response": {
                "type": "order",
                "data": {
                    "statuses": [
                        {"resting": {"oid": 77738308}},
                        {"filled": {"totalSz": "0.02", "avgPx": "1891.4", "oid": 77747314}},
                        {"error": "Invalid TP/SL price. asset=4"},
                        "waitingForFill",
                    ]
                },
            },
        },
    ),
    "refusal": (action_reply, {"status": "err", "response": "Action already expired"}),
}
FRAMES: Mapping[str, object] = {
    "subscriptionResponse": {
        "method": "subscribe",
        "subscription": {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None, "fast": False},
    },
    "error": 'Already subscribed: {"type":"allMids"}',
    "pong": None,
    "bbo": {
        "coin": "BTC",
        "time": 1710131872708,
        "bbo": [{"px": "68674.0", "sz": "0.97139", "n": 4}, {"px": "68675.0", "sz": "0.04396", "n": 1}],
    },
    "l2Book": INFO["l2Book"][1],
    "trades": [
        {
            "coin": "BTC",
            "side": "B",
            "px": "68675.0",
            "sz": "0.01",
            "hash": "0x",
            "time": 1710131872708,
            "tid": 118906512037719,
            "users": [USER, USER],
        }
    ],
    "candle": CANDLE,
    "activeAssetCtx": {"coin": "BTC", "ctx": CONTEXT},
    "orderUpdates": INFO["historicalOrders"][1],
    "userFills": {"isSnapshot": True, "user": USER, "fills": [FILL_ROW]},
    "userFundings": {"isSnapshot": True, "user": USER, "fundings": [FUNDING]},
    "user": {"nonUserCancel": [{"coin": "ETH", "oid": 12345}]},
    "notification": {"notification": "text"},
}


def read_info(name: str, body: object) -> object:
    return INFO[name][0](parse(orjson.dumps(body)))


def read_frame(channel: str, data: object) -> object:
    return translate.frame(orjson.dumps({"channel": channel, "data": data}))


def recorded() -> list[dict[str, Any]]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if folder is None:
        pytest.skip("TRADEBOT_TEST_DATA names no folder with the recorded replies")
    return list(json.loads((Path(folder) / "vectors/hl_info_cassettes.json").read_text()))


def numbers(value: object) -> Iterator[Decimal]:
    if isinstance(value, Decimal):
        yield value
    elif isinstance(value, Struct) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        for name in get_type_hints(type(value)).keys() - {"kind"}:
            yield from numbers(getattr(value, name))
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from numbers(member)
    elif isinstance(value, (tuple, list)):
        for member in value:
            yield from numbers(member)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, member in value.items():
            found += places(member, (*path, key))
    elif isinstance(value, list):
        for index, member in enumerate(value[:3]):
            found += places(member, (*path, index))
    return found


DROP = object()
MANGLED: tuple[object, ...] = (
    DROP,
    None,
    True,
    "",
    "NaN",
    "Infinity",
    "-1",
    "1e400",
    "9" * 60,
    "0.0",
    "0x",
    -1,
    1.5,
    2**62,
    2**70,
    [],
    {},
    [[]],
    {"px": "1"},
    "unheardOf",
    "\u0660\u0661",
)


@st.composite
def mangled(draw: st.DrawFn, bodies: Mapping[str, object]) -> tuple[str, object]:
    name = draw(st.sampled_from(sorted(bodies)))
    body = {"it": copy.deepcopy(bodies[name])}
    for _ in range(draw(st.integers(1, 3))):
        spots = places(body)
        if not spots:
            break
        *path, last = draw(st.sampled_from(spots))
        holder: Any = body
        for step in path:
            holder = holder[step]
        value = draw(st.sampled_from(MANGLED))
        if value is DROP:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(value)
    return name, body.get("it")


def reads_or_says_why(read: Callable[[], object], body: object) -> None:
    try:
        result = read()
    except Unreadable as error:
        said = error.what.partition("the venue said: ")[2]
    else:
        said = None
        assert all(number.is_finite() and abs(number) < 10**17 for number in numbers(result))
    assert said is None or said[:20] in (body if isinstance(body, str) else orjson.dumps(body).decode())


@given(mangled({name: body for name, (_, body) in INFO.items()}))
def test_a_mangled_reply_reads_or_is_a_named_error(case: tuple[str, object]) -> None:
    name, body = case
    try:
        text = orjson.dumps(body)
    except orjson.JSONEncodeError:
        text = json.dumps(body).encode()
    reads_or_says_why(lambda: INFO[name][0](parse(text)), orjson.loads(text))


@given(mangled(FRAMES))
def test_a_mangled_frame_reads_or_is_a_named_error(case: tuple[str, object]) -> None:
    channel, data = case
    body = {"channel": channel, "data": data}
    reads_or_says_why(lambda: translate.frame(json.dumps(body).encode()), orjson.loads(json.dumps(body)))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_are_a_named_error(body: bytes) -> None:
    with contextlib.suppress(Unreadable):
        translate.frame(body)


@given(st.data())
def test_recorded_replies_stay_readable_or_named_when_mangled(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([one for one in recorded() if one["request"]["type"] in RECORDED]))
    reader = RECORDED[case["request"]["type"]]
    _, body = data.draw(mangled({"it": case["response"]}))
    text = json.dumps(body).encode()
    reads_or_says_why(lambda: reader(parse(text)), orjson.loads(text))


RECORDED: Mapping[str, Callable[[Node], object]] = {
    "meta": market.assets,
    "candleSnapshot": lambda reply: market.candles(reply, NOW),
    "l2Book": market.book,
    "openOrders": account.open_orders,
    "clearinghouseState": account.account_state,
    "userRateLimit": account.address_budget,
    "userFills": account.fills,
}


def test_every_recorded_reply_reads() -> None:
    for case in recorded():
        kind, body = case["request"]["type"], parse(orjson.dumps(case["response"]))
        if kind not in RECORDED:
            continue
        if kind == "userFills":
            # In 2023 fills had no trade id; without one they cannot be told apart, so they must not read.
            with pytest.raises(Unreadable, match="has no 'tid'"):
                account.fills(body)
            continue
        assert RECORDED[kind](body) is not None


def test_recorded_frames_of_the_socket_read() -> None:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if folder is None:
        pytest.skip("TRADEBOT_TEST_DATA names no folder with the recorded frames")
    seen: dict[str, int] = {}
    with gzip.open(Path(folder) / "ticks/hl_BTC_20250126_ws_raw.jsonl.gz", "rb") as lines:
        for line in lines:
            said = translate.frame(line.split(b" ", 1)[1])
            seen[type(said).__name__] = seen.get(type(said).__name__, 0) + 1
            if isinstance(said, OrderBook):
                assert len(said.bids) == 20
    assert seen.keys() == {"OrderBook", "Printed"}


def test_an_order_is_read_in_all_its_shapes() -> None:
    plain, trigger = account.open_orders(parse(orjson.dumps([PLAIN_ROW, OPEN_ROW])))
    assert (plain.side, plain.qty, plain.original_qty) == (OrderSide.BUY, Decimal("0.001"), Decimal("0.002"))
    assert plain.cloid == CLOID
    assert plain.trigger is None
    assert (trigger.trigger, trigger.reduce_only, trigger.cloid) == (Decimal(96000), True, None)


def test_a_fill_is_read_with_its_sign_of_fee_and_position() -> None:
    (fill,) = account.fills(parse(orjson.dumps([FILL_ROW])))
    assert (fill.fee, fill.start_position, fill.liquidity) == (Decimal("-0.01"), Decimal("-26.86"), Liquidity.MAKER)
    report = fill.report("a-AVAX-1-entry")
    assert report.trade_id == "118906512037719-90542681"
    assert report.client_order_id == "a-AVAX-1-entry"


def test_a_fee_in_another_coin_is_refused() -> None:
    with pytest.raises(Unreadable, match="feeToken is not USDC"):
        read_info("userFills", [FILL_ROW | {"feeToken": "HYPE"}])


def test_an_account_state_without_a_stamp_proves_no_time() -> None:
    state = account.account_state(parse(orjson.dumps(STATE)))
    assert state.ts_event == from_ms(1708622398623)
    assert state.positions[0].qty == Decimal("-0.0335")
    assert state.positions[0].funding == Decimal("-0.25")
    old = {key: value for key, value in STATE.items() if key != "time"}
    assert account.account_state(parse(orjson.dumps(old))).ts_event is None


def test_only_closed_bars_come_from_a_snapshot() -> None:
    closed, forming = CANDLE, CANDLE | {"t": CANDLE["T"] + 1, "T": CANDLE["T"] + 60_000}
    bars = market.candles(parse(orjson.dumps([closed, forming])), from_ms(1710131880000))
    assert [bar.ts_event for bar in bars] == [from_ms(1710131880000)]
    assert bars[0].timeframe == parse_timeframe("1m")


def test_a_bar_that_contradicts_itself_is_refused() -> None:
    for wrong in ({"h": "1.0"}, {"T": CANDLE["t"]}, {"i": "1M"}, {"v": "-1"}):
        with pytest.raises(Unreadable):
            read_frame("candle", CANDLE | wrong)


def test_a_delisted_asset_keeps_its_place_and_needs_no_price() -> None:
    assets, contexts = market.asset_contexts(parse(orjson.dumps(META_AND_CONTEXTS)))
    assert [(asset.symbol, asset.id, asset.is_delisted, asset.only_isolated) for asset in assets] == [
        ("BTC", 0, False, False),
        ("MATIC", 1, True, True),
    ]
    assert contexts[1] is None


def test_a_name_at_two_places_of_the_universe_is_refused() -> None:
    universe = [{"szDecimals": 5, "name": "BTC", "maxLeverage": 40}] * 2
    with pytest.raises(Unreadable, match="twice"):
        market.assets(Node({"universe": universe}, None, "reply"))


def test_orders_answer_one_by_one() -> None:
    reply = read_info("order", INFO["order"][1])
    assert reply == ActionReply(
        (
            Rests("77738308"),
            FilledNow("77747314", Decimal("0.02"), Decimal("1891.4")),
            Refusal("Invalid TP/SL price. asset=4", Verdict.REJECTED),
            Waiting(),
        )
    )


def statuses(*rows: object) -> Node:
    return parse(orjson.dumps({"status": "ok", "response": {"type": "order", "data": {"statuses": rows}}}))


def test_one_error_for_a_batch_counts_for_each_of_its_orders() -> None:
    reply = action_reply(statuses({"error": "Order has invalid price."}), 3)
    assert reply.legs == (Refusal("Order has invalid price.", Verdict.REJECTED),) * 3


def test_fewer_statuses_than_orders_are_unreadable() -> None:
    with pytest.raises(Unreadable, match="1 statuses for 2"):
        action_reply(statuses({"resting": {"oid": 1}}), 2)


def test_a_status_we_do_not_know_proves_nothing() -> None:
    assert action_reply(statuses({"queued": {}}), 1).legs == (Unclear("{'queued': {}}"),)
    assert action_reply(statuses("success"), 1).legs == (Success(),)
    assert action_reply(statuses({"error": "A brand-new reason"}), 1).legs == (
        Refusal("A brand-new reason", Verdict.UNKNOWN),
    )


WORDS = {
    Phase.LIVE: "open triggered",
    Phase.FILLED: "filled",
    Phase.CANCELED: "canceled marginCanceled vaultWithdrawalCanceled openInterestCapCanceled selfTradeCanceled "
    "reduceOnlyCanceled siblingFilledCanceled delistedCanceled liquidatedCanceled outcomeSettledCanceled "
    "scheduledCancel internalCancel",
    Phase.REJECTED: "rejected tickRejected minTradeNtlRejected perpMarginRejected reduceOnlyRejected "
    "badAloPxRejected iocCancelRejected badTriggerPxRejected marketOrderNoLiquidityRejected "
    "positionIncreaseAtOpenInterestCapRejected positionFlipAtOpenInterestCapRejected "
    "tooAggressiveAtOpenInterestCapRejected openInterestIncreaseRejected insufficientSpotBalanceRejected "
    "oracleRejected perpMaxPositionRejected tooManyOpenOrdersRejected someNewRejected",
    Phase.UNKNOWN: "pending Filled unfilled cancel reject openish",
}


@pytest.mark.parametrize(("phase", "words"), WORDS.items())
def test_status_words_read_by_their_family_and_others_are_unknown(phase: Phase, words: str) -> None:
    assert {phase_of(word) for word in words.split()} == {phase}


@given(st.text())
def test_a_text_nobody_wrote_down_is_unknown_not_a_rejection(text: str) -> None:
    assert verdict_of("zz" + text) is Verdict.UNKNOWN
    assert phase_of("zz " + text) is Phase.UNKNOWN


def test_the_venues_refusals_are_told_apart() -> None:
    texts = {
        "Invalid nonce: duplicate nonce 1741107452532": Verdict.DUPLICATE,
        "Action already expired": Verdict.EXPIRED,
        f"User or API Wallet {USER} does not exist.": Verdict.NOT_PERMITTED,
        f"L1 error: User or API Wallet {USER} does not exist.": Verdict.NOT_PERMITTED,
        "Too many cumulative requests sent (97460 > 97456) for cumulative volume": Verdict.BUDGET,
        "Order was never placed, already canceled, or filled. asset=4": Verdict.GONE,
        "Order must have minimum value of $10. asset=4": Verdict.REJECTED,
    }
    assert {text: verdict_of(text) for text in texts} == texts


KINDS = {
    RefusalClass.PASSING: (
        "Insufficient margin to place order. asset=0",
        "Order price cannot be more than 80% away from the reference price",
        "Too many cumulative requests sent (2 > 1) for cumulative volume",
        "No liquidity available for market order.",
        "Order price too far from oracle",
        "Reduce only order would increase position. asset=1",
        "Invalid nonce: nonce too low",
        "iocCancelRejected",
        "someNewRejected",
        "A brand-new reason",
    ),
    RefusalClass.TRIGGERED: ("Invalid TP/SL price. asset=4", "badTriggerPxRejected"),
    RefusalClass.TOO_LARGE: ("Order value too large. Max is $5000000.", "perpMaxPositionRejected"),
    RefusalClass.TOO_SMALL: ("Order must have minimum value of $10. asset=4", "minTradeNtlRejected"),
    RefusalClass.OFF_TICK: (
        "Price must be divisible by tick size. asset=4",
        "Order has invalid price.",
        "tickRejected",
    ),
    RefusalClass.OFF_GRID: ("Order has invalid size.", "Order has zero size."),
    RefusalClass.NOT_TRADED: ("Placing trigger orders is not enabled for this asset",),
    RefusalClass.KEY: (
        f"User or API Wallet {USER} does not exist.",
        f"L1 error: User or API Wallet {USER} does not exist.",
        f"Must deposit before performing actions. User: {USER}",
        "Unable to recover signer",
        "Agent valid_until already expired.",
    ),
}


@pytest.mark.parametrize(("kind", "words"), KINDS.items())
def test_a_refusal_says_what_the_next_order_may_be(kind: RefusalClass, words: tuple[str, ...]) -> None:
    assert {refusal_of(word) for word in words} == {kind}
    assert kind.is_lasting is (kind is not RefusalClass.PASSING)


def test_frames_say_what_they_are() -> None:
    assert read_frame("pong", None) == translate.Pong()
    assert read_frame("subscriptionResponse", FRAMES["subscriptionResponse"]) == translate.Subscribed(
        "l2Book:BTC", True
    )
    assert read_frame("notification", {}) == translate.Ignored("notification")
    assert read_frame("user", FRAMES["user"]) == translate.CanceledByVenue((("ETH", 12345),))
    one_sided = {"coin": "BTC", "time": 1710131872708, "bbo": [None, {"px": "1", "sz": "1", "n": 1}]}
    assert read_frame("bbo", one_sided) == translate.Quoted("BTC", None)
    snapshot = read_frame("userFills", FRAMES["userFills"])
    assert isinstance(snapshot, translate.Filled)
    assert snapshot.is_snapshot
