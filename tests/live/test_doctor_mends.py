"""What ``doctor`` says of a venue that answers otherwise than hoped: the mend fits what happened."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from coincurve import PrivateKey

from tests.live.checking import checked
from tests.live.test_preflight import CONFIG
from tests.virtual import LoopClock
from tradebot.devnet.devnet import write_key
from tradebot.devnet.recover import keccak
from tradebot.model.finding import Finding, Grade
from tradebot.settings.load import load_settings
from tradebot.venues.http_mends import mend_of_connection

pytestmark = pytest.mark.virtual_time

# Each answer, what is said of it and what is to be done.
ANSWERS: list[tuple[int, bytes, Mapping[str, str], str, str]] = [
    (429, b"null", {}, "limits our rate: HTTP 429", "wait 60 s"),
    (429, b"null", {"Retry-After": "17"}, "limits our rate: HTTP 429", "wait 17 s"),
    (429, b"null", {"Retry-After": "tomorrow"}, "limits our rate: HTTP 429", "wait 60 s"),
    (301, b"", {}, "cannot be used: HTTP 301", "correct the url"),
    (401, b"", {}, "cannot be used: HTTP 401", "wants a login"),
    (403, b"", {}, "cannot be used: HTTP 403", "region, VPN"),
    (404, b"", {}, "cannot be used: HTTP 404", "check the url"),
    (422, b"", {}, "cannot be used: HTTP 422", "report it"),
    (451, b"", {}, "cannot be used: HTTP 451", "region"),
    (500, b"", {}, "cannot be used: HTTP 500", "status page"),
    (503, b"", {}, "cannot be used: HTTP 503", "status page"),
    (200, b"<html>", {}, "cannot be used: ", "check the url"),
]
IDS = [f"{status} {' '.join(headers.values())}".strip() for status, _, headers, _, _ in ANSWERS]


async def venue_finding(folder: Path, url: str) -> Finding:
    home = folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    write_key(home / "devnet.key", PrivateKey(keccak(b"doctor")))
    file = folder / "bot.toml"
    file.write_text(CONFIG.format(url=url))
    loaded = load_settings(home=home, config_files=[file], environ={})
    (found,) = [one for one in await checked(loaded, home, LoopClock()) if one.check != "key"]
    assert (found.check, found.grade) == ("venue", Grade.FAIL)
    return found


@pytest.mark.parametrize(("status", "body", "headers", "what", "mend"), ANSWERS, ids=IDS)
async def test_an_answer_that_is_none_has_its_mend(
    tmp_path: Path, status: int, body: bytes, headers: Mapping[str, str], what: str, mend: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    app = web.Application()
    app.router.add_post("/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found = await venue_finding(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
    assert what in found.what
    assert mend in found.mend
    assert "check the network" not in found.mend


async def test_where_nothing_listens_the_url_and_the_devnet_are_thought_of(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = await venue_finding(tmp_path, f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert "does not answer" in found.what
    assert "tradebot devnet" in found.mend


async def test_what_speaks_no_tls_is_told(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        found = await venue_finding(tmp_path, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert "http or https" in found.mend


KEY = aiohttp.client_reqrep.ConnectionKey("venue.test", 443, True, True, None, None, None)
LOST: list[tuple[Exception, str]] = [
    (TimeoutError(), "firewall"),
    (aiohttp.ServerTimeoutError(), "firewall"),
    (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")), "DNS"),
    (aiohttp.ClientConnectorError(KEY, socket.gaierror(-3, "Temporary failure")), "DNS"),
    (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("expired")), "certificate"),
    (aiohttp.ServerDisconnectedError(), "check the network"),
    (OSError(101, "Network is unreachable"), "check the network"),
]


@pytest.mark.parametrize(("error", "mend"), LOST, ids=[type(error).__name__ for error, _ in LOST])
def test_each_way_to_lose_a_connection_has_its_mend(error: Exception, mend: str) -> None:
    assert mend in mend_of_connection(error)
