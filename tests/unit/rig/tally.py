"""What became of the trials, in numbers: pytest prints them when all tests have run."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

PROPERTY = "rig"
Record = Callable[[str, object], None]
"""pytest's `record_property`."""


class Tally(NamedTuple):
    """The steps of faultless runs, how many of them have failed, and what became of the trials."""

    part: str
    steps: int
    failed: int
    outcomes: Mapping[str, int]

    def record(self, record_property: Record) -> None:
        """Give it to pytest."""
        record_property(PROPERTY, self)


def lines(tallies: list[Tally]) -> Iterator[str]:
    """Yield a line for each part, and one for all."""
    total: Counter[str] = Counter()
    for part in dict.fromkeys(each.part for each in tallies):
        of_part = [each for each in tallies if each.part == part]
        counts: Counter[str] = Counter()
        for each in of_part:
            counts.update(each.outcomes)
        total += counts
        steps, failed = sum(each.steps for each in of_part), sum(each.failed for each in of_part)
        yield f"{part}: {failed:,} of {steps:,} steps failed in {_said(counts)}"
    yield f"all: {_said(total)}"


def _said(counts: Counter[str]) -> str:
    kinds = ", ".join(f"{number:,} {name}" for name, number in counts.most_common())
    return f"{sum(counts.values()):,} trials: {kinds}"
