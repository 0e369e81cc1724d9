"""A human is paged once, soon, and whatever the webhook does nothing else waits for it."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.builders import replace
from tests.clock import VirtualClock
from tests.virtual import LoopClock
from tradebot.model.command import Alert, AlertName, StateChanged, TradingState
from tradebot.model.errors import StorageFailed
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.ports import Clock
from tradebot.runtime import logs
from tradebot.runtime.alerts import Pager, Sender
from tradebot.runtime.webhook import Delivery, Queued

pytestmark = pytest.mark.virtual_time

SENDER = Sender(bot="first", mode="live", venue="hyperliquid devnet")
QUICK = Delivery(attempts=4, base_s=0.005, cap_s=0.01, timeout_s=0.2, end_s=0.3)


@dataclass
class Rows:
    """A journal of which rows become durable when told to."""

    last_seq: int = 0
    durable: asyncio.Event = field(default_factory=asyncio.Event)
    failure: StorageFailed | None = None

    def append(self, kind: str, ts_event: Nanos, payload: bytes) -> int:
        self.last_seq += 1
        return self.last_seq

    async def committed(self, seq: int) -> None:
        if seq:
            await self.durable.wait()
            if self.failure is not None:
                raise self.failure


@dataclass
class Hook:
    """A webhook that answers with the statuses it is given, then with 200."""

    answers: list[int | str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    tried: int = 0
    url: str = ""
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        answer = self.answers.pop(0) if self.answers else 200
        async with self.came:
            self.tried += 1
            if answer == 200:
                self.bodies.append(body)
            self.came.notify_all()
        if answer == "hang":
            await self.hold.wait()
            return web.Response()
        if answer == "redirect":
            raise web.HTTPFound("http://127.0.0.1:1/elsewhere")
        return web.Response(status=int(answer))

    async def wait(self, *, bodies: int = 0, tried: int = 0) -> None:
        async with asyncio.timeout(20), self.came:
            await self.came.wait_for(lambda: len(self.bodies) >= bodies and self.tried >= tried)


@contextlib.asynccontextmanager
async def hook(*answers: int | str) -> AsyncIterator[Hook]:
    made = Hook(answers=list(answers))
    app = web.Application()
    app.router.add_post("/services/secret-path", made.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/services/secret-path"
    try:
        yield made
    finally:
        made.hold.set()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def running(pager: Pager) -> AsyncIterator[Pager]:
    ready = asyncio.Event()
    task = asyncio.create_task(pager.webhook.run(ready.set))
    await ready.wait()
    try:
        yield pager
    finally:
        task.cancel()
        await asyncio.wait({task})
        await pager.webhook.finish()


def pager(url: str | None, rows: Rows | None = None, repeat_s: float = 300, clock: Clock | None = None) -> Pager:
    return Pager(url, repeat_s, SENDER, rows or Rows(), clock or LoopClock(), QUICK)


def alert(what: str = "no stop rests", symbol: str = "BTC") -> Alert:
    return Alert(ts_event=Nanos(0), name=AlertName.UNPROTECTED, what=what, symbol=symbol, mend="look")


async def settled(paged: Pager, until: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if until():
                return
            await asyncio.sleep(0.002)


async def test_an_alert_says_who_what_and_how_to_mend_it() -> None:
    async with hook() as made, running(pager(made.url, clock=VirtualClock(7 * NANOS_PER_S))) as paged:
        paged.page(AlertName.VENUE_LOST, 'down "for" 61 s\n', "wait", "ETH")
        await made.wait(bodies=1)
        assert made.bodies == [
            {
                "bot": "first",
                "alert": "venue_lost",
                "what": 'down "for" 61 s\n',
                "mend": "wait",
                "symbol": "ETH",
                "ts": 7000,
                "mode": "live",
                "venue": "hyperliquid devnet",
            }
        ]


async def test_an_alert_of_the_line_leaves_only_when_its_row_is_durable() -> None:
    rows = Rows(last_seq=5)
    async with hook() as made, running(pager(made.url, rows)) as paged:
        paged.hear(alert())
        paged.page(AlertName.VENUE_LOST, "down")
        await made.wait(bodies=1)
        assert [body["alert"] for body in made.bodies] == ["venue_lost"]
        rows.durable.set()
        await made.wait(bodies=2)
        assert made.bodies[1]["alert"] == "unprotected"


async def test_an_alert_whose_row_was_lost_never_leaves() -> None:
    rows = Rows(last_seq=5, failure=StorageFailed("disk"))
    rows.durable.set()
    async with hook() as made, running(pager(made.url, rows)) as paged:
        paged.hear(alert())
        await settled(paged, lambda: paged.webhook.lost == 1)
        assert made.tried == 0


async def test_only_halts_are_paged_of_what_trading_does() -> None:
    rows = Rows()
    rows.durable.set()
    async with hook() as made, running(pager(made.url, rows)) as paged:
        for state in (TradingState.PAUSED, TradingState.HALTED, TradingState.RUNNING, TradingState.HALTED):
            paged.hear(StateChanged(ts_event=Nanos(0), state=state, reason="operator: x"))
        await made.wait(bodies=2)
        assert {body["what"] for body in made.bodies} == {"trading is halted: operator: x"}
        assert paged.webhook.waiting == 0


async def test_the_same_alert_leaves_again_only_after_a_while() -> None:
    clock = VirtualClock(0)
    async with hook() as made, running(pager(made.url, clock=clock, repeat_s=60)) as paged:
        for number in range(3):
            paged.page(AlertName.MISMATCH, f"look {number}", symbol="BTC")
        paged.page(AlertName.MISMATCH, "other symbol", symbol="ETH")
        await made.wait(bodies=2)
        assert {body["what"] for body in made.bodies} == {"look 0", "other symbol"}
        clock.advance(60 * NANOS_PER_S)
        paged.page(AlertName.MISMATCH, "look 3", symbol="BTC")
        await made.wait(bodies=3)
        assert made.bodies[-1]["what"] == "look 3"


async def test_each_thing_of_a_symbol_is_paged_for_itself() -> None:
    async with hook() as made, running(pager(made.url)) as paged:
        for order in ("7", "7", "8"):
            paged.page(AlertName.FOREIGN_ORDER, f"order {order}", symbol="BTC", about=order)
        paged.hear(replace(alert("first"), about="exit-1"))
        paged.hear(replace(alert("second"), about="exit-2"))
        await made.wait(bodies=2)
        assert {body["what"] for body in made.bodies} >= {"order 7", "order 8"}
        assert paged.webhook.waiting <= 2


async def test_a_flood_about_one_symbol_is_bounded_and_says_so() -> None:
    clock = VirtualClock(0)
    async with hook() as made, running(pager(made.url, clock=clock, repeat_s=60)) as paged:
        for number in range(50):
            paged.page(AlertName.FOREIGN_ORDER, f"order {number}", symbol="BTC", about=str(number))
        paged.page(AlertName.FOREIGN_ORDER, "order 1", symbol="ETH", about="1")
        await made.wait(bodies=21)
        told = {body["what"] for body in made.bodies if body["symbol"] == "BTC"}
        assert len(told) == 20
        assert "order 19 (further ones are only logged for a while)" in told
        clock.advance(60 * NANOS_PER_S)
        paged.page(AlertName.FOREIGN_ORDER, "order 50", symbol="BTC", about="50")
        await made.wait(bodies=22)
        assert made.bodies[-1]["what"] == "order 50 (and 30 more since the last, in the log)"


@pytest.mark.parametrize("answers", [(500, 503), (429,), ("hang",), (408, 502, 500)])
async def test_a_webhook_that_fails_is_tried_again(answers: tuple[int | str, ...]) -> None:
    async with hook(*answers) as made, running(pager(made.url)) as paged:
        paged.page(AlertName.VENUE_LOST, "down")
        await made.wait(bodies=1)
        assert made.tried == len(answers) + 1
        await settled(paged, lambda: paged.webhook.sent == 1)


@pytest.mark.parametrize("answer", [400, 403, 404, "redirect"])
async def test_an_answer_that_would_be_the_same_again_ends_it(answer: int | str) -> None:
    async with hook(answer) as made, running(pager(made.url)) as paged:
        paged.page(AlertName.VENUE_LOST, "down")
        await settled(paged, lambda: paged.webhook.lost == 1)
        assert (made.tried, paged.webhook.waiting) == (1, 0)
        # It reached nobody, so the next one is no repetition.
        paged.page(AlertName.VENUE_LOST, "down again")
        await made.wait(bodies=1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/hook", "http://no-such-host.invalid/hook", "http://[/hook"])
async def test_a_webhook_that_is_not_there_is_given_up(url: str) -> None:
    async with running(pager(url)) as paged:
        paged.page(AlertName.VENUE_LOST, "down")
        await settled(paged, lambda: paged.webhook.lost == 1)


async def test_one_alert_that_hangs_does_not_hold_up_the_next() -> None:
    async with hook("hang") as made, running(pager(made.url)) as paged:
        paged.page(AlertName.VENUE_LOST, "first")
        await made.wait(tried=1)
        paged.page(AlertName.KEY_EXPIRES, "second")
        await made.wait(bodies=2)
        assert [body["what"] for body in made.bodies] == ["second", "first"]


async def test_the_queue_is_bounded_and_counts_what_it_drops() -> None:
    clock = VirtualClock(0)
    paged = pager("http://127.0.0.1:1/hook", clock=clock, repeat_s=1)
    for number in range(150):
        paged.page(AlertName.MISMATCH, "differs", symbol=f"C{number}")
    assert (paged.webhook.waiting, paged.webhook.lost) == (100, 50)
    clock.advance(NANOS_PER_S)
    paged.page(AlertName.MISMATCH, "differs anew", symbol="C149")
    paged.page(AlertName.MISMATCH, "differs anew", symbol="C149")
    assert (paged.webhook.waiting, paged.webhook.lost) == (100, 51)


async def test_what_waits_at_the_end_gets_a_last_chance() -> None:
    async with hook(500) as made:
        paged = pager(made.url)
        paged.page(AlertName.HALTED, "the daemon ended: disk full")
        await paged.webhook.finish()
        assert [body["what"] for body in made.bodies] == ["the daemon ended: disk full"]


async def test_a_webhook_that_hangs_at_the_end_holds_up_nobody() -> None:
    async with hook("hang", "hang", "hang", "hang") as made:
        paged = pager(made.url)
        paged.page(AlertName.HALTED, "the daemon ended")
        async with asyncio.timeout(20):
            await paged.webhook.finish()
        assert (paged.webhook.waiting, paged.webhook.lost) == (0, 1)


async def test_without_a_webhook_alerts_are_logged_alone(tmp_path: Path) -> None:
    paged = pager(None)
    async with running(paged):
        paged.page(AlertName.MISMATCH, "differs")
        assert (paged.webhook.waiting, paged.webhook.lost) == (0, 0)


async def test_keys_and_the_path_of_the_webhook_are_kept_back() -> None:
    key = "0x" + "ab" * 32
    async with hook() as made, running(pager(made.url)) as paged:
        paged.page(AlertName.HALTED, f"refused {key} at {made.url}")
        await made.wait(bodies=1)
        assert key not in made.bodies[0]["what"]
        assert "secret-path" not in made.bodies[0]["what"]
        assert "secret-path" not in logs.redact(made.url)


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """What a server needs that signed its certificate itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", *words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


