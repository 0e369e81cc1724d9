"""Where the settings get their values: the layers of a configuration, as a source of pydantic-settings."""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from tradebot.settings.layers import Layer


class LayerSource(PydanticBaseSettingsSource):
    """Gives what the layers say, which know the file and line, variable or option of each key."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self.layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return what the layers say of one section, its key, and that it is a tree already."""
        return self.layer.tree.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the whole tree: a section that nobody knows must be told of too."""
        return dict(self.layer.tree)
