"""What the keys of a report are called by people, and how their values are shown: unit, percent, two decimals."""

from collections.abc import Callable, Mapping
from math import floor, isfinite, log10
from typing import NamedTuple

from tradebot.report.shapes import Json
from tradebot.report.table import cell, duration, moment

_SMALL = 1e-4


class _Label(NamedTuple):
    name: str
    show: Callable[[Json], str] = cell
    is_signed: bool = False


def percent(value: Json) -> str:
    """Return a number that is in percent: one decimal, below 1 two digits.

    >>> percent(4.18), percent(-0.0371), percent(0)
    ('4.2 %', '-0.037 %', '0 %')
    """
    if not isinstance(value, int | float):
        return "-"
    if value == 0:
        return "0 %"
    if abs(value) >= 0.995:
        return f"{value:,.1f} %"
    return f"{value:.2g} %" if abs(value) >= _SMALL else f"{value:.6f} %"


def _amount(value: Json) -> str:
    """Return money with two decimals; below 1 with four digits, since a cent may be much of what was traded.

    >>> _amount("1234.5"), _amount("-0.26305957"), _amount("0.0000012345")
    ('1,234.50', '-0.2631', '0.000001235')
    """
    if not isinstance(value, str):
        return "-" if value is None else cell(value)
    try:
        number = float(value)
    except ValueError:
        return cell(value)
    if number == 0 or abs(number) >= 1 or not isfinite(number):
        return f"{number:,.2f}"
    return f"{number:.{3 - floor(log10(abs(number)))}f}".rstrip("0")


def _fraction(value: Json) -> str:
    return percent(value * 100) if isinstance(value, int | float) else "-"


def _ratio(value: Json) -> str:
    return f"{value:,.2f}" if isinstance(value, int | float) else "-"


def _whole(value: Json) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else "-"


def _multiple(value: Json) -> str:
    return f"{value:,.2f} x equity" if isinstance(value, int | float) else "-"


def _basis_points(value: Json) -> str:
    return f"{value:,.2f} bp" if isinstance(value, int | float) else "-"


def _words(value: Json) -> str:
    return cell(value).replace("_", " ")


def _seconds(value: Json) -> str:
    return f"{value:,.2f} s" if isinstance(value, int | float) else "-"


def _speed(value: Json) -> str:
    return f"{value:,.0f} bars/s" if isinstance(value, int | float) else "-"


_LABELS: Mapping[str, _Label] = {
    "since": _Label("From", moment),
    "until": _Label("To", moment),
    "starting_equity": _Label("Starting equity", _amount),
    "ending_equity": _Label("Ending equity", _amount),
    "equity": _Label("Equity", _amount),
    "net_pnl": _Label("Net P&L", _amount, is_signed=True),
    "gross_pnl": _Label("Gross P&L", _amount, is_signed=True),
    "fees": _Label("Fees", _amount),
    "funding": _Label("Funding", _amount, is_signed=True),
    "deposits": _Label("Deposits", _amount),
    "residual": _Label("Residual", _amount),
    "trades": _Label("Trades", _whole),
    "win_rate": _Label("Win rate", _fraction),
    "profit_factor": _Label("Profit factor", _ratio),
    "expectancy": _Label("Expectancy", _amount, is_signed=True),
    "avg_win": _Label("Average win", _amount),
    "avg_loss": _Label("Average loss", _amount),
    "return_pct": _Label("Return", percent, is_signed=True),
    "annual_return": _Label("Return a year", _fraction, is_signed=True),
    "volatility": _Label("Volatility a year", _fraction),
    "alpha": _Label("Alpha a year", _fraction, is_signed=True),
    "beta": _Label("Beta", _ratio),
    "correlation": _Label("Correlation", _ratio),
    "max_drawdown_pct": _Label("Max drawdown", percent),
    "depth_pct": _Label("Depth", percent),
    "trough": _Label("Deepest", moment),
    "turnover": _Label("Turnover", _amount),
    "turnover_per_day": _Label("Turnover a day", _multiple),
    "fees_bps": _Label("Fees of turnover", _basis_points),
    "fees_share": _Label("Fees of gross P&L", _fraction),
    "funding_share": _Label("Funding of gross P&L", _fraction),
    "avg_hold_s": _Label("Average time held", duration),
    "longest_wins": _Label("Most wins in a row", _whole),
    "longest_losses": _Label("Most losses in a row", _whole),
    "avg_mae": _Label("Average MAE", _amount),
    "avg_mfe": _Label("Average MFE", _amount),
    "avg_mae_of_winners": _Label("MAE of winners", _amount),
    "avg_mfe_of_losers": _Label("MFE of losers", _amount),
    "regime": _Label("Regime", _words),
    "hour": _Label("Hour"),
    "weekday": _Label("Weekday"),
    "exposure_pct": _Label("Exposure", percent),
    "sharpe": _Label("Sharpe ratio", _ratio),
    "sortino": _Label("Sortino ratio", _ratio),
    "calmar": _Label("Calmar ratio", _ratio),
    "var95": _Label("Daily VaR 95 %", _fraction),
    "cvar95": _Label("Daily CVaR 95 %", _fraction),
    "kelly": _Label("Kelly fraction", _fraction),
    "bars": _Label("Bars", _whole),
    "wall_s": _Label("Run time", _seconds),
    "bars_per_s": _Label("Speed", _speed),
    "signals": _Label("Signals", _whole),
    "orders": _Label("Signals approved", _whole),
    "refused": _Label("Signals refused", _whole),
    "symbol": _Label("Symbol"),
    "strategy": _Label("Strategy"),
    "side": _Label("Side"),
    "qty": _Label("Quantity"),
    "entry_ts": _Label("Opened (UTC)", moment),
    "entry_price": _Label("Entry"),
    "exit_ts": _Label("Closed (UTC)", moment),
    "exit_price": _Label("Exit"),
    "exit_reason": _Label("By"),
    "mark_price": _Label("Mark"),
    "unrealized_pnl": _Label("Open P&L", _amount, is_signed=True),
    "price": _Label("Price"),
    "tick": _Label("Tick"),
    "day": _Label("Day"),
    "week": _Label("Week"),
    "month": _Label("Month"),
}


def label(key: str) -> str:
    """Return what ``key`` is called; an unknown one is its own words."""
    known = _LABELS.get(key)
    return key.replace("_", " ").capitalize() if known is None else known.name


def shown(key: str, value: Json) -> str:
    """Return the value of ``key`` as people read it; ``-`` where there is none."""
    known = _LABELS.get(key)
    return cell(value) if known is None else known.show(value)


def is_signed(key: str) -> bool:
    """Return whether the sign of ``key`` tells good from bad."""
    known = _LABELS.get(key)
    return known is not None and known.is_signed
