"""Fair value gaps and their mitigation equal those of smartmoneyconcepts on real bars."""

import os
import warnings

import pytest

from tests.patterns.series import read_rows, real_files
from tradebot.research import scan

numpy = pytest.importorskip("numpy", reason="the extra research is not installed")
pytest.importorskip("numba", reason="the extra research is not installed")


@pytest.fixture(scope="module")
def smc():
    os.environ["SMC_CREDIT"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("smartmoneyconcepts", reason="smartmoneyconcepts is not installed").smc


@pytest.mark.parametrize("length", [2_500, pytest.param(12_000, marks=pytest.mark.soak)])
def test_gaps_and_mitigations_are_those_of_the_library(smc, length):
    pandas = pytest.importorskip("pandas")
    compared = 0
    for path in real_files():
        rows = read_rows(path, length)
        columns = [numpy.array(column) for column in zip(*rows, strict=True)]
        ours = scan(*columns, zone_max_age=len(rows))
        frame = pandas.DataFrame(dict(zip(("open", "high", "low", "close", "volume"), columns[1:], strict=True)))
        theirs = smc.fvg(frame)
        at = numpy.flatnonzero(~numpy.isnan(theirs["FVG"].to_numpy()))
        gaps = ours[ours["kind"] == "fvg"]
        assert gaps["index"].tolist() == at.tolist(), path.name
        for name, field in (("FVG", "side"), ("Top", "top"), ("Bottom", "bottom")):
            assert gaps[field].tolist() == theirs[name].to_numpy()[at].tolist(), (path.name, name)
        mitigated = {int(e["index"]): int(e["confirmed"]) for e in ours[ours["kind"] == "fvg_mitigated"]}
        # There 0 means never.
        assert [mitigated.get(int(i), 0) for i in at] == theirs["MitigatedIndex"].to_numpy()[at].tolist(), path.name
        compared += len(at)
    assert compared > 10 * length
