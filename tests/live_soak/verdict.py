"""What the bot believes beside what is: orders, fills, positions, cash, and every second without a stop."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from decimal import Decimal
from typing import Any, NamedTuple

from tests.live_soak.bot import Bot, Exchange
from tests.live_soak.storm import Storm
from tests.waiting import wait_until

GRACE_MS = 2_000
_ROWS_AROUND = 25


def differences(bot: Bot, exchange: Exchange) -> list[str]:
    """Return what the bot's own words and the exchange's disagree on, now."""
    status, positions, orders = bot.ask("status"), bot.ask("positions"), bot.ask("orders")
    truth = exchange.truth()
    if status is None or positions is None or orders is None:
        return ["the daemon does not answer"]
    held: dict[str, Decimal] = {}
    for row in _rows(positions, "positions"):
        signed = Decimal(row["qty"]) * (1 if row["side"] == "long" else -1)
        held[row["symbol"]] = held.get(row["symbol"], Decimal(0)) + signed
    theirs = {coin: Decimal(size) for coin, size in truth["positions"].items()}
    found = []
    if held != theirs:
        found.append(f"positions: ours {held}, theirs {theirs}")
    cash = Decimal(status["account"]["cash"])
    if cash != Decimal(truth["cash"]):
        found.append(f"cash: ours {cash}, theirs {truth['cash']}, off by {cash - Decimal(truth['cash'])}")
    if status["orders"]["unknown"]:
        found.append(f"{status['orders']['unknown']} orders without an outcome")
    working = sorted(_key(row["symbol"], row["side"], row["qty"]) for row in orders if _is_open(row))
    resting = sorted(_key(row["coin"], "buy" if row["side"] == "B" else "sell", row["sz"]) for row in truth["open"])
    if [key[:2] for key in working] != [key[:2] for key in resting]:
        found.append(f"orders: ours {working}, theirs {resting}")
    return found


def agreed(bot: Bot, exchange: Exchange, timeout_s: float) -> list[str]:
    """Return what is still different when the bot has had ``timeout_s`` to agree."""
    found: list[str] = []

    def is_same() -> bool:
        found[:] = differences(bot, exchange)
        return not found

    with suppress(TimeoutError):
        wait_until(is_same, timeout_s, pause_s=0.5)
    return found


def _rows(document: Any, key: str) -> list[dict[str, Any]]:
    return document if isinstance(document, list) else document[key]


def _is_open(row: dict[str, Any]) -> bool:
    return row["state"] in ("open", "partially_filled", "submitted", "pending")


def _key(symbol: str, side: str, qty: str) -> tuple[str, str, Decimal]:
    return symbol, side, Decimal(qty)


class Ledger(NamedTuple):
    """What a journal holds of fills: the venue's id of each report, and how often it was booked."""

    reported: list[str]
    booked: list[str]


def ledger(bot: Bot) -> Ledger:
    """Return the fills in the journal of an ended daemon."""
    return Ledger(
        [row["trade_id"] for row in payloads(bot, ["fill_report"])],
        [row["trade_id"] for row in payloads(bot, ["fill"])],
    )


def payloads(bot: Bot, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of those kinds, oldest first."""
    return [json.loads(payload) for _, kind, _, payload in _journal(bot) if kind in kinds]


def rows_around(bot: Bot, at_ms: int) -> Iterable[str]:
    """Give the journal around a moment, market rows left out."""
    rows = [
        row for row in _journal(bot) if row[1] not in ("bar", "trade", "quote", "heartbeat", "equity", "bars_closed")
    ]
    near = min(range(len(rows)), key=lambda index: abs(rows[index][2] - at_ms), default=0)
    for seq, kind, wall_ms, payload in rows[max(0, near - _ROWS_AROUND) : near + _ROWS_AROUND]:
        yield f"    {seq} {wall_ms} {kind} {payload[:400].decode(errors='replace')}"


def _journal(bot: Bot) -> list[tuple[int, str, int, bytes]]:
    with closing(sqlite3.connect(f"file:{bot.home}/journal.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT seq, kind, ts_wall, payload FROM rows ORDER BY seq").fetchall()
    return [(seq, kind, wall // 1_000_000, payload) for seq, kind, wall, payload in rows]


class Naked(NamedTuple):
    """A time without a full stop, and how much of it nothing accounts for."""

    row: dict[str, Any]
    unaccounted_ms: int
    cause: str


def account_for(rows: Sequence[dict[str, Any]], bot: Bot, storm: Storm, end_ms: int) -> list[Naked]:
    """Return every unprotected time with what was left of it outside downtime and shut venues, each plus a grace.

    Down is a bot until it knows what it holds: from there on a position gets its stop before anything else is done.
    """
    down = [(since, (end_ms if until is None else until) + GRACE_MS, "down") for since, until in bot.unaware]
    shut = [(since, until + GRACE_MS, "shut") for since, until in storm.shut]
    meddled = [(at, at + GRACE_MS, "by hand") for at in storm.meddled_ms]
    found = []
    for row in rows:
        since, until = row["since"], row["until"] or end_ms
        over = [span for span in (*down, *shut, *meddled) if span[0] < until and span[1] > since]
        left = _outside(since, until, [span[:2] for span in over])
        found.append(Naked(row, left, ", ".join(sorted({span[2] for span in over})) or "none"))
    return found


def _outside(since: int, until: int, spans: Iterable[tuple[int, int]]) -> int:
    left, at = 0, since
    for begin, end in sorted(spans):
        left += max(0, min(begin, until) - at)
        at = max(at, end)
    return left + max(0, until - at)
