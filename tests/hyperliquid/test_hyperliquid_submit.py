"""Once: for every intent at most one order ever exists at the venue, and none that we do not know of."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.venue.schedules import MUTANTS, Mutant, is_never, search
from tradebot.model.money import Price, Qty
from tradebot.model.venue import (
    FilledNow,
    Intent,
    Never,
    Once,
    Phase,
    Refusal,
    Rests,
    Settled,
    Sighting,
    Success,
    Unclear,
    Verdict,
    Waiting,
)
from tradebot.store import codec
from tradebot.venues.hyperliquid.nonce import Nonces
from tradebot.venues.hyperliquid.seen import Seen
from tradebot.venues.hyperliquid.statuses import verdict_of
from tradebot.venues.submit import ActionReply, Rules, Step, Submission, VenueLook

NOW = 1_700_000_000_000
EXPIRES = NOW + 12_000
LATE = EXPIRES + 5_001


def submission(*cloids: str, is_resumed: bool = False, is_urgent: bool = False) -> Submission:
    intent = Intent(nonce=NOW, cloids=cloids or ("a",), expires_ms=EXPIRES, body="{}", is_urgent=is_urgent)
    return Submission(intent, Rules(), is_resumed)


def refused(text: str) -> ActionReply:
    return ActionReply(refusal=Refusal(text, verdict_of(text)))


def steps(order: Submission, local_ms: int, count: int) -> list[Step]:
    return [order.next(local_ms) for _ in range(count)]


def test_a_reply_for_each_order_settles() -> None:
    order = submission("a", "b")
    assert order.next(NOW) is Step.SEND
    order.answered(ActionReply((Rests("1"), Waiting())))
    assert order.settled == Settled(NOW, (Rests("1"), Waiting()))
    assert order.next(NOW) is Step.DONE
    assert not is_never(order.settled)


def test_after_a_lost_answer_it_looks_and_then_sends_the_same_bytes_again() -> None:
    order = submission()
    assert order.next(NOW) is Step.SEND
    order.unanswered()
    assert order.next(NOW) is Step.LOOK
    order.looked(VenueLook(NOW, {}))
    assert steps(order, NOW, 3) == [Step.PAUSE, Step.SEND, Step.LOOK]


def test_after_a_crash_it_looks_before_it_sends() -> None:
    assert submission(is_resumed=True).next(NOW) is Step.LOOK


@pytest.mark.parametrize(
    "text",
    [
        "Invalid nonce: duplicate nonce 1",
        "Action already expired",
        "User or API Wallet 0x00 does not exist.",
        "Something nobody has seen",
        "Too many cumulative requests sent (2 > 1)",
    ],
)
def test_a_refusal_of_the_whole_action_proves_nothing(text: str) -> None:
    order = submission()
    order.next(NOW)
    order.answered(refused(text))
    assert order.settled is None
    assert order.next(NOW) is Step.LOOK


@pytest.mark.parametrize("text", ["Action already expired", "User or API Wallet 0x00 does not exist."])
def test_what_can_never_succeed_is_not_sent_again(text: str) -> None:
    order = submission()
    order.next(NOW)
    order.answered(refused(text))
    assert Step.SEND not in steps(order, NOW, 50)


@pytest.mark.parametrize("is_fence", [False, True])
def test_a_key_that_may_not_trade_signs_no_fence(is_fence: bool) -> None:
    order = submission(is_urgent=True)
    dead = refused("User or API Wallet 0x00 does not exist.")
    if is_fence:
        order.unanswered()
        assert Step.FENCE in steps(order, LATE, 9)
        order.fenced(dead)
    else:
        order.answered(dead)
    assert set(steps(order, LATE, 50)) == {Step.LOOK, Step.PAUSE}


def test_a_fence_that_was_refused_for_another_reason_is_tried_again() -> None:
    order = submission(is_urgent=True)
    order.unanswered()
    order.fenced(refused("Too many cumulative requests sent (2 > 1)"))
    order.fenced(None)
    assert Step.FENCE in steps(order, LATE, 9)


def test_sendings_end_after_their_number() -> None:
    order = submission()
    sent = 0
    for _ in range(100):
        match order.next(NOW):
            case Step.SEND:
                sent += 1
                order.unanswered()
            case Step.LOOK:
                order.looked(None)
            case _:
                pass
    assert sent == Rules().max_sends


def test_two_late_looks_with_nothing_prove_never() -> None:
    order = submission()
    order.looked(VenueLook(LATE, {}))
    assert order.settled is None
    order.looked(VenueLook(LATE + 2_999, {}))
    assert order.settled is None
    order.looked(VenueLook(LATE + 3_000, {}))
    assert order.settled == Settled(NOW, (Never(),))
    assert is_never(order.settled)


def test_looks_without_a_late_stamp_of_the_venue_prove_nothing() -> None:
    order = submission()
    for view in [None, VenueLook(None, {}), VenueLook(LATE - 1, {})] * 50:
        order.looked(view)
    assert order.settled is None


def test_an_order_found_settles_and_one_of_unreadable_status_keeps_it_open() -> None:
    order = submission()
    for stamp in range(LATE, LATE + 100_000, 1_000):
        order.looked(VenueLook(stamp, {"a": Sighting("7", Phase.UNKNOWN)}))
    assert order.settled is None
    order.looked(VenueLook(LATE, {"a": Sighting("7", Phase.LIVE)}))
    assert order.settled == Settled(NOW, (Sighting("7", Phase.LIVE),))


def test_a_status_that_cannot_be_read_is_looked_up_and_not_sent_again() -> None:
    order = submission("a", "b")
    order.next(NOW)
    order.answered(ActionReply((Unclear("queued"), Rests("2"))))
    assert order.settled is None
    assert Step.SEND not in steps(order, NOW, 20)
    order.looked(VenueLook(NOW, {"a": Sighting("1", Phase.FILLED)}))
    assert order.settled == Settled(NOW, (Sighting("1", Phase.FILLED), Rests("2")))


def test_an_urgent_one_is_fenced_and_a_fence_that_holds_proves_never() -> None:
    order = submission(is_urgent=True)
    order.next(NOW)
    order.unanswered()
    seen = steps(order, EXPIRES, 6)
    assert Step.FENCE in seen
    assert Step.SEND not in seen
    order.fenced(None)
    order.fenced(refused("Invalid nonce: duplicate nonce 1"))
    assert order.settled is None
    order.fenced(ActionReply((Success(),)))
    assert order.settled is not None
    assert is_never(order.settled)


@given(st.lists(st.integers(0, 2**45), min_size=1), st.integers(0, 2**45))
def test_nonces_rise_whatever_the_clock_does(clock: list[int], journaled: int) -> None:
    nonces = Nonces()
    nonces.seen(journaled)
    given_out = [nonces.next(now) for now in clock]
    restored = Nonces()
    restored.load(nonces.save())
    given_out.append(restored.next(0))
    assert given_out == sorted({*given_out})
    assert given_out[0] > journaled


@given(st.lists(st.sampled_from("abcdef")))
def test_a_fill_counts_once(trade_ids: list[str]) -> None:
    seen = Seen()
    assert sum(seen.is_new(trade_id) for trade_id in trade_ids) == len(set(trade_ids))


def test_no_schedule_of_a_hostile_venue_doubles_or_loses_an_order() -> None:
    seed, wrong, intents = search(range(1_500))
    assert (seed, wrong) == (None, [])
    assert intents > 7_500


@pytest.mark.parametrize("mutant", sorted(MUTANTS[Once.SAME_BYTES], key=lambda it: it.name), ids=lambda it: it.name)
def test_every_mutant_is_found_within_a_thousand_schedules(mutant: Mutant) -> None:
    seed, wrong, _ = search(range(1_000), mutant)
    assert seed is not None, f"nobody noticed: {mutant.value}"
    assert wrong


@pytest.mark.soak
def test_a_million_intents_meet_a_hostile_venue(capsys: pytest.CaptureFixture[str]) -> None:
    seeds, parts, workers = 180_000, 60, os.cpu_count() or 1
    size = seeds // parts
    started = time.perf_counter()
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(search, [range(part * size, (part + 1) * size) for part in range(parts)]))
    minutes = (time.perf_counter() - started) / 60
    intents = sum(played for _, _, played in found)
    with capsys.disabled():
        print(
            f"\n{seeds:,} schedules, {intents:,} intents, {seeds / minutes:,.0f} schedules a minute, {workers} workers"
        )
    assert [wrong for _, wrong, _ in found if wrong] == []
    assert intents >= 1_000_000


@pytest.mark.parametrize(
    "row",
    [
        Intent(nonce=NOW, cloids=("a", "b"), expires_ms=EXPIRES, body='{"nonce":1}', is_urgent=True),
        Settled(
            NOW,
            (
                Rests("1"),
                FilledNow("2", Qty(Decimal("0.5")), Price(Decimal("1.5"))),
                Waiting(),
                Success(),
                Refusal("no", Verdict.REJECTED),
                Unclear("?"),
                Sighting("3", Phase.LIVE),
                Never(),
            ),
            "why",
        ),
    ],
)
def test_what_the_journal_holds_reads_back_the_same(row: Intent | Settled) -> None:
    assert codec.decode(type(row), codec.encode(row)) == row
