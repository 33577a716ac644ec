"""Sending with a fault at every step: no document is lost, none is left behind half sent."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool

from .command import Outcome, Running, outcomes
from .faults import WAIT, Effect, Step, Trial
from .kernel import Kernel
from .plan import fatal, killed, pair, trials
from .scene import HOST
from .tally import Record, Tally

SERVER = "192.0.2.99"
EARLIER = "a document of an outage"
SENDER = """#!/bin/sh
cat >>"{folder}/taken.new"
test -s "{folder}/taken.new" || exit 0
number=$(wc -l <"{folder}/taken.new")
cat "{folder}/taken.new" >>"{folder}/taken"
rm "{folder}/taken.new"
told="processed: $number; failed: 0; total: $number; seconds spent: 0.000055"
echo "Response from \\"{server}:10051\\": \\"$told\\""
"""
LIMIT = 120.0
"""Seconds after which a push is taken for one that hangs; a busy machine takes many for any."""
ROUNDS = 5
"""How often the service waits: enough for four documents, or for one after some that failed."""
BESIDE = 2


class Sending:
    """A host that sends: a zabbix_sender, and a document that waits since an outage.

    Of *kernel* the files are there. *spool* is a spool with the document, to be copied.
    """

    def __init__(self, folder: Path, kernel: Kernel, spool: Path) -> None:
        self.folder = folder
        self._kernel = kernel
        (folder / "bin").mkdir(parents=True)
        program = folder / "bin/zabbix_sender"
        program.write_text(SENDER.format(folder=folder, server=SERVER))
        program.chmod(0o755)
        shutil.copy(spool, self.spool)

    @property
    def spool(self) -> Path:
        """The file of what waits."""
        return self.folder / "spool.sqlite"

    def start(self, trial: Trial | None = None, *more: str) -> Running:
        """Start `send`."""
        self._kernel.processes.rounds = ROUNDS if "--interval" in more else None
        arguments = ("send", "--server", SERVER, "--host", "web1", "--spool", str(self.spool))
        return Running(self._kernel, (*arguments, *more), trial, setup=self._set_path)

    def _set_path(self) -> None:
        os.environ["PATH"] = f"{self.folder}/bin:/usr/bin:/bin"

    def taken(self) -> str:
        """Return what the server took."""
        path = self.folder / "taken"
        return path.read_text() if path.exists() else ""

    def waiting(self) -> str:
        """Return what is in the spool, and in those that were set aside."""
        found = ""
        for path in self.folder.glob("spool.sqlite*"):
            if path.suffix != ".lock" and not path.name.endswith("-journal"):
                database = sqlite3.connect(path)
                rows = database.execute("SELECT packet FROM waiting").fetchall()
                database.close()
                found += "".join(zlib.decompress(packet).decode() for (packet,) in rows)
        return found


def an_outage(folder: Path) -> Path:
    """Make a spool with what waits, and return its path."""
    spool = Spool(str(folder / "outage.sqlite"), 1_000_000)
    spool.add([(SERVER, [Value("web1", "sockets.get", 1_700_000_000, 0, EARLIER)])])
    spool.close()
    return folder / "outage.sqlite"


def documents_in(text: str) -> int:
    """Return how many documents there are besides the earlier one."""
    return len(re.findall(r'version\\*":\\*"', text))


def faults_of(outcome: Outcome, sending: Sending, trial: Trial) -> Iterator[str]:
    """Yield what is wrong with the way one push ended."""
    err = outcome.stderr.decode()
    taken, waiting = sending.taken(), sending.waiting()
    if EARLIER not in taken + waiting:
        yield "the earlier document is lost"
    if outcome.left:
        yield f"{outcome.left} processes are left"
    if "Traceback" in err or outcome.status not in (0, 1, 2):
        yield f"status {outcome.status}: {err[-300:]}"
    if outcome.status == 0 and not documents_in(taken):
        yield "nothing was taken, but the status is 0"
    if outcome.status and not err and not _is_about_output(trial.step):
        yield "nothing says why not"


def _is_about_output(step: Step) -> bool:
    return step.function == "write" and step.label in ("stdout", "stderr")


def wrong_of(
    folder: Path,
    trials: list[Trial],
    judge: Callable[[Outcome, Sending, Trial], Iterator[str]],
    *more: str,
) -> tuple[list[str], Counter[str]]:
    """Return what is wrong with `send`, tried with each of *trials*, and what became of it."""
    kernel, spool = Kernel(folder / "root", HOST).write(), an_outage(folder)
    kernels = [kernel.beside(str(place)) for place in range(BESIDE)]
    places: list[Sending] = []
    wrong: list[str] = []
    kinds: Counter[str] = Counter()

    def start(trial: Trial, place: int) -> Running:
        kernels[place].admit(None)
        places.append(Sending(folder / str(len(places)), kernels[place], spool))
        return places[-1].start(trial, *more)

    def end(call: Running) -> Outcome:
        return call.outcome(LIMIT, programs=True)

    for number, (trial, _, outcome) in enumerate(outcomes(trials, start, end, BESIDE)):
        faults = [*judge(outcome, places[number], trial)]
        if not outcome.fired:
            faults.append("the step did not come")
        wrong += [f"{trial.step}: {trial.fault}: {each}" for each in faults]
        kinds[kind_of(outcome, places[number])] += 1
        shutil.rmtree(places[number].folder)
    return wrong, kinds


def kind_of(outcome: Outcome, sending: Sending) -> str:
    """Return what became of a push: all that is to be delivered is, or waits, or an error."""
    if outcome.status < 0:
        return "killed, nothing lost"
    if sending.waiting():
        return "something waits"
    return "one error" if outcome.status else "delivered"


def steps_of(folder: Path, *more: str) -> list[Step]:
    """Return the steps of a push in which nothing goes wrong."""
    sending = Sending(folder, Kernel(folder / "root", HOST).write(), an_outage(folder))
    outcome = sending.start(None, *more).outcome(LIMIT, programs=True)
    assert outcome.status == 0, outcome.stderr.decode()
    assert EARLIER in sending.taken()
    assert documents_in(sending.taken()) >= (2 if more else 1)
    assert not sending.waiting()
    return outcome.steps


def of_document(steps: list[Step]) -> set[object]:
    """Return the pairs of making a document, with which test_command's short form is enough."""
    return {pair(step) for step in steps if step.child}


