"""The documents of a daemon as text for a terminal. It reads their JSON, so that any process can do it."""

from collections.abc import Mapping, Sequence

from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, columns, duration, moment, money, paint, pairs, signed, table

_GOOD_STATES = {"running": "green", "starting": "yellow", "paused": "yellow", "reduce_only": "yellow"}


def status_text(document: Mapping[str, Json], colour: bool = False) -> str:
    """Return ``status``: one head line, then the blocks that have something to say."""
    state = cell(document.get("state"))
    if state == "stopped":
        return paint("stopped", "red", colour)
    blocks = [
        _status_head(document, state, colour),
        pairs(_status_pairs(document, colour)),
        _titled("positions", positions_text(document, colour) if rows(document, "positions") else "none", colour),
        _titled("limits", _limits_text(document, colour) if rows(document, "risk") else "none set", colour),
    ]
    if rows(document, "mismatches"):
        blocks.insert(1, _titled("book and venue differ", _mismatch_text(document, colour), colour))
    if any(row.get("state") == "tripped" for row in rows(document, "breakers")):
        blocks.insert(1, _titled("breakers", breakers_text(document, colour), colour))
    if rows(document, "untraded"):
        blocks.insert(1, _titled("not traded at the venue", _untraded_text(document, colour), colour))
    drift = section(document, "drift")
    if drift.get("is_drifted") is True:
        blocks.insert(1, _titled("the files say otherwise than what is in force", drift_text(drift), colour))
    if rows(document, "secrets"):
        blocks.append(_titled("secrets that end", _secrets_text(document), colour))
    if rows(document, "disabled"):
        blocks.append(_titled("disabled strategies", disabled_text(document, colour), colour))
    if rows(document, "set_aside"):
        blocks.append(_titled("inputs set aside", set_aside_text(document, colour), colour))
    if rows(document, "tasks"):
        keys = ("name", "state", "restarts", "queue", "when_full", "lag_ms")
        body = [columns(row, keys) for row in rows(document, "tasks")]
        names = ("task", "state", "restarts", "queue", "when full", "lag ms")
        blocks.append(_titled("tasks", table(names, body, left=2), colour))
    return "\n\n".join(blocks)


def _secrets_text(document: Mapping[str, Json]) -> str:
    body = []
    for row in rows(document, "secrets"):
        users = row["used_by"]
        used_by = ", ".join(map(str, users if isinstance(users, list) else ()))
        body.append([cell(row["name"]), moment(row["expires"]), cell(used_by)])
    return table(("secret", "expires", "used by"), body, left=3)


def drift_text(drift: Mapping[str, Json]) -> str:
    """Return ``drift`` of ``status``: what differs since when, and how to see and end it."""
    keys, since = drift.get("keys"), drift.get("since")
    said = drift.get("error") or ", ".join(map(str, keys if isinstance(keys, list) else ()))
    when = moment(since if isinstance(since, int) else None)
    return f"  since {when}: {cell(said)}\n  tradebot config diff shows it; reload, restart or config rollback ends it"


def health_text(document: Mapping[str, Json], colour: bool = False) -> str:
    """Return ``health``: well or not, and each check with what it saw."""
    well = document.get("well") is True
    head = paint("well", "green", colour) if well else paint("not well", "red", colour)
    body = [
        f"  {paint('ok  ', 'green', colour) if row.get('ok') is True else paint('FAIL', 'red', colour)}"
        f"  {cell(row.get('check'))}: {cell(row.get('detail'))}"
        for row in rows(document, "checks")
    ]
    return "\n".join([head, *body])


def positions_text(document: Mapping[str, Json], colour: bool = False, width: int | None = None) -> str:
    """Return ``positions`` as a table."""
    listed = rows(document, "positions")
    if not listed:
        return "no open position"
    names = ("symbol", "strategy", "side", "qty", "entry", "mark", "unrealized", "stop", "moved by", "liquidation")
    keys = ("symbol", "strategy", "side", "qty", "entry_price", "mark_price")
    body = [
        [
            *columns(row, keys),
            money(row.get("unrealized_pnl")),
            _away(row, "stop"),
            cell(row.get("stop_moved_by")),
            _away(row, "liquidation"),
            _protected(row),
        ]
        for row in listed
    ]
    shown = table((*names, "protected"), body, left=3, colour=colour, width=width)
    naked = "\n".join(paint(line, "red", colour) for line in _unprotected(document))
    return f"{shown}\n\n{naked}" if naked else shown


