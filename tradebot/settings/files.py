"""Which files make a configuration; no more is imported here than what that takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tradebot.model.errors import ConfigError
from tradebot.model.near import did_you_mean

CONFIG_VARIABLE = "TRADEBOT_CONFIG"
ENV_PREFIX = "TRADEBOT__"
HOME_FILE = "tradebot.toml"
DEFAULT_PROFILE = "demo"
URLS: Mapping[str, str] = {
    "mainnet": "https://api.hyperliquid.xyz",
    "testnet": "https://api.hyperliquid-testnet.xyz",
    "devnet": "http://127.0.0.1:3001",
}
"""Where each network answers."""
_PACKAGE = Path(__file__).resolve().parent.parent
# In the wheel beside the code, in a checkout beside the package.
_PROFILE_FOLDERS = (_PACKAGE / "config", _PACKAGE.parent / "config")


def profile_path(name: str) -> Path:
    """Return the file of a shipped profile. Raises ``ConfigError`` when there is none of that name."""
    known = {path.stem: path for folder in reversed(_PROFILE_FOLDERS) for path in sorted(folder.glob("*.toml"))}
    if name not in known:
        raise ConfigError(f"no profile {name!r}", where="--profile", mend=did_you_mean(name, known))
    return known[name]


def is_shipped(path: Path) -> bool:
    """Return whether the file is a profile of ours, which nobody edits."""
    return path.parent in _PROFILE_FOLDERS


def files_of(
    home: Path, config_files: Sequence[Path], profile: str | None, environ: Mapping[str, str]
) -> tuple[list[Path], list[str]]:
    """Return the files that make the configuration, in order, and notes. Raises ``ConfigError`` for a profile."""
    base = [] if profile is None else [profile_path(profile)]
    named = environ.get(CONFIG_VARIABLE, "")
    if config_files:
        return [*base, *config_files], []
    if named:
        return [*base, Path(named)], []
    if (home / HOME_FILE).exists():
        return [*base, home / HOME_FILE], []
    if base:
        return base, []
    return [profile_path(DEFAULT_PROFILE)], [
        f"no configuration: profile {DEFAULT_PROFILE} (a simulated exchange, no real money); "
        "`tradebot init` writes one of your own"
    ]
