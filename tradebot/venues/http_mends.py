"""What to do about a server that does not answer, or not as hoped: a mend for each status and each lost connection."""

import errno
import socket
import ssl
from collections.abc import Mapping

import aiohttp

RATE_LIMIT_S = 60.0
"""How long a server that does not say it keeps one out: it counts the requests of a minute."""
_LONGEST_WAIT_S = 86_400
SLOW = "try again; if it stays so, check network and firewall, and the server's status page"
_BROKEN = "check the network and the url, then try again"
_NOT_THERE = "nothing listens there: check the url; on a devnet: is `tradebot devnet` running?"
_REPORT = "this is no request of the venue's; report it"
_STATUSES: Mapping[int, str] = {
    401: "the server wants a login: check the url, and whether a proxy stands between",
    403: "the server, or a firewall before it, does not serve this machine: check region, VPN and network",
    404: "check the url: what answers there is not the venue",
    405: "check the url: what answers there is not the venue",
    407: "the proxy before the server wants a login: connect without it",
    408: SLOW,
    451: "the venue does not serve this region",
}


def mend_of_status(status: int) -> str:
    """Return what to do about an HTTP status that is neither 200 nor 429."""
    if status in _STATUSES:
        return _STATUSES[status]
    if 300 <= status < 400:
        return "the server has moved, or wants https: correct the url"
    if status >= 500:
        return "the server has trouble, and nothing here can mend that: wait, and look at the venue's status page"
    return _REPORT


def mend_of_connection(error: Exception) -> str:
    """Return what to do about a connection that could not be made or broke."""
    if isinstance(error, TimeoutError):
        return SLOW
    reason = getattr(error, "os_error", error)
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(reason, socket.gaierror):
        return "no such host is known: check the spelling of the url, the network, and the DNS of this machine"
    if isinstance(error, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted: check the clock, the url, and whether a proxy stands between"
    if isinstance(error, ssl.SSLError | aiohttp.ClientConnectorSSLError):
        return "what answers there speaks no TLS: check the url, http or https"
    if getattr(reason, "errno", None) == errno.ECONNREFUSED:
        return _NOT_THERE
    return _BROKEN


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return how long a server that limits us wants to be left alone, seconds; a minute where it does not say."""
    text = headers.get("Retry-After", "")
    return float(min(int(text), _LONGEST_WAIT_S)) if text.isascii() and text.isdigit() else RATE_LIMIT_S