def orders_text(listed: Sequence[Mapping[str, Json]], colour: bool = False, width: int | None = None) -> str:
    """Return the rows of ``orders`` as a table."""
    if not listed:
        return "no open order"
    names = ("id", "symbol", "role", "side", "type", "qty", "filled", "price", "trigger", "state", "own")
    keys = ("id", "symbol", "role", "side", "type", "qty", "filled_qty", "price", "trigger", "state", "own")
    return table(names, [columns(row, keys) for row in listed], left=5, colour=colour, width=width)


def balance_text(document: Mapping[str, Json], colour: bool = False) -> str:
    """Return ``balance``: the account, one amount a line."""
    return pairs(_account_pairs(document, colour))


def _limits_text(document: Mapping[str, Json], colour: bool = False) -> str:
    listed = rows(document, "risk")
    body = [
        [cell(row.get("limit")), money(row.get("value")), money(row.get("max")), f"{cell(row.get('pct_used'))} %"]
        for row in listed
    ]
    return table(("limit", "used", "max", "of it"), body, colour=colour)


def breakers_text(document: Mapping[str, Json], colour: bool = False) -> str:
    """Return the breakers that are tripped, or tripped in the time of a report, a line each."""
    return "\n".join(
        _breaker_line(row, colour)
        for row in rows(document, "breakers")
        if row.get("state") == "tripped" or row.get("reason")
    )


def _breaker_line(row: Mapping[str, Json], colour: bool) -> str:
    when = moment(row.get("ts", row.get("since")))
    if row.get("state") != "tripped":
        return f"{when}  {paint(cell(row.get('name')), 'green', colour)} is armed again: {cell(row.get('reason'))}"
    name = paint(cell(row.get("name")), "red", colour)
    told = f"{name} is tripped, {cell(row.get('value'))} of {cell(row.get('threshold'))}"
    does = f", tier {cell(row.get('tier'))}" + (
        f" ({cell(row.get('act')).replace('_', ' ')})" if row.get("act") else ""
    )
    return f"{when}  {told}{does}; way back: {cell(row.get('way_back'))}"


def disabled_text(document: Mapping[str, Json], colour: bool = False) -> str:
    """Return the strategies that are asked no more, a line each with the reason."""
    return "\n".join(
        f"{paint(cell(row.get('strategy')), 'red', colour)}: {cell(row.get('reason'))}"
        for row in rows(document, "disabled")
    )


def _protected(row: Mapping[str, Json]) -> str:
    listing = row.get("listing", "traded")
    return cell(row.get("protected")) if listing == "traded" else cell(listing)


def _away(row: Mapping[str, Json], what: str) -> str:
    """Return the price of the stop or of the liquidation, and how far the mark is from it."""
    price, away = row.get(f"{what}_price"), row.get(f"{what}_distance_pct")
    return cell(price) if price is None or away is None else f"{cell(price)} ({cell(away)} %)"


def _unprotected(document: Mapping[str, Json]) -> list[str]:
    """Return a line for each position without its protection, with the reason."""
    return [
        f"{cell(row.get('symbol'))} is not protected: {cell(row.get('why_unprotected'))}"
        for row in rows(document, "positions")
        if row.get("protected") is not True
    ]


def _untraded_text(document: Mapping[str, Json], colour: bool) -> str:
    return "\n".join(
        f"{paint(cell(row.get('symbol')), 'red', colour)}: {cell(row.get('listing'))}, entries are off"
        + (f"; the venue says: {cell(row.get('words'))}" if row.get("words") else "")
        for row in rows(document, "untraded")
    )


def _mismatch_text(document: Mapping[str, Json], colour: bool) -> str:
    return "\n".join(
        f"{paint(_differing(row), 'red', colour)}: the venue has {cell(row.get('venue'))}, the book "
        f"{cell(row.get('book'))}; {cell(row.get('mend'))}"
        for row in rows(document, "mismatches")
    )


def _differing(row: Mapping[str, Json]) -> str:
    return cell(row.get("symbol")) if row.get("symbol") else "cash"


def set_aside_text(document: Mapping[str, Json], colour: bool = False) -> str:
    """Return the inputs that ``document`` says were set aside, a line each with the reason."""
    return "\n".join(set_aside_line(row, colour) for row in rows(document, "set_aside"))


