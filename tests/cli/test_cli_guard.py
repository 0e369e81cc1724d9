"""``guard`` at a devnet: a daemon that died or hangs, and one that an operator stopped."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.test_cli_emergency import Place
from tests.clock import VirtualClock
from tests.live.rehearsal import stage
from tradebot.cli import commands_guard
from tradebot.cli.commands_guard import Ender, Finger, how_it_ended
from tradebot.cli.context import Context
from tradebot.cli.emergency import KeyPlace
from tradebot.cli.parse import parse
from tradebot.control.protocol import find_socket
from tradebot.live.guard import GuardWatch, Pulse
from tradebot.model.command import AlertName, Command, Verb
from tradebot.model.errors import NotPermitted, RefusedByRule
from tradebot.model.time import Nanos
from tradebot.runtime.alerts import Sender
from tradebot.runtime.boot import BOOT
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.lone_pager import LonePager
from tradebot.store.codec import encode
from tradebot.store.journal import SqliteJournal
from tradebot.store.lock import HomeLock
from tradebot.store.schema import JOURNAL_NAME
from tradebot.venues.hyperliquid.key_alone import EndingSigner
from tradebot.venues.hyperliquid.keys import SigningKey

S = 10**9


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    for name in ("run", "home"):
        (tmp_path / name).mkdir(mode=0o700)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "TRADEBOT_HOME": str(tmp_path / "home")}
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue:
        place = Place(venue, tmp_path / "home", environ)
        place.configure()
        yield place


async def lived(home: Path, *, is_stopped: bool) -> None:
    """Leave the journal of a run in ``home``: killed, or stopped by an operator."""
    journal = await SqliteJournal.open(home / JOURNAL_NAME, SystemClock())
    journal.append(BOOT, Nanos(0), b"{}")
    stop = Command(id="c1", ts_event=Nanos(0), verb=Verb.STOP, arguments={})
    if is_stopped:
        journal.append(Command.kind, Nanos(0), encode(stop))
    await journal.committed(journal.last_seq)
    await journal.close()


def context(place: Place) -> Context:
    return Context(parse(["guard"]), place.environ)


async def test_a_daemon_that_was_killed_leaves_nothing_at_the_venue(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.crowd(20)
    await lived(place.home, is_stopped=False)
    here, clock = context(place), VirtualClock(0)
    finger, key = Finger(here, 15.0), place.venue.folder / "devnet.key"
    pages = Pages()
    guard = GuardWatch(finger.feel, Ender(here, KeyPlace(key, None), pages, clock).act, here.note, clock, 15.0)
    guard.look()
    clock.advance(14 * S)
    await asyncio.to_thread(guard.look)
    assert not place.is_empty
    clock.advance(S)
    # A daemon that comes up meanwhile must not find its home locked.
    with HomeLock(place.home.parent / "other"):
        await asyncio.to_thread(guard.look)
    assert place.is_empty
    assert place.mark is not None
    assert place.mark.is_over, "the next start comes up halted"
    assert "ending all that the account has" in capsys.readouterr().err
    assert [what.partition(": ")[2] for what in pages.told] == [
        "the guard ends all that the account has",
        "the venue says flat",
    ]


async def test_what_cannot_be_ended_is_tried_again_and_paged_seldom(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.crowd(2)
    monkeypatch.setattr(commands_guard, "_TRY_S", 0.3)
    place.configure()
    pages, clock = Pages(), VirtualClock(0)
    ender = Ender(context(place), KeyPlace(place.venue.folder / "devnet.key", None), pages, clock)
    place.venue.fault("error_500")
    for _ in range(3):
        assert not await asyncio.to_thread(ender.act)
    assert len(pages.told) == 2
    clock.advance(300 * S)
    assert not await asyncio.to_thread(ender.act)
    assert len(pages.told) == 3
    place.venue.clear()
    monkeypatch.undo()
    assert await asyncio.to_thread(ender.act)
    assert place.is_empty
    assert pages.told[-1] == "the guard has ended all: the venue says flat"


async def test_a_key_that_may_nothing_is_not_tried_again_at_once(place: Place) -> None:
    key = place.home / "other.key"
    key.write_text("11" * 32)
    key.chmod(0o600)
    place.configure()
    place.crowd(1)
    clock = VirtualClock(0)
    ender = Ender(context(place), KeyPlace(key, None), Pages(), clock)
    assert not await asyncio.to_thread(ender.act)
    seen = dict(place.venue.net.server.limits.asked)
    assert seen
    assert not ender.act()
    assert dict(place.venue.net.server.limits.asked) == seen
    clock.advance(20 * S)
    assert not await asyncio.to_thread(ender.act)
    assert dict(place.venue.net.server.limits.asked) != seen


async def test_it_posts_to_the_webhook_of_the_daemon(tmp_path: Path) -> None:
    posted: list[dict[str, object]] = []
    answers = [500, 200]

    async def take(request: web.Request) -> web.Response:
        posted.append(await request.json())
        return web.Response(status=answers.pop(0))

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    who = Sender(bot="main", mode="live", venue="hyperliquid devnet")
    try:
        thread = LonePager(url, who, SystemClock()).page(AlertName.GUARD, "it is gone", "look")
        assert thread is not None
        await asyncio.to_thread(thread.join)
    finally:
        await runner.cleanup()
    assert [(one["alert"], one["bot"], one["what"]) for one in posted] == [("guard", "main", "it is gone")] * 2
    assert LonePager(None, who, SystemClock()).page(AlertName.GUARD, "it is gone", "look") is None


class Pages(LonePager):
    """Remembers what was paged."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def page(self, name: AlertName, what: str, mend: str) -> None:
        assert (name, bool(mend)) == (AlertName.GUARD, True)
        self.told.append(what)


