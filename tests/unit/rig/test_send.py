"""Sending with a fault at every step: no document is lost, none is left behind half sent."""

import json
import os
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool

from .command import Outcome, Running
from .faults import WAIT, Effect, Fault, Step, Trial, fatal, samples
from .kernel import Kernel
from .scene import HOST

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
LIMIT = 20.0
ROUNDS = 12
"""How often the service waits: enough for three documents."""
IN_PARALLEL = 4


class Sending:
    """A host that sends: its files, a zabbix_sender, and a document that waits since an outage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kernel = Kernel(folder / "root", HOST).write()
        (folder / "bin").mkdir()
        program = folder / "bin/zabbix_sender"
        program.write_text(SENDER.format(folder=folder, server=SERVER))
        program.chmod(0o755)
        spool = Spool(str(self.spool), 1_000_000)
        spool.add(SERVER, [Value("web1", "sockets.get", 1_700_000_000, 0, EARLIER)])
        spool.close()

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


def in_parallel(
    folder: Path,
    trials: list[Trial],
    judge: Callable[[Outcome, Sending, Trial], Iterator[str]],
    *more: str,
) -> list[str]:
    """Return what is wrong with `send`, tried with each of *trials*, some at a time."""
    wrong = []
    for at in range(0, len(trials), IN_PARALLEL):
        running = []
        for number, trial in enumerate(trials[at : at + IN_PARALLEL], at):
            (folder / str(number)).mkdir()
            sending = Sending(folder / str(number))
            running.append((trial, sending, sending.start(trial, *more)))
        for trial, sending, call in running:
            outcome = call.outcome(LIMIT, programs=True)
            faults = [*judge(outcome, sending, trial)]
            if not outcome.fired:
                faults.append("the step did not come")
            wrong += [f"{trial.step}: {trial.fault}: {each}" for each in faults]
    return wrong


def steps_of(folder: Path, *more: str) -> list[Step]:
    """Return the steps of a push in which nothing goes wrong."""
    folder.mkdir()
    sending = Sending(folder)
    outcome = sending.start(None, *more).outcome(LIMIT, programs=True)
    assert outcome.status == 0, outcome.stderr.decode()
    assert EARLIER in sending.taken()
    assert documents_in(sending.taken()) >= (2 if more else 1)
    assert not sending.waiting()
    return outcome.steps


def of_the_sender(steps: list[Step]) -> list[Step]:
    """Return the steps that are not of making a document, which test_command tries."""
    return [each for each in steps if not each.in_child]


def test_a_push_with_a_fault_at_every_step(tmp_path: Path) -> None:
    """Whatever fails: what waited is delivered or waits on, and one line says what went wrong."""
    trials = list(samples(of_the_sender(steps_of(tmp_path / "whole"))))
    assert len(trials) >= 40
    wrong = in_parallel(tmp_path, trials, faults_of)
    assert not wrong, "\n".join(wrong)


def test_killed_at_every_step(tmp_path: Path) -> None:
    """A kill loses nothing, and zabbix_sender doesn't outlive it."""

    def judge(outcome: Outcome, sending: Sending, _trial: Trial) -> Iterator[str]:
        if EARLIER not in sending.taken() + sending.waiting():
            yield "the earlier document is lost"
        if outcome.left:
            yield f"{outcome.left} processes are left"

    steps = of_the_sender(steps_of(tmp_path / "whole"))
    trials = [Trial(each.step, Fault(Effect.KILL)) for each in samples(steps)][::2]
    assert len(trials) >= 20
    wrong = in_parallel(tmp_path, trials, judge)
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


def test_service_with_a_fault_at_every_step(tmp_path: Path) -> None:
    """A service goes on after a fault: only one that can't even begin ends."""
    service = ("--interval", "10")
    trials = list(samples(of_the_sender(steps_of(tmp_path / "whole", *service))))
    assert len(trials) >= 40
    wrong = in_parallel(tmp_path, trials, service_faults, *service)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("effect", [Effect.KILL, Effect.CRASH])
def test_document_that_kills_its_process(tmp_path: Path, effect: Effect) -> None:
    """The process that makes a document may die of it: what waits is not touched."""
    steps = steps_of(tmp_path / "whole")

    def judge(outcome: Outcome, sending: Sending, trial: Trial) -> Iterator[str]:
        yield from faults_of(outcome, sending, trial)
        if outcome.status != 1 or not outcome.stderr:
            yield f"status {outcome.status}: {outcome.stderr.decode()}"

    wrong = in_parallel(tmp_path, list(fatal(steps, effect)), judge)
    assert not wrong, "\n".join(wrong)


def test_documents_are_told_apart() -> None:
    """The line of zabbix_sender and the spool's JSON both show a document."""
    document = json.dumps({"version": "1"}, separators=(",", ":"))
    assert documents_in(document) == documents_in(json.dumps(document)) == 1
    assert documents_in(EARLIER) == 0
