"""All that the sets of a grid read, in one folder: it can be sent to machines that have none of these files."""

import shutil
from dataclasses import replace
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.research.sets import SetJob
from tradebot.runtime.backtest import with_feed
from tradebot.settings.load import LoadOptions, effective_toml
from tradebot.settings.model import ReplayFeedSettings, Settings, SimulatedVenueSettings, StrategySettings

_CONFIG = "config.toml"


class Bundle:
    """The files of ``job`` in ``folder``, its configuration among them. ``packed`` adds those of another job."""

    def __init__(self, folder: Path, settings: Settings, job: SetJob) -> None:
        self._folder = folder
        self._names: dict[Path, str] = {}
        settings = self._settings(with_feed(settings, job.one.data, job.run.bars))
        (folder / _CONFIG).write_text(effective_toml(settings))

    def packed(self, job: SetJob) -> SetJob:
        """Return ``job`` as it is run in the folder. Raises ``DataError`` for a file that cannot be read."""
        options = LoadOptions(config_files=(Path(_CONFIG),), overrides=job.run.options.overrides)
        run = replace(job.run, options=options, home=Path(), environ={})
        return SetJob(run, replace(job.one, data=tuple(map(self._spec, job.one.data))))

    def _settings(self, settings: Settings) -> Settings:
        feed, venue = settings.feed, settings.venue
        if isinstance(feed, ReplayFeedSettings):
            specs = {"data": feed.data, "trades": feed.trades, "quotes": feed.quotes, "books": feed.books}
            feed = feed.model_copy(update={key: tuple(map(self._spec, texts)) for key, texts in specs.items()})
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
        """Return what ``path`` is called in the folder; it is put there the first time."""
        path = path.expanduser().absolute()
        if path not in self._names:
            name = f"{len(self._names)}-{path.name}"
            try:
                shutil.copyfile(path, self._folder / name)
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
            self._names[path] = name
        return self._names[path]
