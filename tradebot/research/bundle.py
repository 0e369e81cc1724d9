"""All that the sets of a grid read, in one folder: it can be sent to machines that have none of these files.

Each file lies at its own path below the folder, so that taking off the folder tells where it came from.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.research.sets import SetJob
from tradebot.runtime.backtest import with_feed
from tradebot.settings.load import LoadOptions, effective_toml
from tradebot.settings.model import ReplayFeedSettings, Settings, SimulatedVenueSettings, StrategySettings

_CONFIG = "tradebot-bundle.toml"


class Bundle:
    """The files of ``job`` in ``folder``, its configuration among them. ``packed`` adds those of another job."""

    def __init__(self, folder: Path, settings: Settings, job: SetJob) -> None:
        self._folder = folder
        self._names: set[str] = set()
        settings = self._settings(with_feed(settings, job.one.data, job.run.bars))
        (folder / _CONFIG).write_text(effective_toml(settings))

    def packed(self, job: SetJob) -> SetJob:
        """Return ``job`` as it is run in the folder. Raises ``DataError`` for a file that cannot be read."""
        options = LoadOptions(config_files=(Path(_CONFIG),), overrides=job.run.options.overrides)
        run = replace(job.run, options=options, home=Path(), environ={}, is_bundled=True)
        return SetJob(run, replace(job.one, data=tuple(map(self._spec, job.one.data))))

    def _settings(self, settings: Settings) -> Settings:
        feed, venue = settings.feed, settings.venue
        if isinstance(feed, ReplayFeedSettings):
            stored = (text.partition(":")[2] for text in feed.store)
            specs = {"data": (*feed.data, *stored), "trades": feed.trades, "quotes": feed.quotes, "books": feed.books}
            found = {key: tuple(map(self._spec, texts)) for key, texts in specs.items()}
            feed = feed.model_copy(update={**found, "store": ()})
        if isinstance(venue, SimulatedVenueSettings):
            venue = venue.model_copy(update={"funding": tuple(map(self._spec, venue.funding))})
        strategies = tuple(map(self._strategy, settings.strategy))
        return settings.model_copy(update={"feed": feed, "venue": venue, "strategy": strategies})

    def _strategy(self, strategy: StrategySettings) -> StrategySettings:
        file, colon, name = strategy.kind.rpartition(":")
        return strategy.model_copy(update={"kind": f"{self._name(Path(file))}:{name}"}) if colon else strategy

    def _spec(self, spec: str) -> str:
        head, _, file = spec.partition("=")
        return f"{head}={self._name(Path(file))}"

    def _name(self, path: Path) -> str:
        """Return what ``path`` is called below the folder; it is put there the first time."""
        path = path.expanduser().absolute()
        name = str(path.relative_to(path.anchor))
        if name not in self._names:
            copy = self._folder / name
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
            self._names.add(name)
        return name