def tally(part: str, steps: list[Step], tried: list[Trial], kinds: Counter[str]) -> Tally:
    """Return the numbers of a test."""
    return Tally(part, len(steps), len({each.step for each in tried}), kinds)


def test_a_push_with_a_fault_at_every_step(tmp_path: Path, record_property: Record) -> None:
    """Whatever fails: what waited is delivered or waits on, and one line says what went wrong."""
    steps = steps_of(tmp_path / "whole")
    assert len(steps) >= 150
    tried = list(trials(steps, covered=of_document(steps)))
    wrong, kinds = wrong_of(tmp_path, tried, faults_of)
    tally("a push", steps, tried, kinds).record(record_property)
    assert not wrong, "\n".join(wrong)


def test_killed_at_every_step(tmp_path: Path, record_property: Record) -> None:
    """A kill loses nothing, and zabbix_sender doesn't outlive it."""

    def judge(outcome: Outcome, sending: Sending, _trial: Trial) -> Iterator[str]:
        if EARLIER not in sending.taken() + sending.waiting():
            yield "the earlier document is lost"
        if outcome.left:
            yield f"{outcome.left} processes are left"

    steps = [step for step in steps_of(tmp_path / "whole") if not step.child]
    assert len(steps) >= 60
    tried = list(killed(steps))
    wrong, kinds = wrong_of(tmp_path, tried, judge)
    tally("a push that is killed", steps, tried, kinds).record(record_property)
    assert not wrong, "\n".join(wrong)


def service_faults(outcome: Outcome, sending: Sending, trial: Trial) -> Iterator[str]:
    """Yield what is wrong with a service: after a fault it goes on, and delivers all."""
    err = outcome.stderr.decode()
    taken, waiting = sending.taken(), sending.waiting()
    if "Traceback" in err or outcome.status not in (0, 1, 2):
        yield f"status {outcome.status}: {err[-300:]}"
    if outcome.left:
        yield f"{outcome.left} processes are left"
    if EARLIER not in taken + waiting:
        yield "the earlier document is lost"
    if outcome.status and not err:
        yield "nothing says why not"
    if outcome.status and WAIT in (each.function for each in outcome.steps):
        yield f"it ended: {err[-300:]}"
    if not outcome.status and not trial.fault.lasting and not documents_in(taken):
        yield f"it delivered nothing any more: {err[-300:]}"


def test_service_with_a_fault_at_every_step(tmp_path: Path, record_property: Record) -> None:
    """A service goes on after a fault: only one that can't even begin ends."""
    service = ("--interval", "10")
    steps = steps_of(tmp_path / "whole", *service)
    assert len(steps) >= 400
    covered = of_document(steps) | {pair(step) for step in steps_of(tmp_path / "push")}
    tried = list(trials(steps, covered=covered))
    wrong, kinds = wrong_of(tmp_path, tried, service_faults, *service)
    tally("a service", steps, tried, kinds).record(record_property)
    assert not wrong, "\n".join(wrong)


def test_document_that_kills_its_process(tmp_path: Path, record_property: Record) -> None:
    """The process that makes a document may die of it: what waits is not touched."""
    steps = steps_of(tmp_path / "whole")

    def judge(outcome: Outcome, sending: Sending, trial: Trial) -> Iterator[str]:
        yield from faults_of(outcome, sending, trial)
        if outcome.status != 1 or not outcome.stderr:
            yield f"status {outcome.status}: {outcome.stderr.decode()}"

    tried = list(fatal(steps, Effect.KILL, Effect.CRASH))
    wrong, kinds = wrong_of(tmp_path, tried, judge)
    tally("hangs, kills and crashes", steps, tried, kinds).record(record_property)
    assert not wrong, "\n".join(wrong)


def test_documents_are_told_apart() -> None:
    """The line of zabbix_sender and the spool's JSON both show a document."""
    document = json.dumps({"version": "1"}, separators=(",", ":"))
    assert documents_in(document) == documents_in(json.dumps(document)) == 1
    assert documents_in(EARLIER) == 0
