"""The configuration as the global options name it."""

from pathlib import Path

from tradebot.cli.context import Context
from tradebot.settings.load import Loaded, LoadOptions


def load_options(context: Context) -> LoadOptions:
    """Return what the operator said about the configuration, with absolute paths."""
    files = tuple(Path(name).absolute() for name in context.given.texts("config"))
    return LoadOptions(config_files=files, profile=context.given.text("profile"))


def load(context: Context) -> Loaded:
    """Return the configuration and tell its notes. Raises ``ConfigError``."""
    loaded = load_options(context).load(context.home, context.environ)
    for note in loaded.notes:
        context.note(note)
    return loaded
