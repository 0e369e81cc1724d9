"""``risk`` of a home where no daemon runs: the newest snapshot, held against the configuration as it is now."""

import orjson

from tradebot.cli.context import Context
from tradebot.cli.options import load
from tradebot.model.errors import NotRunning
from tradebot.pipeline.line import StageName
from tradebot.pipeline.risk.book import RiskState
from tradebot.report.document import document
from tradebot.report.risk import risk_document, risk_facts
from tradebot.runtime.wiring import wire_risk
from tradebot.settings.build import build_instruments
from tradebot.settings.check import build_specs
from tradebot.store.codec import decode
from tradebot.store.lock import HomeLock
from tradebot.store.snapshot import peek_snapshots


def read_stored_risk(context: Context) -> bytes:
    """Return the document of ``risk`` as of the last snapshot, with the state ``stopped``.

    After a kill the journal may hold a few seconds more; ``as_of`` says up to when it is. Raises ``NotRunning`` when
    nothing was ever recorded, ``LockHeld`` when a daemon is coming up.
    """
    home = context.home
    if not home.is_dir():
        raise _nothing(context)
    with HomeLock(home):
        snapshots = peek_snapshots(home).valid
    if not snapshots:
        raise _nothing(context)
    loaded = load(context)
    stage = wire_risk(loaded.settings, build_specs(loaded), build_instruments(loaded.settings))
    stage.load(decode(RiskState, orjson.dumps(orjson.loads(snapshots[0].body)[StageName.RISK.value])))
    return document({**risk_document(risk_facts(stage)), "state": "stopped"})


def _nothing(context: Context) -> NotRunning:
    return NotRunning(
        "no daemon runs here, and none left a snapshot", where=str(context.home), mend="start it with: tradebot start"
    )
