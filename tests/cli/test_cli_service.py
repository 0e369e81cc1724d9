"""``tradebot service`` where it can be had without systemd: what it would write, what it sees, and what it refuses."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.cli.main import run
from tradebot.cli.service_units import (
    FileState,
    ServiceInstance,
    UnitFile,
    check_name,
    exec_words,
    is_edited,
    remove_unit,
    template_text,
    unit_files,
)
from tradebot.model.errors import StorageFailed, UsageError
from tradebot.secret.passphrase import CREDENTIAL

PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


def instance(**changes: object) -> ServiceInstance:
    fields: dict[str, object] = {
        "name": "main", "is_user": False, "program": ("/opt/tradebot/bin/tradebot",), "words": (),
        "environment": Path("/etc/tradebot/main.env"),
    }  # fmt: skip
    return ServiceInstance(**(fields | changes))  # type: ignore[arg-type]  # any of its fields


@given(st.lists(PRINTABLE, min_size=1))
def test_whatever_a_path_holds_the_unit_gives_it_back(words: list[str]) -> None:
    files = unit_files(instance(words=words), Path("/x"))
    found = exec_words(files[-1].text)
    assert found == ["/opt/tradebot/bin/tradebot", *words, "start", "--foreground"]


def test_a_path_that_would_end_its_line_is_refused() -> None:
    with pytest.raises(UsageError, match="control characters"):
        unit_files(instance(words=["--config", "/a\nExecStart=/bin/evil"]), Path("/x"))
    with pytest.raises(UsageError, match="control characters"):
        unit_files(instance(environment=Path("/a\nExecStart=/bin/evil")), Path("/x"))


@pytest.mark.parametrize("name", ["main", "btc-5m", "a" * 22, "0", "x_y"])
def test_a_name_that_can_be_a_user_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "Main", "a" * 23, "-a", "a b", "a/b", "../x", "a@b", "a.b", "ä", "%i", "a\n"])
def test_a_name_that_cannot_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be named"):
        check_name(name)


def test_a_file_that_a_person_has_edited_is_seen_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "tradebot@.service"
    old, new = UnitFile(path, "[Unit]\nDescription=old\n"), UnitFile(path, "[Unit]\nDescription=new\n")
    assert old.state is FileState.ABSENT
    assert old.write() is None
    assert (old.state, new.state, is_edited(path)) == (FileState.SAME, FileState.OUTDATED, False)
    path.write_text(path.read_text() + "Nice=5\n")
    assert (old.state, is_edited(path)) == (FileState.EDITED, True)
    kept = new.write()
    assert kept is not None
    assert "Nice=5" in kept.read_text()
    assert new.state is FileState.SAME
    path.write_text("mine")
    assert new.write() != kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_was_copied_from_the_sources_by_hand_is_no_edit(tmp_path: Path) -> None:
    path = tmp_path / "tradebot@.service"
    path.write_text(template_text("tradebot@.service", is_user=False))
    assert not is_edited(path)
    assert unit_files(instance(), tmp_path)[0].state is FileState.SAME


def test_a_drop_in_goes_with_its_folder_unless_another_is_there(tmp_path: Path) -> None:
    drop_in = unit_files(instance(), tmp_path)[-1]
    drop_in.write()
    remove_unit(drop_in.path)
    assert not drop_in.path.parent.exists()
    drop_in.write()
    (drop_in.path.parent / "override.conf").write_text("[Service]\n")
    remove_unit(drop_in.path)
    assert (drop_in.path.parent / "override.conf").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="unit"):
        UnitFile(tmp_path / "file" / "tradebot@.service", "x").write()
    with pytest.raises(StorageFailed, match="unit"):
        remove_unit(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageFailed, match="unit"):
        _ = UnitFile(tmp_path / "folder", "x").state


def test_a_service_of_a_user_has_nothing_that_only_the_system_can_do() -> None:
    text = template_text("tradebot@.service", is_user=True)
    keys = {line.partition("=")[0] for line in text.splitlines() if "=" in line}
    assert not keys & {"User", "DynamicUser", "ProtectHome", "PrivateTmp", "CapabilityBoundingSet", "After"}
    assert {"WatchdogSec", "NoNewPrivileges", "SystemCallFilter", "MemoryMax", "RestartPreventExitStatus"} <= keys
    assert "WantedBy=default.target" in text


def test_a_template_that_is_not_part_of_the_install_is_named() -> None:
    with pytest.raises(StorageFailed, match="not part of this install"):
        template_text("nothing.service", is_user=False)


def test_an_encrypted_key_is_decrypted_by_systemd() -> None:
    files = unit_files(instance(key_file=Path("/k"), is_encrypted=True), Path("/x"))
    assert "LoadCredentialEncrypted=agent.key:/k\n" in files[-1].text


def test_the_passphrase_of_a_keystore_is_the_credential_that_is_looked_for() -> None:
    files = unit_files(instance(passphrase=Path("/p")), Path("/x"))
    assert f"LoadCredential={CREDENTIAL}:/p\n" in files[-1].text


def told(capsys: pytest.CaptureFixture[str], *words: str, **environ: str) -> tuple[int, str, str]:
    code = run([*words], environ)
    out, err = capsys.readouterr()
    return code, out, err


def test_show_prints_what_would_be_written_and_what_is_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "my bot.toml"
    words = ["service", "show", "bot", "--user", "--guard", "--json", "--home", str(tmp_path), "--config", str(config)]
    code, out, _ = told(capsys, *words, XDG_CONFIG_HOME=str(tmp_path / "c"))
    document = json.loads(out)
    assert code == 0
    assert document["units"] == ["tradebot@bot.service", "tradebot-guard@bot.service"]
    assert [file["state"] for file in document["files"]] == ["absent"] * 4
    assert {Path(file["path"]).parts[-2] for file in document["files"]} == {
        "user", "tradebot@bot.service.d", "tradebot-guard@bot.service.d"
    }  # fmt: skip
    assert exec_words(document["files"][2]["text"]) == [
        str(Path(sys.prefix) / "bin" / "tradebot"), "--home", str(tmp_path), "--config", str(config), "start",
        "--foreground",
    ]  # fmt: skip
    assert [obstacle["where"] for obstacle in document["obstacles"]] == [str(config), str(tmp_path / "bot.guard.key")]


def test_show_as_text_is_what_a_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, "service", "show", "--profile", "demo")
    assert code == 0
    assert "# /etc/systemd/system/tradebot@.service (" in out
    assert re.search(r"^ExecStart=\S+ --profile demo start --foreground$", out, re.MULTILINE)
    # This environment lies where a service of the system does not see it, or not.
    assert ("warning:" in err) is any(
        Path(sys.prefix).is_relative_to(folder) or Path(os.path.realpath(sys.base_prefix)).is_relative_to(folder)
        for folder in ("/home", "/root", "/tmp", "/var/tmp", "/run/user")
    )


def test_the_home_of_a_service_of_the_system_is_fixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = told(capsys, "service", "show", "--home", str(tmp_path))
    assert code == 2
    assert "/var/lib/tradebot/main" in err
    assert "--user" in err


@pytest.mark.parametrize("verb", ["install", "uninstall", "status"])
@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs this machine")
def test_where_systemd_does_not_run_it_says_so(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, "service", verb)
    assert (code, out) == (1, "")
    assert "systemd does not run this machine" in err
    assert "mend:" in err


def test_a_plain_user_sees_the_units_of_the_system(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tradebot", "service", "show", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["manager"] == "system"
