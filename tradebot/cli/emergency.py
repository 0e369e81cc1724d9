"""``halt --flatten --emergency``: what to act on when no daemon answers, the locks that keep one away, and the mark."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tradebot.cli.context import Context
from tradebot.cli.place import Place, place_of
from tradebot.model.errors import (
    ConfigError,
    LockHeld,
    NotPermitted,
    StorageFailed,
    TimedOut,
    TradebotError,
    UsageError,
)
from tradebot.ports import Clock, KeyAlone
from tradebot.report.flatness import flatness, left_text
from tradebot.settings.salvage import Salvaged, salvage_venue
from tradebot.store.account_lock import AccountLock
from tradebot.store.lock import HomeLock
from tradebot.store.mark import Mark, write_mark

if TYPE_CHECKING:
    from tradebot.live.emergency import Progress

_SLIPPAGE = Decimal("0.05")
_PACKAGES = ("aiohttp", "coincurve", "Crypto", "msgpack")


class KeyPlace(NamedTuple):
    """Where a key is: in a file, or kept as a secret."""

    file: Path | None
    secret: str | None

    def __str__(self) -> str:
        return str(self.file or f"secret {self.secret}")


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to act, for which account - ``None``: whose the key is - and where the key is.

    ``is_own``: the configuration wants only what is ours to be ended. ``webhook``: where a human is paged, in the name
    of ``bot``.
    """

    network: str
    url: str
    account: str | None
    key: KeyPlace
    secrets: Mapping[str, str]
    slippage: Decimal
    is_own: bool
    webhook: str | None
    bot: str

    def account_of(self, home: Path, clock: Clock) -> KeyAlone:
        """Return the account as the key alone reaches it. Raises ``NotPermitted`` for a key that cannot be used."""
        from tradebot.runtime.alone import key_alone, key_source

        key = key_source(self.key.file, self.key.secret, self.secrets, home, clock)
        return key_alone(self.network, self.url, self.account, key, self.slippage, clock)


def run_emergency(
    context: Context, timeout: float, hung_pid: int | None, *, key: KeyPlace | None = None, is_beside: bool = False
) -> int:
    """End all at the venue; 0 when it says flat. ``hung_pid`` is a daemon that holds the home and does not answer.

    ``key`` overrules the configured one. ``is_beside``: whatever daemon there is or may come is let be, nothing is
    locked, and it halts when it finds the mark.

    Raises ``TimedOut`` naming what is left, ``LockHeld`` beside a daemon of another home, ``NotPermitted`` and
    ``ConfigError`` for what is missing.
    """
    aim = aim_of(context, key)
    from tradebot.runtime.clock import SystemClock

    clock = SystemClock()
    began = clock.monotonic()
    progress, is_marked = _end_all(context, aim, clock, timeout, hung_pid, is_beside=is_beside)
    left = progress.left
    if not left.is_flat:
        what = f"not flat within {timeout:g} s; left: {left_text(left)}"
        why = f" ({left.stuck})" if left.stuck and left.stuck not in what else ""
        raise TimedOut(what + why, where=aim.url, mend="repeat the command, or close it on the venue's own page")
    seconds = round(clock.monotonic() - began, 1)
    if context.is_json:
        detail = {"state": "flat", "found": progress.found, "seconds": seconds, "marked": is_marked}
        context.write_json(detail | dict(flatness(left)))
    else:
        context.write(f"flat after {seconds} s; it found {progress.found}")
    if is_marked:
        context.note("the next start comes up halted; tradebot resume trades again")
    return 0


