"""The configuration that ``init`` writes: commented, complete, and never over another one."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path

from tradebot.model.errors import ConfigError, NotPermitted, StorageFailed, UsageError
from tradebot.model.money import plain
from tradebot.runtime.settings_model import SYMBOL_PATTERN


class Kind(StrEnum):
    """What ``init`` sets up."""

    PAPER = "paper"
    DEVNET = "devnet"
    HYPERLIQUID = "hyperliquid"


@dataclass(frozen=True, slots=True)
class Question:
    """One question of ``init``. ``normalise`` returns the answer as it is written, or raises ``UsageError``."""

    key: str
    text: str
    default: str
    normalise: Callable[[str], str]


def _symbols(answer: str) -> str:
    symbols = [part.upper() for part in re.split(r"[,\s]+", answer.strip()) if part]
    wrong = [symbol for symbol in symbols if not re.match(SYMBOL_PATTERN, symbol)]
    if wrong or not symbols or len(set(symbols)) != len(symbols):
        raise UsageError(f"{answer!r} is not a list of symbols", mend="write such as: BTC ETH SOL")
    return ", ".join(f'"{symbol}"' for symbol in symbols)


def _number(answer: str, low: Decimal, high: Decimal) -> str:
    try:
        number = Decimal(answer.strip())
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and low < number <= high):
        raise UsageError(f"{answer!r} is not a number above {low} and up to {high}")
    return plain(number)


def _cash(answer: str) -> str:
    return _number(answer, Decimal(0), Decimal(10**12))


def _fraction(answer: str) -> str:
    percent = Decimal(_number(answer.strip().removesuffix("%"), Decimal(0), Decimal(10)))
    return plain(percent / 100)


QUESTIONS: tuple[Question, ...] = (
    Question("symbols", "Which symbols", "BTC, ETH, SOL", _symbols),
    Question("cash", "Starting cash", "10000", _cash),
    Question("risk", "Risk per trade, percent of equity", "1", _fraction),
)
"""At most three, each with a default."""


def init_text(kind: Kind, answers: Mapping[str, str]) -> str:
    """Return a configuration; questions without an answer take their default.

    Raises ``UsageError`` on an answer that does not fit, ``ConfigError`` for a venue that is not built yet.
    """
    if kind is not Kind.PAPER:
        raise ConfigError(f"init --{kind}: this venue is not built yet", mend="use `tradebot init --paper`")
    values = {item.key: item.normalise(answers.get(item.key) or item.default) for item in QUESTIONS}
    cash = Decimal(values["cash"])
    return _PAPER.format(
        symbols=values["symbols"],
        first=values["symbols"].partition(",")[0].strip('"'),
        cash=values["cash"],
        fraction=values["risk"],
        notional=plain(cash),
        exposure=plain(2 * cash),
    )


def write_init(path: Path, text: str) -> None:
    """Write ``text`` to a new file of its owner alone. Raises ``ConfigError`` when there is one already."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        mend = "edit it, move it away, or name another with --home"
        raise ConfigError("there is a file already; it is never overwritten", where=str(path), mend=mend) from None
    except PermissionError as error:
        raise NotPermitted(f"cannot write: {error.strerror}", where=str(path)) from error
    except OSError as error:
        raise StorageFailed(f"cannot write: {error.strerror}", where=str(path)) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # Half a configuration would stand in the way of the next try.
        path.unlink(missing_ok=True)
        raise StorageFailed(f"cannot write: {error.strerror}", where=str(path)) from error


_PAPER = """\
# A configuration of tradebot: paper trading, simulated money. Start it with `tradebot start`, watch it with
# `tradebot status --watch`. Check a change with `tradebot config check`; every key is in
# docs/reference/configuration.md. Secrets never stand here.

[bot]
name = "paper"
mode = "paper"                       # paper | live (not built yet)
symbols = [{symbols}]

# A generated market: seeded, so that the same seed gives the same prices.
[feed]
kind = "generated"
seed = 1
timeframe = "1m"
speed = 60                           # market seconds per real second, or "max"

# Bars of your own instead: put this in place of the [feed] above. Paths are relative to this file.
# [feed]
# kind = "replay"
# data = ["{first}:5m=bars.csv.gz"]        # SYMBOL:TIMEFRAME=FILE with ts_ms,open,high,low,close,volume
# speed = "max"
# at_end = "stay"                    # stay | stop

[venue]
kind = "simulated"
starting_cash = "{cash}"
taker_bps = 4.5                      # fees and slippage in basis points of the notional
maker_bps = 1.5
slippage_bps = 1.0
leverage = 5

# One [[strategy]] for each; `tradebot strategies` lists them and their parameters, `tradebot new-strategy
# FILE` writes one of your own.
[[strategy]]
kind = "sma_cross"
fast = 10
slow = 30
direction = "both"                   # long | short | both
stop = {{ kind = "atr", n = 14, mult = 2.0 }}
target = {{ kind = "r", r = 2.0 }}     # or "none"

[risk]
size = {{ kind = "risk_fraction", fraction = {fraction} }}   # of equity, lost if the stop fills
max_order_notional = "{notional}"
max_position_notional = "{notional}"
max_exposure_notional = "{exposure}"
max_leverage = 3

# The trading rules of a symbol; without them tick and lot are 1e-8.
# [[instrument]]
# symbol = "{first}"
# tick = "0.1"
# lot = "0.00001"
# min_notional = "10"
# max_leverage = 40

[log]
level = "info"                       # debug | info | warning | error
"""
