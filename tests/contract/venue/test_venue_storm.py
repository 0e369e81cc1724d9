"""Whatever happens in whatever order: in the end book and venue agree, each order exists once, and all is protected."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import replace
from tests.contract.venue.client import SimulatedExecution
from tests.contract.venue.trader import Trader, trading
from tests.contract.venue.world import Fault, Home, World
from tests.contract.venue.worlds import ProvenAbsenceWorld, RefusedIdWorld
from tests.search import examples
from tradebot.model.command import Verb
from tradebot.venues.submit import Rules, Submitter

VIRTUAL = pytest.mark.parametrize("world", [RefusedIdWorld, ProvenAbsenceWorld], ids=lambda world: world.name)
DEEDS = ("enter", "enter_low", "exit", "cancel", "kill", "hang_up", "up", "down", "hand", "hand_cancel", "thin", "calm")
PAUSES_S = (0.0, 0.015, 0.03, 0.5, 5.0, 40.0)
_HEAL_S = 90


class Deed(NamedTuple):
    """Something that happens, and how long it is quiet then."""

    what: str | Fault
    pause_s: float
    times: int = 1


# What goes wrong with a request that is killed on its way is most of what can go wrong at all.
OFTEN = ("enter", "enter", "kill", "kill", Fault.LOST, Fault.UNANSWERED, Fault.LATE, Fault.LATE)
deeds = st.lists(
    st.builds(Deed, st.sampled_from((*DEEDS, *Fault, *OFTEN)), st.sampled_from(PAUSES_S), st.integers(1, 3)),
    max_size=14,
)


async def do(bot: Trader, deed: Deed) -> None:  # noqa: C901  # a table of what may happen
    world, held = bot.world, bot.held()
    match deed.what:
        case Fault() as fault:
            world.fault(fault, deed.times)
        case "enter" | "enter_low" if held == 0 and not bot.working():
            bot.enter(limit=None if deed.what == "enter" else "0.99")
        case "exit" if held > 0:
            bot.exit(str(held))
        case "cancel":
            bot.cancel_all()
        case "kill":
            world.fault(Fault.DEAF, 0)
            await bot.reborn()
        case "hang_up":
            world.hang_up()
        case "up" | "down":
            world.move("1.03" if deed.what == "up" else "0.97")
        case "hand" if world.position() > 0:
            world.trade_by_hand(str(-world.position() / 2))
        case "hand_cancel":
            world.cancel_by_hand()
        case "thin":
            world.thin_out("0.3")
        case "calm":
            world.heal()
        case _:
            pass
    await world.sleep(deed.pause_s)


async def survives(world: World, storm: list[Deed]) -> None:
    async with trading(world) as bot:
        for deed in storm:
            await do(bot, deed)
        world.heal()
        for _ in range(_HEAL_S):
            await world.sleep(1)
        world.move("1")
        await bot.agreed()
        assert bot.is_protected(), bot.describe()
        assert set(world.fills()) == bot.booked()
        assert not [verb for verb, _ in bot.line.commands if verb is Verb.HALT], bot.describe()


@VIRTUAL
@settings(max_examples=examples(25))
@given(deeds)
def test_after_any_storm_book_and_venue_agree(world: type[World], storm: list[Deed]) -> None:
    world.play(lambda made: survives(made, storm))


class ResendingWorld(ProvenAbsenceWorld):
    """Its client sends again what nothing refuses."""

    async def client(self, home: Home) -> SimulatedExecution:
        venue = await super().client(home)
        venue._rules = replace(Rules.of(self.can), ttl_ms=10**6, max_sends=8)
        venue._submitter = Submitter(venue, venue._rules)
        return venue


def test_a_client_that_sends_again_what_nothing_refuses_is_found() -> None:
    storm = [Deed(Fault.LATE, 0.0), Deed("enter", 0.03)]
    ProvenAbsenceWorld.play(lambda made: survives(made, storm))
    with pytest.raises(AssertionError):
        ResendingWorld.play(lambda made: survives(made, storm))
