"""The list of gates is whole, and what follows from it fits."""

import pkgutil

import pytest

import tradebot.pipeline.risk.gates as package
from tests.builders import bar, bars_closed, cash, instrument, price, replace, signal
from tradebot.model.errors import InvariantError
from tradebot.model.order import ActionsLeft, PositionSide
from tradebot.pipeline.risk.gates.allowance import AllowanceGate, AllowanceState
from tradebot.pipeline.risk.gates.base import GateConfig
from tradebot.pipeline.risk.gates.sequence import GATES, LIMITS
from tradebot.pipeline.risk.gates.zone import Zone, ZoneGate, ZoneState
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.settings.model import RiskSettings
from tradebot.store.codec import decode, encode

RULE = SizeRule(SizeKind.QTY, cash(1))


def stage() -> RiskStage:
    risk = RiskStage({"BTC": instrument()}, cash(10_000), RULE, Limits())
    risk.handle(bars_closed(bar()))
    return risk


def test_every_module_is_in_the_list() -> None:
    listed = {gate.__module__.rpartition(".")[2] for gate in GATES}
    assert {found.name for found in pkgutil.iter_modules(package.__path__)} - {"base", "sequence"} == listed


def test_names_are_of_one_gate_and_say_when() -> None:
    names = [name for gate in GATES for name in gate.names]
    assert len(names) == len(set(names))
    assert all(when for gate in GATES for when in gate.names.values())


def test_a_limit_bears_the_name_of_its_key() -> None:
    for limit in LIMITS:
        assert limit.setting in RiskSettings.model_fields
        assert list(limit.names) == [limit.setting]


def test_what_gates_remember_survives_a_restart() -> None:
    risk = stage()
    risk.handle(ActionsLeft(ts_event=bar().ts_event, left=600, reserve=500))
    risk.handle(signal(stop="90"))
    again = stage()
    again.load(decode(RiskStage.STATE, encode(risk.save())))
    assert again.save() == risk.save()
    assert again.actions_left == risk.actions_left == 598


def test_zones_are_read_where_earlier_versions_kept_them() -> None:
    zone = Zone(
        symbol="BTC", strategy="cross", side=PositionSide.LONG, low=price(90), high=price(100), ts_event=bar().ts_event
    )
    risk = stage()
    risk.load(replace(risk.save(), gates={}, zones=ZoneState(taken=(zone,))))
    assert risk.save().gates["duplicate_zone"] == ZoneState(taken=(zone,))


def test_a_gate_does_not_become_what_another_remembers() -> None:
    with pytest.raises(InvariantError):
        ZoneGate(GateConfig(rule=RULE)).load(AllowanceState())
    with pytest.raises(InvariantError):
        AllowanceGate(GateConfig(rule=RULE)).load(ZoneState())
