"""The whole configuration, and the small sections."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from tradebot.model.money import plain
from tradebot.settings.layers import Layer
from tradebot.settings.model.feeds import GeneratedFeedSettings, LiveFeedSettings, ReplayFeedSettings, Url
from tradebot.settings.model.fields import NAME_PATTERN, Int, Number, SecretName, SecretUrl, Section, Symbols, VaultPath
from tradebot.settings.model.risk import RiskSettings
from tradebot.settings.model.strategies import StrategySettings
from tradebot.settings.model.venues import InstrumentSettings, RealVenueSettings, SimulatedVenueSettings
from tradebot.settings.source import LayerSource


class BotSettings(Section):
    """Who trades what."""

    name: str = Field(
        default="tradebot", pattern=NAME_PATTERN, description="The bot's name in status, reports and logs."
    )
    mode: Literal["paper", "live"] = Field(
        default="paper", description="Simulated money, or the account of a real venue."
    )
    symbols: Symbols = Field(
        description="The symbols that are traded: letters, digits and -_./, as the market spells them."
    )


class AlertsSettings(Section):
    """Who is paged when something needs a human."""

    url: SecretUrl | None = Field(default=None, description="A webhook that gets each alert as JSON by POST.")
    url_secret: SecretName | None = Field(
        default=None, description="That webhook, by its name in the store of secrets; in place of url."
    )
    repeat_s: Int = Field(default=300, ge=1, le=86_400, description="The same alert is not sent again before, seconds.")

    @model_validator(mode="after")
    def _has_one_url(self) -> Self:
        if self.url is not None and self.url_secret is not None:
            raise ValueError("has both url and url_secret; give one of them")
        return self

    @property
    def webhook(self) -> str | None:
        """The URL itself, for who posts to it."""
        return None if self.url is None else self.url.get_secret_value()


class ControlSettings(Section):
    """The control socket. It has nothing to set: its path follows from the home."""


class LogSettings(Section):
    """What is logged, and how much of it is kept."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is logged."
    )
    rotate_mb: Int = Field(default=10, ge=1, le=1024, description="Size at which the log file is rotated, MB.")
    keep: Int = Field(default=10, ge=1, le=100, description="Rotated log files that are kept.")


class SecretsSettings(Section):
    """Where the secrets are kept that other settings name."""

    backend: Literal["keystore", "keyring", "vault", "credential"] = Field(
        default="keystore",
        description="keystore: encrypted files below the home. keyring: that of the desktop. vault: HashiCorp Vault. "
        "credential: what systemd gives to the service.",
    )
    vault_url: Url | None = Field(default=None, description="Where Vault answers: https, or http on this machine.")
    vault_token_file: Path | None = Field(default=None, description="The file that holds Vault's token, mode 0600.")
    vault_mount: VaultPath = Field(default="secret", description="Where in Vault the engine KV version 2 is mounted.")
    vault_path: VaultPath = Field(default="tradebot", description="Where below that the secrets are.")
    vault_namespace: str = Field(default="", max_length=200, description="Vault's namespace, where it has some.")
    vault_ca_file: Path | None = Field(
        default=None, description="Who is trusted to vouch for Vault; default: the system's."
    )

    @model_validator(mode="after")
    def _says_where_vault_is(self) -> Self:
        if self.backend == "vault" and (self.vault_url is None or self.vault_token_file is None):
            raise ValueError("of backend vault needs vault_url and vault_token_file")
        return self

    @property
    def texts(self) -> Mapping[str, str]:
        """What is set, as who reads a broken configuration finds it."""
        return {key: str(value) for key, value in self.model_dump().items() if value is not None}


class StoreSettings(Section):
    """The journal, its snapshots and the disk under them."""

    min_free_mb: Int = Field(default=512, ge=1, le=1_048_576, description="Free disk below which nothing is added, MB.")
    reserve_mb: Int = Field(default=16, ge=1, le=1024, description="Disk kept aside for a clean end, MB.")
    keep_market_days: Int = Field(default=7, ge=1, le=36_500, description="Days after which market rows are pruned.")
    backup_minutes: Int = Field(
        default=15, ge=0, le=10_080, description="Minutes between backups; 0: none are made by itself."
    )
    backup_command: tuple[str, ...] = Field(
        default=(), max_length=100, description="Program and words that copy a backup elsewhere; `{file}` is its path."
    )
    snapshot_turns: Int = Field(default=5000, ge=1, le=5000, description="Turns between snapshots, at most.")
    snapshot_s: Number = Field(default=5.0, gt=0, le=5, description="Seconds between snapshots, at most.")


class Settings(BaseSettings):
    """The whole configuration.

    ``Settings.of`` takes its values from layers, the environment being one of them; nothing else reads it.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=True)

    bot: BotSettings
    feed: Annotated[GeneratedFeedSettings | ReplayFeedSettings | LiveFeedSettings, Field(discriminator="kind")]
    venue: Annotated[SimulatedVenueSettings | RealVenueSettings, Field(discriminator="kind")] = SimulatedVenueSettings()
    strategy: tuple[StrategySettings, ...] = Field(min_length=1, max_length=100)
    risk: RiskSettings = RiskSettings()
    instrument: tuple[InstrumentSettings, ...] = ()
    alerts: AlertsSettings = AlertsSettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()
    store: StoreSettings = StoreSettings()
    secrets: SecretsSettings = SecretsSettings()

    @classmethod
    def of(cls, layer: Layer) -> Self:
        """Return what ``layer`` says. Raises ``pydantic.ValidationError``."""
        values: dict[str, Any] = {"layer": layer}
        return cls(**values)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the layers as the one source; the values themselves where they were given."""
        del env_settings, dotenv_settings, file_secret_settings
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        layer = given.get("layer")
        return (LayerSource(settings_cls, layer) if isinstance(layer, Layer) else init_settings,)


def canonical(value: object) -> object:
    """Return ``value`` as plain JSON for a digest: numbers as plain text, so that 2, 2.0 and "2" are the same.

    Secrets take no part.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, SecretStr):
        return None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))
    return plain(value) if isinstance(value, Decimal) else str(value)
