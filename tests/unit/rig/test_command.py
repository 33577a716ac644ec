"""The whole command: an answer in time whatever a step of it does, and nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from zabbix_sockets.document.admission import NOTHING_NEW, AdmissionTable, CallMoment
from zabbix_sockets.document.row import RankedRow, Row
from zabbix_sockets.model.snapshot import LISTS

from . import figures
from .command import GRACE, LITTLE, SLACK, TIMEOUT, Outcome, Running, locks_held, outcomes
from .faults import Effect, Step, Trial
from .kernel import Kernel
from .plan import fatal, pair, some, trials
from .scene import HOST, WITHOUT_PINS, Scene
from .tally import Record, Tally

GET, SOCKETS = ("get",), ("show", "sockets")
COMMANDS: tuple[tuple[tuple[str, ...], Scene, bool], ...] = (
    (GET, HOST, False),
    (GET, HOST, True),
    (GET, WITHOUT_PINS, False),
    (("discover", "listeners"), HOST, False),
    (("count", "nginx", "tcp", "established"), HOST, False),
    (("show", "processes", "--json"), HOST, False),
    ((*SOCKETS, "--netns", "all", "--json"), WITHOUT_PINS, False),
)
"""The commands, on which host, and whether a call before has admitted all rows to discovery."""
NAMES = [" ".join(arguments) + " again" * again for arguments, _, again in COMMANDS]
FOR_AGENTS = ("get", "discover", "count")
BESIDE = 2
"""Calls at the same time; of those that hang more, which take no processor."""
PATIENCE = TIMEOUT + GRACE + SLACK
"""Seconds after which a call is killed."""
LEAST = 60
"""Steps that a command has at least."""
Place = Callable[[Trial, int], Running]


def start(
    kernel: Kernel,
    arguments: Sequence[str],
    trial: Trial | None = None,
    timeout: float = TIMEOUT,
) -> Running:
    """Start a call."""
    return Running(kernel, (*arguments, "--timeout", str(timeout)), trial)


def in_places(
    kernel: Kernel, arguments: Sequence[str], timeout: float, number: int, *, again: bool
) -> Place:
    """Return what starts a call in one of *number* places, each with locks of its own.

    Nothing is admitted to discovery there; *again*: all rows are.
    """
    places = [kernel.beside(str(each)) for each in range(number)]
    known = None
    if again:
        start(kernel, arguments).outcome(PATIENCE)
        known = kernel.admitted.read_bytes()

    def begin(trial: Trial, place: int) -> Running:
        places[place].admit(known)
        return start(places[place], arguments, trial, timeout)

    return begin


def end(call: Running) -> Outcome:
    """Wait for the end of a call."""
    return call.outcome(PATIENCE)


def faults_of(outcome: Outcome, arguments: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the way a call ended."""
    out, err = (each.decode() for each in (outcome.stdout, outcome.stderr))
    if outcome.status == -signal.SIGKILL:
        yield f"no end after {outcome.seconds:.1f} s"
    if outcome.left:
        yield f"{outcome.left} processes are left"
    if "Traceback" in err:
        yield f"a traceback: {err[-300:]}"
    if outcome.status not in (0, 1):
        yield f"status {outcome.status}: {out[:200]} {err[-200:]}"
    elif arguments[0] in FOR_AGENTS:
        yield from _of_agents(outcome.status, out, err)
    elif not outcome.status and not isinstance(json.loads(out), list):
        yield f"no list: {out[:200]}"
    elif outcome.status and (out or not 1 <= err.count("\n") <= 3):
        yield f"no message of one line: {out[:200]} {err[:500]}"


def _of_agents(status: int, out: str, err: str) -> Iterator[str]:
    """Yield what is wrong with an agent's value: it has one line, and nothing on stderr."""
    if err:
        yield f"stderr: {err[:300]}"
    if out.count("\n") != 1:
        yield f"no line: {out[:300]!r}"
        return
    value = json.loads(out)
    has_failed = isinstance(value, dict) and "error" in value
    if has_failed != bool(status):
        yield f"status {status}: {out[:200]}"


