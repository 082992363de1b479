"""Each promise has a defect that breaks it, and its property notices: a property that cannot fail proves nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises.metering.mutants import DEFECTS, Defect, outcome

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_every_planted_defect_is_noticed() -> None:
    command = [sys.executable, "-m", "tests.promises.metering.mutants", "--defects-only"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    missed = [line for line in done.stdout.splitlines() if "NOT NOTICED" in line]
    assert not missed, done.stdout
    assert f"{len(DEFECTS)} of {len(DEFECTS)} planted defects noticed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_every_promise_has_its_defects() -> None:
    assert {defect.promise for defect in DEFECTS} == {1, 2, 3, 4, 5, 6}
    assert len({defect.what for defect in DEFECTS}) == len(DEFECTS)


def test_a_defect_whose_text_is_gone_is_no_defect() -> None:
    """When the engine is rewritten, the table is to be rewritten with it, and not to pass by planting nothing."""
    gone = Defect(1, "a text that is nowhere", "rating.core.late", "no such text", "", DEFECTS[0].noticed_by)
    with pytest.raises(RuntimeError, match=r"a text that is nowhere: .*holds 'no such text' 0 times, not once"):
        outcome(gone.noticed_by, gone)