def _end_all(
    context: Context, aim: Aim, clock: Clock, timeout: float, hung_pid: int | None, *, is_beside: bool
) -> "tuple[Progress, bool]":
    """Act, with the locks held and a mark left; return how it ended, and whether the mark is there."""
    from tradebot.live.emergency import Progress, end_all

    venue, progress = aim.account_of(context.home, clock), Progress()
    context.note(f"acting at {aim.network} ({aim.url}) for {aim.account or 'the account of the key'}")
    context.note(f"with the key in {aim.key}, of {venue.signer}")
    told, is_marked = "", False

    def tell(progress: Progress) -> None:
        nonlocal told
        words = "" if progress.left.is_flat else left_text(progress.left)
        if words and words != told:
            told = words
            context.note(f"left: {words}")

    with ExitStack() as locks:
        if context.home.is_dir() and not is_beside:
            _lock(context, locks, HomeLock(context.home), hung_pid)

        def admit(account: str) -> None:
            nonlocal is_marked
            place = aim.url if aim.network == "devnet" else aim.network
            if not is_beside:
                _lock(context, locks, AccountLock("hyperliquid", place, account, context.home), hung_pid)
            is_marked = _mark(context, Mark(what="begun, and nobody has said how it ended", is_over=False))

        try:
            asyncio.run(end_all(venue, timeout, progress, admit, tell))
        except LockHeld:
            # Nothing was done here, and nothing is to follow from it.
            raise
        except BaseException:
            _mark(context, _ending(progress))
            raise
        return progress, _mark(context, _ending(progress)) or is_marked


def _ending(progress: "Progress") -> Mark:
    left = progress.left
    end = "the venue said flat" if left.is_flat else f"left: {left_text(left)}"
    return Mark(what=f"it found {progress.found}; {end}", is_over=left.is_flat)


def _lock(context: Context, locks: ExitStack, lock: HomeLock | AccountLock, hung_pid: int | None) -> None:
    try:
        locks.enter_context(lock)
    except LockHeld as error:
        if hung_pid is None or error.pid != hung_pid:
            mend = "ask that one: tradebot --home ITS_HOME halt --flatten; or end its process first"
            raise LockHeld(error.what, where=error.where, mend=mend, pid=error.pid) from None
        context.note(f"{error.what} and does not answer: acting beside it; end it: kill -9 {hung_pid}")
    except (StorageFailed, NotPermitted) as error:
        context.note(f"going on without a lock: {error}")


def _mark(context: Context, mark: Mark) -> bool:
    try:
        write_mark(context.home, mark)
    except StorageFailed as error:
        context.note(f"no mark could be left, the next start will not come up halted: {error}")
        return False
    return True


def aim_of(context: Context, key: KeyPlace | None = None, *, is_quiet: bool = False) -> Aim:
    """Return what options say, else configuration and environment, as far as they can be read.

    ``key`` overrules both. ``is_quiet``: nothing is told of what could not be read. Raises ``ConfigError``,
    ``UsageError`` and ``RefusedByRule`` for what is missing.
    """
    given = context.given
    asked = "--emergency" if given.flag("emergency") else "guard"
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"it needs {', '.join(missing)}", where=asked, mend="install tradebot[hyperliquid]")
    files = [Path(name).absolute() for name in given.texts("config")]
    salvaged = salvage_venue(context.home, files, given.text("profile"), context.environ)
    for note in () if is_quiet else salvaged.notes:
        context.note(f"not read: {note}")
    place = place_of(context, salvaged, asked)
    bot = salvaged.bot.get("name", "tradebot")
    is_own = salvaged.risk.get("flatten") == "own"
    slippage, url = _slippage(place.venue.get("slippage")), salvaged.alerts.get("url") or _webhook(context, salvaged)
    key = key or _key(context, place)
    return Aim(place.network, place.url, place.account, key, salvaged.secrets, slippage, is_own, url, bot)


def _webhook(context: Context, salvaged: Salvaged) -> str | None:
    """Return the webhook that a secret holds; who cannot open the store pages nobody, and says so."""
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.secret_store import store_of
    from tradebot.runtime.webhook_url import secret_url

    name = salvaged.alerts.get("url_secret")
    if not name:
        return None
    try:
        return secret_url(store_of(salvaged.secrets, context.home, SystemClock()), name)
    except TradebotError as error:
        context.note(f"warning: nobody is paged: {error.what}")
        return None


def _key(context: Context, place: Place) -> KeyPlace:
    given = context.given.text("key_file")
    if given is not None:
        return KeyPlace(Path(given).absolute(), None)
    if place.key_secret is not None or place.key_file is not None:
        return KeyPlace(None if place.key_secret is not None else place.key_file, place.key_secret)
    raise UsageError("where the key lies is not to be read from the configuration", mend="give --key-file FILE")


def _slippage(text: str | None) -> Decimal:
    try:
        found = Decimal(text or "")
    except InvalidOperation:
        return _SLIPPAGE
    return found if 0 < found <= Decimal("0.1") else _SLIPPAGE