def set_aside_line(row: Mapping[str, Json], colour: bool = False) -> str:
    """Return the line of one row."""
    about = " ".join(cell(row.get(key)) for key in ("input", "symbol", "about") if row.get(key))
    return (
        f"{moment(row.get('ts'))}  {paint(about or 'unknown', 'red', colour)} was set aside: {cell(row.get('reason'))}"
    )


def _titled(title: str, text: str, colour: bool) -> str:
    indented = "\n".join(f"  {line}" for line in text.splitlines())
    return f"{paint(title, 'bold', colour)}\n{indented}"


def _status_head(document: Mapping[str, Json], state: str, colour: bool) -> str:
    differing = ", ".join(map(_differing, rows(document, "mismatches")))
    said = state.replace("_", "-") + (f" (mismatch {differing})" if differing else "")
    shown = paint(said, "red" if differing else _GOOD_STATES.get(state, "red"), colour)
    return (
        f"{cell(document.get('bot'))} is {shown} ({cell(document.get('mode'))}), pid {cell(document.get('pid'))},"
        f" up {duration(document.get('uptime_s'))}, version {cell(document.get('version'))}"
    )


def _status_pairs(document: Mapping[str, Json], colour: bool) -> list[tuple[str, str]]:
    venue, feed, orders = section(document, "venue"), section(document, "feed"), section(document, "orders")
    protected = section(document, "protected")
    connected = "connected" if venue.get("connected") is True else paint("not connected", "red", colour)
    guarded = f"PROTECTED {cell(protected.get('protected'))}/{cell(protected.get('total'))}"
    if protected.get("protected") != protected.get("total"):
        guarded = paint(guarded, "red", colour)
    errors = cell(document.get("errors_last_hour"))
    lost = document.get("log_failures")
    unwritten = [("log", paint(f"{cell(lost)} lines could not be written", "red", colour))] if lost else []
    reason = document.get("reason")
    return [
        *([("reason", paint(cell(reason), "red", colour))] if reason else []),
        ("venue", f"{_venue_name(venue)}, {connected}"),
        ("feed", f"{cell(feed.get('kind'))}, {cell(feed.get('state'))}, market time {moment(feed.get('last_ts'))}"),
        *_account_pairs(section(document, "account"), colour),
        ("orders", f"{cell(orders.get('open'))} open, {cell(orders.get('unknown'))} of unknown outcome"),
        ("stops", guarded),
        ("errors", f"{errors if errors == '0' else paint(errors, 'red', colour)} in the last hour"),
        *unwritten,
        ("last signal", _last_signal(section(document, "last_signal"))),
        ("last trade", _last_trade(section(document, "last_trade"), colour)),
    ]


def _venue_name(venue: Mapping[str, Json]) -> str:
    network = venue.get("network")
    return cell(venue.get("kind")) + ("" if network in (None, "none") else f" {cell(network)}")


def _account_pairs(account: Mapping[str, Json], colour: bool) -> list[tuple[str, str]]:
    # What only a real venue says has no line where there is none.
    residual = " and ".join(
        [
            money(account.get("residual")),
            *(f"{cell(qty)} {symbol}" for symbol, qty in section(account, "residual_qty").items()),
        ]
    )
    said = [("at the venue", "venue_equity", money(account.get("venue_equity"))), ("residual", "residual", residual)]
    return [
        ("equity", money(account.get("equity"))),
        ("cash", money(account.get("cash"))),
        ("realized", signed(money(account.get("realized_pnl")), colour)),
        ("unrealized", signed(money(account.get("unrealized_pnl")), colour)),
        ("fees", money(account.get("fees"))),
        ("funding", money(account.get("funding"))),
        ("drawdown", f"{cell(account.get('drawdown_pct'))} %"),
        ("margin used", money(account.get("margin_used"))),
        *((name, text) for name, key, text in said if account.get(key) is not None),
    ]


def _last_signal(signal: Mapping[str, Json]) -> str:
    if not signal:
        return "none yet"
    words = " ".join(cell(signal.get(key)) for key in ("strategy", "symbol", "action", "side", "outcome"))
    gate = signal.get("gate")
    return f"{moment(signal.get('ts'))} {words}{f' ({cell(gate)})' if gate else ''}"


def _last_trade(trade: Mapping[str, Json], colour: bool) -> str:
    if not trade:
        return "none yet"
    words = " ".join(cell(trade.get(key)) for key in ("strategy", "symbol", "side", "exit_reason"))
    return f"{moment(trade.get('exit_ts'))} {words} {signed(money(trade.get('net_pnl')), colour)}"
