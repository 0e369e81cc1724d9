"""The exchange's own hashing finds the signer of whatever the official SDK signs."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tradebot.devnet.recover import (
    RecoverableSignature,
    Unrecoverable,
    action_digest,
    l1_digest,
    pack,
    recover,
    user_digest,
)
from tradebot.devnet.schema import read_action, read_order_spec
from tradebot.devnet.wire import Malformed

KEY = "0x" + "0123456789" * 6 + "0123"
SIGNER = "0x14791697260e4c9a71f18484c9f997b308e59325"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
ORDER = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
ACTION = {"type": "order", "orders": [ORDER], "grouping": "na"}
NONCE, LATER = 1677777606040, 1677777706040


@pytest.mark.parametrize(
    ("vault", "expires", "digest"),
    [
        (None, None, "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"),
        (VAULT, None, "536c41c128a75dc08fb31e02008bcf08b79852616b34e855d514fa673d81955d"),
        (None, LATER, "b00416bab423ee7aa7e9231310caca0b3946b5b65a0bfcf082259c19043c6452"),
        (VAULT, LATER, "4e2b5fbd70f884de5c8f7c28d98a36ce30068931d1706172cdc36b50d8633381"),
    ],
)
def test_actions_are_hashed_as_the_exchange_does(vault: str | None, expires: int | None, digest: str) -> None:
    assert action_digest(read_action(ACTION), NONCE, vault, expires).hex() == digest


def test_form_does_not_count() -> None:
    loose = {
        "orders": [{"t": ORDER["t"], "c": None, "s": "0.01470", "p": "1670.10", "b": True, "a": 4}],
        "type": "order",
    }
    assert pack(read_action(loose)) == pack(read_action(ACTION))


def test_a_signature_of_63_digits_names_its_signer() -> None:
    signature = RecoverableSignature(
        0x54D5CC489D4FA822A2788ECBDFE19D8DD478B9373CF0024B19AEB8452DC15474,
        0xEEF26897CBA04C5670C683B27C3601DEB3189295A5670DDA0B7CB97EFE1B860,
        28,
    )
    digest = action_digest(read_action(ACTION), NONCE, None, None)
    assert recover(l1_digest(digest, "b"), signature) == SIGNER
    assert recover(l1_digest(digest, "a"), signature) != SIGNER


@pytest.mark.parametrize(
    "signature", [RecoverableSignature(0, 1, 27), RecoverableSignature(1, 0, 27), RecoverableSignature(1, 1, 29)]
)
def test_no_key_makes_an_impossible_signature(signature: RecoverableSignature) -> None:
    with pytest.raises(Unrecoverable):
        recover(b"\x01" * 32, signature)


def test_the_vectors_of_the_sdk_name_their_signer() -> None:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA is not set")
    cases = json.loads((Path(folder) / "vectors" / "hl_signing_python_sdk.json").read_text())["cases"]
    checked = 0
    for case in cases:
        signature = RecoverableSignature(int(case["r"], 16), int(case["s"], 16), case["v"]) if "r" in case else None
        if case.get("function") == "sign_l1_action" and signature is not None:
            _, action, vault, nonce, expires, is_mainnet = case["args"]
            digest = action_digest(_wired(action), nonce, vault, expires)
            assert recover(l1_digest(digest, "a" if is_mainnet else "b"), signature) == SIGNER
            checked += 1
        elif signature is not None:
            kind = "usdSend" if "usd" in case["function"] else "withdraw3"
            message = case["args"][1] | {"type": kind, "signatureChainId": "0x66eee"}
            assert recover(user_digest(message, "Testnet"), signature) == SIGNER
            checked += 1
    assert checked == 20


def _wired(action: dict[str, Any]) -> dict[str, Any]:
    if "order_requests" not in action:
        return action
    orders = []
    for one in action["order_requests"]:
        request, kind = one["request"], one["request"]["order_type"]
        if "trigger" in kind:
            woken = kind["trigger"]
            kind = {"trigger": woken | {"triggerPx": str(woken["triggerPx"])}}
        order = {"a": one["asset"], "b": request["is_buy"], "p": str(request["limit_px"]), "s": str(request["sz"])}
        orders.append(order | {"r": request["reduce_only"], "t": kind, "c": request["cloid"]})
    return read_action({"type": "order", "orders": orders, "grouping": "na"})


decimals = st.decimals(min_value=0, max_value=10**7, places=8, allow_nan=False).map(lambda one: f"{one:f}")
cloids = st.none() | st.integers(0, 2**128 - 1).map(lambda one: f"0x{one:032x}")
kinds = st.one_of(
    st.sampled_from(["Gtc", "Ioc", "Alo"]).map(lambda tif: {"limit": {"tif": tif}}),
    st.builds(
        lambda market, price, tpsl: {"trigger": {"isMarket": market, "triggerPx": price, "tpsl": tpsl}},
        st.booleans(),
        decimals,
        st.sampled_from(["tp", "sl"]),
    ),
)
orders = st.fixed_dictionaries(
    {"a": st.integers(0, 2**32), "b": st.booleans(), "p": decimals, "s": decimals, "r": st.booleans(), "t": kinds}
)
actions = st.one_of(
    st.builds(
        lambda rows, grouping: {"type": "order", "orders": rows, "grouping": grouping},
        st.lists(
            st.builds(lambda row, cloid: row if cloid is None else row | {"c": cloid}, orders, cloids), max_size=20
        ),
        st.sampled_from(["na", "normalTpsl", "positionTpsl"]),
    ),
    st.builds(
        lambda rows: {"type": "cancel", "cancels": rows},
        st.lists(st.fixed_dictionaries({"a": st.integers(0, 70_000), "o": st.integers(0, 2**63)}), max_size=20),
    ),
    st.builds(lambda time: {"type": "scheduleCancel", "time": time}, st.integers(1, 2**63)),
    st.builds(
        lambda asset, cross, leverage: {
            "type": "updateLeverage",
            "asset": asset,
            "isCross": cross,
            "leverage": leverage,
        },
        st.integers(0, 300),
        st.booleans(),
        st.integers(1, 50),
    ),
    st.builds(
        lambda ntli: {"type": "updateIsolatedMargin", "asset": 1, "isBuy": True, "ntli": ntli},
        st.integers(-(2**40), 2**40),
    ),
    st.just({"type": "noop"}),
)


@settings(max_examples=60, deadline=None)
@given(actions, st.integers(1, 2**53), st.none() | st.just(VAULT), st.none() | st.integers(1, 2**53))
def test_whatever_the_sdk_signs_names_its_signer(
    action: dict[str, Any], nonce: int, vault: str | None, expires: int | None
) -> None:
    pytest.importorskip("hyperliquid", reason="hyperliquid-python-sdk is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eth_account
        from hyperliquid.utils.signing import sign_l1_action

        canonical = read_action(action)
        signed = sign_l1_action(eth_account.Account.from_key(KEY), canonical, vault, nonce, expires, False)
    signature = RecoverableSignature(int(signed["r"], 16), int(signed["s"], 16), signed["v"])
    # What goes over the wire is what the client wrote, not its canonical form.
    digest = action_digest(read_action(json.loads(json.dumps(action))), nonce, vault, expires)
    assert recover(l1_digest(digest, "b"), signature) == SIGNER


@pytest.mark.parametrize(
    "change",
    [
        {"p": 1670.1},
        {"p": "1e3"},
        {"p": "-1"},
        {"p": "+1"},
        {"p": ""},
        {"p": "NaN"},
        {"p": "0.123456789"},
        {"s": None},
        {"a": -1},
        {"a": True},
        {"b": 1},
        {"c": "0x12"},
        {"t": {}},
        {"t": {"limit": {"tif": "Day"}}},
        {"t": {"trigger": {"isMarket": True, "triggerPx": "1"}}},
    ],
)
def test_what_does_not_fit_the_schema_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_action({"type": "order", "orders": [ORDER | change], "grouping": "na"})


@pytest.mark.parametrize("action", [{"type": "fly"}, ACTION | {"extra": 1}, {"type": "order"}, [], None])
def test_an_action_that_is_none_is_refused(action: object) -> None:
    with pytest.raises(Malformed):
        read_action(action)


def test_a_trigger_is_read_whole() -> None:
    kind = {"trigger": {"isMarket": True, "triggerPx": "2900", "tpsl": "sl"}}
    (wire,) = read_action({"type": "order", "orders": [ORDER | {"t": kind}]})["orders"]  # type: ignore[misc]
    spec = read_order_spec(wire)  # type: ignore[arg-type]
    assert (spec.is_market, spec.tpsl, f"{spec.trigger_px:f}", spec.tif) == (True, "sl", "2900", None)
