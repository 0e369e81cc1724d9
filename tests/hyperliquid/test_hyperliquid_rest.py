"""HTTP as it goes wrong: each failure has its name, sizes and times are bounded, orders go out once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.clock import VirtualClock
from tradebot.model.errors import ConfigError, InvariantError, Rejected, Unavailable, Unreadable, VenueError
from tradebot.model.time import NANOS_PER_S
from tradebot.model.venue import Intent, Never, Phase, Purpose, Rests, Settled, Sighting
from tradebot.venues.hyperliquid.access import role
from tradebot.venues.hyperliquid.gateway import Gateway, VenueTime
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.rest import RestClient, info_weight
from tradebot.venues.hyperliquid.sign import ActionSigner
from tradebot.venues.resilience import Policy, RateLimited, Resilience
from tradebot.venues.submit import Rules, Submitter

pytestmark = pytest.mark.virtual_time

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
START_MS = 1_700_000_000_000
CLOID = "0x" + "01" * 16
ACCOUNT = "0x" + "ab" * 20


class Site:
    """A venue on loopback that answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.answers: list[Handler] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append((request.path, await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


def says(body: object, status: int = 200) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return web.Response(body=raw, status=status, content_type="application/json")

    return answer


async def hangs(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError("never")


async def hangs_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@contextlib.asynccontextmanager
async def site(*answers: Handler) -> AsyncIterator[Site]:
    made = Site()
    made.answers = list(answers)
    app = web.Application()
    app.router.add_post("/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def resilience(clock: VirtualClock | None = None, **policy: Any) -> Resilience:
    clock = clock or VirtualClock(START_MS * 1_000_000)

    async def sleep(seconds: float) -> None:
        clock.advance(max(1, round(seconds * NANOS_PER_S)))

    return Resilience(Policy(**policy), clock, sleep, seed=1)


FAILURES: list[tuple[str, Handler, type[VenueError]]] = [
    ("429 with null", says(None, 429), RateLimited),
    ("500 with null", says(None, 500), Unavailable),
    ("502 with a page", says(b"<html>bad gateway</html>", 502), Unavailable),
    ("redirect", says(b"", 302), Unavailable),
    ("422", says(b"Failed to deserialize the JSON body into the target type", 422), Rejected),
    ("400", says(b"Failed to parse the request body as JSON", 400), Rejected),
    ("403", says(b"forbidden", 403), Rejected),
    ("no JSON", says(b"<html>", 200), Unreadable),
    ("empty", says(b"", 200), Unreadable),
    ("NaN", says(b'{"a": NaN}', 200), Unreadable),
    ("endless", says(b'"' + b"x" * 200_000 + b'"', 200), Unreadable),
    ("silence", hangs, Unavailable),
    ("hangs up", hangs_up, Unavailable),
]


@pytest.mark.parametrize(("answer", "error"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES])
async def test_every_way_to_fail_has_its_name(answer: Handler, error: type[VenueError]) -> None:
    async with site(answer) as venue, RestClient(venue.url, resilience(), timeout_s=0.2, max_body=100_000) as client:
        with pytest.raises(error) as caught:
            await client.exchange(b"{}", 1, Purpose.TRADE)
        assert type(caught.value) is error
        assert len(venue.bodies) == 1


async def test_nobody_listens() -> None:
    async with RestClient("http://127.0.0.1:9", resilience(), timeout_s=0.2) as client:
        with pytest.raises(Unavailable):
            await client.info({"type": "meta"})


async def test_a_question_is_asked_again_and_an_order_is_not() -> None:
    async with (
        site(says(None, 500), says(None, 502), says({"a": "1"})) as venue,
        RestClient(venue.url, resilience()) as client,
    ):
        assert (await client.info({"type": "meta"})).value == {"a": "1"}
        assert len(venue.bodies) == 3
        venue.answers = [says(None, 500)]
        with pytest.raises(Unavailable):
            await client.exchange(b"{}", 1, Purpose.TRADE)
        assert len(venue.bodies) == 4


async def test_an_answer_that_could_not_be_read_is_asked_for_again() -> None:
    question = {"type": "userRole", "user": ACCOUNT}
    answers = says({"role": 7}), says({"role": "user"})
    async with site(*answers) as venue, RestClient(venue.url, resilience()) as client:
        with pytest.raises(Unreadable):
            role(await client.info(question, max_age_s=60))
        assert role(await client.info(question, max_age_s=60)).kind == "user"
        assert role(await client.info(question, max_age_s=60)).kind == "user"
        assert len(venue.bodies) == 2


async def test_rows_are_paid_for() -> None:
    policy = resilience()
    async with site(says([{}] * 2000)) as venue, RestClient(venue.url, policy) as client:
        before = policy.requests.left(policy.now())
        await client.info({"type": "userFills", "user": ACCOUNT})
        assert before - policy.requests.left(policy.now()) == 20 + 100


def test_weights_are_those_of_the_venue() -> None:
    assert [info_weight(kind) for kind in ("orderStatus", "userRole", "meta")] == [2, 60, 20]


class Recorder:
    """A journal in memory."""

    def __init__(self) -> None:
        self.rows: list[Intent | Settled] = []

    async def __call__(self, entry: Intent | Settled) -> None:
        await asyncio.sleep(0)
        self.rows.append(entry)


def gateway(client: RestClient, clock: VirtualClock, recorder: Recorder) -> Gateway:
    signer = ActionSigner(SigningKey(b"\x01" * 32), is_mainnet=False)
    made = Gateway(client, signer, ACCOUNT, clock, recorder, Rules(first_pause_ms=1, longest_pause_ms=2))
    made.time.start(START_MS)
    return made


ORDER = {"type": "order", "orders": [], "grouping": "na"}
STATE = {
    "marginSummary": {"accountValue": "1.0", "totalRawUsd": "1.0", "totalMarginUsed": "0.0"},
    "withdrawable": "1.0",
    "assetPositions": [],
}


def status_of(word: str) -> object:
    row = {
        "coin": "BTC",
        "side": "B",
        "limitPx": "1.0",
        "sz": "1.0",
        "oid": 5,
        "timestamp": START_MS,
        "origSz": "1.0",
        "cloid": CLOID,
    }
    return {"status": "order", "order": {"order": row, "status": word, "statusTimestamp": START_MS}}


class Exchange:
    """Answers ``/exchange`` by a list, and ``/info`` from a state; time passes with each question."""

    def __init__(self, *exchange: Handler, status: object) -> None:
        self.exchange = list(exchange)
        self.status = status
        self.asked: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.now = START_MS
        self.leap_ms = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if request.path == "/exchange":
            self.sent.append(body)
            return await self.exchange.pop(0)(request)
        self.asked.append(body["type"])
        self.now += 4_000
        replies = {
            "exchangeStatus": {"time": self.now},
            "clearinghouseState": STATE | {"time": self.now + self.leap_ms},
            "orderStatus": self.status,
        }
        return await says(replies.get(body["type"], []))(request)


OK = {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"resting": {"oid": 5}}]}}}
DUPLICATE = {"status": "err", "response": "Invalid nonce: duplicate nonce 1"}


