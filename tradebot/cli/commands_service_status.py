"""``service status``: what systemd says of an instance, and what its daemon says of itself."""

import json
from pathlib import Path

from tradebot.cli.commands_service import instance_name, service_manager
from tradebot.cli.context import Context
from tradebot.cli.service_manager import ServiceManager
from tradebot.cli.service_units import SYSTEM_STATE, drop_in_path, exec_words, is_edited, unit_name
from tradebot.cli.spawn import parse_arguments
from tradebot.control import client
from tradebot.control.protocol import find_socket
from tradebot.model.errors import NotRunning, TradebotError
from tradebot.report.shapes import Document

_PROPERTIES = {
    "loaded": "LoadState",
    "active": "ActiveState",
    "sub": "SubState",
    "enabled": "UnitFileState",
    "result": "Result",
    "pid": "MainPID",
    "restarts": "NRestarts",
    "exit_code": "ExecMainStatus",
    "says": "StatusText",
    "since": "ActiveEnterTimestamp",
    "memory": "MemoryCurrent",
}
_NUMBERS = ("pid", "restarts", "exit_code", "memory")


def status(context: Context) -> int:
    """Print both words; exit 0 when both are well, 3 when it does not run, 1 when something is wrong."""
    manager, name = service_manager(context), instance_name(context)
    manager.require()
    unit = unit_name(name)
    daemon = _asked(manager, unit)
    guard = _asked(manager, unit_name(name, "tradebot-guard"))
    has_guard = drop_in_path(manager.folder, str(guard["unit"])).exists()
    home = _home(manager, name)
    health, trouble = _health(context, home) if daemon["active"] == "active" else (None, "it does not run")
    is_well = health is not None and health.get("well") is True and (not has_guard or guard["active"] == "active")
    document: Document = {
        "name": name, "manager": manager.kind, "well": is_well, "lingers": manager.lingers, "home": str(home),
        "daemon": daemon, "guard": guard if has_guard else None, "health": health, "trouble": trouble,
    }  # fmt: skip
    if context.is_json:
        context.write_json(document)
    else:
        _write(context, document)
    if daemon["active"] in {"inactive", "failed"}:
        return NotRunning.exit_code
    return 0 if is_well else 1


def _asked(manager: ServiceManager, unit: str) -> Document:
    found = manager.properties(unit, tuple(_PROPERTIES.values()))
    told: Document = {"unit": unit}
    for key, name in _PROPERTIES.items():
        text = found[name]
        told[key] = (int(text) if text.isdigit() else None) if key in _NUMBERS else text
    path = drop_in_path(manager.folder, unit)
    told["edited"] = path.exists() and is_edited(path)
    return told


def _home(manager: ServiceManager, name: str) -> Path:
    """Return the home of an instance: where the system's manager puts it, or what its own unit says."""
    if not manager.is_user:
        return SYSTEM_STATE / name
    try:
        given = parse_arguments(exec_words(drop_in_path(manager.folder, unit_name(name)).read_text()))
    except (OSError, ValueError):
        given = None
    return Path((given and given.text("home")) or Path.home() / ".local/state/tradebot")


def _health(context: Context, home: Path) -> tuple[Document | None, str]:
    try:
        document = json.loads(client.read(find_socket(home, context.environ), "health"))
    except (TradebotError, OSError, ValueError) as error:
        return None, f"the daemon does not say how it is: {error}; mend: ask as root, or look at the journal"
    return document, ""


def _write(context: Context, document: Document) -> None:
    for key in ("daemon", "guard"):
        row = document[key]
        if isinstance(row, dict):
            context.write(_line(row))
    health = document["health"]
    if isinstance(health, dict):
        from tradebot.report.text import health_text

        context.write(health_text(health, context.is_colour))
    if document["trouble"]:
        context.write(str(document["trouble"]))
    if not document["lingers"]:
        context.note("warning: it ends when its user logs out; mend: sudo loginctl enable-linger")


def _line(row: Document) -> str:
    words = [f"{row['unit']}: {row['active']} ({row['sub']}), {row['enabled'] or 'not installed'}"]
    if row["active"] == "active":
        words += [f"pid {row['pid']}", f"since {row['since']}", f"restarts {row['restarts']}"]
    elif row["result"] not in {"success", ""}:
        words += [f"{row['result']}, exit code {row['exit_code']}"]
    words += [str(row["says"])] if row["says"] else []
    return ", ".join(words) + ("; its drop-in was edited by hand" if row["edited"] else "")
