"""Once, by what a venue can do: whatever is lost, late or killed, at most one order exists for each intent."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import replace
from tests.contract.venue.records import PROVEN_ABSENCE, REFUSED_ID
from tests.contract.venue.schedules import MUTANTS, Mutant, search
from tradebot.model.errors import InvariantError
from tradebot.model.venue import (
    Capabilities,
    Intent,
    Never,
    Once,
    Phase,
    Refusal,
    Rests,
    Settled,
    Sighting,
    Verdict,
    why_not_live,
)
from tradebot.venues.hyperliquid.venue import CAPABILITIES
from tradebot.venues.submit import ActionReply, Rules, Step, Submission, VenueLook

NOW = 1_700_000_000_000
RECORDS = {Once.SAME_BYTES: CAPABILITIES, Once.REFUSED_ID: REFUSED_ID, Once.PROVEN_ABSENCE: PROVEN_ABSENCE}
WAYS = pytest.mark.parametrize("way", [Once.REFUSED_ID, Once.PROVEN_ABSENCE])


def submission(can: Capabilities, *, is_resumed: bool = False) -> Submission:
    rules = Rules.of(can)
    intent = Intent(nonce=NOW, cloids=("a",), expires_ms=NOW + rules.ttl_ms, body="{}")
    return Submission(intent, rules, is_resumed)


def steps(order: Submission, stamps: Iterator[int | None], count: int) -> list[Step]:
    """Return the next steps at a venue that answers nothing and shows nothing, by the ``stamps`` of its looks."""
    taken = []
    for _ in range(count):
        step = order.next(NOW)
        taken.append(step)
        if step is Step.SEND:
            order.unanswered()
        elif step is Step.LOOK:
            stamp = next(stamps)
            order.looked(None if stamp is None else VenueLook(stamp, {}))
    return taken


def ticking(start: int, step: int = 1_000) -> Iterator[int | None]:
    while True:
        yield start
        start += step


@pytest.mark.parametrize("way", Once)
def test_each_way_follows_from_a_record(way: Once) -> None:
    assert RECORDS[way].once is way
    assert why_not_live(RECORDS[way]) == ""


@WAYS
def test_no_schedule_of_a_hostile_venue_doubles_or_loses_an_order(way: Once) -> None:
    seed, wrong, intents = search(range(700), can=RECORDS[way])
    assert (seed, wrong) == (None, [])
    assert intents > 3_500


MUTATIONS = [
    (way, mutant)
    for way in (Once.REFUSED_ID, Once.PROVEN_ABSENCE)
    for mutant in sorted(MUTANTS[way], key=lambda it: it.name)
]


@pytest.mark.parametrize(("way", "mutant"), MUTATIONS, ids=lambda it: it.name)
def test_every_mutant_is_found_within_two_thousand_schedules(way: Once, mutant: Mutant) -> None:
    seed, wrong, _ = search(range(2_000), mutant, RECORDS[way])
    assert seed is not None, f"nobody noticed: {mutant.value}"
    assert wrong


@pytest.mark.soak
@WAYS
def test_a_hundred_thousand_intents_meet_a_hostile_venue(way: Once) -> None:
    parts = [range(first, first + 500) for first in range(0, 20_000, 500)]
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        found = list(pool.map(search, parts, [Mutant.NONE] * len(parts), [RECORDS[way]] * len(parts)))
    assert [wrong for _, wrong, _ in found if wrong] == []
    assert sum(intents for _, _, intents in found) >= 100_000


def test_what_nothing_refuses_is_sent_once() -> None:
    order = submission(PROVEN_ABSENCE)
    assert steps(order, ticking(NOW), 200).count(Step.SEND) == 1
    assert order.settled == Settled(NOW, (Never(),))


def test_after_a_crash_what_nothing_refuses_is_never_sent_again() -> None:
    # Whether it left is not known, so it is as if it had.
    order = submission(PROVEN_ABSENCE, is_resumed=True)
    assert Step.SEND not in steps(order, ticking(NOW), 200)
    assert order.settled == Settled(NOW, (Never(),))


def test_a_refused_id_goes_again_right_behind_a_look_and_with_a_pause_before_it() -> None:
    order = submission(REFUSED_ID)
    taken = steps(order, ticking(NOW), 8)
    assert taken == [Step.SEND, Step.LOOK, Step.PAUSE, Step.LOOK, Step.SEND, Step.LOOK, Step.PAUSE, Step.LOOK]


@pytest.mark.parametrize("stamp", [None, NOW + 10**9])
def test_without_proof_that_the_id_is_remembered_it_is_not_sent_again(stamp: int | None) -> None:
    order = submission(REFUSED_ID)
    order.next(NOW)
    order.unanswered()
    assert Step.SEND not in steps(order, iter([stamp] * 100), 100)


@WAYS
def test_absence_is_counted_from_the_first_look_behind_the_last_sending(way: Once) -> None:
    # The row before the sending may have taken long: when the intent was made says nothing of when it left.
    order, rules = submission(RECORDS[way]), Rules.of(RECORDS[way])
    late = NOW + rules.ttl_ms + 10**6
    order.next(NOW)
    order.unanswered()
    order.looked(VenueLook(late, {}))
    order.looked(VenueLook(late + 2 * rules.spacing_ms, {}))
    assert order.settled is None
    over = late + (rules.arrival_ms or 0) + rules.margin_ms
    for stamp in (over, over + 1, over + rules.spacing_ms):
        order.looked(VenueLook(stamp, {}))
        assert order.settled is None
    order.looked(VenueLook(over + 1 + rules.spacing_ms, {}))
    assert order.settled == Settled(NOW, (Never(),))


def test_a_refusal_proves_nothing_while_an_earlier_sending_may_still_come() -> None:
    order = submission(REFUSED_ID)
    assert order.next(NOW) is Step.SEND
    order.unanswered()
    assert steps(order, ticking(NOW), 3) == [Step.LOOK, Step.PAUSE, Step.LOOK]
    assert order.next(NOW) is Step.SEND
    order.answered(ActionReply((Refusal("margin", Verdict.REJECTED),)))
    assert order.settled is None
    assert Step.SEND not in steps(order, ticking(NOW), 20)
    order.looked(VenueLook(NOW, {"a": Sighting("7", Phase.LIVE)}))
    assert order.settled == Settled(NOW, (Sighting("7", Phase.LIVE),), "margin")


@WAYS
def test_the_refusal_of_the_only_sending_is_its_outcome(way: Once) -> None:
    order = submission(RECORDS[way])
    order.next(NOW)
    refusal = Refusal("margin", Verdict.REJECTED)
    order.answered(ActionReply((refusal,)))
    assert order.settled == Settled(NOW, (refusal,))


@WAYS
def test_an_answer_settles(way: Once) -> None:
    order = submission(RECORDS[way])
    order.next(NOW)
    order.answered(ActionReply((Rests("1"),)))
    assert order.next(NOW) is Step.DONE


@given(st.floats(0, 1e4), st.one_of(st.none(), st.floats(0, 1e3)), st.one_of(st.none(), st.floats(0, 1e3)))
def test_an_id_is_sent_again_only_while_it_is_refused_for_certain(
    memory: float, in_flight: float | None, expiry: float | None
) -> None:
    can = replace(REFUSED_ID, id_memory_s=memory, in_flight_s=in_flight, expiry_s=expiry)
    if can.once is Once.REFUSED_ID:
        assert can.arrival_s is not None
        assert can.resend_s + can.arrival_s + 2 * can.lag_s <= memory + 1e-9
        assert Rules.of(can).max_sends > 1
    elif can.once is Once.PROVEN_ABSENCE:
        assert Rules.of(can).max_sends == 1
    else:
        assert in_flight is None
        assert expiry is None


REFUSED_VENUES = [
    ({"has_client_ids": False}, "takes no client order ids"),
    ({"in_flight_s": None}, "nor says how long one may be under way"),
    ({"has_reduce_only": False}, "no reduce-only stops"),
    ({"has_resting_stops": False}, "no reduce-only stops"),
    ({"is_hedged": True}, "one-way positions"),
]


@pytest.mark.parametrize(("lack", "why"), REFUSED_VENUES)
@pytest.mark.parametrize("can", [REFUSED_ID, PROVEN_ABSENCE], ids=["refused_id", "proven_absence"])
def test_a_venue_that_cannot_keep_what_is_promised_is_refused_with_the_reason(
    can: Capabilities, lack: dict[str, object], why: str
) -> None:
    assert why in why_not_live(replace(can, **lack))  # type: ignore[arg-type]


def test_no_rules_are_made_for_a_venue_that_cannot_keep_once() -> None:
    with pytest.raises(InvariantError, match="could be placed twice"):
        Rules.of(replace(PROVEN_ABSENCE, in_flight_s=None))


def test_an_expiry_alone_says_only_how_long_a_request_may_be_under_way() -> None:
    # The same bytes within it would be a second order.
    can = replace(PROVEN_ABSENCE, in_flight_s=None, expiry_s=5.0)
    assert can.once is Once.PROVEN_ABSENCE
    assert Rules.of(can).arrival_ms == 5_000