def is_about_output(trial: Trial) -> bool:
    """Whether nothing can be said any more."""
    return trial.step.function == "write" and trial.step.label in ("stdout", "stderr")


def wrong_figures(
    arguments: Sequence[str], outcome: Outcome, faultless: Outcome, trial: Trial
) -> Iterator[str]:
    """Yield which figures of an answer are wrong beside those of the faultless one."""
    if trial.fault.what in (Effect.GARBAGE, Effect.ENDLESS):
        return  # what the kernel says is wrong itself
    excuse = figures.Excuse(trial.is_an_end, trial.fault.is_a_fact)
    found, expected = json.loads(outcome.stdout), json.loads(faultless.stdout)
    if arguments == GET:
        if any(each.get("admitted") == 0 for each in found["processes"]):
            found["host"].pop("unseen", None)  # which is of these then
        yield from figures.of_document(found, expected, excuse)
    elif arguments[:2] == SOCKETS:
        yield from figures.of_sockets(found, expected, excuse)
    elif arguments[0] == "count" and found != expected and not excuse.ended:
        yield f"{found}, not {expected}"


def wrongly_admitted(outcome: Outcome, faultless: Outcome, file: Path) -> Iterator[str]:
    """Yield which rows are called admitted without being remembered, or are left out in silence."""
    found, expected = json.loads(outcome.stdout), json.loads(faultless.stdout)
    table = AdmissionTable(file.read_bytes() if file.exists() else None, CallMoment(0, 0, b""))
    says_so = found["collector"]["not_admitted"] or any(
        each.startswith(NOTHING_NEW) for each in found["collector"]["warnings"]
    )
    for name in LISTS:
        rows = {each["id"]: each for each in found[name] if "admitted" in each}
        remembered = [
            RankedRow((False, False, 0, row_id), Row(id=row_id, netns="", admitted=None))
            for row_id in rows
        ]
        table.see(name, remembered)
        for each in remembered:
            number = rows[each.row.id]["admitted"]
            if number not in (0, each.row.admitted):
                yield f"{name}: {each.row.id} has number {number}, not {each.row.admitted}"
        left_out = [
            each["id"]
            for each in expected[name]
            if each.get("admitted") and rows.get(each["id"], each)["admitted"] == 0
        ]
        if left_out and not says_so and name != "upstreams":  # whose number nobody is told
            yield f"{name}: {left_out} are left out of discovery in silence"


def kind_of(outcome: Outcome, faultless: Outcome) -> str:
    """Return what an answer is: whole, one that says what it lacks, or an error."""
    if outcome.status:
        return "one error"
    found = json.loads(outcome.stdout)
    if isinstance(found, dict):
        return "whole" if found["complete"] else "marked incomplete"
    return "whole" if outcome.stdout == faultless.stdout else "without what it could not see"


@cache
def steps_of(arguments: tuple[str, ...], scene: Scene, again: bool) -> tuple[list[Step], Outcome]:
    """Return the steps of a call in which nothing goes wrong, and its outcome."""
    with TemporaryDirectory() as folder:
        kernel = Kernel(Path(folder), scene).write()
        if again:
            start(kernel, arguments).outcome(PATIENCE)
        outcome = start(kernel, arguments).outcome(PATIENCE)
    assert not list(faults_of(outcome, arguments))
    assert outcome.status == 0
    return outcome.steps, outcome


