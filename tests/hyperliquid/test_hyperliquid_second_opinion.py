"""The exchange's own client beside ours: it agrees, and whoever reads or signs otherwise is named."""

import json
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.devnet.conftest import Running
from tradebot.cli.main import run
from tradebot.model.finding import Grade

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("hyperliquid", reason="hyperliquid-python-sdk is not installed")
from tradebot.devnet.hand import Hand
from tradebot.venues.hyperliquid import second_opinion
from tradebot.venues.hyperliquid.official import official_signature
from tradebot.venues.hyperliquid.second_opinion import AccountReading, differ, signature_finding

D = Decimal


@pytest.fixture
def devnet() -> Iterator[Running]:
    running = Running()
    exchange = running.net.exchange
    running.do(lambda: Hand(exchange).trade(running.user, "BTC", D("0.01")))
    running.do(lambda: setattr(exchange.account(running.user), "spot_usdc", D(7)))
    yield running
    running.stop()


def opinions(devnet: Running, folder: Path, capsys: Any) -> list[dict[str, str]]:
    key = folder / "master.key"
    key.write_text(devnet.key)
    key.chmod(0o600)
    (folder / "mine.toml").write_text(f'[venue]\nurl = "{devnet.url}"\nkey_file = "{key}"\n')
    words = ["--home", str(folder / "home"), "--profile", "devnet", "--config", str(folder / "mine.toml"), "--json"]
    run(["doctor", *words], {"XDG_RUNTIME_DIR": str(folder)})
    checks = json.loads(capsys.readouterr().out)["checks"]
    return [row for row in checks if row["check"] == "second opinion"]


def test_both_agree_on_signatures_cash_and_positions(devnet: Running, tmp_path: Path, capsys: Any) -> None:
    signed, read = opinions(devnet, tmp_path, capsys)
    assert (signed["result"], read["result"]) == ("ok", "ok")
    assert "signs as we do" in signed["what"]
    assert "7 in spot, 1 held" in read["what"]


def test_each_difference_is_a_red_line_with_both_numbers(
    devnet: Running, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = second_opinion._ours

    async def wrong(inquiry: Any, address: str) -> AccountReading:
        seen = await ours(inquiry, address)
        return seen._replace(positions={"BTC": D("0.02"), "ETH": D(1)})

    monkeypatch.setattr(second_opinion, "_ours", wrong)
    _, *red = opinions(devnet, tmp_path, capsys)
    assert {row["result"] for row in red} == {"fail"}
    assert [row["what"] for row in red] == [
        "the position in BTC: we read 0.02, hyperliquid-python-sdk 0.01",
        "the position in ETH: we read 1, hyperliquid-python-sdk nothing",
    ]


def test_what_cannot_be_asked_is_no_red_line(
    devnet: Running, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = devnet.net.server.limits
    monkeypatch.setattr(second_opinion, "_theirs", lambda ask, _user: ask("noSuchThing"))
    _, row = opinions(devnet, tmp_path, capsys)
    assert (row["result"], "HTTP 422" in row["what"]) == ("warn", True)
    monkeypatch.setattr(second_opinion, "_theirs", lambda ask, _user: (setattr(limits, "is_open", False), ask("meta")))
    devnet.do(lambda: limits.weight("127.0.0.1").charge(1_200, devnet.net._clock.monotonic()))
    _, row = opinions(devnet, tmp_path, capsys)
    assert (row["result"], "limits our rate" in row["what"]) == ("warn", True)


def test_where_it_is_not_installed_that_is_said(
    devnet: Running, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradebot.runtime.ownership.is_installed", lambda: False)
    (row,) = opinions(devnet, tmp_path, capsys)
    assert (row["result"], "is not installed" in row["what"]) == ("ok", True)


def test_a_signature_that_differs_is_named_with_its_case() -> None:
    def wrong(*given: Any, **options: Any) -> Any:
        address, signed = official_signature(*given, **options)
        return address, signed._replace(v=55 - signed.v) if options["vault"] and options["expires"] else signed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert signature_finding().grade is Grade.OK
        found = signature_finding(wrong)
    assert found.grade is Grade.FAIL
    assert "mainnet, vault 0x17" in found.what


def test_a_difference_has_a_line_of_its_own() -> None:
    seen = AccountReading(D(1), {"BTC": D(1)}, D(2))
    assert list(differ(seen, seen)) == []
    other = AccountReading(D(3), {}, D(4))
    assert len(list(differ(seen, other))) == 3
