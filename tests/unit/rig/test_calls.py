"""Each way to an answer, with a fault at every step."""

from pathlib import Path

import pytest

from .calls import CALLS, Call
from .runner import run


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_fault_at_every_step(tmp_path: Path, call: Call) -> None:
    """There is an answer with right figures, or an error, and nothing is left behind."""
    results = run(call, tmp_path)
    assert len({each.trial[0] for each in results}) >= call.least
    wrong = [str(each) for each in results if each.faults]
    assert not wrong, "\n".join(wrong)
