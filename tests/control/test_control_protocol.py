import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.control.protocol import CODES, MAX_SOCKET_PATH, error_document, error_from, find_socket, socket_path
from tradebot.control.when import parse_when
from tradebot.model.errors import NotPermitted, TradebotError, Unreadable, UsageError
from tradebot.model.time import DAY, Nanos


def every_error(base: type[TradebotError] = TradebotError) -> list[type[TradebotError]]:
    """Return the errors of the model; one that a module keeps to itself travels as its base."""
    children = [child for child in base.__subclasses__() if child.__module__ == base.__module__]
    return [base] + [error for child in children for error in every_error(child)]


@pytest.mark.parametrize("error", every_error())
def test_every_error_comes_back_as_its_class_with_its_exit_code(error: type[TradebotError]) -> None:
    sent = error("what é ever", where="here", mend="so")
    back = error_from(500, error_document(sent))
    assert type(back) is error
    assert (back.what, back.where, back.mend, back.exit_code) == ("what é ever", "here", "so", error.exit_code)


def test_an_error_document_has_the_four_keys_of_the_contract() -> None:
    document = json.loads(error_document(NotPermitted("no")))
    assert document == {"error": {"code": "not_permitted", "what": "no", "where": "", "mend": ""}}


def test_a_subclass_stands_before_its_base_in_the_table() -> None:
    for index, code in enumerate(CODES):
        assert not any(issubclass(later.error, code.error) for later in CODES[index + 1 :])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_other_body_is_unreadable_and_never_a_crash(body: bytes) -> None:
    assert isinstance(error_from(500, body), Unreadable | TradebotError)


def test_the_socket_is_in_the_home(home: Path) -> None:
    assert socket_path(home, {}) == home / "control.sock"


def test_a_runtime_directory_of_systemd_comes_first(home: Path) -> None:
    assert socket_path(home, {"RUNTIME_DIRECTORY": "/run/tradebot/a:/run/b"}) == Path("/run/tradebot/a/control.sock")


def test_a_long_home_gets_a_short_socket_of_its_own(tmp_path: Path, environ: dict[str, str]) -> None:
    environ = {"XDG_RUNTIME_DIR": environ["XDG_RUNTIME_DIR"]}
    long = tmp_path / ("h" * 100)
    path, other = socket_path(long, environ), socket_path(tmp_path / ("i" * 100), environ)
    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH
    assert path != other
    assert path == socket_path(long, environ)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_runtime_directory_that_others_may_write_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    (Path(environ["XDG_RUNTIME_DIR"]) / "tradebot").mkdir()
    (Path(environ["XDG_RUNTIME_DIR"]) / "tradebot").chmod(0o777)
    with pytest.raises(NotPermitted, match="not ours alone"):
        socket_path(tmp_path / ("h" * 100), environ)


def test_a_client_follows_the_word_left_in_the_home(home: Path) -> None:
    (home / "control.path").write_text("/run/tradebot/a/control.sock")
    assert find_socket(home, {}) == Path("/run/tradebot/a/control.sock")


@pytest.mark.parametrize("text", ["", "relative.sock", "/" + "x" * 200, "\0"])
def test_a_broken_word_in_the_home_is_passed_over(home: Path, text: str) -> None:
    (home / "control.path").write_text(text)
    assert find_socket(home, {}) == home / "control.sock"


def test_a_symlinked_word_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("/run/evil.sock")
    (home / "control.path").symlink_to(tmp_path / "evil")
    assert find_socket(home, {}) == home / "control.sock"


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-02T00:00:00Z", 86_400_000),
        ("1970-01-02T02:00:00+02:00", 86_400_000),
        ("1970-01-02T00:00:00.123456", 86_400_123.456),
        ("1735689600000", 1_735_689_600_000),
        ("20250101", 1_735_689_600_000),
        ("1d", 9 * 86_400_000),
        ("36h", 8.5 * 86_400_000),
    ],
)
def test_a_moment_is_iso_or_milliseconds_or_an_age(text: str, ts_ms: float) -> None:
    assert parse_when(text, Nanos(10 * DAY)) == round(ts_ms * 1000) * 1000


@pytest.mark.parametrize("text", ["", "soon", "7", "0d", "-1d", "1y", "99999999999999999999", "2026-13-01", "1e9"])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(UsageError, match="no time"):
        parse_when(text, Nanos(0))


@pytest.mark.parametrize(
    ("text", "unit"),
    [("1735689600", "seconds"), ("1735689600000000", "microseconds"), ("1735689600000000000", "nanoseconds")],
)
def test_a_moment_in_another_unit_is_refused_with_what_was_meant(text: str, unit: str) -> None:
    with pytest.raises(UsageError, match=f"looks like {unit}") as caught:
        parse_when(text, Nanos(0))
    assert caught.value.mend == "write 1735689600000"
