"""``risk`` as a trader reads it: what stands closest to its limit first, in 80 columns."""

from collections.abc import Mapping

from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, moment, money, paint, pairs, table

_BAR = 20
_NEAR, _FULL = 75.0, 100.0


def risk_text(document: Mapping[str, Json], colour: bool = False) -> str:
    """Return the state, every limit with how much of it is used, the exposure, and what bad days would cost."""
    parts = [_head(document, colour)]
    parts += [
        f"{paint(title, 'bold', colour)}\n{text}"
        for title, text in (
            ("Limits", _limits(document, colour)),
            ("Breakers", _breakers(document, colour)),
            ("Exposure", _exposure(section(document, "exposure"))),
            ("One bad day (loss)", _tails(document)),
            ("Moves together", _clusters(document)),
            ("Stress (loss now)", _stress(document, colour)),
            ("Size", _sizing(section(document, "sizing"))),
        )
        if text
    ]
    return "\n\n".join(parts)


def scenario(name: str) -> str:
    """Return the name of a scenario as words."""
    day = name.removeprefix("drop_")
    return name.replace("_", " ") if day == name else f"the fall of {day}"


def group_text(row: Mapping[str, Json]) -> str:
    """Return a cluster's symbols."""
    symbols = row.get("symbols")
    return " ".join(cell(symbol) for symbol in symbols) if isinstance(symbols, list) else ""


def window_text(document: Mapping[str, Json]) -> str:
    """Return of how many days the tails are, or why there are none."""
    measured = section(document, "measured")
    unknown = measured.get("unmeasured")
    if isinstance(unknown, list) and unknown:
        return f"not measured: fewer than 30 daily closes of {', '.join(cell(one) for one in unknown)}"
    return f"of {cell(measured.get('days'))} daily returns" if measured.get("days") else ""


def _head(document: Mapping[str, Json], colour: bool) -> str:
    state = cell(document.get("state"))
    told = paint(state, "green" if state == "running" else "red", colour)
    reason = f": {cell(document.get('reason'))}" if document.get("reason") else ""
    reason += f" as of {moment(document.get('as_of'))} UTC" if state == "stopped" else ""
    drawdown = f"{_percent(document.get('drawdown_pct'))} below its peak of {money(document.get('peak_equity'))}"
    return f"{told}{reason}; equity {money(document.get('equity'))}, {drawdown}"


def _limits(document: Mapping[str, Json], colour: bool) -> str:
    listed = rows(document, "limits")
    if not listed:
        return "no limit is set"
    ordered = sorted(listed, key=lambda row: -_number(row.get("pct_used")))
    has_scopes = any(row.get("scope") not in (None, "account") for row in listed)
    body = [
        [
            cell(row.get("limit")),
            *([cell(row.get("scope"))] if has_scopes else ()),
            money(row.get("value")),
            money(row.get("max")),
            _percent(row.get("pct_used")),
            _bar(_number(row.get("pct_used"))),
        ]
        for row in ordered
    ]
    head = ("limit", *(("of",) if has_scopes else ()), "used", "max", "used %", "")
    lines = table(head, body, colour=colour, left=1 + has_scopes).split("\n")
    return "\n".join([lines[0], *(_toned(line, row, colour) for line, row in zip(lines[1:], ordered, strict=True))])


def _bar(used: float) -> str:
    filled = max(0, min(_BAR, round(used / 100 * _BAR)))
    return "#" * filled + "." * (_BAR - filled)


def _toned(line: str, row: Mapping[str, Json], colour: bool) -> str:
    """Return the line of a limit with a bar that warns where it is nearly used up."""
    used = _number(row.get("pct_used"))
    if used < _NEAR:
        return line
    return line[:-_BAR] + paint(line[-_BAR:], "red" if used >= _FULL else "yellow", colour)


def _breakers(document: Mapping[str, Json], colour: bool) -> str:
    lines = []
    for row in rows(document, "breakers"):
        is_tripped = row.get("state") == "tripped"
        standing = paint("TRIPPED", "red", colour) if is_tripped else "ok     "
        line = f"{standing}  {cell(row.get('name'))}  {_short(row.get('value'))} of {_short(row.get('threshold'))}"
        if is_tripped:
            line += f", tier {cell(row.get('tier'))}, since {moment(row.get('since'))}\n"
            line += f"         way back: {cell(row.get('way_back'))}"
        lines.append(line)
    return "\n".join(lines)


def _exposure(exposure: Mapping[str, Json]) -> str:
    head = [
        ("gross", money(exposure.get("gross"))),
        ("net", money(exposure.get("net"))),
        ("leverage", _short(exposure.get("leverage"))),
    ]
    for key, name in (("by_side", "side"), ("by_symbol", "symbol"), ("by_strategy", "strategy")):
        amounts = section(exposure, key)
        told = [f"{one} {money(amount)}" for one, amount in amounts.items()]
        if told and len(amounts) > (key == "by_strategy"):
            head.append((f"by {name}", _folded(told)))
    return pairs(head)


def _tails(document: Mapping[str, Json]) -> str:
    var, cvar = rows(document, "var"), rows(document, "cvar")
    body = [
        [
            f"{cell(row.get('method')).replace('_', '-')} {_short(_number(row.get('level')) * 100)} %",
            money(row.get("value")),
            _percent(row.get("pct")),
            money(other.get("value")),
            _percent(other.get("pct")),
        ]
        for row, other in zip(var, cvar, strict=False)
        if row.get("value") is not None
    ]
    window = window_text(document)
    if not window:
        return ""
    if not body:
        return window
    return f"{table(('method', 'VaR', 'of equity', 'CVaR', 'of equity'), body)}\n{window}"


def _clusters(document: Mapping[str, Json]) -> str:
    joined = [row for row in rows(document, "clusters") if " " in group_text(row)]
    amounts = section(section(document, "exposure"), "by_cluster")
    told = []
    for row in joined:
        name = group_text(row)
        words = [*name.split()[:-1], f"{name.split()[-1]}: {money(amounts.get(name.replace(' ', '+')))} together"]
        told.append((_short(row.get("correlation")), _folded(words, " ", indent=8)))
    return pairs(told)


def _stress(document: Mapping[str, Json], colour: bool) -> str:
    listed = rows(document, "stress")
    if not any(_number(row.get("loss")) for row in listed):
        return ""
    ordered = sorted(listed, key=lambda row: -_number(row.get("loss")))
    body = [
        [
            scenario(cell(row.get("scenario"))),
            money(row.get("loss")),
            _percent(row.get("loss_pct")),
            paint("LIQUIDATED", "red", colour) if row.get("liquidated") else "",
        ]
        for row in ordered
    ]
    return table(("scenario", "loss", "of equity", ""), body, colour=colour)


def _sizing(sizing: Mapping[str, Json]) -> str:
    return pairs(
        (name.replace("_", " "), f"x {_short(value)}" if "_scale" in name else f"{_short(value)} of equity at most")
        for name, value in sizing.items()
    )


def _folded(words: list[str], between: str = ", ", indent: int = 13) -> str:
    lines: list[str] = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > 60:
            lines.append("")
        lines[-1] += f"{between}{word}" if lines[-1] else word
    return f"\n{' ' * indent}".join(lines)


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float | str) and value != "" else 0.0


def _percent(value: Json) -> str:
    return "-" if value is None else f"{_number(value):.1f} %"


def _short(value: Json) -> str:
    return "-" if value is None else f"{_number(value):.4g}"
