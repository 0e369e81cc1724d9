"""Round trips as lines: the keys, the notation and the order that scripts rely on."""

import csv
import io
from decimal import Decimal
from typing import Any

import orjson

from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import Fill, Liquidity, OrderRole, OrderSide, PositionSide
from tradebot.model.position import RoundTrip
from tradebot.model.time import Nanos
from tradebot.report.trades import TRADE_KEYS, by_exit, equity_csv, fills_csv, trade_line, trades_csv

MS = 1_000_000


def trip(exit_ts: int = 2_000, **changes: Any) -> RoundTrip:
    values: dict[str, Any] = {
        "symbol": "BTC",
        "strategy": "cross",
        "side": PositionSide.SHORT,
        "qty": Qty(Decimal("0.10")),
        "entry_ts": Nanos(1_000 * MS),
        "entry_price": Price(Decimal("1E+5")),
        "exit_ts": Nanos(exit_ts * MS),
        "exit_price": Price(Decimal("99999.90000000")),
        "exit_reason": "stop",
        "gross_pnl": Cash(Decimal("0.01")),
        "fees": Cash(Decimal("9.00000000")),
        "funding": Cash(Decimal("-0.00000001")),
        "net_pnl": Cash(Decimal("-8.99000001")),
        "mae": Cash(Decimal(0)),
        "mfe": Cash(Decimal("0E-8")),
    }
    return RoundTrip(**{**values, **changes})


def test_a_line_is_this_and_nothing_else() -> None:
    assert trade_line(trip()) == (
        b'{"symbol":"BTC","strategy":"cross","side":"short","qty":"0.1","entry_ts":1000,"entry_price":"100000",'
        b'"exit_ts":2000,"exit_price":"99999.9","exit_reason":"stop","gross_pnl":"0.01","fees":"9",'
        b'"funding":"-0.00000001","net_pnl":"-8.99000001","mae":"0","mfe":"0"}\n'
    )
    assert tuple(orjson.loads(trade_line(trip()))) == TRADE_KEYS


def test_trades_come_by_exit_and_then_as_they_came() -> None:
    came = [trip(3_000, symbol="A"), trip(2_000, symbol="B"), trip(3_000, symbol="C"), trip(2_000, symbol="D")]
    assert [each.symbol for each in by_exit(came)] == ["B", "D", "A", "C"]


def test_a_csv_reads_back_to_the_same_values_even_with_commas_and_quotes() -> None:
    text = "".join(trades_csv([trip(strategy='a, "b"'), trip(symbol="ETH")]))
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["strategy"], second["symbol"], first["mfe"]) == ('a, "b"', "ETH", "0")
    assert list(first) == list(TRADE_KEYS)


def test_fills_and_equity_have_a_csv_too() -> None:
    fill = Fill(
        ts_event=Nanos(5 * MS),
        trade_id="t1",
        client_order_id="cross-BTC-1-entry",
        signal_id="cross-BTC-1",
        strategy="cross",
        symbol="BTC",
        role=OrderRole.ENTRY,
        side=OrderSide.BUY,
        qty=Qty(Decimal("0.50")),
        price=Price(Decimal(100)),
        fee=Cash(Decimal("0.0225")),
        liquidity=Liquidity.TAKER,
        reason="",
    )
    assert list(fills_csv([fill]))[1] == (
        "5,BTC,cross,buy,entry,0.5,100,0.0225,taker,,cross-BTC-1-entry,t1,cross-BTC-1\n"
    )
    assert list(equity_csv([(1, "10000"), (2, "9999.5")])) == ["ts_ms,equity\n", "1,10000\n", "2,9999.5\n"]
    assert list(trades_csv([])) == [",".join(TRADE_KEYS) + "\n"]
