"""Orders reach the wire exactly: legal prices, whole lots, and client ids that lead back."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tradebot.model.errors import InvariantError
from tradebot.model.money import Price, Qty, plain
from tradebot.model.order import OrderRequest, OrderRole, OrderSide, OrderType
from tradebot.model.time import Nanos
from tradebot.model.venue import OwnOrder
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.wire import Asset, market_bound, order_wire

CLOID = "0x" + "01" * 16


def asset(**changes: Any) -> Asset:
    return Asset(**({"symbol": "ETH", "id": 1, "size_decimals": 4, "max_leverage": 25} | changes))


def request(**changes: Any) -> OrderRequest:
    fields: dict[str, Any] = {
        "client_order_id": "cross-ETH-1-entry",
        "symbol": "ETH",
        "strategy": "cross",
        "signal_id": "cross-ETH-1",
        "role": OrderRole.ENTRY,
        "side": OrderSide.BUY,
        "type": OrderType.MARKET,
        "qty": Qty(Decimal("0.5")),
        "ts_event": Nanos(0),
    }
    return OrderRequest(**(fields | changes))


def wire(order: OrderRequest, reference: str = "2000") -> Any:
    return order_wire(asset(), order, CLOID, Decimal(reference), Decimal("0.05"))


def is_legal(text: str, size_decimals: int) -> bool:
    whole, _, fraction = text.partition(".")
    significant = len((whole + fraction).strip("0") if fraction else whole.strip("0"))
    figures = len((whole + fraction).lstrip("0"))
    return not fraction or (len(fraction) <= 6 - size_decimals and (figures <= 5 or significant <= 5))


prices = st.decimals(Decimal("0.000001"), Decimal(999_999_999), places=8).filter(lambda price: price > 0)


@given(price=prices, size_decimals=st.integers(0, 5), is_up=st.booleans())
def test_a_price_is_legal_nearest_and_on_the_side_asked_for(price: Decimal, size_decimals: int, is_up: bool) -> None:
    market = asset(size_decimals=size_decimals)
    try:
        rounded = market.price(price, is_up=is_up)
    except ValueError:
        assert not is_up
        return
    assert is_legal(plain(rounded), size_decimals)
    assert rounded >= price if is_up else rounded <= price
    assert market.price(rounded, is_up=not is_up) == rounded
    tick = max(Decimal(10) ** (min(price.adjusted(), 4) - 4), Decimal(10) ** (size_decimals - 6))
    assert abs(rounded - price) < tick


@pytest.mark.parametrize(
    ("price", "is_up", "expected"),
    [
        ("123456", True, "123456"),
        ("12345.6", False, "12345"),
        ("1234.56", True, "1234.6"),
        ("0.0012345678", False, "0.001234"),
        ("99999.5", True, "100000"),
    ],
)
def test_prices_round_as_the_venue_wants(price: str, is_up: bool, expected: str) -> None:
    assert plain(asset(size_decimals=0).price(Decimal(price), is_up=is_up)) == expected


@given(st.decimals(Decimal("0.0001"), Decimal(10**6), places=6))
def test_a_size_is_sent_exactly_or_not_at_all(qty: Decimal) -> None:
    lot = Decimal("0.0001")
    if qty % lot == 0:
        assert Decimal(wire(request(qty=Qty(qty)))["s"]) == qty
    else:
        with pytest.raises(ValueError, match="multiple of the lot"):
            wire(request(qty=Qty(qty)))


def test_a_market_order_is_an_ioc_within_its_slippage() -> None:
    buy, sell = wire(request(), "2000.7"), wire(request(side=OrderSide.SELL), "2000.7")
    assert (buy["p"], buy["t"]) == ("2100.7", {"limit": {"tif": "Ioc"}})
    assert sell["p"] == "1900.7"


def test_the_keys_stand_in_the_order_that_is_hashed() -> None:
    order = request(type=OrderType.STOP_MARKET, trigger=Price(Decimal("1900")), reduce_only=True)
    assert list(wire(order)) == ["a", "b", "p", "s", "r", "t", "c"]
    assert list(wire(order)["t"]["trigger"]) == ["isMarket", "triggerPx", "tpsl"]


def test_a_protective_stop_wakes_rather_too_early_and_may_slip() -> None:
    sell = request(type=OrderType.STOP_MARKET, side=OrderSide.SELL, trigger=Price(Decimal("1900.06")), reduce_only=True)
    buy = request(type=OrderType.STOP_MARKET, trigger=Price(Decimal("1900.06")), reduce_only=True)
    assert wire(sell)["t"]["trigger"] == {"isMarket": True, "triggerPx": "1900.1", "tpsl": "sl"}
    assert Decimal(wire(sell)["p"]) < Decimal("1900.1") * Decimal("0.91")
    assert wire(buy)["t"]["trigger"]["triggerPx"] == "1900"
    assert Decimal(wire(buy)["p"]) > 1900


def test_an_entry_stop_wakes_rather_too_late() -> None:
    assert (
        wire(request(type=OrderType.STOP_MARKET, trigger=Price(Decimal("1900.06"))))["t"]["trigger"]["triggerPx"]
        == "1900.1"
    )


def test_a_target_rests_as_a_limit_never_worse_than_asked() -> None:
    order = request(
        type=OrderType.TAKE_PROFIT,
        side=OrderSide.SELL,
        price=Price(Decimal("2100.01")),
        trigger=Price(Decimal("2100.01")),
        reduce_only=True,
    )
    assert wire(order)["t"]["trigger"] == {"isMarket": False, "triggerPx": "2100.1", "tpsl": "tp"}
    assert wire(order)["p"] == "2100.1"


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT])
def test_an_order_without_its_price_is_not_sent(kind: OrderType) -> None:
    with pytest.raises(ValueError, match="needs its price"):
        wire(request(type=kind))


def test_a_stop_that_the_venue_would_have_to_trail_is_not_sent() -> None:
    order = request(type=OrderType.TRAILING_STOP, trigger=Price(Decimal(1900)), trail=Price(Decimal(100)))
    with pytest.raises(ValueError, match="moved in steps"):
        wire(order)


def test_a_bound_below_the_smallest_price_is_refused() -> None:
    with pytest.raises(ValueError, match="smallest price"):
        market_bound(asset(size_decimals=0), Decimal("0.0000005"), OrderSide.BUY, Decimal("0.5"))


names = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True)
symbols = st.from_regex(r"[A-Za-z@/:]{1,8}", fullmatch=True)
order_ids = st.builds(
    lambda strategy, symbol, counter, place: (strategy, symbol, f"{strategy}-{symbol}-{counter}-{place}"),
    names | st.just("manual"),
    symbols,
    st.integers(1, 2**20 - 1),
    st.builds("{}{}".format, st.sampled_from([role.value for role in OrderRole]), st.just("") | st.integers(2, 4095))
    | st.integers(1, 4095).map("rung{}".format),
)


def cloids(tag: bytes = b"aaaa", key: bytes = b"k" * 32, strategies: tuple[str, ...] = ("cross",)) -> Cloids:
    return Cloids(tag, key, strategies)


@given(order_ids, st.lists(names, max_size=5), st.binary(min_size=4, max_size=4))
def test_a_cloid_leads_back_to_its_order_without_a_database(
    case: tuple[str, str, str], others: list[str], tag: bytes
) -> None:
    strategy, symbol, order_id = case
    cloid = cloids(tag, strategies=(strategy,)).encode(order_id)
    assert len(cloid) == 34
    survivor = cloids(b"bbbb", strategies=(*others, strategy))
    assert survivor.decode(cloid, symbol) == OwnOrder(order_id, tag == b"bbbb")


@given(st.binary(min_size=16, max_size=16), symbols)
def test_a_foreign_cloid_is_not_ours(raw: bytes, symbol: str) -> None:
    assert cloids().decode("0x" + raw.hex(), symbol) is None


@given(order_ids, st.integers(0, 127))
def test_one_flipped_bit_makes_a_cloid_foreign(case: tuple[str, str, str], bit: int) -> None:
    strategy, symbol, order_id = case
    mine = cloids(strategies=(strategy,))
    number = int(mine.encode(order_id), 16) ^ (1 << bit)
    found = mine.decode(f"0x{number:032x}", symbol)
    assume(found is None or found.client_order_id != order_id)
    assert found is None


@given(st.sets(order_ids, min_size=2, max_size=20))
def test_two_orders_never_share_a_cloid(cases: set[tuple[str, str, str]]) -> None:
    mine = cloids(strategies=tuple(strategy for strategy, _, _ in cases))
    ids = {order_id for _, _, order_id in cases}
    assert len({mine.encode(order_id) for order_id in ids}) == len(ids)


@pytest.mark.parametrize(
    "order_id", ["", "x", "a-BTC-1", "a-BTC-1-stop1", "a-BTC-1-stop02", "a-BTC-01-stop", "a-BTC-9999999-stop"]
)
def test_an_id_that_would_not_read_back_is_refused(order_id: str) -> None:
    with pytest.raises(InvariantError):
        cloids().encode(order_id)


def test_another_key_reads_nothing() -> None:
    cloid = cloids().encode("cross-BTC-1-entry")
    assert cloids(key=b"x" * 32).decode(cloid, "BTC") is None
    assert cloids().decode(cloid, "ETH") is None