def covered(number: int) -> set[object]:
    """Return the pairs of the commands before *number*, which the short form need not repeat."""
    return {pair(step) for command in COMMANDS[:number] for step in steps_of(*command)[0]}


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=NAMES)
def test_fault_at_every_step(tmp_path: Path, number: int, record_property: Record) -> None:
    """There is an answer, or one line that says why not."""
    arguments, scene, again = COMMANDS[number]
    kernel = Kernel(tmp_path, scene).write()
    steps, faultless = steps_of(arguments, scene, again)
    assert len(steps) >= LEAST
    tried = list(trials(steps, thorough=arguments == GET, covered=covered(number)))
    begin = in_places(kernel, arguments, TIMEOUT, BESIDE, again=again)
    wrong, kinds = [], Counter[str]()
    for trial, place, outcome in outcomes(tried, begin, end, BESIDE):
        faults = list(faults_of(outcome, arguments))
        if is_about_output(trial):
            kinds["nothing could be said"] += 1
            faults = [] if outcome.status or outcome.stdout else ["the output's failure is hidden"]
        elif not faults:
            kinds[kind_of(outcome, faultless)] += 1
            if not outcome.status:
                faults += wrong_figures(arguments, outcome, faultless, trial)
            if not outcome.status and arguments == GET:
                file = Kernel(tmp_path, scene, str(place)).admitted
                faults += wrongly_admitted(outcome, faultless, file)
        if not outcome.fired:
            faults.append("the step did not come")
        faults += locks_held(tmp_path / f"dev/shm-{place}")
        wrong += [f"{trial.step}: {trial.fault}: {each}" for each in faults]
    Tally("whole commands", len(steps), len({each.step for each in tried}), kinds).record(
        record_property
    )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=NAMES)
def test_what_crashes(tmp_path: Path, number: int, record_property: Record) -> None:
    """A crash and a kill are one line of error."""
    stopped(tmp_path, number, record_property, Effect.KILL, Effect.CRASH)


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=NAMES)
def test_what_hangs(tmp_path: Path, number: int, record_property: Record) -> None:
    """What never comes back is one line of error, in time."""
    stopped(tmp_path, number, record_property, Effect.HANG)


def stopped(tmp_path: Path, number: int, record_property: Record, *effects: Effect) -> None:
    """Try a command whose child is stopped at a step of each function."""
    arguments, scene, again = COMMANDS[number]
    kernel = Kernel(tmp_path, scene).write()
    steps, _ = steps_of(arguments, scene, again)
    tried = list(fatal(steps, *effects))
    assert len(tried) >= 10
    timeout, beside = (LITTLE, 10) if Effect.HANG in effects else (TIMEOUT, BESIDE)
    begin = in_places(kernel, arguments, timeout, beside, again=again)
    wrong = []
    for trial, _, outcome in outcomes(tried, begin, end, beside):
        faults = list(faults_of(outcome, arguments))
        if outcome.status != 1 and outcome.fired:
            faults.append(f"status {outcome.status}")
        wrong += [f"{trial.step}: {trial.fault}: {each}" for each in faults]
    wrong += locks_held(tmp_path / "dev")
    failed, kinds = {each.step for each in tried}, {"one error": len(tried) - len(wrong)}
    Tally("hangs, kills and crashes", len(steps), len(failed), kinds).record(record_property)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scene", [HOST, WITHOUT_PINS], ids=["bpf", "sock_diag"])
def test_few_descriptors(tmp_path: Path, scene: Scene) -> None:
    """With whatever number of descriptors there is an answer."""
    kernel = Kernel(tmp_path, scene).write()
    answers = set()
    inherited = len(os.listdir("/proc/self/fd"))  # what tests before have left open, too
    for most in some(range(3, inherited + 30)):
        call = Running(kernel, GET, limits={resource.RLIMIT_NOFILE: most})
        outcome = call.outcome(PATIENCE)
        assert not list(faults_of(outcome, GET)), most
        answers.add(outcome.status)
    assert answers == {0, 1}


def test_little_memory(tmp_path: Path) -> None:
    """With whatever memory there is an answer."""
    kernel = Kernel(tmp_path, HOST).write()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    answers = set()
    for more in some(range(0, 24 << 20, 1 << 20)):
        call = Running(kernel, GET, limits={resource.RLIMIT_AS: size + more})
        outcome = call.outcome(PATIENCE)
        assert not list(faults_of(outcome, GET)), more
        answers.add(outcome.status)
    assert answers == {0, 1}
