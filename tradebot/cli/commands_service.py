"""``service``: a bot under systemd, for the machine or for one user."""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tradebot.cli.context import Context
from tradebot.cli.parse import parse
from tradebot.cli.service_manager import ServiceManager
from tradebot.cli.service_units import (
    DROP_IN,
    SYSTEM_STATE,
    FileState,
    ServiceInstance,
    UnitFile,
    check_name,
    drop_in_path,
    is_edited,
    remove_unit,
    unit_files,
    unit_name,
)
from tradebot.cli.spawn import option_words
from tradebot.model.errors import ConfigError, RefusedByRule, UsageError
from tradebot.report.shapes import Document

_DEFAULT_NAME = "main"
_ETC = Path("/etc/tradebot")
# What ProtectHome and PrivateTmp hide from a service of the system.
_HIDDEN = tuple(Path(name) for name in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))  # noqa: S108  # names  # nosec B108
_PACKAGE = Path(__file__).resolve().parent.parent
_KEY_MODES = 0o077


class Obstacle(NamedTuple):
    """Why the service would not come up as configured, and the mend."""

    what: str
    where: str
    mend: str


def install(context: Context) -> int:
    """Write the units of an instance and enable them; with ``--now`` start them too.

    Raises ``NotPermitted``, ``ConfigError``, ``RefusedByRule`` for a file that somebody has edited, and
    ``TradebotError`` where there is no systemd. Nothing is written then.
    """
    manager, given = service_manager(context), context.given
    name = instance_name(context)
    manager.require_write(f"{_program()[0]} service install {name}")
    instance = _instance(context, name)
    if instance.is_encrypted:
        manager.require_encrypted()
    for obstacle in _obstacles(instance):
        raise ConfigError(obstacle.what, where=obstacle.where, mend=obstacle.mend)
    _check_settings(context, instance)
    if instance.is_live and not manager.lingers:
        mend = f"sudo loginctl enable-linger {manager.user}, then again"
        raise RefusedByRule("a live bot would end when you log out", where=f"user {manager.user}", mend=mend)
    files = unit_files(instance, manager.folder)
    written = _write(files, is_forced=given.flag("force"))
    manager.run("daemon-reload")
    manager.run("enable", *(["--now"] if given.flag("now") else []), *instance.units)
    _tell_install(context, manager, instance, written)
    return 0


def uninstall(context: Context) -> int:
    """Stop and disable an instance and remove its units; configuration, key and state stay.

    Templates go with the last instance. A file that somebody has edited stays, unless ``--force``.
    """
    manager, name = service_manager(context), instance_name(context)
    manager.require_write(f"{_program()[0]} service uninstall {name}")
    folder = manager.folder
    units = [unit_name(name), unit_name(name, "tradebot-guard")]
    present = [unit for unit in units if drop_in_path(folder, unit).exists()]
    if not present:
        mend = "tradebot service status tells of another with its NAME; --user is another manager"
        raise UsageError(f"no instance {name} was installed by tradebot", where=str(folder), mend=mend)
    # The guard first: it must not take the end of the daemon for a death.
    for unit in reversed(present):
        manager.run("disable", "--now", unit)
    paths = [drop_in_path(folder, unit) for unit in present]
    paths += [
        folder / f"{template}@.service"
        for template in ("tradebot", "tradebot-guard")
        if not _others(folder, template, name) and (folder / f"{template}@.service").exists()
    ]
    removed, kept = _remove(paths, is_forced=context.given.flag("force"))
    manager.run("daemon-reload")
    if context.is_json:
        context.write_json({"name": name, "removed": removed, "kept": kept})
        return 0
    for path in removed:
        context.write(f"removed {path}")
    for path in kept:
        context.write(f"kept {path}: it was edited by hand; --force removes it")
    context.write(f"{name} is no service any more; its configuration, key and state stay where they are")
    return 0


