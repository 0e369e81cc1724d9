"""Reports, trades and decisions as text for a terminal, from their JSON."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from tradebot.model.near import nearest
from tradebot.report.gaps import ends_text, gaps_text
from tradebot.report.labels import label, shown
from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, columns, fold, moment, paint, pairs, signed, table
from tradebot.report.text import breakers_text, disabled_text, set_aside_line, set_aside_text
from tradebot.report.verdict import assumption_lines, luck_lines

_TRADING = ("trades", "expectancy", "avg_win", "avg_loss", "max_drawdown_pct", "exposure_pct")
_RATIOS = ("win_rate", "profit_factor", "sharpe", "sortino", "calmar", "var95", "cvar95", "kelly")
_GROUP_KEYS = ("trades", "win_rate", "profit_factor", "gross_pnl", "fees", "funding", "net_pnl")
_RUN_KEYS = ("bars", "wall_s", "bars_per_s", "signals", "orders", "refused")


def report_text(document: Mapping[str, Json], colour: bool = False, width: int | None = None) -> str:
    """Return ``report`` (or the result of a backtest): money, ratios, the groups asked for, and what they rest on."""
    blocks = [_report_pairs(document, colour)]
    for key, name in (("by_symbol", "symbol"), ("by_strategy", "strategy")):
        groups = section(document, key)
        listed = [{name: group, **section(groups, group)} for group in groups]
        if listed:
            blocks.append(_group_table(name, listed, colour))
    # Those two are shown anyway.
    if rows(document, "rows") and document.get("by") not in ("symbol", "strategy"):
        blocks.append(_group_table(cell(document.get("by")), rows(document, "rows"), colour))
    held = rows(document, "open_positions")
    if held:
        keys = ("symbol", "strategy", "side", "qty", "entry_price", "mark_price", "unrealized_pnl")
        body = [[shown(key, row.get(key)) for key in keys] for row in held]
        blocks.append("still open\n" + table([label(key) for key in keys], body, left=3, colour=colour))
    blocks.extend(_remarks(document, colour))
    told = (("what could be luck", luck_lines(document)), ("what this rests on", assumption_lines(document)))
    blocks.extend("\n".join([title, *(fold(line, width) for line in lines)]) for title, lines in told if lines)
    run = [(label(key), shown(key, document[key])) for key in _RUN_KEYS if key in document]
    if run:
        blocks.append(pairs(run))
    return "\n\n".join(blocks)


def trades_text(listed: Sequence[Mapping[str, Json]], colour: bool = False, width: int | None = None) -> str:
    """Return the rows of ``trades`` as a table."""
    if not listed:
        return "no closed round trip yet"
    keys = ("exit_ts", "symbol", "strategy", "side", "qty", "entry_price", "exit_price", "exit_reason")
    names = ("closed", "symbol", "strategy", "side", "qty", "entry", "exit", "by", "net")
    body = [[*columns(row, keys), shown("net_pnl", row.get("net_pnl"))] for row in listed]
    return table(names, body, left=4, colour=colour, width=width)


def signals_text(listed: Sequence[Mapping[str, Json]], colour: bool = False, width: int | None = None) -> str:
    """Return the rows of ``signals`` as a table."""
    if not listed:
        return "no signal yet"
    keys = ("ts", "symbol", "strategy", "action", "side", "outcome", "gate", "close", "stop", "target", "confidence")
    return table(keys, [columns(row, keys) for row in listed], left=7, colour=colour, width=width)


def why_text(listed: Sequence[Mapping[str, Json]], colour: bool = False, width: int | None = None) -> str:
    """Return the rows of ``why``: a paragraph a decision."""
    if not listed:
        return "no decision on that yet"
    return "\n\n".join(fold(_decision_text(row, colour), width) for row in listed)


def no_decision_text(about: str, symbols: Collection[str]) -> str:
    """Return what to say when nothing was decided on ``about``; ``symbols`` are those with decisions."""
    if not symbols:
        return f"no decision on {cell(about)}: nothing was decided yet"
    known = ", ".join(cell(symbol) for symbol in sorted(symbols))
    near = nearest(about, symbols)
    hint = "" if near is None else f"; did you mean {cell(near)}?"
    none = f"no decision on {cell(about)}: not a symbol with decisions, nor the id of one"
    return f"{none}; there are some on {known}{hint}"


def _remarks(document: Mapping[str, Json], colour: bool) -> Iterator[str]:
    assumed = rows(document, "assumed_ticks")
    if assumed:
        names = ("symbol", "price", "tick")
        yield "assumed ticks\n" + table(names, [columns(row, names) for row in assumed], colour=colour)
    if rows(document, "gaps"):
        yield "bars that are missing\n" + gaps_text(document)
    if rows(document, "ended_early"):
        yield "bars that end early\n" + ends_text(document)
    if rows(document, "breakers"):
        yield "breakers that acted\n" + breakers_text(document, colour)
    if rows(document, "disabled"):
        yield "disabled strategies\n" + disabled_text(document, colour)
    if rows(document, "set_aside"):
        yield "inputs set aside\n" + set_aside_text(document, colour)
    notes = document.get("data_notes")
    if isinstance(notes, list) and notes:
        yield "\n".join(["of the data", *map(cell, notes)])


def _report_pairs(document: Mapping[str, Json], colour: bool) -> str:
    entries = [
        ("From", moment(document.get("since"))),
        ("To", moment(document.get("until"))),
        ("Equity", " -> ".join(shown(key, document.get(key)) for key in ("starting_equity", "ending_equity"))),
        *((label(key), signed(shown(key, document.get(key)), colour)) for key in ("net_pnl", "gross_pnl")),
        ("Fees", shown("fees", document.get("fees"))),
        ("Funding", _funding(document)),
        *(
            []
            if document.get("deposits") in (None, "0")
            else [("Deposits", shown("deposits", document.get("deposits")))]
        ),
        *((label(key), shown(key, document.get(key))) for key in ("residual", *_TRADING, *_RATIOS)),
    ]
    return pairs(entries)


def _funding(document: Mapping[str, Json]) -> str:
    estimates = document.get("funding_estimates")
    note = f" ({cell(estimates)} hours at the configured rate)" if estimates else ""
    return shown("funding", document.get("funding")) + note


def _group_table(name: str, listed: Sequence[Mapping[str, Json]], colour: bool) -> str:
    has_equity = any("equity" in row for row in listed)
    keys = (name, *_GROUP_KEYS, *(["equity"] if has_equity else []))
    return table(
        [label(key) for key in keys], [[shown(key, row.get(key)) for key in keys] for row in listed], colour=colour
    )


def _decision_text(row: Mapping[str, Json], colour: bool) -> str:
    outcome = cell(row.get("outcome"))
    if outcome == "set_aside":
        return set_aside_line(row, colour)
    code = {"ordered": "green", "refused": "red"}.get(outcome, "yellow")
    confidence = row.get("confidence")
    sure = "no confidence given" if confidence is None else f"confidence {cell(confidence)}"
    head = (
        f"{moment(row.get('ts'))}  {cell(row.get('symbol'))}  {cell(row.get('strategy'))} wanted to"
        f" {cell(row.get('action'))} {cell(row.get('side'))} ({cell(row.get('signal_id'))}, {sure}):"
        f" {paint(outcome, code, colour)}"
    )
    factors = section(row, "factors")
    lines = [head, *_pattern_lines(row)]
    if factors:
        lines.append("  factors: " + ", ".join(f"{cell(name)} {cell(factors[name])}" for name in factors))
    lines.extend(_gate_lines(row))
    lines.extend(f"  {_order_text(order)}" for order in rows(row, "orders"))
    if not rows(row, "orders") and outcome == "waiting":
        lines.append("  approved; no order went out yet")
    return "\n".join(lines)


def _pattern_lines(row: Mapping[str, Json]) -> list[str]:
    lines = []
    if row.get("pattern"):
        levels = section(row, "levels")
        lines.append(
            "  pattern: " + ", ".join([cell(row["pattern"]), *(f"{cell(k)} {cell(levels[k])}" for k in levels)])
        )
    named = (("close", "close"), ("entry_price", "entry"), ("stop", "stop"), ("target", "target"))
    prices = [f"{name} {cell(row[key])}" for key, name in named if row.get(key) is not None]
    prices += [f"target {cell(rung.get('price'))} for {cell(rung.get('fraction'))}" for rung in rows(row, "ladder")]
    if row.get("void_price") is not None:
        prices.append(f"void beyond {cell(row['void_price'])}")
    if row.get("expires_ts") is not None:
        prices.append(f"until {moment(row['expires_ts'])}")
    return [*lines, "  prices: " + ", ".join(prices)] if prices else lines


def _gate_lines(row: Mapping[str, Json]) -> list[str]:
    if row.get("outcome") == "refused":
        detail = f" - {cell(row.get('detail'))}" if row.get("detail") else ""
        return [f"  stopped by {cell(row.get('gate'))}{_numbers(row)}{detail}"]
    return [f"  made smaller by {cell(cut.get('gate'))}{_numbers(cut)}" for cut in rows(row, "cuts")]


def _numbers(row: Mapping[str, Json]) -> str:
    limit, value = row.get("limit"), row.get("value")
    if limit is None and value is None:
        return ""
    return f": value {cell(value)}, limit {cell(limit)}"


def _order_text(order: Mapping[str, Json]) -> str:
    at = "".join(f" {name} {cell(order.get(name))}" for name in ("price", "trigger") if order.get(name) is not None)
    if order.get("moved_by") is not None:
        at += f" (moved by {cell(order['moved_by'])})"
    text = (
        f"{cell(order.get('role'))} {cell(order.get('side'))} {cell(order.get('qty'))}"
        f" {cell(order.get('type')).replace('_', '-')}{at}: {cell(order.get('state')).replace('_', ' ')}"
    )
    if order.get("fill_price") is not None:
        text += f", {cell(order.get('filled_qty'))} at {cell(order.get('fill_price'))}, fees {cell(order.get('fees'))}"
    elif order.get("reason"):
        text += f" ({cell(order.get('reason'))})"
    return text
