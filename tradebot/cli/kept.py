"""The keys of agents in the store of secrets: a new one, whose it is, and until when it may trade."""

from pathlib import Path

from tradebot.cli.context import Context
from tradebot.model.errors import NotPermitted, TradebotError
from tradebot.model.time import Nanos
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.secret_store import store_of
from tradebot.secret.secret import Secret
from tradebot.secret.store import SecretFacts, SecretKind, SecretStore, check_name
from tradebot.settings.salvage import salvage_venue
from tradebot.store.lock import prepare_home

_KIND: SecretKind = "agent-key"


def keep_new(context: Context, name: str, secret: str) -> None:
    """Keep a new key under ``name``. Raises ``NotPermitted`` when there is a secret of that name."""
    store = _store(context)
    if _facts(store, check_name(name)) is not None:
        mend = "take another name; a daemon changes keys by: tradebot secrets rotate"
        raise NotPermitted(f"there is a secret {name!r} already: it was left as it is", mend=mend)
    prepare_home(context.home)
    store.put(name, Secret(secret), kind=_KIND, expires=None)


def kept_address(context: Context, name: str) -> str:
    """Return the address of a kept key; no passphrase is asked for. Raises ``NotPermitted`` when there is none."""
    facts = _facts(_store(context), check_name(name))
    if facts is None or facts.kind != _KIND:
        raise NotPermitted(f"there is no key {name!r} among the secrets", mend="tradebot agent create --secret NAME")
    return facts.fingerprint


def note_end(context: Context, name: str, valid_until: Nanos) -> None:
    """Let the store know until when a key may trade; where it cannot be opened that is said."""
    store = _store(context)
    try:
        store.put(name, store.get(name), kind=_KIND, expires=valid_until)
    except TradebotError as error:
        context.note(f"the store does not know until when the key may trade: {error.what}")


def _store(context: Context) -> SecretStore:
    files = [Path(name).absolute() for name in context.given.texts("config")]
    salvaged = salvage_venue(context.home, files, context.given.text("profile"), context.environ)
    return store_of(salvaged.secrets, context.home, SystemClock())


def _facts(store: SecretStore, name: str) -> SecretFacts | None:
    return next((facts for facts in store.facts() if facts.name == name), None)
