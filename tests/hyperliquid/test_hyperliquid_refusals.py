"""What replies, keys, actions and ids must not be: each is refused by name, and nothing is guessed."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tradebot.model.errors import InvariantError, NotPermitted, Unreadable
from tradebot.model.time import Nanos
from tradebot.venues.hyperliquid import market, translate
from tradebot.venues.hyperliquid.cloid import TAG_BYTES, Cloids
from tradebot.venues.hyperliquid.keys import SigningKey, read_key
from tradebot.venues.hyperliquid.reading import parse
from tradebot.venues.hyperliquid.reports import not_permitted, reason_of
from tradebot.venues.hyperliquid.sign import address_bytes
from tradebot.venues.hyperliquid.wire import Asset, cancel_action
from tradebot.venues.outcomes import Endings

USER = "0x" + "12" * 20
MS = 1_700_000_000_000
ASSET = Asset(symbol="BTC", id=0, size_decimals=5, max_leverage=40)


def node(value: object) -> Any:
    return parse(orjson.dumps(value))


def level(price: str) -> dict[str, object]:
    return {"px": price, "sz": "1", "n": 1}


def user_event(**data: object) -> translate.Frame:
    return translate.frame(orjson.dumps({"channel": "user", "data": data}))


@pytest.mark.parametrize("address", ["0x12", "12" * 21, "0x", "zz" * 20])
def test_an_address_has_twenty_bytes(address: str) -> None:
    with pytest.raises(ValueError, match=r"bytes|hex"):
        address_bytes(address)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_a_number_outside_the_curve_is_no_key_and_is_not_quoted(secret: bytes) -> None:
    with pytest.raises(NotPermitted, match="no valid secp256k1") as refused:
        SigningKey(secret)
    assert refused.value.__cause__ is None
    assert secret.hex() not in str(refused.value)


def keystore(**changes: object) -> dict[str, object]:
    crypto = {
        "cipher": "aes-128-ctr",
        "ciphertext": "00" * 32,
        "cipherparams": {"iv": "00" * 16},
        "kdf": "pbkdf2",
        "kdfparams": {"dklen": 32, "salt": "00", "c": 1, "prf": "hmac-sha256"},
        "mac": "00" * 32,
    }
    return {"version": 3, "crypto": crypto | changes}


@pytest.mark.parametrize(
    "document",
    [
        keystore(),
        keystore(cipher="rot13"),
        keystore(kdf="md5"),
        keystore(kdfparams="none"),
        keystore(kdfparams={"dklen": 16, "salt": "00", "c": 1, "prf": "hmac-sha256"}),
        keystore(kdf="scrypt", kdfparams={"dklen": 32, "salt": "00", "n": 1 << 40, "r": 8, "p": 1}),
        {"version": 2, "crypto": {}},
        {"version": 3},
    ],
    ids=range(8),
)
def test_a_keystore_that_cannot_be_opened_says_no_more_than_that(tmp_path: Path, document: object) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(orjson.dumps(document))
    with pytest.raises(NotPermitted, match="or not its passphrase") as refused:
        read_key(path, lambda: "secret words")
    assert refused.value.__cause__ is None
    with pytest.raises(NotPermitted, match="needs a passphrase"):
        read_key(path)


@pytest.mark.parametrize("content", ["", "0x12", "zz" * 32, "é" * 32, "12" * 33])
def test_a_key_file_holds_64_hex_digits(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(NotPermitted, match="neither 64 hex digits"):
        read_key(path)


def test_a_folder_or_nothing_at_all_is_no_key_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotPermitted, match=r"cannot open|no regular file"):
            read_key(path)


def test_an_instance_has_a_tag_of_its_size_and_only_ids_of_ours_a_cloid() -> None:
    with pytest.raises(ValueError, match="instance tag"):
        Cloids(bytes(TAG_BYTES + 1), b"key", ["cross"])
    cloids = Cloids(bytes(TAG_BYTES), b"key", ["cross"])
    for text in ("hello", "cross-BTC-1-stop1", "cross-BTC-1-nothing", f"cross-BTC-{1 << 60}-entry"):
        with pytest.raises(InvariantError, match="no client order id"):
            cloids.encode(text)
    assert cloids.decode("0x" + "ff" * 16, "BTC") is None


@pytest.mark.parametrize("qty", ["0", "-1", "0.000001"])
def test_a_size_off_the_lot_is_never_rounded(qty: str) -> None:
    with pytest.raises(ValueError, match="no positive multiple"):
        ASSET.size(Decimal(qty))


def test_a_price_below_the_smallest_is_none() -> None:
    with pytest.raises(ValueError, match="below the smallest price"):
        ASSET.price(Decimal("0.01"), is_up=False)
    assert ASSET.price(Decimal("0.01"), is_up=True) == Decimal("0.1")


def test_a_cancel_names_asset_and_order() -> None:
    assert cancel_action([(3, 77)]) == {"type": "cancel", "cancels": [{"a": 3, "o": 77}]}


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([level("10"), level("11")], [level("12")]),
        ([level("10")], [level("12"), level("11")]),
        ([level("10")], [level("10")]),
    ],
)
def test_a_book_that_cannot_be_is_refused(bids: list[object], asks: list[object]) -> None:
    with pytest.raises(Unreadable, match="crossed or out of order"):
        market.book(node({"coin": "BTC", "time": MS, "levels": [bids, asks]}))


def test_a_side_without_orders_has_no_quote_and_crossed_prices_are_refused() -> None:
    assert market.quote(node({"coin": "BTC", "time": MS, "bbo": [None, level("10")]})) is None
    with pytest.raises(Unreadable, match="is crossed"):
        market.quote(node({"coin": "BTC", "time": MS, "bbo": [level("11"), level("10")]}))


def test_contexts_must_be_those_of_the_assets() -> None:
    universe = [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]
    with pytest.raises(Unreadable, match="2 contexts for 1 assets"):
        market.asset_contexts(node([{"universe": universe}, [{}, {}]]))


def test_candles_out_of_order_are_refused() -> None:
    minute = MS // 60_000 * 60_000
    rows = [
        {"t": ts, "T": ts + 59_999, "s": "BTC", "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "0", "n": 0}
        for ts in (minute + 60_000, minute)
    ]
    assert len(market.candles(node(rows[::-1]), Nanos(2**62))) == 2
    with pytest.raises(Unreadable, match="out of order"):
        market.candles(node(rows), Nanos(2**62))


@pytest.mark.parametrize(
    ("read", "value", "what"),
    [
        (lambda it: it.decimal(Decimal(5)), "5", "absurdly large"),
        (lambda it: it.decimal(), 1.5, "no decimal text"),
        (lambda it: it.decimal(), "NaN", "no decimal text"),
        (lambda it: it.price(), "0", "no price"),
        (lambda it: it.qty(), "-1", "negative quantity"),
        (lambda it: it.positive_qty(), "0", "is zero"),
        (lambda it: it.flag(), 1, "neither true nor false"),
        (lambda it: it.integer(), True, "no integer"),
        (lambda it: it.integer(0, 5), 5, "outside"),
        (lambda it: it.address(), "0x12", "no address"),
        (lambda it: it.cloid(), "0x12", "no client id"),
        (lambda it: it.pair(), [1], "1 elements instead of 2"),
        (lambda it: list(it.members()), [], "no object"),
        (lambda it: list(it.rows()), {}, "no list"),
        (lambda it: it.text(), "", "no text"),
        (lambda it: it.get("a"), [], "no object with 'a'"),
        (lambda it: it.one_of("a", "b"), "c", "none of a, b"),
    ],
)
def test_a_value_of_another_kind_is_named_with_what_the_venue_said(read: Any, value: object, what: str) -> None:
    with pytest.raises(Unreadable, match=what):
        read(node({"inner": value}).at("inner"))


def test_events_of_a_user_are_told_apart() -> None:
    fill = {
        "coin": "BTC", "px": "100", "sz": "1", "side": "B", "time": MS, "dir": "Open Long", "oid": 7, "tid": 9,
        "fee": "0.1", "feeToken": "USDC", "crossed": True, "hash": "0x" + "00" * 32, "startPosition": "0",
        "closedPnl": "0",
    }  # fmt: skip
    assert isinstance(user_event(fills=[fill]), translate.Filled)
    funding = {"time": MS, "coin": "BTC", "usdc": "-0.5", "szi": "1", "fundingRate": "0.0000125"}
    assert isinstance(user_event(funding=funding), translate.Funded)
    assert user_event(liquidation={"liquidated_user": USER}) == translate.Liquidated(USER)
    assert user_event(somethingNew=1) == translate.Ignored("user")


def test_reasons_and_phases_are_ours() -> None:
    assert reason_of("marginCanceled") == "margin_canceled"
    assert not_permitted("Price must be divisible by tick size.") is False


def test_the_memory_of_what_was_booked_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradebot.venues.outcomes._KEPT", 2)
    endings = Endings()
    for oid in range(5):
        assert endings.filled(oid, Decimal(1)) == ()
    assert endings._booked == {3: 1, 4: 1}
