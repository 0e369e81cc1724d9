"""Where alerts are posted: to what the configuration says, or to the secret that it names."""

from pathlib import Path

from pydantic import ValidationError

from tradebot.model.errors import ConfigError
from tradebot.ports import Clock
from tradebot.runtime.secret_store import reveal, store_of
from tradebot.secret.store import SecretStore
from tradebot.settings.model import Settings
from tradebot.settings.model.whole import AlertsSettings


def webhook_url(settings: Settings, home: Path, clock: Clock) -> str | None:
    """Return the webhook; ``None``: there is none.

    Raises ``ConfigError`` where the secret holds no URL, and what a store raises that cannot be opened.
    """
    name = settings.alerts.url_secret
    if name is None:
        return settings.alerts.webhook
    return secret_url(store_of(settings.secrets.texts, home, clock), name)


def secret_url(store: SecretStore, name: str) -> str:
    """Return the URL that a secret holds, which is never repeated where it is none. Raises ``ConfigError``."""
    text = reveal(store, name).strip()
    try:
        AlertsSettings.model_validate({"url": text})
    except ValidationError:
        mend = f"tradebot secrets set {name}, with a URL such as https://example.org/path"
        raise ConfigError(f"the secret {name} holds no URL", where="alerts.url_secret", mend=mend) from None
    return text
