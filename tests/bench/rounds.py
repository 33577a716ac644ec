"""Measures all candidates at one level, by turns."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.bench.candidates import BEFORE, Candidate, WrongAnswerError
from tests.bench.measure import Launcher, Outcome
from tests.bench.results import Figures
from tests.bench.scenarios import Stage

PATIENCE_SECONDS = 15.0  # what one candidate may take at one level, if it needs more than one run


class Tally:
    """The runs of one candidate at one level."""

    def __init__(self, candidate: Candidate, sockets: int) -> None:
        self.candidate = candidate
        self._sockets = sockets
        self._outcomes: list[Outcome] = []
        self._note = ""
        self._failure = "" if candidate.command else "missing"

    def wants(self, turn: int) -> bool:
        """Whether to run it in round *turn*: slow ones run fewer times, failed ones no more."""
        if self._failure or not self._outcomes:
            return not self._failure
        return turn < max(1, int(PATIENCE_SECONDS / self._outcomes[0].wall))

    def run(self, launcher: Launcher) -> None:
        """Measure it once, unless it has failed already."""
        if self._failure:
            return
        command, keep_output = self.candidate.command, self.candidate.check is not None
        outcome = launcher.run(command, keep_output=keep_output, uid=self.candidate.uid)
        self._outcomes.append(outcome)
        if outcome.code is None:
            self._failure = "slow"
        else:
            self._judge(outcome)

    def _judge(self, outcome: Outcome) -> None:
        none_found = self.candidate.none_found if not self._sockets else 0
        if outcome.code not in {0, none_found} or (outcome.code and outcome.errors):
            self._failure = "failed"
            self._note = f"exit code {outcome.code}: {outcome.first_line[:200]}"
        elif self.candidate.check:
            try:
                self._note = self.candidate.check(outcome.output, self._sockets)
            except (WrongAnswerError, ValueError, LookupError) as exc:
                self._failure = "failed"
                self._note = f"{type(exc).__name__}: {exc}"

    def figures(self, limit: int) -> Figures:
        """What has been measured; a run that failed gives no figures."""
        name, bounds = self.candidate.name, self.candidate.bounds_at(self._sockets)
        if self._failure == "slow":
            return Figures(name, "slow", at_least_s=limit)
        if self._failure == "missing":
            return Figures(name, "missing", note=self.candidate.why_not)
        if self._failure:
            return Figures(name, "failed", note=self._note)
        return Figures(
            name,
            "ok",
            bounds,
            runs=len(self._outcomes),
            wall_s=median(outcome.wall for outcome in self._outcomes),
            cpu_s=median(outcome.cpu for outcome in self._outcomes),
            peak_bytes=max(outcome.peak_bytes for outcome in self._outcomes),
            walls_s=tuple(outcome.wall for outcome in self._outcomes),
            cpus_s=tuple(outcome.cpu for outcome in self._outcomes),
            note=self._note,
        )


def measure(
    candidates: Sequence[Candidate],
    stage: Stage,
    repeat: int,
    launcher: Launcher,
    show: Callable[[str, str], None],
    prepare: Callable[[], None] | None = None,
) -> dict[str, Figures]:
    """Run every candidate once in each round, so that noise meets all alike.

    Before each run *prepare*, if any, makes of the load what has ended since the last one.

    A version and the one before it are a pair: they run one right after the other, the first of
    one round second in the next, so that neither always has what the other left in the caches,
    and in as many rounds.
    """
    tallies = [Tally(candidate, stage.sockets) for candidate in candidates]
    groups = _groups(tallies)
    for turn in range(repeat):
        for group in groups:
            if any(tally.wants(turn) for tally in group):
                for tally in reversed(group) if turn % 2 else group:
                    show(f"{stage}, round {turn + 1} of {repeat}", tally.candidate.name)
                    if prepare:
                        prepare()
                    tally.run(launcher)
    return {tally.candidate.name: tally.figures(launcher.limit) for tally in tallies}


def _groups(tallies: Sequence[Tally]) -> list[list[Tally]]:
    """The pairs, and those that are in none by themselves."""
    groups: dict[str, list[Tally]] = {}
    for tally in tallies:
        groups.setdefault(tally.candidate.name.removesuffix(BEFORE), []).append(tally)
    return list(groups.values())


def warm_up(walk: str, launcher: Launcher) -> int:
    """Walk all descriptors once with program *walk*; return the bytes the kernel keeps of it.

    The kernel caches an entry for every descriptor that is looked at. After this, no candidate
    is slower than the others for being the first.
    """
    before = _slab_bytes()
    launcher.run([walk], keep_output=False)
    return max(0, _slab_bytes() - before)


class Others:
    """How busy everything but this process's children is, from now on."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._busy = _others_seconds()

    def cpus(self) -> float:
        """The processors that others kept busy, on average; never less than 0."""
        return max(0.0, _others_seconds() - self._busy) / (time.monotonic() - self._start)


def _others_seconds() -> float:
    """The seconds that all processors were busy (proc_stat(5)) without those of the children."""
    total = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, total)
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return busy - own.ru_utime - own.ru_stime


def _slab_bytes() -> int:
    found = re.search(r"^Slab:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