async def place(exchange: Exchange) -> tuple[Settled, Recorder]:
    clock, recorder = VirtualClock(START_MS * 1_000_000), Recorder()
    async with site(exchange) as venue, RestClient(venue.url, resilience(clock), timeout_s=0.5) as client:
        port = gateway(client, clock, recorder)
        submitter = Submitter(port, Rules(first_pause_ms=1, longest_pause_ms=2))
        settled = await submitter.place(port.intent(ORDER, (CLOID,), is_urgent=False))
        assert not submitter.unsettled()
        return settled, recorder


async def test_an_intent_is_durable_before_its_bytes_and_its_outcome_after() -> None:
    settled, recorder = await place(Exchange(says(OK), status={"status": "unknownOid"}))
    assert settled.legs == (Rests("5"),)
    assert [type(row) for row in recorder.rows] == [Intent, Settled]


def test_an_order_expires_twelve_seconds_after_it_was_signed() -> None:
    clock = VirtualClock(START_MS * 1_000_000)
    made = gateway(RestClient("http://127.0.0.1:1", resilience(clock)), clock, Recorder())
    intent = made.intent(ORDER, ("0x1",), is_urgent=False)
    assert intent.expires_ms == orjson.loads(intent.body)["expiresAfter"] == START_MS + 12_000


