"""The local exchange, in this terminal."""

import asyncio
import signal
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.cli.context import Context
from tradebot.model.errors import ConfigError, UsageError
from tradebot.model.time import NANOS_PER_S, Nanos, Timeframe, parse_timeframe
from tradebot.ports import MarketData

if TYPE_CHECKING:
    from tradebot.devnet.devnet import Devnet, DevnetOptions

_COINS = ("BTC", "ETH")
_HISTORY = 1_000
_KEY_NAME = "devnet.key"
_MS_PER_S = 1000
# The generated market needs a start of its own; the devnet moves its bars to the present.
_GENERATED_START = Nanos(1_700_000_000 * NANOS_PER_S)


def devnet(context: Context) -> int:
    """Run the local exchange until interrupted."""
    if find_spec("coincurve") is None or find_spec("Crypto") is None:
        raise ConfigError("the devnet needs coincurve and pycryptodome", mend="install tradebot[hyperliquid]")
    from tradebot.devnet.devnet import Devnet
    from tradebot.runtime.clock import SystemClock

    options, feed = _options(context)
    net = Devnet(options, feed, SystemClock())
    key_file = Path(context.given.text("key") or context.home / _KEY_NAME).absolute()
    asyncio.run(_serve(context, net, key_file))
    return 0


async def _serve(context: Context, net: "Devnet", key_file: Path) -> None:
    from tradebot.devnet.devnet import write_key

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        # The port first, so that a second devnet leaves the key of one that runs alone; the key before any answer.
        net.bind()
        write_key(key_file, net.key)
        await net.start()
        if context.is_json:
            context.write_json({"url": net.url, "account": net.user, "key_file": str(key_file)})
        else:
            coins = ", ".join(net.options.coins)
            said = f"devnet on {net.url} ({coins}), account {net.user} (in memory only), key in {key_file}"
            context.write(f"{said}; Ctrl-C ends it")
        await ended.wait()
    finally:
        await net.stop()


def _options(context: Context) -> "tuple[DevnetOptions, MarketData]":
    from tradebot.devnet.devnet import PORT, DevnetOptions
    from tradebot.devnet.faults import parse_rule

    given = context.given
    specs, recorded = given.texts("data"), given.text("recorded")
    seed, history = given.whole("seed", 1), _HISTORY
    if recorded is not None:
        feed, coins, timeframe = _recorded(Path(recorded).absolute(), given.texts("symbol"))
        history = 1
    elif specs:
        feed, coins, timeframe = _replay(specs)
    else:
        coins = tuple(given.texts("symbol")) or _COINS
        timeframe = _timeframe(given.text("timeframe") or "1m")
        feed = _generated(coins, timeframe, seed)
    speed = given.number("speed", 1.0)
    if not speed:
        raise UsageError("--speed is 0", mend="give how many market seconds pass in one")
    options = DevnetOptions(
        coins=coins,
        timeframe=timeframe,
        port=given.whole("port", PORT),
        seed=seed,
        speed=speed,
        history=given.whole("history", history),
        cash=_money(context, "cash", "10000"),
        depth=_money(context, "depth", "5000000"),
        latency_s=given.whole("latency", 0) / _MS_PER_S,
        faults=tuple(parse_rule(text) for text in given.texts("fault")),
    )
    return options, feed


def _replay(specs: Sequence[str]) -> tuple[MarketData, tuple[str, ...], Timeframe]:
    from tradebot.feeds.replay import Replay
    from tradebot.settings.dataspec import given_series
    from tradebot.store.candles import BarFile, check_files

    files = [BarFile(one.path, one.symbol, one.timeframe) for one in map(given_series, specs)]
    timeframes = {file.timeframe for file in files}
    if len(timeframes) != 1:
        raise UsageError(
            "--data names bars of several timeframes", mend="give bars of one; the others are made of them"
        )
    check_files(files)
    return Replay(files), tuple(file.symbol for file in files), timeframes.pop()


def _recorded(path: Path, symbols: Sequence[str]) -> tuple[MarketData, tuple[str, ...], Timeframe]:
    from tradebot.devnet.recorded import SECOND, RecordedSocket
    from tradebot.feeds.replay import Replay

    if len(symbols) > 1:
        raise UsageError("--recorded is of one --symbol", mend="name the coin whose frames are to be replayed")
    coin = symbols[0] if symbols else _COINS[0]
    return Replay([RecordedSocket(path, coin)]), (coin,), SECOND


def _generated(coins: Sequence[str], timeframe: Timeframe, seed: int) -> MarketData:
    from tradebot.feeds.generated import Generated

    return Generated(coins, timeframe, _GENERATED_START, seed)


def _timeframe(text: str) -> Timeframe:
    try:
        return parse_timeframe(text)
    except ValueError as error:
        raise UsageError(str(error), where="--timeframe") from error


def _money(context: Context, key: str, default: str) -> Decimal:
    text = context.given.text(key) or default
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and amount > 0):
        raise UsageError(f"--{key} {text!r} is not an amount above 0")
    return amount
