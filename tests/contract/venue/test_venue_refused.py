"""A venue whose record cannot keep what is promised is refused where a daemon starts, and leaves the account free."""

from pathlib import Path

import pytest

from tests.builders import replace
from tests.live.rehearsal import begin, run, stage
from tradebot.model.errors import ConfigError
from tradebot.venues.hyperliquid.venue import CAPABILITIES, HyperliquidVenue

LACKS = [
    ({"takes_bytes_once": False, "expiry_s": None}, "could be placed twice"),
    ({"has_resting_stops": False}, "could not be protected"),
    ({"is_hedged": True}, "one-way"),
]


@pytest.mark.parametrize(("lack", "why"), LACKS, ids=[why for _, why in LACKS])
async def test_a_venue_that_cannot_keep_a_promise_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: dict[str, object], why: str
) -> None:
    async with stage(tmp_path) as made:
        with monkeypatch.context() as patched:
            patched.setattr(HyperliquidVenue, "capabilities", replace(CAPABILITIES, **lack))  # type: ignore[arg-type]
            with pytest.raises(ConfigError, match="not traded for real") as refused:
                await begin(made)
            assert why in refused.value.what
            assert made.desk.cloids == {}
        # Nothing was kept from whoever comes next.
        async with run(made) as bot:
            await bot.agreed()