async def test_a_lost_answer_is_followed_by_the_same_bytes_and_the_duplicate_is_looked_up() -> None:
    exchange = Exchange(hangs_up, says(DUPLICATE), status={"status": "unknownOid"})
    exchange.exchange = [says(None, 502), says(DUPLICATE)]
    exchange.status = {"status": "unknownOid"}

    async def later(request: web.Request) -> web.StreamResponse:
        exchange.status = status_of("filled")
        return await says(DUPLICATE)(request)

    exchange.exchange[1] = later
    settled, _ = await place(exchange)
    assert settled.legs == (Sighting("5", Phase.FILLED),)
    assert exchange.sent[0] == exchange.sent[1]


async def test_a_stamp_from_the_far_future_proves_no_absence() -> None:
    exchange = Exchange(*[says(None, 500)] * 9, status={"status": "unknownOid"})
    exchange.leap_ms = 10**11
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await place(exchange)
    assert len(exchange.asked) > 4


async def test_after_the_machine_slept_the_venue_says_what_time_it_is() -> None:
    exchange = Exchange(*[says(None, 500)] * 9, status={"status": "unknownOid"})
    exchange.now += 3_600_000
    settled, _ = await place(exchange)
    assert settled.legs == (Never(),)
    assert "exchangeStatus" in exchange.asked


def test_venue_time_goes_on_between_stamps_and_ignores_lagging_ones() -> None:
    clock = VirtualClock(START_MS * 1_000_000)
    time = VenueTime(clock)
    time.start(START_MS + 500)
    clock.advance(2 * NANOS_PER_S)
    assert time.ms() == START_MS + 2_500
    assert time.learn(START_MS + 1_000)
    assert time.ms() == START_MS + 2_500
    assert time.learn(START_MS + 3_000)
    assert time.ms() == START_MS + 3_000
    assert not time.learn(START_MS + 90_000)
    assert time.ms() == START_MS + 3_000


@pytest.mark.parametrize("off_ms", [-7 * 3_600_000, 7 * 3_600_000])
def test_a_clock_that_is_hours_off_is_refused(off_ms: int) -> None:
    with pytest.raises(ConfigError, match="off the venue's"):
        VenueTime(VirtualClock((START_MS + off_ms) * 1_000_000)).start(START_MS)


def test_venue_time_is_not_guessed() -> None:
    with pytest.raises(InvariantError):
        VenueTime(VirtualClock(0)).ms()


async def test_absence_is_proven_by_venue_time_in_all_lists() -> None:
    exchange = Exchange(*[says(None, 500)] * 9, status={"status": "unknownOid"})
    settled, _ = await place(exchange)
    assert settled.legs == (Never(),)
    assert {"userFillsByTime", "historicalOrders", "frontendOpenOrders"} <= set(exchange.asked)
    assert exchange.now > START_MS + 12_000 + 5_000


async def test_a_cancelled_caller_does_not_stop_the_write() -> None:
    clock, started, release = VirtualClock(START_MS * 1_000_000), asyncio.Event(), asyncio.Event()
    rows: list[Intent | Settled] = []

    async def slow(entry: Intent | Settled) -> None:
        started.set()
        await release.wait()
        rows.append(entry)

    async with RestClient("http://127.0.0.1:9", resilience(clock)) as client:
        port = gateway(client, clock, slow)
        intent = port.intent(ORDER, (CLOID,), is_urgent=False)
        write = asyncio.ensure_future(port.record(intent))
        await started.wait()
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        release.set()
        await port.record(intent)
        assert rows == [intent], "written once, although the first caller went away"
