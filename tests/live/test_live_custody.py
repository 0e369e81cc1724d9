"""Money that its owner moves between pockets, sub-accounts and vaults is booked by the bot, to the last digit."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")
from tests.live.rehearsal import LONG, run, stage

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]
D = Decimal


async def test_each_movement_is_a_deposit_or_a_withdrawal(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        exchange, account = venue.net.exchange, venue.desk
        account.volume = D(200_000)
        await bot.bar(LONG)
        await bot.until(lambda: bot.position() > 0 and bot.is_protected())
        sub = exchange.sub_accounts.create(account, "grid")
        vault = exchange.vaults.create(account, "pool", "", D(100))
        exchange.vaults.find(vault).locked_until_ms[account.user] = 0
        exchange.tell(account)

        def pockets(amount: str, *, to_perp: bool) -> None:
            action = {"type": "usdClassTransfer", "amount": amount, "toPerp": to_perp}
            exchange.registry.user_signed(exchange, account, action)

        moves: list[Callable[[], None]] = [
            lambda: exchange.sub_accounts.transfer(account, sub, D("300.5"), is_deposit=True),
            lambda: exchange.sub_accounts.transfer(account, sub, D("100.25"), is_deposit=False),
            lambda: exchange.vaults.transfer(account, vault, D("50.125"), is_deposit=True),
            lambda: pockets("70.000001", to_perp=False),
            lambda: pockets("20.5", to_perp=True),
        ]
        await bot.agreed()
        for move in moves:
            move()
            await bot.agreed()
        exchange.vaults.find(vault).locked_until_ms[account.user] = 0
        exchange.vaults.transfer(account, vault, D("25.5"), is_deposit=False)
        await bot.agreed()
        moved = map(D, ("-200", "-300.5", "100.25", "-50.125", "-70.000001", "20.5", "25.5"))
        assert bot.engine.risk.save().deposits == sum(moved)
        assert venue.pages == []
