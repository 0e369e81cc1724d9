"""``risk`` as one HTML page that needs nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tradebot.report.html import page
from tradebot.report.risk_text import group_text, risk_text, scenario, window_text
from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, moment, money

STYLE = """
.bar { background: var(--rule); display: inline-block; height: .7em; width: 8rem; vertical-align: middle }
.bar i { background: var(--line); display: block; height: 100% } .bar .bad { background: var(--bad) }
"""
_NEAR = 75.0


def risk_html(document: Mapping[str, Json], *, title: str = "tradebot risk") -> str:
    """Return the page of a ``risk`` document."""
    exposure = section(document, "exposure")
    head = risk_text({**document, "limits": [], "breakers": []}).split("\n", 1)[0]
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(head)}. Amounts are in the currency of the account.</p>",
        _table("Limits", ("Limit", "Of", "Used", "Max", "Used %", ""), _limits(document), "No limit is set."),
        _table("Breakers", ("Breaker", "State", "Value", "Threshold", "Since", "Way back"), _breakers(document)),
        _table("Exposure", ("", "Amount"), _exposure(exposure)),
        _table("One bad day", ("Method", "Level", "VaR", "of equity, %", "CVaR", "of equity, %"), _tails(document)),
        f"<p>{escape(window_text(document))}</p>",
        _table("Of which position", ("Symbol", "VaR 95 %", "saved by closing", "VaR 99 %", "saved"), _parts(document)),
        _table("What moves together", ("Symbols", "Correlation", "Held"), _clusters(document)),
        _table("Stress: the loss each would mean now", ("Scenario", "Loss", "of equity, %", ""), _stress(document)),
        _table(
            "Size", ("Factor", "Value"), ((name, cell(value)) for name, value in section(document, "sizing").items())
        ),
    ]
    return page(title, "".join(parts), STYLE)


def _table(title: str, head: Sequence[str], body: Iterable[Sequence[str]], empty: str = "") -> str:
    """Return a table of texts, or ``empty`` where there is nothing; a text that begins a tag is one."""
    listed = [list(row) for row in body]
    if not listed:
        return f"<h2>{title}</h2><p>{empty}</p>" if empty else ""
    names = "".join(f"<th{' class=name' if place == 0 else ''}>{escape(one)}</th>" for place, one in enumerate(head))
    lines = "".join(f"<tr>{''.join(_td(place, one) for place, one in enumerate(row))}</tr>" for row in listed)
    return f'<h2>{title}</h2><div class="wide"><table><tr>{names}</tr>{lines}</table></div>'


def _td(place: int, text: str) -> str:
    if isinstance(text, _Tag):
        return f"<td>{text}</td>"
    return f"<td{' class=name' if place == 0 else ''}>{escape(text)}</td>"


class _Tag(str):
    """Markup made here."""

    __slots__ = ()


def _limits(document: Mapping[str, Json]) -> Iterable[Sequence[str]]:
    for row in sorted(rows(document, "limits"), key=lambda one: -_number(one.get("pct_used"))):
        used = _number(row.get("pct_used"))
        tone = " class=bad" if used >= _NEAR else ""
        bar = _Tag(f'<span class="bar"><i{tone} style="width:{min(100.0, max(0.0, used)):.1f}%"></i></span>')
        yield (
            cell(row.get("limit")),
            cell(row.get("scope")),
            money(row.get("value")),
            money(row.get("max")),
            f"{used:.1f}",
            bar,
        )


def _breakers(document: Mapping[str, Json]) -> Iterable[Sequence[str]]:
    for row in rows(document, "breakers"):
        state = cell(row.get("state"))
        told = _Tag(f'<b class="bad">{escape(state)}</b>') if state == "tripped" else state
        since = "" if row.get("since") is None else moment(row.get("since"))
        yield (
            cell(row.get("name")),
            told,
            cell(row.get("value")),
            cell(row.get("threshold")),
            since,
            cell(row.get("way_back")),
        )


def _exposure(exposure: Mapping[str, Json]) -> Iterable[Sequence[str]]:
    yield "gross", money(exposure.get("gross"))
    yield "net", money(exposure.get("net"))
    yield "leverage", cell(exposure.get("leverage"))
    for key in ("by_side", "by_symbol", "by_strategy"):
        for name, amount in section(exposure, key).items():
            yield f"{key.replace('_', ' ')}: {name}", money(amount)


def _tails(document: Mapping[str, Json]) -> Iterable[Sequence[str]]:
    for one, other in zip(rows(document, "var"), rows(document, "cvar"), strict=False):
        if one.get("value") is not None:
            method = cell(one.get("method")).replace("_", "-")
            yield (
                method,
                cell(one.get("level")),
                money(one.get("value")),
                _two(one),
                money(other.get("value")),
                _two(other),
            )


def _two(row: Mapping[str, Json]) -> str:
    return "" if row.get("pct") is None else f"{_number(row.get('pct')):.2f}"


def _parts(document: Mapping[str, Json]) -> Iterable[Sequence[str]]:
    for row in rows(document, "components"):
        yield cell(row.get("symbol")), *(money(row.get(key)) for key in ("var95", "saved95", "var99", "saved99"))


def _clusters(document: Mapping[str, Json]) -> Iterable[Sequence[str]]:
    amounts = section(section(document, "exposure"), "by_cluster")
    for row in rows(document, "clusters"):
        name = group_text(row)
        if " " not in name:
            # It moves with nothing.
            continue
        yield name, f"{_number(row.get('correlation')):.2f}", money(amounts.get(name.replace(" ", "+")))


def _stress(document: Mapping[str, Json]) -> Iterable[Sequence[str]]:
    for row in sorted(rows(document, "stress"), key=lambda one: -_number(one.get("loss"))):
        told = _Tag('<b class="bad">liquidated</b>') if row.get("liquidated") else ""
        share = "" if row.get("loss_pct") is None else f"{_number(row.get('loss_pct')):.1f}"
        yield scenario(cell(row.get("scenario"))), money(row.get("loss")), share, told


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float | str) and value != "" else 0.0
