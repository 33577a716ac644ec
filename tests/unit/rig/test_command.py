"""The whole command: an answer in time whatever a step of it does, and nothing left behind."""

import json
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from . import figures
from .command import GRACE, SLACK, TIMEOUT, Outcome, Running, locks_held
from .faults import FATAL, Effect, Trial, fatal, samples
from .kernel import Kernel
from .scene import HOST, WITHOUT_PINS, Scene

GET = ("get",)
COMMANDS: tuple[tuple[tuple[str, ...], Scene], ...] = (
    (GET, HOST),
    (GET, WITHOUT_PINS),
    (("discover", "listeners"), HOST),
    (("count", "nginx", "tcp", "established"), HOST),
    (("show", "processes", "--json"), HOST),
    (("show", "sockets", "--netns", "all", "--json"), WITHOUT_PINS),
)
FOR_AGENTS = ("get", "discover", "count")
IN_PARALLEL = 10
LEAST = 25
"""Sites that a command has at least."""


def start(kernel: Kernel, arguments: Sequence[str], trial: Trial | None = None) -> Running:
    """Start a call that has little time."""
    return Running(kernel, (*arguments, "--timeout", str(TIMEOUT)), trial)


def ids(value: object) -> str | None:
    """Return a command's name."""
    return " ".join(value) if isinstance(value, tuple) and isinstance(value[0], str) else None


def faults_of(outcome: Outcome, arguments: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the way a call ended."""
    out, err = (each.decode() for each in (outcome.stdout, outcome.stderr))
    if outcome.seconds > TIMEOUT + GRACE + SLACK:
        yield f"it took {outcome.seconds:.1f} s"
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


@pytest.mark.parametrize(("arguments", "scene"), COMMANDS, ids=ids)
def test_fault_at_every_site(tmp_path: Path, arguments: tuple[str, ...], scene: Scene) -> None:
    """There is an answer, or one line that says why not."""
    kernel = Kernel(tmp_path, scene).write()
    faultless = start(kernel, arguments).outcome()
    assert not list(faults_of(faultless, arguments))
    assert faultless.status == 0
    wrong, trials = [], list(samples(faultless.steps, memory=arguments == GET))
    assert len(trials) >= LEAST
    for trial in trials:
        outcome = start(kernel, arguments, trial).outcome()
        faults = list(faults_of(outcome, arguments))
        if is_about_output(trial):
            faults = [] if outcome.status or outcome.stdout else ["the output's failure is hidden"]
        elif arguments == GET and not outcome.status and trial.fault.what is not Effect.GARBAGE:
            excuse = figures.Excuse(trial.is_an_end, trial.fault.is_a_fact)
            documents = json.loads(outcome.stdout), json.loads(faultless.stdout)
            faults += figures.of_document(*documents, excuse)
        if not outcome.fired:
            faults.append("the step did not come")
        faults += locks_held(tmp_path)
        wrong += [f"{trial.step}: {trial.fault}: {each}" for each in faults]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("arguments", "scene"), COMMANDS, ids=ids)
def test_what_hangs_or_crashes(tmp_path: Path, arguments: tuple[str, ...], scene: Scene) -> None:
    """A read that never comes back, a crash and a kill are one line of error, in time."""
    kernel = Kernel(tmp_path, scene).write()
    trials = list(fatal(start(kernel, arguments).outcome().steps, *FATAL))
    assert len(trials) >= 30
    wrong = []
    for at in range(0, len(trials), IN_PARALLEL):  # each with locks of its own
        calls = [
            (trial, start(kernel.beside(str(number)), arguments, trial))
            for number, trial in enumerate(trials[at : at + IN_PARALLEL], at)
        ]
        for trial, call in calls:
            outcome = call.outcome()
            faults = list(faults_of(outcome, arguments))
            if outcome.status != 1:
                faults.append(f"status {outcome.status}")
            wrong += [f"{trial.step}: {trial.fault}: {each}" for each in faults]
    wrong += locks_held(tmp_path)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scene", [HOST, WITHOUT_PINS], ids=["bpf", "sock_diag"])
def test_few_descriptors(tmp_path: Path, scene: Scene) -> None:
    """With whatever number of descriptors there is an answer."""
    kernel = Kernel(tmp_path, scene).write()
    answers = set()
    for most in range(3, 30):
        call = Running(kernel, GET, limits={resource.RLIMIT_NOFILE: most})
        outcome = call.outcome()
        assert not list(faults_of(outcome, GET)), most
        answers.add(outcome.status)
    assert answers == {0, 1}


def test_little_memory(tmp_path: Path) -> None:
    """With whatever memory there is an answer."""
    kernel = Kernel(tmp_path, HOST).write()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    answers = set()
    for more in range(0, 24 << 20, 1 << 20):
        call = Running(kernel, GET, limits={resource.RLIMIT_AS: size + more})
        outcome = call.outcome()
        assert not list(faults_of(outcome, GET)), more
        answers.add(outcome.status)
    assert answers == {0, 1}
