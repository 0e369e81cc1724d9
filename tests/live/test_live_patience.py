"""A boot waits for a venue that cannot be asked, says so to systemd, and pages a human after a minute."""

import pytest

from tests.clock import VirtualClock
from tradebot.live.patience import Patience
from tradebot.model.command import AlertName
from tradebot.model.errors import NotPermitted, Unavailable

pytestmark = pytest.mark.virtual_time


class Waiting:
    """A patience whose sleep only moves its clock, and what it told."""

    def __init__(self) -> None:
        self.clock = VirtualClock(0)
        self.pages: list[AlertName] = []
        self.waits = 0
        self.asked = 0
        self.patience = Patience(self.clock, self.page, self.wait, self.sleep)

    def page(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        assert "gone" in what
        assert mend
        assert not symbol
        self.pages.append(name)

    def wait(self) -> None:
        self.waits += 1

    async def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 15
        self.clock.advance(int(seconds * 1e9))


async def test_it_asks_until_there_is_an_answer() -> None:
    made = Waiting()

    async def ask() -> int:
        made.asked += 1
        if made.asked < 4:
            raise Unavailable("gone")
        return made.asked

    assert await made.patience.until(ask) == 4
    assert (made.waits, made.pages) == (3, [])


async def test_after_a_minute_a_human_is_paged() -> None:
    made = Waiting()

    async def ask() -> bool:
        if made.clock.monotonic() < 120:
            raise Unavailable("gone")
        return True

    assert await made.patience.until(ask)
    assert set(made.pages) == {AlertName.VENUE_LOST}


async def test_what_waiting_does_not_mend_ends_it() -> None:
    made = Waiting()

    async def ask() -> None:
        raise NotPermitted("wrong key")

    with pytest.raises(NotPermitted, match="wrong key"):
        await made.patience.until(ask)
    assert made.waits == 0
