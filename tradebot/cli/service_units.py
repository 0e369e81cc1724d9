"""The unit files of a service: what they say, where they stand, and whether a person has changed one since.

The templates are the same for all instances and are shipped; what one instance has beside them stands in its drop-in.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tradebot.model.errors import StorageFailed, UsageError
from tradebot.secret.passphrase import CREDENTIAL

SYSTEM_FOLDER = Path("/etc/systemd/system")
SYSTEM_STATE = Path("/var/lib/tradebot")
DROP_IN = "10-tradebot.conf"
_PACKAGE = Path(__file__).resolve().parent.parent
# In the wheel beside the code, in a checkout beside the package.
_SHIPPED_FOLDERS = (_PACKAGE / "systemd", _PACKAGE.parent / "systemd")
# The name of the user, tradebot-NAME, may have 31 characters.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,21}")
_PLAIN_WORD = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_HEADER = "# Written by `tradebot service install`; your changes belong into `systemctl edit`. sha256 of the rest: "

# A user's manager may not change users, and each of these needs a mount or another namespace of the kernel, which an
# ordinary user gets on some systems only: a bot that does not start is worse than one that is less confined.
_SYSTEM_ALONE = frozenset({
    "User", "DynamicUser", "StateDirectory", "StateDirectoryMode", "ConfigurationDirectory",
    "CapabilityBoundingSet", "AmbientCapabilities", "ProtectSystem", "ReadWritePaths", "ProtectHome", "ProtectProc",
    "PrivateTmp", "PrivateDevices", "PrivateIPC", "PrivateMounts", "ProtectClock", "ProtectHostname", "ProcSubset",
    "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "RemoveIPC",
    # Units of the system's manager, which a user's does not know.
    "After", "Wants",
})  # fmt: skip


class FileState(StrEnum):
    """What stands where a unit file belongs."""

    ABSENT = "absent"
    SAME = "same"
    OUTDATED = "outdated"
    EDITED = "edited"


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file of systemd: where it belongs and what it is to hold."""

    path: Path
    body: str

    @property
    def text(self) -> str:
        """The whole file: the body under a line by which a later change by hand is seen."""
        return f"{_HEADER}{_digest(self.body)}\n{self.body}"

    @property
    def state(self) -> FileState:
        """What stands there now. Raises ``StorageFailed`` when it cannot be read."""
        try:
            found = self.path.read_text()
        except FileNotFoundError:
            return FileState.ABSENT
        except (OSError, ValueError) as error:
            raise StorageFailed(f"cannot read the unit: {error}", where=str(self.path)) from error
        if self.body in {found, found.partition("\n")[2]}:
            return FileState.SAME
        return FileState.OUTDATED if _is_ours(found) else FileState.EDITED

    def write(self) -> Path | None:
        """Put it in place, readable for everyone; return where a file that a person had edited was put aside.

        Raises ``StorageFailed``.
        """
        try:
            kept = _put_aside(self.path) if self.state is FileState.EDITED else None
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            fresh = self.path.with_name(f".{self.path.name}.new")
            fresh.write_text(self.text)
            fresh.chmod(0o644)
            fresh.replace(self.path)
        except OSError as error:
            raise StorageFailed(f"cannot write the unit: {error.strerror}", where=str(self.path)) from error
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInstance:
    """One bot under systemd. ``program`` and ``words`` are what ``start`` and ``guard`` are called with."""

    name: str
    is_user: bool
    program: Sequence[str]
    words: Sequence[str]
    is_live: bool = False
    has_guard: bool = False
    key_file: Path | None = None
    guard_key: Path | None = None
    passphrase: Path | None = None
    is_encrypted: bool = False
    environment: Path

    @property
    def units(self) -> tuple[str, ...]:
        """The names of its units, the daemon's first."""
        return unit_name(self.name), *((unit_name(self.name, "tradebot-guard"),) if self.has_guard else ())


def check_name(name: str) -> str:
    """Return ``name`` when a unit and a user can be named so. Raises ``UsageError``."""
    if not _NAME.fullmatch(name):
        mend = "at most 22 of a-z, 0-9, - and _, the first a letter or a digit"
        raise UsageError(f"an instance cannot be named {name!r}", where="tradebot service", mend=mend)
    return name


def unit_name(name: str, template: str = "tradebot") -> str:
    """Return the unit of an instance."""
    return f"{template}@{name}.service"


def drop_in_path(folder: Path, unit: str) -> Path:
    """Return where ``folder`` holds what ``unit`` has beside its template."""
    return folder / f"{unit}.d" / DROP_IN


def unit_files(instance: ServiceInstance, folder: Path) -> list[UnitFile]:
    """Return all that systemd is to read of ``instance``, below ``folder``."""
    templates = ["tradebot@.service", *(["tradebot-guard@.service"] if instance.has_guard else [])]
    files = [UnitFile(folder / name, template_text(name, is_user=instance.is_user)) for name in templates]
    files.append(UnitFile(drop_in_path(folder, instance.units[0]), _daemon_drop_in(instance)))
    if instance.has_guard:
        files.append(UnitFile(drop_in_path(folder, instance.units[1]), _guard_drop_in(instance)))
    return files


