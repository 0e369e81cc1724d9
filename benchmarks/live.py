"""A live order: signing, from a market message to the wire, from ``halt`` to the last cancel, back after ``kill -9``.

Message to wire: a bar in a thousand a second goes through the line, becomes a signal, a decision and an intent that is
on the disk before its first byte leaves; the clock stops when that byte is at the other end of a loopback socket, in
another process. The official SDK sends the same order there, keeping nothing. Recovery is a whole process on the
devnet, killed while it trades, until it is ready: reconciled with the venue, stops in place.
"""

import asyncio
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from decimal import Decimal

from benchmarks.engine_run import in_loop
from benchmarks.figures import NOT_INSTALLED, Figure, installed, percentile
from benchmarks.live_recovery import recoveries
from benchmarks.live_run import SEED, Wire, live_engine, wire
from tradebot.devnet.devnet import devnet_key
from tradebot.model.command import Verb
from tradebot.model.market import Bar, Message
from tradebot.model.money import Price, Qty
from tradebot.model.order import OrderRole, OrderState, SubmitOrders
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.runtime.engine import Engine
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.sign import ActionSigner

SDK = "hyperliquid-python-sdk"
KILLS = 20
_ORDERS, _WARM_UP, _EVERY = 300, 20, 50
_MESSAGE_S = 0.001
_BACKLOG, _WAITING = 100_000, 50
_SIGNED = 4_000
_POLLS = 1_000
_MINUTE = parse_timeframe("1m")
_ORDER = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
_ACTION = {"type": "order", "orders": [_ORDER | {"c": "0x" + "5" * 32}], "grouping": "na"}


def run() -> Iterable[Figure]:
    """Yield the figures."""
    yield from _signing()
    yield from _message_to_wire()
    yield from _halting()
    yield from _recovering()


def _signing() -> Iterable[Figure]:
    signer = ActionSigner(SigningKey(devnet_key(SEED).secret), is_mainnet=False)
    works: dict[str, Callable[[int], object]] = {
        "tradebot": lambda nonce: signer.sign(_ACTION, nonce, expires_after=nonce + 12_000)
    }
    theirs = _sdk_signing()
    if theirs is not None:
        works[SDK] = theirs
    times: dict[str, list[float]] = {name: [] for name in works}
    # In turn, so that both meet the same machine.
    for nonce in range(_SIGNED):
        for name, work in works.items():
            begin = time.perf_counter_ns()
            work(1_700_000_000_000 + nonce)
            times[name].append((time.perf_counter_ns() - begin) / 1_000)
    for name, taken in times.items():
        aim = 40.0 if name == "tradebot" else None
        note = "" if name == "tradebot" else f"{installed(SDK)}"
        yield Figure(what=f"sign one order: {name}, p50", value=statistics.median(taken), unit="us", aim=aim, note=note)
        yield Figure(what=f"sign one order: {name}, p99", value=percentile(taken, 0.99), unit="us", note=note)
    if theirs is None:
        yield Figure(what=f"sign one order: {SDK}", value=None, unit="us", note=NOT_INSTALLED)


def _sdk_signing() -> Callable[[int], object] | None:
    if installed(SDK) is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eth_account
        from hyperliquid.utils.signing import sign_l1_action
    wallet = eth_account.Account.from_key(devnet_key(SEED).secret)
    return lambda nonce: sign_l1_action(wallet, _ACTION, None, nonce, nonce + 12_000, False)


def _message_to_wire() -> Iterable[Figure]:
    with wire(("BTC",)) as server:
        taken, commits = (times[_WARM_UP:] for times in in_loop(_latencies(server)))
        note = f"{len(taken)} orders, 1,000 messages/s"
        yield Figure(what="message to wire, p50", value=statistics.median(taken), unit="us", aim=300, note=note)
        yield Figure(what="message to wire, p99", value=percentile(taken, 0.99), unit="us", aim=1_500, note=note)
        what = "of which this disk: a lone row made durable"
        yield Figure(what=f"{what}, p50", value=statistics.median(commits), unit="us")
        yield Figure(what=f"{what}, p99", value=percentile(commits, 0.99), unit="us")
        theirs = _sdk_latencies(server)
    if theirs is None:
        yield Figure(what=f"call to wire: {SDK}", value=None, unit="us", note=NOT_INSTALLED)
        return
    note = f"{installed(SDK)}, nothing kept"
    yield Figure(what=f"call to wire: {SDK}, p50", value=statistics.median(theirs), unit="us", note=note)
    yield Figure(what=f"call to wire: {SDK}, p99", value=percentile(theirs, 0.99), unit="us", note=note)