def show(context: Context) -> int:
    """Print the files that ``install`` would write, what stands there now, and what is in the way."""
    manager = service_manager(context)
    instance = _instance(context, instance_name(context))
    files = unit_files(instance, manager.folder)
    obstacles = list(_obstacles(instance))
    if context.is_json:
        listed = [{"path": str(file.path), "state": file.state.value, "text": file.text} for file in files]
        context.write_json({
            "name": instance.name, "manager": manager.kind, "units": list(instance.units), "files": listed,
            "obstacles": [obstacle._asdict() for obstacle in obstacles],
        })  # fmt: skip
        return 0
    for file in files:
        context.write(f"# {file.path} ({file.state.value})\n{file.text}")
    for obstacle in obstacles:
        context.note(f"warning: {obstacle.where}: {obstacle.what}\n  mend: {obstacle.mend}")
    return 0


def service_manager(context: Context) -> ServiceManager:
    """Return the manager that the command is about."""
    return ServiceManager(context.environ, is_user=context.given.flag("user"))


def instance_name(context: Context) -> str:
    """Return the instance that the command is about. Raises ``UsageError`` for a name that cannot be one."""
    return check_name(context.given.text("name") or _DEFAULT_NAME)


def _instance(context: Context, name: str) -> ServiceInstance:
    given, is_user = context.given, context.given.flag("user")
    home = context.home if is_user else SYSTEM_STATE / name
    if not is_user and given.text("home") is not None and context.home != home:
        mend = f"move the state there, and leave --home out; or add --user: {context.home} can be the home then"
        raise UsageError(f"a service of the system keeps its state in {home}", where="--home", mend=mend)
    words = option_words(given, Path.cwd())
    if not words and not is_user:
        words = ["--config", context.environ.get("TRADEBOT_CONFIG") or str(_ETC / f"{name}.toml")]
    elif "--config" not in words and context.environ.get("TRADEBOT_CONFIG"):
        words += ["--config", os.path.abspath(context.environ["TRADEBOT_CONFIG"])]
    folder = home if is_user else _ETC
    # A user's own key may be where the configuration says; root's is not the service's to read.
    needs_key = given.text("key_file") is not None or (given.flag("live") and not is_user)
    passphrase = given.text("passphrase_file")
    return ServiceInstance(
        name=name,
        is_user=is_user,
        program=_program(),
        words=[*(["--home", str(home)] if is_user else []), *words],
        is_live=given.flag("live"),
        has_guard=given.flag("guard"),
        key_file=_file(given.text("key_file"), folder / f"{name}.key") if needs_key else None,
        guard_key=_file(given.text("guard_key"), folder / f"{name}.guard.key") if given.flag("guard") else None,
        passphrase=None if passphrase is None else Path(os.path.abspath(passphrase)),
        is_encrypted=given.flag("encrypted"),
        environment=folder / f"{name}.env",
    )


def _file(given: str | None, default: Path) -> Path:
    return Path(os.path.abspath(given)) if given is not None else default


def _program() -> tuple[str, ...]:
    """Return what runs just this install, wherever it is called from."""
    script = Path(sys.prefix) / "bin" / "tradebot"
    return (str(script),) if script.exists() else (sys.executable, "-m", "tradebot")


def _check_settings(context: Context, instance: ServiceInstance) -> None:
    """Raise ``ConfigError`` for a configuration with which the service would not start."""
    from tradebot.settings.check import check_settings
    from tradebot.settings.load import LoadOptions

    given = parse([*instance.words, "start"])
    options = LoadOptions(
        config_files=tuple(Path(file) for file in given.texts("config")), profile=given.text("profile")
    )
    key = {} if instance.key_file is None else {"TRADEBOT__VENUE__KEY_FILE": str(instance.key_file)}
    home = context.home if instance.is_user else SYSTEM_STATE / instance.name
    check_settings(options.load(home, {**context.environ, **key}), is_live=instance.is_live)


def _obstacles(instance: ServiceInstance) -> Iterator[Obstacle]:
    """Yield what the service could not read."""
    files = [Path(word) for before, word in pairwise(instance.words) if before == "--config"]
    for file in files:
        if not file.is_file():
            mend = f"write it: tradebot init --config {file}"
            yield Obstacle("there is no such configuration", str(file), mend)
    for key in (instance.key_file, instance.guard_key, instance.passphrase):
        if key is not None:
            yield from _key_obstacles(key, instance)
    if not instance.is_user:
        mend = "install tradebot into /opt/tradebot (docs/how-to/run-under-systemd.md), or add --user"
        for part in {Path(sys.prefix), Path(sys.base_prefix).resolve(), _PACKAGE}:
            yield from _hidden(part, "the service cannot see this part of tradebot", mend)
        for file in filter(Path.is_file, files):
            mend = f"sudo install -D -m 0644 {file} {_ETC / instance.name}.toml, and name that"
            yield from _hidden(file, "the service cannot read this configuration", mend)


