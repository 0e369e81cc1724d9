"""Secrets that end are told of before they do: in status, and by an alert at each stage."""

from collections.abc import Sequence

from tests.clock import VirtualClock
from tradebot.model.command import AlertName
from tradebot.model.errors import Unavailable
from tradebot.model.time import DAY, HOUR, Nanos
from tradebot.runtime.secret_watch import SecretWatch
from tradebot.secret.store import SecretFacts, SecretKind


def kept(name: str, expires: int | None, kind: SecretKind = "url") -> SecretFacts:
    end = None if expires is None else Nanos(expires)
    return SecretFacts(name=name, kind=kind, backend="keystore", created=None, expires=end, fingerprint="1")


class Watched:
    """A watch over a store that tests fill."""

    def __init__(self) -> None:
        self.clock, self.pages = VirtualClock(), list[str]()
        self.store: Sequence[SecretFacts] = ()
        self.is_away = False
        used = {"hook": ["alerts.url_secret"], "agent": ["venue.key_secret"]}
        self.watch = SecretWatch(self.facts, lambda: used, self.clock, self.page)

    def facts(self) -> Sequence[SecretFacts]:
        if self.is_away:
            raise Unavailable("the vault sleeps")
        return self.store

    def page(self, name: AlertName, what: str, mend: str) -> None:
        assert name is AlertName.SECRET_EXPIRES
        self.pages.append(f"{what}; {mend}")


async def test_an_end_that_comes_is_told_once_a_stage() -> None:
    watched = Watched()
    end = watched.clock.now() + 20 * DAY
    watched.store = [kept("hook", end), kept("idle", end), kept("agent", end, "agent-key"), kept("endless", None)]
    for _ in range(22):
        await watched.watch.look()
        await watched.watch.look()
        watched.clock.advance(DAY)
    said = [page.removeprefix("the secret hook, used by alerts.url_secret, ") for page in watched.pages]
    assert [page.partition(";")[0] for page in said] == [
        "expires in 14 days",
        "expires in 7 days",
        "expires in 24 hours",
        "has expired",
    ]
    assert all(page.endswith("tradebot secrets rotate hook") for page in watched.pages)
    assert [(one.name, one.used_by) for one in watched.watch.ending] == [
        ("hook", ("alerts.url_secret",)),
        ("agent", ("venue.key_secret",)),
    ]


async def test_a_secret_that_was_rotated_is_told_of_anew_and_a_store_that_is_away_changes_nothing() -> None:
    watched = Watched()
    watched.store = [kept("hook", watched.clock.now() + HOUR)]
    await watched.watch.look()
    watched.is_away = True
    await watched.watch.look()
    assert len(watched.watch.ending) == 1
    watched.is_away = False
    watched.store = [kept("hook", watched.clock.now() + 90 * DAY)]
    await watched.watch.look()
    watched.store = [kept("hook", watched.clock.now() + HOUR)]
    await watched.watch.look()
    assert len(watched.pages) == 2
