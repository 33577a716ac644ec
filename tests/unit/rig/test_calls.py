"""Each way to an answer, with a fault at every step."""

from collections import Counter
from pathlib import Path

import pytest

from .calls import CALLS, Call
from .runner import run
from .tally import Record, Tally


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_fault_at_every_step(tmp_path: Path, call: Call, record_property: Record) -> None:
    """There is an answer with right figures, or an error, and nothing is left behind."""
    steps, results = run(call, tmp_path)
    assert steps >= call.least
    kinds = Counter(each.kind for each in results)
    failed = len({each.trial.step for each in results})
    Tally("ways to an answer", steps, failed, kinds).record(record_property)
    wrong = [str(each) for each in results if each.faults]
    assert not wrong, "\n".join(wrong)