async def test_a_certificate_that_cannot_be_checked_gets_nothing(context: ssl.SSLContext) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, running(pager(f"https://127.0.0.1:{port}/hook")) as paged:
        paged.page(AlertName.VENUE_LOST, "down")
        await settled(paged, lambda: paged.webhook.lost == 1)
        assert paged.webhook.sent == 0


def test_the_client_is_imported_only_for_a_webhook() -> None:
    program = "import sys, tradebot.runtime.alerts; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_a_webhook_is_tried_eight_times_with_pauses_that_double_from_half_a_second() -> None:
    clock, tried = VirtualClock(0), list[float]()

    async def sleep(seconds: float) -> None:
        # Several workers wait for the same moment.
        due = clock.monotonic() + seconds
        await asyncio.sleep(0)
        clock.advance(max(0, round((due - clock.monotonic()) * NANOS_PER_S) + 1))

    async with hook(*[500] * 20) as made:
        paged = Pager(made.url, 300, SENDER, Rows(), clock, sleep=sleep)
        post = paged.webhook._post

        async def heard(queued: Queued) -> None:
            tried.append(clock.monotonic())
            await post(queued)

        paged.webhook._post = heard  # type: ignore[method-assign]
        async with running(paged):
            paged.page(AlertName.VENUE_LOST, "down")
            await settled(paged, lambda: paged.webhook.lost == 1)
        assert made.tried == 8
    pauses = [after - before for before, after in pairwise(tried)]
    assert all(0.25 * 2**n <= pause <= 0.5 * 2**n + 0.001 for n, pause in enumerate(pauses))


def test_a_try_has_five_seconds_and_what_waits_at_the_end_three() -> None:
    assert (Delivery().timeout_s, Delivery().end_s) == (5, 3)
