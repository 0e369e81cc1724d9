"""Commands that ask the running daemon for something, and those that show what it holds."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tradebot.cli.context import Context
from tradebot.control import client
from tradebot.model.errors import NotRunning, UsageError
from tradebot.report.shapes import Json

DEFAULT_LAST = 50
_ACT_TIMEOUT_S = 30.0
# Of so many, the newest, the symbols are told when a question names none of them.
_MOST_SIGNALS = 10_000

Rows = Sequence[Mapping[str, Json]]


def pause(context: Context) -> int:
    """No new entries."""
    return act(context, "pause")


def resume(context: Context) -> int:
    """Trade again."""
    return act(context, "resume", reason(context))


def reduce_only(context: Context) -> int:
    """Nothing that adds to a position."""
    return act(context, "reduce-only")


def close(context: Context) -> int:
    """Close a position or a part of it."""
    arguments = {key: context.given.text(key) for key in ("symbol", "fraction")}
    return act(context, "close", {key: value for key, value in arguments.items() if value is not None})


def cancel(context: Context) -> int:
    """Cancel one order or all."""
    order_id, is_all = context.given.text("id"), context.given.flag("all")
    if (order_id is None) is not is_all:
        raise UsageError("name one order, or say --all", where="tradebot cancel", mend="tradebot orders lists them")
    return act(context, "cancel", {"all": "true"} if order_id is None else {"id": order_id})


def act(
    context: Context, verb: str, arguments: Mapping[str, str] | None = None, timeout: float = _ACT_TIMEOUT_S
) -> int:
    """Send ``verb`` and print what the daemon answers."""
    body = client.act(context.socket, verb, arguments, timeout)
    if context.is_json:
        context.write_bytes(body)
        return 0
    document = json.loads(body)
    detail = document.get("detail") if isinstance(document, dict) else None
    context.write(str(detail or f"{verb}: done"))
    return 0


def orders(context: Context) -> int:
    """List the open orders."""
    from tradebot.report.text import orders_text

    return _show_lines(context, client.read(context.socket, "orders"), orders_text)


def positions(context: Context) -> int:
    """List the open positions."""
    from tradebot.report.text import positions_text

    return _show_document(context, "positions", positions_text)


def balance(context: Context) -> int:
    """Show the account."""
    from tradebot.report.text import balance_text

    return _show_document(context, "balance", balance_text)


def risk(context: Context) -> int:
    """Show the limits, the exposure and what bad days would cost; write it as a page where asked."""
    from tradebot.report.risk_text import risk_text

    try:
        body = client.read(context.socket, "risk")
    except NotRunning:
        from tradebot.cli.stored_risk import read_stored_risk

        body = read_stored_risk(context)
    document = json.loads(body)
    path = context.given.text("html")
    if path is not None:
        from tradebot.cli.commands_results import write_lines
        from tradebot.report.risk_html import risk_html

        write_lines(Path(path), [risk_html(document)])
        context.note(f"wrote {path}")
    if context.is_json:
        context.write_bytes(body)
    elif path is None:
        context.write(risk_text(document, context.is_colour))
    return 0


def signals(context: Context) -> int:
    """List signals, newest first; from the journal when no daemon runs."""
    from tradebot.report.result_text import signals_text

    return _show_lines(context, _read_decisions(context, "signals", {}), signals_text)


def why(context: Context) -> int:
    """Explain decisions, newest first; from the journal when no daemon runs."""
    from tradebot.report.result_text import no_decision_text, why_text

    about = context.given.text("symbol") or ""
    body = _read_decisions(context, "why", {"of": about})
    if body or context.is_json:
        return _show_lines(context, body, why_text)
    signals = map(json.loads, _read_decisions(context, "signals", {}, _MOST_SIGNALS).splitlines())
    context.write(no_decision_text(about, {row["symbol"] for row in signals}))
    return 0


def reason(context: Context) -> dict[str, str]:
    """Return the argument that notes why."""
    text = context.given.text("reason")
    return {} if text is None else {"reason": text}


def _read_decisions(context: Context, view: str, query: dict[str, str], limit: int | None = None) -> bytes:
    query["limit"] = str(limit or context.given.whole("last", DEFAULT_LAST))
    try:
        return client.read(context.socket, view, query)
    except NotRunning:
        from tradebot.cli.stored import read_stored

        return read_stored(context.home, view, query)


def _show_document(context: Context, view: str, render: Callable[[Mapping[str, Json], bool], str]) -> int:
    body = client.read(context.socket, view)
    if context.is_json:
        context.write_bytes(body)
    else:
        context.write(render(json.loads(body), context.is_colour))
    return 0


def _show_lines(context: Context, body: bytes, render: Callable[[Rows, bool, int | None], str]) -> int:
    if context.is_json:
        context.write_bytes(body)
    else:
        context.write(render([json.loads(line) for line in body.splitlines()], context.is_colour, context.width))
    return 0