def template_text(name: str, *, is_user: bool) -> str:
    """Return a shipped unit, for a user's manager without what only the system's can do. Raises ``StorageFailed``."""
    for folder in _SHIPPED_FOLDERS:
        if (folder / name).is_file():
            text = (folder / name).read_text()
            return _for_user(text) if is_user else text
    raise StorageFailed(f"{name} is not part of this install", where=str(_SHIPPED_FOLDERS[0]), mend="install it anew")


def is_edited(path: Path) -> bool:
    """Whether somebody has changed a file since it was written here, or has written it himself."""
    try:
        found = path.read_text()
    except (OSError, ValueError):
        return True
    shipped = (folder / path.name for folder in _SHIPPED_FOLDERS)
    return not _is_ours(found) and found not in [file.read_text() for file in shipped if file.is_file()]


def remove_unit(path: Path) -> None:
    """Remove a unit file, and the folder of its drop-ins when nothing else is in it. Raises ``StorageFailed``."""
    try:
        path.unlink()
        if path.parent.suffix == ".d" and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise StorageFailed(f"cannot remove the unit: {error.strerror}", where=str(path)) from error


def exec_words(drop_in: str) -> list[str]:
    """Return the words of the last ``ExecStart`` of a drop-in that was written here; none where there is none."""
    found = re.findall(r"^ExecStart=(.+)$", drop_in, re.MULTILINE)
    return [_unquoted(word) for word in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', found[-1])] if found else []


def _for_user(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    kept = [line for line in lines if line.partition("=")[0] not in _SYSTEM_ALONE]
    body = "\n".join(kept).replace("WantedBy=multi-user.target", "WantedBy=default.target")
    return re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"


def _daemon_drop_in(instance: ServiceInstance) -> str:
    start = [*instance.program, *instance.words, "start", "--foreground", *(["--live"] if instance.is_live else [])]
    lines = ["[Service]", "ExecStart=", f"ExecStart={_command(start)}"]
    if instance.key_file is not None:
        lines += _credential("agent.key", instance.key_file, "tradebot", is_encrypted=instance.is_encrypted)
        lines += ["Environment=TRADEBOT__VENUE__KEY_FILE=%t/tradebot/%i/agent.key"]
    if instance.passphrase is not None:
        lines += [_load(CREDENTIAL, instance.passphrase, is_encrypted=instance.is_encrypted)]
    return "\n".join([*lines, f"EnvironmentFile=-{_path(instance.environment)}"]) + "\n"


def _guard_drop_in(instance: ServiceInstance) -> str:
    given = [*instance.program, *instance.words, "guard", "--key-file"]
    lines = ["[Service]", "ExecStart=", f"ExecStart={_command(given)} %t/tradebot-guard/%i/guard.key"]
    if instance.guard_key is not None:
        lines += ["LoadCredential=", "ExecStartPre="]
        lines += _credential("guard.key", instance.guard_key, "tradebot-guard", is_encrypted=instance.is_encrypted)
    return "\n".join([*lines, f"EnvironmentFile=-{_path(instance.environment)}"]) + "\n"


def _credential(name: str, file: Path, runtime: str, *, is_encrypted: bool) -> Iterator[str]:
    yield _load(name, file, is_encrypted=is_encrypted)
    # Copied, because some versions of systemd give it as root's with an access list, and a key that seems readable for
    # others is refused.
    yield f"ExecStartPre=/usr/bin/install -m 0600 ${{CREDENTIALS_DIRECTORY}}/{name} %t/{runtime}/%i/{name}"


def _load(name: str, file: Path, *, is_encrypted: bool) -> str:
    return f"LoadCredential{'Encrypted' if is_encrypted else ''}={name}:{_path(file)}"


def _path(path: Path) -> str:
    """Return ``path`` for a directive that takes one alone: it knows no quotes."""
    return _sound(str(path)).replace("%", "%%")


def _command(words: Sequence[str]) -> str:
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    """Return ``word`` as a unit file has it: quoted where it must be, and nothing in it expanded."""
    word = _sound(word).replace("%", "%%").replace("$", "$$")
    if _PLAIN_WORD.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _sound(word: str) -> str:
    if any(ord(char) < 32 or char == "\x7f" for char in word):
        raise UsageError(f"a path with control characters cannot stand in a unit: {word!r}", where="tradebot service")
    return word


def _unquoted(word: str) -> str:
    if word.startswith('"'):
        word = re.sub(r"\\(.)", r"\1", word[1:-1])
    return word.replace("%%", "%").replace("$$", "$")


def _is_ours(text: str) -> bool:
    head, _, rest = text.partition("\n")
    return head == _HEADER + _digest(rest)


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _put_aside(path: Path) -> Path:
    # systemd reads no file whose name ends so.
    number = 1
    while (kept := path.with_name(f"{path.name}.edited-{number}")).exists():
        number += 1
    os.replace(path, kept)
    return kept
