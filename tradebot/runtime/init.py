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
from tradebot.runtime.init_texts import DEVNET, HYPERLIQUID, KEY_NAME, PAPER
from tradebot.runtime.settings_model import ADDRESS_PATTERN, SYMBOL_PATTERN


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


def _entry(answer: str) -> str:
    # The exchange takes no order below 10 USDC, and a lot may round down.
    return _number(answer, Decimal(11), Decimal(10**9))


def _network(answer: str) -> str:
    word = answer.strip().lower()
    if word not in ("testnet", "mainnet"):
        raise UsageError(f"{answer!r} is neither testnet nor mainnet")
    return word


def _account(answer: str) -> str:
    """Return the line of the account; without an address it is left to be filled in."""
    word = answer.strip()
    if word.lower() == "later":
        return '# account = "0x..."                  # the master\'s address; without it, the master of the key'
    if not re.fullmatch(ADDRESS_PATTERN, word):
        # It is not repeated: somebody may have given a key.
        raise UsageError("that is not an address: 0x and 40 hex digits", mend="it is the account's, never a key")
    return f'account = "{word.lower()}"'


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


def questions(kind: Kind) -> Sequence[Question]:
    """Return what is asked, at most three things, each with a default."""
    return _QUESTIONS[kind]


def init_text(kind: Kind, answers: Mapping[str, str]) -> str:
    """Return a configuration; questions without an answer take their default.

    Raises ``UsageError`` on an answer that does not fit.
    """
    values = {item.key: item.normalise(answers.get(item.key) or item.default) for item in questions(kind)}
    match kind:
        case Kind.PAPER:
            cash = Decimal(values["cash"])
            return PAPER.format(
                **values,
                first=values["symbols"].partition(",")[0].strip('"'),
                notional=plain(cash),
                exposure=plain(2 * cash),
            )
        case Kind.DEVNET:
            return DEVNET.format(**values, exposure=plain(2 * Decimal(values["notional"])))
        case Kind.HYPERLIQUID:
            return HYPERLIQUID.format(**values, key_name=KEY_NAME)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


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
