"""What the silence of channels proves: of one coin that it is silent, of several that the socket is."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tradebot.venues.hyperliquid.hearing import Hearing

LIMITS = {"activeAssetCtx": 20.0, "bbo": 120.0, "candle": 120.0}
COINS = ("A", "B", "C")


def hearing(coins: tuple[str, ...] = COINS, *types: str) -> Hearing:
    made = Hearing(LIMITS)
    made.begin({f"{kind}:{coin}": coin for coin in coins for kind in types or ("activeAssetCtx",)}, 0.0)
    made.up(0.0)
    return made


def speak(made: Hearing, coins: str, *times: float, kind: str = "activeAssetCtx") -> None:
    for now in times:
        for coin in coins:
            made.hear(f"{kind}:{coin}", now)


def due(made: Hearing) -> tuple[float, str]:
    found = made.due()
    assert found is not None
    return found


def test_one_that_falls_silent_is_asked_again_ever_more_slowly_and_never_ends_the_socket() -> None:
    made = hearing()
    speak(made, "ABC", 1.0, 2.0)
    at, asked = 0.0, []
    for _ in range(6):
        at, key = due(made)
        speak(made, "BC", at)
        assert (key, made.lost(key, at)) == ("activeAssetCtx:A", "")
        assert made.again(key, at) == len(asked) + 1
        asked.append(at)
        # It repeats what is known, and that is all it says; the others go on.
        speak(made, "A", at + 0.1)
        for later in range(int(at), int(at) + 640, 5):
            speak(made, "BC", float(later))
    assert [round(b - a) for a, b in pairwise(asked)] == [40, 80, 160, 320, 640]


def test_it_is_heard_again_at_the_second_word() -> None:
    made = hearing()
    speak(made, "ABC", 1.0, 2.0)
    made.again("activeAssetCtx:A", 22.0)
    assert not made.hear("activeAssetCtx:A", 22.1)
    assert made.hear("activeAssetCtx:A", 23.0)
    assert not made.hear("activeAssetCtx:A", 24.0)


def test_several_that_fall_silent_together_end_the_socket() -> None:
    made = hearing()
    speak(made, "ABC", 1.0, 2.0)
    speak(made, "B", 3.0)
    speak(made, "C", 4.0, 20.0)
    at, key = due(made)
    assert made.lost(key, at) == "A, B"


def test_what_was_silent_before_or_never_spoke_does_not_count() -> None:
    made = hearing(("A", "B", "C", "D"))
    speak(made, "ABC", 1.0, 2.0)
    speak(made, "BC", 20.0)
    # D never spoke on this socket, A fell silent first; B falls silent later, C speaks.
    for _ in range(2):
        at, key = due(made)
        assert (made.lost(key, at), key) in {("", "activeAssetCtx:A"), ("", "activeAssetCtx:D")}
        made.again(key, at)
    speak(made, "C", 39.0)
    at, key = due(made)
    assert (key, made.lost(key, at)) == ("activeAssetCtx:B", "")


def test_a_coin_whose_marks_come_is_not_silent_however_quiet_its_bars_are() -> None:
    made = hearing(("A", "B"), "activeAssetCtx", "candle")
    speak(made, "AB", 1.0, 2.0)
    speak(made, "AB", 1.0, 2.0, kind="candle")
    for now in range(10, 130, 10):
        speak(made, "AB", float(now))
    at, key = due(made)
    assert (at, made.lost(key, at)) == (122.0, "")
    assert key.startswith("candle")


def test_when_nobody_speaks_it_is_the_socket_and_alone_it_gets_one_more_chance() -> None:
    made = hearing()
    at, key = due(made)
    assert made.lost(key, at) == "A, B, C"
    made = hearing(("A",))
    at, key = due(made)
    assert made.lost(key, at) == ""
    made.again(key, at)
    at, key = due(made)
    assert made.lost(key, at) == "A"


def test_what_the_venue_does_not_give_is_news_once() -> None:
    made = hearing()
    assert made.refuse("activeAssetCtx:A")
    assert not made.refuse("activeAssetCtx:A")
    assert made.refuse("userFills")
    made.drop("activeAssetCtx:B")
    made.drop("activeAssetCtx:C")
    assert due(made) == (40.0, "activeAssetCtx:A")
    made.drop("activeAssetCtx:A")
    assert made.due() is None


@given(st.sets(st.sampled_from("ABCDEFGH"), min_size=1, max_size=1), st.lists(st.floats(0, 19), min_size=8, max_size=8))
def test_one_of_many_never_ends_the_socket(silent: set[str], phases: list[float]) -> None:
    """Whichever falls silent, and however the others' words lie in time, all but it go on being heard."""
    made = hearing(tuple("ABCDEFGH"))
    speak(made, "ABCDEFGH", 0.0, 0.1)
    words = sorted(
        (now, coin)
        for coin, phase in zip("ABCDEFGH", phases, strict=True)
        if coin not in silent
        for now in (phase / 4 + 5 * step for step in range(60))
    )
    for now, coin in words:
        while (found := due(made))[0] <= now:
            assert made.lost(found[1], found[0]) == ""
            made.again(found[1], found[0])
            assert found[1].endswith(tuple(silent))
        speak(made, coin, now)
