"""The manager of services on this machine, systemd's for the system or for one user: asked by ``systemctl``."""

import os
import shutil
import subprocess  # each call is looked at by itself  # nosec B404
from collections.abc import Mapping
from pathlib import Path
from pwd import getpwuid

from tradebot.cli.service_units import SYSTEM_FOLDER
from tradebot.model.errors import NotPermitted, TimedOut, TradebotError

_BOOTED = Path("/run/systemd/system")
_LINGERING = Path("/var/lib/systemd/linger")
_SYSTEMCTL = "systemctl"
# Its end may take as long as the unit's TimeoutStopSec, its start as long as TimeoutStartSec.
_TIMEOUT_S = 330.0
_ENCRYPTED_FOR_USERS = 256


class ServiceManager:
    """systemd: the system's, or with ``is_user`` that of the user who runs this."""

    def __init__(self, environ: Mapping[str, str], *, is_user: bool) -> None:
        self.is_user = is_user
        self._environ = environ

    @property
    def kind(self) -> str:
        """Whose it is: ``system`` or ``user``."""
        return "user" if self.is_user else "system"

    @property
    def folder(self) -> Path:
        """Where it reads the units that an administrator, or the user, has put there."""
        if not self.is_user:
            return SYSTEM_FOLDER
        config = self._environ.get("XDG_CONFIG_HOME", "")
        return (Path(config) if config.startswith("/") else Path.home() / ".config") / "systemd" / "user"

    @property
    def lingers(self) -> bool:
        """Whether it runs before its user logs in and goes on after; the system's always does."""
        return not self.is_user or (_LINGERING / self.user).exists()

    @property
    def user(self) -> str:
        """The name of the user who runs this."""
        return getpwuid(os.geteuid()).pw_name

    def command(self, *words: str) -> str:
        """Return the command by which a person says the same."""
        return " ".join([*(["systemctl", "--user"] if self.is_user else ["sudo", "systemctl"]), *words])

    def require(self) -> None:
        """Raise what keeps it from being asked: ``TradebotError`` without systemd, or without a user's manager."""
        if shutil.which(_SYSTEMCTL) is None or not _BOOTED.is_dir():
            mend = "use docs/how-to/run-in-docker.md, or tradebot start; tradebot service show prints the units"
            raise TradebotError("systemd does not run this machine", where=str(_BOOTED), mend=mend)
        if not self.is_user:
            return
        runtime = self._environ.get("XDG_RUNTIME_DIR", "")
        if not runtime or not (Path(runtime) / "systemd" / "private").exists():
            mend = f"log in as {self.user} itself (not by su or sudo), or: sudo loginctl enable-linger {self.user} and "
            mend += f"export XDG_RUNTIME_DIR=/run/user/{os.geteuid()}"
            raise TradebotError(f"no service manager of {self.user} can be asked", where="XDG_RUNTIME_DIR", mend=mend)

    def require_write(self, words: str) -> None:
        """As ``require``, and raise ``NotPermitted`` where units of the system are not ours to write."""
        self.require()
        if not self.is_user and os.geteuid() != 0:
            mend = f"sudo {words}, or add --user for a service of your own"
            raise NotPermitted("only root may change the services of the system", where=str(self.folder), mend=mend)

    def require_encrypted(self) -> None:
        """Raise ``TradebotError`` where it cannot decrypt a credential."""
        version = self._version()
        if self.is_user and version < _ENCRYPTED_FOR_USERS:
            mend = "use a service of the system, or a key file that is not encrypted"
            what = f"systemd {version} decrypts no credentials for services of users; {_ENCRYPTED_FOR_USERS} does"
            raise TradebotError(what, where="--encrypted", mend=mend)

    def run(self, *words: str) -> str:
        """Return what ``systemctl`` says. Raises ``TradebotError`` with its words when it fails, and ``TimedOut``."""
        done = self._call(*words)
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
            mend = f"look at: journalctl {'--user ' if self.is_user else ''}-e, then repeat it"
            raise TradebotError(f"systemctl {' '.join(words)}: {said}", where=f"the {self.kind} manager", mend=mend)
        return done.stdout

    def properties(self, unit: str, names: tuple[str, ...]) -> dict[str, str]:
        """Return what it knows of ``unit``: a text for each name, empty where it has none."""
        text = self.run("show", unit, f"--property={','.join(names)}")
        found = dict(line.partition("=")[::2] for line in text.splitlines())
        return {name: found.get(name, "") for name in names}

    def is_active(self, unit: str) -> bool:
        """Whether ``unit`` runs, or is about to."""
        return self._call("is-active", "--quiet", unit).returncode == 0

    def _version(self) -> int:
        word = [*self.run("--version").split(), "", "0"][1]
        return int(word.partition(".")[0]) if word[:1].isdigit() else 0

    def _call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [_SYSTEMCTL, *(["--user"] if self.is_user else []), "--no-pager", *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603  # our own words  # nosec B603
        except subprocess.TimeoutExpired as error:
            mend = "it goes on; look at: tradebot service status"
            raise TimedOut(f"{' '.join(command)} took over {_TIMEOUT_S:g} s", mend=mend) from error
        except OSError as error:
            raise TradebotError(f"systemctl cannot be run: {error.strerror}", where=_SYSTEMCTL) from error
