import os
from pathlib import Path

import pytest

from tests.clock import VirtualClock
from tradebot.model.errors import ConfigError
from tradebot.model.finding import Finding, Grade
from tradebot.runtime.doctor import doctor_document, doctor_exit_code, run_doctor
from tradebot.settings.load import Loaded, load_settings
from tradebot.store.lock import HomeLock

NOW = 1_763_000_000_000_000_000
BARS = "ts_ms,open,high,low,close,volume\n0,1,2,1,2,5\n300000,2,3,2,3,5\n"


def examine(
    home: Path, environ: dict[str, str] | None = None, now: int = NOW, config: str = ""
) -> dict[str, list[Finding]]:
    def load() -> Loaded:
        if config:
            (home.parent / "bot.toml").write_text(config)
        files = [home.parent / "bot.toml"] if config else []
        return load_settings(home=home, config_files=files, environ={})

    found: dict[str, list[Finding]] = {}
    for finding in run_doctor(home, load, environ or {}, VirtualClock(now)):
        found.setdefault(finding.check, []).append(finding)
    return found


def grade(home: Path, check: str, **options: object) -> Grade:
    return examine(home, **options)[check][0].grade  # type: ignore[arg-type]


def replay(*data: str, rest: str = "") -> str:
    files = ", ".join(f'"{item}"' for item in data)
    strategy = '[[strategy]]\nkind = "sma_cross"\n'
    return f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "replay"\ndata = [{files}]\n{strategy}{rest}'


def test_a_fresh_machine_is_fit(tmp_path: Path) -> None:
    found = run_doctor(tmp_path / "home", lambda: load_settings(home=tmp_path, environ={}), {}, VirtualClock(NOW))
    assert doctor_exit_code(found) == 0
    document = doctor_document(found)
    assert document["ok"] is True
    assert not (tmp_path / "home").exists()


def test_a_bad_configuration_fails_with_its_place(tmp_path: Path) -> None:
    def load() -> Loaded:
        raise ConfigError("is wrong", where="bot.toml:3", mend="mend it")

    found = run_doctor(tmp_path, load, {}, VirtualClock(NOW))
    (finding,) = [item for item in found if item.check == "configuration"]
    assert (finding.grade, finding.what, finding.mend) == (Grade.FAIL, "bot.toml:3: is wrong", "mend it")
    assert doctor_exit_code(found) == 1


@pytest.mark.parametrize(("mode", "expected"), [(0o700, Grade.OK), (0o755, Grade.WARN), (0o777, Grade.FAIL)])
def test_a_home_is_for_its_owner(tmp_path: Path, mode: int, expected: Grade) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    assert grade(home, "home") is expected


def test_a_home_that_cannot_be_one_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert grade(tmp_path / "file", "home") is Grade.FAIL
    assert grade(tmp_path / "file" / "below", "home") is Grade.FAIL
    if os.geteuid() == 0:
        (tmp_path / "other").mkdir(mode=0o700)
        os.chown(tmp_path / "other", 12345, 12345)
        assert grade(tmp_path / "other", "home") is Grade.FAIL


def test_a_clock_that_cannot_be_right_is_told(tmp_path: Path) -> None:
    assert grade(tmp_path, "clock", now=0) is Grade.FAIL
    (tmp_path / "state.json").touch()
    os.utime(tmp_path / "state.json", ns=(NOW, NOW))
    assert grade(tmp_path, "clock") is Grade.OK
    assert grade(tmp_path, "clock", now=NOW - 120 * 10**9) is Grade.WARN


def test_a_running_daemon_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with HomeLock(home):
        assert str(os.getpid()) in examine(home)["lock"][0].what
    assert "free" in examine(home)["lock"][0].what


def test_data_files_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(BARS)
    (tmp_path / "gap.csv").write_text(BARS + "1200000,3,3,3,3,5\n")
    (tmp_path / "bad.csv").write_text(BARS + "900000,3,3,-3,3,5\n")
    (tmp_path / "other.csv").write_text("ts_ms,open,high,low,close,volume\n0,1,9,1,2,5\n")
    (tmp_path / "rates.csv").write_text("ts_ms,rate\n0,0.0001\n")
    home = tmp_path / "home"
    rest = '[venue]\nfunding = ["BTC=rates.csv"]\n'
    config = replay("BTC:5m=good.csv", "SOL:5m=gap.csv", "ETH:5m=bad.csv", "BTC:10m=other.csv", rest=rest)
    found = examine(home, config=config)["data"]
    assert [item.grade for item in found] == [Grade.OK, Grade.WARN, Grade.WARN, Grade.FAIL, Grade.OK]
    assert "one bar differs from the 5m bars of that time" in found[1].what
    assert "one gap of 2 bars from 1970-01-01 00:10:00" in found[2].what
    assert "bad.csv:4" in found[3].what
    # A bad file does not hide what the others of its symbol hold.
    config = replay("BTC:5m=bad.csv", "BTC:10m=other.csv")
    assert [item.grade for item in examine(home, config=config)["data"]] == [Grade.FAIL, Grade.OK]


def test_a_missing_data_file_fails_the_configuration(tmp_path: Path) -> None:
    assert grade(tmp_path / "home", "configuration", config=replay("BTC:5m=none.csv")) is Grade.FAIL


def test_too_little_disk_fails(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(BARS)
    config = replay("BTC:5m=good.csv", rest="[store]\nmin_free_mb = 1048576\n")
    assert grade(tmp_path / "home", "disk", config=config) is Grade.FAIL


def test_a_long_home_gets_a_short_socket(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    (finding,) = examine(tmp_path / ("x" * 120), environ)["socket"]
    assert finding.grade is Grade.OK or "XDG_RUNTIME_DIR" in finding.mend


def test_under_systemd_its_sockets_are_looked_for(tmp_path: Path) -> None:
    assert "systemd" not in examine(tmp_path)
    assert grade(tmp_path, "systemd", environ={"INVOCATION_ID": "x"}) is Grade.WARN
    environ = {"INVOCATION_ID": "x", "NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1"}
    assert grade(tmp_path, "systemd", environ=environ) is Grade.OK