@pytest.mark.parametrize(
    ("is_stopped", "pulse"), [(True, Pulse.AT_REST), (False, Pulse.GONE)], ids=["stopped", "killed"]
)
async def test_how_the_last_run_ended_is_read_once(place: Place, is_stopped: bool, pulse: Pulse) -> None:
    assert how_it_ended(place.home) is Pulse.AT_REST, "nothing ever ran here"
    await lived(place.home, is_stopped=is_stopped)
    finger = Finger(context(place), 15.0)
    assert finger.feel() is pulse
    (place.home / JOURNAL_NAME).write_bytes(b"no database" * 500)
    assert finger.feel() is pulse
    assert how_it_ended(place.home) is Pulse.GONE, "of what cannot be read nobody can say that it was stopped"
    with HomeLock(place.home):
        assert finger.feel() is Pulse.SILENT


async def test_what_answers_and_stands_still_is_silent(place: Place) -> None:
    here, said = context(place), {"state": "running", "progress_age_s": 1.0}

    async def health(_request: web.Request) -> web.Response:
        return web.json_response(said)

    app = web.Application()
    app.router.add_get("/v1/health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    path = find_socket(place.home, place.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    await web.UnixSite(runner, str(path)).start()
    finger = Finger(here, 15.0)
    try:
        assert await asyncio.to_thread(finger.feel) is Pulse.BEATS
        assert finger.age_s == 1.0
        said["progress_age_s"] = 15.0
        assert await asyncio.to_thread(finger.feel) is Pulse.SILENT
        said["state"] = "starting"
        assert await asyncio.to_thread(finger.feel) is Pulse.BEATS
    finally:
        await runner.cleanup()


async def test_without_a_key_of_its_own_it_does_not_begin(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert await place.cli("guard") == NotPermitted.exit_code
    assert "guard.key" in capsys.readouterr().err
    assert await place.cli("guard", "--after", "1") == 2
    assert "give 5 or more" in capsys.readouterr().err


def test_where_nothing_is_at_a_venue_it_says_that_it_is_the_guard_that_has_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "tradebot.toml").write_text('[venue]\nkind = "simulated"\n')
    with pytest.raises(RefusedByRule) as refused:
        commands_guard.guard(Context(parse(["guard"]), {"TRADEBOT_HOME": str(tmp_path)}))
    assert refused.value.where == "guard"


async def test_it_says_whom_it_guards_and_with_whose_key(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    class Stop(BaseException):
        pass

    def look(_guard: GuardWatch) -> None:
        looked.set()
        raise Stop

    monkeypatch.setattr(GuardWatch, "look", look)
    with pytest.raises(Stop):
        await place.cli("guard", "--key-file", str(place.venue.folder / "devnet.key"))
    said = capsys.readouterr().err
    assert looked.is_set()
    assert SigningKey(place.venue.net.key.secret).address in said
    assert json.dumps(str(place.home)).strip('"') in said


ORDER = {"a": 0, "b": True, "p": "1", "s": "1", "r": True, "t": {"limit": {"tif": "Ioc"}}}


@pytest.mark.parametrize(
    ("action", "is_signed"),
    [
        ({"type": "cancel", "cancels": [{"a": 0, "o": 1}]}, True),
        ({"type": "order", "orders": [ORDER], "grouping": "na"}, True),
        ({"type": "order", "orders": [ORDER, ORDER | {"r": False}], "grouping": "na"}, False),
        ({"type": "order", "orders": [ORDER], "grouping": "normalTpsl"}, False),
        ({"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 40}, False),
        ({"type": "usdSend", "amount": "1"}, False),
        ({"type": "cancel", "cancels": [{"a": 0, "o": 1}], "builder": {"b": "0x1", "f": 100}}, False),
        ({"type": "order", "orders": [ORDER], "grouping": "na", "builder": {"b": "0x1", "f": 100}}, False),
        ({"type": "order", "orders": [ORDER | {"r": 1}], "grouping": "na"}, False),
        ({"type": "order", "orders": [ORDER | {"t": {"limit": {"tif": "Gtc"}}}], "grouping": "na"}, False),
        ({"type": "order", "orders": [], "grouping": "na"}, False),
        ({"type": "batchModify", "modifies": [{"oid": 1, "order": ORDER}]}, False),
        ({"type": "scheduleCancel", "time": 1}, False),
        ({"type": "approveAgent", "agentAddress": "0x1", "agentName": "mine"}, False),
        ({}, False),
    ],
)
def test_its_key_signs_what_takes_risk_away_and_nothing_else(action: dict[str, object], is_signed: bool) -> None:
    signer = EndingSigner(SigningKey(b"\x07" * 32), is_mainnet=False)
    if is_signed:
        assert signer.sign(action, 1)
    else:
        with pytest.raises(NotPermitted):
            signer.sign(action, 1)


def test_its_key_signs_for_no_vault() -> None:
    signer = EndingSigner(SigningKey(b"\x07" * 32), is_mainnet=False)
    with pytest.raises(NotPermitted, match="vault"):
        signer.sign({"type": "cancel", "cancels": [{"a": 0, "o": 1}]}, 1, vault="0x" + "1" * 40)


WORDS = st.sampled_from(
    ["type", "orders", "cancels", "grouping", "a", "b", "p", "s", "r", "t", "limit", "tif", "c", "x"]
)
VALUES = st.sampled_from(["order", "cancel", "na", "Ioc", "Gtc", True, False, 0, 1, None, "1"])
ANYTHING = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=7))


@given(st.dictionaries(WORDS, ANYTHING, max_size=5), st.data())
def test_whatever_is_asked_of_it_what_it_signs_adds_no_risk(action: dict[str, Any], data: st.DataObject) -> None:
    orders = {"type": "order", "orders": [ORDER], "grouping": "na"}
    cancels = {"type": "cancel", "cancels": [{"a": 0, "o": 1}]}
    action = data.draw(st.sampled_from([{}, orders, cancels])) | action
    signer = EndingSigner(SigningKey(b"\x07" * 32), is_mainnet=False)
    try:
        signer.sign(action, 1)
    except NotPermitted:
        return
    assert action.keys() in ({"type", "cancels"}, {"type", "orders", "grouping"})
    for order in action.get("orders", ()):
        assert order["r"] is True
        assert order["t"] == {"limit": {"tif": "Ioc"}}
