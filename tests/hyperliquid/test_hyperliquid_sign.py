"""Our signatures are those of the official SDK, on its own vectors and on anything we may send."""

import inspect
import json
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.devnet.recover import USER_SIGNED
from tradebot.model.errors import InvariantError, NotPermitted
from tradebot.venues.hyperliquid import sign
from tradebot.venues.hyperliquid.keys import SigningKey, read_key
from tradebot.venues.hyperliquid.sign import (
    ALLOWED_ACTIONS,
    ActionSigner,
    Keccak,
    Signature,
    connection_id,
    keccak256,
    l1_digest,
)

SECRET = "0x0123456789012345678901234567890123456789012345678901234567890123"
ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
ORDER: dict[str, object] = {
    "type": "order",
    "orders": [{"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}],
    "grouping": "na",
}
NONCE = 1677777606040


def key(secret: str = SECRET) -> SigningKey:
    return SigningKey(bytes.fromhex(secret.removeprefix("0x")))


def sdk() -> Any:
    return pytest.importorskip("hyperliquid.utils.signing", reason="the official SDK is not installed")


def wallet(secret: str = SECRET) -> Any:
    return pytest.importorskip("eth_account", reason="eth-account is not installed").Account.from_key(secret)


def vectors() -> list[dict[str, Any]]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if folder is None:
        pytest.skip("TRADEBOT_TEST_DATA names no folder with the recorded vectors")
    return list(json.loads((Path(folder) / "vectors/hl_signing_python_sdk.json").read_text())["cases"])


def wire_order(asset: int, request: Mapping[str, Any]) -> dict[str, object]:
    kind = dict(request["order_type"])
    if "trigger" in kind:
        trigger = kind["trigger"]
        kind = {
            "trigger": {
                "isMarket": trigger["isMarket"],
                "triggerPx": str(trigger["triggerPx"]),
                "tpsl": trigger["tpsl"],
            }
        }
    wire = {
        "a": asset,
        "b": request["is_buy"],
        "p": str(request["limit_px"]),
        "s": str(request["sz"]),
        "r": request["reduce_only"],
        "t": kind,
    }
    return wire | ({"c": request["cloid"]} if request["cloid"] else {})


def vector_action(action: Mapping[str, Any]) -> dict[str, object]:
    if "order_requests" not in action:
        return dict(action)
    orders = [wire_order(each["asset"], each["request"]) for each in action["order_requests"]]
    return {"type": "order", "orders": orders, "grouping": "na"}


def test_every_vector_of_the_sdk_signs_to_the_same_digits() -> None:
    seen = 0
    for case in vectors():
        function = case.get("function")
        if function != "sign_l1_action":
            continue
        secret, action, vault, nonce, expires_after, is_mainnet = case["args"]
        digest = l1_digest(
            vector_action(action), nonce, vault=vault, expires_after=expires_after, is_mainnet=is_mainnet
        )
        expected = {"r": case["r"], "s": case["s"], "v": case["v"]}
        assert key(secret).sign_digest(digest).wire() == expected, case["test"]
        seen += 1
    assert seen >= 14


@pytest.mark.parametrize(
    ("vault", "expires_after", "expected"),
    [
        (None, None, "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"),
        (VAULT, None, "536c41c128a75dc08fb31e02008bcf08b79852616b34e855d514fa673d81955d"),
        (None, 1677777706040, "b00416bab423ee7aa7e9231310caca0b3946b5b65a0bfcf082259c19043c6452"),
        (VAULT, 1677777706040, "4e2b5fbd70f884de5c8f7c28d98a36ce30068931d1706172cdc36b50d8633381"),
    ],
)
def test_a_connection_id_covers_vault_and_expiry(vault: str | None, expires_after: int | None, expected: str) -> None:
    assert connection_id(ORDER, NONCE, vault, expires_after).hex() == expected


def test_a_short_s_is_written_without_padding_as_the_sdk_does() -> None:
    signature = ActionSigner(key(), is_mainnet=False).sign(ORDER, NONCE)
    assert signature.wire()["s"] == "0xeef26897cba04c5670c683b27c3601deb3189295a5670dda0b7cb97efe1b860"


decimals = st.from_regex(r"[1-9][0-9]{0,5}(\.[0-9]{0,4}[1-9])?", fullmatch=True)
kinds = st.one_of(
    st.fixed_dictionaries({"limit": st.fixed_dictionaries({"tif": st.sampled_from(["Gtc", "Ioc", "Alo"])})}),
    st.fixed_dictionaries(
        {
            "trigger": st.fixed_dictionaries(
                {"isMarket": st.booleans(), "triggerPx": decimals, "tpsl": st.sampled_from(["tp", "sl"])}
            )
        }
    ),
)
cloids = st.binary(min_size=16, max_size=16).map(lambda raw: "0x" + raw.hex())
assets = st.integers(0, 120_000)
oids = st.one_of(st.integers(0, 2**50), cloids)
plain_orders = st.fixed_dictionaries(
    {"a": assets, "b": st.booleans(), "p": decimals, "s": decimals, "r": st.booleans(), "t": kinds}
)
orders = st.builds(
    lambda order, cloid: order | ({} if cloid is None else {"c": cloid}), plain_orders, st.none() | cloids
)
actions = st.one_of(
    st.builds(
        lambda legs, grouping: {"type": "order", "orders": legs, "grouping": grouping},
        st.lists(orders, min_size=1, max_size=20),
        st.sampled_from(["na", "normalTpsl", "positionTpsl"]),
    ),
    st.builds(
        lambda rows: {"type": "cancel", "cancels": rows},
        st.lists(st.fixed_dictionaries({"a": assets, "o": st.integers(0, 2**50)}), max_size=20),
    ),
    st.builds(
        lambda rows: {"type": "cancelByCloid", "cancels": rows},
        st.lists(st.fixed_dictionaries({"asset": assets, "cloid": cloids}), max_size=20),
    ),
    st.builds(lambda oid, order: {"type": "modify", "oid": oid, "order": order}, oids, orders),
    st.builds(
        lambda rows: {"type": "batchModify", "modifies": rows},
        st.lists(st.fixed_dictionaries({"oid": oids, "order": orders}), max_size=5),
    ),
    st.builds(
        lambda asset, cross, leverage: {
            "type": "updateLeverage",
            "asset": asset,
            "isCross": cross,
            "leverage": leverage,
        },
        assets,
        st.booleans(),
        st.integers(1, 50),
    ),
    st.builds(
        lambda asset, ntli: {"type": "updateIsolatedMargin", "asset": asset, "isBuy": True, "ntli": ntli},
        assets,
        st.integers(-(10**12), 10**12),
    ),
    st.builds(lambda time: {"type": "scheduleCancel", "time": time}, st.integers(0, 2**45)),
    st.sampled_from([{"type": "noop"}, {"type": "scheduleCancel"}]),
)


@given(
    action=actions,
    secret=st.integers(1, 2**252).map(lambda number: f"0x{number:064x}"),
    nonce=st.integers(0, 2**63),
    vault=st.none() | st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    expires_after=st.none() | st.integers(0, 2**63),
    is_mainnet=st.booleans(),
)
def test_any_action_signs_as_the_sdk_signs_it(
    action: dict[str, object], secret: str, nonce: int, vault: str | None, expires_after: int | None, is_mainnet: bool
) -> None:
    expected = sdk().sign_l1_action(wallet(secret), action, vault, nonce, expires_after, is_mainnet)
    signer = ActionSigner(key(secret), is_mainnet=is_mainnet)
    assert signer.sign(action, nonce, vault=vault, expires_after=expires_after).wire() == expected
    assert signer.address == wallet(secret).address.lower()


# Every other action of the exchange's protocol: those of its own client, and those it documents besides.
NOT_TRADING = [
    *USER_SIGNED,
    *("usdSend", "spotSend", "withdraw3", "usdClassTransfer", "sendAsset", "approveAgent", "approveBuilderFee"),
    *("userDexAbstraction", "userSetAbstraction", "tokenDelegate", "convertToMultiSigUser", "multiSig"),
    *("createSubAccount", "subAccountTransfer", "subAccountSpotTransfer", "vaultTransfer", "createVault"),
    *("vaultModify", "vaultDistribute", "setReferrer", "reserveRequestWeight", "agentSetAbstraction", "evmUserModify"),
    *("topUpIsolatedOnlyMargin", "twapOrder", "twapCancel", "cDeposit", "cWithdraw", "spotDeploy", "perpDeploy"),
    *("CSignerAction", "CValidatorAction", "claimRewards", "agentEnableDexAbstraction", "gossipPriorityBid"),
]


@pytest.mark.parametrize("kind", [*dict.fromkeys(NOT_TRADING), "dummy", "Order", "order ", "", None, 1])
def test_a_signer_refuses_what_is_not_trading(kind: object) -> None:
    with pytest.raises(NotPermitted):
        ActionSigner(key(), is_mainnet=False).sign({"type": kind}, 1)


def test_what_is_signed_is_a_closed_list() -> None:
    trading = {"order", "cancel", "cancelByCloid", "modify", "batchModify", "scheduleCancel", "noop"}
    assert trading | {"updateLeverage", "updateIsolatedMargin"} == ALLOWED_ACTIONS


def test_every_action_that_the_exchanges_client_can_sign_is_on_a_list() -> None:
    client = pytest.importorskip("hyperliquid.exchange", reason="the official SDK is not installed")
    source = inspect.getsource(client)
    known = set(re.findall(r'"type": "([A-Za-z0-9]+)"', source))
    assert len(known) > 20
    assert known - ALLOWED_ACTIONS <= set(NOT_TRADING)


def test_a_key_shows_nothing_but_its_address() -> None:
    holder = key()
    assert holder.address == ADDRESS
    assert "0123456789" not in f"{holder!r}{holder!s}{holder}"
    with pytest.raises(TypeError):
        pickle.dumps(holder)


def write_key(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("text", [SECRET, SECRET[2:], SECRET.upper().replace("0X", ""), f"  {SECRET}\n"])
def test_a_key_file_holds_hex_digits_with_or_without_0x(tmp_path: Path, text: str) -> None:
    assert read_key(write_key(tmp_path / "agent.key", text)).address == ADDRESS


@pytest.mark.parametrize(
    "text",
    ["", "0x", "xyz", SECRET[:-1], SECRET + "0", "g" * 64, "0" * 64, "f" * 64, "{", "{}", '{"version": 3}', "[]"],
)
def test_a_file_without_a_key_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotPermitted) as caught:
        read_key(write_key(tmp_path / "agent.key", text), lambda: "pass")
    assert len(text) < 10 or text not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(NotPermitted, match="others may read"):
        read_key(write_key(tmp_path / "agent.key", SECRET, mode))


def test_links_folders_and_absent_files_are_no_key_files(tmp_path: Path) -> None:
    link = tmp_path / "link.key"
    link.symlink_to(write_key(tmp_path / "agent.key", SECRET))
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (link, tmp_path, tmp_path / "absent", tmp_path / "pipe"):
        with pytest.raises(NotPermitted):
            read_key(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_key_is_refused(tmp_path: Path) -> None:
    path = write_key(tmp_path / "agent.key", SECRET)
    os.chown(path, 12345, 12345)
    with pytest.raises(NotPermitted, match="belongs to user 12345"):
        read_key(path)


@pytest.mark.parametrize(("kdf", "rounds"), [("scrypt", 2), ("pbkdf2", 1)])
def test_an_ethereum_keystore_opens_with_its_passphrase_only(tmp_path: Path, kdf: str, rounds: int) -> None:
    keyfile = pytest.importorskip("eth_keyfile", reason="eth-keyfile is not installed")
    document = keyfile.create_keyfile_json(bytes.fromhex(SECRET[2:]), b"open", kdf=kdf, iterations=rounds)
    path = write_key(tmp_path / "agent.json", json.dumps(document))
    assert read_key(path, lambda: "open").address == ADDRESS
    for passphrase in (None, lambda: "wrong"):
        with pytest.raises(NotPermitted):
            read_key(path, passphrase)


def test_a_keystore_that_asks_for_all_memory_is_refused(tmp_path: Path) -> None:
    params = {"dklen": 32, "n": 2**30, "r": 8, "p": 1, "salt": "00"}
    crypto = {"cipher": "aes-128-ctr", "cipherparams": {"iv": "00" * 16}, "ciphertext": "00" * 32, "mac": "00" * 32}
    document = {"version": 3, "crypto": crypto | {"kdf": "scrypt", "kdfparams": params}}
    with pytest.raises(NotPermitted):
        read_key(write_key(tmp_path / "agent.json", json.dumps(document)), lambda: "pass")


def test_a_signature_is_deterministic() -> None:
    first, second = (ActionSigner(key(), is_mainnet=True).sign(ORDER, NONCE) for _ in range(2))
    assert first == second
    assert isinstance(first, Signature)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=5))
def test_one_state_hashes_as_many_do(texts: list[bytes]) -> None:
    hashed = Keccak()
    assert [hashed(text) for text in texts] == [keccak256(text) for text in texts]


@pytest.mark.parametrize("step", ["keccak_init", "keccak_reset", "keccak_absorb", "keccak_digest"])
def test_a_hash_that_fails_is_never_signed(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = sign._raw_keccak_lib
    steps = ("keccak_init", "keccak_reset", "keccak_absorb", "keccak_digest", "keccak_destroy")
    failing = SimpleNamespace(**{name: getattr(library, name) for name in steps} | {step: lambda *_: 1})
    monkeypatch.setattr(sign, "_raw_keccak_lib", failing)
    with pytest.raises(InvariantError, match="keccak"):
        Keccak()(b"an action")
