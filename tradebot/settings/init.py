"""The configuration that ``init`` writes: commented, complete, and never over another one."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from tradebot.model.errors import ConfigError, NotPermitted, StorageFailed, UsageError
from tradebot.model.money import plain
from tradebot.settings.files import profile_path
from tradebot.settings.form import Form, quoted
from tradebot.settings.migrate import SCHEMA_LINE
from tradebot.settings.model import ADDRESS_PATTERN, SYMBOL_PATTERN

KEY_NAME = "agent.key"


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
    # What is traded by the thousand keeps its small k, as in kPEPE.
    parts = [part for part in re.split(r"[,\s]+", answer.strip()) if part]
    symbols = [part if re.fullmatch(r"k[A-Z0-9]+", part) else part.upper() for part in parts]
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


def _entry(answer: str) -> str:
    # The exchange takes no order below 10 USDC, and a lot may round down.
    return _number(answer, Decimal(11), Decimal(10**9))


def _network(answer: str) -> str:
    word = answer.strip().lower()
    if word not in ("testnet", "mainnet"):
        raise UsageError(f"{answer!r} is neither testnet nor mainnet")
    return word


def _account(answer: str) -> str:
    """Return the address; empty where it is left to be filled in."""
    word = answer.strip()
    if word.lower() == "later":
        return ""
    if not re.fullmatch(ADDRESS_PATTERN, word):
        # It is not repeated: somebody may have given a key.
        raise UsageError("that is not an address: 0x and 40 hex digits", mend="it is the account's, never a key")
    return word.lower()


def _fraction(answer: str) -> str:
    percent = Decimal(_number(answer.strip().removesuffix("%"), Decimal(0), Decimal(10)))
    return plain(percent / 100)


_SYMBOLS = Question("symbols", "Which symbols", "BTC, ETH", _symbols)
_QUESTIONS: Mapping[Kind, tuple[Question, ...]] = {
    Kind.PAPER: (
        Question("symbols", "Which symbols", "BTC, ETH, SOL", _symbols),
        Question("cash", "Starting cash", "10000", _cash),
        Question("risk", "Risk per trade, percent of equity", "1", _fraction),
    ),
    Kind.DEVNET: (_SYMBOLS, Question("notional", "Value of each entry, USDC", "500", _entry)),
    Kind.HYPERLIQUID: (
        _SYMBOLS,
        Question("network", "testnet or mainnet", "testnet", _network),
        Question("account", "Address of your account (the master's, 0x...), or later", "later", _account),
    ),
}


_CHECK = """\
# Check a change with `tradebot config check`; every key is in docs/reference/configuration.md. Secrets never stand
# here.
"""
_HEADS: Mapping[Kind, str] = {
    Kind.PAPER: """\
# A configuration of tradebot: paper trading, simulated money. Start it with `tradebot start`, watch it with
# `tradebot status --watch`.
"""
    + _CHECK,
    Kind.DEVNET: """\
# A configuration of tradebot for the local exchange: live trading with money that is worth nothing. In one terminal
#   tradebot devnet
# and in another
#   tradebot start --live
# The devnet writes its key to devnet.key in the home, where it is looked for.
"""
    + _CHECK,
    Kind.HYPERLIQUID: f"""\
# A configuration of tradebot for Hyperliquid: live trading. It needs the key of an agent (API wallet) of your account
# in {KEY_NAME} beside this file, mode 0600; never the master's key, and never the key itself here. Then
#   tradebot doctor
#   tradebot start --live
# The way from testnet to real money is in docs/how-to/trade-live.md.
"""
    + _CHECK,
}


def questions(kind: Kind) -> Sequence[Question]:
    """Return what is asked, at most three things, each with a default."""
    return _QUESTIONS[kind]


def init_text(kind: Kind, answers: Mapping[str, str]) -> str:
    """Return a configuration; questions without an answer take their default.

    Raises ``UsageError`` on an answer that does not fit.
    """
    values = {item.key: item.normalise(answers.get(item.key) or item.default) for item in questions(kind)}
    form = Form(profile_path(_profile(kind, values)).read_text(encoding="utf-8"))
    form.head(f"{SCHEMA_LINE}\n{_HEADS[kind]}")
    form.put(("bot", "name"), quoted(kind.value))
    form.put(("bot", "symbols"), f"[{values['symbols']}]")
    form.trade_only(re.findall(r'"([^"]+)"', values["symbols"]))
    match kind:
        case Kind.PAPER:
            cash = Decimal(values["cash"])
            form.put(("venue", "starting_cash"), quoted(plain(cash)))
            form.put(("risk", "size"), f'{{ kind = "risk_fraction", fraction = {values["risk"]} }}')
            _limit(form, cash)
        case Kind.DEVNET:
            form.put(("risk", "size"), f'{{ kind = "notional", notional = "{values["notional"]}" }}')
            _limit(form, Decimal(values["notional"]))
        case Kind.HYPERLIQUID:
            if values["account"]:
                form.put(("venue", "account"), quoted(values["account"]))
            form.put(("venue", "key_file"), quoted(KEY_NAME))
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)
    return form.text


def _profile(kind: Kind, values: Mapping[str, str]) -> str:
    if kind is not Kind.HYPERLIQUID:
        return kind.value
    return "hyperliquid-live" if values["network"] == "mainnet" else "hyperliquid-testnet"


def _limit(form: Form, notional: Decimal) -> None:
    form.put(("risk", "max_order_notional"), quoted(plain(notional)))
    form.put(("risk", "max_position_notional"), quoted(plain(notional)))
    form.put(("risk", "max_exposure_notional"), quoted(plain(2 * notional)))


def next_steps(kind: Kind, path: Path) -> Sequence[str]:
    """Return what is to be done with the configuration in ``path``, a line each."""
    match kind:
        case Kind.PAPER:
            return ["next: tradebot start"]
        case Kind.DEVNET:
            return ["next: tradebot devnet, and in another terminal: tradebot start --live"]
        case Kind.HYPERLIQUID:
            key = path.with_name(KEY_NAME)
            return [
                "next: make an agent (API wallet) of your account and put its key, never the master's, where only you",
                f"      can read it: install -m 600 /dev/null {key}, then write it there with an editor",
                "then: tradebot doctor, and when nothing is red: tradebot start --live",
            ]
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


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
