"""The numbers of the submit protocol in short, so that a proof of absence takes a second."""

import pytest


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = pytest.importorskip(
        "tradebot.venues.hyperliquid.connect", reason="the extra hyperliquid is not installed"
    )
    from tests.live.rehearsal import QUICK

    monkeypatch.setattr(connect.Rules, "of", lambda can: QUICK)
