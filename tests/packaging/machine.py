"""A machine whose init is systemd, for tests of the service: namespaces over a copy-on-write layer of this one."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

SCRIPT = Path(__file__).with_name("systemd-machine")
SYSTEMD = Path("/lib/systemd/systemd")
TRADEBOT = "/opt/tradebot/bin/tradebot"
DEADLINE_S = 90
_LONGEST_S = 300
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str:
    """Return what this machine lacks to run such a machine; empty when nothing."""
    if os.geteuid() != 0:
        return "only root can make namespaces with mounts"
    if not SYSTEMD.exists():
        return "systemd is not installed here"
    lacking = [name for name in ("unshare", "nsenter", "findmnt", "pivot_root") if shutil.which(name) is None]
    return f"{', '.join(lacking)} not installed here" if lacking else ""


class Machine:
    """The machine, up until ``end``."""

    def __init__(self, folder: Path) -> None:
        packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
        base = os.path.realpath(sys.base_prefix)
        self._log = (folder / "log").open("wb")
        mount = folder / "machine"
        mount.mkdir()
        self._shell = subprocess.Popen([SCRIPT, mount, base, packages], stdout=self._log, stderr=self._log)
        self._init = 0
        self.until(self._is_up, lambda: (folder / "log").read_text())

    def run(
        self, *words: str, user: int | None = None, text: str = "", **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the machine, as root or ``user``, and return what came of it."""
        given = [f"{name}={value}" for name, value in environ.items()]
        enter = [*self._enter, "env", "-i", _PATH, *given]
        if user is not None:
            enter += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        command = [*enter, *words]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=_LONGEST_S, check=False)

    def unpack(self, archive: bytes, folder: str) -> None:
        """Unpack a tar archive there."""
        subprocess.run([*self._enter, "tar", "-x", "-C", folder], input=archive, timeout=DEADLINE_S, check=True)

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self._init}", *["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]]

    def out(self, *words: str, user: int | None = None, text: str = "", **environ: str) -> str:
        """Run a command that must succeed and return what it prints."""
        done = self.run(*words, user=user, text=text, **environ)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.journal()}"
        return done.stdout

    def json(self, *words: str, user: int | None = None, **environ: str) -> Any:
        """Run a command whatever its exit code and return the JSON that it prints."""
        done = self.run(*words, user=user, **environ)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        """Write a file there, its folder too."""
        self.out("install", "-D", "-m", mode, "/dev/stdin", path, text=text)

    def journal(self, *words: str) -> str:
        """Return the newest lines of the machine's journal."""
        return self.run("journalctl", "--no-pager", "-n", "60", *words).stdout

    def until(self, is_so: Callable[[], bool], why: Callable[[], str]) -> None:
        """Wait until ``is_so``, a minute at most; ``why`` tells what there is instead."""
        try:
            wait_until(is_so, DEADLINE_S, pause_s=0.1)
        except TimeoutError:
            raise AssertionError(why()) from None

    def end(self) -> None:
        """Kill all that runs there."""
        self._shell.kill()
        self._shell.wait(DEADLINE_S)
        self._log.close()
        for group in Path("/sys/fs/cgroup").rglob(f"tradebot-test-{self._shell.pid}"):
            for inner in sorted(group.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    inner.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()

    def _is_up(self) -> bool:
        if not self._init:
            children = Path(f"/proc/{self._shell.pid}/task/{self._shell.pid}/children").read_text().split()
            if not children or not Path(f"/proc/{children[0]}/cmdline").read_bytes().startswith(bytes(SYSTEMD)):
                return False
            self._init = int(children[0])
        return self.run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}


def install_tradebot(machine: Machine, wheel: Path) -> None:
    """Install a wheel below /opt/tradebot, as the guide does, but with the packages of this environment."""
    machine.out("/opt/python/bin/python3", "-m", "venv", "--without-pip", "/opt/tradebot")
    packages = f"/opt/tradebot/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    machine.write(f"{packages}/packages.pth", "/opt/packages\n")
    archive = io.BytesIO()
    with zipfile.ZipFile(wheel) as files, tarfile.open(fileobj=archive, mode="w") as tar:
        for name in files.namelist():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = files.getinfo(name).file_size, 0o644
            tar.addfile(entry, files.open(name))
    machine.unpack(archive.getvalue(), packages)
    script = "#!/opt/tradebot/bin/python3\nimport sys\nfrom tradebot.cli.main import main\nsys.exit(main())\n"
    machine.write(TRADEBOT, script, "0755")