def _key_obstacles(file: Path, instance: ServiceInstance) -> Iterator[Obstacle]:
    owner = os.geteuid() if instance.is_user else 0
    try:
        status = file.stat()
    except OSError as error:
        mend = f"put the key there: {'' if instance.is_user else 'sudo '}install -m 0600 agent.key {file}"
        yield Obstacle(f"the key cannot be read: {error.strerror}", str(file), mend)
        return
    if status.st_uid != owner or (status.st_mode & _KEY_MODES and not instance.is_encrypted):
        mend = f"{'' if instance.is_user else f'sudo chown root {file}; sudo '}chmod 0600 {file}"
        yield Obstacle("the key can be read by others", str(file), mend)


def _hidden(path: Path, what: str, mend: str) -> Iterator[Obstacle]:
    hider = next((folder for folder in _HIDDEN if path.is_relative_to(folder)), None)
    if hider is not None:
        yield Obstacle(f"{what}: {hider} is hidden from it", str(path), mend)
        return
    for part in (path, *path.parents):
        if not part.stat().st_mode & (stat.S_IXOTH if part.is_dir() else stat.S_IROTH):
            yield Obstacle(f"{what}: others may not read {part}", str(path), f"chmod o+rX {part}, or: {mend}")
            return


def _write(files: Sequence[UnitFile], *, is_forced: bool) -> list[Document]:
    """Write what is not there yet; return what was done with each. Raises ``RefusedByRule`` before the first."""
    edited = [str(file.path) for file in files if file.state is FileState.EDITED]
    if edited and not is_forced:
        mend = "compare it with tradebot service show; --force puts it aside, systemctl edit keeps changes apart"
        raise RefusedByRule("somebody has edited this unit by hand", where=", ".join(edited), mend=mend)
    done: list[Document] = []
    for file in files:
        state = file.state
        kept = None if state is FileState.SAME else file.write()
        done.append({"path": str(file.path), "was": state.value, "kept": None if kept is None else str(kept)})
    return done


def _tell_install(context: Context, manager: ServiceManager, instance: ServiceInstance, files: list[Document]) -> None:
    running = [unit for unit in instance.units if manager.is_active(unit)]
    if context.is_json:
        context.write_json({
            "name": instance.name, "manager": manager.kind, "units": list(instance.units), "running": list(running),
            "lingers": manager.lingers, "files": files,
        })  # fmt: skip
        return
    for file in files:
        said = {"same": "is up to date", "absent": "written"}.get(str(file["was"]), "renewed")
        context.write(f"{file['path']}: {said}")
        if file["kept"] is not None:
            context.note(f"warning: it was edited by hand; that is kept as {file['kept']}")
    if not manager.lingers:
        context.note(f"warning: it ends when you log out; mend: sudo loginctl enable-linger {manager.user}")
    is_renewed = any(file["was"] != "same" for file in files)
    if not running:
        context.write(f"enabled; it starts with the machine, or now: {manager.command('start', *instance.units)}")
    elif is_renewed and not context.given.flag("now"):
        context.write(f"it runs as before until: {manager.command('restart', *running)}")
    else:
        context.write(f"running: {', '.join(running)}")


def _others(folder: Path, template: str, name: str) -> list[Path]:
    own = drop_in_path(folder, unit_name(name, template))
    return [path for path in folder.glob(f"{template}@*.service.d/{DROP_IN}") if path != own]


def _remove(paths: Sequence[Path], *, is_forced: bool) -> tuple[list[str], list[str]]:
    removed, kept = [], []
    for path in paths:
        if is_edited(path) and not is_forced:
            kept.append(str(path))
            continue
        remove_unit(path)
        removed.append(str(path))
    return removed, kept