async def _latencies(server: Wire) -> tuple[list[float], list[float]]:
    begun: list[int] = []
    begin_ns = 0

    def hear(message: Message) -> None:
        if isinstance(message, SubmitOrders):
            begun.append(begin_ns)

    async with live_engine(server.url, "Every", ("BTC",)) as engine:
        engine.booted.recorder.listeners.append(hear)
        first = time.time_ns() // _MINUTE * _MINUTE
        due = time.monotonic()
        for number in range(1, (_ORDERS + _WARM_UP) * _EVERY + 1):
            due += _MESSAGE_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            bar = _bar("BTC", first + number * _MINUTE)
            begin_ns = time.monotonic_ns()
            await engine.deliver([bar])
        await _until(lambda orders: all(order.state.is_terminal for order in orders), engine)
        commits = [await _commit_us(engine) for _ in range(_ORDERS)]
        came = [at for at, kind, _ in await asyncio.to_thread(server.stamps) if kind == "order"]
    if len(came) != len(begun):
        raise RuntimeError(f"{len(begun)} orders were wanted, {len(came)} came to the wire")
    return [(there - here) / 1_000 for here, there in zip(begun, came, strict=True)], commits


async def _commit_us(engine: Engine) -> float:
    await asyncio.sleep(_MESSAGE_S)
    begin = time.perf_counter_ns()
    await engine.journal.committed(engine.journal.append("bench", engine.session.market_time, b"{}"))
    return (time.perf_counter_ns() - begin) / 1_000


async def _until(is_so: Callable[[Iterable[Order]], bool], engine: Engine) -> None:
    for _ in range(_POLLS):
        if is_so(engine.orders.save().orders.values()):
            return
        await asyncio.sleep(0.01)
    raise RuntimeError("the orders did not come to rest")


def _bar(symbol: str, closes: int) -> Bar:
    price = Price(Decimal(50_000))
    return Bar(symbol, _MINUTE, Nanos(closes), price, price, price, price, Qty(Decimal(1)))


def _sdk_latencies(server: Wire) -> list[float] | None:
    if installed(SDK) is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eth_account
        from hyperliquid.exchange import Exchange
    logging.disable(logging.ERROR)
    trader = Exchange(eth_account.Account.from_key(devnet_key(SEED).secret), server.url)
    server.stamps()
    begun = []
    for _ in range(_ORDERS + _WARM_UP):
        begun.append(time.monotonic_ns())
        trader.order("BTC", True, 0.02, 50_500, {"limit": {"tif": "Ioc"}})
    trader.session.close()
    trader.info.session.close()
    came = [at for at, _, _ in server.stamps()]
    return [(there - here) / 1_000 for here, there in zip(begun, came, strict=True)][_WARM_UP:]


def _halting() -> Iterable[Figure]:
    coins = [f"C{number:02}" for number in range(_WAITING)]
    with wire(coins) as server:
        halted_ms, done = in_loop(_halt_ms(server, coins))
    what = f"halt to last cancel on the wire, {_WAITING} open orders"
    note = f"{done:,} of {_BACKLOG:,} messages had been served"
    yield Figure(what=what, value=halted_ms, unit="ms", aim=200, note=note)


async def _halt_ms(server: Wire, coins: list[str]) -> tuple[float, int]:
    async with live_engine(server.url, "Patient", coins) as engine:
        first = time.time_ns() // _MINUTE * _MINUTE
        for coin in coins:
            await engine.deliver([_bar(coin, first)])
        await _until(lambda orders: sum(map(_rests, orders)) == _WAITING, engine)
        backlog = [_bar(coins[n % _WAITING], first + (1 + n // _WAITING) * _MINUTE) for n in range(_BACKLOG)]
        served = 0

        async def feed() -> None:
            nonlocal served
            for bar in backlog:
                await engine.deliver([bar])
                served += 1

        await asyncio.to_thread(server.stamps)
        feeding = asyncio.create_task(feed())
        await asyncio.sleep(0.5)
        begin, done = time.monotonic_ns(), served
        await engine.command(Verb.HALT, {"reason": "benchmark"})
        came: list[tuple[int, str, int]] = []
        async with asyncio.timeout(60):
            while sum(legs for _, kind, legs in came if kind == "cancelByCloid") < _WAITING:
                await asyncio.sleep(0.05)
                came += await asyncio.to_thread(server.stamps)
        feeding.cancel()
        return (max(at for at, kind, _ in came if kind == "cancelByCloid") - begin) / 1e6, done


def _rests(order: Order) -> bool:
    return order.state is OrderState.OPEN and order.request.role is OrderRole.ENTRY


def _recovering() -> Iterable[Figure]:
    times = recoveries(KILLS)
    note = f"{len(times)} kills of a daemon that trades; the whole process"
    yield Figure(what="kill -9 to ready, p50", value=statistics.median(times), unit="s", note=note)
    yield Figure(what="kill -9 to ready, p99", value=percentile(times, 0.99), unit="s", aim=3, note=note)
