"""Inputs of the journal, changed by chance, through the wired stages of a live bot."""

import os
import time
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest

from tests.mutation.line_lab import LineLab, check, configured
from tradebot.model.command import Tick
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import FillReport, Liquidity, OrderSide
from tradebot.model.time import Nanos

SEED = int(os.environ.get("TRADEBOT_SOAK_SEED", "1"))
MINUTES = float(os.environ.get("TRADEBOT_SOAK_MINUTES", "2"))
D = Decimal


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_no_word_that_a_parser_lets_through_makes_a_stage_raise(tmp_path: Path, seed: int) -> None:
    lab = LineLab(configured(tmp_path), seed)
    lab.go(1_500)
    assert lab.raised == []
    assert check(lab) == []
    assert lab.mutants > 250
    assert lab.trades


@pytest.mark.parametrize("size", ["9999999999999999", "0.000000000000000001", "9999999999999999.123456789012345678"])
def test_no_size_or_price_of_another_hand_is_too_absurd_to_be_told(tmp_path: Path, size: str) -> None:
    prices = ("999999999999", "0.000000000000000001", "50000")
    loaded = configured(tmp_path)
    for price, name in product(prices, (None, "foreign-7")):
        lab = LineLab(loaded, SEED)
        lab.go(20)
        lab.take(
            FillReport(
                ts_event=Nanos(lab.now),
                trade_id="absurd",
                client_order_id=name,
                symbol="BTC",
                side=OrderSide.BUY,
                qty=Qty(D(size)),
                price=Price(D(price)),
                fee=Cash(D(1)),
                liquidity=Liquidity.TAKER,
            )
        )
        lab.go(5)
        lab.take(Tick(ts_event=Nanos(lab.now)))
        assert lab.raised == []
        assert check(lab) == []


def test_what_no_parser_lets_through_is_set_aside_and_the_past_repeats(tmp_path: Path) -> None:
    lab = LineLab(configured(tmp_path), SEED, is_wild=True)
    lab.go(400)
    assert check(lab) == []
    assert lab.raised


@pytest.mark.soak
def test_no_word_makes_a_stage_raise_for_long(tmp_path: Path) -> None:
    loaded, until, seed = configured(tmp_path), time.monotonic() + 60 * MINUTES, SEED
    messages = mutants = fills = 0
    kinds: set[str] = set()
    while time.monotonic() < until:
        lab = LineLab(loaded, seed)
        lab.go(1_500)
        assert (seed, lab.raised, check(lab)) == (seed, [], [])
        seed, messages, mutants = seed + 1, messages + len(lab.rows), mutants + lab.mutants
        fills += len(lab.trades)
        kinds |= lab.mutator.kinds.keys()
    seeds = seed - SEED
    print(f"\nline: {messages} inputs, {mutants} changed in {len(kinds)} kinds, {fills} fills, {seeds} seeds; raised 0")
