"""Round trips as lines: the keys, the notation and the order that scripts rely on."""

import csv
import io
from decimal import Decimal
from typing import Any

import orjson

from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import PositionSide
from tradebot.model.position import RoundTrip
from tradebot.model.time import Nanos
from tradebot.report.trades import TRADE_KEYS, by_exit, csv_lines, trade_line, trade_row

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
    text = "".join(csv_lines(TRADE_KEYS, [trade_row(trip(strategy='a, "b"')), trade_row(trip(symbol="ETH"))]))
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["strategy"], second["symbol"], first["mfe"]) == ('a, "b"', "ETH", "0")
    assert list(first) == list(TRADE_KEYS)


def test_a_csv_of_nothing_has_its_header() -> None:
    assert list(csv_lines(TRADE_KEYS, [])) == [",".join(TRADE_KEYS) + "\n"]
